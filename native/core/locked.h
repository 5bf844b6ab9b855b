// core/locked.h - a dialog's record found by its handle or number, its entry locked (table.cc, profiles.cc).
#pragma once
#include <atomic>
#include <cstdint>

#include "segment.h"
#include "table.h"

namespace holdfast {

// Words that a thread may read without the entry's lock: whether a record is in use, whose it is, what a
// prefetch follows.
template <typename T>
[[nodiscard]] T peek(const T& word, std::memory_order order = std::memory_order_relaxed) noexcept {
  return std::atomic_ref(const_cast<T&>(word)).load(order);
}
template <typename T>
void poke(T& word, T value, std::memory_order order = std::memory_order_relaxed) noexcept {
  std::atomic_ref(word).store(value, order);
}

/// A record by its handle or index, its entry locked; empty if it is gone.
class Table::Locked {
 public:
  Locked(const Segment& segment, DialogHandle handle) noexcept
      : Locked(segment, handle.index, &handle.generation) {}
  Locked(const Segment& segment, std::uint32_t index) noexcept : Locked(segment, index, nullptr) {}
  ~Locked() {
    if (lock_ != nullptr) lock_->unlock();
  }
  Locked(const Locked&) = delete;
  Locked& operator=(const Locked&) = delete;

  explicit operator bool() const noexcept { return record_ != nullptr; }
  DialogRecord& operator*() const noexcept { return *record_; }
  DialogRecord* operator->() const noexcept { return record_; }

 private:
  Locked(const Segment& segment, std::uint32_t index, const std::uint32_t* generation) noexcept {
    if (index == 0 || index > segment.header().dialogs_max) return;
    DialogRecord& record = segment.dialog(index);
    // A record that is freed and made anew meanwhile may lie in another entry: look again under the lock.
    const std::uint32_t entry = peek(record.entry);
    Spinlock& lock = segment.entry_lock(entry);
    lock.lock();
    if (peek(record.state, std::memory_order_acquire) == 0 || peek(record.entry) != entry ||
        (generation != nullptr && peek(record.generation) != *generation)) {
      lock.unlock();
      return;
    }
    lock_ = &lock;
    record_ = &record;
  }

  Spinlock* lock_ = nullptr;
  DialogRecord* record_ = nullptr;
};

}  // namespace holdfast
