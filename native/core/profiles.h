// core/profiles.h - (profile, value) -> members and their count, over all shards.
//
// A member is a block that names record, profile and value; it is linked from its dialog's record and into
// the list of its head (profile, value), which holds the count.  Heads and lists are derived from the members
// and rebuilt at attach; profile names stand once in the segment.  A dialog's own list is newest first; the
// same dialog may join twice and counts twice (spec 6.1).  Every call here may be made by any thread.
#pragma once
#include <cstdint>
#include "table.h"

namespace holdfast {

/// A membership that no dialog owns yet: held by a transaction (tryJoin before dlg_manage), given back or
/// attached.
using Member = std::uint32_t;  // block; 0 is none

inline constexpr std::size_t kProfileValueBytesMax = 1024;
/// Longer lists of members are found by walking the records, an entry's lock at a time.
inline constexpr std::uint32_t kMembersWalkMax = 4096;

/// Names of other systems' items are shorter than 64 bytes (spec 6.4).
inline constexpr std::size_t kRemoteUidBytesMax = 63;
/// MemberBlock::thread of an item of another system; no thread has this number.
inline constexpr std::uint16_t kRemoteThread = 0xffff;
/// Each call of expire_remotes() looks at one of so many parts of the profiles.
inline constexpr std::uint32_t kRemoteParts = 64;

struct MemberBlock;
struct ProfileHead;

class Profiles {
 public:
  Profiles(Segment& segment, std::uint32_t thread) noexcept;

  /// Number of the profile called `name`, as defined when the segment was made; kNotFound.
  [[nodiscard]] Status find(Text name, std::uint32_t* profile, bool* with_value) const noexcept;

  /// Joins under the head's bucket lock if count < limit (limit 0: no limit): N calls arriving together on
  /// any threads cannot overshoot.  With handle.index 0 the member counts at once and is returned through
  /// `member`. kLimit, kNoMemory, kNotFound (handle over or state 5), kOutOfRange (value over 1,024 bytes).
  [[nodiscard]] Status join(DialogHandle handle, std::uint32_t profile, Text value, std::uint32_t limit,
                            Member* member) noexcept;
  [[nodiscard]] Status attach(Member member, DialogHandle handle) noexcept;
  void give_back(Member member) noexcept;
  /// Leaves the newest matching membership; `any_value` ignores the value.  kNotFound.  Memberships belong to
  /// the family of a dialog that is up: here and in is_member() its relatives' count as its own, after those.
  [[nodiscard]] Status leave(DialogHandle handle, std::uint32_t profile, Text value, bool any_value) noexcept;
  [[nodiscard]] Status is_member(DialogHandle handle, std::uint32_t profile, Text value,
                                 bool any_value) const noexcept;
  /// Members of one value, or of all.
  [[nodiscard]] std::uint32_t count(std::uint32_t profile, Text value, bool any_value) const noexcept;
  /// Dialogs that are members, at most `out.size()` from `skip` on; returns how many were written.
  [[nodiscard]] std::uint32_t members(std::uint32_t profile, Text value, bool any_value, std::uint32_t skip,
                                      std::span<DialogHandle> out) const noexcept;
  /// Gives back what `thread` joined without a dialog: its worker died.  Main thread; returns how many.
  std::uint32_t give_back_all(std::uint32_t thread) noexcept;

  /// Counts an item of another system, which belongs to no dialog: until its uid is removed, or until
  /// `expires` (Unix seconds, 0: never).  A uid may be added twice.  Like what a transaction holds, items do
  /// not outlive the process.  kLimit, kNoMemory, kOutOfRange (profile, or a text that is empty or too long).
  [[nodiscard]] Status add_remote(std::uint32_t profile, Text value, Text uid,
                                  std::uint32_t expires) noexcept;
  /// Removes the newest item of that uid.  kNotFound.
  [[nodiscard]] Status remove_remote(std::uint32_t profile, Text value, Text uid) noexcept;
  /// Removes all items that expire before or at `now` in the part'th of kRemoteParts; returns how many.
  std::uint32_t expire_remotes(std::uint32_t now, std::uint32_t part) noexcept;

  /// Members from `first` on have gone over to the list of another record; its entry is locked.
  static void move(Segment& segment, Block first, std::uint32_t record) noexcept;
  /// Takes the members of a dialog's list out of their heads and frees them: the record, whose entry is
  /// locked, has already forgotten them.
  static void release(Segment& segment, Block members) noexcept;
  /// Differences between heads, lists and sums (see Table::audit); `attached` receives the members that
  /// dialogs own.
  [[nodiscard]] std::uint64_t audit(std::uint64_t* attached) const noexcept;

 private:
  struct Key;
  [[nodiscard]] Key key_of(std::uint32_t profile, Text value) const noexcept;
  [[nodiscard]] bool is_mine(Member member) const noexcept;
  [[nodiscard]] Block* find_member(DialogRecord& record, const Key& key, bool any_value) const noexcept;
  [[nodiscard]] Status enter(const Key& key, std::uint32_t limit, Need need, Block member) noexcept;
  [[nodiscard]] std::uint32_t members_by_record(std::uint32_t profile, Text value, bool any_value,
                                                std::uint32_t skip,
                                                std::span<DialogHandle> out) const noexcept;

  Segment* segment_;
  Undo undo_;
  std::uint32_t thread_;
};

}  // namespace holdfast
