// core/family.h - the dialogs that one INVITE forked into: same entry, same Call-ID, the first one's id in
// the cookie.
#pragma once
#include <array>
#include <cstdint>
#include <span>

#include "layout.h"
#include "segment.h"
#include "table.h"
#include "undo.h"

namespace holdfast {

/// The others of a record's family, oldest first; their entry, which is the record's, is locked.
class Family {
 public:
  Family(const Segment& segment, const DialogRecord& record, const DialogCold& numbers) noexcept;
  [[nodiscard]] std::span<const std::uint32_t> others() const noexcept {
    return std::span(others_).first(count_);
  }

 private:
  std::array<std::uint32_t, kSameCallIdMax> others_;
  std::uint32_t count_ = 0;
};

/// The memberships of a record that ends go to one of its family that is up, in the same undo-protected step.
class Bequest {
 public:
  /// Nothing to do unless the record `ends`, has memberships and a living relative.
  Bequest(Segment& segment, const DialogRecord& record, const DialogCold& numbers, bool ends) noexcept;
  explicit operator bool() const noexcept { return heir_ != nullptr; }

  void save(Undo& undo) noexcept;  // before mark()
  void hand_over() noexcept;       // between mark() and clear()
  void settle() noexcept;          // after clear(): what is derived

 private:
  Segment* segment_;
  DialogRecord* heir_ = nullptr;
  DialogCold* heir_numbers_ = nullptr;
  Block* end_ = nullptr;  // of the heir's list
  Block members_ = 0;
  std::uint32_t heir_index_ = 0;
  std::uint16_t count_ = 0;
};

}  // namespace holdfast
