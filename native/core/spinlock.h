// core/spinlock.h - a lock word in shared memory, held for a bounded copy and never by TypeScript.
#pragma once
#include <sched.h>
#include <atomic>
#include <cstdint>

namespace holdfast {

/// One word; 0 is free.  Yields the processor after kSpinsBeforeYield tries, so that two threads on one core
/// progress.
class Spinlock {
 public:
  void lock() noexcept {
    for (unsigned spins = 0;; ++spins) {
      if (word_.load(std::memory_order_relaxed) == 0 && word_.exchange(1, std::memory_order_acquire) == 0)
        return;
      if (spins >= kSpinsBeforeYield) sched_yield();
    }
  }
  void unlock() noexcept { word_.store(0, std::memory_order_release); }

 private:
  static constexpr unsigned kSpinsBeforeYield = 100;
  std::atomic<std::uint32_t> word_{0};
};
static_assert(sizeof(Spinlock) == 4);

class LockGuard {
 public:
  explicit LockGuard(Spinlock& lock) noexcept : lock_(lock) { lock_.lock(); }
  ~LockGuard() { lock_.unlock(); }
  LockGuard(const LockGuard&) = delete;
  LockGuard& operator=(const LockGuard&) = delete;

 private:
  Spinlock& lock_;
};

}  // namespace holdfast
