// core/dialog_blocks.h - how the texts of a dialog's blocks lie, for the files that write them (table.cc,
// extra.cc, family.cc).
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "layout.h"
#include "segment.h"
#include "table.h"

namespace holdfast {

inline bool equal(Text a, Text b) noexcept {
  return a.size() == b.size() && (a.empty() || !std::memcmp(a.data(), b.data(), a.size()));
}

inline std::uint8_t* put(std::uint8_t* at, Text text) noexcept {
  if (!text.empty()) std::memcpy(at, text.data(), text.size());
  return at + text.size();
}

/// A text of a cold block or of a leg: the bytes of the texts before it stand before it.
template <typename BlockType>
Text text_of(const BlockType& block, std::uint32_t number) noexcept {
  const auto* at = reinterpret_cast<const std::uint8_t*>(&block + 1);
  for (std::uint32_t n = 0; n < number; ++n) at += block.length[n];
  return {at, block.length[number]};
}

template <typename BlockType>
std::size_t bytes_of(const BlockType& block) noexcept {
  std::size_t bytes = sizeof block;
  for (const std::uint16_t length : block.length) bytes += length;
  return bytes;
}

inline bool counts_active(std::uint32_t state) noexcept {
  return state == kConfirmedNoAck || state == kConfirmed;
}

inline constexpr std::size_t kBoundOfCold[kColdTextEnd] = {
    kTextBytesMax, kTextBytesMax, kTextBytesMax,         kRouteSetBytesMax, kTextBytesMax,
    kTextBytesMax, kTextBytesMax, kTimeoutRouteBytesMax, kSourceBytesMax};
inline constexpr std::size_t kBoundOfLeg[kLegTextEnd] = {kTextBytesMax, kTextBytesMax, kRouteSetBytesMax,
                                                         kSourceBytesMax};

template <std::size_t count>
bool fits(const Text (&texts)[count], const std::size_t (&bounds)[count]) noexcept {
  std::size_t sum = 0;
  for (std::size_t n = 0; n < count; ++n) {
    if (texts[n].size() > bounds[n]) return false;
    sum += texts[n].size();
  }
  return sum <= kNewDialogBytesMax;
}

/// Copies `texts` behind the head of a block and notes their lengths.
template <typename BlockType, std::size_t count>
void write(BlockType& block, const Text (&texts)[count]) noexcept {
  auto* at = reinterpret_cast<std::uint8_t*>(&block + 1);
  for (std::size_t n = 0; n < count; ++n) {
    block.length[n] = static_cast<std::uint16_t>(texts[n].size());
    at = put(at, texts[n]);
  }
}

/// Writes words and texts one after the other as long as they fit.
class Writer {
 public:
  explicit Writer(std::span<std::uint8_t> out) noexcept : out_(out) {}
  [[nodiscard]] static constexpr std::size_t bytes_of(Text text) noexcept {
    return 4 + (text.size() + 3) / 4 * 4;
  }
  bool words(std::span<const std::uint32_t> words) noexcept {
    if (words.size_bytes() > left()) return false;
    std::memcpy(out_.data() + at_, words.data(), words.size_bytes());
    at_ += words.size_bytes();
    return true;
  }
  bool text(Text text) noexcept {
    if (bytes_of(text) > left()) return false;
    const auto length = static_cast<std::uint32_t>(text.size());
    std::memset(out_.data() + at_ + bytes_of(text) - 4, 0, 4);  // the padding is in the last four
    std::memcpy(out_.data() + at_, &length, 4);
    put(out_.data() + at_ + 4, text);
    at_ += bytes_of(text);
    return true;
  }
  /// All of them or none.
  template <class... Texts>
  bool group(Texts... texts) noexcept {
    if ((bytes_of(texts) + ...) > left()) return false;
    return (text(texts) && ...);
  }
  [[nodiscard]] std::size_t at() const noexcept { return at_; }

 private:
  [[nodiscard]] std::size_t left() const noexcept { return out_.size() - at_; }
  std::span<std::uint8_t> out_;
  std::size_t at_ = 0;
};

inline std::uint32_t call_id_bucket(const Segment& segment, const DialogRecord& record) noexcept {
  return bucket_of(record.call_id, segment.header().dialog_buckets);
}

}  // namespace holdfast
