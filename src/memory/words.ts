/**
 * Word numbers of the exchange area and constants of the memory map, as C++ exports them.
 *
 * Absolute within X (the exchange words of a shard), so that code reads `X[T_STATE]`.
 */
import { addon } from './addon.js';

const layout = addon.layout();

/** A constant of the layout; a missing one is our own mistake and found when the module loads. */
export function constant(name: string): number {
  const value = layout[name];
  if (value === undefined) throw new Error(`the addon exports no constant ${name}`);
  return value;
}

/** A constant that may be missing. */
export function optionalConstant(name: string): number | undefined {
  return layout[name];
}

const transaction = constant('XTransaction');
/** First register of the transaction in hand, and how many there are. */
export const X_TRANSACTION = transaction;
export const REGISTER_WORDS = constant('RegisterWords');
const head = (name: string): number => transaction + constant(name);

// Head of the transaction in hand (core/transactions.h HeadWord).
export const T_INDEX = head('TIndex');
export const T_GENERATION = head('TGeneration');
export const T_OWNER = head('TOwner');
export const T_BRANCH_COUNT = head('TBranchCount');
export const T_REPLY_BYTES = head('TReplyBytes');
export const T_KIND = head('TKind');
export const T_STATE = head('TState');
export const T_METHOD = head('TMethod');
export const T_FLAGS = head('TFlags');
export const T_CODE = head('TCode');
export const T_FLOW = head('TFlow');
export const T_PORT = head('TPort');
export const T_ADDRESS0 = head('TAddress0');
export const T_DIALOG_INDEX = head('TDialogIndex');
export const T_DIALOG_GENERATION = head('TDialogGeneration');
export const T_DIRECTION = head('TDirection');
export const T_RETRANSMIT_DUE = head('TRetransmitDue');
export const T_RETRANSMIT_INTERVAL = head('TRetransmitInterval');
export const T_END_DUE = head('TEndDue');
export const T_ROUTE_DUE = head('TRouteDue');
export const T_ON_REPLY = head('TOnReply');
export const T_ON_FAILURE = head('TOnFailure');
export const T_ON_BRANCH = head('TOnBranch');
export const T_CSEQ = head('TCSeq');
export const T_LOOP_HASH = head('TLoopHash');
export const T_CREATED = head('TCreated');
/** Max-Forwards that the route asked for, 0: one less than received. */
export const T_MAX_FORWARDS = head('TUser1');
/** The failure route that runs now: until its branches are under way, or it is over. */
export const T_FAILURE_ROUTE = head('TUser2');
/** Tick at which the final answer went upstream. */
export const T_FINISHED = head('TUser0');
/** The same word of a request of our own: what it is for. */
export const T_PURPOSE = head('TUser0');

/** First word of branch 0, and the distance to the next branch. */
export const T_BRANCHES = transaction + constant('HeadWords');
export const BRANCH_WORDS = constant('BranchWords');

// Words of a branch, relative to its first word (core/transactions.h BranchWord).
export const B_REPLY_BYTES = constant('BReplyBytes');
export const B_STATE = constant('BState');
export const B_CODE = constant('BCode');
export const B_FLOW = constant('BFlow');
export const B_PORT = constant('BPort');
export const B_ADDRESS0 = constant('BAddress0');
export const B_RETRANSMIT_DUE = constant('BRetransmitDue');
export const B_RETRANSMIT_INTERVAL = constant('BRetransmitInterval');
export const B_FINAL_DUE = constant('BFinalDue');
export const B_END_DUE = constant('BEndDue');
export const B_FLAGS = constant('BFlags');
export const B_HASH = constant('BHash');
export const B_CSEQ_RECEIVED = constant('BCSeqReceived');
export const B_CSEQ_SENT = constant('BCSeqSent');
export const B_TO_TAG = constant('BToTag');
export const B_USER0 = constant('BUser0');
/** Why the branch is cancelled (proxy/cancel-reason.ts). */
export const B_CANCEL_CAUSE = constant('BUser1');

// The dialog in hand (core/table.h DialogWord).
const dialog = (name: string): number => constant('XDialog') + constant(name);
export const D_INDEX = dialog('DIndex');
export const D_GENERATION = dialog('DGeneration');
export const D_ENTRY = dialog('DEntry');
export const D_ID = dialog('DId');
export const D_COOKIE_ID = dialog('DCookieId');
export const D_STATE = dialog('DState');
export const D_DIRECTION = dialog('DDirection');
export const D_HOLDS = dialog('DHolds');
export const D_FLAGS = dialog('DFlags');
export const D_SCRIPT_FLAGS = dialog('DScriptFlags');
export const D_PROPERTIES = dialog('DProperties');
export const D_LIFETIME = dialog('DLifetime');
export const D_DUE = dialog('DDue');
export const D_INIT_TS = dialog('DInitTs');
export const D_START_TS = dialog('DStartTs');
export const D_END_TS = dialog('DEndTs');
export const D_CALLER_CSEQ = dialog('DCallerCSeq');
export const D_CALLEE_CSEQ = dialog('DCalleeCSeq');
/** Numbers of listen sockets, as in message.flow; 0: not known. */
export const D_CALLER_SOCKET = dialog('DCallerSocket');
export const D_CALLEE_SOCKET = dialog('DCalleeSocket');
export const D_RECORD_ROUTES = dialog('DRecordRoutes');
/** Bits of the sides to which a BYE of ours has no final answer yet: 1 caller, 2 callee. */
export const D_BYE_OWED = dialog('DByeOwed');
/** The INVITE server transaction while unanswered; 0, 0: none. */
export const D_TRANSACTION_INDEX = dialog('DTransactionIndex');
export const D_TRANSACTION_GENERATION = dialog('DTransactionGeneration');
/** Bits MARK_* of dialog/record.ts. */
export const D_MARKS = dialog('DMarks');
export const D_EARLY_LEGS = dialog('DEarlyLegs');
/** Bit 0: downstream CSeq numbers are mapped, bit 1: upstream; 0: all go as they came. */
export const D_STEPS = dialog('DSteps');
/** The deadline before a keep-alive shortened it, 0: none. */
export const D_SAVED_DUE = dialog('DSavedDue');
/** Keep-alives unanswered in a row: by the caller in the low 16 bits, by the callee above. */
export const D_KA_FAILURES = dialog('DKaFailures');
/** CLOCK_BOOTTIME seconds of the next keep-alive, 0: none. */
export const D_KA_DUE = dialog('DKaDue');

/** Head words of the transaction in hand. */
export const HEAD_WORDS = constant('HeadWords');
/** Socket names that a segment can keep. */
export const SOCKETS_MAX = constant('SocketsMax');

/** The tick as of the last receive or tick. */
export const X_TICK = constant('XClock');
export const X_BOOT_SECONDS = X_TICK + 1;
export const X_UNIX_SECONDS = X_TICK + 2;
/** Milliseconds since the shard's queues were last found empty, 0: they are; as of the last receive. */
export const X_BACKLOG_MS = constant('XBacklog');
/** Milliseconds that the last datagram of a batch waited; 0xffffffff: others were lost. */
export const X_WAITED_MS = X_BACKLOG_MS + 1;

// A received datagram: X[X_BATCH + k * BATCH_WORDS + N_*].
export const X_BATCH = constant('XBatch');
export const BATCH_WORDS = constant('BatchWords');
export const N_SLOT = 0;
export const N_MESSAGE = 1;
export const N_LENGTH = 2;
export const N_FLOW = 4;
export const N_PORT = 5;
export const N_ADDRESS0 = 6;

// One outgoing message: flow, port, address[4], tag, count, then (offset, length) pairs.
export const X_SEND = constant('XSend');
export const S_FLOW = X_SEND;
export const S_PORT = X_SEND + 1;
export const S_ADDRESS0 = X_SEND + 2;
export const S_TAG = X_SEND + 6;
export const S_COUNT = X_SEND + 7;
export const S_PIECES = X_SEND + 8;

export const X_ARGS = constant('XArgs');
export const X_LIST = constant('XList');
