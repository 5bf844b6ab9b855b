/**
 * The client's side of JSON-RPC over HTTP.
 */

import type { Endpoint } from '../config/load.js';
import { endpointText } from '../config/options.js';
import { EngineError } from '../errors.js';
import type { DialogPage, DialogView } from '../rpc/ports.js';

/** Where calls go, and the token they show; null: none. */
export type Door = { readonly rpc: Endpoint; readonly token: string | null };

const CALL_MS_MAX = 30_000;
/** Dialogs asked for at a time. */
const PAGE_DIALOGS = 500;

/**
 * Calls one command.
 *
 * @throws EngineError ERR_RPC_CALL when nobody answers there, or the answer is a refusal
 */
export async function callRpc(
  { rpc, token }: Door,
  method: string,
  params: readonly unknown[] = [],
): Promise<unknown> {
  const where = `http://${endpointText(rpc)}/RPC`;
  const response = await send(where, JSON.stringify({ jsonrpc: '2.0', method, params, id: 1 }), token);
  const reply = response as { result?: unknown; error?: { code: number; message: string } };
  if (reply.error !== undefined) {
    throw new EngineError('ERR_RPC_CALL', `${method}: ${reply.error.code} ${reply.error.message}`);
  }
  return reply.result;
}

/** Every dialog, page after page: a long list is never held whole. */
export async function* everyDialog(door: Door): AsyncGenerator<DialogView> {
  for (let cursor: number | null = 0; cursor !== null; ) {
    const page = (await callRpc(door, 'dlg.list', [cursor, PAGE_DIALOGS])) as DialogPage;
    yield* page.dialogs;
    cursor = page.next;
  }
}

async function send(where: string, body: string, token: string | null): Promise<unknown> {
  const headers: Record<string, string> = { 'content-type': 'application/json' };
  if (token !== null) headers.authorization = `Bearer ${token}`;
  try {
    const signal = AbortSignal.timeout(CALL_MS_MAX);
    const response = await fetch(where, { method: 'POST', headers, body, signal });
    if (response.ok) return await response.json();
    if (response.status === 401) throw new Error('HTTP 401: it wants its token, --token-file FILE');
    throw new Error(`HTTP ${response.status}`);
  } catch (error) {
    const { cause, message } = error as Error;
    const reason = (cause as { code?: string } | undefined)?.code ?? message;
    throw new EngineError('ERR_RPC_CALL', `${where}: ${reason}`, { cause: error });
  }
}
