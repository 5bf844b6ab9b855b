/**
 * The dialog machine: five states, nine events, one table.  No input, no output, no clock.
 *
 * tracker.ts asks it what comes next; effects.ts knows what a change sets in motion.
 */

/** As native/core keeps it and `dlg.list` prints it. */
export const UNCONFIRMED = 1;
export const EARLY = 2;
export const CONFIRMED_NO_ACK = 3;
export const CONFIRMED = 4;
export const DELETED = 5;
export type DialogState = 1 | 2 | 3 | 4 | 5;

/** The event makes no sense in that state: nothing changes, and nothing but a counter tells. */
export const STRAY = 0;

type Next = readonly [number, number, number, number, number];

// unconfirmed, early, confirmed without ACK (N), confirmed, deleted; '.' stays, '!' stray
const NEXT = {
  //                   U E N C D
  reply1xx: row('E . ! ! !'),
  reply2xx: row('N N . . N'), // D to N: it had failed; of an answered call a further callee's makes a sibling (invite.ts)
  replyNon2xx: row('D D ! ! !'),
  ack: row('! ! C . .'),
  prack: row('! . . . .'), // as request once confirmed
  bye: row('! . D D .'), // while it rings it ends an early leg, and the answer to the INVITE ends the dialog
  request: row('! . . . .'), // any other request within the dialog
  transactionEnd: row('D D . . .'), // the INVITE transaction is gone
  end: row('D D D D .'), // the time is over, or somebody ends it
} as const satisfies Record<string, Next>;

export type DialogEventName = keyof typeof NEXT;
export const DIALOG_EVENTS = Object.keys(NEXT) as DialogEventName[];

/** The state after `event`, or STRAY.  [RFC 3261 12.1, 15] */
export function next(state: number, event: DialogEventName): number {
  return NEXT[event][state - 1] ?? STRAY;
}

function row(columns: string): Next {
  const states = columns.split(' ').map((column, at) => {
    if (column === '.') return at + 1;
    if (column === '!') return STRAY;
    return 'UENCD'.indexOf(column) + 1;
  });
  return states as unknown as Next;
}
