// core/audit.h - whether kept counts agree with what they count, in small slices beside the traffic.
#pragma once
#include <cstdint>

namespace holdfast {

class Segment;

/// Buckets, records and members that a slice looks at before it ends.
inline constexpr std::uint32_t kAuditStepsMax = 4096;
/// Members that are looked at under one lock: whoever waits for it waits no longer than for these.
inline constexpr std::uint32_t kAuditMembersMax = 1024;

/// Looks on from `*cursor`, at most kAuditStepsMax steps and one lock's members more, and sets it to where the
/// next slice begins; 0: the round is over.  Returns the sum of absolute differences found.
///
/// Each count is compared under the lock that it changes under, so a difference is one whatever happens
/// meanwhile:
/// - the members and the remote items of a (profile, value), against its list.  Of a bucket whose lists are
///   longer than kAuditMembersMax only that the list is not longer than its count, as far as one looks;
/// - the sum of a profile without value, against the count of its one head, of any length;
/// - the memberships of a dialog, against its list, likewise up to kAuditMembersMax.
/// Sums over many locks are left to Table::audit(): active and early dialogs, members of profiles with value.
///
/// Any thread.
[[nodiscard]] std::uint64_t audit_slice(Segment& segment, std::uint32_t* cursor) noexcept;

}  // namespace holdfast
