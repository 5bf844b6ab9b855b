// net/splice.h - received bytes + edits -> iovecs, every offset checked against the message.
//
// Nothing is copied: the pieces point into the message and into the text of the edits, which must stay as
// they are until the message has been sent.
#pragma once
#include <sys/uio.h>

#include <cstdint>
#include <span>

#include "../core/transactions.h"

namespace holdfast::net {

/// A message cut by kEditsMax edits has at most this many pieces.
inline constexpr std::uint32_t kPiecesMax = 2 * kEditsMax + 1;

/// Writes the pieces of `message` with `edits` applied; returns how many, 0 if an edit does not fit or `out`
/// is too small.
[[nodiscard]] std::uint32_t splice(std::span<const std::uint8_t> message, std::span<const Edit> edits,
                                   std::span<const std::uint8_t> text, std::span<iovec> out) noexcept;

/// Bytes of all pieces.
[[nodiscard]] std::size_t bytes_of(std::span<const iovec> pieces) noexcept;

/// Copies the pieces one after another, at most out.size() bytes; returns how many were copied.
std::size_t gather(std::span<const iovec> pieces, std::span<std::uint8_t> out) noexcept;

}  // namespace holdfast::net
