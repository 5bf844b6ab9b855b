// core/rebuild.h - what attach() and verify() ask of each kind of record (segment.cc calls in this order).
#pragma once
#include <cstdint>

#include "segment.h"

namespace holdfast {

struct Rebuild {
  Segment& segment;
  ArenaMarks& marks;
  Verification& found;

  /// Marks a block that a record names; false, and counted, when it cannot be.
  bool mark(Block block) noexcept {
    if (segment.arena().mark(block, marks) == Status::kOk) return true;
    found.blocks += 1;
    return false;
  }
};

// attach(): 1. every live record's blocks are marked; holds of dialogs start at the table's own, and transactions add
// theirs; 2. what nobody needs is dropped, the arena is rebuilt, 3. indexes, wheels, lists and counts are made anew.
void mark_dialogs(Rebuild& work) noexcept;
void mark_transactions(Rebuild& work) noexcept;
void link_dialogs(Rebuild& work) noexcept;
void link_transactions(Rebuild& work) noexcept;
[[nodiscard]] Status link_members(Rebuild& work) noexcept;

// verify(): the same walks, without a change.
void verify_dialogs(Rebuild& work) noexcept;
void verify_transactions(Rebuild& work) noexcept;
void verify_members(Rebuild& work) noexcept;

}  // namespace holdfast
