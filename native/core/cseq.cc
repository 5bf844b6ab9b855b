#include "cseq.h"

#include <algorithm>

namespace holdfast {

std::uint32_t CSeqStepList::mapped(std::uint32_t received) const noexcept {
  std::uint32_t add = 0;
  for (std::uint32_t n = 0; n < count && step[n].from <= received; ++n) add = step[n].add;
  return received + add;
}

namespace {

/// The steps being made: those that say nothing new are left out, and of too many the oldest.
class Fresh {
 public:
  void put(std::uint32_t from, std::uint32_t add) noexcept {
    if (length_ > 0 && steps_[length_ - 1].from == from) --length_;
    const std::uint32_t before = length_ == 0 ? 0 : steps_[length_ - 1].add;
    if (add != before) steps_[length_++] = {from, add};
  }
  void store(CSeqStepList& list) const noexcept {
    const std::uint32_t over = length_ > kCSeqStepsMax ? length_ - kCSeqStepsMax : 0;
    list.count = length_ - over;
    std::copy(steps_ + over, steps_ + length_, list.step);
  }

 private:
  CSeqStep steps_[kCSeqStepsMax + 3];
  std::uint32_t length_ = 0;
};

}  // namespace

std::uint32_t CSeqStepList::take(std::uint32_t highest, std::uint32_t again) noexcept {
  const std::uint32_t taken = highest + added() + 1;
  Fresh fresh;
  const std::uint32_t renumbered = again != 0 && again <= highest ? again : highest + 1;
  std::uint32_t n = 0;
  for (; n < count && step[n].from < renumbered; ++n) fresh.put(step[n].from, step[n].add);
  if (renumbered <= highest) {
    const std::uint32_t behind = mapped(renumbered + 1) - (renumbered + 1);
    fresh.put(renumbered, taken - renumbered);
    if (renumbered < highest) fresh.put(renumbered + 1, behind);
    for (; n < count && step[n].from <= highest; ++n)
      if (step[n].from > renumbered + 1) fresh.put(step[n].from, step[n].add);
  }
  fresh.put(highest + 1, taken - highest);
  fresh.store(*this);
  return taken;
}

void CSeqStepList::shift(std::uint32_t from, std::uint32_t by) noexcept {
  Fresh fresh;
  std::uint32_t n = 0;
  for (; n < count && step[n].from < from; ++n) fresh.put(step[n].from, step[n].add);
  fresh.put(from, mapped(from) - from + by);
  for (; n < count; ++n)
    if (step[n].from > from) fresh.put(step[n].from, step[n].add + by);
  fresh.store(*this);
}

}  // namespace holdfast
