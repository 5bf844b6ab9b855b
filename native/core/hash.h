// core/hash.h - Call-ID -> hash entry, as every node of a cluster computes it [spec 1.1], and the keyed hash
// of our indexes.
#pragma once
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace holdfast {

/// The hash of spec 1.1, not yet masked with hash_size - 1.
[[nodiscard]] inline std::uint32_t core_hash(std::span<const std::uint8_t> text) noexcept {
  std::uint32_t sum = 0;
  const std::uint8_t* at = text.data();
  std::size_t left = text.size();
  for (; left >= 4; at += 4, left -= 4) {
    const std::uint32_t group =
        std::uint32_t{at[0]} << 24 | std::uint32_t{at[1]} << 16 | std::uint32_t{at[2]} << 8 | at[3];
    sum += group ^ (group >> 3);
  }
  std::uint32_t rest = 0;
  for (; left > 0; ++at, --left) rest = rest << 8 | *at;
  sum += rest ^ (rest >> 3);
  return sum + (sum >> 11) + (sum >> 13) + (sum >> 23);
}

/// White space around a header's body does not take part.
[[nodiscard]] inline std::span<const std::uint8_t> trimmed(std::span<const std::uint8_t> text) noexcept {
  const auto is_space = [](std::uint8_t byte) {
    return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n';
  };
  while (!text.empty() && is_space(text.front())) text = text.subspan(1);
  while (!text.empty() && is_space(text.back())) text = text.first(text.size() - 1);
  return text;
}

/// SipHash with one round per word and three at the end: who does not know the key cannot make keys collide.
class KeyedHash {
 public:
  KeyedHash(std::uint64_t key0, std::uint64_t key1) noexcept
      : v0_(key0 ^ 0x736f6d6570736575),
        v1_(key1 ^ 0x646f72616e646f6d),
        v2_(key0 ^ 0x6c7967656e657261),
        v3_(key1 ^ 0x7465646279746573) {}

  [[nodiscard]] std::uint64_t operator()(std::span<const std::uint8_t> text) const noexcept {
    State s{v0_, v1_, v2_, v3_};
    const std::uint8_t* at = text.data();
    std::size_t left = text.size();
    for (; left >= 8; at += 8, left -= 8) {
      std::uint64_t word;
      std::memcpy(&word, at, 8);
      s.take(word);
    }
    std::uint64_t last = static_cast<std::uint64_t>(text.size()) << 56;
    for (std::size_t n = 0; n < left; ++n) last |= std::uint64_t{at[n]} << (8 * n);
    s.take(last);
    return s.end();
  }

  /// Of two numbers; the same as of their eight bytes.
  [[nodiscard]] std::uint64_t operator()(std::uint32_t first, std::uint32_t second) const noexcept {
    State s{v0_, v1_, v2_, v3_};
    s.take(std::uint64_t{second} << 32 | first);
    s.take(std::uint64_t{8} << 56);
    return s.end();
  }

 private:
  struct State {
    std::uint64_t v0, v1, v2, v3;
    void round() noexcept {
      v0 += v1, v1 = std::rotl(v1, 13) ^ v0, v0 = std::rotl(v0, 32);
      v2 += v3, v3 = std::rotl(v3, 16) ^ v2;
      v0 += v3, v3 = std::rotl(v3, 21) ^ v0;
      v2 += v1, v1 = std::rotl(v1, 17) ^ v2, v2 = std::rotl(v2, 32);
    }
    void take(std::uint64_t word) noexcept { v3 ^= word, round(), v0 ^= word; }
    std::uint64_t end() noexcept {
      v2 ^= 0xff, round(), round(), round();
      return v0 ^ v1 ^ v2 ^ v3;
    }
  };
  std::uint64_t v0_, v1_, v2_, v3_;
};

/// Spreads a hash over `buckets` evenly, without a division.
[[nodiscard]] inline std::uint32_t bucket_of(std::uint64_t hash, std::uint32_t buckets) noexcept {
  return static_cast<std::uint32_t>(((hash >> 32) * buckets) >> 32);
}

}  // namespace holdfast
