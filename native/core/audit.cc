#include "audit.h"

#include <algorithm>
#include <atomic>

#include "locked.h"
#include "profiles.h"
#include "segment.h"

namespace holdfast {

namespace {

std::uint64_t difference(std::uint64_t a, std::uint64_t b) noexcept { return a > b ? a - b : b - a; }

/// A count against the members of its list, of which `seen` were found; all, or as many as one looks at.
std::uint64_t compare(std::uint64_t kept, std::uint64_t seen, bool all) noexcept {
  return all || kept < seen ? difference(kept, seen) : 0;
}

/// The member at `block`; null: there is none, the list is broken.
const MemberBlock* member_at(Segment& segment, Block block) noexcept {
  if (!segment.arena().is_block(block, sizeof(MemberBlock))) return nullptr;
  return reinterpret_cast<const MemberBlock*>(segment.arena().bytes(block));
}

/// The heads of one bucket; `*steps` grows by what it looks at.
std::uint64_t audit_bucket(Segment& segment, std::uint32_t n, std::uint32_t* steps) noexcept {
  Bucket& bucket = segment.region<Bucket>(kRegionProfileBuckets)[n];
  const auto* names = segment.region<ProfileName>(kRegionProfiles);
  std::uint32_t left = kAuditMembersMax;
  std::uint64_t wrong = 0;
  LockGuard guard(bucket.lock);
  for (Block block = bucket.head; block != 0 && left > 0; --left) {
    if (!segment.arena().is_block(block, sizeof(ProfileHead))) {
      wrong += 1;
      break;
    }
    const ProfileHead& head = *reinterpret_cast<const ProfileHead*>(segment.arena().bytes(block));
    std::uint32_t count = 0, remotes = 0;
    Block at = head.first;
    for (; at != 0 && left > 1; --left) {
      const MemberBlock* member = member_at(segment, at);
      if (member == nullptr) break;
      count += 1;
      remotes += member->record == 0 && member->thread == kRemoteThread ? 1 : 0;
      at = member->next_of_head;
    }
    const bool broken = at != 0 && left > 1;
    wrong += broken ? 1 : compare(head.count, count, at == 0) + compare(head.remotes, remotes, at == 0);
    if (head.profile >= segment.header().profiles) {
      wrong += 1;
      break;
    }
    const ProfileName& name = names[head.profile];
    if (name.with_value == 0) wrong += difference(head.count, name.members.load(std::memory_order_relaxed));
    block = head.next;
  }
  *steps += kAuditMembersMax - left;
  return wrong;
}

}  // namespace

/// The memberships of one record; `*steps` grows by what it looks at.
class RecordAudit {
 public:
  static std::uint64_t run(Segment& segment, std::uint32_t index, std::uint32_t* steps) noexcept;
};

std::uint64_t RecordAudit::run(Segment& segment, std::uint32_t index, std::uint32_t* steps) noexcept {
  if (peek(segment.dialog(index).state) == 0) return 0;  // most often: no lock for these
  const Table::Locked record(segment, index);
  if (!record) return 0;
  const auto& cold = *reinterpret_cast<const DialogCold*>(segment.arena().bytes((*record).cold));
  std::uint32_t count = 0;
  Block at = (*record).members;
  for (; at != 0 && count < kAuditMembersMax; ++count) {
    const MemberBlock* member = member_at(segment, at);
    if (member == nullptr) break;
    at = member->next_of_record;
  }
  *steps += count;
  if (at != 0 && count < kAuditMembersMax) return 1;
  return compare(cold.member_count, count, at == 0);
}

std::uint64_t audit_slice(Segment& segment, std::uint32_t* cursor) noexcept {
  const std::uint32_t buckets = segment.header().profile_buckets;
  const std::uint32_t end = buckets + std::min(segment.dialogs().carved(), segment.header().dialogs_max);
  std::uint64_t wrong = 0;
  std::uint32_t at = *cursor;
  for (std::uint32_t steps = 0; at < end && steps < kAuditStepsMax; ++at, ++steps)
    wrong += at < buckets ? audit_bucket(segment, at, &steps)
                          : RecordAudit::run(segment, at - buckets + 1, &steps);
  *cursor = at < end ? at : 0;
  return wrong;
}

}  // namespace holdfast
