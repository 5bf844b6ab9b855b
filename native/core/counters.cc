#include "counters.h"

#include "segment.h"

namespace holdfast {

namespace {
constexpr CounterRow kRows[] = {
#define HOLDFAST_COUNTER(constant, name, reset) {#constant, name, reset},
    HOLDFAST_COUNTERS(HOLDFAST_COUNTER)
#undef HOLDFAST_COUNTER
};
}  // namespace

const CounterRow& counter_row(std::uint32_t counter) noexcept { return kRows[counter]; }

Counters::Counters(Segment& segment, std::uint32_t thread) noexcept
    : blocks_(segment.region<CounterBlock>(kRegionCounters)),
      block_(blocks_ + thread),
      base_(reinterpret_cast<std::atomic<std::uint64_t>*>(blocks_ + kThreadsMax)) {}

std::uint64_t Counters::sum(std::uint32_t counter) const noexcept {
  std::uint64_t sum = 0;
  for (std::uint32_t thread = 0; thread < kThreadsMax; ++thread)
    sum += blocks_[thread].values[counter].load(std::memory_order_relaxed);
  return sum;
}

std::uint64_t Counters::value(std::uint32_t counter) const noexcept {
  if (counter >= kCounterEnd) return 0;
  return sum(counter) - base_[counter].load(std::memory_order_relaxed);
}

bool Counters::reset(std::uint32_t counter) noexcept {
  if (counter >= kCounterEnd || !kRows[counter].reset_allowed) return false;
  base_[counter].store(sum(counter), std::memory_order_relaxed);
  return true;
}

std::uint32_t Counters::find(std::string_view name) noexcept {
  std::uint32_t counter = 0;
  while (counter < kCounterEnd && kRows[counter].name != name) ++counter;
  return counter;
}

}  // namespace holdfast
