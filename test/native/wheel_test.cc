// The timer wheel: nobody early, nobody passed over, bounded work.
#include "core/wheel.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <vector>

using namespace holdfast;

namespace {

struct TestWheel {
  explicit TestWheel(std::uint32_t nodes_max, std::uint32_t now = 0)
      : head(std::make_unique<WheelHead>()),
        nodes(nodes_max + 1),
        wheel(head.get(), nodes.data(), nodes_max) {
    wheel.reset(now);
  }
  /// Everything that is due at `now`, over as many advances as it takes.
  std::vector<std::uint32_t> all(std::uint32_t now) {
    std::vector<std::uint32_t> due;
    std::uint32_t out[kAdvanceNodesMax];
    do {
      const std::uint32_t count = wheel.advance(now, out);
      due.insert(due.end(), out, out + count);
    } while (wheel.behind(now));
    return due;
  }
  std::unique_ptr<WheelHead> head;
  std::vector<WheelNode> nodes;
  Wheel wheel;
};

}  // namespace

TEST_CASE("wheel: a timer comes at its tick, not before") {
  TestWheel t(4);
  t.wheel.arm(1, 10);
  CHECK(t.all(9).empty());
  CHECK(t.all(10) == std::vector<std::uint32_t>{1});
  CHECK(t.all(11).empty());
  CHECK(t.wheel.armed() == 0);
}

TEST_CASE("wheel: a tick that is past becomes the next one") {
  TestWheel t(4);
  CHECK(t.all(100).empty());
  t.wheel.arm(1, 50);
  t.wheel.arm(2, 100);
  CHECK(t.all(100).empty());
  CHECK(t.all(101).size() == 2);
}

TEST_CASE("wheel: moved later it stays where it is linked, moved earlier it comes earlier, cancelled never") {
  TestWheel t(4);
  t.wheel.arm(1, 10);
  t.wheel.arm(1, 20);
  CHECK(t.nodes[1].at == 10);
  CHECK(t.all(19).empty());
  CHECK(t.wheel.armed() == 1);
  CHECK(t.all(20) == std::vector<std::uint32_t>{1});
  t.wheel.arm(2, 40);
  t.wheel.arm(2, 30);
  CHECK(t.all(30) == std::vector<std::uint32_t>{2});
  t.wheel.arm(3, 50);
  t.wheel.cancel(3);
  t.wheel.cancel(3);
  CHECK(t.all(60).empty());
}

TEST_CASE("wheel: nodes that do not exist are nobody") {
  TestWheel t(4);
  t.wheel.arm(0, 10);
  t.wheel.arm(5, 10);
  t.wheel.cancel(0xffffffff);
  CHECK(t.all(20).empty());
}

TEST_CASE("wheel: a timer several turns ahead is passed by until its turn") {
  TestWheel t(4);
  const std::uint32_t due = 3 * kWheelSlots + 7;
  t.wheel.arm(1, due);
  for (std::uint32_t now = 0; now < due; now += 1000) CHECK(t.all(now).empty());
  CHECK(t.all(due - 1).empty());
  CHECK(t.all(due) == std::vector<std::uint32_t>{1});
}

TEST_CASE("wheel: after a long pause everybody comes, however many turns passed") {
  TestWheel t(1000);
  for (std::uint32_t n = 1; n <= 1000; ++n) t.wheel.arm(n, n * 97);
  const auto due = t.all(40 * kWheelSlots);
  CHECK(std::set(due.begin(), due.end()).size() == 1000);
  t.wheel.arm(1, 40 * kWheelSlots + 5);
  CHECK(t.all(40 * kWheelSlots + 5).size() == 1);
}

TEST_CASE("wheel: one advance is bounded, the next goes on in the middle of a slot") {
  TestWheel t(3000);
  for (std::uint32_t n = 1; n <= 1000; ++n) t.wheel.arm(n, 5);
  for (std::uint32_t n = 1001; n <= 3000; ++n) t.wheel.arm(n, 5 + kWheelSlots);
  std::uint32_t out[kAdvanceNodesMax];
  CHECK(t.wheel.advance(5, out) == kAdvanceNodesMax);
  CHECK(t.wheel.behind(5));
  t.wheel.cancel(out[0]);                                          // no longer in it
  for (std::uint32_t n = 1; n <= 1000; n += 2) t.wheel.cancel(n);  // among them the one where it goes on
  const auto rest = t.all(5);
  CHECK(std::all_of(rest.begin(), rest.end(), [](std::uint32_t n) { return n <= 1000 && n % 2 == 0; }));
  CHECK(t.wheel.armed() == 2000);
  CHECK(t.all(5 + kWheelSlots).size() == 2000);
}

TEST_CASE("wheel: what is armed while a slot is walked is not lost") {
  TestWheel t(2000);
  for (std::uint32_t n = 1; n <= 600; ++n) t.wheel.arm(n, 5);
  std::uint32_t out[kAdvanceNodesMax];
  std::uint32_t taken = t.wheel.advance(5, out);
  t.wheel.arm(1000, 5);
  t.wheel.arm(1001, 5 + kWheelSlots);
  do taken += t.wheel.advance(5, out);
  while (t.wheel.behind(5));
  CHECK(taken == 600);
  CHECK(t.all(6) == std::vector<std::uint32_t>{1000});
}

TEST_CASE("wheel: ticks may pass 2^32") {
  const std::uint32_t start = 0xfffffff0;
  TestWheel t(4, start);
  t.wheel.arm(1, start + 8);
  t.wheel.arm(2, start + 16);  // tick 0
  t.wheel.arm(3, start + 40);
  CHECK(t.all(start + 7).empty());
  CHECK(t.all(start + 8) == std::vector<std::uint32_t>{1});
  CHECK(t.all(start + 30) == std::vector<std::uint32_t>{2});
  CHECK(t.all(start + 40) == std::vector<std::uint32_t>{3});
}

TEST_CASE("wheel: quiet_ticks never reaches past a timer") {
  TestWheel t(4);
  CHECK(t.wheel.quiet_ticks(0, 100) == 100);
  t.wheel.arm(1, 30);
  CHECK(t.wheel.quiet_ticks(0, 100) == 30);
  CHECK(t.wheel.quiet_ticks(0, 20) == 20);
  CHECK(t.wheel.quiet_ticks(31, 100) == 0);  // behind
}

TEST_CASE("wheel: random arming, moving, cancelling and pauses agree with a map") {
  std::mt19937 random(7);
  TestWheel t(200);
  std::map<std::uint32_t, std::uint32_t> due;  // node -> tick
  std::uint32_t now = 0;
  for (int step = 0; step < 20'000; ++step) {
    const std::uint32_t node = 1 + random() % 200;
    switch (random() % 4) {
      case 0:
      case 1: {
        const std::uint32_t at = now + 1 + random() % (random() % 50 == 0 ? 3 * kWheelSlots : 300);
        t.wheel.arm(node, at);
        due[node] = at;
        break;
      }
      case 2:
        t.wheel.cancel(node);
        due.erase(node);
        break;
      default:
        now += random() % (random() % 100 == 0 ? 2 * kWheelSlots : 40);
        for (const std::uint32_t taken : t.all(now)) {
          REQUIRE(due.contains(taken));
          CHECK(due[taken] <= now);
          due.erase(taken);
        }
        for (const auto& [left, at] : due) CHECK(at > now);
    }
  }
  CHECK(t.wheel.armed() == due.size());
}
