// net/slots.h - one worker's memory, drawn byte by byte: where datagrams land and where TypeScript writes.
//
//     0          the parser module's own stack and data kParserReservedBytes kSlotsAt   kSlots receive slots:
//     2,048 bytes and padding, stride kSlotStride kWordsAt   kSlots areas of parser words kOverflowAt  per
//     slot: 2,048 bytes of headroom, 65,536 bytes, padding kScratchAt   header text written by TypeScript
//     kScratchBytes kMemoryBytes
//
// A datagram is received into its slot and, from byte 2,048 on, into the slot's overflow area; if it is that
// long its beginning is copied into the headroom, so that the message is contiguous wherever it lies.  Pages
// never touched cost nothing: free slots are handed out last in, first out.
#pragma once
#include <cstddef>
#include <cstdint>

#include "../sip-parser/sip_parser.h"

namespace holdfast::net {

inline constexpr std::uint32_t kBatchMax = 64;  // datagrams
inline constexpr std::uint32_t kSlots = 1088;   // kBatchMax, 512 kept by routes that wait, 512 by requests that wait for a host name
inline constexpr std::uint32_t kPaddingBytes = 64;
static_assert(kPaddingBytes >= SIP_PADDING);

inline constexpr std::uint32_t kSlotBytes = 2048;
inline constexpr std::uint32_t kSlotStride = kSlotBytes + kPaddingBytes;
inline constexpr std::uint32_t kSlotsAt = SIP_PARSER_RESERVED_BYTES;

inline constexpr std::uint32_t kWordsBytes = SIP_WORDS * 4;
inline constexpr std::uint32_t kWordsAt = kSlotsAt + kSlots * kSlotStride;

inline constexpr std::uint32_t kHeadroomBytes = kSlotBytes;
inline constexpr std::uint32_t kOverflowBytes = 65536;
inline constexpr std::uint32_t kOverflowStride = kHeadroomBytes + kOverflowBytes + kPaddingBytes;
inline constexpr std::uint32_t kOverflowAt = kWordsAt + kSlots * kWordsBytes;

inline constexpr std::uint32_t kScratchBytes = 1536 * 1024;
inline constexpr std::uint32_t kScratchAt = kOverflowAt + kSlots * kOverflowStride;

inline constexpr std::uint32_t kWasmPageBytes = 65536;
inline constexpr std::uint32_t kMemoryBytes =
    (kScratchAt + kScratchBytes + kPaddingBytes + kWasmPageBytes - 1) / kWasmPageBytes * kWasmPageBytes;
static_assert(kSlotStride % 64 == 0 && kWordsAt % 64 == 0 && kOverflowAt % 64 == 0 && kScratchAt % 64 == 0);

[[nodiscard]] constexpr std::uint32_t slot_at(std::uint32_t slot) noexcept {
  return kSlotsAt + slot * kSlotStride;
}
[[nodiscard]] constexpr std::uint32_t words_at(std::uint32_t slot) noexcept {
  return kWordsAt + slot * kWordsBytes;
}
/// The second part of a long datagram; its headroom lies before.
[[nodiscard]] constexpr std::uint32_t overflow_at(std::uint32_t slot) noexcept {
  return kOverflowAt + slot * kOverflowStride + kHeadroomBytes;
}

/// Which slots are free, which belong to the batch in hand, which are kept beyond it.
class Slots {
 public:
  explicit Slots(std::uint8_t* memory) noexcept : memory_(memory) {
    for (std::uint32_t n = 0; n < kSlots; ++n) free_[n] = static_cast<std::uint16_t>(kSlots - 1 - n);
  }

  [[nodiscard]] std::uint32_t free_count() const noexcept { return free_count_; }
  /// The slot that take() would give after `ahead` others; ahead < free_count().
  [[nodiscard]] std::uint32_t peek(std::uint32_t ahead) const noexcept {
    return free_[free_count_ - 1 - ahead];
  }
  /// Takes a free slot for the batch in hand; free_count() > 0.
  std::uint32_t take() noexcept {
    const std::uint32_t slot = free_[--free_count_];
    state_[slot] = kInBatch;
    return slot;
  }
  /// The batch is done with the slot; it is free unless it is kept.
  void done(std::uint32_t slot) noexcept { leave(slot, kInBatch); }
  /// Keeps a slot of the batch; false if it is not in the batch, or kept already.
  [[nodiscard]] bool keep(std::uint32_t slot) noexcept {
    if (slot >= kSlots || state_[slot] != kInBatch) return false;
    state_[slot] |= kKept;
    return true;
  }
  /// False if it was not kept.
  [[nodiscard]] bool release(std::uint32_t slot) noexcept {
    if (slot >= kSlots || !(state_[slot] & kKept)) return false;
    leave(slot, kKept);
    return true;
  }

  [[nodiscard]] std::uint8_t* memory() const noexcept { return memory_; }

 private:
  enum State : std::uint8_t { kInBatch = 1, kKept = 2 };
  void leave(std::uint32_t slot, State state) noexcept {
    if (!(state_[slot] & state)) return;
    state_[slot] = static_cast<std::uint8_t>(state_[slot] & ~state);
    if (state_[slot] == 0) free_[free_count_++] = static_cast<std::uint16_t>(slot);
  }

  std::uint8_t* memory_;
  std::uint32_t free_count_ = kSlots;
  std::uint16_t free_[kSlots];
  std::uint8_t state_[kSlots] = {};
};

}  // namespace holdfast::net
