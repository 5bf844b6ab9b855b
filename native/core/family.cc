#include "family.h"

#include <cstring>
#include <new>

#include "dialog_blocks.h"
#include "kill_point.h"
#include "locked.h"
#include "profiles.h"

namespace holdfast {

namespace {

DialogCold& cold_at(Segment& segment, const DialogRecord& record) noexcept {
  return *reinterpret_cast<DialogCold*>(segment.arena().bytes(record.cold));
}

Text tag_of(Segment& segment, const DialogRecord& record) noexcept {
  if (record.callee == 0) return {};
  return text_of(*reinterpret_cast<const CalleeLeg*>(segment.arena().bytes(record.callee)), kLegTag);
}

/// Blocks that are no dialog's yet; freed again unless they are kept.
class FreshBlocks {
 public:
  FreshBlocks(Arena& arena, Need need) noexcept : arena_(arena), need_(need) {}
  ~FreshBlocks() {
    for (std::uint32_t n = 0; n < count_; ++n) arena_.free(blocks_[n]);
  }
  FreshBlocks(const FreshBlocks&) = delete;
  FreshBlocks& operator=(const FreshBlocks&) = delete;
  /// 0: no memory.
  [[nodiscard]] Block take(std::size_t bytes) noexcept {
    Block block = 0;
    if (arena_.alloc(bytes, need_, &block) == Status::kOk) blocks_[count_++] = block;
    return block;
  }
  void keep() noexcept { count_ = 0; }

 private:
  Arena& arena_;
  Need need_;
  Block blocks_[5] = {};
  std::uint32_t count_ = 0;
};

}  // namespace

Family::Family(const Segment& segment, const DialogRecord& record, const DialogCold& numbers) noexcept {
  if (numbers.forked == 0) return;
  Bucket& bucket = segment.region<Bucket>(kRegionCallIdBuckets)[call_id_bucket(segment, record)];
  LockGuard chain(bucket.lock);
  for (std::uint32_t at = bucket.head; at != 0 && count_ < others_.size();
       at = segment.dialog(at).next_by_call_id) {
    const DialogRecord& other = segment.dialog(at);
    // An id is unique in its entry: nobody else has this one in the cookie.
    if (&other != &record && other.call_id == record.call_id && other.entry == record.entry &&
        other.cookie_id == record.cookie_id)
      others_[count_++] = at;
  }
}

Bequest::Bequest(Segment& segment, const DialogRecord& record, const DialogCold& numbers, bool ends) noexcept
    : segment_(&segment), members_(record.members), count_(numbers.member_count) {
  if (!ends || members_ == 0 || numbers.forked == 0) return;
  const Family family(segment, record, numbers);
  for (const std::uint32_t index : family.others()) {
    DialogRecord& other = segment.dialog(index);
    if (!counts_active(other.state)) continue;
    DialogCold& theirs = cold_at(segment, other);
    if (theirs.member_count > kMembersMax - count_) continue;
    heir_ = &other, heir_numbers_ = &theirs, heir_index_ = index;
    end_ = &other.members;
    while (*end_ != 0) end_ = &reinterpret_cast<MemberBlock*>(segment.arena().bytes(*end_))->next_of_record;
    return;
  }
}

void Bequest::save(Undo& undo) noexcept {
  if (heir_ == nullptr) return;
  undo.save(heir_, kDialogUndoBytes);
  undo.save(heir_numbers_, sizeof *heir_numbers_);
  if (end_ != &heir_->members) undo.save(end_, sizeof *end_);
}

void Bequest::hand_over() noexcept {
  if (heir_ == nullptr) return;
  *end_ = members_;
  HOLDFAST_KILL_POINT();
  heir_numbers_->member_count = static_cast<std::uint16_t>(heir_numbers_->member_count + count_);
  heir_->version += 1;
}

void Bequest::settle() noexcept {
  if (heir_ != nullptr) Profiles::move(*segment_, members_, heir_index_);
}

Status Table::fork(DialogHandle handle, const Change& leg, Words out, std::uint32_t from,
                   std::uint32_t by) noexcept {
  if (leg.callee_tag.empty() || leg.callee_tag.size() > kTextBytesMax ||
      leg.callee_contact.size() > kTextBytesMax || leg.callee_route_set.size() > kRouteSetBytesMax ||
      leg.callee_source.size() > kSourceBytesMax || leg.callee_socket > 0xffff)
    return Status::kOutOfRange;
  Locked first(*segment_, handle);
  if (!first) return Status::kNotFound;
  Segment& segment = *segment_;
  Arena& arena = segment.arena();
  DialogCold& theirs = cold(*first);
  if (!counts_active(first->state) && (first->state != kDeleted || theirs.start_ts == 0))
    return Status::kRefused;
  if (equal(tag_of(segment, *first), leg.callee_tag)) {
    fill(handle.index, kNone, out);
    return Status::kConflict;
  }
  const Family family(segment, *first, theirs);
  for (const std::uint32_t index : family.others()) {
    if (!equal(tag_of(segment, segment.dialog(index)), leg.callee_tag)) continue;
    fill(index, kNone, out);
    return Status::kConflict;
  }
  if (family.others().size() + 1 >= kForksMax) return Status::kLimit;

  std::uint32_t index = 0;
  if (segment.dialogs().take(Need::kCallIsUp, &index) != Status::kOk) return Status::kNoMemory;
  FreshBlocks fresh(arena, Need::kCallIsUp);
  const Status status = [&]() noexcept {
    const Text texts[kLegTextEnd] = {leg.callee_tag, leg.callee_contact, leg.callee_route_set,
                                     leg.callee_source};
    std::size_t leg_bytes = sizeof(CalleeLeg);
    for (const Text& text : texts) leg_bytes += text.size();
    const bool with_steps = by != 0;
    const std::size_t cold_bytes = bytes_of(theirs);
    const VariableBlock* variables =
        theirs.variables != 0 ? reinterpret_cast<const VariableBlock*>(arena.bytes(theirs.variables))
                              : nullptr;
    const std::size_t variable_bytes = variables != nullptr ? sizeof *variables + variables->bytes : 0;
    const Block cold_block = fresh.take(cold_bytes), leg_block = fresh.take(leg_bytes),
                variable_block = variable_bytes != 0 ? fresh.take(variable_bytes) : 0,
                extra_block = with_steps ? fresh.take(sizeof(DialogExtra)) : 0,
                steps_block = with_steps ? fresh.take(sizeof(CSeqSteps)) : 0;
    if (cold_block == 0 || leg_block == 0 || (variable_bytes != 0 && variable_block == 0) ||
        (with_steps && (extra_block == 0 || steps_block == 0)))
      return Status::kNoMemory;
    HOLDFAST_KILL_POINT();
    auto& numbers = *new (arena.bytes(cold_block)) DialogCold(theirs);
    std::memcpy(&numbers + 1, &theirs + 1, cold_bytes - sizeof numbers);
    numbers.start_ts = leg.start_ts;
    numbers.end_ts = 0;
    numbers.callee_cseq = kNoCSeq;
    numbers.callee_socket = static_cast<std::uint16_t>(leg.callee_socket);
    numbers.variables = variable_block;
    numbers.member_count = 0;
    numbers.marks = 0;
    numbers.forked = 1;
    numbers.extra = extra_block;
    if (variables != nullptr) std::memcpy(arena.bytes(variable_block), variables, variable_bytes);
    if (with_steps) {
      auto& steps = *new (arena.bytes(steps_block)) CSeqSteps{};
      steps.list[0].shift(from, by);
      auto& extra = *new (arena.bytes(extra_block)) DialogExtra{};
      extra.record = index;
      extra.steps = steps_block;
    }
    write(*new (arena.bytes(leg_block)) CalleeLeg{}, texts);

    DialogRecord& record = segment.dialog(index);
    record.version = 1;
    record.call_id = first->call_id;
    poke(record.entry, first->entry);
    record.bye_owed = 0;
    record.holds = 1;
    record.caller_tag = first->caller_tag;
    record.callee_tag = tag_hash(segment, leg.callee_tag);
    record.due = leg.due;
    record.members = 0;
    poke(record.cold, cold_block);
    poke(record.callee, leg_block);
    HOLDFAST_KILL_POINT();
    return enter(index);
  }();
  if (status != Status::kOk) {
    segment.dialogs().give(index);
    return status;
  }
  fresh.keep();
  DialogRecord& record = segment.dialog(index);
  record.cookie_id = first->cookie_id;
  theirs.forked = 1;  // a store by itself: without a sibling it says nothing
  HOLDFAST_KILL_POINT();
  poke(record.state, static_cast<std::uint8_t>(kConfirmedNoAck), std::memory_order_release);
  HOLDFAST_KILL_POINT();
  count_states(0, kConfirmedNoAck);
  if (record.due != 0) segment.dialog_wheel(segment.owner_of(record.entry)).arm(index, record.due);
  fill(index, kNone, out);
  return Status::kOk;
}

}  // namespace holdfast
