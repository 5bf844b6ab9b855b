// net/backlog.h - whether a shard keeps up with what arrives.
//
// A full batch alone says little: a burst fills one too.  So a shard is asked how long it has not found its queues
// empty, and only after kLookMicroseconds of that how old what comes out is: a look costs a system call or two.
#pragma once
#include <algorithm>
#include <cstdint>

namespace holdfast::net {

/// What is waited for was lost: the queue is longer than its buffer, so its age says too little.
inline constexpr std::uint32_t kOverflowed = 0xffffffff;

class Backlog {
 public:
  static constexpr std::uint64_t kLookMicroseconds = 5'000;

  /// A receive at `now` (microseconds of a clock that never goes back) emptied the queues, or left some behind.
  void received(bool is_empty, std::uint64_t now) noexcept {
    if (is_empty) {
      since_ = 0;
    } else if (since_ == 0) {
      since_ = std::max<std::uint64_t>(now, 1);
    }
    passed_ = since_ == 0 ? 0 : now - std::min(since_, now);
  }

  /// Microseconds since the queues were last found empty; 0: they are.
  [[nodiscard]] std::uint64_t passed() const noexcept { return passed_; }
  [[nodiscard]] bool is_look_due() const noexcept { return passed_ >= kLookMicroseconds; }

 private:
  std::uint64_t since_ = 0, passed_ = 0;
};

}  // namespace holdfast::net
