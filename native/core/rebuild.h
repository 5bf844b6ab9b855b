// core/rebuild.h - what attach() and verify() ask of each kind of record (segment.cc calls in this order).
#pragma once
#include <cstdint>

#include "segment.h"
#include "table.h"

namespace holdfast {

struct Rebuild {
  Segment& segment;
  ArenaMarks& marks;
  Verification& found;
  bool timer_worker = true;  // attach(): the last owner number will be somebody's

  /// Marks a block that a record names; false, and counted, when it cannot be.
  bool mark(Block block) noexcept {
    if (segment.arena().mark(block, marks) == Status::kOk) return true;
    found.blocks += 1;
    return false;
  }
};

// attach(), before it changes a record: what cannot be so is counted as damage.  Blocks named twice are found
// later, when they are marked.
void check_dialogs(Rebuild& work) noexcept;
void check_transactions(Rebuild& work) noexcept;

// attach(), in this order.  A dialog's holds start at the table's own; what transactions name adds to them; a
// deleted dialog that nobody holds is gone.  A transaction goes to whoever owns its Call-ID now,
// one that the timer worker made to the timer worker if there is one; without Call-ID and owner it is
// dropped.  Blocks are marked, the arena is rebuilt, then come indexes, wheels, lists and counts.
void begin_dialogs(Rebuild& work) noexcept;
void mark_transactions(Rebuild& work) noexcept;
void mark_dialogs(Rebuild& work) noexcept;
void link_dialogs(Rebuild& work) noexcept;
void link_transactions(Rebuild& work) noexcept;
[[nodiscard]] Status link_members(Rebuild& work) noexcept;

/// A live transaction sends the BYE that an ended dialog owes this side.
void bye_is_sent(Segment& segment, std::uint32_t index, std::uint32_t side) noexcept;
/// A live transaction carries the BYE that ended the dialog: it is not awaited again.
void bye_is_under_way(Segment& segment, std::uint32_t index) noexcept;

// verify(): the same walks, without a change.
void verify_dialogs(Rebuild& work) noexcept;
void verify_transactions(Rebuild& work) noexcept;
void verify_members(Rebuild& work) noexcept;

}  // namespace holdfast
