#include "clock.h"

#include <time.h>

namespace holdfast {

namespace {
constexpr std::uint64_t kMillisecondsPerTick = 10;
}

std::uint64_t boot_milliseconds() noexcept {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1000 + static_cast<std::uint64_t>(now.tv_nsec) / 1'000'000;
}

std::uint32_t unix_seconds() noexcept {
  timespec now{};
  clock_gettime(CLOCK_REALTIME_COARSE, &now);
  return static_cast<std::uint32_t>(now.tv_sec);
}

void Clock::begin(std::uint64_t made_boot_ms, const ManualTime* manual) noexcept {
  made_boot_ms_ = made_boot_ms;
  manual_ = manual;
  read();
}

void Clock::read() noexcept {
  std::uint64_t since_made = 0;
  if (manual_) {
    since_made = manual_->milliseconds.load(std::memory_order_relaxed);
    unix_seconds_ = kManualUnixStart + static_cast<std::uint32_t>(since_made / 1000);
  } else {
    const std::uint64_t now = boot_milliseconds();
    since_made = now > made_boot_ms_ ? now - made_boot_ms_ : 0;
    unix_seconds_ = holdfast::unix_seconds();
  }
  tick_ = static_cast<std::uint32_t>(since_made / kMillisecondsPerTick);
  boot_seconds_ = static_cast<std::uint32_t>((made_boot_ms_ + since_made) / 1000);
  show();
}

}  // namespace holdfast
