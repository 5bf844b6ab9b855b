/**
 * Holdfast's public interface: a proxy to start in your own program, what a route file is made of, and the dialogs alone
 * for programs that have their own SIP stack.
 */
export type { DialogAddress, EarlyLegView } from './dialog/dialog.js';
export type { EndResult } from './dialog/ending.js';
export type { PropertyName } from './dialog/properties.js';
export { type CallEventName, DialogEngine } from './engine/engine.js';
export type { Arrival, SipInput } from './engine/inbox.js';
export type { CallEvent, EngineNews, Step } from './engine/news.js';
export type { EngineOptions } from './engine/options.js';
export type { InviteToEnd, RequestToSend } from './engine/outbox.js';
export type { Beginning } from './engine/passage.js';
export type { Fields, Log } from './log.js';
export type { DialogPage, DialogView, EngineView, LegView, SegmentUsage } from './rpc/ports.js';
export * from './script/public.js';
export { type Proxy, type StartOptions, start } from './server/embed.js';
