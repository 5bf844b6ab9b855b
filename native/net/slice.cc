#include "slice.h"

#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>

namespace holdfast::net {

namespace {

/// The kernel's struct sched_attr as first published; libc has had none for long.
struct Attributes {
  std::uint32_t size, policy;
  std::uint64_t flags;
  std::int32_t nice;
  std::uint32_t priority;
  std::uint64_t runtime_ns, deadline_ns, period_ns;
};
static_assert(sizeof(Attributes) == 48);

}  // namespace

void ask_short_slice() noexcept {
  Attributes attributes{};
  if (syscall(SYS_sched_getattr, 0, &attributes, sizeof attributes, 0) != 0) return;
  // An operator who gave the process a real-time policy has said more than this.
  if (attributes.policy != SCHED_OTHER) return;
  attributes.runtime_ns = kShortSliceMicroseconds * 1000;
  (void)syscall(SYS_sched_setattr, 0, &attributes, 0);
}

}  // namespace holdfast::net
