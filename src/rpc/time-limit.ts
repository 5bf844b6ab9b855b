/**
 * Work that a caller's text decides the length of, on a thread that others need.
 *
 * V8 stops it wherever it is, in the middle of a regular expression too, and nothing of it runs any more, no `finally`
 * either: what is run here changes nothing but its own.
 */
import { createContext, Script } from 'node:vm';

const box: { step: (() => unknown) | null } = { step: null };
const place = createContext(box);
const script = new Script('step()');

/** What `step` returns; undefined: it was not done after so many milliseconds, and was stopped. */
export function withinMs<T extends object | null>(milliseconds: number, step: () => T): T | undefined {
  box.step = step;
  try {
    return script.runInContext(place, { timeout: milliseconds }) as T;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_SCRIPT_EXECUTION_TIMEOUT') return undefined;
    throw error;
  } finally {
    box.step = null;
  }
}
