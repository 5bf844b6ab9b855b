// Profiles: members and their counts [spec 6], admission against a limit, memberships that no dialog owns
// yet.
#include "core/profiles.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <new>
#include <set>

#include "segment_memory.h"

using namespace holdfast;

namespace {

constexpr std::uint32_t kCaller = 0, kCalls = 1, kGateway = 2;  // kTestProfiles

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
  void end(DialogHandle handle) { REQUIRE(table.change(handle, to_state(kDeleted), words) == Status::kOk); }
  std::uint32_t count(std::uint32_t profile, std::string_view value) {
    return profiles.count(profile, text(value), false);
  }
  void sound() {
    CHECK(t.segment->verify().sound());
    CHECK(table.audit() == 0);
  }
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "profiles: names are those of the options") {
  std::uint32_t profile = 9;
  bool with_value = false;
  CHECK(profiles.find(text("caller"), &profile, &with_value) == Status::kOk);
  CHECK(profile == kCaller);
  CHECK(with_value);
  CHECK(profiles.find(text("calls"), &profile, &with_value) == Status::kOk);
  CHECK(profile == kCalls);
  CHECK_FALSE(with_value);
  for (const char* wrong : {"", "call", "callers", "CALLER"})
    CHECK(profiles.find(text(wrong), &profile, &with_value) == Status::kNotFound);
}

TEST_CASE_FIXTURE(Fixture,
                  "profiles: the same dialog joins twice and counts twice, leaves one at a time [spec 6.1]") {
  const DialogHandle handle = make(1);
  REQUIRE(profiles.join(handle, kCaller, text("alice"), 0, nullptr) == Status::kOk);
  REQUIRE(profiles.join(handle, kCaller, text("alice"), 0, nullptr) == Status::kOk);
  REQUIRE(profiles.join(handle, kCaller, text("Alice"), 0, nullptr) == Status::kOk);
  CHECK(count(kCaller, "alice") == 2);
  CHECK(count(kCaller, "Alice") == 1);  // case counts
  CHECK(profiles.count(kCaller, {}, true) == 3);
  sound();
  CHECK(profiles.leave(handle, kCaller, text("alice"), false) == Status::kOk);
  CHECK(count(kCaller, "alice") == 1);
  CHECK(profiles.leave(handle, kCaller, {}, true) == Status::kOk);  // the newest: Alice
  CHECK(count(kCaller, "Alice") == 0);
  CHECK(profiles.leave(handle, kCaller, text("bob"), false) == Status::kNotFound);
  CHECK(profiles.leave(handle, kGateway, {}, true) == Status::kNotFound);
  CHECK(profiles.leave(handle, kCaller, text("alice"), false) == Status::kOk);
  CHECK(profiles.leave(handle, kCaller, {}, true) == Status::kNotFound);
  CHECK(profiles.count(kCaller, {}, true) == 0);
  sound();
}

TEST_CASE_FIXTURE(Fixture, "profiles: a profile without value ignores one") {
  const DialogHandle handle = make(1);
  REQUIRE(profiles.join(handle, kCalls, text("ignored"), 0, nullptr) == Status::kOk);
  CHECK(count(kCalls, "") == 1);
  CHECK(count(kCalls, "anything") == 1);
  CHECK(profiles.is_member(handle, kCalls, text("else"), false) == Status::kOk);
  CHECK(profiles.leave(handle, kCalls, text("more"), false) == Status::kOk);
  sound();
}

TEST_CASE_FIXTURE(Fixture, "profiles: membership is by exact value, or any") {
  const DialogHandle handle = make(1), other = make(2);
  REQUIRE(profiles.join(handle, kCaller, text("alice"), 0, nullptr) == Status::kOk);
  CHECK(profiles.is_member(handle, kCaller, text("alice"), false) == Status::kOk);
  CHECK(profiles.is_member(handle, kCaller, text("alic"), false) == Status::kNotFound);
  CHECK(profiles.is_member(handle, kCaller, {}, true) == Status::kOk);
  CHECK(profiles.is_member(handle, kGateway, {}, true) == Status::kNotFound);
  CHECK(profiles.is_member(other, kCaller, {}, true) == Status::kNotFound);
  CHECK(profiles.is_member(handle, 99, {}, true) == Status::kOutOfRange);
}

TEST_CASE_FIXTURE(Fixture,
                  "profiles: the end of a dialog leaves everything at once, whoever ends it [spec 2.2]") {
  const DialogHandle first = make(1), second = make(2);
  for (const DialogHandle handle : {first, second}) {
    REQUIRE(profiles.join(handle, kCaller, text("alice"), 0, nullptr) == Status::kOk);
    REQUIRE(profiles.join(handle, kCalls, {}, 0, nullptr) == Status::kOk);
  }
  REQUIRE(table.hold(first) == Status::kOk);
  end(first);
  CHECK(words[kDMembers] == 0);
  CHECK(count(kCaller, "alice") == 1);
  CHECK(profiles.is_member(first, kCaller, {}, true) == Status::kNotFound);
  CHECK(profiles.join(first, kCaller, text("alice"), 0, nullptr) == Status::kNotFound);  // state 5
  const TestCall call(2);
  REQUIRE(table.change(second, call.answer(), words) == Status::kOk);
  REQUIRE(Table(*t.segment, 5).claim_end(second, EndReason::kCommand, 3, 0, 1, words) == Status::kOk);
  CHECK(profiles.count(kCaller, {}, true) == 0);
  CHECK(profiles.count(kCalls, {}, true) == 0);
  sound();
}

TEST_CASE_FIXTURE(Fixture, "profiles: a limit is per value and is never overshot") {
  std::vector<DialogHandle> in;
  for (unsigned n = 0; n < 8; ++n) {
    const DialogHandle handle = make(n);
    const Status status = profiles.join(handle, kCaller, text("alice"), 5, nullptr);
    CHECK(status == (n < 5 ? Status::kOk : Status::kLimit));
    if (status == Status::kOk) in.push_back(handle);
    CHECK(profiles.join(handle, kCaller, text("bob"), 0, nullptr) == Status::kOk);
  }
  CHECK(count(kCaller, "alice") == 5);
  end(in[2]);
  CHECK(profiles.join(make(20), kCaller, text("alice"), 5, nullptr) == Status::kOk);
  CHECK(profiles.join(make(21), kCaller, text("alice"), 5, nullptr) == Status::kLimit);
  CHECK(profiles.join(make(22), kCaller, text("alice"), 0, nullptr) == Status::kOk);  // plain set: no limit
  sound();
}

TEST_CASE_FIXTURE(Fixture, "profiles: a join before the dialog counts at once, is attached or given back") {
  Member first = 0, second = 0, third = 0;
  REQUIRE(profiles.join({}, kCaller, text("alice"), 2, &first) == Status::kOk);
  REQUIRE(first != 0);
  REQUIRE(profiles.join({}, kCaller, text("alice"), 2, &second) == Status::kOk);
  CHECK(profiles.join({}, kCaller, text("alice"), 2, &third) == Status::kLimit);
  CHECK(third == 0);
  CHECK(count(kCaller, "alice") == 2);
  sound();
  const DialogHandle handle = make(1);
  REQUIRE(profiles.attach(first, handle) == Status::kOk);
  CHECK(profiles.is_member(handle, kCaller, text("alice"), false) == Status::kOk);
  CHECK(profiles.attach(first, handle) == Status::kNotFound);  // not twice
  profiles.give_back(first);                                   // nor given back any more
  CHECK(count(kCaller, "alice") == 2);
  profiles.give_back(second);
  profiles.give_back(second);
  CHECK(count(kCaller, "alice") == 1);
  sound();
  end(handle);
  CHECK(profiles.count(kCaller, {}, true) == 0);
  CHECK(t.segment->used_bytes() == 0);
}

TEST_CASE_FIXTURE(Fixture, "profiles: numbers that are no pending membership of this thread are refused") {
  Profiles other(*t.segment, 1);
  Member mine = 0;
  REQUIRE(profiles.join({}, kCaller, text("alice"), 0, &mine) == Status::kOk);
  const DialogHandle handle = make(1);
  CHECK(other.attach(mine, handle) == Status::kNotFound);
  other.give_back(mine);
  for (const Member wrong : {Member{0}, mine + 1, mine + 2, Member{0xffffffff}, Member{123456}}) {
    CHECK(profiles.attach(wrong, handle) == Status::kNotFound);
    profiles.give_back(wrong);
  }
  CHECK(count(kCaller, "alice") == 1);
  CHECK(profiles.attach(mine, {handle.index, handle.generation + 1}) == Status::kNotFound);
  REQUIRE(table.hold(handle) == Status::kOk);
  end(handle);
  CHECK(profiles.attach(mine, handle) == Status::kNotFound);  // the call failed meanwhile
  profiles.give_back(mine);
  CHECK(count(kCaller, "alice") == 0);
  sound();
}

TEST_CASE_FIXTURE(Fixture, "profiles: a stale number whose block holds something else is refused") {
  Arena& arena = t.segment->arena();
  const DialogHandle handle = make(1);
  Member real = 0;
  REQUIRE(profiles.join({}, kCaller, text("alice"), 0, &real) == Status::kOk);
  Block block = 0, other = 0;
  REQUIRE(arena.alloc(sizeof(MemberBlock), Need::kCallIsUp, &block) == Status::kOk);
  REQUIRE(arena.alloc(256, Need::kCallIsUp, &other) == Status::kOk);
  std::memset(arena.bytes(other), 0xff, 256);
  const MemberBlock& pending = *reinterpret_cast<const MemberBlock*>(arena.bytes(real));
  const auto refused = [&](std::uint16_t profile, std::uint16_t value_bytes, Block head) {
    auto& stale = *new (arena.bytes(block)) MemberBlock{};
    stale.profile = profile;
    stale.value_bytes = value_bytes;
    stale.head = head;
    CHECK(profiles.attach(block, handle) == Status::kNotFound);
    profiles.give_back(block);
    CHECK(count(kCaller, "alice") == 1);
  };
  refused(kCaller, 0, 0xffffffff);
  refused(kCaller, 0, 1u << 20);
  refused(kCaller, 0, other);
  refused(kCaller, 0, pending.head);  // of another value
  refused(0xffff, 0, pending.head);
  refused(kCaller, 0xffff, pending.head);
  arena.free(block);
  arena.free(other);
  CHECK(profiles.attach(real, handle) == Status::kOk);
  sound();
}

TEST_CASE_FIXTURE(Fixture, "profiles: what a dead worker joined without a dialog is given back") {
  Profiles dead(*t.segment, 1);
  const DialogHandle handle = make(1);
  Member member = 0;
  for (int n = 0; n < 5; ++n) REQUIRE(dead.join({}, kCaller, text("alice"), 0, &member) == Status::kOk);
  REQUIRE(dead.join(handle, kCaller, text("alice"), 0, nullptr) == Status::kOk);
  REQUIRE(profiles.join({}, kCaller, text("alice"), 0, &member) == Status::kOk);
  CHECK(profiles.give_back_all(1) == 5);
  CHECK(count(kCaller, "alice") == 2);
  CHECK(profiles.give_back_all(1) == 0);
  sound();
}

TEST_CASE_FIXTURE(Fixture, "profiles: bounds") {
  const DialogHandle handle = make(1);
  const std::string most(kProfileValueBytesMax, 'v');
  CHECK(profiles.join(handle, kCaller, text(most), 0, nullptr) == Status::kOk);
  CHECK(profiles.join(handle, kCaller, text(most + "v"), 0, nullptr) == Status::kOutOfRange);
  CHECK(profiles.join(handle, 3, text("v"), 0, nullptr) == Status::kOutOfRange);
  CHECK(profiles.count(3, {}, true) == 0);
  CHECK(profiles.leave(handle, 3, {}, true) == Status::kOutOfRange);
  CHECK(count(kCaller, most) == 1);
  sound();
}

TEST_CASE_FIXTURE(
    Fixture, "profiles: members are listed newest first by value, by record for all and for long lists") {
  std::vector<DialogHandle> handles;
  for (unsigned n = 0; n < 5000; ++n) {
    handles.push_back(make(n));
    REQUIRE(profiles.join(handles.back(), kCalls, {}, 0, nullptr) == Status::kOk);
    REQUIRE(profiles.join(handles.back(), kCaller, text(n % 2 == 0 ? "even" : "odd"), 0, nullptr) ==
            Status::kOk);
  }
  const auto all = [&](std::uint32_t profile, std::string_view value, bool any) {
    std::vector<std::uint32_t> seen;
    DialogHandle out[300];
    for (std::uint32_t got; (got = profiles.members(profile, text(value), any,
                                                    static_cast<std::uint32_t>(seen.size()), out)) != 0;)
      for (std::uint32_t n = 0; n < got; ++n) {
        REQUIRE(table.load(out[n], words) == Status::kOk);
        seen.push_back(out[n].index);
      }
    return seen;
  };
  const auto even = all(kCaller, "even", false);
  CHECK(even.size() == 2500);
  CHECK(even.front() == handles[4998].index);
  CHECK(even.back() == handles[0].index);
  CHECK(all(kCaller, "", true).size() == 5000);
  CHECK(all(kCaller, "none", false).empty());
  const auto calls = all(kCalls, "", true);  // more than kMembersWalkMax
  CHECK(std::set<std::uint32_t>(calls.begin(), calls.end()).size() == 5000);
  CHECK(profiles.members(kCalls, {}, true, 0, {}) == 0);
  CHECK(profiles.members(77, {}, true, 0, {}) == 0);
}

TEST_CASE("profiles: an arena that runs out is an answer, nothing is counted") {
  TestSegment t(Segment::bytes_min(test_options()));
  Profiles profiles(*t.segment, 0);
  const std::string value(1000, 'v');
  std::vector<Member> members;
  Member member = 0;
  Status status;
  for (unsigned n = 0;
       (status = profiles.join({}, kCaller, text(value + std::to_string(n)), 0, &member)) == Status::kOk; ++n)
    members.push_back(member);
  CHECK(status == Status::kNoMemory);
  CHECK(profiles.count(kCaller, {}, true) == members.size());
  CHECK(t.segment->verify().sound());
  for (const Member m : members) profiles.give_back(m);
  CHECK(profiles.count(kCaller, {}, true) == 0);
  CHECK(t.segment->used_bytes() == 0);
}

TEST_CASE_FIXTURE(Fixture, "profiles: items of other systems count, go by uid, in no listing [spec 6.4]") {
  REQUIRE(profiles.join(make(1), kCaller, text("alice"), 0, nullptr) == Status::kOk);
  for (const char* uid : {"u1", "u1", "u2"})
    REQUIRE(profiles.add_remote(kCaller, text("alice"), text(uid), 0) == Status::kOk);
  REQUIRE(profiles.join(make(2), kCaller, text("alice"), 0, nullptr) == Status::kOk);
  CHECK(count(kCaller, "alice") == 5);
  CHECK(profiles.join(make(3), kCaller, text("alice"), 5, nullptr) == Status::kLimit);
  DialogHandle listed[8];
  CHECK(profiles.members(kCaller, text("alice"), false, 0, listed) == 2);
  sound();
  CHECK(profiles.remove_remote(kCaller, text("alice"), text("u3")) == Status::kNotFound);
  CHECK(profiles.remove_remote(kCaller, text("bob"), text("u1")) == Status::kNotFound);
  CHECK(profiles.remove_remote(kCaller, text("alice"), text("u1")) == Status::kOk);
  CHECK(profiles.remove_remote(kCaller, text("alice"), text("u1")) == Status::kOk);
  CHECK(profiles.remove_remote(kCaller, text("alice"), text("u1")) == Status::kNotFound);
  CHECK(count(kCaller, "alice") == 3);
  CHECK(profiles.give_back_all(0) == 0);
  CHECK(count(kCaller, "alice") == 3);
  sound();
}

TEST_CASE_FIXTURE(Fixture,
                  "profiles: all items that have expired go in one round, the others stay [spec 6.4]") {
  REQUIRE(profiles.join(make(1), kCaller, text("alice"), 0, nullptr) == Status::kOk);
  for (const std::uint32_t expires : {100u, 0u, 101u, 100u, 99u})
    REQUIRE(profiles.add_remote(kCaller, text("alice"), text("u"), expires) == Status::kOk);
  REQUIRE(profiles.add_remote(kCalls, {}, text("u"), 100) == Status::kOk);
  std::uint32_t gone = 0;
  for (std::uint32_t part = 0; part < kRemoteParts; ++part) gone += profiles.expire_remotes(99, part);
  CHECK(gone == 1);
  for (std::uint32_t part = 0; part < kRemoteParts; ++part) gone += profiles.expire_remotes(100, part);
  CHECK(gone == 4);
  CHECK(count(kCaller, "alice") == 3);
  CHECK(profiles.count(kCalls, {}, true) == 0);
  sound();
}

TEST_CASE_FIXTURE(Fixture, "profiles: items that cannot be are refused") {
  const std::string long_uid(kRemoteUidBytesMax + 1, 'u');
  CHECK(profiles.add_remote(9, text("a"), text("u"), 0) == Status::kOutOfRange);
  CHECK(profiles.add_remote(kCaller, text("a"), {}, 0) == Status::kOutOfRange);
  CHECK(profiles.add_remote(kCaller, text("a"), text(long_uid), 0) == Status::kOutOfRange);
  CHECK(profiles.add_remote(kCaller, text("a"), text(long_uid.substr(1)), 0) == Status::kOk);
  CHECK(profiles.remove_remote(9, text("a"), text("u")) == Status::kOutOfRange);
  sound();
}
