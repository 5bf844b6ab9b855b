/**
 * What goes on from a promise: a name is known, a route that waited has settled.
 *
 * Any number of them run one after the other before the native loop has its turn again, so each finds room in the scratch
 * and leaves nothing queued; and nothing stands above them that would catch what they throw, so nothing leaves them.
 */
import { ROOM_PER_STEP_BYTES, type Workspace } from './workspace.js';

/** What a shard does once something was queued outside of a batch. */
export interface Sending {
  /** Posts what was counted, sends what is queued, and has branches fail whose copy could not be sent. */
  flush(): void;
}

export class Continuations {
  private readonly w: Workspace;
  private readonly sending: Sending;

  constructor(w: Workspace, sending: Sending) {
    this.w = w;
    this.sending = sending;
  }

  /**
   * Runs `step` when `awaited` has settled, however it did.
   *
   * @param where  names the step in the log
   * @param failed `step` threw: answers whoever waits for it
   */
  after(awaited: unknown, where: string, step: () => void, failed: () => void): void {
    const go = (): void => this.run(where, step, failed);
    Promise.resolve(awaited).then(go, go);
  }

  /** The same for what has settled already. */
  run(where: string, step: () => void, failed: () => void): void {
    const { w } = this;
    w.makeRoom(ROOM_PER_STEP_BYTES);
    if (!this.isDone(where, step)) {
      w.recover();
      this.isDone(where, failed);
    }
    this.isDone(where, () => this.sending.flush());
    w.scratch.reset();
  }

  /** False: it threw, which is counted. */
  private isDone(where: string, step: () => void): boolean {
    try {
      step();
      return true;
    } catch (error) {
      this.w.fault(where, error);
      return false;
    }
  }
}
