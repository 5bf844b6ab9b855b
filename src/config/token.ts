/**
 * The secret that callers of management show: who may use it, and the file it is in.
 */
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { EngineError } from '../errors.js';
import type { Config, Endpoint } from './load.js';
import { endpointText } from './options.js';

const TOKEN_BYTES_MAX = 1_024;
/** The characters of a bearer token, and enough of them that nobody guesses it.  [RFC 6750 2.1] */
const TOKEN = /^[A-Za-z0-9._~+/=-]{16,1024}$/;

/** Whether only this machine reaches it. */
export function isLoopback(address: string): boolean {
  return address.startsWith('127.') || address === '::1';
}

/**
 * The token that management demands; null: none, on loopback only.
 *
 * @throws EngineError ERR_RPC_OPEN when others could call without one, ERR_TOKEN_FILE
 */
export function demandedToken({ rpc, params }: Pick<Config, 'rpc' | 'params'>): string | null {
  const file = params.rpc.token_file;
  if (file !== null) return readToken(file);
  if (isLoopback(rpc.address)) return null;
  throw new EngineError('ERR_RPC_OPEN', remedy(rpc));
}

/**
 * The token in a file, without the blanks around it.
 *
 * @throws EngineError ERR_TOKEN_FILE unless it is a regular file that only its owner reads and that holds a token
 */
export function readToken(path: string): string {
  const token = ownersText(path).trim();
  if (TOKEN.test(token)) return token;
  const allowed = `16 to ${TOKEN_BYTES_MAX} characters of A-Z a-z 0-9 . _ ~ + / = -`;
  throw new EngineError(
    'ERR_TOKEN_FILE',
    `${path}: allowed are ${allowed}, such as openssl rand -hex 32 prints`,
  );
}

function ownersText(path: string): string {
  let file = -1;
  try {
    // A pipe that nobody writes to must not hold up the start.
    file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const stat = fstatSync(file);
    if (!stat.isFile()) throw new EngineError('ERR_TOKEN_FILE', `${path} is not a regular file`);
    if ((stat.mode & 0o066) !== 0) {
      throw new EngineError('ERR_TOKEN_FILE', `${path} is open to its group or to others; chmod 600 ${path}`);
    }
    // A line end may follow the longest token.
    const bytes = Buffer.alloc(TOKEN_BYTES_MAX + 3);
    return bytes.toString('latin1', 0, readSync(file, bytes));
  } catch (error) {
    if (error instanceof EngineError) throw error;
    throw new EngineError('ERR_TOKEN_FILE', (error as Error).message, { cause: error });
  } finally {
    if (file !== -1) closeSync(file);
  }
}

function remedy(rpc: Endpoint): string {
  return (
    `${endpointText(rpc)} is not loopback; name a file with a secret, --set rpc:token_file=/PATH, ` +
    'or keep --rpc on 127.0.0.1'
  );
}
