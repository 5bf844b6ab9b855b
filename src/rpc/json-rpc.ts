/**
 * JSON-RPC 2.0: one request text in, the reply out in chunks.
 *
 * json-rpc-2.0 keeps the rules of single calls; batches, the order of members and long arrays are ours.
 * Unknown methods and wrong parameters get the codes of JSON-RPC; commands bring their own.  [spec 10.4]
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import {
  createJSONRPCErrorResponse,
  createJSONRPCSuccessResponse,
  JSONRPCErrorCode,
  type JSONRPCResponse,
  JSONRPCServer,
} from 'json-rpc-2.0';
import type { Log } from '../log.js';
import { type Command, type CommandContext, Fault, Pages } from './command.js';

/** More calls than this in one batch are refused. */
const BATCH_CALLS_MAX = 100;

/** The reply to one request text. */
export interface JsonRpc {
  /** Chunks of JSON text; none when the request asked for no answer. */
  answer(request: string): AsyncGenerator<string>;
}

/** A JSON-RPC front of these commands. */
export function jsonRpc(commands: readonly Command[], context: CommandContext, log: Log): JsonRpc {
  const tellThrown = (error: unknown): void =>
    log.error('rpc_command_threw', { error: (error as Error).stack ?? String(error) });
  const server = new JSONRPCServer({ errorListener: (_, error) => tellThrown(error) });
  for (const { name, run } of commands) {
    server.addMethodAdvanced(name, async ({ id, params }) => {
      const outcome = await run(context, params);
      if (id === undefined) return null;
      if (outcome instanceof Fault) return createJSONRPCErrorResponse(id, outcome.code, outcome.message);
      return createJSONRPCSuccessResponse(id, outcome ?? {});
    });
  }
  server.mapErrorToJSONRPCErrorResponse = (id) =>
    createJSONRPCErrorResponse(id, JSONRPCErrorCode.InternalError, 'Internal error');

  async function answerOne(request: unknown): Promise<JSONRPCResponse | null> {
    if (!isCall(request)) {
      return createJSONRPCErrorResponse(idOf(request), JSONRPCErrorCode.InvalidRequest, 'Invalid Request');
    }
    return server.receive(request);
  }

  async function* answer(request: string): AsyncGenerator<string> {
    const parsed = parse(request);
    if (parsed === undefined) {
      yield* written(createJSONRPCErrorResponse(null, JSONRPCErrorCode.ParseError, 'Parse error'));
      return;
    }
    if (!Array.isArray(parsed)) {
      const response = await answerOne(parsed);
      if (response !== null) yield* written(response);
      return;
    }
    if (parsed.length === 0 || parsed.length > BATCH_CALLS_MAX) {
      const why = parsed.length === 0 ? '' : `: more than ${BATCH_CALLS_MAX} calls`;
      const code = JSONRPCErrorCode.InvalidRequest;
      yield* written(createJSONRPCErrorResponse(null, code, `Invalid Request${why}`));
      return;
    }
    let before = '[';
    for (const call of parsed) {
      const response = await answerOne(call);
      if (response === null) continue;
      yield before;
      yield* written(response);
      before = ',';
    }
    if (before === ',') yield ']';
  }

  return {
    async *answer(request) {
      try {
        yield* answer(request);
      } catch (error) {
        // A page that cannot be read: the reply ends in the middle, which no reader takes for a whole one.
        tellThrown(error);
        throw error;
      }
    },
  };
}

/** The value of a JSON text; undefined, which no JSON text gives, when it is not one. */
function parse(request: string): unknown {
  try {
    return JSON.parse(request);
  } catch {
    return undefined;
  }
}

type Call = { readonly jsonrpc: '2.0'; readonly method: string; readonly id?: string | number | null };

function isCall(request: unknown): request is Call {
  if (typeof request !== 'object' || request === null) return false;
  const { jsonrpc, method, id } = request as Record<string, unknown>;
  const goodId = id === undefined || id === null || typeof id === 'string' || typeof id === 'number';
  return jsonrpc === '2.0' && typeof method === 'string' && goodId;
}

function idOf(request: unknown): string | number | null {
  const id = (request as { id?: unknown } | null)?.id;
  return typeof id === 'string' || typeof id === 'number' ? id : null;
}

/** One response; its members stand in the order jsonrpc, result or error, id. */
async function* written(response: JSONRPCResponse): AsyncGenerator<string> {
  const id = JSON.stringify(response.id);
  if (response.error !== undefined) {
    const { code, message } = response.error;
    yield `{"jsonrpc":"2.0","error":${JSON.stringify({ code, message })},"id":${id}}`;
  } else if (response.result instanceof Pages) {
    yield '{"jsonrpc":"2.0","result":[';
    let before = '';
    for await (const page of response.result.pages) {
      if (page.length > 0) yield before + page.map((item) => JSON.stringify(item)).join(',');
      if (page.length > 0) before = ',';
      // Others get their turn between two pages, however many there are.
      await nextTurn();
    }
    yield `],"id":${id}}`;
  } else yield `{"jsonrpc":"2.0","result":${JSON.stringify(response.result)},"id":${id}}`;
}
