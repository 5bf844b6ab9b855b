// What few dialogs need: marks, the transaction of an unanswered call, saved deadline, CSeq numbers, sources,
// early legs, keep-alive.  A plain confirmed call keeps nothing of it.
#include <doctest/doctest.h>

#include <cstring>
#include <map>

#include "core/cseq.h"
#include "segment_memory.h"

using namespace holdfast;

namespace {

struct Fixture {
  TestSegment t;
  Table table{*t.segment, 0};
  Counters counters{*t.segment, kMainThread};
  DialogWords words{};

  DialogHandle make(const TestCall& call) {
    REQUIRE(table.create(call.dialog(), words) == Status::kOk);
    return handle_of(words);
  }
  void change(DialogHandle handle, const Change& c) {
    REQUIRE(table.change(handle, c, words) == Status::kOk);
  }
  DialogHandle confirmed(const TestCall& call) {
    const DialogHandle handle = make(call);
    change(handle, call.answer());
    change(handle, to_state(kConfirmed));
    return handle;
  }
  void load(DialogHandle handle) { REQUIRE(table.load(handle, words) == Status::kOk); }
  void attach() {
    REQUIRE(t.attach());
    table = Table(*t.segment, 0);
    counters = Counters(*t.segment, kMainThread);
    profiles = Profiles(*t.segment, 0);
  }
  void sound() {
    const Verification v = t.segment->verify();
    INFO("blocks " << v.blocks << " arena " << v.arena << " index " << v.index << " pools " << v.pools
                   << " profiles " << v.profiles << " counts " << v.counts << " wheels " << v.wheels);
    CHECK(v.sound());
    CHECK(table.audit() == 0);
  }
  std::string text_of(DialogHandle handle, std::uint32_t number) {
    std::vector<std::uint8_t> out(65536);
    std::size_t length = 0, at = kDialogWords * 4;
    REQUIRE(table.snapshot(handle.index, out, &length) == Status::kOk);
    for (;; --number) {
      std::uint32_t bytes;
      std::memcpy(&bytes, out.data() + at, 4);
      if (number == 0) return std::string(out.begin() + at + 4, out.begin() + at + 4 + bytes);
      at += 4 + (bytes + 3) / 4 * 4;
    }
  }
  Profiles profiles{*t.segment, 0};
  /// A further 2xx with this tag.
  DialogHandle fork(DialogHandle handle, const std::string& tag, std::uint32_t from = 0,
                    std::uint32_t by = 0) {
    REQUIRE(table.fork(handle, sibling(tag), words, from, by) == Status::kOk);
    return handle_of(words);
  }
  static Change sibling(const std::string& tag) {
    Change c;
    c.callee_tag = text(tag);
    c.callee_contact = text("sip:carol@192.0.2.77");
    c.callee_route_set = text("<sip:p2.example.com;lr>");
    c.callee_source = text("192.0.2.77:5099");
    c.callee_socket = 2;
    c.start_ts = 1'700'000'007;
    c.due = 60'000;
    return c;
  }
  Status early(DialogHandle handle, std::string_view tag, std::string_view contact = "sip:e@h") {
    NewEarlyLeg leg;
    leg.tag = text(tag), leg.contact = text(contact), leg.route_set = text("<sip:p3;lr>");
    return table.early_leg(handle, leg, words);
  }
  /// Each early leg as "tag contact routes|", newest first, as a snapshot of that many bytes shows them.
  std::string legs(DialogHandle handle, std::size_t room = 65536) {
    std::vector<std::uint8_t> out(room);
    std::size_t length = 0, at = kDialogWords * 4;
    REQUIRE(table.snapshot(handle.index, out, &length) == Status::kOk);
    const auto next = [&] {
      std::uint32_t bytes;
      std::memcpy(&bytes, out.data() + at, 4);
      const std::string s(out.begin() + at + 4, out.begin() + at + 4 + bytes);
      at += 4 + (bytes + 3) / 4 * 4;
      return s;
    };
    for (std::uint32_t n = 0; n < kTextCount; ++n) next();
    std::uint32_t count;
    std::memcpy(&count, out.data() + 4 * kDEarlyLegs, 4);
    std::string all;
    while (count-- > 0) {
      const std::string tag = next(), contact = next();
      all += tag + " " + contact + " " + next() + "|";
    }
    CHECK(at == length);
    return all;
  }
  std::vector<DialogHandle> keep_alives(std::uint32_t now) {
    std::vector<DialogHandle> all;
    for (std::uint32_t owner = 0; owner < t.segment->workers(); ++owner) {
      DialogHandle out[kAdvanceNodesMax];
      while (const std::uint32_t count = table.advance_keep_alive(owner, now, out))
        all.insert(all.end(), out, out + count);
    }
    return all;
  }
  std::uint32_t take(DialogHandle handle, Direction direction, std::uint32_t again = 0) {
    std::uint32_t number = 0;
    REQUIRE(table.take_cseq(handle, direction, again, &number) == Status::kOk);
    return number;
  }
  std::uint32_t map(DialogHandle handle, Direction direction, std::uint32_t received) {
    std::uint32_t number = 0;
    REQUIRE(table.map_cseq(handle, direction, received, &number) == Status::kOk);
    return number;
  }
};

Change due(std::uint32_t seconds) {
  Change c;
  c.fields = kChangeDue;
  c.due = seconds;
  return c;
}
Change marks(std::uint32_t set, std::uint32_t clear) {
  Change c;
  c.fields = kChangeMarks;
  c.marks_set = set;
  c.marks_clear = clear;
  return c;
}
Change transaction(std::uint32_t index, std::uint32_t generation) {
  Change c;
  c.fields = kChangeTransaction;
  c.transaction_index = index;
  c.transaction_generation = generation;
  return c;
}

}  // namespace

TEST_CASE_FIXTURE(Fixture, "extra: the INVITE's transaction is kept while the call is unanswered") {
  const TestCall call(1);
  const DialogHandle handle = make(call);
  const std::uint64_t plain = t.segment->used_bytes();
  change(handle, transaction(17, 3));
  CHECK(words[kDTransactionIndex] == 17);
  CHECK(words[kDTransactionGeneration] == 3);
  change(handle, to_state(kEarly));
  CHECK(words[kDTransactionIndex] == 17);
  attach();
  load(handle);
  CHECK(words[kDTransactionIndex] == 17);
  CHECK(words[kDTransactionGeneration] == 3);
  sound();
  change(handle, transaction(0, 0));
  CHECK(words[kDTransactionIndex] == 0);
  CHECK(t.segment->used_bytes() == plain);
  change(handle, transaction(18, 4));
  change(handle, call.answer());
  CHECK(words[kDTransactionIndex] == 0);
  CHECK(words[kDTransactionGeneration] == 0);
  change(handle, transaction(18, 4));  // answered: not kept
  CHECK(words[kDTransactionIndex] == 0);
  sound();

  const DialogHandle failed = make(TestCall(2));
  change(failed, transaction(19, 1));
  change(failed, to_state(kDeleted));
  CHECK(words[kDTransactionIndex] == 0);
  change(handle, to_state(kDeleted));
  CHECK(t.segment->used_bytes() == 0);
}

TEST_CASE_FIXTURE(Fixture, "extra: a change of the deadline clears the route's mark, not the others") {
  const DialogHandle handle = confirmed(TestCall(1));
  change(handle, marks(kMarkRouteAsked | kMarkShortened, 0));
  CHECK(words[kDMarks] == (kMarkRouteAsked | kMarkShortened));
  change(handle, to_state(kConfirmed));
  CHECK(words[kDMarks] == (kMarkRouteAsked | kMarkShortened));
  change(handle, due(60'000));
  CHECK(words[kDMarks] == kMarkShortened);
  Change both = due(61'000);
  both.fields |= kChangeMarks;
  both.marks_set = kMarkRouteAsked;
  both.marks_clear = kMarkShortened;
  change(handle, both);
  CHECK(words[kDMarks] == kMarkRouteAsked);
  attach();
  load(handle);
  CHECK(words[kDMarks] == kMarkRouteAsked);
  CHECK(table.change(handle, marks(kMarkAll + 1, 0), words) == Status::kOutOfRange);
  CHECK(table.change(handle, marks(0, 0x100), words) == Status::kOutOfRange);
  sound();
}

TEST_CASE_FIXTURE(Fixture, "extra: a saved deadline costs nothing once it is 0 again") {
  const DialogHandle handle = confirmed(TestCall(1));
  const std::uint64_t plain = t.segment->used_bytes();
  Change c = due(1010);
  c.fields |= kChangeSavedDue;
  c.saved_due = 50'000;
  change(handle, c);
  CHECK(words[kDSavedDue] == 50'000);
  CHECK(words[kDDue] == 1010);
  CHECK(t.segment->used_bytes() > plain);
  attach();
  load(handle);
  CHECK(words[kDSavedDue] == 50'000);
  sound();
  c.due = 50'000;
  c.saved_due = 0;
  change(handle, c);
  CHECK(words[kDSavedDue] == 0);
  CHECK(t.segment->used_bytes() == plain);
  sound();
}

TEST_CASE_FIXTURE(Fixture, "extra: an observed source goes with its contact; none given, none kept") {
  const TestCall call(1);
  NewDialog d = call.dialog();
  d.caller_source = text("198.51.100.7:40123");
  REQUIRE(table.create(d, words) == Status::kOk);
  const DialogHandle handle = handle_of(words);
  CHECK(text_of(handle, kTextCallerSource) == "198.51.100.7:40123");
  CHECK(text_of(handle, kTextCalleeSource) == "");
  Change answer = call.answer();
  answer.callee_source = text("[2001:db8::1]:5060");
  change(handle, answer);
  CHECK(text_of(handle, kTextCalleeSource) == "[2001:db8::1]:5060");
  Change c;
  c.fields = kChangeCallerContact | kChangeCalleeContact;
  c.caller_contact = text("sip:alice@10.0.0.1");
  c.caller_source = text("198.51.100.7:40999");
  c.caller_socket = 2;
  c.callee_contact = text("sip:bob@203.0.113.9");
  change(handle, c);
  CHECK(text_of(handle, kTextCallerContact) == "sip:alice@10.0.0.1");
  CHECK(text_of(handle, kTextCallerSource) == "198.51.100.7:40999");
  CHECK(text_of(handle, kTextCalleeContact) == "sip:bob@203.0.113.9");
  CHECK(text_of(handle, kTextCalleeSource) == "");
  CHECK(text_of(handle, kTextCalleeTag) == call.callee_tag);
  CHECK(words[kDCallerSocket] == 2);
  CHECK(words[kDCalleeSocket] == 1);
  const std::string long_source(kSourceBytesMax + 1, '1');
  c.caller_source = text(long_source);
  CHECK(table.change(handle, c, words) == Status::kOutOfRange);
  d.caller_source = text(long_source);
  CHECK(table.create(d, words) == Status::kOutOfRange);
  sound();
}

TEST_CASE_FIXTURE(Fixture, "extra: numbers are taken and mapped in each direction by itself [spec 4.3]") {
  const TestCall call(1);
  const DialogHandle handle = confirmed(call);  // the INVITE had CSeq 1
  const std::uint64_t plain = t.segment->used_bytes();
  std::uint32_t number = 0;
  CHECK(map(handle, kDownstream, 2) == 2);
  CHECK(t.segment->used_bytes() == plain);
  CHECK(take(handle, kDownstream) == 3);
  load(handle);
  CHECK(words[kDSteps] == 1);
  CHECK(words[kDCallerCSeq] == 2);  // as received
  CHECK(words[kDCalleeCSeq] == kNoCSeq);
  CHECK(take(handle, kUpstream) == 1);  // the callee has sent nothing yet
  load(handle);
  CHECK(words[kDSteps] == 3);
  attach();
  CHECK(map(handle, kDownstream, 2) == 2);
  CHECK(map(handle, kDownstream, 3) == 4);
  CHECK(map(handle, kDownstream, 3) == 4);
  CHECK(map(handle, kUpstream, 1) == 2);
  REQUIRE(table.sent_cseq(handle, kDownstream, &number) == Status::kOk);
  CHECK(number == 4);
  CHECK(take(handle, kDownstream) == 5);
  CHECK(take(handle, kDownstream, 3) == 6);
  CHECK(map(handle, kDownstream, 3) == 6);
  CHECK(map(handle, kDownstream, 4) == 7);
  sound();
  for (const Direction none : {kNone, static_cast<Direction>(3)}) {
    CHECK(table.take_cseq(handle, none, 0, &number) == Status::kOutOfRange);
    CHECK(table.map_cseq(handle, none, 5, &number) == Status::kOutOfRange);
    CHECK(table.sent_cseq(handle, none, &number) == Status::kOutOfRange);
  }

  // The BYEs of an end take theirs the same way, and whoever succeeds us reads them from the record.
  REQUIRE(table.claim_end(handle, EndReason::kCommand, 3, 0, 9, words) == Status::kOk);
  CHECK(words[kDCallerCSeq] == 8);
  CHECK(words[kDCalleeCSeq] == 3);
  attach();
  load(handle);
  CHECK(words[kDCallerCSeq] == 8);
  CHECK(words[kDCalleeCSeq] == 3);
  REQUIRE(table.sent_cseq(handle, kUpstream, &number) == Status::kOk);
  CHECK(number == 3);
  CHECK(take(handle, kDownstream) == 9);  // the BYE again, with credentials
  sound();
  (void)table.bye_answered(handle, 3);
  table.drop(handle);  // what attach kept for the effects ...
  table.drop(handle);  // ... and for the BYEs
  CHECK(t.segment->used_bytes() == 0);
  CHECK(table.take_cseq(handle, kUpstream, 0, &number) == Status::kNotFound);
}

TEST_CASE_FIXTURE(Fixture, "extra: a plain end takes its numbers without memory") {
  const DialogHandle handle = confirmed(TestCall(1));
  const std::uint64_t plain = t.segment->used_bytes();
  REQUIRE(table.claim_end(handle, EndReason::kCommand, 3, 0, 9, words) == Status::kOk);
  CHECK(words[kDCallerCSeq] == 2);
  CHECK(words[kDCalleeCSeq] == 1);
  CHECK(t.segment->used_bytes() <= plain);
  std::uint32_t number = 0;
  REQUIRE(table.sent_cseq(handle, kDownstream, &number) == Status::kOk);
  CHECK(number == 2);
}

TEST_CASE_FIXTURE(Fixture, "extra: a plain confirmed call keeps none of it") {
  const TestCall call(1);
  const DialogHandle handle = confirmed(call);
  const std::uint64_t plain = t.segment->used_bytes();
  change(handle, to_state(kDeleted));
  const DialogHandle other = make(call);
  change(other, transaction(5, 5));
  change(other, to_state(kEarly));
  change(other, call.answer());
  change(other, to_state(kConfirmed));
  CHECK(t.segment->used_bytes() == plain);
}

TEST_CASE_FIXTURE(Fixture, "extra: early legs are kept by tag until the first 2xx") {
  const TestCall call(1);
  const DialogHandle handle = make(call);
  CHECK(early(handle, "e1") == Status::kOk);
  CHECK(words[kDEarlyLegs] == 1);
  const std::uint32_t version = words[kDVersion];
  const std::uint64_t used = t.segment->used_bytes();
  CHECK(early(handle, "e1") == Status::kOk);  // the same again changes nothing
  CHECK(words[kDVersion] == version);
  CHECK(early(handle, "e2") == Status::kOk);
  CHECK(early(handle, "e3") == Status::kOk);
  CHECK(early(handle, "e2", "sip:other@h") == Status::kOk);  // replaced, in its place
  CHECK(words[kDEarlyLegs] == 3);
  CHECK(legs(handle) == "e3 sip:e@h <sip:p3;lr>|e2 sip:other@h <sip:p3;lr>|e1 sip:e@h <sip:p3;lr>|");
  std::size_t length = 0;
  std::vector<std::uint8_t> out(65536);
  REQUIRE(table.snapshot(handle.index, out, &length) == Status::kOk);
  CHECK(legs(handle, length - 1) == "e3 sip:e@h <sip:p3;lr>|e2 sip:other@h <sip:p3;lr>|");
  // What the early callee sends is matched [spec 1.3].
  CHECK(table.find_by_call_id(text(call.call_id), text("e2"), text(call.caller_tag), kNone, words) ==
        Status::kOk);
  CHECK(words[kDDirection] == kUpstream);
  attach();
  load(handle);
  CHECK(words[kDEarlyLegs] == 3);
  sound();
  CHECK(table.end_early_leg(handle, text("e2"), words) == Status::kOk);
  CHECK(table.end_early_leg(handle, text("e2"), words) == Status::kNotFound);
  CHECK(table.end_early_leg(handle, text("e3"), words) == Status::kOk);
  CHECK(words[kDEarlyLegs] == 1);
  CHECK(t.segment->used_bytes() == used);
  sound();
  CHECK(table.end_early_leg(handle, text("e1"), words) == Status::kOk);
  CHECK(words[kDEarlyLegs] == 0);
  for (std::uint32_t n = 0; n < kEarlyLegsMax; ++n)
    CHECK(early(handle, "many" + std::to_string(n)) == Status::kOk);
  CHECK(early(handle, "one-more") == Status::kLimit);
  CHECK(early(handle, "many3", "sip:new@h") == Status::kOk);
  CHECK(early(handle, "") == Status::kOutOfRange);
  CHECK(early(handle, std::string(kTextBytesMax + 1, 'x')) == Status::kOutOfRange);
  change(handle, call.answer());
  CHECK(words[kDEarlyLegs] == 0);
  CHECK(early(handle, "late") == Status::kConflict);
  sound();
  const DialogHandle failed = make(TestCall(2));
  CHECK(early(failed, "e1") == Status::kOk);
  change(failed, to_state(kDeleted));
  change(handle, to_state(kDeleted));
  CHECK(t.segment->used_bytes() == 0);
}

TEST_CASE_FIXTURE(Fixture, "family: a further 2xx makes a sibling with a leg of its own [spec 1.5]") {
  const TestCall call(1);
  NewDialog d = call.dialog();
  d.timeout_route = text("TOO_LONG");
  REQUIRE(table.create(d, words) == Status::kOk);
  const DialogHandle first = handle_of(words);
  CHECK(table.fork(first, sibling("c3"), words) == Status::kRefused);  // nobody has answered
  Change c;
  c.fields = kChangeFlags | kChangeScriptFlags | kChangeProperties;
  c.flags_set = 5, c.script_flags_set = 6, c.properties_set = 7;
  change(first, c);
  REQUIRE(table.set_variable(first, text("account"), text("4711")) == Status::kOk);
  change(first, call.answer());
  REQUIRE(table.shift_cseq(first, kDownstream, 1, 1) == Status::kOk);  // the INVITE went with credentials
  load(first);
  const DialogWords before = words;
  const DialogHandle second = fork(first, "c3", 1, 2);  // and there a second time
  CHECK(second.index != first.index);
  CHECK(words[kDState] == kConfirmedNoAck);
  CHECK(words[kDEntry] == before[kDEntry]);
  CHECK(words[kDCookieId] == before[kDId]);
  CHECK(words[kDId] != before[kDId]);
  CHECK(words[kDFlags] == 5);
  CHECK(words[kDScriptFlags] == 6);
  CHECK(words[kDProperties] == 7);
  CHECK(words[kDLifetime] == 43200);
  CHECK(words[kDVariables] == 1);
  CHECK(words[kDTimeoutRoute] == 1);
  CHECK(words[kDStartTs] == 1'700'000'007);
  CHECK(words[kDDue] == 60'000);
  CHECK(words[kDCallerCSeq] == 1);
  CHECK(words[kDCalleeCSeq] == kNoCSeq);
  CHECK(words[kDCallerSocket] == 1);
  CHECK(words[kDCalleeSocket] == 2);
  CHECK(words[kDHolds] == 1);
  CHECK(words[kDSteps] == kDownstream);
  CHECK(map(first, kDownstream, 1) == 2);
  CHECK(map(second, kDownstream, 1) == 3);
  CHECK(text_of(second, kTextCalleeTag) == "c3");
  CHECK(text_of(second, kTextCalleeContact) == "sip:carol@192.0.2.77");
  CHECK(text_of(second, kTextCalleeRouteSet) == "<sip:p2.example.com;lr>");
  CHECK(text_of(second, kTextCalleeSource) == "192.0.2.77:5099");
  CHECK(text_of(second, kTextCallerTag) == call.caller_tag);
  CHECK(text_of(second, kTextTimeoutRoute) == "TOO_LONG");
  CHECK(text_of(first, kTextCalleeTag) == call.callee_tag);
  CHECK(counters.value(kCounterActiveDialogs) == 2);
  for (const std::string& tag : {std::string("c3"), call.callee_tag}) {
    CHECK(table.fork(first, sibling(tag), words) == Status::kConflict);
    CHECK(words[kDIndex] == (tag == "c3" ? second.index : first.index));
    CHECK(table.fork(second, sibling(tag), words) == Status::kConflict);
  }
  const DialogHandle third = fork(second, "d4");
  CHECK(words[kDCookieId] == before[kDId]);
  CHECK(words[kDSteps] == 0);  // nobody asked there
  CHECK(map(third, kDownstream, 1) == 1);
  CHECK(table.fork(first, sibling(""), words) == Status::kOutOfRange);
  sound();

  const auto found = [&](std::string_view from, std::string_view to) {
    return table.find_by_call_id(text(call.call_id), text(from), text(to), kNone, words) == Status::kOk
               ? words[kDIndex]
               : 0;
  };
  const auto each_by_its_tag = [&](bool with_first) {
    CHECK(found(call.caller_tag, "c3") == second.index);
    CHECK(words[kDCookieId] == before[kDId]);  // what the Route's cookie says
    CHECK(found("c3", call.caller_tag) == second.index);
    CHECK(words[kDDirection] == kUpstream);
    CHECK(found(call.caller_tag, "d4") == third.index);
    CHECK(found(call.caller_tag, call.callee_tag) == (with_first ? first.index : 0));
  };
  each_by_its_tag(true);
  attach();
  each_by_its_tag(true);
  CHECK(table.fork(first, sibling("c3"), words) == Status::kConflict);
  sound();
  REQUIRE(table.hold(first) == Status::kOk);
  change(first, to_state(kDeleted));
  CHECK(table.fork(first, sibling("c3"), words) == Status::kConflict);
  const DialogHandle late = fork(first, "late");  // the first has ended, another callee answers
  CHECK(words[kDEndTs] == 0);
  change(late, to_state(kDeleted));
  table.drop(first);
  CHECK(table.load(first, words) == Status::kNotFound);
  each_by_its_tag(false);
  attach();
  each_by_its_tag(false);
  change(second, to_state(kDeleted));
  change(third, to_state(kDeleted));
  CHECK(t.segment->used_bytes() == 0);
  CHECK(counters.value(kCounterActiveDialogs) == 0);
  sound();
}

TEST_CASE_FIXTURE(Fixture, "family: memberships go to a sibling that is up, and leave with the last") {
  const TestCall call(1);
  const DialogHandle first = make(call);
  REQUIRE(profiles.join(first, 0, text("alice"), 0, nullptr) == Status::kOk);
  REQUIRE(profiles.join(first, 1, {}, 0, nullptr) == Status::kOk);
  change(first, call.answer());
  const DialogHandle second = fork(first, "c3"), third = fork(first, "d4");
  CHECK(words[kDMembers] == 0);
  CHECK(profiles.count(0, text("alice"), false) == 1);  // the family's, not each one's
  CHECK(profiles.is_member(second, 0, text("alice"), false) == Status::kOk);
  CHECK(profiles.is_member(second, 0, text("bob"), false) == Status::kNotFound);
  CHECK(profiles.is_member(second, 2, {}, true) == Status::kNotFound);
  REQUIRE(profiles.join(third, 0, text("bob"), 0, nullptr) == Status::kOk);
  sound();
  const auto holder = [&](std::string_view value) {
    DialogHandle out[4];
    return profiles.members(0, text(value), false, 0, out) == 1 ? out[0].index : 0;
  };
  CHECK(holder("alice") == first.index);
  change(second, to_state(kConfirmed));
  REQUIRE(table.claim_end(first, EndReason::kBye, 0, 0, 9, words) == Status::kOk);
  CHECK(words[kDMembers] == 0);
  table.drop(first);
  CHECK(profiles.count(0, text("alice"), false) == 1);
  CHECK(holder("alice") == second.index);  // the oldest that is up
  load(second);
  CHECK(words[kDMembers] == 2);
  sound();
  attach();
  CHECK(holder("alice") == second.index);
  CHECK(profiles.leave(third, 1, {}, true) == Status::kOk);  // whichever of them has it
  CHECK(profiles.count(1, {}, true) == 0);
  change(second, to_state(kDeleted));
  CHECK(holder("alice") == third.index);
  CHECK(holder("bob") == third.index);
  load(third);
  CHECK(words[kDMembers] == 2);
  CHECK(profiles.is_member(third, 0, text("alice"), false) == Status::kOk);
  sound();
  change(third, to_state(kDeleted));
  CHECK(profiles.count(0, {}, true) == 0);
  CHECK(t.segment->used_bytes() == 0);
  sound();

  // A sibling that has ended inherits nothing.
  const DialogHandle one = make(call);
  change(one, call.answer());
  const DialogHandle two = fork(one, "c3");
  REQUIRE(table.hold(two) == Status::kOk);
  change(two, to_state(kDeleted));
  REQUIRE(profiles.join(one, 0, text("alice"), 0, nullptr) == Status::kOk);
  change(one, to_state(kDeleted));
  CHECK(profiles.count(0, {}, true) == 0);
  table.drop(two);
  CHECK(t.segment->used_bytes() == 0);
}

TEST_CASE_FIXTURE(Fixture, "family: no room is an answer, and nothing is left of it") {
  const TestCall call(1);
  const DialogHandle first = make(call);
  change(first, call.answer());
  for (std::uint32_t n = 1; n < kForksMax; ++n) fork(first, "tag" + std::to_string(n));
  const std::uint64_t used = t.segment->used_bytes();
  CHECK(table.fork(first, sibling("one-too-many"), words) == Status::kLimit);
  CHECK(t.segment->used_bytes() == used);
  CHECK(table.live() == kForksMax);
  sound();
}

TEST_CASE_FIXTURE(Fixture, "keep-alive: comes when it is due, each second until the next is set") {
  std::vector<DialogHandle> handles;
  for (unsigned n = 0; n < 600; ++n) {
    handles.push_back(confirmed(TestCall(n)));
    Change c;
    c.fields = kChangeKaDue;
    c.ka_due = 2000 + n % 3;
    change(handles[n], c);
    CHECK(words[kDKaDue] == c.ka_due);
  }
  CHECK(keep_alives(1999).empty());
  CHECK(keep_alives(2000).size() == 200);
  CHECK(keep_alives(2000).empty());
  CHECK(keep_alives(2001).size() == 400);
  sound();
  for (const DialogHandle handle : handles) {
    Change c;
    c.fields = kChangeKaDue;
    c.ka_due = 2030;
    change(handle, c);
  }
  CHECK(keep_alives(2029).empty());
  change(handles[0], to_state(kDeleted));
  REQUIRE(table.claim_end(handles[1], EndReason::kCommand, 0, 0, 1, words) == Status::kOk);
  CHECK(words[kDKaDue] == 0);
  Change off;
  off.fields = kChangeKaDue;
  change(handles[2], off);
  CHECK(words[kDKaDue] == 0);
  sound();
  CHECK(keep_alives(2030).size() == 597);
  CHECK(table.advance_keep_alive(99, 2030, {}) == 0);
  sound();
}

TEST_CASE_FIXTURE(Fixture, "keep-alive: at attach the future stands, the overdue spread over the interval") {
  std::vector<DialogHandle> handles;
  for (unsigned n = 0; n < 400; ++n) {
    handles.push_back(confirmed(TestCall(n)));
    Change c;
    c.fields = kChangeKaDue;
    c.ka_due = n < 300 ? 1010 : 5005;
    change(handles[n], c);
  }
  t.options.now_boot_ms = 5'000'000;
  t.options.keep_alive_seconds = 60;
  attach();
  CHECK(t.segment->header().keep_alive_seconds == 60);
  sound();
  CHECK(keep_alives(5000).empty());
  std::map<std::uint32_t, std::size_t> came;
  std::size_t overdue = 0;
  for (std::uint32_t now = 5001; now <= 5060; ++now) {
    for (const DialogHandle handle : keep_alives(now)) {
      load(handle);
      if (words[kDKaDue] == 5005) {
        CHECK(now == 5005);
      } else {
        came[now] += 1;
        ++overdue;
      }
      Change c;
      c.fields = kChangeKaDue;
      c.ka_due = now + 600;
      change(handle, c);
    }
  }
  CHECK(overdue == 300);
  CHECK(came.size() > 40);  // and not many in one second
  for (const auto& [now, count] : came) CHECK(count < 20);
  sound();
}

TEST_CASE_FIXTURE(Fixture, "keep-alive: failures in a row are counted by side") {
  const DialogHandle handle = confirmed(TestCall(1));
  const std::uint64_t plain = t.segment->used_bytes();
  const auto probe = [&](std::uint32_t side, bool failed) {
    std::uint32_t failures = 99;
    REQUIRE(table.probe_answered(handle, side, failed, &failures) == Status::kOk);
    return failures;
  };
  CHECK(probe(1, false) == 0);
  CHECK(t.segment->used_bytes() == plain);
  CHECK(probe(1, true) == 1);
  CHECK(probe(1, true) == 2);
  CHECK(probe(2, true) == 1);
  load(handle);
  CHECK(words[kDKaFailures] == (2u | 1u << 16));
  attach();
  load(handle);
  CHECK(words[kDKaFailures] == (2u | 1u << 16));
  CHECK(probe(1, false) == 0);
  load(handle);
  CHECK(words[kDKaFailures] == 1u << 16);
  CHECK(probe(2, false) == 0);
  CHECK(t.segment->used_bytes() == plain);
  std::uint32_t failures = 0;
  CHECK(table.probe_answered(handle, 0, true, &failures) == Status::kOutOfRange);
  CHECK(table.probe_answered(handle, 3, true, &failures) == Status::kOutOfRange);
  REQUIRE(table.hold(handle) == Status::kOk);
  change(handle, to_state(kDeleted));
  CHECK(table.probe_answered(handle, 1, true, &failures) == Status::kConflict);
  table.drop(handle);
  CHECK(table.probe_answered(handle, 1, true, &failures) == Status::kNotFound);
  CHECK(t.segment->used_bytes() == 0);
}
