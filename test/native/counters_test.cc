// Statistics: one block per thread, summed on reading; spec 10.1 says which may be reset.
#include "core/counters.h"

#include <doctest/doctest.h>

#include <set>
#include <string>

#include "segment_memory.h"

using namespace holdfast;

TEST_CASE("counters: what threads count is summed, up and down") {
  TestSegment t;
  Counters first(*t.segment, 0), second(*t.segment, 1), main(*t.segment, kMainThread);
  first.add(kCounterRcvRequests);
  second.add(kCounterRcvRequests, 4);
  CHECK(main.value(kCounterRcvRequests) == 5);
  first.add(kCounterActiveDialogs);
  second.subtract(kCounterActiveDialogs);  // ended by another thread than the one that began it
  CHECK(main.value(kCounterActiveDialogs) == 0);
  second.add(kCounterEnd);
  second.add(0xffffffff);
  CHECK(main.value(kCounterEnd) == 0);
}

TEST_CASE("counters: reset where spec 10.1 allows it") {
  TestSegment t;
  Counters counters(*t.segment, 0);
  for (const char* name : {"dialog:processed_dialogs", "dialog:expired_dialogs", "dialog:failed_dialogs"}) {
    const std::uint32_t counter = Counters::find(name);
    REQUIRE(counter < kCounterEnd);
    counters.add(counter, 7);
    CHECK(counters.reset(counter));
    CHECK(counters.value(counter) == 0);
    counters.add(counter);
    CHECK(counters.value(counter) == 1);
  }
  for (const char* name : {"dialog:active_dialogs", "dialog:early_dialogs"}) {
    const std::uint32_t counter = Counters::find(name);
    REQUIRE(counter < kCounterEnd);
    counters.add(counter, 7);
    CHECK_FALSE(counters.reset(counter));
    CHECK(counters.value(counter) == 7);
  }
  CHECK(Counters::find("dialog:nonsense") == kCounterEnd);
  CHECK_FALSE(counters.reset(kCounterEnd));
}

TEST_CASE("counters: names and constants are each used once") {
  std::set<std::string_view> names, constants;
  for (std::uint32_t n = 0; n < kCounterEnd; ++n) {
    CHECK(names.insert(counter_row(n).name).second);
    CHECK(constants.insert(counter_row(n).constant).second);
    CHECK(counter_row(n).name.find(':') != std::string_view::npos);
  }
}
