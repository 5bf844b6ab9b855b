// net/slice.h - how soon a thread that wakes up for a datagram gets the processor.
#pragma once

namespace holdfast::net {

/// The shortest that Linux grants.
inline constexpr unsigned kShortSliceMicroseconds = 100;

/// Asks the kernel to give the calling thread short turns, and so early ones: where it shares a processor,
/// what runs there makes room when it wakes up, not at the next tick of the kernel, 4 ms later at worst.  Its
/// share stays what it is, and no privilege is needed.  Linux 6.12 and later; before, and where it is
/// forbidden, nothing happens.
void ask_short_slice() noexcept;

}  // namespace holdfast::net
