// What few dialogs need, or need for a moment (DialogExtra): CSeq numbers of our own, early legs, keep-alive.
#include "cseq.h"

#include <algorithm>
#include <cstring>

#include "dialog_blocks.h"
#include "kill_point.h"
#include "locked.h"
#include "segment.h"
#include "table.h"

namespace holdfast {

namespace {

bool is_direction(Direction direction) noexcept { return direction == kDownstream || direction == kUpstream; }

/// The number seen highest from the side that sends in `direction`, and which list that is.
std::uint32_t& highest_of(DialogCold& numbers, Direction direction) noexcept {
  return direction == kDownstream ? numbers.caller_cseq : numbers.callee_cseq;
}
std::uint32_t list_of(Direction direction) noexcept { return direction == kDownstream ? 0 : 1; }

std::uint32_t known(std::uint32_t number) noexcept { return number == kNoCSeq ? 0 : number; }

EarlyLeg& early_at(Arena& arena, Block block) noexcept {
  return *reinterpret_cast<EarlyLeg*>(arena.bytes(block));
}

/// The link that names the early leg of a tag, or the list's end.
Block* find_early(Arena& arena, DialogExtra& extra, Text tag) noexcept {
  Block* link = &extra.early;
  while (*link != 0 && !equal(text_of(early_at(arena, *link), kEarlyTag), tag))
    link = &early_at(arena, *link).next;
  return link;
}

}  // namespace

// ---- early legs ----

Status Table::early_leg(DialogHandle handle, const NewEarlyLeg& leg, Words out) noexcept {
  if (leg.tag.empty() || leg.tag.size() > kTextBytesMax || leg.contact.size() > kTextBytesMax ||
      leg.route_set.size() > kRouteSetBytesMax)
    return Status::kOutOfRange;
  Locked record(*segment_, handle);
  if (!record) return Status::kNotFound;
  if (record->state >= kConfirmedNoAck) return Status::kConflict;
  Arena& arena = segment_->arena();
  DialogCold& numbers = cold(*record);
  DialogExtra* extra = extra_of(numbers);
  const Text texts[kEarlyTextEnd] = {leg.tag, leg.contact, leg.route_set};
  Block* link = extra != nullptr ? find_early(arena, *extra, leg.tag) : nullptr;
  const Block old = link != nullptr ? *link : 0;
  if (old != 0) {
    const EarlyLeg& known = early_at(arena, old);
    if (equal(text_of(known, kEarlyContact), leg.contact) &&
        equal(text_of(known, kEarlyRouteSet), leg.route_set)) {  // as most of the 18x that follow the first
      fill(handle.index, kNone, out);
      return Status::kOk;
    }
  } else if (extra != nullptr && extra->early_legs >= kEarlyLegsMax) {
    return Status::kLimit;
  }

  const Need need = record->state >= kEarly ? Need::kCallIsUp : Need::kNewCall;
  std::size_t bytes = sizeof(EarlyLeg);
  for (const Text& text : texts) bytes += text.size();
  Block fresh = 0, fresh_extra = 0;
  if (arena.alloc(bytes, need, &fresh) != Status::kOk) return Status::kNoMemory;
  if (extra == nullptr) {
    if (make_extra(handle.index, need, &fresh_extra) != Status::kOk) {
      arena.free(fresh);
      return Status::kNoMemory;
    }
    extra = reinterpret_cast<DialogExtra*>(arena.bytes(fresh_extra));
  }
  if (old == 0) link = &extra->early;  // a new one goes first
  auto& block = *new (arena.bytes(fresh)) EarlyLeg{};
  block.next = old != 0 ? early_at(arena, old).next : extra->early;
  write(block, texts);
  HOLDFAST_KILL_POINT();
  undo_.save(&*record, kDialogUndoBytes);
  undo_.save(&numbers, sizeof numbers);
  if (fresh_extra == 0) save_truth(*extra);
  if (link != &extra->early) undo_.save(link, sizeof *link);
  undo_.mark();
  HOLDFAST_KILL_POINT();
  record->version += 1;
  *link = fresh;
  HOLDFAST_KILL_POINT();
  if (old == 0) extra->early_legs += 1;
  if (fresh_extra != 0) numbers.extra = fresh_extra;
  HOLDFAST_KILL_POINT();
  undo_.clear();
  HOLDFAST_KILL_POINT();
  arena.free(old);
  fill(handle.index, kNone, out);
  return Status::kOk;
}

Status Table::end_early_leg(DialogHandle handle, Text tag, Words out) noexcept {
  Locked record(*segment_, handle);
  if (!record) return Status::kNotFound;
  Arena& arena = segment_->arena();
  DialogCold& numbers = cold(*record);
  DialogExtra* extra = extra_of(numbers);
  Block* link = extra != nullptr ? find_early(arena, *extra, tag) : nullptr;
  if (link == nullptr || *link == 0) return Status::kNotFound;
  const Block old = *link;
  undo_.save(&*record, kDialogUndoBytes);
  undo_.save(&numbers, sizeof numbers);
  save_truth(*extra);
  if (link != &extra->early) undo_.save(link, sizeof *link);
  undo_.mark();
  HOLDFAST_KILL_POINT();
  record->version += 1;
  *link = early_at(arena, old).next;
  extra->early_legs -= 1;
  HOLDFAST_KILL_POINT();
  Block old_extra = 0;
  if (extra->empty()) {
    old_extra = numbers.extra;
    numbers.extra = 0;
  }
  HOLDFAST_KILL_POINT();
  undo_.clear();
  HOLDFAST_KILL_POINT();
  arena.free(old);
  drop_extra(handle.index, old_extra);
  fill(handle.index, kNone, out);
  return Status::kOk;
}

// ---- CSeq ----

CSeqSteps* Table::steps_of(const DialogCold& numbers) const noexcept {
  const DialogExtra* extra = extra_of(numbers);
  if (extra == nullptr || extra->steps == 0) return nullptr;
  return reinterpret_cast<CSeqSteps*>(segment_->arena().bytes(extra->steps));
}

template <class Change>
Status Table::change_steps(DialogHandle handle, Direction direction, Change&& change) noexcept {
  if (!is_direction(direction)) return Status::kOutOfRange;
  Locked record(*segment_, handle);
  if (!record) return Status::kNotFound;
  Arena& arena = segment_->arena();
  DialogCold& numbers = cold(*record);
  DialogExtra* extra = extra_of(numbers);
  CSeqSteps* steps = steps_of(numbers);
  const Need need = record->state >= kEarly ? Need::kCallIsUp : Need::kNewCall;
  Block fresh_extra = 0, fresh_steps = 0;
  if (extra == nullptr) {
    if (make_extra(handle.index, need, &fresh_extra) != Status::kOk) return Status::kNoMemory;
    extra = reinterpret_cast<DialogExtra*>(arena.bytes(fresh_extra));
  }
  if (steps == nullptr) {
    if (arena.alloc(sizeof(CSeqSteps), need, &fresh_steps) != Status::kOk) {
      arena.free(fresh_extra);
      return Status::kNoMemory;
    }
    steps = new (arena.bytes(fresh_steps)) CSeqSteps{};
  }
  HOLDFAST_KILL_POINT();
  undo_.save(&*record, kDialogUndoBytes);
  undo_.save(&numbers, sizeof numbers);
  if (fresh_extra == 0) save_truth(*extra);
  if (fresh_steps == 0) undo_.save(steps, sizeof *steps);
  undo_.mark();
  HOLDFAST_KILL_POINT();
  record->version += 1;
  change(steps->list[list_of(direction)], highest_of(numbers, direction));
  HOLDFAST_KILL_POINT();
  if (fresh_steps != 0) extra->steps = fresh_steps;
  HOLDFAST_KILL_POINT();
  if (fresh_extra != 0) numbers.extra = fresh_extra;
  HOLDFAST_KILL_POINT();
  undo_.clear();
  HOLDFAST_KILL_POINT();
  return Status::kOk;
}

Status Table::take_cseq(DialogHandle handle, Direction direction, std::uint32_t again,
                        std::uint32_t* number) noexcept {
  *number = 0;
  return change_steps(handle, direction, [&](CSeqStepList& list, std::uint32_t& highest) {
    if (again > known(highest)) highest = again;
    *number = list.take(known(highest), again);
  });
}

Status Table::shift_cseq(DialogHandle handle, Direction direction, std::uint32_t from,
                         std::uint32_t by) noexcept {
  return change_steps(handle, direction, [&](CSeqStepList& list, std::uint32_t& highest) {
    if (from > known(highest)) highest = from;
    list.shift(from, by);
  });
}

Status Table::map_cseq(DialogHandle handle, Direction direction, std::uint32_t received,
                       std::uint32_t* number) noexcept {
  *number = received;
  if (!is_direction(direction)) return Status::kOutOfRange;
  Locked record(*segment_, handle);
  if (!record) return Status::kNotFound;
  DialogCold& numbers = cold(*record);
  // One store: an own request that takes a number after this one takes a later number.
  std::uint32_t& highest = highest_of(numbers, direction);
  if (highest == kNoCSeq || received > highest) highest = received;
  if (const CSeqSteps* steps = steps_of(numbers); steps != nullptr)
    *number = steps->list[list_of(direction)].mapped(received);
  return Status::kOk;
}

Status Table::sent_cseq(DialogHandle handle, Direction direction, std::uint32_t* number) noexcept {
  *number = 0;
  if (!is_direction(direction)) return Status::kOutOfRange;
  Locked record(*segment_, handle);
  if (!record) return Status::kNotFound;
  DialogCold& numbers = cold(*record);
  const CSeqSteps* steps = steps_of(numbers);
  *number = known(highest_of(numbers, direction)) +
            (steps != nullptr ? steps->list[list_of(direction)].added() : 0);
  return Status::kOk;
}

// ---- keep-alive ----

std::uint32_t Table::advance_keep_alive(std::uint32_t owner, std::uint32_t now_boot,
                                        std::span<DialogHandle> out) noexcept {
  if (owner >= segment_->owners()) return 0;
  std::uint32_t records[kAdvanceNodesMax];
  Wheel wheel = segment_->keep_alive_wheel(owner);
  const std::uint32_t taken =
      wheel.advance(now_boot, {records, std::min<std::size_t>(out.size(), kAdvanceNodesMax)});
  std::uint32_t count = 0;
  for (std::uint32_t n = 0; n < taken; ++n) {
    Locked record(*segment_, records[n]);
    if (!record) continue;
    const DialogCold& numbers = cold(*record);
    const DialogExtra* extra = extra_of(numbers);
    if (extra == nullptr || extra->ka_due == 0) continue;
    if (extra->ka_due <= now_boot) out[count++] = {records[n], record->generation};
    wheel.arm(numbers.extra, std::max(extra->ka_due, now_boot + 1));
  }
  return count;
}

Status Table::probe_answered(DialogHandle handle, std::uint32_t side, bool failed,
                             std::uint32_t* failures) noexcept {
  *failures = 0;
  if (side != 1 && side != 2) return Status::kOutOfRange;
  Locked record(*segment_, handle);
  if (!record) return Status::kNotFound;
  if (record->state == kDeleted) return Status::kConflict;
  DialogCold& numbers = cold(*record);
  DialogExtra* extra = extra_of(numbers);
  Block fresh_extra = 0;
  if (extra == nullptr) {
    if (!failed) return Status::kOk;
    if (make_extra(handle.index, Need::kCallIsUp, &fresh_extra) != Status::kOk) return Status::kNoMemory;
    extra = reinterpret_cast<DialogExtra*>(segment_->arena().bytes(fresh_extra));
  }
  std::uint16_t& count = extra->ka_failures[side - 1];
  if (!failed && count == 0) return Status::kOk;  // as nearly every time
  HOLDFAST_KILL_POINT();
  undo_.save(&*record, kDialogUndoBytes);
  undo_.save(&numbers, sizeof numbers);
  if (fresh_extra == 0) save_truth(*extra);
  undo_.mark();
  HOLDFAST_KILL_POINT();
  record->version += 1;
  count = failed ? static_cast<std::uint16_t>(std::min(count + 1, 0xffff)) : std::uint16_t{0};
  *failures = count;
  Block old_extra = 0;
  if (fresh_extra != 0) {
    numbers.extra = fresh_extra;
  } else if (extra->empty()) {
    old_extra = numbers.extra;
    numbers.extra = 0;
  }
  HOLDFAST_KILL_POINT();
  undo_.clear();
  HOLDFAST_KILL_POINT();
  drop_extra(handle.index, old_extra);
  return Status::kOk;
}

}  // namespace holdfast
