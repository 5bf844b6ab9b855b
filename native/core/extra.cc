// What few dialogs need, or need for a moment (DialogExtra): CSeq numbers of our own, early legs, keep-alive.
#include "cseq.h"

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

}  // namespace

// ---- CSeq ----

CSeqSteps* Table::steps_of(const DialogCold& numbers) const noexcept {
  const DialogExtra* extra = extra_of(numbers);
  if (extra == nullptr || extra->steps == 0) return nullptr;
  return reinterpret_cast<CSeqSteps*>(segment_->arena().bytes(extra->steps));
}

Status Table::take_cseq(DialogHandle handle, Direction direction, std::uint32_t again,
                        std::uint32_t* number) noexcept {
  *number = 0;
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
  std::uint32_t& highest = highest_of(numbers, direction);
  if (again > known(highest)) highest = again;
  *number = steps->list[list_of(direction)].take(known(highest), again);
  HOLDFAST_KILL_POINT();
  if (fresh_steps != 0) extra->steps = fresh_steps;
  HOLDFAST_KILL_POINT();
  if (fresh_extra != 0) numbers.extra = fresh_extra;
  HOLDFAST_KILL_POINT();
  undo_.clear();
  HOLDFAST_KILL_POINT();
  return Status::kOk;
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

}  // namespace holdfast
