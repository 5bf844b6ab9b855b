/**
 * What `import { ... } from 'holdfast'` gives in a route file: the routes' half of the public interface, without the server that a
 * worker has no use for.  load.ts points the name here.
 */
export { DLGCB } from '../dialog/callbacks.js';
export { EngineError, type ErrorCode } from '../errors.js';
export type {
  BranchContext,
  EventContext,
  FailureContext,
  LocalRequestContext,
  MessageContext,
  ReplyContext,
  RequestContext,
} from './context.js';
export { defaultRoutes } from './default-routes.js';
export { type CallbackName, type CallbackNews, type DialogEventName, type Routes, routes } from './routes.js';
