#include "cseq.h"

#include <algorithm>

namespace holdfast {

std::uint32_t CSeqStepList::mapped(std::uint32_t received) const noexcept {
  std::uint32_t add = 0;
  for (std::uint32_t n = 0; n < count && step[n].from <= received; ++n) add = step[n].add;
  return received + add;
}

std::uint32_t CSeqStepList::take(std::uint32_t highest, std::uint32_t again) noexcept {
  constexpr std::uint32_t kFreshMax = kCSeqStepsMax + 3;
  const std::uint32_t taken = highest + added() + 1;
  CSeqStep fresh[kFreshMax];
  std::uint32_t length = 0;
  const auto put = [&](std::uint32_t from, std::uint32_t add) {
    if (length > 0 && fresh[length - 1].from == from) --length;
    const std::uint32_t before = length == 0 ? 0 : fresh[length - 1].add;
    if (add != before) fresh[length++] = {from, add};
  };
  const std::uint32_t renumbered = again != 0 && again <= highest ? again : highest + 1;
  std::uint32_t n = 0;
  for (; n < count && step[n].from < renumbered; ++n) put(step[n].from, step[n].add);
  if (renumbered <= highest) {
    const std::uint32_t behind = mapped(renumbered + 1) - (renumbered + 1);
    put(renumbered, taken - renumbered);
    if (renumbered < highest) put(renumbered + 1, behind);
    for (; n < count && step[n].from <= highest; ++n)
      if (step[n].from > renumbered + 1) put(step[n].from, step[n].add);
  }
  put(highest + 1, taken - highest);
  const std::uint32_t over = length > kCSeqStepsMax ? length - kCSeqStepsMax : 0;
  count = length - over;
  std::copy(fresh + over, fresh + length, step);
  return taken;
}

}  // namespace holdfast
