/**
 * Holdfast's public interface: a proxy to start in your own program, and what a route file is made of.
 */
export { EngineError, type ErrorCode } from './errors.js';
export type { Fields, Log } from './log.js';
export type { DialogPage, DialogView, EngineView, LegView, SegmentUsage } from './rpc/ports.js';
export type {
  BranchContext,
  EventContext,
  FailureContext,
  MessageContext,
  ReplyContext,
  RequestContext,
} from './script/context.js';
export { defaultRoutes } from './script/default-routes.js';
export { type DialogEventName, type Routes, routes } from './script/routes.js';
export { type Proxy, type StartOptions, start } from './server/embed.js';
