// core/status.h - every way a call of the core can fail.
//
// A Status is a number that crosses the boundary as it is: 0 is success, the rest are answers, never crashes.
#pragma once
#include <cstdint>

namespace holdfast {

enum class Status : std::int32_t {
  kOk = 0,
  kNotFound = 1,    // no such record, or the handle's generation is over
  kConflict = 2,    // the record is no longer in the state that was decided on: match and decide again
  kNoMemory = 3,    // a pool is empty (or, for a new call, down to its last tenth)
  kLimit = 4,       // a profile is full (tryJoin), or a bounded list is
  kOutOfRange = 5,  // an argument is outside its bounds
  kBadMessage = 6,  // an offset or length does not lie inside the message it claims to describe
  kNotDue = 7,      // claim_end(expired): the deadline has moved
  kFull = 8,        // a mailbox or a send queue has no room
  kRefused = 9,     // a segment that is not ours, of another layout, or in use by a living process
  kSystem = 10,     // a system call failed; errno tells
};

}  // namespace holdfast
