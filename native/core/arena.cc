#include "arena.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <new>

#include "kill_point.h"
#include "layout.h"
#include "pool.h"

namespace holdfast {

namespace {

constexpr std::size_t kUnitsPerChunk = kChunkBytes / kBlockUnitBytes;

// Multiples of the unit up to 512 bytes, then four steps for each doubling up to 4 KiB, then parts of a
// chunk.
struct Classes {
  std::array<std::uint32_t, kArenaClassesMax> bytes{};
  std::uint32_t count = 0;
  std::array<std::uint8_t, kUnitsPerChunk + 1> of_units{};

  constexpr Classes() {
    for (std::uint32_t size = 32; size <= 512; size += 32) bytes[count++] = size;
    for (std::uint32_t base = 512; base < 4096; base *= 2)
      for (std::uint32_t step = 1; step <= 4; ++step) bytes[count++] = base + step * base / 4;
    for (std::uint32_t parts : {28, 25, 21, 18, 16, 14, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1})
      bytes[count++] = static_cast<std::uint32_t>(kChunkBytes) / parts / 32 * 32;
    std::uint8_t at = 0;
    for (std::size_t units = 0; units <= kUnitsPerChunk; ++units) {
      while (bytes[at] < units * kBlockUnitBytes) ++at;
      of_units[units] = at;
    }
  }
};
constexpr Classes kClasses;
static_assert(kClasses.count <= kArenaClassesMax && kClasses.bytes[kClasses.count - 1] == kChunkBytes);

std::uint32_t class_of(std::size_t bytes) noexcept {
  return kClasses.of_units[(bytes + kBlockUnitBytes - 1) / kBlockUnitBytes];
}

std::uint32_t load(std::uint32_t& word) noexcept {
  return std::atomic_ref(word).load(std::memory_order_relaxed);
}

}  // namespace

ArenaMarks::ArenaMarks(std::uint64_t arena_bytes) noexcept
    : bits_(new(std::nothrow) std::uint64_t[arena_bytes / kBlockUnitBytes / 64 + 1]()) {}

void Arena::reset_classes() noexcept {
  for (std::uint32_t n = 0; n < kClasses.count; ++n) {
    ArenaClass& line = *new (&classes_[n]) ArenaClass{};
    line.block_bytes = kClasses.bytes[n];
    line.blocks_per_chunk = static_cast<std::uint32_t>(kChunkBytes / line.block_bytes);
  }
}

void Arena::reset() noexcept {
  reset_classes();
  for (std::uint32_t n = 0; n < chunks_; ++n) table_[n] = {};
  new (pool_) PoolLine{};
  pool_->max = chunks_;
}

Status Arena::take_chunk(Need need, std::uint32_t* chunk) noexcept {
  LockGuard guard(pool_->lock);
  if (pool_->used >= (need == Need::kNewCall ? pool_->max - Pool::reserve(pool_->max) : pool_->max))
    return Status::kNoMemory;
  if (pool_->free_head != 0) {
    *chunk = pool_->free_head - 1;
    pool_->free_head = table_[*chunk].next;
  } else {
    *chunk = pool_->carved++;
  }
  std::atomic_ref(pool_->used).store(pool_->used + 1, std::memory_order_relaxed);
  return Status::kOk;
}

void Arena::give_chunk(std::uint32_t chunk) noexcept {
  LockGuard guard(pool_->lock);
  table_[chunk] = {};
  table_[chunk].next = pool_->free_head;
  pool_->free_head = chunk + 1;
  std::atomic_ref(pool_->used).store(pool_->used - 1, std::memory_order_relaxed);
}

void Arena::put_on_list(ArenaClass& line, std::uint32_t chunk) noexcept {
  ArenaChunk& entry = table_[chunk];
  entry.previous = 0;
  entry.next = line.partial;
  if (line.partial != 0) table_[line.partial - 1].previous = chunk + 1;
  line.partial = chunk + 1;
}

void Arena::take_off_list(ArenaClass& line, std::uint32_t chunk) noexcept {
  ArenaChunk& entry = table_[chunk];
  if (entry.next != 0) table_[entry.next - 1].previous = entry.previous;
  (entry.previous != 0 ? table_[entry.previous - 1].next : line.partial) = entry.next;
  entry.next = entry.previous = 0;
}

ArenaChunk& Arena::chunk_of(Block block) const noexcept { return table_[(block - 1) / kUnitsPerChunk]; }

std::uint32_t& Arena::link(std::uint32_t chunk, std::uint32_t number,
                           std::size_t block_bytes) const noexcept {
  return *reinterpret_cast<std::uint32_t*>(base_ + chunk * kChunkBytes + number * block_bytes);
}

Status Arena::alloc(std::size_t bytes, Need need, Block* out) noexcept {
  if (bytes == 0 || bytes > kBlockBytesMax) return Status::kOutOfRange;
  const std::uint32_t number = class_of(bytes);
  ArenaClass& line = classes_[number];
  LockGuard guard(line.lock);
  if (line.partial == 0) {
    std::uint32_t chunk = 0;
    if (const Status status = take_chunk(need, &chunk); status != Status::kOk) return status;
    table_[chunk] = {};
    table_[chunk].size_class = static_cast<std::uint16_t>(number + 1);
    put_on_list(line, chunk);
  }
  const std::uint32_t chunk = line.partial - 1;
  ArenaChunk& entry = table_[chunk];
  std::uint32_t slot;
  if (entry.free_block != 0) {
    slot = entry.free_block - 1;
    entry.free_block = link(chunk, slot, line.block_bytes);
  } else {
    slot = entry.carved++;
  }
  if (++entry.used == line.blocks_per_chunk) take_off_list(line, chunk);
  line.used.store(line.used.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  *out = static_cast<Block>(chunk * kUnitsPerChunk + slot * (line.block_bytes / kBlockUnitBytes) + 1);
  return Status::kOk;
}

bool Arena::has_room(std::span<const std::size_t> bytes) const noexcept {
  const std::uint32_t chunks = free_chunks();
  if (chunks >= bytes.size()) return true;
  std::uint32_t wanted_chunks = 0;
  for (std::size_t n = 0; n < bytes.size(); ++n) {
    if (bytes[n] == 0 || bytes[n] > kBlockBytesMax) return false;
    const std::uint32_t number = class_of(bytes[n]);
    const auto is_same = [number](std::size_t other) { return other != 0 && class_of(other) == number; };
    if (std::any_of(bytes.begin(), bytes.begin() + n, is_same)) continue;  // counted with the first of its class
    auto wanted = static_cast<std::uint32_t>(std::count_if(bytes.begin() + n, bytes.end(), is_same));
    ArenaClass& line = classes_[number];
    LockGuard guard(line.lock);
    // Every chunk of the list has a block, so that this takes no more steps than blocks are wanted.
    for (std::uint32_t at = line.partial; at != 0 && wanted != 0; at = table_[at - 1].next)
      wanted -= std::min(wanted, line.blocks_per_chunk - table_[at - 1].used);
    wanted_chunks += (wanted + line.blocks_per_chunk - 1) / line.blocks_per_chunk;
  }
  return wanted_chunks <= chunks;
}

void Arena::free(Block block) noexcept {
  if (block == 0) return;
  const auto chunk = static_cast<std::uint32_t>((block - 1) / kUnitsPerChunk);
  ArenaChunk& entry = table_[chunk];
  assert(chunk < chunks_ && entry.size_class != 0);
  ArenaClass& line = classes_[entry.size_class - 1];
  LockGuard guard(line.lock);
  const auto units = static_cast<std::uint32_t>((block - 1) % kUnitsPerChunk);
  const std::uint32_t slot = units / (line.block_bytes / kBlockUnitBytes);
  assert(slot * (line.block_bytes / kBlockUnitBytes) == units && entry.used > 0);
  if (entry.used == line.blocks_per_chunk) put_on_list(line, chunk);
  link(chunk, slot, line.block_bytes) = entry.free_block;
  entry.free_block = slot + 1;
  line.used.store(line.used.load(std::memory_order_relaxed) - 1, std::memory_order_relaxed);
  if (--entry.used == 0) {
    take_off_list(line, chunk);
    give_chunk(chunk);
  }
}

std::uint8_t* Arena::bytes(Block block) noexcept {
  return base_ + static_cast<std::size_t>(block - 1) * kBlockUnitBytes;
}

std::size_t Arena::capacity(Block block) const noexcept {
  return classes_[chunk_of(block).size_class - 1].block_bytes;
}

std::uint64_t Arena::used_bytes() const noexcept {
  std::uint64_t sum = 0;
  for (std::uint32_t n = 0; n < kClasses.count; ++n)
    sum += std::uint64_t{classes_[n].used.load(std::memory_order_relaxed)} * classes_[n].block_bytes;
  return sum;
}

std::uint64_t Arena::total_bytes() const noexcept { return std::uint64_t{chunks_} * kChunkBytes; }

std::uint32_t Arena::free_chunks() const noexcept { return chunks_ - load(pool_->used); }

std::uint32_t Arena::used_blocks(std::size_t bytes) const noexcept {
  return classes_[class_of(bytes)].used.load(std::memory_order_relaxed);
}

std::size_t Arena::class_bytes(std::size_t bytes) noexcept { return kClasses.bytes[class_of(bytes)]; }

bool Arena::is_block(Block block, std::size_t bytes) const noexcept {
  if (block == 0 || (block - 1) / kUnitsPerChunk >= chunks_) return false;
  const std::uint32_t size_class = chunk_of(block).size_class;
  if (size_class == 0 || size_class > kClasses.count || kClasses.bytes[size_class - 1] < bytes) return false;
  const std::size_t units = (block - 1) % kUnitsPerChunk;
  const std::size_t block_units = kClasses.bytes[size_class - 1] / kBlockUnitBytes;
  return units % block_units == 0 && units + block_units <= kUnitsPerChunk;
}

Status Arena::mark(Block block, ArenaMarks& marks) const noexcept {
  if (!is_block(block, 1)) return Status::kOutOfRange;
  if (marks.test(block)) return Status::kConflict;
  marks.set(block);
  return Status::kOk;
}

void Arena::rebuild(const ArenaMarks& marks) noexcept {
  reset_classes();
  new (pool_) PoolLine{};
  pool_->max = pool_->carved = pool_->used = chunks_;
  for (std::uint32_t chunk = chunks_; chunk-- > 0;) {
    ArenaChunk& entry = table_[chunk];
    const std::uint32_t size_class = entry.size_class;
    // Not size_class, which is truth: whoever attaches after a kill would find blocks of no chunk.
    entry.used = entry.carved = 0;
    entry.free_block = entry.next = entry.previous = 0;
    HOLDFAST_KILL_POINT();
    if (size_class != 0 && size_class <= kClasses.count) {
      ArenaClass& line = classes_[size_class - 1];
      const std::size_t units = line.block_bytes / kBlockUnitBytes;
      for (std::uint32_t slot = line.blocks_per_chunk; slot-- > 0;) {
        if (marks.test(static_cast<Block>(chunk * kUnitsPerChunk + slot * units + 1))) {
          entry.used += 1;
          if (entry.carved == 0) entry.carved = static_cast<std::uint16_t>(slot + 1);
        } else if (entry.carved != 0) {
          link(chunk, slot, line.block_bytes) = entry.free_block;
          entry.free_block = slot + 1;
        }
      }
      line.used.fetch_add(entry.used, std::memory_order_relaxed);
      if (entry.used != 0 && entry.used < line.blocks_per_chunk) put_on_list(line, chunk);
    }
    if (entry.used == 0) give_chunk(chunk);
    HOLDFAST_KILL_POINT();
  }
}

std::uint32_t Arena::verify(const ArenaMarks& marks) const noexcept {
  std::uint32_t wrong = 0, used_chunks = 0;
  std::array<std::uint32_t, kArenaClassesMax> used{};
  for (std::uint32_t chunk = 0; chunk < chunks_; ++chunk) {
    const ArenaChunk& entry = table_[chunk];
    if (entry.size_class == 0) continue;
    used_chunks += 1;
    const ArenaClass& line = classes_[entry.size_class - 1];
    const std::size_t units = line.block_bytes / kBlockUnitBytes;
    std::uint32_t marked = 0, free_blocks = 0;
    for (std::uint32_t slot = 0; slot < line.blocks_per_chunk; ++slot)
      marked += marks.test(static_cast<Block>(chunk * kUnitsPerChunk + slot * units + 1)) ? 1 : 0;
    for (std::uint32_t slot = entry.free_block; slot != 0; slot = link(chunk, slot - 1, line.block_bytes)) {
      if (slot > entry.carved || ++free_blocks > line.blocks_per_chunk) {
        wrong += 1;  // a broken or endless list
        break;
      }
      if (marks.test(static_cast<Block>(chunk * kUnitsPerChunk + (slot - 1) * units + 1))) wrong += 1;
    }
    wrong += marked > entry.used ? marked - entry.used : entry.used - marked;
    if (entry.used + free_blocks != entry.carved) wrong += 1;
    used[entry.size_class - 1] += entry.used;
  }
  for (std::uint32_t n = 0; n < kClasses.count; ++n)
    if (used[n] != classes_[n].used.load(std::memory_order_relaxed)) wrong += 1;
  // Every chunk is in use, on the list of free ones, or was never touched.
  std::uint32_t free_chunks = 0;
  for (std::uint32_t chunk = pool_->free_head; chunk != 0 && free_chunks <= chunks_;
       chunk = table_[chunk - 1].next) {
    free_chunks += 1;
    if (table_[chunk - 1].size_class != 0) wrong += 1;
  }
  if (used_chunks != pool_->used || free_chunks + pool_->used != pool_->carved) wrong += 1;
  return wrong;
}

}  // namespace holdfast
