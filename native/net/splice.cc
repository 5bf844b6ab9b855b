#include "splice.h"

#include <algorithm>
#include <cstring>

namespace holdfast::net {

std::uint32_t splice(std::span<const std::uint8_t> message, std::span<const Edit> edits,
                     std::span<const std::uint8_t> text, std::span<iovec> out) noexcept {
  if (!edits_fit(edits, text.size(), message.size())) return 0;
  std::uint32_t count = 0;
  const auto put = [&](const std::uint8_t* at, std::size_t length) {
    if (length == 0) return true;
    if (count == out.size()) return false;
    out[count++] = {const_cast<std::uint8_t*>(at), length};
    return true;
  };
  std::size_t position = 0, inserted = 0;
  for (const Edit& edit : edits) {
    if (!put(message.data() + position, edit.offset - position)) return 0;
    if (!put(text.data() + inserted, edit.insert)) return 0;
    position = edit.offset + edit.drop;
    inserted += edit.insert;
  }
  if (!put(message.data() + position, message.size() - position)) return 0;
  return count;
}

std::size_t bytes_of(std::span<const iovec> pieces) noexcept {
  std::size_t bytes = 0;
  for (const iovec& piece : pieces) bytes += piece.iov_len;
  return bytes;
}

std::size_t gather(std::span<const iovec> pieces, std::span<std::uint8_t> out) noexcept {
  std::size_t copied = 0;
  for (const iovec& piece : pieces) {
    const std::size_t bytes = std::min(piece.iov_len, out.size() - copied);
    if (bytes != 0) std::memcpy(out.data() + copied, piece.iov_base, bytes);
    copied += bytes;
  }
  return copied;
}

}  // namespace holdfast::net
