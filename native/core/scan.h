// core/scan.h - whose is this datagram?  Answered from the raw bytes, without parsing the rest.
//
// A request is steered by its Call-ID, a response by the branch of its topmost Via if that is ours, else by
// its Call-ID. The scan is a guess: it reads lines, not grammar (no quoting, no duplicates); the parser has
// the last word.  Every byte it looks at lies inside the datagram.
#pragma once
#include <cstdint>
#include <span>

#include "branch_name.h"

namespace holdfast {

struct Scan {
  bool is_response = false;
  bool has_branch = false;  // `branch` was read
  BranchName branch;
  std::uint32_t call_id_offset = 0;  // trimmed; folded lines inside
  std::uint32_t call_id_length = 0;  // 0: none was found
};

/// A branch of ours counts only if its owner is below `owners`.
[[nodiscard]] Scan scan(std::span<const std::uint8_t> datagram, std::uint32_t owners) noexcept;

}  // namespace holdfast
