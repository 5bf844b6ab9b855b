// core/undo.h - makes a change of several words atomic against SIGKILL.
//
// Each thread has one slot in the segment.  save() copies the old bytes of a range into it, mark() says that
// the change has begun, clear() that it is whole.  attach() puts the ranges of marked slots back.  A thread
// stops at an instruction boundary, so compiler barriers suffice.  The caller holds whatever lock protects
// the ranges until clear().
#pragma once
#include <cstddef>
#include <cstdint>

namespace holdfast {

inline constexpr std::size_t kUndoRangesMax = 8;
inline constexpr std::size_t kUndoBytesMax = 1024;

struct UndoSlot;

class Undo {
 public:
  Undo() noexcept = default;
  /// `base`: where the segment is mapped here.
  Undo(UndoSlot* slot, std::uint8_t* base) noexcept : slot_(slot), base_(base) {}

  void save(void* range, std::size_t bytes) noexcept;  // asserts the two bounds above
  void mark() noexcept;
  void clear() noexcept;

  /// attach(): true unless a marked slot names bytes outside [begin, end) of the segment, or more than it
  /// keeps.
  [[nodiscard]] bool is_whole(std::uint64_t begin, std::uint64_t end) const noexcept;
  /// attach(): puts the ranges of a marked slot back; true if there were any.
  bool restore(std::uint64_t segment_bytes) noexcept;

 private:
  UndoSlot* slot_ = nullptr;
  std::uint8_t* base_ = nullptr;
};

}  // namespace holdfast
