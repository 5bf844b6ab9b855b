/**
 * Where a copy of the request goes: $du, else the first Route, else the R-URI.  [RFC 3261 16.6 step 7, RFC 3263]
 */
import {
  U_HOST_LEN,
  U_HOST_OFF,
  U_MADDR_LEN,
  U_MADDR_OFF,
  U_PORT,
  U_SCHEME,
  U_STATUS,
  U_TRANSPORT,
  W_RURI_LEN,
  W_RURI_OFF,
} from '../sip/words.js';
import { Address, readAddress } from '../transport/address.js';
import { nextRoute } from './loose-route.js';
import type { Passage } from './passage.js';
import type { NameResolver } from './ports.js';
import type { Workspace } from './workspace.js';

export const HOP_FOUND = 0;
/** A name that is not in the cache: `host`, `namePort` say what to look up. */
export const HOP_UNKNOWN_NAME = 1;
/** A transport that we do not serve, a name without address, or no socket of its family. */
export const HOP_UNREACHABLE = 2;
/** Not a SIP URI. */
export const HOP_OTHER_SCHEME = 3;

const DEFAULT_PORT = 5060;
const SCHEME_SIP = 1;
const TRANSPORT_UDP = 1;

export class NextHop {
  readonly address = new Address();
  port = 0;
  flow = 0;
  host = '';
  namePort = 0;
  /** '' when the URI names none. */
  transport = '';
  /** The last text that named an address, which it always will, and that address. */
  private known = '';
  private readonly knownAddress = new Address();
  private knownPort = 0;

  /** Finds the hop of one target; `target` null: the request's own R-URI; `destination`: what overrides Route and target. */
  find(
    w: Workspace,
    resolver: NameResolver,
    passage: Passage,
    target: string | null,
    destination: string | null,
  ): number {
    const message = passage.message;
    if (destination !== null) return this.findText(w, resolver, message.flow, destination);
    const route = nextRoute(passage);
    if (route >= 0) {
      return this.fromUri(
        w,
        resolver,
        message.flow,
        message.at,
        message.itemUriOffset(route),
        message.itemUriLength(route),
      );
    }
    if (target !== null) return this.findText(w, resolver, message.flow, target);
    return this.fromUri(
      w,
      resolver,
      message.flow,
      message.at,
      message.word(W_RURI_OFF),
      message.word(W_RURI_LEN),
    );
  }

  /** Finds the hop that a URI's text names; `flow`: the socket to prefer, 0: none. */
  findText(w: Workspace, resolver: NameResolver, flow: number, uri: string): number {
    if (uri === this.known) {
      this.address.set(this.knownAddress);
      this.port = this.knownPort;
      return this.onFlow(w, flow);
    }
    this.host = '';
    const at = w.scratch.at;
    w.scratch.text(uri);
    const length = w.scratch.at - at;
    const bracketed = w.memory.bytes[at] === 60 && w.memory.bytes[at + length - 1] === 62;
    const status = bracketed
      ? this.fromUri(w, resolver, flow, at, 1, length - 2)
      : this.fromUri(w, resolver, flow, at, 0, length);
    w.scratch.at = at;
    if (status === HOP_FOUND && this.host === '') {
      this.known = uri;
      this.knownAddress.set(this.address);
      this.knownPort = this.port;
    }
    return status;
  }

  private fromUri(
    w: Workspace,
    resolver: NameResolver,
    flow: number,
    base: number,
    offset: number,
    length: number,
  ): number {
    w.parser.parseUri(base, offset, length, w.memory.uriWords);
    const words = w.memory.words;
    const u = w.memory.uriWords >> 2;
    if (words[u + U_SCHEME] !== SCHEME_SIP) return HOP_OTHER_SCHEME;
    if (words[u + U_STATUS] !== 0) return HOP_UNREACHABLE;
    const transport = words[u + U_TRANSPORT]!;
    if (transport !== 0 && transport !== TRANSPORT_UDP) return HOP_UNREACHABLE;
    const hasMaddr = words[u + U_MADDR_LEN] !== 0;
    const host = base + words[u + (hasMaddr ? U_MADDR_OFF : U_HOST_OFF)]!;
    const hostLength = words[u + (hasMaddr ? U_MADDR_LEN : U_HOST_LEN)]!;
    const port = words[u + U_PORT]!;
    if (readAddress(w.memory.bytes, host, hostLength, this.address)) {
      this.port = port === 0 ? DEFAULT_PORT : port;
      return this.onFlow(w, flow);
    }
    this.host = w.memory.text(host, hostLength).toLowerCase();
    this.namePort = port;
    this.transport = transport === TRANSPORT_UDP ? 'udp' : '';
    const answer = resolver.lookup(this.host, port, this.transport);
    if (answer === null) return HOP_UNKNOWN_NAME;
    const found = answer.destinations[0];
    if (found === undefined) return HOP_UNREACHABLE;
    this.address.set(found);
    this.port = found.port !== 0 ? found.port : port !== 0 ? port : DEFAULT_PORT;
    return this.onFlow(w, flow);
  }

  private onFlow(w: Workspace, flow: number): number {
    this.flow = w.sockets.flowTo(this.address.isV4, flow);
    return this.flow === 0 ? HOP_UNREACHABLE : HOP_FOUND;
  }
}
