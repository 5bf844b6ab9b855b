// The adaptive receive window on a made-up clock.
#include "net/window.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

using namespace holdfast::net;

namespace {

/// Traffic of `rate` datagrams per millisecond, received as the window says; returns the mean batch.
double mean_batch(Window& window, double rate, std::uint64_t* now, int receives) {
  double arrived = 0;
  std::uint32_t total = 0;
  for (int n = 0; n < receives; ++n) {
    const std::uint64_t wait = window.wait(*now);
    // Without a wait the loop sleeps until the next datagram, or finds what came while it worked.
    const auto missing = static_cast<std::uint64_t>(std::ceil(std::max(1 - arrived, 0.0) * 1000 / rate));
    const std::uint64_t passed = wait != 0 ? wait : missing;
    *now += passed;
    arrived += rate * static_cast<double>(passed) / 1000;
    const auto count = static_cast<std::uint32_t>(arrived);
    arrived -= count;
    window.received(count, *now);
    total += count;
    *now += 20;  // work
    arrived += rate * 0.02;
  }
  return static_cast<double>(total) / receives;
}

}  // namespace

TEST_CASE("window: 0 never waits") {
  Window window(0);
  std::uint64_t now = 1'000'000;
  (void)mean_batch(window, 50, &now, 100);
  CHECK(window.wait(now) == 0);
}

TEST_CASE("window: sparse traffic is never waited for") {
  Window window(2);
  std::uint64_t now = 1'000'000;
  CHECK(window.wait(now) == 0);
  CHECK(mean_batch(window, 0.5, &now, 200) == doctest::Approx(1).epsilon(0.05));
  CHECK(window.wait(now) == 0);
}

TEST_CASE("window: a call's burst does not make sparse traffic wait") {
  for (const double milliseconds : {0.5, 2.0, 20.0}) {
    Window window(milliseconds);
    std::uint64_t now = 1'000'000;
    for (int call = 0; call < 100; ++call) {
      for (int message = 0; message < 3; ++message) {  // INVITE, 100 and 180 within half a millisecond
        CHECK(window.wait(now) == 0);
        window.received(1, now);
        now += 250;
        CHECK(window.wait(now) == 0);
      }
      now += 500'000;
    }
    window.received(3, now);  // all three at once
    CHECK(window.wait(now) == 0);
  }
}

TEST_CASE("window: steady traffic opens it, and it closes again with the traffic") {
  Window window(2);
  std::uint64_t now = 1'000'000;
  CHECK(mean_batch(window, 2, &now, 200) > 3);
  CHECK(window.wait(now) > 0);
  (void)mean_batch(window, 0.5, &now, 100);
  CHECK(window.wait(now) == 0);
}

TEST_CASE("window: traffic that fills it gathers, and no wait is longer than the window") {
  Window window(2);
  std::uint64_t now = 1'000'000;
  CHECK(mean_batch(window, 4, &now, 200) > 6);
  CHECK(window.wait(now) > 0);
  CHECK(window.wait(now) <= 2000);
  CHECK(window.wait(now + 1500) < 500);
  CHECK(window.wait(now + 2000) == 0);  // it has passed already
}

TEST_CASE("window: after a pause the first datagram is not waited for, and soon neither are lone ones") {
  Window window(2);
  std::uint64_t now = 1'000'000;
  (void)mean_batch(window, 20, &now, 100);
  now += 60'000'000;
  CHECK(window.wait(now) == 0);
  CHECK(mean_batch(window, 0.1, &now, 50) == doctest::Approx(1).epsilon(0.2));
  CHECK(window.wait(now) == 0);
}

TEST_CASE("dense traffic waits no longer than until enough have come") {
  holdfast::net::Window window(2);
  std::uint64_t now = 1'000'000;
  for (int n = 0; n < 1000; ++n) window.received(30, now += 1'000);  // 30,000 a second
  CHECK(window.wait(now) > 400);
  CHECK(window.wait(now) < 700);
}
