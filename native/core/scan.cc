#include "scan.h"

#include <cstring>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace holdfast {

namespace {

constexpr std::uint8_t lower(std::uint8_t byte) noexcept {
  return byte >= 'A' && byte <= 'Z' ? byte | 0x20 : byte;
}
constexpr bool is_blank(std::uint8_t byte) noexcept { return byte == ' ' || byte == '\t'; }

/// The first line feed in [at, end), or end.
const std::uint8_t* find_line_feed(const std::uint8_t* at, const std::uint8_t* end) noexcept {
#if defined(__SSE2__)
  const __m128i feeds = _mm_set1_epi8('\n');
  for (; end - at >= 16; at += 16) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
    const int found = _mm_movemask_epi8(_mm_cmpeq_epi8(bytes, feeds));
    if (found != 0) return at + __builtin_ctz(static_cast<unsigned>(found));
  }
#endif
  while (at < end && *at != '\n') ++at;
  return at;
}

/// After the colon if the line at `at` is the header `name` (lower case), else null.
template <std::size_t N>
const std::uint8_t* after_name(const std::uint8_t* at, const std::uint8_t* end,
                               const char (&name)[N]) noexcept {
  constexpr std::size_t length = N - 1;
  if (static_cast<std::size_t>(end - at) <= length) return nullptr;
  for (std::size_t n = 0; n < length; ++n) {
    if (lower(at[n]) != static_cast<std::uint8_t>(name[n])) return nullptr;
  }
  for (at += length; at < end && is_blank(*at); ++at) {
  }
  return at < end && *at == ':' ? at + 1 : nullptr;
}

/// The end of the header value that begins at `at`: the line feed that no blank follows, or `end`.
const std::uint8_t* value_end(const std::uint8_t* at, const std::uint8_t* end) noexcept {
  for (;;) {
    at = find_line_feed(at, end);
    if (at == end || at + 1 == end || !is_blank(at[1])) return at;
    ++at;
  }
}

bool is_space(std::uint8_t byte) noexcept { return is_blank(byte) || byte == '\r' || byte == '\n'; }

/// The value of the parameter `branch` in a Via value; false if there is none.
bool find_branch(const std::uint8_t* at, const std::uint8_t* end, BranchName* out) noexcept {
  while (at < end) {
    const auto* semicolon =
        static_cast<const std::uint8_t*>(std::memchr(at, ';', static_cast<std::size_t>(end - at)));
    if (!semicolon) return false;
    for (at = semicolon + 1; at < end && is_space(*at); ++at) {
    }
    constexpr char kName[] = "branch";
    std::size_t n = 0;
    while (n < sizeof kName - 1 && at + n < end && lower(at[n]) == static_cast<std::uint8_t>(kName[n])) ++n;
    if (n < sizeof kName - 1) continue;
    for (at += n; at < end && is_space(*at); ++at) {
    }
    if (at == end || *at != '=') continue;
    for (++at; at < end && is_space(*at); ++at) {
    }
    const std::uint8_t* start = at;
    while (at < end && !is_space(*at) && *at != ';' && *at != ',') ++at;
    return read_branch_name({start, at}, out);
  }
  return false;
}

}  // namespace

Scan scan(std::span<const std::uint8_t> datagram, std::uint32_t owners) noexcept {
  Scan result;
  const std::uint8_t* const begin = datagram.data();
  const std::uint8_t* const end = begin + datagram.size();
  const std::uint8_t* at = begin;
  while (at < end && (*at == '\r' || *at == '\n')) ++at;  // RFC 3261 7.5
  result.is_response =
      end - at >= 4 && lower(at[0]) == 's' && lower(at[1]) == 'i' && lower(at[2]) == 'p' && at[3] == '/';
  bool via_seen = !result.is_response;  // of a request it does not matter

  for (;;) {
    at = find_line_feed(at, end);
    if (end - at < 2) return result;
    ++at;
    // Few lines begin like one of ours; the others cost this look at one byte.
    const std::uint8_t first = lower(*at);
    if (first == 'c' || first == 'i') {
      const std::uint8_t* value = first == 'i' ? after_name(at, end, "i") : after_name(at, end, "call-id");
      if (value) {
        const std::uint8_t* last = value_end(value, end);
        while (value < last && is_space(*value)) ++value;
        while (last > value && is_space(last[-1])) --last;
        result.call_id_offset = static_cast<std::uint32_t>(value - begin);
        result.call_id_length = static_cast<std::uint32_t>(last - value);
        if (via_seen) return result;
      }
    } else if (first == 'v' && !via_seen) {
      const std::uint8_t* value = after_name(at, end, "via");
      if (!value) value = after_name(at, end, "v");
      if (value) {
        via_seen = true;
        const std::uint8_t* last = value_end(value, end);
        result.has_branch = find_branch(value, last, &result.branch) && result.branch.owner < owners;
        if (result.has_branch || result.call_id_length != 0) return result;
      }
    } else if (first == '\r' || first == '\n') {
      return result;  // the header ends
    }
  }
}

}  // namespace holdfast
