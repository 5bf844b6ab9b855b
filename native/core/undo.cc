#include "undo.h"

#include <atomic>
#include <cassert>
#include <cstring>

#include "kill_point.h"
#include "layout.h"

namespace holdfast {

namespace {
// The process stops between two instructions, never between a store and its visibility to a later process.
void in_order() noexcept { std::atomic_signal_fence(std::memory_order_seq_cst); }
}  // namespace

void Undo::save(void* range, std::size_t bytes) noexcept {
  assert(slot_->marked == 0 && slot_->ranges < kUndoRangesMax && slot_->bytes + bytes <= kUndoBytesMax);
  const auto offset = static_cast<std::uint64_t>(static_cast<std::uint8_t*>(range) - base_);
  slot_->range[slot_->ranges] = {offset, bytes};
  std::memcpy(slot_->saved + slot_->bytes, range, bytes);
  slot_->bytes += static_cast<std::uint32_t>(bytes);
  slot_->ranges += 1;
}

void Undo::mark() noexcept {
  in_order();
  *const_cast<volatile std::uint32_t*>(&slot_->marked) = 1;
  in_order();
}

void Undo::clear() noexcept {
  in_order();
  *const_cast<volatile std::uint32_t*>(&slot_->marked) = 0;
  in_order();
  slot_->ranges = slot_->bytes = 0;
}

bool Undo::is_whole(std::uint64_t begin, std::uint64_t end) const noexcept {
  if (slot_->marked == 0) return true;
  if (slot_->marked != 1 || slot_->ranges > kUndoRangesMax) return false;
  std::uint64_t room = kUndoBytesMax;
  for (std::uint32_t n = 0; n < slot_->ranges; ++n) {
    const UndoRange& range = slot_->range[n];
    if (range.bytes > room || range.offset < begin || range.offset > end || range.bytes > end - range.offset)
      return false;
    room -= range.bytes;
  }
  return true;
}

bool Undo::restore(std::uint64_t segment_bytes) noexcept {
  const bool marked = slot_->marked != 0 && slot_->ranges <= kUndoRangesMax;
  if (marked) {
    const std::uint8_t* saved = slot_->saved;
    const std::uint8_t* end = slot_->saved + kUndoBytesMax;
    for (std::uint32_t n = 0; n < slot_->ranges; ++n) {
      const UndoRange& range = slot_->range[n];
      if (range.bytes > static_cast<std::size_t>(end - saved) || range.offset > segment_bytes ||
          range.bytes > segment_bytes - range.offset)
        break;
      std::memcpy(base_ + range.offset, saved, range.bytes);
      saved += range.bytes;
      HOLDFAST_KILL_POINT();
    }
  }
  in_order();  // the mark stays until all is back: a kill before that does it again
  *const_cast<volatile std::uint32_t*>(&slot_->marked) = 0;
  in_order();
  HOLDFAST_KILL_POINT();
  slot_->ranges = slot_->bytes = 0;
  return marked;
}

}  // namespace holdfast
