/**
 * What main.ts needs of the parts it assembles: the segment with its sockets, and the worker threads.
 */
import type { Config } from '../config/load.js';
import type { Log } from '../log.js';
import type { EngineView } from '../rpc/ports.js';

/** One worker thread, from the moment it serves. */
export interface WorkerHandle {
  /** A number that changes as long as its loop turns. */
  heartbeat(): number;
  /** Resolves when the thread is gone, whatever the cause; with null after stop() or kill(), else with the cause. */
  readonly gone: Promise<string | null>;
  /** Has it do something between two batches; rejects when it is gone, fails at it, or does not answer in time. */
  ask(question: unknown): Promise<unknown>;
  /** Lets it finish the batch in hand and end. */
  stop(): Promise<void>;
  /** Ends it where it stands; a native call still finishes. */
  kill(): Promise<void>;
}

/** The shared segment, its sockets and whoever works on them. */
export interface Runtime {
  /** Owner numbers to start workers for, shards and timer worker alike. */
  readonly owners: readonly number[];
  readonly segment: {
    readonly path: string;
    readonly bytes: number;
    readonly callsEnough: number;
    /** Calls of the process before that go on; null: the file is new. */
    readonly callsFound: number | null;
  };
  /** Starts a worker under an owner number; resolves when it serves, rejects when it cannot. */
  startWorker(owner: number): Promise<WorkerHandle>;
  view(): EngineView;
  /**
   * Before a stop.  Calls stay in the segment for the next start; only if that begins afresh (segment-fresh), new calls are
   * refused from now on, and it resolves when no transaction is left that waits for its final answer.
   */
  drain(): Promise<void>;
  /** Closes sockets and segment; the file goes when nothing is left in it and it need not be kept. */
  close(keepSegment: boolean): Promise<void>;
}

/** Makes the segment and binds every listen address; what cannot be had is an EngineError. */
export type OpenRuntime = (config: Config, log: Log) => Promise<Runtime>;
