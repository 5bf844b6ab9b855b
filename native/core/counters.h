// core/counters.h - statistics: one block of cache lines per thread, summed on reading.
//
// One row here names a counter for everyone: native code counts by CounterNumber, TypeScript by the same name
// through layout(), operators by its text.  Only its own thread writes a block, so counting is a load and a
// store.
#pragma once
#include <cstdint>
#include <string_view>

#include "layout.h"

namespace holdfast {

// clang-format off
/// X(constant, name, reset allowed [spec 10.1])
#define HOLDFAST_COUNTERS(X) \
  X(ActiveDialogs,        "dialog:active_dialogs",        false) /* states 3 and 4; kept by the table */ \
  X(EarlyDialogs,         "dialog:early_dialogs",         false) /* state 2; kept by the table */ \
  X(ProcessedDialogs,     "dialog:processed_dialogs",     true)  \
  X(ExpiredDialogs,       "dialog:expired_dialogs",       true)  \
  X(FailedDialogs,        "dialog:failed_dialogs",        true)  \
  X(MatchedByCookie,      "dialog:matched_by_cookie",     true)  \
  X(MatchedByTags,        "dialog:matched_by_tags",       true)  \
  X(Unmatched,            "dialog:unmatched",             true)  \
  X(BadCookie,            "dialog:bad_cookie",            true)  \
  X(Spirals,              "dialog:spirals",               true)  \
  X(StrayEvents,          "dialog:stray_events",          true)  \
  X(DialogNoMemory,       "dialog:no_memory",             true)  \
  X(ProfileLimits,        "dialog:profile_limits",        true)  \
  X(RefusedFromTag,       "dialog:refused_from_tag",      true)  /* INVITEs that make no dialog, by reason */ \
  X(RefusedContact,       "dialog:refused_contact",       true)  \
  X(RefusedRouteSet,      "dialog:refused_route_set",     true)  \
  X(RefusedText,          "dialog:refused_text",          true)  \
  X(RefusedCallId,        "dialog:refused_call_id",       true)  \
  X(RefusedMerged,        "dialog:refused_merged",        true)  \
  X(RefusedValue,         "dialog:refused_value",         true)  /* profile values and variables not kept: too long, or no room */ \
  X(RefusedVariable,      "dialog:refused_variable",      true)  \
  X(ForksRefused,         "dialog:forks_refused",         true)  /* 2xx beyond the ForksMax of one INVITE */ \
  X(EventRoutes,          "dialog:event_routes",          true)  \
  X(ByesSent,             "dialog:byes_sent",             true)  \
  X(ProbesSent,           "dialog:probes_sent",           true)  \
  X(RcvRequests,          "core:rcv_requests",            true)  \
  X(RcvReplies,           "core:rcv_replies",             true)  \
  X(FwdRequests,          "core:fwd_requests",            true)  \
  X(FwdReplies,           "core:fwd_replies",             true)  \
  X(DropRequests,         "core:drop_requests",           true)  \
  X(DropReplies,          "core:drop_replies",            true)  \
  X(ErrRequests,          "core:err_requests",            true)  \
  X(ErrReplies,           "core:err_replies",             true)  \
  X(BadMsg,               "core:bad_msg",                 true)  \
  X(BadUriRcvd,           "core:bad_uri_rcvd",            true)  \
  X(UnsupportedMethods,   "core:unsupported_methods",     true)  \
  X(RcvRequestsInvite,    "core:rcv_requests_invite",     true)  \
  X(RcvRequestsCancel,    "core:rcv_requests_cancel",     true)  \
  X(RcvRequestsAck,       "core:rcv_requests_ack",        true)  \
  X(RcvRequestsBye,       "core:rcv_requests_bye",        true)  \
  X(RcvRequestsInfo,      "core:rcv_requests_info",       true)  \
  X(RcvRequestsRegister,  "core:rcv_requests_register",   true)  \
  X(RcvRequestsSubscribe, "core:rcv_requests_subscribe",  true)  \
  X(RcvRequestsNotify,    "core:rcv_requests_notify",     true)  \
  X(RcvRequestsMessage,   "core:rcv_requests_message",    true)  \
  X(RcvRequestsOptions,   "core:rcv_requests_options",    true)  \
  X(RcvRequestsPrack,     "core:rcv_requests_prack",      true)  \
  X(RcvRequestsUpdate,    "core:rcv_requests_update",     true)  \
  X(RcvRequestsRefer,     "core:rcv_requests_refer",      true)  \
  X(RcvRequestsPublish,   "core:rcv_requests_publish",    true)  \
  X(RcvReplies1xx,        "core:rcv_replies_1xx",         true)  \
  X(RcvReplies2xx,        "core:rcv_replies_2xx",         true)  \
  X(RcvReplies3xx,        "core:rcv_replies_3xx",         true)  \
  X(RcvReplies4xx,        "core:rcv_replies_4xx",         true)  \
  X(RcvReplies5xx,        "core:rcv_replies_5xx",         true)  \
  X(RcvReplies6xx,        "core:rcv_replies_6xx",         true)  \
  X(Steered,              "core:steered",                 true)  /* datagrams handed to another shard */ \
  X(SteeredTwice,         "core:steered_twice",           true)  /* would have to move on a second time: dropped */ \
  X(MailboxDrops,         "core:mailbox_drops",           true)  \
  X(SendErrors,           "core:send_errors",             true)  \
  X(SentDatagrams,        "core:sent_datagrams",          true)  \
  X(SentBytes,            "core:sent_bytes",              true)  \
  X(RcvDatagrams,         "core:rcv_datagrams",           true)  \
  X(RcvBytes,             "core:rcv_bytes",               true)  \
  X(RcvBatches,           "core:rcv_batches",             true)  \
  X(Keepalives,           "core:keepalives",              true)  /* CRLF and empty datagrams */ \
  X(NoMemory,             "core:no_memory",               true)  \
  X(RouteErrors,          "core:route_errors",            true)  /* a route threw */ \
  X(RouteTimeouts,        "core:route_timeouts",          true)  \
  X(Suspended,            "core:suspended_routes",        true)  \
  X(DnsQueries,           "core:dns_queries",             true)  \
  X(DnsFailures,          "core:dns_failures",            true)  \
  X(Loops,                "core:loops",                   true)  \
  X(TooManyHops,          "core:too_many_hops",           true)  \
  X(OverloadRefused,      "core:overload_refused",        true)  /* new INVITEs answered 503 by a shard that is behind */ \
  X(WorkersReplaced,      "core:workers_replaced",        true)  \
  X(UasTransactions,      "tm:UAS_transactions",          true)  \
  X(UacTransactions,      "tm:UAC_transactions",          true)  \
  X(Tm2xx,                "tm:2xx_transactions",          true)  \
  X(Tm3xx,                "tm:3xx_transactions",          true)  \
  X(Tm4xx,                "tm:4xx_transactions",          true)  \
  X(Tm5xx,                "tm:5xx_transactions",          true)  \
  X(Tm6xx,                "tm:6xx_transactions",          true)  \
  X(RplReceived,          "tm:rpl_received",              true)  \
  X(RplSent,              "tm:rpl_sent",                  true)  \
  X(RplAbsorbed,          "tm:rpl_absorbed",              true)  \
  X(RplGenerated,         "tm:rpl_generated",             true)  \
  X(RplRelayed,           "tm:rpl_relayed",               true)  \
  X(RplStray,             "tm:rpl_stray",                 true)  /* matches no transaction: dropped [RFC 6026 7.3] */ \
  X(ReqRetransmissions,   "tm:req_retransmissions",       true)  \
  X(RplRetransmissions,   "tm:rpl_retransmissions",       true)  \
  X(AckAbsorbed,          "tm:ack_absorbed",              true)  \
  X(TmTimeouts,           "tm:timeouts",                  true)  \
  X(TmNoMemory,           "tm:no_memory",                 true)  \
  X(TransportErrors,      "tm:transport_errors",          true)  \
  X(SourceLimited,        "tm:source_limited",            true)  /* answered 503: tm:max_per_source */ \
  X(SlSentReplies,        "sl:sent_replies",              true)  \
  X(SlSentErrReplies,     "sl:sent_err_replies",          true)  \
  X(SlReceivedAcks,       "sl:received_ACKs",             true)  \
  X(InternalErrors,       "core:internal_errors",         true)  /* faults of ours: the request got 500 */ \
  X(SuspendedRefused,     "core:suspended_routes_refused", true) /* 503: too many routes wait */ \
  X(NameWaits,            "core:name_waits",              true)  /* requests that waited for a host name */ \
  X(NameWaitsRefused,     "core:name_waits_refused",      true)  /* 503: too many wait for names */
// clang-format on

enum CounterNumber : std::uint32_t {
#define HOLDFAST_COUNTER(constant, name, reset) kCounter##constant,
  HOLDFAST_COUNTERS(HOLDFAST_COUNTER)
#undef HOLDFAST_COUNTER
      kCounterEnd
};
static_assert(kCounterEnd <= kCountersMax);

struct CounterRow {
  std::string_view constant, name;  // "ActiveDialogs", "dialog:active_dialogs"
  bool reset_allowed;
};
/// The row of a counter.
[[nodiscard]] const CounterRow& counter_row(std::uint32_t counter) noexcept;

class Segment;

class Counters {
 public:
  /// `thread` is the caller's own number (layout.h).
  Counters(Segment& segment, std::uint32_t thread) noexcept;

  /// Adds to this thread's block.
  void add(std::uint32_t counter, std::uint64_t amount = 1) noexcept {
    if (counter >= kCounterEnd) return;
    auto& value = block_->values[counter];
    value.store(value.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
  }
  void subtract(std::uint32_t counter) noexcept { add(counter, ~std::uint64_t{0}); }

  /// The sum over all threads since the last reset.
  [[nodiscard]] std::uint64_t value(std::uint32_t counter) const noexcept;
  /// Counts from 0 again; false where spec 10.1 does not allow it.
  bool reset(std::uint32_t counter) noexcept;
  /// The counter of that name, kCounterEnd if there is none.
  [[nodiscard]] static std::uint32_t find(std::string_view name) noexcept;

 private:
  [[nodiscard]] std::uint64_t sum(std::uint32_t counter) const noexcept;

  CounterBlock* blocks_;
  CounterBlock* block_;
  std::atomic<std::uint64_t>* base_;
};

}  // namespace holdfast
