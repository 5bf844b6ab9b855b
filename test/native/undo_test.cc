// Undo slots: a change that was not finished is put back, one that was stays.
#include <doctest/doctest.h>

#include <cstring>

#include "segment_memory.h"

using namespace holdfast;

TEST_CASE("undo: ranges of a marked slot are put back, others are left") {
  TestSegment t;
  Block block = 0;
  REQUIRE(t.segment->arena().alloc(256, Need::kNewCall, &block) == Status::kOk);
  std::uint8_t* bytes = t.segment->arena().bytes(block);
  std::memset(bytes, 'a', 256);
  Undo undo = t.segment->undo(3);

  SUBCASE("marked: wholly old") {
    undo.save(bytes, 56);
    undo.save(bytes + 100, 64);
    undo.mark();
    std::memset(bytes, 'b', 200);
    CHECK(t.segment->undo(3).restore(t.segment->total_bytes()));
    CHECK(std::string(bytes, bytes + 56) == std::string(56, 'a'));
    CHECK(std::string(bytes + 56, bytes + 100) == std::string(44, 'b'));  // was not saved
    CHECK(std::string(bytes + 100, bytes + 164) == std::string(64, 'a'));
    CHECK_FALSE(undo.restore(t.segment->total_bytes()));
  }
  SUBCASE("saved, not marked yet: nothing was changed, nothing is put back") {
    undo.save(bytes, 56);
    std::memset(bytes, 'b', 56);
    CHECK_FALSE(t.segment->undo(3).restore(t.segment->total_bytes()));
    CHECK(bytes[0] == 'b');
  }
  SUBCASE("cleared: wholly new") {
    undo.save(bytes, 56);
    undo.mark();
    std::memset(bytes, 'b', 56);
    undo.clear();
    CHECK_FALSE(t.segment->undo(3).restore(t.segment->total_bytes()));
    CHECK(bytes[55] == 'b');
  }
  SUBCASE("the slots of two threads do not mix") {
    Undo other = t.segment->undo(4);
    undo.save(bytes, 8);
    other.save(bytes + 8, 8);
    undo.mark();
    std::memset(bytes, 'b', 16);
    for (std::uint32_t thread = 0; thread < kThreadsMax; ++thread)
      t.segment->undo(thread).restore(t.segment->total_bytes());
    CHECK(bytes[0] == 'a');
    CHECK(bytes[8] == 'b');
  }
  SUBCASE("a slot that names what is not in the segment writes nothing") {
    undo.save(bytes, 8);
    undo.mark();
    std::memset(bytes, 'b', 8);
    t.segment->undo(3).restore(16);  // as if the file were that short
    CHECK(bytes[0] == 'b');
  }
}

TEST_CASE("undo: the bounds are usable to the full, again and again") {
  TestSegment t;
  Block block = 0;
  REQUIRE(t.segment->arena().alloc(kUndoBytesMax, Need::kNewCall, &block) == Status::kOk);
  std::uint8_t* bytes = t.segment->arena().bytes(block);
  Undo undo = t.segment->undo(0);
  for (int round = 0; round < 3; ++round) {
    for (std::size_t n = 0; n < kUndoRangesMax; ++n)
      undo.save(bytes + n * 256, kUndoBytesMax / kUndoRangesMax);
    undo.mark();
    undo.clear();
  }
  CHECK_FALSE(undo.restore(t.segment->total_bytes()));
}
