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

TEST_CASE_FIXTURE(Fixture, "extra: a change of the deadline clears the route's marks, not the others") {
  const DialogHandle handle = confirmed(TestCall(1));
  change(handle, marks(kMarkRouteAsked | kMarkShortened, 0));
  CHECK(words[kDMarks] == (kMarkRouteAsked | kMarkShortened));
  change(handle, marks(kMarkRouteDone, kMarkRouteAsked));
  CHECK(words[kDMarks] == (kMarkRouteDone | kMarkShortened));
  change(handle, to_state(kConfirmed));
  CHECK(words[kDMarks] == (kMarkRouteDone | kMarkShortened));
  change(handle, due(60'000));
  CHECK(words[kDMarks] == kMarkShortened);
  Change both = due(61'000);
  both.fields |= kChangeMarks;
  both.marks_set = kMarkRouteDone;
  both.marks_clear = kMarkShortened;
  change(handle, both);
  CHECK(words[kDMarks] == kMarkRouteDone);
  attach();
  load(handle);
  CHECK(words[kDMarks] == kMarkRouteDone);
  CHECK(table.change(handle, marks(8, 0), words) == Status::kOutOfRange);
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
  table.drop(handle);
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
