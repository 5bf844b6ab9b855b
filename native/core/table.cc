#include "table.h"

#include <algorithm>
#include <cstring>
#include <initializer_list>

#include "dialog_blocks.h"
#include "family.h"
#include "kill_point.h"
#include "locked.h"
#include "profiles.h"
#include "rebuild.h"
#include "segment.h"

namespace holdfast {

namespace {

// ---- variables: {key bytes, value bytes} as u16 each, the key, the value; newest first ----

struct Variable {
  Text key, value;
  [[nodiscard]] std::size_t bytes() const noexcept { return 4 + key.size() + value.size(); }
};

/// Walks the variables of a block.
class Variables {
 public:
  explicit Variables(const VariableBlock* block) noexcept
      : at_(reinterpret_cast<const std::uint8_t*>(block + 1)), left_(block == nullptr ? 0 : block->count) {}
  bool next(Variable& out) noexcept {
    if (left_ == 0) return false;
    --left_;
    std::uint16_t lengths[2];
    std::memcpy(lengths, at_, sizeof lengths);
    out.key = {at_ + 4, lengths[0]};
    out.value = {at_ + 4 + lengths[0], lengths[1]};
    at_ += out.bytes();
    return true;
  }

 private:
  const std::uint8_t* at_;
  std::uint32_t left_;
};

using holdfast::put;
std::uint8_t* put(std::uint8_t* at, const Variable& variable) noexcept {
  const std::uint16_t lengths[2] = {static_cast<std::uint16_t>(variable.key.size()),
                                    static_cast<std::uint16_t>(variable.value.size())};
  std::memcpy(at, lengths, sizeof lengths);
  return put(put(at + 4, variable.key), variable.value);
}

// ---- index chains ----

std::uint32_t id_bucket(const Segment& segment, std::uint32_t entry, std::uint32_t id) noexcept {
  return bucket_of(segment.keyed_hash()(entry, id), segment.header().dialog_buckets);
}

void unlink(Segment& segment, Bucket& bucket, std::uint32_t index,
            std::uint32_t DialogRecord::* next) noexcept {
  LockGuard guard(bucket.lock);
  const std::uint32_t after = segment.dialog(index).*next;
  if (bucket.head == index) return poke(bucket.head, after);
  for (std::uint32_t at = bucket.head; at != 0; at = segment.dialog(at).*next) {
    if (segment.dialog(at).*next == index) {
      segment.dialog(at).*next = after;
      return;
    }
  }
}

}  // namespace

std::uint32_t tag_hash(const Segment& segment, Text tag) noexcept {
  if (tag.empty()) return 0;
  const auto hash = static_cast<std::uint32_t>(segment.keyed_hash()(tag));
  return hash != 0 ? hash : 1;
}

Table::Table(Segment& segment, std::uint32_t thread) noexcept
    : segment_(&segment), undo_(segment.undo(thread)), counters_(segment, thread) {}

/// Brings in what a match reads, all lines at once instead of one after the other.
void Table::prefetch_texts(const DialogRecord& record) const noexcept {
  const std::uint8_t* texts = segment_->arena().bytes(peek(record.cold));
  for (std::size_t line = 0; line < 3; ++line) __builtin_prefetch(texts + line * kCacheLineBytes);
  if (const Block callee = peek(record.callee); callee != 0)
    __builtin_prefetch(segment_->arena().bytes(callee));
}

DialogCold& Table::cold(const DialogRecord& record) const noexcept {
  return *reinterpret_cast<DialogCold*>(segment_->arena().bytes(record.cold));
}

std::uint32_t Table::entry_of(Text call_id) const noexcept { return segment_->entry_of(call_id); }

void Table::fill(std::uint32_t index, Direction direction, Words out) const noexcept {
  const DialogRecord& record = segment_->dialog(index);
  const DialogCold& numbers = cold(record);
  out[kDIndex] = index;
  out[kDGeneration] = record.generation;
  out[kDVersion] = record.version;
  out[kDEntry] = record.entry;
  out[kDId] = record.id;
  out[kDCookieId] = record.cookie_id;
  out[kDState] = record.state;
  out[kDDirection] = direction;
  out[kDHolds] = record.holds;
  out[kDFlags] = numbers.flags;
  out[kDScriptFlags] = numbers.script_flags;
  out[kDProperties] = numbers.properties;
  out[kDLifetime] = numbers.lifetime;
  out[kDDue] = record.due;
  out[kDInitTs] = numbers.init_ts;
  out[kDStartTs] = numbers.start_ts;
  out[kDEndTs] = numbers.end_ts;
  out[kDCallerCSeq] = numbers.caller_cseq;
  out[kDCalleeCSeq] = numbers.callee_cseq;
  out[kDCallerSocket] = numbers.caller_socket;
  out[kDCalleeSocket] = numbers.callee_socket;
  out[kDRecordRoutes] = numbers.record_routes;
  out[kDCalleeTagHash] = record.callee_tag;
  out[kDMembers] = numbers.member_count;
  out[kDVariables] = numbers.variable_count;
  out[kDTimeoutRoute] = numbers.length[kColdTimeoutRoute] != 0 ? 1 : 0;
  out[kDByeOwed] = record.bye_owed;
  out[kDMarks] = numbers.marks;
  const DialogExtra* extra = extra_of(numbers);
  static constexpr DialogExtra kNoExtra{};
  if (extra == nullptr) extra = &kNoExtra;
  out[kDTransactionIndex] = extra->transaction_index;
  out[kDTransactionGeneration] = extra->transaction_generation;
  out[kDEarlyLegs] = extra->early_legs;
  out[kDSteps] = 0;
  out[kDSavedDue] = extra->saved_due;
  out[kDKaFailures] = extra->ka_failures[0] | std::uint32_t{extra->ka_failures[1]} << 16;
  out[kDKaDue] = extra->ka_due;
  if (const CSeqSteps* steps = steps_of(numbers); steps != nullptr) {
    out[kDSteps] = (steps->list[0].count != 0 ? 1 : 0) | (steps->list[1].count != 0 ? 2 : 0);
    for (std::uint32_t n = 0; record.state == kDeleted && n < 2; ++n) {
      if (steps->list[n].count == 0) continue;
      std::uint32_t& highest = out[kDCallerCSeq + n];
      highest = (highest == kNoCSeq ? 0 : highest) + steps->list[n].added();
    }
  }
  for (std::uint32_t n = kDWordEnd; n < kDialogWords; ++n) out[n] = 0;
}

// ---- create, free ----

Status Table::create(const NewDialog& dialog, Words out) noexcept {
  const Text call_id = trimmed(dialog.call_id);
  const Text texts[kColdTextEnd] = {
      call_id,       dialog.caller_tag,  dialog.caller_contact, dialog.caller_route_set, dialog.from_uri,
      dialog.to_uri, dialog.request_uri, dialog.timeout_route,  dialog.caller_source};
  if (!fits(texts, kBoundOfCold) || dialog.record_routes > 0xff || dialog.caller_socket > 0xffff)
    return Status::kOutOfRange;
  if (call_id.empty() || dialog.caller_tag.empty()) return Status::kOutOfRange;
  std::size_t bytes = sizeof(DialogCold);
  for (const Text& text : texts) bytes += text.size();

  // What enter() will touch is brought in while the texts are written.
  const std::uint32_t entry = segment_->entry_of(call_id);
  const HashEntry& numbered = segment_->region<HashEntry>(kRegionEntries)[entry];
  __builtin_prefetch(&numbered);
  std::uint32_t index = 0;
  if (segment_->dialogs().take(Need::kNewCall, &index) != Status::kOk) return Status::kNoMemory;
  Block block = 0;
  if (segment_->arena().alloc(bytes, Need::kNewCall, &block) != Status::kOk) {
    segment_->dialogs().give(index);
    return Status::kNoMemory;
  }
  HOLDFAST_KILL_POINT();
  DialogCold& numbers = *new (segment_->arena().bytes(block)) DialogCold{};
  numbers.script_flags = dialog.script_flags;
  numbers.properties = dialog.properties;
  numbers.lifetime = dialog.lifetime;
  numbers.init_ts = dialog.init_ts;
  numbers.caller_cseq = dialog.caller_cseq;
  numbers.callee_cseq = kNoCSeq;
  numbers.caller_socket = static_cast<std::uint16_t>(dialog.caller_socket);
  numbers.record_routes = static_cast<std::uint8_t>(dialog.record_routes);
  const std::uint32_t likely_id = peek(numbered.last_id) + segment_->header().h_id_step;
  __builtin_prefetch(&segment_->region<Bucket>(kRegionIdBuckets)[id_bucket(*segment_, entry, likely_id)]);
  write(numbers, texts);

  DialogRecord& record = segment_->dialog(index);
  record.version = 1;
  record.call_id = segment_->keyed_hash()(call_id);
  poke(record.entry, entry);
  record.bye_owed = 0;
  record.holds = 1;
  record.caller_tag = tag_hash(*segment_, dialog.caller_tag);
  record.callee_tag = record.due = record.members = 0;
  poke(record.cold, block);
  poke(record.callee, Block{0});
  HOLDFAST_KILL_POINT();

  LockGuard guard(segment_->entry_lock(record.entry));
  if (const Status status = enter(index); status != Status::kOk) {
    segment_->arena().free(block);
    segment_->dialogs().give(index);
    return status;
  }
  HOLDFAST_KILL_POINT();
  poke(record.state, static_cast<std::uint8_t>(kUnconfirmed),
       std::memory_order_release);  // from here on it is a dialog
  HOLDFAST_KILL_POINT();
  fill(index, kNone, out);
  return Status::kOk;
}

/// Puts the record at the end of its Call-ID's chain; kLimit: there are too many of that Call-ID.
Status Table::enter_call_id(std::uint32_t index) noexcept {
  Segment& segment = *segment_;
  DialogRecord& record = segment.dialog(index);
  Bucket& bucket = segment.region<Bucket>(kRegionCallIdBuckets)[call_id_bucket(segment, record)];
  LockGuard guard(bucket.lock);
  std::uint32_t last = 0, same = 0;
  for (std::uint32_t at = bucket.head; at != 0; last = at, at = segment.dialog(at).next_by_call_id) {
    if (segment.dialog(at).call_id == record.call_id && ++same == kSameCallIdMax) return Status::kLimit;
  }
  record.next_by_call_id = 0;
  if (last == 0)
    poke(bucket.head, index);
  else
    segment.dialog(last).next_by_call_id = index;
  return Status::kOk;
}

/// Gives the record the entry's next h_id and puts it into both indexes, or into none (kLimit); its entry is
/// locked.
Status Table::enter(std::uint32_t index) noexcept {
  constexpr std::uint32_t kTriesMax = 16;  // an id that is still in use is passed over
  if (const Status status = enter_call_id(index); status != Status::kOk) return status;
  HOLDFAST_KILL_POINT();
  Segment& segment = *segment_;
  DialogRecord& record = segment.dialog(index);
  HashEntry& entry = segment.region<HashEntry>(kRegionEntries)[record.entry];
  for (std::uint32_t tries = 0;; ++tries) {
    const std::uint32_t next = entry.last_id + segment.header().h_id_step;
    poke(entry.last_id, next);
    record.id = record.cookie_id = next != 0 ? next : 1;
    HOLDFAST_KILL_POINT();
    Bucket& bucket = segment.region<Bucket>(kRegionIdBuckets)[id_bucket(segment, record.entry, record.id)];
    LockGuard guard(bucket.lock);
    bool in_use = false;
    for (std::uint32_t at = bucket.head; at != 0 && !in_use; at = segment.dialog(at).next_by_id)
      in_use = segment.dialog(at).entry == record.entry && segment.dialog(at).id == record.id;
    if (in_use && tries < kTriesMax) continue;
    record.next_by_id = bucket.head;
    poke(bucket.head, index);
    return Status::kOk;
  }
}

/// The last hold of a deleted dialog is gone: out of the indexes and back to the pools; its entry is locked.
void Table::take_out(std::uint32_t index) noexcept {
  Segment& segment = *segment_;
  DialogRecord& record = segment.dialog(index);
  unlink(segment, segment.region<Bucket>(kRegionCallIdBuckets)[call_id_bucket(segment, record)], index,
         &DialogRecord::next_by_call_id);
  HOLDFAST_KILL_POINT();
  unlink(segment, segment.region<Bucket>(kRegionIdBuckets)[id_bucket(segment, record.entry, record.id)],
         index, &DialogRecord::next_by_id);
  HOLDFAST_KILL_POINT();
  const DialogCold& numbers = cold(record);
  const DialogExtra* extra = extra_of(numbers);
  const Block blocks[] = {record.cold, record.callee, numbers.variables, numbers.extra,
                          extra != nullptr ? extra->steps : 0};
  poke(record.state, std::uint8_t{0});
  std::atomic_signal_fence(std::memory_order_seq_cst);  // before its blocks can be anybody else's
  HOLDFAST_KILL_POINT();
  poke(record.generation, record.generation + 1);
  for (const Block block : blocks) segment.arena().free(block);
  HOLDFAST_KILL_POINT();
  segment.dialogs().give(index);
  HOLDFAST_KILL_POINT();
}

// ---- find ----

Status Table::find_by_id(std::uint32_t entry, std::uint32_t id, Words out) noexcept {
  if (entry >= segment_->header().hash_size) return Status::kNotFound;
  Bucket& bucket = segment_->region<Bucket>(kRegionIdBuckets)[id_bucket(*segment_, entry, id)];
  LockGuard guard(segment_->entry_lock(entry));
  std::uint32_t found = 0;
  {
    LockGuard chain(bucket.lock);
    for (std::uint32_t at = bucket.head; at != 0 && found == 0; at = segment_->dialog(at).next_by_id) {
      const DialogRecord& record = segment_->dialog(at);
      if (record.entry == entry && record.id == id) found = at;
    }
  }
  if (found == 0) return Status::kNotFound;
  prefetch_texts(segment_->dialog(found));  // a match follows
  fill(found, kNone, out);
  return Status::kOk;
}

Status Table::load(DialogHandle handle, Words out) noexcept {
  Locked record(*segment_, handle);
  if (!record) return Status::kNotFound;
  fill(handle.index, kNone, out);
  return Status::kOk;
}

/// Spec 1.3: the direction in which a message with these tags belongs to the dialog; kNone: it does not.
Direction Table::matched(const DialogRecord& record, Text call_id, Text from_tag, Text to_tag,
                         Direction wanted) const noexcept {
  const DialogCold& numbers = cold(record);
  if (from_tag.empty() || !equal(call_id, text_of(numbers, kColdCallId))) return kNone;
  const Text caller = text_of(numbers, kColdCallerTag);
  if (record.callee_tag == 0) {
    if (wanted != kDownstream && equal(to_tag, caller)) return kUpstream;
    return wanted != kUpstream && equal(from_tag, caller) ? kDownstream : kNone;
  }
  const auto& leg = *reinterpret_cast<const CalleeLeg*>(segment_->arena().bytes(record.callee));
  const Text callee = text_of(leg, kLegTag);
  if (wanted != kDownstream && equal(from_tag, callee) && equal(to_tag, caller)) return kUpstream;
  if (wanted != kUpstream && equal(from_tag, caller)) {
    if (equal(to_tag, callee)) return kDownstream;
    // The initial INVITE again, before its ACK.
    if (wanted == kNone && to_tag.empty() && record.state == kConfirmedNoAck) return kDownstream;
  }
  return kNone;
}

Status Table::match(DialogHandle handle, Text call_id, Text from_tag, Text to_tag, Direction wanted,
                    Words out) noexcept {
  Locked record(*segment_, handle);
  if (!record) return Status::kNotFound;
  const Direction direction = matched(*record, trimmed(call_id), from_tag, to_tag, wanted);
  if (direction == kNone) return Status::kConflict;
  fill(handle.index, direction, out);
  return Status::kOk;
}

Status Table::find_by_call_id(Text call_id, Text from_tag, Text to_tag, Direction wanted,
                              Words out) noexcept {
  call_id = trimmed(call_id);
  const std::uint64_t hash = segment_->keyed_hash()(call_id);
  Bucket& bucket =
      segment_->region<Bucket>(kRegionCallIdBuckets)[bucket_of(hash, segment_->header().dialog_buckets)];
  // The same Call-ID is always in the same entry: its lock keeps state and texts still.
  LockGuard guard(segment_->entry_lock(segment_->entry_of(call_id)));
  std::uint32_t best = 0, best_rank = 4;
  Direction best_direction = kNone;
  {
    LockGuard chain(bucket.lock);
    for (std::uint32_t at = bucket.head; at != 0 && best_rank != 0;
         at = segment_->dialog(at).next_by_call_id) {
      const DialogRecord& record = segment_->dialog(at);
      if (record.call_id != hash) continue;
      const std::uint32_t rank = (record.state == kDeleted ? 2 : 0) + (record.callee_tag == 0 ? 1 : 0);
      if (rank >= best_rank) continue;
      prefetch_texts(record);
      const Direction direction = matched(record, call_id, from_tag, to_tag, wanted);
      if (direction == kNone) continue;
      best = at, best_rank = rank, best_direction = direction;
    }
  }
  if (best == 0) return Status::kNotFound;
  fill(best, best_direction, out);
  return Status::kOk;
}

Status Table::find_call(Text call_id, Text caller_tag, std::uint32_t nth, Words out) noexcept {
  call_id = trimmed(call_id);
  const std::uint64_t hash = segment_->keyed_hash()(call_id);
  Bucket& bucket =
      segment_->region<Bucket>(kRegionCallIdBuckets)[bucket_of(hash, segment_->header().dialog_buckets)];
  LockGuard guard(segment_->entry_lock(segment_->entry_of(call_id)));
  std::uint32_t found = 0;
  {
    LockGuard chain(bucket.lock);
    for (std::uint32_t at = bucket.head; at != 0 && found == 0; at = segment_->dialog(at).next_by_call_id) {
      const DialogRecord& record = segment_->dialog(at);
      if (record.call_id != hash) continue;
      const DialogCold& numbers = cold(record);
      if (!equal(call_id, text_of(numbers, kColdCallId))) continue;
      if (!caller_tag.empty() && !equal(caller_tag, text_of(numbers, kColdCallerTag))) continue;
      if (nth-- == 0) found = at;
    }
  }
  if (found == 0) return Status::kNotFound;
  fill(found, kNone, out);
  return Status::kOk;
}

void Table::prefetch(std::span<const Text> call_ids) const noexcept {
  constexpr std::size_t kPrefetchMax = 64;
  std::uint64_t hash[kPrefetchMax];
  std::uint32_t index[kPrefetchMax];
  const std::size_t count = std::min(call_ids.size(), kPrefetchMax);
  const auto* buckets = segment_->region<Bucket>(kRegionCallIdBuckets);
  const std::uint32_t bucket_count = segment_->header().dialog_buckets;
  for (std::size_t n = 0; n < count; ++n) {
    hash[n] = segment_->keyed_hash()(trimmed(call_ids[n]));
    __builtin_prefetch(&buckets[bucket_of(hash[n], bucket_count)]);
  }
  for (std::size_t n = 0; n < count; ++n) {
    index[n] = peek(buckets[bucket_of(hash[n], bucket_count)].head);
    if (index[n] != 0) __builtin_prefetch(&segment_->dialog(index[n]));
  }
  for (std::size_t n = 0; n < count; ++n) {
    if (index[n] == 0) continue;
    // Read without a lock: at worst a line is brought in that nobody needs.
    const DialogRecord& record = segment_->dialog(index[n]);
    if (peek(record.cold) != 0) prefetch_texts(record);
  }
}

// ---- change, end ----

namespace {

/// What of the block outlives a change to state `after`: the first 2xx lets early legs and transaction go,
/// the end the keep-alive too.  The early legs are left to the caller.
Block settle(DialogExtra& extra, std::uint32_t after) noexcept {
  if (after < kConfirmedNoAck) return 0;
  const Block early = extra.early;
  extra.early = 0;
  extra.early_legs = 0;
  extra.transaction_index = extra.transaction_generation = 0;
  if (after == kDeleted) {
    extra.ka_due = extra.saved_due = 0;
    extra.ka_failures[0] = extra.ka_failures[1] = 0;
  }
  return early;
}

}  // namespace

void Table::count_states(std::uint32_t before, std::uint32_t after) noexcept {
  if (counts_active(before) != counts_active(after)) {
    if (counts_active(after))
      counters_.add(kCounterActiveDialogs);
    else
      counters_.subtract(kCounterActiveDialogs);
  }
  if ((before == kEarly) != (after == kEarly)) {
    if (after == kEarly)
      counters_.add(kCounterEarlyDialogs);
    else
      counters_.subtract(kCounterEarlyDialogs);
  }
}

DialogExtra* Table::extra_of(const DialogCold& numbers) const noexcept {
  if (numbers.extra == 0) return nullptr;
  return reinterpret_cast<DialogExtra*>(segment_->arena().bytes(numbers.extra));
}

/// A block for a record that has none; nobody sees it before the record names it.
Status Table::make_extra(std::uint32_t index, Need need, Block* out) noexcept {
  if (segment_->arena().alloc(sizeof(DialogExtra), need, out) != Status::kOk) return Status::kNoMemory;
  auto& extra = *new (segment_->arena().bytes(*out)) DialogExtra{};
  extra.record = index;
  return Status::kOk;
}

/// Saves what is changed in place; the node before it belongs to the wheel's lock.
void Table::save_truth(DialogExtra& extra) noexcept {
  undo_.save(reinterpret_cast<std::uint8_t*>(&extra) + kExtraTruth, sizeof extra - kExtraTruth);
}

void Table::free_early(Block first) noexcept {
  while (first != 0) {
    const Block next = reinterpret_cast<const EarlyLeg*>(segment_->arena().bytes(first))->next;
    segment_->arena().free(first);
    HOLDFAST_KILL_POINT();
    first = next;
  }
}

/// The record has forgotten its block: off the wheel, then back to the arena.  0 is allowed.
void Table::drop_extra(std::uint32_t index, Block extra) noexcept {
  if (extra == 0) return;
  segment_->keep_alive_wheel(segment_->owner_of(segment_->dialog(index).entry)).cancel(extra);
  HOLDFAST_KILL_POINT();
  segment_->arena().free(extra);
}

/// What was due to a dialog that has just ended: its timer and its memberships.
void Table::leave_everything(std::uint32_t index, Block members) noexcept {
  segment_->dialog_wheel(segment_->owner_of(segment_->dialog(index).entry)).cancel(index);
  HOLDFAST_KILL_POINT();
  Profiles::release(*segment_, members);
}

Status Table::change(DialogHandle handle, const Change& change, Words out) noexcept {
  const auto has = [&change](std::uint32_t field) { return (change.fields & field) != 0; };
  if (has(kChangeState) && (change.state < kUnconfirmed || change.state > kDeleted))
    return Status::kOutOfRange;
  if (change.callee_tag.size() > kTextBytesMax || change.callee_contact.size() > kTextBytesMax ||
      change.callee_route_set.size() > kRouteSetBytesMax || change.caller_contact.size() > kTextBytesMax ||
      change.timeout_route.size() > kTimeoutRouteBytesMax || change.caller_source.size() > kSourceBytesMax ||
      change.callee_source.size() > kSourceBytesMax || change.caller_route_set.size() > kRouteSetBytesMax ||
      change.caller_socket > 0xffff || change.callee_socket > 0xffff ||
      ((change.marks_set | change.marks_clear) & ~kMarkAll) != 0)
    return Status::kOutOfRange;

  Locked record(*segment_, handle);
  if (!record) return Status::kNotFound;
  const std::uint32_t before = record->state;
  const std::uint32_t after = has(kChangeState) ? change.state : before;
  if (change.expected_state != 0 && change.expected_state != before) return Status::kConflict;
  if (before == kDeleted && after != kDeleted && record->bye_owed != 0) return Status::kConflict;

  // New text goes into fresh blocks; nobody sees them before the record names them.
  Arena& arena = segment_->arena();
  const Need need = before >= kEarly ? Need::kCallIsUp : Need::kNewCall;
  DialogCold* numbers = &cold(*record);
  Block fresh_cold = 0, fresh_leg = 0, fresh_extra = 0;
  if (has(kChangeCallerContact | kChangeTimeoutRoute | kChangeCallerRouteSet)) {
    Text texts[kColdTextEnd];
    for (std::uint32_t n = 0; n < kColdTextEnd; ++n) texts[n] = text_of(*numbers, n);
    if (has(kChangeCallerContact)) {
      texts[kColdCallerContact] = change.caller_contact;
      texts[kColdCallerSource] = change.caller_source;
    }
    if (has(kChangeTimeoutRoute)) texts[kColdTimeoutRoute] = change.timeout_route;
    if (has(kChangeCallerRouteSet)) texts[kColdCallerRouteSet] = change.caller_route_set;
    if (!fits(texts, kBoundOfCold)) return Status::kOutOfRange;
    std::size_t bytes = sizeof(DialogCold);
    for (const Text& text : texts) bytes += text.size();
    if (arena.alloc(bytes, need, &fresh_cold) != Status::kOk) return Status::kNoMemory;
    auto& fresh = *new (arena.bytes(fresh_cold)) DialogCold(*numbers);
    write(fresh, texts);
    numbers = &fresh;
  }
  if (has(kChangeCalleeLeg | kChangeCalleeContact)) {
    Text texts[kLegTextEnd] = {};
    if (record->callee != 0) {
      const auto& leg = *reinterpret_cast<const CalleeLeg*>(arena.bytes(record->callee));
      for (std::uint32_t n = 0; n < kLegTextEnd; ++n) texts[n] = text_of(leg, n);
    }
    texts[kLegContact] = change.callee_contact;
    texts[kLegSource] = change.callee_source;
    if (has(kChangeCalleeLeg)) {
      texts[kLegTag] = change.callee_tag;
      texts[kLegRouteSet] = change.callee_route_set;
    }
    std::size_t bytes = sizeof(CalleeLeg);
    for (const Text& text : texts) bytes += text.size();
    if (arena.alloc(bytes, need, &fresh_leg) != Status::kOk) {
      arena.free(fresh_cold);
      return Status::kNoMemory;
    }
    write(*new (arena.bytes(fresh_leg)) CalleeLeg{}, texts);
  }
  DialogExtra* extra = extra_of(*numbers);
  const bool wants_extra =
      (has(kChangeTransaction) && change.transaction_index != 0 && after < kConfirmedNoAck) ||
      (after != kDeleted &&
       ((has(kChangeSavedDue) && change.saved_due != 0) || (has(kChangeKaDue) && change.ka_due != 0)));
  if (extra == nullptr && wants_extra) {
    if (make_extra(handle.index, need, &fresh_extra) != Status::kOk) {
      arena.free(fresh_cold);
      arena.free(fresh_leg);
      return Status::kNoMemory;
    }
    extra = reinterpret_cast<DialogExtra*>(arena.bytes(fresh_extra));
  }
  HOLDFAST_KILL_POINT();

  const Block old_cold = fresh_cold != 0 ? record->cold : 0, old_leg = fresh_leg != 0 ? record->callee : 0;
  const bool ends = after == kDeleted && before != kDeleted;
  Bequest bequest(*segment_, *record, *numbers, ends);
  const Block left = ends && !bequest ? record->members : 0;
  undo_.save(&*record, kDialogUndoBytes);
  if (fresh_cold == 0) undo_.save(numbers, sizeof *numbers);
  if (extra != nullptr && fresh_extra == 0) save_truth(*extra);
  bequest.save(undo_);
  undo_.mark();
  HOLDFAST_KILL_POINT();

  record->version += 1;
  if (after != before) poke(record->state, static_cast<std::uint8_t>(after));
  HOLDFAST_KILL_POINT();
  if (has(kChangeDue) && after != kDeleted) {
    record->due = change.due;
    numbers->marks &= static_cast<std::uint8_t>(~kMarkRouteAsked);
  }
  if (has(kChangeMarks))
    numbers->marks = static_cast<std::uint8_t>((numbers->marks & ~change.marks_clear) | change.marks_set);
  if (has(kChangeLifetime)) numbers->lifetime = change.lifetime;
  if (has(kChangeStartTs)) numbers->start_ts = change.start_ts;
  if (has(kChangeEndTs)) numbers->end_ts = change.end_ts;
  if (has(kChangeFlags)) numbers->flags = (numbers->flags & ~change.flags_clear) | change.flags_set;
  if (has(kChangeScriptFlags))
    numbers->script_flags = (numbers->script_flags & ~change.script_flags_clear) | change.script_flags_set;
  if (has(kChangeProperties))
    numbers->properties = (numbers->properties & ~change.properties_clear) | change.properties_set;
  const auto raise = [](std::uint32_t& number, std::uint32_t to) {
    if (number == kNoCSeq || to > number) number = to;
  };
  if (has(kChangeCallerCSeq)) raise(numbers->caller_cseq, change.caller_cseq);
  if (has(kChangeCalleeCSeq)) raise(numbers->callee_cseq, change.callee_cseq);
  if (has(kChangeCallerContact) && change.caller_socket != 0)
    numbers->caller_socket = static_cast<std::uint16_t>(change.caller_socket);
  if (has(kChangeCalleeLeg) || (has(kChangeCalleeContact) && change.callee_socket != 0))
    numbers->callee_socket = static_cast<std::uint16_t>(change.callee_socket);
  HOLDFAST_KILL_POINT();
  if (fresh_leg != 0) {
    poke(record->callee, fresh_leg);
    if (has(kChangeCalleeLeg)) record->callee_tag = tag_hash(*segment_, change.callee_tag);
  }
  if (fresh_cold != 0) poke(record->cold, fresh_cold);
  HOLDFAST_KILL_POINT();
  Block old_early = 0, old_extra = 0;
  if (extra != nullptr) {
    if (has(kChangeTransaction)) {
      extra->transaction_index = change.transaction_index;
      extra->transaction_generation = change.transaction_generation;
    }
    if (has(kChangeSavedDue)) extra->saved_due = change.saved_due;
    if (has(kChangeKaDue)) extra->ka_due = change.ka_due;
    old_early = settle(*extra, after);
    numbers->extra = fresh_extra != 0 ? fresh_extra : numbers->extra;
    if (extra->empty()) {
      old_extra = numbers->extra;
      numbers->extra = 0;
    }
  }
  HOLDFAST_KILL_POINT();
  if (ends) {
    bequest.hand_over();
    HOLDFAST_KILL_POINT();
    record->due = record->members = 0;
    numbers->member_count = 0;
    record->holds -= 1;  // the table's own
  } else if (before == kDeleted && after != kDeleted) {
    record->holds += 1;
  }
  HOLDFAST_KILL_POINT();
  undo_.clear();
  HOLDFAST_KILL_POINT();

  count_states(before, after);
  arena.free(old_cold);
  arena.free(old_leg);
  free_early(old_early);
  if (old_extra != 0) {
    drop_extra(handle.index, old_extra);
  } else if (extra != nullptr && (has(kChangeKaDue) || ends)) {
    Wheel wheel = segment_->keep_alive_wheel(segment_->owner_of(record->entry));
    if (extra->ka_due != 0)
      wheel.arm(numbers->extra, extra->ka_due);
    else
      wheel.cancel(numbers->extra);
  }
  if (ends) {
    bequest.settle();
    leave_everything(handle.index, left);
  } else if (has(kChangeDue) && after != kDeleted) {
    Wheel wheel = segment_->dialog_wheel(segment_->owner_of(record->entry));
    if (record->due != 0)
      wheel.arm(handle.index, record->due);
    else
      wheel.cancel(handle.index);
  }
  fill(handle.index, kNone, out);
  if (record->state == kDeleted && record->holds == 0) take_out(handle.index);
  return Status::kOk;
}

Status Table::claim_end(DialogHandle handle, EndReason reason, std::uint32_t bye_sides,
                        std::uint32_t now_boot, std::uint32_t end_ts, Words out) noexcept {
  if (bye_sides > 3) return Status::kOutOfRange;
  Locked record(*segment_, handle);
  if (!record) return Status::kNotFound;
  if (!counts_active(record->state)) return Status::kConflict;
  if (reason == EndReason::kExpired && (record->due == 0 || record->due > now_boot)) return Status::kNotDue;

  DialogCold& numbers = cold(*record);
  DialogExtra* extra = extra_of(numbers);
  CSeqSteps* steps = steps_of(numbers);
  const std::uint32_t before = record->state;
  Bequest bequest(*segment_, *record, numbers, true);
  const Block left = bequest ? 0 : record->members;
  undo_.save(&*record, kDialogUndoBytes);
  undo_.save(&numbers, sizeof numbers);
  if (extra != nullptr) save_truth(*extra);
  if (steps != nullptr) undo_.save(steps, sizeof *steps);
  bequest.save(undo_);
  undo_.mark();
  HOLDFAST_KILL_POINT();
  record->version += 1;
  poke(record->state, static_cast<std::uint8_t>(kDeleted));
  HOLDFAST_KILL_POINT();
  bequest.hand_over();
  HOLDFAST_KILL_POINT();
  record->due = record->members = 0;
  record->bye_owed = static_cast<std::uint8_t>(bye_sides);
  numbers.end_ts = end_ts;
  std::uint32_t marks = numbers.marks | kMarkEndOwed;
  if (reason == EndReason::kExpired) marks |= kMarkEndExpired;
  if (before == kConfirmedNoAck) marks |= kMarkEndNoAck;
  numbers.marks = static_cast<std::uint8_t>(marks);
  numbers.member_count = 0;
  // Nothing that crosses the BYE can still succeed, so that a plain call's number counts as received instead
  // of making a step: an end needs no memory.
  const auto take = [&](std::uint32_t& highest, std::uint32_t list) {
    if (highest == kNoCSeq) highest = 0;
    if (steps != nullptr && steps->list[list].count != 0)
      steps->list[list].take(highest, 0);
    else
      highest += 1;
  };
  if ((bye_sides & 1) != 0) take(numbers.callee_cseq, 1);
  if ((bye_sides & 2) != 0) take(numbers.caller_cseq, 0);
  HOLDFAST_KILL_POINT();
  Block old_extra = 0;
  if (extra != nullptr) {
    settle(*extra, kDeleted);
    if (extra->empty()) {
      old_extra = numbers.extra;
      numbers.extra = 0;
    }
  }
  HOLDFAST_KILL_POINT();
  undo_.clear();
  HOLDFAST_KILL_POINT();
  count_states(before, kDeleted);
  if (old_extra != 0)
    drop_extra(handle.index, old_extra);
  else if (extra != nullptr)
    segment_->keep_alive_wheel(segment_->owner_of(record->entry)).cancel(numbers.extra);
  bequest.settle();
  leave_everything(handle.index, left);
  fill(handle.index, kNone, out);
  return Status::kOk;
}

Status Table::bye_answered(DialogHandle handle, std::uint32_t sides) noexcept {
  Locked record(*segment_, handle);
  if (!record) return Status::kNotFound;
  record->bye_owed &= static_cast<std::uint8_t>(~sides);
  return Status::kOk;
}

Status Table::hold(DialogHandle handle) noexcept {
  Locked record(*segment_, handle);
  if (!record) return Status::kNotFound;
  if (record->holds == 0xffff) return Status::kLimit;
  record->holds += 1;
  return Status::kOk;
}

Status Table::link(DialogHandle handle, bool has_hold, std::uint32_t transaction_index,
                   std::uint32_t transaction_generation) noexcept {
  Locked record(*segment_, handle);
  if (!record) return Status::kNotFound;
  if (record->holds == 0xffff) return Status::kLimit;
  DialogCold& numbers = cold(*record);
  DialogExtra* extra = extra_of(numbers);
  const bool names = record->state < kConfirmedNoAck;
  Block fresh = 0;
  if (names && extra == nullptr && make_extra(handle.index, Need::kNewCall, &fresh) == Status::kOk)
    extra = reinterpret_cast<DialogExtra*>(segment_->arena().bytes(fresh));
  undo_.save(&*record, kDialogUndoBytes);
  undo_.save(&numbers, sizeof numbers);
  if (extra != nullptr && fresh == 0) save_truth(*extra);
  undo_.mark();
  HOLDFAST_KILL_POINT();
  if (!has_hold) record->holds += 1;
  record->version += 1;
  if (names && extra != nullptr) {
    extra->transaction_index = transaction_index;
    extra->transaction_generation = transaction_generation;
    if (fresh != 0) numbers.extra = fresh;
  }
  HOLDFAST_KILL_POINT();
  undo_.clear();
  HOLDFAST_KILL_POINT();
  return names && extra == nullptr ? Status::kNoMemory : Status::kOk;
}

void Table::drop(DialogHandle handle) noexcept {
  Locked record(*segment_, handle);
  // The table's own hold of a live dialog is not anybody's to drop.
  if (!record || record->holds == 0 || (record->state != kDeleted && record->holds == 1)) return;
  record->holds -= 1;
  if (record->state == kDeleted && record->holds == 0) take_out(handle.index);
}

// ---- variables ----

/// Makes the dialog's variables anew with `key` set to `value`, or without it; its entry is locked.
Status Table::replace_variables(DialogRecord& record, Text key, Text value, bool keep) noexcept {
  Arena& arena = segment_->arena();
  DialogCold& numbers = cold(record);
  const Block old = numbers.variables;
  const auto* block = old != 0 ? reinterpret_cast<const VariableBlock*>(arena.bytes(old)) : nullptr;
  std::size_t bytes = 0;
  bool known = false;
  Variable variable;
  for (Variables walk(block); walk.next(variable);) {
    const bool same = equal(variable.key, key);
    known |= same;
    if (!same) bytes += variable.bytes();
  }
  if (!keep && !known) return Status::kNotFound;
  const Variable wanted{key, value};
  if (keep) bytes += wanted.bytes();
  const std::uint32_t count = numbers.variable_count + (keep ? 1u : 0u) - (known ? 1u : 0u);
  if (bytes > kVariablesBytesMax || count > kVariablesMax) return Status::kOutOfRange;

  Block fresh = 0;
  if (count != 0) {
    const Need need = record.state >= kConfirmedNoAck ? Need::kCallIsUp : Need::kNewCall;
    if (arena.alloc(sizeof(VariableBlock) + bytes, need, &fresh) != Status::kOk) return Status::kNoMemory;
    auto& head = *new (arena.bytes(fresh)) VariableBlock{};
    head.count = static_cast<std::uint16_t>(count);
    head.bytes = static_cast<std::uint32_t>(bytes);
    auto* at = reinterpret_cast<std::uint8_t*>(&head + 1);
    if (keep && !known) at = put(at, wanted);  // newest first; a new value keeps the old one's place
    for (Variables walk(block); walk.next(variable);) {
      if (!equal(variable.key, key))
        at = put(at, variable);
      else if (keep)
        at = put(at, wanted);
    }
  }
  HOLDFAST_KILL_POINT();
  undo_.save(&record, kDialogUndoBytes);
  undo_.save(&numbers, sizeof numbers);
  undo_.mark();
  HOLDFAST_KILL_POINT();
  numbers.variables = fresh;
  HOLDFAST_KILL_POINT();
  numbers.variable_count = static_cast<std::uint8_t>(count);
  record.version += 1;
  undo_.clear();
  HOLDFAST_KILL_POINT();
  arena.free(old);
  return Status::kOk;
}

Status Table::set_variable(DialogHandle handle, Text key, Text value) noexcept {
  if (key.empty() || key.size() > kVariableKeyBytesMax || value.size() > kVariableBytesMax)
    return Status::kOutOfRange;
  Locked record(*segment_, handle);
  if (!record) return Status::kNotFound;
  return replace_variables(*record, key, value, true);
}

Status Table::remove_variable(DialogHandle handle, Text key) noexcept {
  Locked record(*segment_, handle);
  if (!record) return Status::kNotFound;
  return replace_variables(*record, key, {}, false);
}

Status Table::get_variable(DialogHandle handle, Text key, std::span<std::uint8_t> out,
                           std::size_t* length) noexcept {
  *length = 0;
  Locked record(*segment_, handle);
  if (!record) return Status::kNotFound;
  const Block block = cold(*record).variables;
  if (block == 0) return Status::kNotFound;
  Variable variable;
  for (Variables walk(reinterpret_cast<const VariableBlock*>(segment_->arena().bytes(block)));
       walk.next(variable);) {
    if (!equal(variable.key, key)) continue;
    *length = variable.value.size();
    put(out.data(), variable.value.first(std::min(out.size(), variable.value.size())));
    return Status::kOk;
  }
  return Status::kNotFound;
}

// ---- listing, time ----

namespace {

Text as_text(std::string_view text) noexcept {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

}  // namespace

Status Table::snapshot(std::uint32_t index, std::span<std::uint8_t> out, std::size_t* length) noexcept {
  *length = 0;
  Locked record(*segment_, index);
  if (!record) return Status::kNotFound;
  Arena& arena = segment_->arena();
  const DialogCold& numbers = cold(*record);
  static constexpr CalleeLeg kNoLeg{};
  const CalleeLeg& leg =
      record->callee != 0 ? *reinterpret_cast<const CalleeLeg*>(arena.bytes(record->callee)) : kNoLeg;
  std::uint32_t numbers_out[kDialogWords];
  fill(index, kNone, numbers_out);
  const Text texts[kTextCount] = {text_of(numbers, kColdCallId),
                                  text_of(numbers, kColdFromUri),
                                  text_of(numbers, kColdToUri),
                                  text_of(numbers, kColdRequestUri),
                                  text_of(numbers, kColdCallerTag),
                                  text_of(leg, kLegTag),
                                  text_of(numbers, kColdCallerContact),
                                  text_of(leg, kLegContact),
                                  text_of(numbers, kColdCallerRouteSet),
                                  text_of(leg, kLegRouteSet),
                                  as_text(segment_->socket_name(numbers.caller_socket)),
                                  as_text(segment_->socket_name(numbers.callee_socket)),
                                  text_of(numbers, kColdTimeoutRoute),
                                  text_of(numbers, kColdCallerSource),
                                  text_of(leg, kLegSource)};
  Writer writer(out);
  if (!writer.words(numbers_out)) return Status::kOutOfRange;
  for (const Text& text : texts)
    if (!writer.text(text)) return Status::kOutOfRange;

  std::uint32_t written = 0;
  if (numbers.variables != 0) {
    Variable variable;
    for (Variables walk(reinterpret_cast<const VariableBlock*>(arena.bytes(numbers.variables)));
         walk.next(variable);) {
      if (!writer.group(variable.key, variable.value)) break;
      ++written;
    }
  }
  numbers_out[kDVariables] = written;
  written = 0;
  for (Block at = record->members; at != 0;) {
    const auto& member = *reinterpret_cast<const MemberBlock*>(arena.bytes(at));
    const Text value{reinterpret_cast<const std::uint8_t*>(&member + 1), member.value_bytes};
    if (!writer.group(as_text(segment_->region<ProfileName>(kRegionProfiles)[member.profile].name), value))
      break;
    ++written;
    at = member.next_of_record;
  }
  numbers_out[kDMembers] = written;
  written = 0;
  const DialogExtra* extra = extra_of(numbers);
  for (Block at = extra != nullptr ? extra->early : 0; at != 0; ++written) {
    const auto& early = *reinterpret_cast<const EarlyLeg*>(arena.bytes(at));
    if (!writer.group(text_of(early, kEarlyTag), text_of(early, kEarlyContact),
                      text_of(early, kEarlyRouteSet)))
      break;
    at = early.next;
  }
  numbers_out[kDEarlyLegs] = written;
  std::memcpy(out.data(), numbers_out, sizeof numbers_out);
  *length = writer.at();
  return Status::kOk;
}

std::uint32_t Table::next(std::uint32_t cursor) const noexcept {
  const std::uint32_t last = segment_->dialogs().carved();
  std::uint32_t looks = 0;
  for (std::uint32_t index = std::max(cursor, 1u); index <= last; ++index)
    if (peek(segment_->dialog(index).state) != 0 || ++looks == kNextLooksMax) return index;
  return 0;
}

bool Table::next_unanswered(std::uint32_t owner, std::uint32_t cursor, Words out) noexcept {
  const std::uint32_t last = segment_->dialogs().carved();
  for (std::uint32_t index = std::max(cursor, 1u); index <= last; ++index) {
    const std::uint8_t state = peek(segment_->dialog(index).state);
    if (state != kUnconfirmed && state != kEarly) continue;
    Locked record(*segment_, index);
    if (!record || record->state > kEarly || segment_->owner_of(record->entry) != owner) continue;
    fill(index, kNone, out);
    return true;
  }
  return false;
}

std::uint32_t Table::next_ended(std::uint32_t cursor) const noexcept {
  const std::uint32_t last = segment_->dialogs().carved();
  std::uint32_t looks = 0;
  for (std::uint32_t index = std::max(cursor, 1u); index <= last; ++index)
    if (peek(segment_->dialog(index).state) == kDeleted || ++looks == kEndedLooksMax) return index;
  return 0;
}

std::uint32_t Table::advance(std::uint32_t owner, std::uint32_t now_boot,
                             std::span<DialogHandle> out) noexcept {
  if (owner >= segment_->owners()) return 0;
  std::uint32_t nodes[kAdvanceNodesMax];
  Wheel wheel = segment_->dialog_wheel(owner);
  const std::uint32_t taken =
      wheel.advance(now_boot, {nodes, std::min<std::size_t>(out.size(), kAdvanceNodesMax)});
  std::uint32_t count = 0;
  for (std::uint32_t n = 0; n < taken; ++n) {
    Locked record(*segment_, nodes[n]);
    if (!record || record->due == 0) continue;
    if (record->due <= now_boot) out[count++] = {nodes[n], record->generation};
    wheel.arm(nodes[n], std::max(record->due, now_boot + 1));
  }
  return count;
}

std::uint32_t Table::live() const noexcept { return segment_->dialogs().used(); }

std::uint64_t Table::audit() const noexcept {
  constexpr int kTriesMax = 5;
  const Profiles profiles(*segment_, kMainThread);
  std::uint64_t least = ~std::uint64_t{0};
  for (int tries = 0; tries < kTriesMax && least != 0; ++tries) {
    std::uint64_t active = 0, early = 0, members = 0;
    for (std::uint32_t index = next(1); index != 0; index = next(index + 1)) {
      Locked record(*segment_, index);
      if (!record) continue;
      active += counts_active(record->state) ? 1 : 0;
      early += record->state == kEarly ? 1 : 0;
      members += cold(*record).member_count;
    }
    const auto difference = [](std::uint64_t a, std::uint64_t b) { return a > b ? a - b : b - a; };
    std::uint64_t attached = 0;
    const std::uint64_t wrong = profiles.audit(&attached) + difference(attached, members) +
                                difference(active, counters_.value(kCounterActiveDialogs)) +
                                difference(early, counters_.value(kCounterEarlyDialogs));
    least = std::min(least, wrong);
  }
  return least;
}

// ---- attach, verify ----

namespace {

constexpr std::uint32_t kCallerSide = 1, kCalleeSide = 2;  // bits of bye_owed

}  // namespace

void bye_is_sent(Segment& segment, std::uint32_t index, std::uint32_t side) noexcept {
  auto& numbers = *reinterpret_cast<DialogCold*>(segment.arena().bytes(segment.dialog(index).cold));
  if (side == kCallerSide) numbers.marks &= static_cast<std::uint8_t>(~kMarkByeToCallerUnsent);
  if (side == kCalleeSide) numbers.marks &= static_cast<std::uint8_t>(~kMarkByeToCalleeUnsent);
}

void bye_is_under_way(Segment& segment, std::uint32_t index) noexcept {
  DialogRecord& record = segment.dialog(index);
  auto& numbers = *reinterpret_cast<DialogCold*>(segment.arena().bytes(record.cold));
  if ((numbers.marks & kMarkByeAwaited) == 0) return;
  numbers.marks &= static_cast<std::uint8_t>(~kMarkByeAwaited);
  record.holds -= 1;
}

void begin_dialogs(Rebuild& work) noexcept {
  Segment& segment = work.segment;
  const std::uint32_t carved = std::min(segment.dialogs().carved(), segment.header().dialogs_max);
  for (std::uint32_t index = 1; index <= carved; ++index) {
    DialogRecord& record = segment.dialog(index);
    if (record.state == 0) {
      record.generation += 1;  // it may have been stopped between the end of a life and the next generation
    } else if (record.state != kDeleted) {
      record.holds = 1;
    } else {
      // What an ended one still owes keeps it: its effects by the table's hold, its BYEs by whoever sends
      // them.
      // Which BYEs nobody sends, the transactions tell.
      auto& numbers = *reinterpret_cast<DialogCold*>(segment.arena().bytes(record.cold));
      record.holds = (numbers.marks & kMarkEndOwed) != 0 ? 1 : 0;
      record.due = 0;  // an ended one has none
      // A BYE has ended it that may not have gone on: its next copy must find it.
      numbers.marks &= static_cast<std::uint8_t>(~kMarkByeAwaited);
      if (record.bye_owed == 0 && (numbers.flags & kFlagHasBye) != 0) {
        numbers.marks |= kMarkByeAwaited;
        record.holds += 1;
      }
      numbers.marks &= static_cast<std::uint8_t>(~(kMarkByeToCallerUnsent | kMarkByeToCalleeUnsent));
      if ((record.bye_owed & kCallerSide) != 0) numbers.marks |= kMarkByeToCallerUnsent;
      HOLDFAST_KILL_POINT();
      if ((record.bye_owed & kCalleeSide) != 0) numbers.marks |= kMarkByeToCalleeUnsent;
    }
  }
}

void mark_dialogs(Rebuild& work) noexcept {
  Segment& segment = work.segment;
  const std::uint32_t carved = std::min(segment.dialogs().carved(), segment.header().dialogs_max);
  for (std::uint32_t index = 1; index <= carved; ++index) {
    DialogRecord& record = segment.dialog(index);
    if (record.state == kDeleted) {
      const auto& ended = *reinterpret_cast<const DialogCold*>(segment.arena().bytes(record.cold));
      if ((ended.marks & (kMarkByeToCallerUnsent | kMarkByeToCalleeUnsent)) != 0) record.holds += 1;
    }
    if (record.state == kDeleted && record.holds == 0) {  // had ended, and nobody needs it any more
      record.state = 0;
      HOLDFAST_KILL_POINT();
      record.generation += 1;
    }
    HOLDFAST_KILL_POINT();
    if (record.state == 0 || !work.mark(record.cold)) continue;
    const auto& numbers = *reinterpret_cast<const DialogCold*>(segment.arena().bytes(record.cold));
    if (numbers.variables != 0) work.mark(numbers.variables);
    if (numbers.extra != 0 && work.mark(numbers.extra)) {
      const auto& extra = *reinterpret_cast<const DialogExtra*>(segment.arena().bytes(numbers.extra));
      if (extra.steps != 0) work.mark(extra.steps);
      for (Block at = extra.early; at != 0;) {
        if (!work.mark(at)) break;
        at = reinterpret_cast<const EarlyLeg*>(segment.arena().bytes(at))->next;
      }
    }
    if (record.callee != 0) work.mark(record.callee);
    for (Block at = record.members; at != 0;) {
      if (!work.mark(at)) break;
      at = reinterpret_cast<const MemberBlock*>(segment.arena().bytes(at))->next_of_record;
    }
  }
}

namespace {

/// Puts a record into its Call-ID's chain behind those that are older.
void enter_by_age(Segment& segment, std::uint32_t index) noexcept {
  DialogRecord& record = segment.dialog(index);
  const std::uint32_t newest = segment.region<HashEntry>(kRegionEntries)[record.entry].last_id;
  std::uint32_t* link = &segment.region<Bucket>(kRegionCallIdBuckets)[call_id_bucket(segment, record)].head;
  for (; *link != 0; link = &segment.dialog(*link).next_by_call_id) {
    const DialogRecord& other = segment.dialog(*link);
    if (other.call_id == record.call_id && newest - other.id < newest - record.id) break;
  }
  record.next_by_call_id = *link;
  *link = index;
}

}  // namespace

namespace {

/// Keep-alives that became overdue while nobody ran come spread over the interval, not all at once.
void arm_keep_alive(Segment& segment, std::uint32_t index) noexcept {
  const DialogRecord& record = segment.dialog(index);
  const Block block = reinterpret_cast<const DialogCold*>(segment.arena().bytes(record.cold))->extra;
  if (block == 0) return;
  auto& extra = *reinterpret_cast<DialogExtra*>(segment.arena().bytes(block));
  extra.node = {};
  extra.record = index;
  if (extra.ka_due == 0) return;
  const std::uint32_t owner = segment.owner_of(record.entry);
  Wheel wheel = segment.keep_alive_wheel(owner);
  std::uint32_t due = extra.ka_due;
  if (const std::uint32_t now = wheel.walked(); due <= now)
    due =
        now + 1 +
        bucket_of(segment.keyed_hash()(index, record.id), std::max(segment.header().keep_alive_seconds, 1u));
  wheel.arm(block, due);
}

}  // namespace

void link_dialogs(Rebuild& work) noexcept {
  Segment& segment = work.segment;
  Counters counters(segment, kMainThread);
  const std::uint32_t carved = std::min(segment.dialogs().carved(), segment.header().dialogs_max);
  segment.dialogs().rebuild(segment.header().dialogs_max);
  for (std::uint32_t index = carved; index >= 1; --index) {
    DialogRecord& record = segment.dialog(index);
    if (record.state == 0) {
      segment.dialogs().give(index);
      continue;
    }
    HOLDFAST_KILL_POINT();
    enter_by_age(segment, index);
    Bucket& bucket = segment.region<Bucket>(kRegionIdBuckets)[id_bucket(segment, record.entry, record.id)];
    record.next_by_id = bucket.head;
    bucket.head = index;
    if (record.due != 0) segment.dialog_wheel(segment.owner_of(record.entry)).arm(index, record.due);
    arm_keep_alive(segment, index);
    if (counts_active(record.state)) counters.add(kCounterActiveDialogs);
    if (record.state == kEarly) counters.add(kCounterEarlyDialogs);
  }
}

namespace {

/// Checks a record's block and marks what it names; true if its keep-alive is armed.
bool verify_extra(Rebuild& work, std::uint32_t index, const DialogCold& numbers) noexcept {
  Arena& arena = work.segment.arena();
  const auto& extra = *reinterpret_cast<const DialogExtra*>(arena.bytes(numbers.extra));
  if (extra.record != index) work.found.index += 1;
  if (extra.steps != 0) work.mark(extra.steps);
  std::uint32_t early_legs = 0;
  for (Block at = extra.early; at != 0; ++early_legs) {
    if (!work.mark(at)) break;
    at = reinterpret_cast<const EarlyLeg*>(arena.bytes(at))->next;
  }
  if (early_legs != extra.early_legs) work.found.blocks += 1;
  const bool timed = extra.ka_due != 0;
  if (timed != (extra.node.at != 0) ||
      (timed && static_cast<std::int32_t>(extra.node.due - extra.ka_due) < 0))
    work.found.wheels += 1;
  return timed;
}

}  // namespace

void verify_dialogs(Rebuild& work) noexcept {
  Segment& segment = work.segment;
  const SegmentHeader& header = segment.header();
  Verification& found = work.found;
  const Counters counters(segment, kMainThread);
  std::uint64_t active = 0, early = 0;
  std::uint32_t live = 0, armed = 0, keep_alives = 0;
  for (std::uint32_t index = 1; index <= segment.dialogs().carved(); ++index) {
    const DialogRecord& record = segment.dialog(index);
    const WheelNode& node = segment.region<WheelNode>(kRegionDialogNodes)[index];
    const bool timed = record.state != 0 && record.due != 0;
    if (timed != (node.at != 0) || (timed && static_cast<std::int32_t>(node.due - record.due) < 0))
      found.wheels += 1;
    armed += timed ? 1 : 0;
    if (record.state == 0) continue;
    live += 1;
    active += counts_active(record.state) ? 1 : 0;
    early += record.state == kEarly ? 1 : 0;
    if (!work.mark(record.cold)) continue;
    const auto& numbers = *reinterpret_cast<const DialogCold*>(segment.arena().bytes(record.cold));
    const Text call_id = text_of(numbers, kColdCallId);
    if (record.call_id != segment.keyed_hash()(call_id) || record.entry != segment.entry_of(call_id) ||
        record.caller_tag != tag_hash(segment, text_of(numbers, kColdCallerTag)) || record.version == 0 ||
        bytes_of(numbers) > segment.arena().capacity(record.cold))
      found.index += 1;
    if (record.callee != 0 && work.mark(record.callee)) {
      const auto& leg = *reinterpret_cast<const CalleeLeg*>(segment.arena().bytes(record.callee));
      if (record.callee_tag != tag_hash(segment, text_of(leg, kLegTag))) found.index += 1;
    } else if (record.callee == 0 && record.callee_tag != 0) {
      found.index += 1;
    }
    std::uint32_t variables = 0;
    if (numbers.variables != 0 && work.mark(numbers.variables))
      variables = reinterpret_cast<const VariableBlock*>(segment.arena().bytes(numbers.variables))->count;
    if (variables != numbers.variable_count) found.blocks += 1;
    if (numbers.extra != 0 && work.mark(numbers.extra))
      keep_alives += verify_extra(work, index, numbers) ? 1 : 0;
    // Both chains lead to it, once.
    std::uint32_t met = 0;
    for (std::uint32_t at =
             segment.region<Bucket>(kRegionCallIdBuckets)[call_id_bucket(segment, record)].head;
         at != 0; at = segment.dialog(at).next_by_call_id)
      met += at == index ? 1 : 0;
    for (std::uint32_t at =
             segment.region<Bucket>(kRegionIdBuckets)[id_bucket(segment, record.entry, record.id)].head;
         at != 0; at = segment.dialog(at).next_by_id)
      met += at == index ? 0x100 : 0;
    if (met != 0x101) found.index += 1;
  }
  found.records += live;
  // And nothing else stands on the chains, the free list and the wheels.
  std::uint32_t by_call_id = 0, by_id = 0;
  for (std::uint32_t n = 0; n < header.dialog_buckets; ++n) {
    for (std::uint32_t at = segment.region<Bucket>(kRegionCallIdBuckets)[n].head;
         at != 0 && by_call_id <= live; at = segment.dialog(at).next_by_call_id)
      by_call_id += 1;
    for (std::uint32_t at = segment.region<Bucket>(kRegionIdBuckets)[n].head; at != 0 && by_id <= live;
         at = segment.dialog(at).next_by_id)
      by_id += 1;
  }
  if (by_call_id != live || by_id != live) found.index += 1;
  std::uint32_t free_records = 0;
  const Pool& pool = segment.dialogs();
  for (std::uint32_t at = pool.free_head(); at != 0 && free_records <= pool.carved(); at = pool.link(at)) {
    free_records += 1;
    if (segment.dialog(at).state != 0) found.pools += 1;
  }
  if (pool.used() != live || live + free_records != pool.carved()) found.pools += 1;
  std::uint32_t on_wheels = 0;
  std::uint32_t on_keep_alive_wheels = 0;
  for (std::uint32_t owner = 0; owner < segment.owners(); ++owner) {
    on_wheels += segment.dialog_wheel(owner).armed();
    on_keep_alive_wheels += segment.keep_alive_wheel(owner).armed();
  }
  if (on_wheels != armed || on_keep_alive_wheels != keep_alives) found.wheels += 1;
  if (counters.value(kCounterActiveDialogs) != active) found.counts += 1;
  if (counters.value(kCounterEarlyDialogs) != early) found.counts += 1;
}

}  // namespace holdfast
