/**
 * What a worker's calls of the dialog table cost beside 1, 1,000 and 1,000,000 dialogs: match, transition, timer,
 * profile.  Through the addon, as the packet path does, arguments written each time.
 *
 * check: every call's status, and that nothing was left behind in the end.
 */
import { Bench } from 'tinybench';
import { next } from '../../dist/dialog/machine.js';
import {
  A_CALLEE_SOURCE,
  A_CALLER_CSEQ,
  A_DUE,
  A_FIELDS,
  CHANGE_CALLER_CSEQ,
  CHANGE_DUE,
} from '../../dist/dialog/record.js';
import { addon, STATUS } from '../../dist/memory/addon.js';
import { constant, D_DIRECTION, D_INDEX } from '../../dist/memory/words.js';
import { CALLS, mustBe, rowsOf, scattered, World } from './world.mjs';

const X_ARGS = constant('XArgs');
/** As many arguments as a change has. */
const CHANGE_WORDS = A_CALLEE_SOURCE + 2 - X_ARGS;
const DOWNSTREAM = 1;
const CONFIRMED = 4;
const MEMBERS_MAX = 1_000_000;

export async function run({ timeMs, sizes }) {
  const rows = [];
  for (const dialogs of sizes) {
    const world = await World.open({ dialogs });
    try {
      const { native, x } = world;
      const pick = scattered(dialogs);
      const bench = new Bench({ time: timeMs });
      const repeated = (name, work) =>
        bench.add(name, () => {
          for (let call = 0; call < CALLS; call++) work(pick());
        });
      const wanted = (n) => {
        world.texts([
          [X_ARGS, world.callId(n)],
          [X_ARGS + 2, `a73kszlfl${n}`],
          [X_ARGS + 4, `1410948204${n}`],
        ]);
        x[X_ARGS + 6] = 0;
      };
      repeated('(writing the three texts to look up with)', wanted);
      repeated('match: by cookie, then tags', (n) => {
        mustBe(native.dialogFindById(world.entry(n), world.id(n)), STATUS.ok, 'found by its id');
        wanted(n);
        mustBe(native.dialogMatch(world.index(n), world.generation(n)), STATUS.ok, 'it matches');
        mustBe(x[D_DIRECTION], DOWNSTREAM, 'downstream');
      });
      repeated('match: by Call-ID and tags', (n) => {
        wanted(n);
        mustBe(native.dialogFindByCallId(), STATUS.ok, 'found by its Call-ID');
        mustBe(x[D_INDEX], world.index(n), 'the right one');
      });
      repeated('transition: lifetime and CSeq of a request within the call', (n) => {
        mustBe(next(CONFIRMED, 'request'), CONFIRMED, 'it stays confirmed');
        x.fill(0, X_ARGS, X_ARGS + CHANGE_WORDS);
        x[A_FIELDS] = CHANGE_DUE | CHANGE_CALLER_CSEQ;
        x[A_DUE] = world.due + (n & 1_023);
        x[A_CALLER_CSEQ] = 2;
        mustBe(native.dialogChange(world.index(n), world.generation(n)), STATUS.ok, 'it was changed');
      });
      repeated('timer: a turn of the wheel with nothing due', () => {
        mustBe(native.dialogAdvance(), 0, 'nothing is due');
      });
      // As many values as calls, at most 1,000, as in the other benches.
      const values = Math.min(dialogs, 1_000);
      repeated('profile: join with a limit, then leave', (n) => {
        const length = world.m.latin1Write(`u${n % values}`, world.at);
        const [index, generation] = [world.index(n), world.generation(n)];
        const joined = native.profileJoin(index, generation, 0, world.at, length, MEMBERS_MAX);
        mustBe(joined, STATUS.ok, 'it joined');
        mustBe(native.profileLeave(index, generation, 0, world.at, length), STATUS.ok, 'it left');
      });
      repeated('profile: count of a value', (n) => {
        const length = world.m.latin1Write(`u${n % values}`, world.at);
        mustBe(native.profileSize(0, world.at, length), 0, 'all have left');
      });
      await bench.run();
      rows.push(...rowsOf(bench, dialogs));
      mustBe(addon.audit(world.segment), 0, 'counts equal records');
      mustBe(addon.segmentUsage(world.segment).dialogs, dialogs, 'no dialog came or went');
    } finally {
      world.close();
    }
  }
  return rows;
}
