/**
 * What the dialog room knows of the message in hand: its dialog, and what routes asked for before there was one.
 *
 * One per shard, begun again for each message; a suspended route takes its own away and brings it back.  [manual 8.2]
 */

import type { Refusal } from './refused.js';

/** Joins that no dialog owns yet, per message. */
export const MEMBERS_HELD_MAX = 16;
/** Plain joins and variables that wait for a dialog, per message. */
export const PENDING_MAX = 32;

/** A plain join before the dialog exists: neither counted nor kept unless the dialog is made. */
export type PendingJoin = { readonly profile: number; readonly value: string | null };

/** A variable set before the dialog exists. */
export type PendingVariable = { readonly key: string; readonly value: string };

export class DialogContext {
  /** Why no dialog was made of this INVITE; null: none was refused. */
  refused: Refusal | null = null;
  /** The transaction of the message, once it has one; index 0: none. */
  transactionIndex = 0;
  transactionGeneration = 0;
  /** The dialog of the message; index 0: none. */
  index = 0;
  generation = 0;
  /** Its address, for the cookie; id 0: not known yet. */
  entry = 0;
  id = 0;
  /** Where the message travels, a reply too: 1 downstream, 2 upstream, 0 not known. */
  direction = 0;

  /** The dialog of the message itself, whatever dlg_get() pointed to since; index 0: none. */
  ownIndex = 0;
  ownGeneration = 0;

  /** A request route runs: what is asked for before the dialog exists may wait for it. */
  mayCreate = false;
  /** A request without To tag that no dialog was found for: until its route waits, none can come but by itself. */
  isUnknown = false;
  /** This message made the dialog. */
  created = false;
  /** The callback type that waits for the transaction of this message, 0: none.  [manual 5.44] */
  owedCallback = 0;
  /** The message has its transaction. */
  hasTransaction = false;
  /** This message is an INVITE that comes by again. */
  spiral = false;
  /** The dialog in which we made this message ourselves, by way of this proxy; index 0: somebody else did. */
  madeIndex = 0;
  madeGeneration = 0;
  /** This message, a BYE, ended its dialog. */
  ended = false;
  /** The transaction of this message names the dialog. */
  linked = false;
  /** The cookie goes into our Record-Route. */
  cookieOwed = false;
  /** DSteps of its dialog: in which directions numbers are mapped. */
  steps = 0;
  /** The message keeps its dialog: it ended it, or its route is suspended. */
  held = false;
  /** No room was left for the dialog or for what belongs to it: the call deserves 503. */
  refusedForMemory = false;

  /** $DLG_status and $DLG_lifetime of a sequential request; status 0: not matched. */
  status = 0;
  lifetimeSeconds = 0;

  // $dlg_ctx()
  on = 0;
  flags = 0;
  properties = 0;
  timeoutSeconds = 0;
  timeoutBye = 0;
  timeoutRoute = '';
  /** Lifetime in the AVP that timeout_avp names, as the route left it; 0: none. */
  avpSeconds = 0;
  /** Direction found by dlg_get(). */
  dir = 0;

  heldMembers = 0;
  readonly members: Uint32Array = new Uint32Array(MEMBERS_HELD_MAX);
  readonly memberProfiles: Uint32Array = new Uint32Array(MEMBERS_HELD_MAX);
  readonly memberValues: (string | null)[] = new Array(MEMBERS_HELD_MAX).fill(null);
  readonly joins: PendingJoin[] = [];
  readonly variables: PendingVariable[] = [];

  /** As before any message.  What is held must have been given back. */
  clear(): void {
    this.refused = null;
    this.transactionIndex = 0;
    this.transactionGeneration = 0;
    this.index = 0;
    this.generation = 0;
    this.direction = 0;
    this.entry = 0;
    this.id = 0;
    this.ownIndex = 0;
    this.ownGeneration = 0;
    this.mayCreate = false;
    this.isUnknown = false;
    this.created = false;
    this.owedCallback = 0;
    this.hasTransaction = false;
    this.spiral = false;
    this.madeIndex = 0;
    this.madeGeneration = 0;
    this.ended = false;
    this.linked = false;
    this.cookieOwed = false;
    this.steps = 0;
    this.held = false;
    this.refusedForMemory = false;
    this.status = 0;
    this.lifetimeSeconds = 0;
    this.on = 0;
    this.flags = 0;
    this.properties = 0;
    this.timeoutSeconds = 0;
    this.timeoutBye = 0;
    this.avpSeconds = 0;
    this.dir = 0;
    this.heldMembers = 0;
    if (this.timeoutRoute !== '') this.timeoutRoute = '';
    if (this.joins.length > 0) this.joins.length = 0;
    if (this.variables.length > 0) this.variables.length = 0;
  }

  /** The message is one that we made in the dialog that it belongs to. */
  get isOurs(): boolean {
    return (
      this.madeIndex !== 0 && this.madeIndex === this.ownIndex && this.madeGeneration === this.ownGeneration
    );
  }

  /** The message belongs to this dialog. */
  own(index: number, generation: number, direction: number): void {
    this.ownIndex = index;
    this.ownGeneration = generation;
    this.point(index, generation, direction);
  }

  /** Scripts read and write this dialog from now on. */
  point(index: number, generation: number, direction: number): void {
    this.index = index;
    this.generation = generation;
    this.direction = direction;
  }
}
