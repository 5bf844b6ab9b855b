// core/wheel.h - the timer wheel: one level of kWheelSlots slots, each a list of nodes.
//
// A tick is whatever its owner counts in: 1 s for dialogs, 10 ms for transactions.  A node that lies more
// than one turn ahead stays in its slot and is passed by until its tick has come.  Arming, moving and
// cancelling cost O(1); moving a timer to a later tick is one store (the node is put right when its old tick
// comes).  Ticks are compared by their signed difference, so the wheel works past 2^32.
//
// Head and nodes lie in shared memory and are derived: at attach they are reset and every live record is
// armed again. A wheel is armed by its shard and advanced by whoever keeps the time, under one spinlock; no
// allocation.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

#include "spinlock.h"
#include "status.h"

namespace holdfast {

inline constexpr std::uint32_t kWheelSlots = 16384;
/// The bounds of one advance: what it hands out, the nodes it looks at and the slots it walks.
inline constexpr std::uint32_t kAdvanceNodesMax = 256;
inline constexpr std::uint32_t kAdvanceLooksMax = 4096;
inline constexpr std::uint32_t kAdvanceSlotsMax = 4096;

struct WheelNode {
  std::uint32_t next, prev;  // 0: the end, and the beginning, of a slot's list
  std::uint32_t at;          // the tick under which the node is linked; 0: not linked
  std::uint32_t due;         // the tick it was armed for; not earlier than `at`
};
static_assert(sizeof(WheelNode) == 16);

struct alignas(64) WheelHead {
  Spinlock lock;
  std::uint32_t done;     // every slot up to this tick has been walked
  std::uint32_t walking;  // 1 while slot done + 1 is walked over several advances ...
  std::uint32_t cursor;   // ... and where it goes on, 0: at its end
  std::uint32_t armed;    // nodes linked
  std::uint32_t reserved[11];
  std::uint32_t first[kWheelSlots];
};

/// A view over a head and the nodes it shares with other wheels (a node is in one wheel at most).  Node 0 is
/// not used.
class Wheel {
 public:
  Wheel() noexcept = default;
  Wheel(WheelHead* head, WheelNode* nodes, std::uint32_t nodes_max) noexcept
      : head_(head), nodes_(reinterpret_cast<std::uint8_t*>(nodes)), nodes_max_(nodes_max) {}
  /// Nodes that stand at the beginning of blocks, each with a word behind it: advance() hands out that word.
  /// It is read under the wheel's lock, and whoever frees a block cancels its node first.
  [[nodiscard]] static Wheel of_blocks(WheelHead* head, std::uint8_t* node0, std::uint32_t bytes_each,
                                       std::uint32_t nodes_max) noexcept {
    Wheel wheel(head, reinterpret_cast<WheelNode*>(node0), nodes_max);
    wheel.bytes_each_ = bytes_each;
    wheel.named_ = true;
    return wheel;
  }

  /// Empties the wheel; ticks up to `now` count as walked.  The nodes of its owner must be zeroed by the
  /// caller.
  void reset(std::uint32_t now) noexcept;

  /// Arms or moves the timer of `node` to tick `due`; a tick already walked becomes the next one.  `node`
  /// is 1..nodes_max.
  void arm(std::uint32_t node, std::uint32_t due) noexcept;
  /// Disarms; does nothing to a node that is not armed.
  void cancel(std::uint32_t node) noexcept;

  /// Takes nodes whose tick is not later than `now` out of the wheel, at most out.size() and
  /// kAdvanceNodesMax, earliest slot first; returns how many.  Work is bounded by the constants above: after
  /// a pause, or when many are due at once, further calls go on where this one stopped (behind(now) tells).
  /// Nobody is passed over, however long the pause.
  [[nodiscard]] std::uint32_t advance(std::uint32_t now, std::span<std::uint32_t> out) noexcept;
  /// True while advance(now) has not walked everything up to `now`.
  [[nodiscard]] bool behind(std::uint32_t now) const noexcept;

  /// Ticks from `now` until a slot with nodes in it comes, looking at most `ahead` (<= kWheelSlots) slots;
  /// `ahead` if none.
  [[nodiscard]] std::uint32_t quiet_ticks(std::uint32_t now, std::uint32_t ahead) const noexcept;
  [[nodiscard]] std::uint32_t armed() const noexcept;
  /// The last tick that was walked.
  [[nodiscard]] std::uint32_t walked() const noexcept;

 private:
  [[nodiscard]] WheelNode& at(std::uint32_t node) const noexcept {
    return *reinterpret_cast<WheelNode*>(nodes_ + std::size_t{node} * bytes_each_);
  }
  void link(std::uint32_t node, std::uint32_t due) noexcept;
  void unlink(std::uint32_t node) noexcept;

  WheelHead* head_ = nullptr;
  std::uint8_t* nodes_ = nullptr;
  std::uint32_t nodes_max_ = 0;
  std::uint32_t bytes_each_ = sizeof(WheelNode);
  bool named_ = false;
};

}  // namespace holdfast
