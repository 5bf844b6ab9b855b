#include "profiles.h"

#include <array>
#include <cstring>
#include <new>

#include "family.h"
#include "kill_point.h"
#include "locked.h"
#include "rebuild.h"
#include "segment.h"

namespace holdfast {

namespace {

MemberBlock& member_at(Segment& segment, Block block) noexcept {
  return *reinterpret_cast<MemberBlock*>(segment.arena().bytes(block));
}
ProfileHead& head_at(Segment& segment, Block block) noexcept {
  return *reinterpret_cast<ProfileHead*>(segment.arena().bytes(block));
}
DialogCold& cold_at(Segment& segment, const DialogRecord& record) noexcept {
  return *reinterpret_cast<DialogCold*>(segment.arena().bytes(record.cold));
}
Text value_of(const MemberBlock& member) noexcept {
  return {reinterpret_cast<const std::uint8_t*>(&member + 1), member.value_bytes};
}
bool equal(Text a, Text b) noexcept {
  return a.size() == b.size() && (a.empty() || !std::memcmp(a.data(), b.data(), a.size()));
}

Text uid_of(const MemberBlock& member) noexcept {
  return {reinterpret_cast<const std::uint8_t*>(&member + 1) + member.value_bytes, member.uid_bytes};
}
bool is_remote(const MemberBlock& member) noexcept {
  return member.record == 0 && member.thread == kRemoteThread;
}

Bucket& bucket_at(Segment& segment, std::uint64_t hash) noexcept {
  return segment.region<Bucket>(kRegionProfileBuckets)[bucket_of(hash, segment.header().profile_buckets)];
}
std::uint64_t hash_of(const Segment& segment, std::uint32_t profile, Text value) noexcept {
  const std::uint64_t text = segment.keyed_hash()(value);
  return text ^ segment.keyed_hash()(profile, static_cast<std::uint32_t>(text));
}

/// The head of a (profile, value), 0 if it has no members; its bucket is locked.
Block find_head(Segment& segment, const Bucket& bucket, std::uint64_t hash, std::uint32_t profile,
                Text value) noexcept {
  for (Block at = bucket.head; at != 0; at = head_at(segment, at).next) {
    const ProfileHead& head = head_at(segment, at);
    if (head.hash == hash && head.profile == profile &&
        equal(value_of(member_at(segment, head.first)), value))
      return at;
  }
  return 0;
}

void link(Segment& segment, Block head_block, Block block) noexcept {
  ProfileHead& head = head_at(segment, head_block);
  MemberBlock& member = member_at(segment, block);
  member.head = head_block;
  member.previous_of_head = 0;
  member.next_of_head = head.first;
  if (head.first != 0) member_at(segment, head.first).previous_of_head = block;
  HOLDFAST_KILL_POINT();
  head.first = block;
  head.count += 1;
  head.remotes += is_remote(member) ? 1 : 0;
  segment.region<ProfileName>(kRegionProfiles)[head.profile].members.fetch_add(1, std::memory_order_relaxed);
}

/// Takes a member out of its head's list, whose bucket is locked; a head without members is freed.
void unlink_locked(Segment& segment, Bucket& bucket, Block block) noexcept {
  MemberBlock& member = member_at(segment, block);
  const Block head_block = member.head;
  ProfileHead& head = head_at(segment, head_block);
  if (member.next_of_head != 0)
    member_at(segment, member.next_of_head).previous_of_head = member.previous_of_head;
  (member.previous_of_head != 0 ? member_at(segment, member.previous_of_head).next_of_head : head.first) =
      member.next_of_head;
  HOLDFAST_KILL_POINT();
  segment.region<ProfileName>(kRegionProfiles)[head.profile].members.fetch_sub(1, std::memory_order_relaxed);
  head.remotes -= is_remote(member) ? 1 : 0;
  if (--head.count != 0) return;
  Block* link = &bucket.head;
  while (*link != head_block) link = &head_at(segment, *link).next;
  *link = head.next;
  HOLDFAST_KILL_POINT();
  segment.arena().free(head_block);
}

void unlink(Segment& segment, Block block) noexcept {
  // The head cannot change or go while this member stands on its list.
  Bucket& bucket = bucket_at(segment, head_at(segment, member_at(segment, block).head).hash);
  LockGuard guard(bucket.lock);
  unlink_locked(segment, bucket, block);
}

}  // namespace

/// A (profile, value) with its hash; a profile without value has the empty one.
struct Profiles::Key {
  std::uint32_t profile;
  Text value;
  std::uint64_t hash;
};

Profiles::Profiles(Segment& segment, std::uint32_t thread) noexcept
    : segment_(&segment), undo_(segment.undo(thread)), thread_(thread) {}

Profiles::Key Profiles::key_of(std::uint32_t profile, Text value) const noexcept {
  if (segment_->region<ProfileName>(kRegionProfiles)[profile].with_value == 0) value = {};
  return {profile, value, hash_of(*segment_, profile, value)};
}

Status Profiles::find(Text name, std::uint32_t* profile, bool* with_value) const noexcept {
  const auto* names = segment_->region<ProfileName>(kRegionProfiles);
  for (std::uint32_t n = 0; n < segment_->header().profiles; ++n) {
    if (name.size() != std::strlen(names[n].name) ||
        std::memcmp(name.data(), names[n].name, name.size()) != 0)
      continue;
    *profile = n;
    *with_value = names[n].with_value != 0;
    return Status::kOk;
  }
  return Status::kNotFound;
}

/// Counts and links a member under its head's bucket lock.
Status Profiles::enter(const Key& key, std::uint32_t limit, Need need, Block member) noexcept {
  Bucket& bucket = bucket_at(*segment_, key.hash);
  LockGuard guard(bucket.lock);
  Block head = find_head(*segment_, bucket, key.hash, key.profile, key.value);
  if (head != 0 && limit != 0 && head_at(*segment_, head).count >= limit) return Status::kLimit;
  if (head != 0 && head_at(*segment_, head).remotes == 0xffff && is_remote(member_at(*segment_, member)))
    return Status::kLimit;
  if (head == 0) {
    if (segment_->arena().alloc(sizeof(ProfileHead), need, &head) != Status::kOk) return Status::kNoMemory;
    new (&head_at(*segment_, head))
        ProfileHead{key.hash, bucket.head, static_cast<std::uint16_t>(key.profile), 0, 0, 0};
    HOLDFAST_KILL_POINT();
    bucket.head = head;
  }
  HOLDFAST_KILL_POINT();
  link(*segment_, head, member);
  return Status::kOk;
}

Status Profiles::join(DialogHandle handle, std::uint32_t profile, Text value, std::uint32_t limit,
                      Member* member) noexcept {
  if (member != nullptr) *member = 0;
  if (handle.index == 0 && member == nullptr) return Status::kOutOfRange;  // nobody could give it back
  if (profile >= segment_->header().profiles || value.size() > kProfileValueBytesMax)
    return Status::kOutOfRange;
  const Key key = key_of(profile, value);
  Table::Locked record(*segment_, handle);
  if (handle.index != 0 && (!record || record->state == kDeleted)) return Status::kNotFound;
  const Need need = handle.index != 0 && record->state >= kConfirmedNoAck ? Need::kCallIsUp : Need::kNewCall;
  Arena& arena = segment_->arena();
  DialogCold* numbers = nullptr;
  if (handle.index != 0) {
    numbers = reinterpret_cast<DialogCold*>(arena.bytes(record->cold));
    if (numbers->member_count == kMembersMax) return Status::kLimit;
  }

  Block block = 0;
  if (arena.alloc(sizeof(MemberBlock) + key.value.size(), need, &block) != Status::kOk)
    return Status::kNoMemory;
  MemberBlock& fresh = *new (&member_at(*segment_, block)) MemberBlock{};
  fresh.record = handle.index;
  fresh.profile = static_cast<std::uint16_t>(profile);
  fresh.value_bytes = static_cast<std::uint16_t>(key.value.size());
  fresh.thread = static_cast<std::uint16_t>(thread_);
  if (!key.value.empty()) std::memcpy(&fresh + 1, key.value.data(), key.value.size());
  HOLDFAST_KILL_POINT();
  if (const Status status = enter(key, limit, need, block); status != Status::kOk) {
    arena.free(block);
    return status;
  }
  HOLDFAST_KILL_POINT();
  if (handle.index == 0) {
    if (member != nullptr) *member = block;
    return Status::kOk;
  }
  fresh.next_of_record = record->members;
  undo_.save(&*record, kDialogUndoBytes);
  undo_.save(numbers, sizeof *numbers);
  undo_.mark();
  HOLDFAST_KILL_POINT();
  record->members = block;
  record->version += 1;
  HOLDFAST_KILL_POINT();
  numbers->member_count += 1;
  undo_.clear();
  HOLDFAST_KILL_POINT();
  return Status::kOk;
}

/// A number from outside that really is a membership without a dialog, joined by this thread.
bool Profiles::is_mine(Member member) const noexcept {
  if (!segment_->arena().is_block(member, sizeof(MemberBlock))) return false;
  // The block may long hold something else: nothing in it is followed unchecked.
  const MemberBlock& block = member_at(*segment_, member);
  if (block.record != 0 || block.thread != thread_ || block.profile >= segment_->header().profiles ||
      sizeof block + block.value_bytes > segment_->arena().capacity(member) ||
      !segment_->arena().is_block(block.head, sizeof(ProfileHead)))
    return false;
  const ProfileHead& head = head_at(*segment_, block.head);
  return head.profile == block.profile && head.hash == hash_of(*segment_, block.profile, value_of(block));
}

Status Profiles::attach(Member member, DialogHandle handle) noexcept {
  Table::Locked record(*segment_, handle);
  if (!record || record->state == kDeleted || !is_mine(member)) return Status::kNotFound;
  MemberBlock& block = member_at(*segment_, member);
  auto& numbers = *reinterpret_cast<DialogCold*>(segment_->arena().bytes(record->cold));
  if (numbers.member_count == kMembersMax) return Status::kLimit;
  {
    LockGuard guard(bucket_at(*segment_, head_at(*segment_, block.head).hash).lock);
    block.record = handle.index;
  }
  block.next_of_record = record->members;
  HOLDFAST_KILL_POINT();
  undo_.save(&*record, kDialogUndoBytes);
  undo_.save(&numbers, sizeof numbers);
  undo_.mark();
  record->members = member;
  record->version += 1;
  HOLDFAST_KILL_POINT();
  numbers.member_count += 1;
  undo_.clear();
  HOLDFAST_KILL_POINT();
  return Status::kOk;
}

void Profiles::give_back(Member member) noexcept {
  if (!is_mine(member)) return;
  unlink(*segment_, member);
  HOLDFAST_KILL_POINT();
  member_at(*segment_, member).head = 0;
  segment_->arena().free(member);
}

std::uint32_t Profiles::give_back_all(std::uint32_t thread) noexcept {
  std::uint32_t count = 0;
  for (std::uint32_t n = 0; n < segment_->header().profile_buckets; ++n) {
    Bucket& bucket = segment_->region<Bucket>(kRegionProfileBuckets)[n];
    for (;;) {  // each turn takes one out
      Block found = 0;
      {
        LockGuard guard(bucket.lock);
        for (Block head = bucket.head; head != 0 && found == 0; head = head_at(*segment_, head).next) {
          for (Block at = head_at(*segment_, head).first; at != 0 && found == 0;
               at = member_at(*segment_, at).next_of_head) {
            const MemberBlock& member = member_at(*segment_, at);
            if (member.record == 0 && member.thread == thread) found = at;
          }
        }
      }
      if (found == 0) break;
      unlink(*segment_, found);
      segment_->arena().free(found);
      ++count;
    }
  }
  return count;
}

Status Profiles::add_remote(std::uint32_t profile, Text value, Text uid, std::uint32_t expires) noexcept {
  if (profile >= segment_->header().profiles || value.size() > kProfileValueBytesMax || uid.empty() ||
      uid.size() > kRemoteUidBytesMax)
    return Status::kOutOfRange;
  const Key key = key_of(profile, value);
  Arena& arena = segment_->arena();
  Block block = 0;
  if (arena.alloc(sizeof(MemberBlock) + key.value.size() + uid.size(), Need::kNewCall, &block) != Status::kOk)
    return Status::kNoMemory;
  MemberBlock& fresh = *new (&member_at(*segment_, block)) MemberBlock{};
  fresh.profile = static_cast<std::uint16_t>(profile);
  fresh.value_bytes = static_cast<std::uint16_t>(key.value.size());
  fresh.uid_bytes = static_cast<std::uint16_t>(uid.size());
  fresh.thread = kRemoteThread;
  fresh.expires = expires;
  auto* bytes = reinterpret_cast<std::uint8_t*>(&fresh + 1);
  if (!key.value.empty()) std::memcpy(bytes, key.value.data(), key.value.size());
  std::memcpy(bytes + key.value.size(), uid.data(), uid.size());
  HOLDFAST_KILL_POINT();
  const Status status = enter(key, 0, Need::kNewCall, block);
  if (status != Status::kOk) arena.free(block);
  return status;
}

Status Profiles::remove_remote(std::uint32_t profile, Text value, Text uid) noexcept {
  if (profile >= segment_->header().profiles) return Status::kOutOfRange;
  const Key key = key_of(profile, value);
  Bucket& bucket = bucket_at(*segment_, key.hash);
  LockGuard guard(bucket.lock);
  const Block head = find_head(*segment_, bucket, key.hash, key.profile, key.value);
  std::uint32_t left = head != 0 ? head_at(*segment_, head).remotes : 0;
  for (Block at = left != 0 ? head_at(*segment_, head).first : 0; at != 0 && left != 0;
       at = member_at(*segment_, at).next_of_head) {
    const MemberBlock& member = member_at(*segment_, at);
    if (!is_remote(member)) continue;
    --left;
    if (!equal(uid_of(member), uid)) continue;
    unlink_locked(*segment_, bucket, at);
    HOLDFAST_KILL_POINT();
    segment_->arena().free(at);
    return Status::kOk;
  }
  return Status::kNotFound;
}

std::uint32_t Profiles::expire_remotes(std::uint32_t now, std::uint32_t part) noexcept {
  const std::uint64_t buckets = segment_->header().profile_buckets;
  const std::uint64_t end = buckets * (part % kRemoteParts + 1) / kRemoteParts;
  std::uint32_t count = 0;
  for (std::uint64_t n = buckets * (part % kRemoteParts) / kRemoteParts; n < end; ++n) {
    Bucket& bucket = segment_->region<Bucket>(kRegionProfileBuckets)[n];
    if (peek(bucket.head) == 0) continue;
    LockGuard guard(bucket.lock);
    for (Block head = bucket.head, next_head = 0; head != 0; head = next_head) {
      next_head = head_at(*segment_, head).next;
      // A list is walked no further than its last item of another system.
      std::uint32_t left = head_at(*segment_, head).remotes;
      for (Block at = head_at(*segment_, head).first, next = 0; at != 0 && left != 0; at = next) {
        const MemberBlock& member = member_at(*segment_, at);
        next = member.next_of_head;
        if (!is_remote(member)) continue;
        --left;
        if (member.expires == 0 || member.expires > now) continue;
        unlink_locked(*segment_, bucket, at);
        HOLDFAST_KILL_POINT();
        segment_->arena().free(at);
        ++count;
      }
    }
  }
  return count;
}

void Profiles::release(Segment& segment, Block members) noexcept {
  while (members != 0) {
    const Block next = member_at(segment, members).next_of_record;
    unlink(segment, members);
    HOLDFAST_KILL_POINT();
    segment.arena().free(members);
    members = next;
  }
}

void Profiles::move(Segment& segment, Block first, std::uint32_t record) noexcept {
  for (Block at = first; at != 0; at = member_at(segment, at).next_of_record) {
    MemberBlock& member = member_at(segment, at);
    LockGuard guard(bucket_at(segment, head_at(segment, member.head).hash).lock);
    member.record = record;
    HOLDFAST_KILL_POINT();
  }
}

/// The link to the newest membership of a record that matches; null: it has none.  Its entry is locked.
Block* Profiles::find_member(DialogRecord& record, const Key& key, bool any_value) const noexcept {
  for (Block* link = &record.members; *link != 0; link = &member_at(*segment_, *link).next_of_record) {
    const MemberBlock& member = member_at(*segment_, *link);
    if (member.profile == key.profile && (any_value || equal(value_of(member), key.value))) return link;
  }
  return nullptr;
}

Status Profiles::leave(DialogHandle handle, std::uint32_t profile, Text value, bool any_value) noexcept {
  if (profile >= segment_->header().profiles) return Status::kOutOfRange;
  const Key key = key_of(profile, value);
  Table::Locked record(*segment_, handle);
  if (!record) return Status::kNotFound;
  DialogRecord* of = &*record;
  Block* link = find_member(*of, key, any_value);
  if (link == nullptr && record->state != kDeleted) {
    const Family family(*segment_, *record, cold_at(*segment_, *record));
    for (const std::uint32_t index : family.others()) {
      of = &segment_->dialog(index);
      if ((link = find_member(*of, key, any_value)) != nullptr) break;
    }
  }
  if (link == nullptr) return Status::kNotFound;
  const Block found = *link;
  DialogCold& numbers = cold_at(*segment_, *of);
  undo_.save(of, kDialogUndoBytes);
  undo_.save(&numbers, sizeof numbers);
  if (link != &of->members) undo_.save(link, sizeof *link);
  undo_.mark();
  HOLDFAST_KILL_POINT();
  *link = member_at(*segment_, found).next_of_record;
  of->version += 1;
  HOLDFAST_KILL_POINT();
  numbers.member_count -= 1;
  undo_.clear();
  HOLDFAST_KILL_POINT();
  unlink(*segment_, found);
  HOLDFAST_KILL_POINT();
  segment_->arena().free(found);
  return Status::kOk;
}

Status Profiles::is_member(DialogHandle handle, std::uint32_t profile, Text value,
                           bool any_value) const noexcept {
  if (profile >= segment_->header().profiles) return Status::kOutOfRange;
  const Key key = key_of(profile, value);
  Table::Locked record(*segment_, handle);
  if (!record) return Status::kNotFound;
  if (find_member(*record, key, any_value) != nullptr) return Status::kOk;
  if (record->state == kDeleted) return Status::kNotFound;
  const Family family(*segment_, *record, cold_at(*segment_, *record));
  for (const std::uint32_t index : family.others())
    if (find_member(segment_->dialog(index), key, any_value) != nullptr) return Status::kOk;
  return Status::kNotFound;
}

std::uint32_t Profiles::count(std::uint32_t profile, Text value, bool any_value) const noexcept {
  if (profile >= segment_->header().profiles) return 0;
  const ProfileName& name = segment_->region<ProfileName>(kRegionProfiles)[profile];
  if (any_value || name.with_value == 0) return name.members.load(std::memory_order_relaxed);
  const Key key = key_of(profile, value);
  Bucket& bucket = bucket_at(*segment_, key.hash);
  LockGuard guard(bucket.lock);
  const Block head = find_head(*segment_, bucket, key.hash, profile, key.value);
  return head != 0 ? head_at(*segment_, head).count : 0;
}

std::uint32_t Profiles::members(std::uint32_t profile, Text value, bool any_value, std::uint32_t skip,
                                std::span<DialogHandle> out) const noexcept {
  if (profile >= segment_->header().profiles) return 0;
  const Key key = key_of(profile, value);
  if (!any_value || segment_->region<ProfileName>(kRegionProfiles)[profile].with_value == 0) {
    Bucket& bucket = bucket_at(*segment_, key.hash);
    LockGuard guard(bucket.lock);
    const Block head = find_head(*segment_, bucket, key.hash, profile, key.value);
    if (head == 0) return 0;
    if (head_at(*segment_, head).count <= kMembersWalkMax) {
      std::uint32_t count = 0;
      for (Block at = head_at(*segment_, head).first; at != 0 && count < out.size();
           at = member_at(*segment_, at).next_of_head) {
        const std::uint32_t index = member_at(*segment_, at).record;
        if (index == 0) continue;  // no dialog yet
        if (skip > 0)
          --skip;
        else
          out[count++] = {index, peek(segment_->dialog(index).generation)};
      }
      return count;
    }
  }
  return members_by_record(profile, key.value, any_value, skip, out);
}

std::uint32_t Profiles::members_by_record(std::uint32_t profile, Text value, bool any_value,
                                          std::uint32_t skip, std::span<DialogHandle> out) const noexcept {
  const std::uint32_t last = segment_->dialogs().carved();
  std::uint32_t count = 0;
  for (std::uint32_t index = 1; index <= last && count < out.size(); ++index) {
    Table::Locked record(*segment_, index);
    if (!record) continue;
    for (Block at = record->members; at != 0 && count < out.size();
         at = member_at(*segment_, at).next_of_record) {
      const MemberBlock& member = member_at(*segment_, at);
      if (member.profile != profile || (!any_value && !equal(value_of(member), value))) continue;
      if (skip > 0)
        --skip;
      else
        out[count++] = {index, record->generation};
    }
  }
  return count;
}

std::uint64_t Profiles::audit(std::uint64_t* attached) const noexcept {
  std::uint64_t wrong = 0;
  std::array<std::uint64_t, kProfilesMax> sums{};
  *attached = 0;
  for (std::uint32_t n = 0; n < segment_->header().profile_buckets; ++n) {
    Bucket& bucket = segment_->region<Bucket>(kRegionProfileBuckets)[n];
    LockGuard guard(bucket.lock);
    for (Block block = bucket.head; block != 0; block = head_at(*segment_, block).next) {
      const ProfileHead& head = head_at(*segment_, block);
      std::uint32_t count = 0, remotes = 0;
      for (Block at = head.first; at != 0; at = member_at(*segment_, at).next_of_head) {
        count += 1;
        remotes += is_remote(member_at(*segment_, at)) ? 1 : 0;
        *attached += member_at(*segment_, at).record != 0 ? 1 : 0;
      }
      wrong += count > head.count ? count - head.count : head.count - count;
      wrong += remotes > head.remotes ? remotes - head.remotes : head.remotes - remotes;
      sums[head.profile] += count;
    }
  }
  const auto* names = segment_->region<ProfileName>(kRegionProfiles);
  for (std::uint32_t n = 0; n < segment_->header().profiles; ++n) {
    const std::uint64_t kept = names[n].members.load(std::memory_order_relaxed);
    wrong += sums[n] > kept ? sums[n] - kept : kept - sums[n];
  }
  return wrong;
}

// ---- attach, verify ----

Status link_members(Rebuild& work) noexcept {
  Segment& segment = work.segment;
  for (std::uint32_t index = 1; index <= segment.dialogs().carved(); ++index) {
    DialogRecord& record = segment.dialog(index);
    if (record.state == 0) continue;
    std::uint16_t count = 0;
    for (Block at = record.members; at != 0; at = member_at(segment, at).next_of_record) {
      MemberBlock& member = member_at(segment, at);
      count += 1;
      HOLDFAST_KILL_POINT();
      member.record = index;
      const Text value = value_of(member);
      const std::uint64_t hash = hash_of(segment, member.profile, value);
      Bucket& bucket = bucket_at(segment, hash);
      Block head = find_head(segment, bucket, hash, member.profile, value);
      if (head == 0) {
        if (segment.arena().alloc(sizeof(ProfileHead), Need::kCallIsUp, &head) != Status::kOk)
          return Status::kNoMemory;
        new (&head_at(segment, head)) ProfileHead{hash, bucket.head, member.profile, 0, 0, 0};
        bucket.head = head;
      }
      link(segment, head, at);
    }
    reinterpret_cast<DialogCold*>(segment.arena().bytes(record.cold))->member_count = count;
  }
  return Status::kOk;
}

void verify_members(Rebuild& work) noexcept {
  Segment& segment = work.segment;
  std::uint64_t by_record = 0, by_head = 0;
  for (std::uint32_t index = 1; index <= segment.dialogs().carved(); ++index) {
    const DialogRecord& record = segment.dialog(index);
    if (record.state == 0) continue;
    std::uint32_t count = 0;
    for (Block at = record.members; at != 0;) {
      if (!work.mark(at)) break;
      const MemberBlock& member = member_at(segment, at);
      count += 1;
      const Text value = value_of(member);
      const std::uint64_t hash = hash_of(segment, member.profile, value);
      if (member.record != index ||
          member.head != find_head(segment, bucket_at(segment, hash), hash, member.profile, value) ||
          sizeof member + value.size() > segment.arena().capacity(at))
        work.found.profiles += 1;
      at = member.next_of_record;
    }
    if (count != reinterpret_cast<const DialogCold*>(segment.arena().bytes(record.cold))->member_count)
      work.found.profiles += 1;
    if (record.state == kDeleted && count != 0) work.found.profiles += 1;
    by_record += count;
  }
  // Members without a dialog are named by their heads alone.
  for (std::uint32_t n = 0; n < segment.header().profile_buckets; ++n) {
    for (Block block = segment.region<Bucket>(kRegionProfileBuckets)[n].head; block != 0;) {
      if (!work.mark(block)) break;
      const ProfileHead& head = head_at(segment, block);
      Block previous = 0;
      for (Block at = head.first; at != 0; previous = at, at = member_at(segment, at).next_of_head) {
        const MemberBlock& member = member_at(segment, at);
        if (member.previous_of_head != previous || member.head != block) work.found.profiles += 1;
        if (member.record != 0)
          by_head += 1;
        else if (!work.mark(at))
          break;
      }
      if (head.count == 0) work.found.profiles += 1;
      block = head.next;
    }
  }
  std::uint64_t attached = 0;
  if (Profiles(segment, kMainThread).audit(&attached) != 0 || attached != by_record || by_head != by_record)
    work.found.profiles += 1;
}

}  // namespace holdfast
