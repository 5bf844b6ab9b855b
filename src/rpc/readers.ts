/**
 * Requests in progress at the HTTP door: how many there may be, and how slowly their answers may be read.
 *
 * Whoever reads a listing holds a connection and a snapshot; one that takes next to nothing is parted with.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { OnceAMinute } from '../log.js';

export interface ReaderBounds {
  /** Below the connections that the door takes, so that health can still be asked. */
  readonly requestsInProgressMax: number;
  /** A reader whom data awaits takes at least so many bytes in each window; a chunk counts when it is taken whole. */
  readonly windowMs: number;
  readonly bytesPerWindowMin: number;
}

const RETRY_AFTER_SECONDS = 5;

export class Readers {
  private readonly bounds: ReaderBounds;
  private readonly rare: OnceAMinute;
  /** Bytes that each had taken when the window began; -1: nothing awaited it. */
  private readonly takenBefore = new Map<FastifyReply['raw'], number>();
  private readonly watch: NodeJS.Timeout;

  constructor(bounds: ReaderBounds, rare: OnceAMinute) {
    this.bounds = bounds;
    this.rare = rare;
    this.watch = setInterval(() => this.look(), bounds.windowMs).unref();
  }

  /** Counts a request in until its answer is gone; answers 503 when there are too many. */
  readonly admit = async (_: FastifyRequest, reply: FastifyReply): Promise<void> => {
    const { raw } = reply;
    if (this.takenBefore.size >= this.bounds.requestsInProgressMax) {
      this.rare.warn('rpc_requests_refused', { in_progress: this.takenBefore.size, answered: 503 });
      reply.header('retry-after', RETRY_AFTER_SECONDS).header('connection', 'close');
      await reply.code(503).send({ error: 'too many requests in progress' });
      return;
    }
    this.takenBefore.set(raw, -1);
    raw.once('close', () => this.takenBefore.delete(raw));
  };

  close(): void {
    clearInterval(this.watch);
  }

  private look(): void {
    for (const [raw, before] of this.takenBefore) {
      const { socket } = raw;
      if (socket === null || socket.writableLength === 0) {
        this.takenBefore.set(raw, -1);
        continue;
      }
      const taken = socket.bytesWritten - socket.writableLength;
      this.takenBefore.set(raw, taken);
      if (before < 0 || taken - before >= this.bounds.bytesPerWindowMin) continue;
      const { remoteAddress: address } = socket;
      this.rare.warn('rpc_reader_too_slow', { address, bytes: taken - before, in_ms: this.bounds.windowMs });
      socket.destroy();
    }
  }
}
