// core/branch_name.h - our Via branch: whose transaction a reply belongs to, said in the branch itself.
//
//     z9hG4bK h 0c . 1a2b . 3 . 0 . 89abcdef
//             |  |    |     |   |     +-- hash: exactly 8 digits; authenticates the rest (RFC 5393 4.2)
//             |  |    |     |   +-- branch number
//             |  |    |     +-- generation        all lower-case hexadecimal without leading zeros ...
//             |  |    +-- transaction index
//             |  +-- owner: exactly 2 digits      ... but for these two
//             +-- format letter
//
// without the blanks.  A transport-level loop or a forged reply shows in the hash, which the transaction
// layer compares.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

namespace holdfast {

struct BranchName {
  std::uint32_t owner = 0, index = 0, generation = 0, branch = 0, hash = 0;
};
inline constexpr std::size_t kBranchNameBytesMax = 7 + 1 + 2 + 4 * (1 + 8);

/// Writes the name of an owner below 256; returns its length, at most kBranchNameBytesMax.
std::size_t write_branch_name(const BranchName& name, std::uint8_t* out) noexcept;

/// Reads a whole branch value; false if it is not one of ours.
[[nodiscard]] bool read_branch_name(std::span<const std::uint8_t> text, BranchName* out) noexcept;

}  // namespace holdfast
