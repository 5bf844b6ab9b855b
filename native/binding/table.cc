// Dialogs of a shard: words in X, texts in M; and the same table read by management.
#include "../core/table.h"

#include <algorithm>
#include <array>
#include <string>

#include "../core/audit.h"
#include "../core/profiles.h"
#include "../sip-parser/sip_parser.h"
#include "shard.h"

namespace holdfast::binding {

namespace {

using Words = Table::Words;

/// A view costs a few additions: nothing is kept for it.
Table table_of(ShardState& shard) noexcept { return Table(*shard.segment, shard.owner); }
Words dialog_words(ShardState& shard) noexcept { return Words(shard.x(kXDialog), kDialogWords); }

/// Reads XArgs one after the other; a text that does not lie in M spoils all.
class Arguments {
 public:
  explicit Arguments(const ShardState& shard) noexcept : shard_(shard), at_(shard.x(kXArgs)) {}
  std::uint32_t number() noexcept { return *at_++; }
  Text text() noexcept {
    const std::uint32_t offset = number(), length = number();
    if (length == 0) return {};
    if (shard_.in_memory(offset, length)) return {shard_.memory + offset, length};
    good_ = false;
    return {};
  }
  [[nodiscard]] bool good() const noexcept { return good_; }

 private:
  const ShardState& shard_;
  const std::uint32_t* at_;
  bool good_ = true;
};

std::uint32_t entry_of(ShardState& shard, std::uint32_t offset, std::uint32_t length) noexcept {
  return shard.segment->entry_of(shard.text(offset, length));
}

std::uint32_t owner_of(ShardState& shard, std::uint32_t entry) noexcept {
  return shard.segment->owner_of(entry & (shard.segment->header().hash_size - 1));
}

Status dialog_create(ShardState& shard) noexcept {
  Arguments args(shard);
  NewDialog d;
  for (Text* text : {&d.call_id, &d.caller_tag, &d.from_uri, &d.to_uri, &d.request_uri, &d.caller_contact,
                     &d.caller_route_set, &d.timeout_route})
    *text = args.text();
  for (std::uint32_t* number : {&d.caller_cseq, &d.lifetime, &d.script_flags, &d.properties, &d.init_ts,
                                &d.caller_socket, &d.record_routes})
    *number = args.number();
  d.caller_source = args.text();
  if (!args.good()) return Status::kBadMessage;
  return table_of(shard).create(d, dialog_words(shard));
}

Status dialog_find_by_id(ShardState& shard, std::uint32_t entry, std::uint32_t id) noexcept {
  return table_of(shard).find_by_id(entry, id, dialog_words(shard));
}

Status dialog_load(ShardState& shard, std::uint32_t index, std::uint32_t generation) noexcept {
  return table_of(shard).load({index, generation}, dialog_words(shard));
}

/// The next of this shard's dialogs that is not answered.
Status dialog_next_unanswered(ShardState& shard, std::uint32_t cursor) noexcept {
  return table_of(shard).next_unanswered(shard.owner, cursor, dialog_words(shard)) ? Status::kOk
                                                                                   : Status::kNotFound;
}

/// The arguments of a match: Call-ID, From tag, To tag, the wanted direction.
struct MatchArguments {
  explicit MatchArguments(const ShardState& shard) noexcept {
    Arguments args(shard);
    call_id = args.text(), from_tag = args.text(), to_tag = args.text();
    const std::uint32_t direction = args.number();
    wanted = direction <= kUpstream ? static_cast<Direction>(direction) : kNone;
    good = args.good();
  }
  Text call_id, from_tag, to_tag;
  Direction wanted;
  bool good;
};

Status dialog_match(ShardState& shard, std::uint32_t index, std::uint32_t generation) noexcept {
  const MatchArguments args(shard);
  if (!args.good) return Status::kBadMessage;
  return table_of(shard).match({index, generation}, args.call_id, args.from_tag, args.to_tag, args.wanted,
                               dialog_words(shard));
}

Status dialog_find_by_call_id(ShardState& shard) noexcept {
  const MatchArguments args(shard);
  if (!args.good) return Status::kBadMessage;
  return table_of(shard).find_by_call_id(args.call_id, args.from_tag, args.to_tag, args.wanted,
                                         dialog_words(shard));
}

Status dialog_find_call(ShardState& shard, std::uint32_t nth) noexcept {
  const MatchArguments args(shard);
  if (!args.good) return Status::kBadMessage;
  return table_of(shard).find_call(args.call_id, args.from_tag, nth, dialog_words(shard));
}

/// The arguments of a change; false: a text does not lie in M.
bool read_change(const ShardState& shard, Change& c) noexcept {
  Arguments args(shard);
  for (std::uint32_t* number : {&c.fields,
                                &c.expected_state,
                                &c.state,
                                &c.due,
                                &c.lifetime,
                                &c.start_ts,
                                &c.end_ts,
                                &c.flags_set,
                                &c.flags_clear,
                                &c.script_flags_set,
                                &c.script_flags_clear,
                                &c.properties_set,
                                &c.properties_clear,
                                &c.caller_cseq,
                                &c.callee_cseq,
                                &c.caller_socket,
                                &c.callee_socket,
                                &c.transaction_index,
                                &c.transaction_generation,
                                &c.marks_set,
                                &c.marks_clear,
                                &c.saved_due,
                                &c.ka_due})
    *number = args.number();
  for (Text* text : {&c.callee_tag, &c.callee_contact, &c.callee_route_set, &c.caller_contact,
                     &c.timeout_route, &c.caller_source, &c.callee_source, &c.caller_route_set})
    *text = args.text();
  return args.good();
}

Status dialog_change(ShardState& shard, std::uint32_t index, std::uint32_t generation) noexcept {
  Change c;
  const bool good = read_change(shard, c);
  // Texts of fields that are not named may be anything.
  constexpr std::uint32_t kTextFields = kChangeCalleeLeg | kChangeCalleeContact | kChangeCallerContact |
                                        kChangeTimeoutRoute | kChangeCallerRouteSet;
  if ((c.fields & kTextFields) == 0)
    c.callee_tag = c.callee_contact = c.callee_route_set = c.caller_contact = c.timeout_route =
        c.caller_source = c.callee_source = c.caller_route_set = {};
  else if (!good)
    return Status::kBadMessage;
  return table_of(shard).change({index, generation}, c, dialog_words(shard));
}

Status dialog_fork(ShardState& shard, std::uint32_t index, std::uint32_t generation, std::uint32_t from,
                   std::uint32_t by) noexcept {
  Change c;
  if (!read_change(shard, c)) return Status::kBadMessage;
  return table_of(shard).fork({index, generation}, c, dialog_words(shard), from, by);
}

Status dialog_early_leg(ShardState& shard, std::uint32_t index, std::uint32_t generation) noexcept {
  Arguments args(shard);
  NewEarlyLeg leg;
  leg.tag = args.text(), leg.contact = args.text(), leg.route_set = args.text();
  if (!args.good()) return Status::kBadMessage;
  return table_of(shard).early_leg({index, generation}, leg, dialog_words(shard));
}

Status dialog_end_early_leg(ShardState& shard, std::uint32_t index, std::uint32_t generation) noexcept {
  Arguments args(shard);
  const Text tag = args.text();
  if (!args.good()) return Status::kBadMessage;
  return table_of(shard).end_early_leg({index, generation}, tag, dialog_words(shard));
}

Status dialog_claim_end(ShardState& shard, std::uint32_t index, std::uint32_t generation,
                        std::uint32_t reason, std::uint32_t bye_sides, std::uint32_t end_ts) noexcept {
  if (reason > static_cast<std::uint32_t>(EndReason::kCommand)) return Status::kOutOfRange;
  return table_of(shard).claim_end({index, generation}, static_cast<EndReason>(reason), bye_sides,
                                   shard.clock.boot_seconds(), end_ts, dialog_words(shard));
}

/// The number is left in XArgs[0].
Status dialog_take_cseq(ShardState& shard, std::uint32_t index, std::uint32_t generation,
                        std::uint32_t direction, std::uint32_t again) noexcept {
  return table_of(shard).take_cseq({index, generation}, static_cast<Direction>(direction), again,
                                   shard.x(kXArgs));
}

Status dialog_shift_cseq(ShardState& shard, std::uint32_t index, std::uint32_t generation,
                         std::uint32_t direction, std::uint32_t from, std::uint32_t by) noexcept {
  return table_of(shard).shift_cseq({index, generation}, static_cast<Direction>(direction), from, by);
}

Status dialog_map_cseq(ShardState& shard, std::uint32_t index, std::uint32_t generation,
                       std::uint32_t direction, std::uint32_t received) noexcept {
  return table_of(shard).map_cseq({index, generation}, static_cast<Direction>(direction), received,
                                  shard.x(kXArgs));
}

Status dialog_sent_cseq(ShardState& shard, std::uint32_t index, std::uint32_t generation,
                        std::uint32_t direction) noexcept {
  return table_of(shard).sent_cseq({index, generation}, static_cast<Direction>(direction), shard.x(kXArgs));
}

Status dialog_bye_answered(ShardState& shard, std::uint32_t index, std::uint32_t generation,
                           std::uint32_t sides) noexcept {
  return table_of(shard).bye_answered({index, generation}, sides);
}

Status dialog_hold(ShardState& shard, std::uint32_t index, std::uint32_t generation) noexcept {
  return table_of(shard).hold({index, generation});
}

Status dialog_link(ShardState& shard, std::uint32_t index, std::uint32_t generation,
                   std::uint32_t has_hold) noexcept {
  const auto registers = shard.registers();
  return table_of(shard).link({index, generation}, has_hold != 0, registers[kTIndex],
                              registers[kTGeneration]);
}

void dialog_drop(ShardState& shard, std::uint32_t index, std::uint32_t generation) noexcept {
  table_of(shard).drop({index, generation});
}

Status dialog_set_variable(ShardState& shard, std::uint32_t index, std::uint32_t generation) noexcept {
  Arguments args(shard);
  const Text key = args.text(), value = args.text();
  if (!args.good()) return Status::kBadMessage;
  return table_of(shard).set_variable({index, generation}, key, value);
}

Status dialog_remove_variable(ShardState& shard, std::uint32_t index, std::uint32_t generation) noexcept {
  Arguments args(shard);
  const Text key = args.text();
  if (!args.good()) return Status::kBadMessage;
  return table_of(shard).remove_variable({index, generation}, key);
}

Status dialog_get_variable(ShardState& shard, std::uint32_t index, std::uint32_t generation,
                           std::uint32_t offset, std::uint32_t room) noexcept {
  Arguments args(shard);
  const Text key = args.text();
  if (!args.good() || !shard.in_memory(offset, room)) return Status::kBadMessage;
  std::size_t length = 0;
  const Status status =
      table_of(shard).get_variable({index, generation}, key, {shard.memory + offset, room}, &length);
  *shard.x(kXArgs) = static_cast<std::uint32_t>(length);
  return status;
}

std::uint32_t dialog_snapshot(ShardState& shard, std::uint32_t index, std::uint32_t offset,
                              std::uint32_t room) noexcept {
  if (!shard.in_memory(offset, room)) return 0;
  std::size_t length = 0;
  (void)table_of(shard).snapshot(index, {shard.memory + offset, room}, &length);
  return static_cast<std::uint32_t>(length);
}

/// Due dialogs into XList: a shard's own, or those of all shards for the timer worker.
template <auto advance>
std::uint32_t advance_into_list(ShardState& shard) noexcept {
  std::array<DialogHandle, kAdvanceNodesMax> due;
  static_assert(2 * kAdvanceNodesMax <= kXListWords);
  Table table = table_of(shard);
  const std::uint32_t now = shard.clock.boot_seconds(), workers = shard.segment->workers();
  std::uint32_t count = 0;
  if (shard.owner < workers) {
    count = (table.*advance)(shard.owner, now, due);
  } else {
    for (std::uint32_t owner = 0; owner < workers && count < due.size(); ++owner)
      count += (table.*advance)(owner, now, std::span(due).subspan(count));
  }
  std::uint32_t* out = shard.x(kXList);
  for (std::uint32_t n = 0; n < count; ++n) {
    *out++ = due[n].index;
    *out++ = due[n].generation;
  }
  return count;
}

std::uint32_t dialog_advance(ShardState& shard) noexcept { return advance_into_list<&Table::advance>(shard); }

std::uint32_t dialog_keep_alive_advance(ShardState& shard) noexcept {
  return advance_into_list<&Table::advance_keep_alive>(shard);
}

/// The failures of the side in a row are left in XArgs[0].
Status dialog_probe_answered(ShardState& shard, std::uint32_t index, std::uint32_t generation,
                             std::uint32_t side, std::uint32_t failed) noexcept {
  return table_of(shard).probe_answered({index, generation}, side, failed != 0, shard.x(kXArgs));
}

// ---- management: any thread, by the segment's number ----

std::shared_ptr<OpenSegment> segment_of(const Napi::CallbackInfo& info) {
  return find_segment(info[0].IsNumber() ? info[0].As<Napi::Number>().Uint32Value() : 0);
}

std::uint32_t number_at(const Napi::CallbackInfo& info, std::size_t n) {
  return info[n].IsNumber() ? info[n].As<Napi::Number>().Uint32Value() : 0;
}

Napi::Value snapshot(const Napi::CallbackInfo& info) {
  const auto open = segment_of(info);
  if (!open || !info[2].IsTypedArray() || info[2].As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array)
    return Napi::Number::New(info.Env(), 0);
  void* data = nullptr;
  std::size_t bytes = 0, length = 0;
  if (napi_get_typedarray_info(info.Env(), info[2], nullptr, &bytes, &data, nullptr, nullptr) == napi_ok)
    (void)Table(*open->segment, kMainThread)
        .snapshot(number_at(info, 1), {static_cast<std::uint8_t*>(data), bytes}, &length);
  return Napi::Number::New(info.Env(), static_cast<double>(length));
}

Napi::Value next_dialog(const Napi::CallbackInfo& info) {
  const auto open = segment_of(info);
  return Napi::Number::New(info.Env(),
                           open ? Table(*open->segment, kMainThread).next(number_at(info, 1)) : 0);
}

Napi::Value next_ended_dialog(const Napi::CallbackInfo& info) {
  const auto open = segment_of(info);
  return Napi::Number::New(info.Env(),
                           open ? Table(*open->segment, kMainThread).next_ended(number_at(info, 1)) : 0);
}

Napi::Value find_call(const Napi::CallbackInfo& info) {
  const auto open = segment_of(info);
  const std::string call_id = info[1].ToString().Utf8Value(), tag = info[2].ToString().Utf8Value();
  const auto text = [](const std::string& s) {
    return Text(reinterpret_cast<const std::uint8_t*>(s.data()), s.size());
  };
  std::array<std::uint32_t, kDialogWords> words{};
  if (open)
    (void)Table(*open->segment, kMainThread).find_call(text(call_id), text(tag), number_at(info, 3), words);
  return Napi::Number::New(info.Env(), words[kDIndex]);
}

Napi::Value audit(const Napi::CallbackInfo& info) {
  const auto open = segment_of(info);
  const std::uint64_t wrong = open ? Table(*open->segment, kMainThread).audit() : 0;
  return Napi::Number::New(info.Env(), static_cast<double>(wrong));
}

/// The differences that the next slice finds; `cursor` says where it begins and is moved on.
Napi::Value audit_slice(const Napi::CallbackInfo& info) {
  const auto open = segment_of(info);
  std::uint64_t wrong = 0;
  void* data = nullptr;
  std::size_t words = 0;
  if (open && info[1].IsTypedArray() &&
      info[1].As<Napi::TypedArray>().TypedArrayType() == napi_uint32_array &&
      napi_get_typedarray_info(info.Env(), info[1], nullptr, &words, &data, nullptr, nullptr) == napi_ok &&
      words > 0)
    wrong = holdfast::audit_slice(*open->segment, static_cast<std::uint32_t*>(data));
  return Napi::Number::New(info.Env(), static_cast<double>(wrong));
}

}  // namespace

void register_table(ShardBuilder& builder) {
  builder.method<&entry_of>("entryOf");
  builder.method<&owner_of>("ownerOf");
  builder.method<&dialog_create>("dialogCreate");
  builder.method<&dialog_find_by_id>("dialogFindById");
  builder.method<&dialog_load>("dialogLoad");
  builder.method<&dialog_next_unanswered>("dialogNextUnanswered");
  builder.method<&dialog_match>("dialogMatch");
  builder.method<&dialog_find_by_call_id>("dialogFindByCallId");
  builder.method<&dialog_find_call>("dialogFindCall");
  builder.method<&dialog_change>("dialogChange");
  builder.method<&dialog_claim_end>("dialogClaimEnd");
  builder.method<&dialog_fork>("dialogFork");
  builder.method<&dialog_early_leg>("dialogEarlyLeg");
  builder.method<&dialog_end_early_leg>("dialogEndEarlyLeg");
  builder.method<&dialog_take_cseq>("dialogTakeCSeq");
  builder.method<&dialog_shift_cseq>("dialogShiftCSeq");
  builder.method<&dialog_map_cseq>("dialogMapCSeq");
  builder.method<&dialog_sent_cseq>("dialogSentCSeq");
  builder.method<&dialog_bye_answered>("dialogByeAnswered");
  builder.method<&dialog_hold>("dialogHold");
  builder.method<&dialog_link>("dialogLink");
  builder.method<&dialog_drop>("dialogDrop");
  builder.method<&dialog_set_variable>("dialogSetVariable");
  builder.method<&dialog_remove_variable>("dialogRemoveVariable");
  builder.method<&dialog_get_variable>("dialogGetVariable");
  builder.method<&dialog_snapshot>("dialogSnapshot");
  builder.method<&dialog_advance>("dialogAdvance");
  builder.method<&dialog_keep_alive_advance>("dialogKeepAliveAdvance");
  builder.method<&dialog_probe_answered>("dialogProbeAnswered");
}

void export_table(Napi::Env env, Napi::Object exports) {
  exports.Set("snapshot", Napi::Function::New(env, snapshot, "snapshot"));
  exports.Set("nextDialog", Napi::Function::New(env, next_dialog, "nextDialog"));
  exports.Set("nextEndedDialog", Napi::Function::New(env, next_ended_dialog, "nextEndedDialog"));
  exports.Set("findCall", Napi::Function::New(env, find_call, "findCall"));
  exports.Set("audit", Napi::Function::New(env, audit, "audit"));
  exports.Set("auditSlice", Napi::Function::New(env, audit_slice, "auditSlice"));
}

}  // namespace holdfast::binding
