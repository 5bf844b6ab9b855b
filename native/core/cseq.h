// core/cseq.h - CSeq numbers of a dialog that sends requests of its own [spec 4.3].
//
// Each own request takes the number after the highest that was sent; from then on what arrives with a number
// not seen before leaves with as many more.  Kept as steps: from a received number on, add this much.  Which
// number an earlier request left with never changes, so its retransmission, its ACK and its CANCEL map as it
// did.  Plain values without locks; the table keeps them (DialogExtra).
#pragma once
#include <cstdint>

namespace holdfast {

/// Steps kept for a direction; when another is needed the oldest goes, and only numbers before the second one
/// lose by it.
inline constexpr std::uint32_t kCSeqStepsMax = 8;

struct CSeqStep {
  std::uint32_t from;  // the first received number that it applies to
  std::uint32_t add;   // modulo 2^32; in the place of what the step before it adds
};

/// One direction, in order of `from`.
struct CSeqStepList {
  std::uint32_t count;
  CSeqStep step[kCSeqStepsMax];

  /// The number under which `received` is sent.
  [[nodiscard]] std::uint32_t mapped(std::uint32_t received) const noexcept;
  /// What the highest number received so far, and all after it, have been moved by.
  [[nodiscard]] std::uint32_t added() const noexcept { return count == 0 ? 0 : step[count - 1].add; }
  /// Takes the number after all that were sent when `highest` was the highest received.  `again`, not 0 and
  /// not over `highest`: that request is sent anew under the taken number, and maps to it from now on (its
  /// ACK).
  std::uint32_t take(std::uint32_t highest, std::uint32_t again) noexcept;
  /// Requests from `from` on left, and leave, with `by` more than the steps said: its dialog began with a
  /// renumbered request.
  void shift(std::uint32_t from, std::uint32_t by) noexcept;
};

/// Both directions: 0 downstream, 1 upstream.
struct CSeqSteps {
  CSeqStepList list[2];
};

}  // namespace holdfast
