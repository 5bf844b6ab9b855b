/**
 * The HTTP door: JSON-RPC at /RPC, and whether the process is well at /healthz, /livez and /readyz.
 *
 * Runs on the main thread, never on a shard's.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import { isIP } from 'node:net';
import { Readable } from 'node:stream';
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import type { Endpoint } from '../config/load.js';
import { isLoopback } from '../config/token.js';
import { bindFailure } from '../errors.js';
import type { OnceAMinute } from '../log.js';
import type { JsonRpc } from './json-rpc.js';
import type { Health } from './ports.js';
import { type ReaderBounds, Readers } from './readers.js';

const REQUEST_BYTES_MAX = 1_048_576;
const CONNECTIONS_MAX = 256;
const REQUEST_MS_MAX = 30_000;
/** Connections that ask for nothing make room for others. */
const HEADERS_MS_MAX = 5_000;
const IDLE_MS_MAX = 5_000;
const CHECK_EVERY_MS = 1_000;
const READER_BOUNDS: ReaderBounds = {
  requestsInProgressMax: 192,
  windowMs: 30_000,
  bytesPerWindowMin: 65_536,
};

/** A door that is open. */
export interface HttpDoor {
  /** Closes it, and every connection through it. */
  close(): Promise<void>;
}

/**
 * Opens the door.
 *
 * @param token what calls must show as bearer token, health need not; null: nothing
 * @throws EngineError when the address cannot be had
 */
export async function openHttp(
  endpoint: Endpoint,
  rpc: JsonRpc,
  health: () => Health,
  rare: OnceAMinute,
  token: string | null,
  bounds: ReaderBounds = READER_BOUNDS,
): Promise<HttpDoor> {
  const server = fastify({
    bodyLimit: REQUEST_BYTES_MAX,
    requestTimeout: REQUEST_MS_MAX,
    keepAliveTimeout: IDLE_MS_MAX,
    http: { headersTimeout: HEADERS_MS_MAX, connectionsCheckingInterval: CHECK_EVERY_MS },
    forceCloseConnections: true,
    logger: false,
  });
  server.server.maxConnections = CONNECTIONS_MAX;
  if (isLoopback(endpoint.address)) server.addHook('onRequest', refuseForeignNames);
  const readers = new Readers(bounds, rare);
  server.addHook('onClose', async () => readers.close());
  addRpc(server, rpc, readers, token);
  addHealth(server, health);
  try {
    await server.listen({ host: endpoint.address, port: endpoint.port });
  } catch (error) {
    await server.close();
    throw bindFailure(`management address ${endpoint.address} port ${endpoint.port}`, error);
  }
  return { close: () => server.close() };
}

function addRpc(server: FastifyInstance, rpc: JsonRpc, readers: Readers, token: string | null): void {
  // No type but JSON, so that a page in a browser cannot call without asking first (CORS).
  server.removeAllContentTypeParsers();
  const asText = { parseAs: 'string' } as const;
  server.addContentTypeParser(/^application\/json(-rpc)?(;|$)/, asText, (_, body, done) => done(null, body));
  // Before the body is read and a place is taken: who has no token makes nothing grow here.
  const onRequest = token === null ? [readers.admit] : [refuseWithout(token), readers.admit];
  server.post('/RPC', { onRequest }, async (request, reply) => {
    const chunks = rpc.answer(typeof request.body === 'string' ? request.body : '');
    const first = await chunks.next();
    if (first.done === true) return reply.code(204).send();
    reply.header('content-type', 'application/json');
    return reply.send(Readable.from(startingWith(first.value, chunks), { highWaterMark: 1 }));
  });
}

/** 200 while all is well, else 503; /livez only says that the main thread answers. */
function addHealth(server: FastifyInstance, health: () => Health): void {
  const isReady = ({ state, workersRunning, workersWanted }: Health): boolean =>
    state === 'ready' && workersRunning === workersWanted;
  const tell = (reply: FastifyReply, good: boolean): FastifyReply => {
    const { state, workersWanted, workersRunning } = health();
    const body = { status: state, workers: workersRunning, workers_wanted: workersWanted };
    return reply.code(good ? 200 : 503).send(body);
  };
  server.get('/livez', (_, reply) => tell(reply, true));
  server.get('/readyz', (_, reply) => tell(reply, isReady(health())));
  server.get('/healthz', (_, reply) => tell(reply, isReady(health())));
}

/** Who listens on loopback is called by address or as localhost; any other name is a page that was rebound. */
async function refuseForeignNames(request: FastifyRequest, reply: FastifyReply): Promise<void> {
  const name = request.hostname.replace(/^\[|\]$/g, '');
  if (name === '' || name === 'localhost' || isIP(name) !== 0) return;
  await reply.code(403).send({ error: `this interface is not called ${name}` });
}

/** Hashes are compared, as long as each other, in the same time wherever they differ.  [RFC 6750 2.1, 3] */
function refuseWithout(token: string) {
  const wanted = sha256(token);
  return async (request: FastifyRequest, reply: FastifyReply): Promise<void> => {
    const shown = /^Bearer +([^ ]+)$/i.exec(request.headers.authorization ?? '')?.[1];
    if (timingSafeEqual(sha256(shown ?? ''), wanted)) return;
    const error = { code: 401, message: 'Unauthorized: the bearer token is missing or wrong' };
    await reply.code(401).header('www-authenticate', 'Bearer').send({ jsonrpc: '2.0', error, id: null });
  };
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

async function* startingWith(first: string, rest: AsyncGenerator<string>): AsyncGenerator<string> {
  yield first;
  yield* rest;
}
