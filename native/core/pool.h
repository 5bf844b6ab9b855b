// core/pool.h - which records of one kind are free: a list through a word of each record, and a mark up to
// which any were ever in use.  O(1) under the pool's spinlock; derived, rebuilt at attach.
#pragma once
#include <cstdint>
#include <new>

#include "layout.h"
#include "status.h"

namespace holdfast {

class Pool {
 public:
  Pool() noexcept = default;
  /// `links`: the link word of record 0; the next record's lies `stride_words` further.
  Pool(PoolLine* line, std::uint32_t* links, std::uint32_t stride_words) noexcept
      : line_(line), links_(links), stride_words_(stride_words) {}

  /// The last tenth, rounded up; none of a handful.
  [[nodiscard]] static constexpr std::uint32_t reserve(std::uint32_t max) noexcept {
    return max < 4 ? 0 : (max + 9) / 10;
  }

  void reset(std::uint32_t max) noexcept {
    new (line_) PoolLine{};
    line_->max = max;
  }

  /// Takes a record that is free.  kNoMemory: none is, or (for a new call) only the last tenth.
  [[nodiscard]] Status take(Need need, std::uint32_t* index) noexcept {
    LockGuard guard(line_->lock);
    if (line_->used >= (need == Need::kNewCall ? line_->max - reserve(line_->max) : line_->max))
      return Status::kNoMemory;
    if (line_->free_head != 0) {
      *index = line_->free_head;
      line_->free_head = link(*index);
    } else {
      *index = line_->carved + 1;
      std::atomic_ref(line_->carved).store(*index, std::memory_order_release);
    }
    add_used(1);
    return Status::kOk;
  }

  void give(std::uint32_t index) noexcept {
    LockGuard guard(line_->lock);
    link(index) = line_->free_head;
    line_->free_head = index;
    add_used(-1u);
  }

  /// Attach: all is empty but the records that were carved; each of them is then either given or counted.
  /// `carved` is truth: it is never cleared, not for an instruction.
  void rebuild(std::uint32_t max) noexcept {
    new (&line_->lock) Spinlock();  // a process that was killed may have held it
    line_->free_head = 0;
    line_->max = max;
    line_->used = line_->carved;
  }

  [[nodiscard]] std::uint32_t carved() const noexcept {
    return std::atomic_ref(line_->carved).load(std::memory_order_acquire);
  }
  [[nodiscard]] std::uint32_t used() const noexcept {
    return std::atomic_ref(line_->used).load(std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint32_t max() const noexcept { return line_->max; }
  [[nodiscard]] std::uint32_t& link(std::uint32_t index) const noexcept {
    return links_[static_cast<std::size_t>(index) * stride_words_];
  }
  [[nodiscard]] std::uint32_t free_head() const noexcept { return line_->free_head; }

 private:
  void add_used(std::uint32_t amount) noexcept {
    std::atomic_ref(line_->used).store(line_->used + amount, std::memory_order_relaxed);
  }

  PoolLine* line_ = nullptr;
  std::uint32_t* links_ = nullptr;
  std::uint32_t stride_words_ = 0;
};

}  // namespace holdfast
