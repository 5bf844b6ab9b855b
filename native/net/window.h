// net/window.h - the adaptive receive window: whether waiting a little brings a bigger batch.
//
// A wake-up costs several times what a datagram costs, so below saturation it pays to let a few gather.  The
// rate is an average over time, not over receives: a call's few messages within a millisecond do not open the
// window, so a lone call is not delayed; steady traffic does within some tens of milliseconds.
#pragma once
#include <algorithm>
#include <cstdint>

namespace holdfast::net {

class Window {
 public:
  /// So many datagrams must be likely to come within the window.
  static constexpr double kExpectedMin = 2.0;
  /// And no longer than until so many are likely to have come.
  static constexpr double kEnough = 16.0;

  /// 0: never waits.
  explicit Window(double milliseconds) noexcept
      : microseconds_(milliseconds * 1000), span_(std::max(kSpanMin, kSpanWindows * microseconds_)) {}

  /// A receive at `now` (microseconds of a clock that never goes back) brought `count` datagrams.
  void received(std::uint32_t count, std::uint64_t now) noexcept {
    const double passed = static_cast<double>(std::max<std::uint64_t>(now - last_, 1));
    rate_ += (count - passed * rate_) / (passed + span_);
    last_ = now;
  }

  /// Microseconds to wait before the next receive, counted from the one before; 0: receive now.
  [[nodiscard]] std::uint64_t wait(std::uint64_t now) const noexcept {
    if (microseconds_ <= 0 || rate_ * microseconds_ < kExpectedMin) return 0;
    // A wake-up shared by so many costs next to nothing: waiting for more would only delay them.
    const double window = std::min(microseconds_, kEnough / rate_);
    const double passed = static_cast<double>(now - last_);
    return passed >= window ? 0 : static_cast<std::uint64_t>(window - passed);
  }

 private:
  // What the average looks back over: a burst of n alone promises n / kSpanWindows datagrams per window.
  static constexpr double kSpanMin = 20'000, kSpanWindows = 10;  // microseconds; windows
  double microseconds_, span_, rate_ = 0;                        // rate_: datagrams per microsecond
  std::uint64_t last_ = 0;
};

}  // namespace holdfast::net
