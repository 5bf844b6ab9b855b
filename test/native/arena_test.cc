// The arena: size classes, exact return of memory, the last tenth, rebuild from marks.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <random>

#include "segment_memory.h"

using namespace holdfast;

TEST_CASE("arena: classes are multiples of 32 up to 512 and never add more than a quarter beyond") {
  for (std::size_t bytes = 1; bytes <= 512; ++bytes)
    CHECK(Arena::class_bytes(bytes) == (bytes + 31) / 32 * 32);
  for (std::size_t bytes = 513; bytes <= 16 * 1024; ++bytes) {
    REQUIRE(Arena::class_bytes(bytes) >= bytes);
    REQUIRE(Arena::class_bytes(bytes) * 4 <= bytes * 5 + 4 * 32);
  }
  CHECK(Arena::class_bytes(kBlockBytesMax) == kBlockBytesMax);
}

TEST_CASE("arena: refuses sizes outside its bounds") {
  TestSegment t;
  Block block = 7;
  CHECK(t.segment->arena().alloc(0, Need::kNewCall, &block) == Status::kOutOfRange);
  CHECK(t.segment->arena().alloc(kBlockBytesMax + 1, Need::kCallIsUp, &block) == Status::kOutOfRange);
  CHECK(block == 7);
  t.segment->arena().free(0);
}

TEST_CASE("arena: blocks do not overlap, keep their bytes, and all chunks come back") {
  TestSegment t;
  Arena& arena = t.segment->arena();
  const std::uint32_t chunks = arena.free_chunks();
  CHECK(arena.used_bytes() == 0);
  for (std::uint32_t seed = 1; seed <= 3; ++seed) {
    std::mt19937 random(seed);
    std::map<Block, std::pair<std::size_t, std::uint8_t>> model;
    std::uint64_t used = 0;
    for (int step = 0; step < 4000; ++step) {
      if (model.empty() || random() % 100 < 55) {
        const std::size_t bytes = random() % 50 == 0 ? 1 + random() % kBlockBytesMax : 1 + random() % 900;
        Block block = 0;
        if (arena.alloc(bytes, Need::kCallIsUp, &block) != Status::kOk) continue;
        REQUIRE(model.count(block) == 0);
        REQUIRE(arena.capacity(block) == Arena::class_bytes(bytes));
        REQUIRE(arena.is_block(block, bytes));
        const auto fill = static_cast<std::uint8_t>(random());
        std::memset(arena.bytes(block), fill, bytes);
        model[block] = {bytes, fill};
        used += Arena::class_bytes(bytes);
      } else {
        auto at = model.begin();
        std::advance(at, random() % std::min<std::size_t>(model.size(), 64));
        const auto [bytes, fill] = at->second;
        const std::uint8_t* data = arena.bytes(at->first);
        REQUIRE(std::all_of(data, data + bytes, [fill = fill](std::uint8_t b) { return b == fill; }));
        arena.free(at->first);
        used -= Arena::class_bytes(bytes);
        model.erase(at);
      }
      REQUIRE(arena.used_bytes() == used);
    }
    ArenaMarks marks(arena.total_bytes());
    for (const auto& [block, rest] : model) REQUIRE(arena.mark(block, marks) == Status::kOk);
    CHECK(arena.verify(marks) == 0);
    for (const auto& [block, rest] : model) arena.free(block);
    CHECK(arena.used_bytes() == 0);
    CHECK(arena.free_chunks() == chunks);
    CHECK(arena.verify(ArenaMarks(arena.total_bytes())) == 0);
  }
}

TEST_CASE("arena: the last tenth of the chunks is for calls that are up") {
  TestSegment t;
  Arena& arena = t.segment->arena();
  const std::uint32_t chunks = arena.chunks(), reserve = Pool::reserve(chunks);
  REQUIRE(reserve >= 1);
  std::vector<Block> blocks;
  Block block = 0;
  while (arena.alloc(kBlockBytesMax, Need::kNewCall, &block) == Status::kOk) blocks.push_back(block);
  CHECK(blocks.size() == chunks - reserve);
  CHECK(arena.alloc(32, Need::kNewCall, &block) == Status::kNoMemory);
  while (arena.alloc(kBlockBytesMax, Need::kCallIsUp, &block) == Status::kOk) blocks.push_back(block);
  CHECK(blocks.size() == chunks);
  CHECK(arena.alloc(32, Need::kCallIsUp, &block) == Status::kNoMemory);
  for (const Block b : blocks) arena.free(b);
  CHECK(arena.free_chunks() == chunks);
}

TEST_CASE("arena: rebuild keeps what is marked and frees the rest") {
  TestSegment t;
  Arena& arena = t.segment->arena();
  std::mt19937 random(5);
  std::vector<std::pair<Block, std::size_t>> kept;
  ArenaMarks marks(arena.total_bytes());
  std::uint64_t used = 0;
  for (int n = 0; n < 3000; ++n) {
    const std::size_t bytes = 1 + random() % 700;
    Block block = 0;
    REQUIRE(arena.alloc(bytes, Need::kCallIsUp, &block) == Status::kOk);
    if (random() % 3 != 0) continue;
    REQUIRE(arena.mark(block, marks) == Status::kOk);
    CHECK(arena.mark(block, marks) == Status::kConflict);  // owned twice
    std::memset(arena.bytes(block), n & 0xff, bytes);
    kept.emplace_back(block, bytes);
    used += Arena::class_bytes(bytes);
  }
  CHECK(arena.verify(marks) != 0);  // the others are lost
  arena.rebuild(marks);
  CHECK(arena.verify(marks) == 0);
  CHECK(arena.used_bytes() == used);
  Block block = 0;
  for (int n = 0; n < 3000; ++n) {
    REQUIRE(arena.alloc(1 + random() % 700, Need::kCallIsUp, &block) == Status::kOk);
    REQUIRE_FALSE(marks.test(block));
  }
}

TEST_CASE("arena: marks nothing that is not a block") {
  TestSegment t;
  Arena& arena = t.segment->arena();
  ArenaMarks marks(arena.total_bytes());
  Block block = 0;
  REQUIRE(arena.alloc(96, Need::kNewCall, &block) == Status::kOk);
  for (const Block wrong : {Block{0}, block + 1, block + 2, Block{0xffffffff}, Block{4096 * 200 + 1},
                            Block{arena.chunks() * 4096}})
    CHECK(arena.mark(wrong, marks) == Status::kOutOfRange);
  CHECK_FALSE(arena.is_block(block, 97));
  CHECK(arena.is_block(block, 96));
}
