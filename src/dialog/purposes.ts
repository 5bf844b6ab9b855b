/**
 * What requests of our own are for.
 *
 * Their transactions keep these numbers, which outlive a worker: none ever changes its meaning.  What a final answer means
 * for each stands in own-answers.ts.
 */
export const PURPOSE = {
  /** Nothing hangs on the answer. */
  none: 0,
  bye: 1,
  /** A BYE whose number was too low the first time. */
  byeAgain: 2,
  probe: 3,
  /** dlg_refer(); a BYE to the same side follows, whose answer means nothing. */
  refer: 4,
  bridgeInvite: 5,
  bridgeRefer: 6,
} as const;
