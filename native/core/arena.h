// core/arena.h - bounded blocks of text in the segment: Call-IDs, URIs, Route sets, received requests.
//
// The arena is cut into chunks of kChunkBytes; a chunk serves one size class while any of its blocks is in use and goes
// back to the pool of free chunks afterwards.  alloc and free cost O(1) under the class's spinlock (last in the lock
// order).  Which blocks are in use is derived: attach() marks those that records name and rebuilds the rest.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include "status.h"

namespace holdfast {

/// A block: its offset in the arena in units of kBlockUnitBytes, plus one; 0 is no block.
using Block = std::uint32_t;
inline constexpr std::size_t kBlockUnitBytes = 32;
inline constexpr std::size_t kChunkBytes = 128 * 1024;
inline constexpr std::size_t kBlockBytesMax = kChunkBytes;

/// Who asks: the last tenth of the arena is kept for requests of calls that are up.
enum class Need : std::uint8_t { kNewCall, kCallIsUp };

class Arena {
 public:
  /// Takes a block of at least `bytes` (1..kBlockBytesMax); its content is undefined.  kNoMemory, kOutOfRange.
  [[nodiscard]] Status alloc(std::size_t bytes, Need need, Block* out) noexcept;
  /// Gives a block back; 0 is allowed and does nothing.
  void free(Block block) noexcept;

  [[nodiscard]] std::uint8_t* bytes(Block block) noexcept;
  /// The size of the class that holds the block, in bytes.
  [[nodiscard]] std::size_t capacity(Block block) const noexcept;

  /// Bytes in blocks that are in use, each counted with its class size.
  [[nodiscard]] std::uint64_t used_bytes() const noexcept;
  [[nodiscard]] std::uint64_t total_bytes() const noexcept;

  // The rest (construction over a region, rebuild at attach, per-class figures) is the segment's business.
};

}  // namespace holdfast
