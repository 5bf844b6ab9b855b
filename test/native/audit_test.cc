// audit_slice(): kept counts against what they count, a slice at a time.
#include "core/audit.h"

#include <doctest/doctest.h>

#include <string>

#include "core/profiles.h"
#include "segment_memory.h"

using namespace holdfast;

namespace {

constexpr std::uint32_t kCaller = 0, kCalls = 1;  // kTestProfiles

struct Fixture {
  TestSegment t;
  Table table{*t.segment, 0};
  Profiles profiles{*t.segment, 0};
  DialogWords words{};

  DialogHandle make(unsigned n) {
    const TestCall call(n);
    REQUIRE(table.create(call.dialog(), words) == Status::kOk);
    return handle_of(words);
  }
  void join(DialogHandle handle, std::uint32_t profile, std::string_view value) {
    REQUIRE(profiles.join(handle, profile, text(value), 0, nullptr) == Status::kOk);
  }
  DialogRecord& record(DialogHandle handle) { return t.segment->dialog(handle.index); }
  DialogCold& cold(DialogHandle handle) {
    return *reinterpret_cast<DialogCold*>(t.segment->arena().bytes(record(handle).cold));
  }
  ProfileHead& head_of_newest(DialogHandle handle) {
    const auto& member =
        *reinterpret_cast<MemberBlock*>(t.segment->arena().bytes(record(handle).members));
    return *reinterpret_cast<ProfileHead*>(t.segment->arena().bytes(member.head));
  }
  /// One whole round.
  std::uint64_t round() {
    std::uint64_t wrong = 0;
    std::uint32_t cursor = 0;
    do wrong += audit_slice(*t.segment, &cursor);
    while (cursor != 0);
    return wrong;
  }
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "audit: finds nothing, between whatever slices calls join and leave") {
  std::uint32_t cursor = 0, rounds = 0;
  for (unsigned n = 0; n < 200 || rounds < 2; ++n) {
    const DialogHandle handle = make(n);
    join(handle, kCaller, std::to_string(n % 7));
    join(handle, kCalls, {});
    REQUIRE(profiles.add_remote(kCaller, text("0"), text("u"), 0) == Status::kOk);
    REQUIRE(audit_slice(*t.segment, &cursor) == 0);
    rounds += cursor == 0 ? 1 : 0;
    if (n % 3 == 0) REQUIRE(profiles.leave(handle, kCaller, {}, true) == Status::kOk);
    if (n % 3 == 1) REQUIRE(table.change(handle, to_state(kDeleted), words) == Status::kOk);
  }
  CHECK(round() == 0);
}

TEST_CASE_FIXTURE(Fixture, "audit: a count that is wrong is a difference, by how much it is") {
  const DialogHandle one = make(1), other = make(2);
  join(one, kCaller, "alice");
  join(other, kCaller, "alice");
  CHECK(round() == 0);
  SUBCASE("of a value") {
    head_of_newest(one).count += 3;
    CHECK(round() == 3);
    head_of_newest(one).count = 0;
    CHECK(round() == 2);
  }
  SUBCASE("of another system's items") {
    head_of_newest(one).remotes = 2;
    CHECK(round() == 2);
  }
  SUBCASE("of a dialog") {
    cold(other).member_count = 5;
    CHECK(round() == 4);
  }
  SUBCASE("of a profile without value") {
    join(one, kCalls, {});
    t.segment->region<ProfileName>(kRegionProfiles)[kCalls].members.fetch_add(2);
    CHECK(round() == 2);
  }
  SUBCASE("and a list that leads nowhere is one") {
    head_of_newest(one).first = 0xfffffff0;
    CHECK(round() == 1);
  }
}

TEST_CASE_FIXTURE(Fixture, "audit: of a list too long for one lock the beginning is looked at") {
  const DialogHandle handle = make(1);
  for (std::uint32_t n = 0; n < kAuditMembersMax + 10; ++n) join(handle, kCalls, {});
  CHECK(round() == 0);
  ProfileHead& head = head_of_newest(handle);
  auto& sum = t.segment->region<ProfileName>(kRegionProfiles)[kCalls].members;
  sum.fetch_add(1);
  CHECK(round() == 1);
  head.count = 10;
  sum.store(10);
  CHECK(round() > 0);
}
