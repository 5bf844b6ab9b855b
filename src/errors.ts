/**
 * What an operator can meet: one class, one table of codes.
 *
 * A peer's mistake is never an exception, only an answer or a counted drop; our own mistake is an assertion.
 */

/** Every failure an operator can meet, by a code that never changes. */
export const ERRORS = {
  ERR_CONFIG: 'wrong configuration',
  ERR_CONFIG_FILE: 'the configuration file cannot be used',
  ERR_CONFIG_FILE_OWNER: 'the configuration file found in this folder is not taken',
  ERR_ROUTES_FILE: 'the routes file cannot be used',
  ERR_ADDON: 'the native part cannot be loaded',
  ERR_SEGMENT_ROOM: 'too little room for the shared segment',
  ERR_SEGMENT_IN_USE: 'the shared segment is in use',
  ERR_SEGMENT: 'the shared segment cannot be used',
  ERR_SEGMENT_NO_CALLS: 'the shared segment holds no calls that could go on',
  ERR_ADDRESS_IN_USE: 'address in use',
  ERR_ADDRESS: 'address not usable',
  ERR_PERMISSION: 'no permission',
  ERR_WORKER: 'a worker could not be kept running',
  ERR_NO_SUCH_DIALOG: 'no such dialog',
  ERR_NO_SUCH_PROFILE: 'no such profile',
  ERR_RPC_OPEN: 'management would be open to everybody',
  ERR_TOKEN_FILE: 'the token file cannot be used',
  ERR_RPC_CALL: 'the management call failed',
  ERR_ENGINE: 'the dialog engine cannot do this now',
} as const;
export type ErrorCode = keyof typeof ERRORS;

/** The one class this product throws.  Match on `code`; `message` is for people. */
export class EngineError extends Error {
  readonly code: ErrorCode;
  /** The thing, its value and the bound, without the words that belong to the code. */
  readonly detail: string;

  constructor(code: ErrorCode, detail: string, options?: ErrorOptions) {
    super(`${ERRORS[code]}: ${detail}`, options);
    this.name = 'EngineError';
    this.code = code;
    this.detail = detail;
  }
}

/** Tells a failure the operator can mend from one that is ours. */
export function isEngineError(error: unknown): error is EngineError {
  return error instanceof EngineError;
}

/** Runs a call of the native part, whose failures carry our codes. */
export function coded<T>(call: () => T): T {
  try {
    return call();
  } catch (error) {
    const code = (error as { code?: unknown }).code;
    if (typeof code !== 'string' || !(code in ERRORS)) throw error;
    throw new EngineError(code as ErrorCode, (error as Error).message, { cause: error });
  }
}

/** What became of an attempt to bind `what`, in our words. */
export function bindFailure(what: string, error: unknown): EngineError {
  const { code, message } = error as NodeJS.ErrnoException;
  const options = { cause: error };
  if (code === 'EADDRINUSE') return new EngineError('ERR_ADDRESS_IN_USE', what, options);
  if (code === 'EACCES' || code === 'EPERM') return new EngineError('ERR_PERMISSION', what, options);
  if (code === 'EADDRNOTAVAIL') {
    return new EngineError('ERR_ADDRESS', `${what}: this machine does not have it`, options);
  }
  return new EngineError('ERR_ADDRESS', `${what}: ${message}`, options);
}
