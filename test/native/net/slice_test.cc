// What the kernel says of a thread that asked for short turns.
#include "net/slice.h"

#include <doctest/doctest.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>
#include <thread>

using namespace holdfast::net;

namespace {

struct Attributes {
  std::uint32_t size, policy;
  std::uint64_t flags;
  std::int32_t nice;
  std::uint32_t priority;
  std::uint64_t runtime_ns, deadline_ns, period_ns;
};

/// Those of the calling thread.
Attributes attributes() {
  Attributes now{};
  REQUIRE(syscall(SYS_sched_getattr, 0, &now, sizeof now, 0) == 0);
  return now;
}

}  // namespace

TEST_CASE("slice: short turns for the thread that asked, its policy and nice value as before") {
  const Attributes others = attributes();
  std::thread([&others] {
    setpriority(PRIO_PROCESS, 0, others.nice + 1);
    ask_short_slice();
    const Attributes now = attributes();
    // Before Linux 6.12 an ordinary thread has no slice of its own, and none is told.
    if (others.runtime_ns != 0) CHECK(now.runtime_ns == kShortSliceMicroseconds * 1000);
    CHECK(now.policy == others.policy);
    CHECK(now.nice == others.nice + 1);
  }).join();
  CHECK(attributes().runtime_ns == others.runtime_ns);
}

TEST_CASE("slice: a thread with another policy keeps all of it") {
  std::thread([] {
    sched_param none{};
    REQUIRE(sched_setscheduler(0, SCHED_BATCH, &none) == 0);
    const Attributes before = attributes();
    ask_short_slice();
    const Attributes now = attributes();
    CHECK(now.policy == SCHED_BATCH);
    CHECK(now.runtime_ns == before.runtime_ns);
  }).join();
}
