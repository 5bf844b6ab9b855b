// core/clock.h - what time it is for one shard: the machine's clocks, or one that a test moves.
#pragma once
#include <atomic>
#include <cstdint>

namespace holdfast {

/// Milliseconds of CLOCK_BOOTTIME, which goes on while the machine sleeps and never goes back.
[[nodiscard]] std::uint64_t boot_milliseconds() noexcept;
/// Seconds since 1970.
[[nodiscard]] std::uint32_t unix_seconds() noexcept;

/// A clock that stands still until it is moved; shared by the shards of one memory wire.
struct ManualTime {
  std::atomic<std::uint64_t> milliseconds{0};  // since the segment was made
};

/// Ticks, seconds since boot and seconds since 1970, as of the last read(): the packet path reads it once per
/// batch.
class Clock {
 public:
  static constexpr std::uint32_t kManualUnixStart = 1'700'000'000;

  /// `made_boot_ms`: when the segment was made.  With `manual` the machine's clocks are not asked.
  void begin(std::uint64_t made_boot_ms, const ManualTime* manual) noexcept;
  void read() noexcept;
  /// From now on read() writes tick, boot seconds and Unix seconds to `words` too, for whoever reads them often.
  void publish(std::uint32_t* words) noexcept {
    words_ = words;
    show();
  }

  [[nodiscard]] std::uint32_t tick() const noexcept { return tick_; }
  [[nodiscard]] std::uint32_t boot_seconds() const noexcept { return boot_seconds_; }
  [[nodiscard]] std::uint32_t unix_seconds() const noexcept { return unix_seconds_; }

 private:
  void show() noexcept {
    if (words_ == nullptr) return;
    words_[0] = tick_;
    words_[1] = boot_seconds_;
    words_[2] = unix_seconds_;
  }

  std::uint32_t* words_ = nullptr;
  std::uint64_t made_boot_ms_ = 0;
  const ManualTime* manual_ = nullptr;
  std::uint32_t tick_ = 0, boot_seconds_ = 0, unix_seconds_ = 0;
};

}  // namespace holdfast
