// core/arena.h - bounded blocks of text in the segment: Call-IDs, URIs, Route sets, received requests.
//
// The arena is cut into chunks of kChunkBytes; a chunk serves one size class while any of its blocks is in
// use and goes back to the pool of free chunks afterwards.  alloc and free cost O(1) under the class's
// spinlock (last in the lock order).  Which blocks are in use is derived: attach() marks those that records
// name and rebuilds the rest.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
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

struct ArenaClass;
struct ArenaChunk;
struct PoolLine;

/// Which blocks are named by a record: one bit for each unit, in this process's own memory (attach, verify).
class ArenaMarks {
 public:
  explicit ArenaMarks(std::uint64_t arena_bytes) noexcept;
  [[nodiscard]] bool ready() const noexcept { return bits_ != nullptr; }  // false: no memory for it
  [[nodiscard]] bool test(Block block) const noexcept { return (bits_[word(block)] & bit(block)) != 0; }
  void set(Block block) noexcept { bits_[word(block)] |= bit(block); }

 private:
  static std::size_t word(Block block) noexcept { return (block - 1) / 64; }
  static std::uint64_t bit(Block block) noexcept { return std::uint64_t{1} << ((block - 1) % 64); }
  std::unique_ptr<std::uint64_t[]> bits_;
};

class Arena {
 public:
  Arena() noexcept = default;
  /// Over regions of the segment (layout.h); `chunks` of kChunkBytes each from `base` on.
  Arena(ArenaClass* classes, ArenaChunk* table, PoolLine* pool, std::uint8_t* base,
        std::uint32_t chunks) noexcept
      : classes_(classes), table_(table), pool_(pool), base_(base), chunks_(chunks) {}
  /// Empties everything.
  void reset() noexcept;

  /// Takes a block of at least `bytes` (1..kBlockBytesMax); its content is undefined.  kNoMemory,
  /// kOutOfRange.
  [[nodiscard]] Status alloc(std::size_t bytes, Need need, Block* out) noexcept;
  /// Whether blocks for all these lengths could be taken now, for calls that are up.  Another thread may be faster.
  [[nodiscard]] bool has_room(std::span<const std::size_t> bytes) const noexcept;
  /// Gives a block back; 0 is allowed and does nothing.
  void free(Block block) noexcept;

  [[nodiscard]] std::uint8_t* bytes(Block block) noexcept;
  /// The size of the class that holds the block, in bytes.
  [[nodiscard]] std::size_t capacity(Block block) const noexcept;

  /// Bytes in blocks that are in use, each counted with its class size.
  [[nodiscard]] std::uint64_t used_bytes() const noexcept;
  [[nodiscard]] std::uint64_t total_bytes() const noexcept;

  [[nodiscard]] std::uint32_t chunks() const noexcept { return chunks_; }
  [[nodiscard]] std::uint32_t free_chunks() const noexcept;
  /// Blocks in use of the class that holds `bytes`.
  [[nodiscard]] std::uint32_t used_blocks(std::size_t bytes) const noexcept;
  [[nodiscard]] static std::size_t class_bytes(std::size_t bytes) noexcept;

  /// True if `block` begins a block of a chunk in use that holds `bytes`.
  [[nodiscard]] bool is_block(Block block, std::size_t bytes) const noexcept;
  /// Marks a block that a record names.  kOutOfRange: there is no such block; kConflict: another record names
  /// it too.
  [[nodiscard]] Status mark(Block block, ArenaMarks& marks) const noexcept;
  /// attach(): everything that is not marked becomes free.
  void rebuild(const ArenaMarks& marks) noexcept;
  /// Blocks that are in use and not marked, marked and free, or on a broken list; 0 is sound.  Nobody else
  /// may work.
  [[nodiscard]] std::uint32_t verify(const ArenaMarks& marks) const noexcept;

 private:
  ArenaChunk& chunk_of(Block block) const noexcept;
  std::uint32_t& link(std::uint32_t chunk, std::uint32_t number, std::size_t block_bytes) const noexcept;
  void put_on_list(ArenaClass& line, std::uint32_t chunk) noexcept;
  void take_off_list(ArenaClass& line, std::uint32_t chunk) noexcept;
  [[nodiscard]] Status take_chunk(Need need, std::uint32_t* chunk) noexcept;
  void give_chunk(std::uint32_t chunk) noexcept;
  void reset_classes() noexcept;

  ArenaClass* classes_ = nullptr;
  ArenaChunk* table_ = nullptr;
  PoolLine* pool_ = nullptr;
  std::uint8_t* base_ = nullptr;
  std::uint32_t chunks_ = 0;
};

}  // namespace holdfast
