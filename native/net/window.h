// net/window.h - the adaptive receive window: whether waiting a little brings a bigger batch.
//
// A wake-up costs several times what a datagram costs, so below saturation it pays to let a few gather.  The
// rate is an average over the last receives; while traffic is sparse nothing is waited for, so a lone call is
// not delayed.
#pragma once
#include <algorithm>
#include <cstdint>

namespace holdfast::net {

class Window {
 public:
  /// So many datagrams must be likely to come within the window.
  static constexpr double kExpectedMin = 2.0;

  /// 0: never waits.
  explicit Window(double milliseconds) noexcept : microseconds_(milliseconds * 1000) {}

  /// A receive at `now` (microseconds of a clock that never goes back) brought `count` datagrams.
  void received(std::uint32_t count, std::uint64_t now) noexcept {
    const double passed = static_cast<double>(std::max<std::uint64_t>(now - last_, 1));
    rate_ += kWeight * (count / passed - rate_);
    last_ = now;
  }

  /// Microseconds to wait before the next receive, counted from the one before; 0: receive now.
  [[nodiscard]] std::uint64_t wait(std::uint64_t now) const noexcept {
    if (microseconds_ <= 0 || rate_ * microseconds_ < kExpectedMin) return 0;
    const double passed = static_cast<double>(now - last_);
    return passed >= microseconds_ ? 0 : static_cast<std::uint64_t>(microseconds_ - passed);
  }

 private:
  static constexpr double kWeight = 0.25;  // of the newest receive in the average
  double microseconds_, rate_ = 0;         // datagrams per microsecond
  std::uint64_t last_ = 0;
};

}  // namespace holdfast::net
