// core/kill_point.h - places where the tests stop the process to see that what it leaves can be taken over.
//
// In the product HOLDFAST_KILL_POINT() is nothing.  In the kill tests, which define HOLDFAST_KILL_POINTS, a
// thread that passes its n-th point receives SIGKILL.
#pragma once

#ifdef HOLDFAST_KILL_POINTS
#include <signal.h>
#include <unistd.h>

namespace holdfast {
/// Points left until this thread is killed; 0: never.
inline thread_local unsigned kill_after_points = 0;
inline void kill_point() noexcept {
  if (kill_after_points != 0 && --kill_after_points == 0) kill(getpid(), SIGKILL);
}
}  // namespace holdfast
#define HOLDFAST_KILL_POINT() ::holdfast::kill_point()
#else
#define HOLDFAST_KILL_POINT() static_cast<void>(0)
#endif
