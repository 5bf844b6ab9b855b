/**
 * A mass expiry: calls whose lifetimes end in the same second, both sides told by BYE while new calls come.
 *
 * What peers.mjs, compare.mjs and profile.mjs have in common.  CPU is counted from the first BYE until the last finished
 * transaction is gone, with that of the new calls meanwhile: two requests made, kept, sent, answered and let go.
 */
import { failures } from './load.mjs';

export const EXPIRY_CALLS = 100_000;
const NEW_CALLS_PER_SECOND = 200;
const WAIT_S = 45;
/** A server that has sent no BYE for so long will send none. */
const QUIET_S = 20;
/** From the last call opened to the second in which all expire. */
const MARGIN_S = 4;
/** Finished transactions live 5 s. */
const SETTLE_S = 7;

/** Server options and phases of a mass expiry of `size` calls that begins now; the second when they expire. */
export function planExpiry(kind, size) {
  const openingSeconds = Math.ceil(size / kind.opensPerSecond) + MARGIN_S;
  const expireAtSeconds = Math.ceil(Date.now() / 1_000) + kind.startSeconds + openingSeconds;
  return {
    expireAtSeconds,
    options: { held: size, checksLimit: false, expireAtSeconds },
    phases: [
      `hold:n=${size},max=${openingSeconds}`,
      `run:cps=${NEW_CALLS_PER_SECOND},expire=${WAIT_S + openingSeconds},quiet=${QUIET_S}`,
      `idle:${SETTLE_S}`,
    ],
  };
}

/** What the three phases measured, and what was wrong with it. */
export async function watchExpiry(kind, size, load) {
  const opened = await load.report();
  const report = await load.report();
  const idle = await load.report();
  const wrong = failures(report);
  const early = opened.srv_bye.caller + opened.srv_bye.callee;
  if (early > 0) wrong.push(`${early} expired while calls were still opened`);
  if (opened.established < size) wrong.push(`${opened.established} of ${size} calls opened in time`);
  // Ours is judged by what is missing; the time a peer takes for a part of its calls is no figure.
  const told = Math.min(report.srv_bye.caller, report.srv_bye.callee);
  if (!kind.isOurs && told < size) wrong.push(`BYEs for ${told} of ${size} calls, then none`);
  const cpuSeconds = report.srv_bye.run_s + idle.server.run_s;
  const usPerCall = Math.round((cpuSeconds * 1e8) / Math.max(told, 1)) / 100;
  return { report, wrong, size: opened.established, usPerCall };
}
