#include "branch_name.h"

#include <cstring>

namespace holdfast {

namespace {

constexpr char kPrefix[] = "z9hG4bKh";  // the magic cookie and our format letter
constexpr std::size_t kPrefixBytes = sizeof kPrefix - 1;
constexpr char kDigits[] = "0123456789abcdef";

std::uint8_t* write_hex(std::uint8_t* at, std::uint32_t value, int digits) noexcept {
  for (int shift = 4 * (digits - 1); shift >= 0; shift -= 4)
    *at++ = static_cast<std::uint8_t>(kDigits[value >> shift & 15]);
  return at;
}

std::uint8_t* write_hex(std::uint8_t* at, std::uint32_t value) noexcept {
  int digits = 1;
  while (digits < 8 && value >> (4 * digits) != 0) ++digits;
  return write_hex(at, value, digits);
}

/// One lower-case digit, or -1.
int digit(std::uint8_t byte) noexcept {
  if (byte >= '0' && byte <= '9') return byte - '0';
  if (byte >= 'a' && byte <= 'f') return byte - 'a' + 10;
  return -1;
}

/// Up to eight digits at `*at`; false if there is none or more.
bool read_hex(const std::uint8_t** at, const std::uint8_t* end, std::uint32_t* value) noexcept {
  const std::uint8_t* start = *at;
  *value = 0;
  for (int d; *at < end && (d = digit(**at)) >= 0; ++*at) {
    if (*at - start == 8) return false;
    *value = *value << 4 | static_cast<std::uint32_t>(d);
  }
  return *at > start;
}

}  // namespace

std::size_t write_branch_name(const BranchName& name, std::uint8_t* out) noexcept {
  std::memcpy(out, kPrefix, kPrefixBytes);
  std::uint8_t* at = write_hex(out + kPrefixBytes, name.owner & 0xff, 2);
  for (const std::uint32_t number : {name.index, name.generation, name.branch}) {
    *at++ = '.';
    at = write_hex(at, number);
  }
  *at++ = '.';
  return static_cast<std::size_t>(write_hex(at, name.hash, 8) - out);
}

bool read_branch_name(std::span<const std::uint8_t> text, BranchName* out) noexcept {
  const std::uint8_t* at = text.data();
  const std::uint8_t* end = at + text.size();
  if (text.size() < kPrefixBytes + 2 + 7 || std::memcmp(at, kPrefix, kPrefixBytes) != 0) return false;
  at += kPrefixBytes;
  const int high = digit(at[0]), low = digit(at[1]);
  if (high < 0 || low < 0) return false;
  out->owner = static_cast<std::uint32_t>(high << 4 | low);
  at += 2;
  for (std::uint32_t* number : {&out->index, &out->generation, &out->branch}) {
    if (at == end || *at++ != '.') return false;
    if (!read_hex(&at, end, number)) return false;
  }
  if (at == end || *at++ != '.' || end - at != 8) return false;
  return read_hex(&at, end, &out->hash) && at == end;
}

}  // namespace holdfast
