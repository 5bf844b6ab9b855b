// Dialogs: creation, the two look-ups, the match of spec 1.3, changes, the end, variables, listing, memory.
#include "core/table.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <map>
#include <optional>
#include <random>

#include "segment_memory.h"

using namespace holdfast;

namespace {

struct Fixture {
  TestSegment t;
  Table table{*t.segment, 0};
  Profiles profiles{*t.segment, 0};
  Counters counters{*t.segment, kMainThread};
  DialogWords words{};

  DialogHandle make(const TestCall& call) {
    REQUIRE(table.create(call.dialog(), words) == Status::kOk);
    return handle_of(words);
  }
  void change(DialogHandle handle, const Change& c) {
    REQUIRE(table.change(handle, c, words) == Status::kOk);
  }
  void sound() {
    const Verification v = t.segment->verify();
    INFO("blocks " << v.blocks << " arena " << v.arena << " index " << v.index << " pools " << v.pools
                   << " profiles " << v.profiles << " counts " << v.counts << " wheels " << v.wheels);
    CHECK(v.sound());
    CHECK(table.audit() == 0);
  }
};

std::string bytes_at(std::span<const std::uint8_t> out, std::size_t* at) {
  std::uint32_t length;
  std::memcpy(&length, out.data() + *at, 4);
  std::string s(out.begin() + *at + 4, out.begin() + *at + 4 + length);
  *at += 4 + (length + 3) / 4 * 4;
  return s;
}

}  // namespace

TEST_CASE_FIXTURE(Fixture, "table: a new dialog has its entry's next h_id and is found by both") {
  const TestCall call(1);
  const DialogHandle handle = make(call);
  CHECK(words[kDState] == kUnconfirmed);
  CHECK(words[kDEntry] == (core_hash(text(call.call_id)) & 63));
  CHECK(words[kDId] == 1);  // the counter began at 0
  CHECK(words[kDCookieId] == 1);
  CHECK(words[kDHolds] == 1);
  CHECK(words[kDCallerCSeq] == 1);
  CHECK(words[kDCalleeCSeq] == kNoCSeq);
  CHECK(words[kDLifetime] == 43200);
  CHECK(words[kDCallerSocket] == 1);
  const std::uint32_t entry = words[kDEntry];

  CHECK(table.find_by_id(entry, 1, words) == Status::kOk);
  CHECK(words[kDIndex] == handle.index);
  CHECK(table.find_by_id(entry, 2, words) == Status::kNotFound);
  CHECK(table.find_by_id((entry + 1) & 63, 1, words) == Status::kNotFound);
  CHECK(table.find_by_id(64, 1, words) == Status::kNotFound);
  CHECK(table.find_by_id(0xffffffff, 1, words) == Status::kNotFound);
  CHECK(table.find_call(text(call.call_id), {}, 0, words) == Status::kOk);
  CHECK(table.find_call(text(" " + call.call_id + "\t"), text(call.caller_tag), 0, words) == Status::kOk);
  CHECK(table.find_call(text(call.call_id), text("other"), 0, words) == Status::kNotFound);
  CHECK(table.find_call(text(call.call_id), {}, 1, words) == Status::kNotFound);
  CHECK(table.find_call({}, {}, 0, words) == Status::kNotFound);
  sound();
}

TEST_CASE("table: h_id counts by h_id_step, 0 is passed over as 1 [spec 1.1]") {
  SegmentOptions options = test_options();
  options.h_id_start = 0xfffffffe;
  TestSegment t(16 << 20, options);
  Table table(*t.segment, 0);
  DialogWords words{};
  std::vector<std::uint32_t> ids;
  TestCall call(1);  // the same Call-ID: the same entry
  for (int n = 0; n < 4; ++n) {
    REQUIRE(table.create(call.dialog(), words) == Status::kOk);
    ids.push_back(words[kDId]);
  }
  // 0 becomes 1; the counter's own 1 is then taken and passed over, so that two live dialogs never share a
  // name.
  CHECK(ids == std::vector<std::uint32_t>{0xffffffff, 1, 2, 3});
}

TEST_CASE(
    "table: with a step ids are start + n * step, and without a start they begin below 3 * hash_size + 1") {
  SegmentOptions options = test_options();
  options.h_id_start = 3;
  options.h_id_step = 10;
  TestSegment stepped(16 << 20, options);
  DialogWords words{};
  REQUIRE(Table(*stepped.segment, 0).create(TestCall(1).dialog(), words) == Status::kOk);
  CHECK(words[kDId] % 10 == 3);
  CHECK(words[kDId] <= 3 + 10 * 3 * 64);

  options = test_options();
  options.h_id_start_given = false;
  TestSegment random(16 << 20, options);
  std::map<std::uint32_t, int> ids;
  for (unsigned n = 0; n < 200; ++n) {
    REQUIRE(Table(*random.segment, 0).create(TestCall(n).dialog(), words) == Status::kOk);
    ids[words[kDId]] += 1;
    CHECK(words[kDId] >= 1);
    CHECK(words[kDId] <= 3 * 64 + 200);
  }
  CHECK(ids.size() > 50);
}

TEST_CASE_FIXTURE(Fixture, "table: refuses texts over their bounds and calls without Call-ID or tag") {
  const TestCall call(1);
  const std::string long_text(kTextBytesMax + 1, 'x'), long_set(kRouteSetBytesMax + 1, 'x');
  const auto refused = [&](auto member, const std::string& value) {
    NewDialog d = call.dialog();
    d.*member = text(value);
    return table.create(d, words) == Status::kOutOfRange;
  };
  for (auto member : {&NewDialog::call_id, &NewDialog::caller_tag, &NewDialog::from_uri, &NewDialog::to_uri,
                      &NewDialog::request_uri, &NewDialog::caller_contact, &NewDialog::timeout_route})
    CHECK(refused(member, long_text));
  CHECK(refused(&NewDialog::caller_route_set, long_set));
  CHECK(refused(&NewDialog::call_id, ""));
  CHECK(refused(&NewDialog::call_id, "  "));
  CHECK(refused(&NewDialog::caller_tag, ""));
  const DialogHandle handle = make(call);
  for (auto member :
       {&Change::callee_tag, &Change::callee_contact, &Change::caller_contact, &Change::timeout_route}) {
    Change c;
    c.fields = kChangeCalleeLeg | kChangeCallerContact | kChangeTimeoutRoute;
    c.*member = text(long_text);
    CHECK(table.change(handle, c, words) == Status::kOutOfRange);
  }
  Change c = to_state(6);
  CHECK(table.change(handle, c, words) == Status::kOutOfRange);
  c = to_state(0);
  CHECK(table.change(handle, c, words) == Status::kOutOfRange);
  CHECK(table.live() == 1);
  sound();
}

TEST_CASE_FIXTURE(Fixture, "table: the match of spec 1.3, row by row") {
  const TestCall call(1);
  const DialogHandle handle = make(call);
  const Text a = text(call.caller_tag), b = text(call.callee_tag), other = text("zzz"), none{};
  const auto match = [&](Text from, Text to, Direction wanted) -> int {
    const Status one = table.match(handle, text(call.call_id), from, to, wanted, words);
    const int result = one == Status::kOk ? static_cast<int>(words[kDDirection]) : -static_cast<int>(one);
    const Status all = table.find_by_call_id(text(call.call_id), from, to, wanted, words);
    CHECK((one == Status::kOk) == (all == Status::kOk));
    if (all == Status::kOk) CHECK(static_cast<int>(words[kDDirection]) == result);
    return result;
  };
  const int no = -static_cast<int>(Status::kConflict);

  // The callee's tag is not known.
  CHECK(match(a, other, kDownstream) == kDownstream);
  CHECK(match(other, other, kDownstream) == no);
  CHECK(match(other, a, kUpstream) == kUpstream);
  CHECK(match(a, other, kUpstream) == no);
  CHECK(match(other, a, kNone) == kUpstream);
  CHECK(match(a, a, kNone) == kUpstream);  // tested first
  CHECK(match(a, other, kNone) == kDownstream);
  CHECK(match(a, none, kNone) == kDownstream);
  CHECK(match(other, other, kNone) == no);
  CHECK(match(none, a, kNone) == no);  // without a From tag nothing matches

  change(handle, call.answer());
  CHECK(words[kDCalleeTagHash] != 0);
  CHECK(match(a, b, kDownstream) == kDownstream);
  CHECK(match(a, other, kDownstream) == no);
  CHECK(match(b, a, kUpstream) == kUpstream);
  CHECK(match(other, a, kUpstream) == no);
  CHECK(match(a, b, kUpstream) == no);
  CHECK(match(b, a, kNone) == kUpstream);
  CHECK(match(a, b, kNone) == kDownstream);
  CHECK(match(a, other, kNone) == no);
  CHECK(match(a, none, kNone) == kDownstream);  // state 3: the INVITE itself
  CHECK(match(a, none, kDownstream) == no);
  change(handle, to_state(kConfirmed));
  CHECK(match(a, none, kNone) == no);

  CHECK(table.match(handle, text("another@10.0.0.1"), a, b, kNone, words) == Status::kConflict);
  CHECK(table.match({handle.index, handle.generation + 1}, text(call.call_id), a, b, kNone, words) ==
        Status::kNotFound);
  CHECK(table.find_by_call_id(text("another@10.0.0.1"), a, b, kNone, words) == Status::kNotFound);
}

TEST_CASE_FIXTURE(
    Fixture,
    "table: among dialogs of one Call-ID a known tag wins, then the living, then the older [spec 1.3]") {
  const TestCall call(1);
  TestCall second(1);
  second.callee_tag = "second";
  const DialogHandle first = make(call);
  const DialogHandle known = make(second);
  const DialogHandle third = make(call);
  const auto find = [&](std::string_view from, std::string_view to) {
    return table.find_by_call_id(text(call.call_id), text(from), text(to), kNone, words) == Status::kOk
               ? words[kDIndex]
               : 0;
  };
  CHECK(find(call.caller_tag, "second") == first.index);  // all early: the oldest
  change(known, second.answer());
  CHECK(find(call.caller_tag, "second") == known.index);
  CHECK(find(call.caller_tag, "unknown") == first.index);
  REQUIRE(table.hold(first) == Status::kOk);
  change(first, to_state(kDeleted));
  CHECK(find(call.caller_tag, "unknown") == third.index);  // the dead one is not picked while one lives
  CHECK(find(call.caller_tag, "second") == known.index);
  REQUIRE(table.hold(known) == Status::kOk);
  change(known, to_state(kDeleted));
  CHECK(find(call.caller_tag, "second") == third.index);  // alive, tag unknown, before dead with the tag
  change(third, to_state(kDeleted));
  CHECK(find(call.caller_tag, "second") == known.index);  // among the dead the known tag
  CHECK(find(call.caller_tag, "unknown") == first.index);
  for (std::uint32_t n = 0; n < 2; ++n)
    REQUIRE(table.find_call(text(call.call_id), {}, n, words) == Status::kOk);
  CHECK(table.find_call(text(call.call_id), {}, 2, words) ==
        Status::kNotFound);  // the third had no hold: it is gone
  table.drop(first);
  table.drop(known);
  CHECK(table.live() == 0);
  CHECK(find(call.caller_tag, "second") == 0);
  sound();
}

TEST_CASE_FIXTURE(Fixture, "table: counts of active and early dialogs follow every change of state") {
  const auto counted = [&](std::uint64_t early, std::uint64_t active) {
    CHECK(counters.value(kCounterEarlyDialogs) == early);
    CHECK(counters.value(kCounterActiveDialogs) == active);
  };
  const TestCall call(1), failed(2);
  const DialogHandle handle = make(call), other = make(failed);
  counted(0, 0);
  change(handle, to_state(kEarly));
  change(other, to_state(kEarly));
  counted(2, 0);
  change(handle, to_state(kEarly));
  counted(2, 0);
  change(other, to_state(kDeleted));
  counted(1, 0);
  change(handle, call.answer());
  counted(0, 1);
  change(handle, to_state(kConfirmed));
  counted(0, 1);
  REQUIRE(table.hold(handle) == Status::kOk);
  change(handle, to_state(kDeleted));
  counted(0, 0);
  change(handle, to_state(kConfirmedNoAck));  // a late 2xx revives
  CHECK(words[kDHolds] == 2);
  counted(0, 1);
  sound();
  change(handle, to_state(kDeleted));
  CHECK(words[kDHolds] == 1);
  counted(0, 0);
  table.drop(handle);
  CHECK(table.live() == 0);
  sound();
}

TEST_CASE_FIXTURE(Fixture,
                  "table: a change sets what it names, raises the version, and refuses another state") {
  const TestCall call(1);
  const DialogHandle handle = make(call);
  const std::uint32_t version = words[kDVersion];
  Change c;
  c.fields = kChangeState | kChangeFlags | kChangeScriptFlags | kChangeProperties | kChangeLifetime |
             kChangeCallerCSeq | kChangeCalleeCSeq | kChangeStartTs | kChangeEndTs | kChangeDue;
  c.expected_state = kUnconfirmed;
  c.state = kEarly;
  c.flags_set = 6, c.script_flags_set = 9, c.properties_set = 3;
  c.lifetime = 77, c.caller_cseq = 9, c.callee_cseq = 0, c.start_ts = 5, c.end_ts = 6, c.due = 12345;
  change(handle, c);
  CHECK(words[kDVersion] == version + 1);
  CHECK(words[kDState] == kEarly);
  CHECK(words[kDFlags] == 6);
  CHECK(words[kDScriptFlags] == 9);
  CHECK(words[kDProperties] == 3);
  CHECK(words[kDLifetime] == 77);
  CHECK(words[kDCallerCSeq] == 9);
  CHECK(words[kDCalleeCSeq] == 0);
  CHECK(words[kDStartTs] == 5);
  CHECK(words[kDEndTs] == 6);
  CHECK(words[kDDue] == 12345);
  CHECK(table.change(handle, c, words) == Status::kConflict);
  REQUIRE(table.load(handle, words) == Status::kOk);
  CHECK(words[kDVersion] == version + 1);

  Change less;
  less.fields = kChangeFlags | kChangeCallerCSeq | kChangeCalleeCSeq;
  less.flags_clear = 2, less.flags_set = 1;
  less.caller_cseq = 8, less.callee_cseq = 1;
  change(handle, less);
  CHECK(words[kDFlags] == 5);
  CHECK(words[kDCallerCSeq] == 9);  // never lowered
  CHECK(words[kDCalleeCSeq] == 1);
  CHECK(words[kDScriptFlags] == 9);
  CHECK(words[kDDue] == 12345);
  sound();

  Change disarm;
  disarm.fields = kChangeDue;
  change(handle, disarm);
  CHECK(words[kDDue] == 0);
  sound();
}

TEST_CASE_FIXTURE(Fixture, "table: texts that change keep the others") {
  const TestCall call(1);
  const DialogHandle handle = make(call);
  change(handle, call.answer());
  Change c;
  c.fields = kChangeCallerContact | kChangeCalleeContact | kChangeTimeoutRoute;
  const std::string contact(600, 'c');
  c.caller_contact = text(contact);
  c.caller_socket = 2;
  c.callee_contact = text("sip:new@192.0.2.9");
  c.timeout_route = text("TOO_LONG");
  change(handle, c);
  CHECK(words[kDTimeoutRoute] == 1);
  CHECK(words[kDCallerSocket] == 2);
  CHECK(words[kDCalleeSocket] == 1);  // 0 leaves it
  std::vector<std::uint8_t> out(65536);
  std::size_t length = 0, at = kDialogWords * 4;
  REQUIRE(table.snapshot(handle.index, out, &length) == Status::kOk);
  const std::string expected[kTextCount] = {call.call_id,
                                            "sip:alice@atlanta.example.com",
                                            "sip:bob@biloxi.example.com",
                                            "sip:bob@biloxi.example.com",
                                            call.caller_tag,
                                            call.callee_tag,
                                            contact,
                                            "sip:new@192.0.2.9",
                                            "",
                                            "",
                                            "udp:[::1]:5060",
                                            "udp:127.0.0.1:5060",
                                            "TOO_LONG",
                                            "",
                                            ""};
  for (const std::string& want : expected) CHECK(bytes_at(out, &at) == want);
  CHECK(at == length);
  CHECK(table.match(handle, text(call.call_id), text(call.caller_tag), text(call.callee_tag), kNone, words) ==
        Status::kOk);
  sound();
}

TEST_CASE_FIXTURE(Fixture,
                  "table: claim_end succeeds once, and expiry only when it is due [architecture, Ending]") {
  const TestCall call(1);
  const DialogHandle handle = make(call);
  CHECK(table.claim_end(handle, EndReason::kCommand, 3, 100, 200, words) ==
        Status::kConflict);  // not answered
  change(handle, call.answer());
  REQUIRE(words[kDDue] == 50'000);
  CHECK(table.claim_end(handle, EndReason::kExpired, 3, 49'999, 200, words) == Status::kNotDue);
  CHECK(table.claim_end(handle, EndReason::kExpired, 4, 50'000, 200, words) == Status::kOutOfRange);
  REQUIRE(table.claim_end(handle, EndReason::kExpired, 3, 50'000, 200, words) == Status::kOk);
  CHECK(words[kDState] == kDeleted);
  CHECK(words[kDEndTs] == 200);
  CHECK(words[kDByeOwed] == 3);
  CHECK(words[kDCallerCSeq] == 2);  // of the BYE to the callee
  CHECK(words[kDCalleeCSeq] == 1);
  CHECK(words[kDDue] == 0);
  CHECK(words[kDHolds] == 1);  // the owner's, until the effects have run
  CHECK(words[kDMarks] == (kMarkEndOwed | kMarkEndExpired | kMarkEndNoAck));
  CHECK(counters.value(kCounterActiveDialogs) == 0);
  CHECK(table.claim_end(handle, EndReason::kBye, 3, 50'000, 201, words) == Status::kConflict);
  CHECK(table.change(handle, to_state(kConfirmedNoAck), words) ==
        Status::kConflict);  // owed BYEs bar a revival
  sound();
  CHECK(table.bye_answered(handle, 1) == Status::kOk);
  REQUIRE(table.load(handle, words) == Status::kOk);
  CHECK(words[kDByeOwed] == 2);
  table.drop(handle);
  CHECK(table.load(handle, words) == Status::kNotFound);
  CHECK(table.bye_answered(handle, 2) == Status::kNotFound);
  CHECK(table.live() == 0);
  sound();
}

TEST_CASE("table: what a dead process ended is owed its effects, its BYEs or both; the rest is forgotten") {
  TestSegment t(16 << 20);
  REQUIRE(t.segment);
  DialogHandle handles[4];
  DialogWords words;
  {
    Table table(*t.segment, 0);
    for (std::uint32_t n = 0; n < 4; ++n) {
      const TestCall call(n);
      REQUIRE(table.create(call.dialog(), words) == Status::kOk);
      handles[n] = handle_of(words);
      REQUIRE(table.change(handles[n], call.answer(), words) == Status::kOk);
      const std::uint32_t byes = (n & 1) != 0 ? 3 : 0;
      REQUIRE(table.claim_end(handles[n], EndReason::kCommand, byes, 0, 1, words) == Status::kOk);
      REQUIRE(words[kDMarks] == (kMarkEndOwed | kMarkEndNoAck));
      if (n < 2) continue;
      Change begun;
      begun.fields = kChangeMarks;
      begun.marks_clear = kMarkEndOwed;
      REQUIRE(table.change(handles[n], begun, words) == Status::kOk);
    }
  }
  REQUIRE(t.attach());
  Table table(*t.segment, 0);
  const std::uint32_t holds[] = {1, 2, 0, 1};
  for (std::uint32_t n = 0; n < 4; ++n) {
    CHECK(table.load(handles[n], words) == (holds[n] == 0 ? Status::kNotFound : Status::kOk));
    if (holds[n] != 0) CHECK(words[kDHolds] == holds[n]);
    for (std::uint32_t hold = 0; hold < holds[n]; ++hold) table.drop(handles[n]);
  }
  CHECK(table.live() == 0);
  CHECK(t.segment->verify().sound());
}

TEST_CASE_FIXTURE(Fixture, "table: holds keep an ended record, a live one cannot be dropped away") {
  const TestCall call(1);
  const DialogHandle handle = make(call);
  table.drop(handle);
  table.drop(handle);
  CHECK(table.load(handle, words) == Status::kOk);
  REQUIRE(table.hold(handle) == Status::kOk);
  REQUIRE(table.hold(handle) == Status::kOk);
  change(handle, to_state(kDeleted));
  CHECK(words[kDHolds] == 2);
  table.drop(handle);
  CHECK(table.load(handle, words) == Status::kOk);
  table.drop(handle);
  CHECK(table.load(handle, words) == Status::kNotFound);
  CHECK(table.hold(handle) == Status::kNotFound);
  table.drop(handle);
  const DialogHandle next = make(call);
  CHECK(next.index == handle.index);  // the same record, another life
  CHECK(next.generation != handle.generation);
  CHECK(table.load(handle, words) == Status::kNotFound);
  CHECK(table.change(handle, to_state(kEarly), words) == Status::kNotFound);
  sound();
}

TEST_CASE_FIXTURE(Fixture, "table: the last hold is dropped with the state: freed at once") {
  const DialogHandle handle = make(TestCall(1));
  change(handle, to_state(kDeleted));
  CHECK(words[kDState] == kDeleted);
  CHECK(words[kDHolds] == 0);
  CHECK(table.load(handle, words) == Status::kNotFound);
  CHECK(table.live() == 0);
  CHECK(t.segment->used_bytes() == 0);
}

TEST_CASE_FIXTURE(Fixture, "table: bad handles find nothing") {
  for (const DialogHandle handle : {DialogHandle{0, 0}, DialogHandle{1, 0}, DialogHandle{0xffffffff, 0},
                                    DialogHandle{t.segment->header().dialogs_max + 1, 0}}) {
    CHECK(table.load(handle, words) == Status::kNotFound);
    CHECK(table.change(handle, to_state(2), words) == Status::kNotFound);
    CHECK(table.hold(handle) == Status::kNotFound);
    CHECK(table.set_variable(handle, text("k"), text("v")) == Status::kNotFound);
    std::size_t length = 0;
    std::uint8_t out[64];
    CHECK(table.snapshot(handle.index, out, &length) == Status::kNotFound);
    CHECK(profiles.join(handle, 0, text("v"), 0, nullptr) ==
          (handle.index == 0 ? Status::kOutOfRange : Status::kNotFound));
  }
}

TEST_CASE_FIXTURE(Fixture, "table: variables are set, replaced in place, removed; newest first [spec 7.3]") {
  const DialogHandle handle = make(TestCall(1));
  const auto get = [&](std::string_view key) -> std::optional<std::string> {
    std::uint8_t out[32];
    std::size_t length = 0;
    if (table.get_variable(handle, text(key), out, &length) != Status::kOk) return std::nullopt;
    return std::string(out, out + std::min(length, sizeof out));
  };
  const auto listed = [&] {
    std::vector<std::uint8_t> out(65536);
    std::size_t length = 0, at = kDialogWords * 4;
    REQUIRE(table.snapshot(handle.index, out, &length) == Status::kOk);
    for (std::uint32_t n = 0; n < kTextCount; ++n) bytes_at(out, &at);
    std::string list;
    while (at < length) {
      list += bytes_at(out, &at) + "=";
      list += bytes_at(out, &at) + ";";
    }
    return list;
  };
  CHECK_FALSE(get("a"));
  REQUIRE(table.set_variable(handle, text("a"), text("1")) == Status::kOk);
  REQUIRE(table.set_variable(handle, text("b"), text("")) == Status::kOk);
  REQUIRE(table.set_variable(handle, text("A"), text("3")) == Status::kOk);
  CHECK(get("a") == "1");
  CHECK(get("b") == "");  // an empty value is a value
  CHECK(listed() == "A=3;b=;a=1;");
  REQUIRE(table.set_variable(handle, text("b"), text("longer than before")) == Status::kOk);
  CHECK(listed() == "A=3;b=longer than before;a=1;");
  CHECK(table.remove_variable(handle, text("b")) == Status::kOk);
  CHECK(table.remove_variable(handle, text("b")) == Status::kNotFound);
  CHECK(listed() == "A=3;a=1;");
  std::size_t length = 0;
  CHECK(table.get_variable(handle, text("a"), {}, &length) == Status::kOk);
  CHECK(length == 1);
  CHECK(table.set_variable(handle, {}, text("v")) == Status::kOutOfRange);
  CHECK(table.set_variable(handle, text(std::string(kVariableKeyBytesMax + 1, 'k')), {}) ==
        Status::kOutOfRange);
  CHECK(table.set_variable(handle, text("k"), text(std::string(kVariableBytesMax + 1, 'v'))) ==
        Status::kOutOfRange);
  const std::string most(kVariableBytesMax, 'v');
  CHECK(table.set_variable(handle, text("v1"), text(most)) == Status::kOk);
  CHECK(table.set_variable(handle, text("v2"), text(most)) == Status::kOk);
  CHECK(table.set_variable(handle, text("v3"), text(most)) == Status::kOk);
  CHECK(table.set_variable(handle, text("v4"), text(most)) == Status::kOutOfRange);  // 32 KiB together
  CHECK(get("a") == "1");
  sound();
  change(handle, to_state(kDeleted));
  CHECK(t.segment->used_bytes() == 0);
}

TEST_CASE_FIXTURE(Fixture, "table: a snapshot is complete or says how much of the lists it has") {
  TestCall call(1);
  const DialogHandle handle = make(call);
  change(handle, call.answer());
  REQUIRE(table.set_variable(handle, text("v"), text("value")) == Status::kOk);
  REQUIRE(profiles.join(handle, 0, text("alice"), 0, nullptr) == Status::kOk);
  REQUIRE(profiles.join(handle, 1, {}, 0, nullptr) == Status::kOk);
  std::vector<std::uint8_t> out(65536);
  std::size_t length = 0;
  REQUIRE(table.snapshot(handle.index, out, &length) == Status::kOk);
  std::size_t at = kDialogWords * 4;
  for (std::uint32_t n = 0; n < kTextCount; ++n) bytes_at(out, &at);
  CHECK(bytes_at(out, &at) == "v");
  CHECK(bytes_at(out, &at) == "value");
  CHECK(bytes_at(out, &at) == "calls");  // newest first
  CHECK(bytes_at(out, &at) == "");
  CHECK(bytes_at(out, &at) == "caller");
  CHECK(bytes_at(out, &at) == "alice");
  CHECK(at == length);
  for (std::size_t room = 0; room < length; ++room) {
    std::vector<std::uint8_t> small(room);
    std::size_t written = 0;
    const Status status = table.snapshot(handle.index, small, &written);
    if (status == Status::kOutOfRange) {
      CHECK(written == 0);
      continue;
    }
    REQUIRE(status == Status::kOk);
    std::uint32_t head[kDialogWords];
    std::memcpy(head, small.data(), sizeof head);
    CHECK(head[kDVariables] + head[kDMembers] < 3);
  }
}

TEST_CASE_FIXTURE(Fixture,
                  "table: the largest dialog that is accepted fits into a snapshot of 65,536 bytes") {
  const std::string most(kTextBytesMax, 'x'), set(kRouteSetBytesMax, 'r');
  NewDialog d;
  d.call_id = d.caller_tag = d.from_uri = d.to_uri = text(most);
  d.request_uri =
      text(std::string_view(most).substr(0, kNewDialogBytesMax - kRouteSetBytesMax - 4 * kTextBytesMax));
  d.caller_route_set = text(set);
  REQUIRE(table.create(d, words) == Status::kOk);
  const DialogHandle handle = handle_of(words);
  Change c;
  c.fields = kChangeCalleeLeg;
  c.callee_tag = c.callee_contact = text(most);
  c.callee_route_set = text(set);
  change(handle, c);
  std::vector<std::uint8_t> out(65536);
  std::size_t length = 0;
  CHECK(table.snapshot(handle.index, out, &length) == Status::kOk);
  sound();
}

TEST_CASE_FIXTURE(Fixture, "table: a due dialog comes until it is ended or moved, each once a second") {
  std::vector<DialogHandle> handles;
  for (unsigned n = 0; n < 600; ++n) {
    const TestCall call(n);
    handles.push_back(make(call));
    Change c = call.answer();
    c.due = 2000 + n % 3;
    change(handles.back(), c);
  }
  const auto due_at = [&](std::uint32_t now) {
    std::map<std::uint32_t, int> seen;
    DialogHandle out[100];
    for (std::uint32_t owner = 0; owner < t.segment->owners(); ++owner) {
      for (std::uint32_t count; (count = table.advance(owner, now, out)) != 0;)
        for (std::uint32_t n = 0; n < count; ++n) {
          REQUIRE(table.load(out[n], words) == Status::kOk);
          REQUIRE(t.segment->owner_of(words[kDEntry]) == owner);
          seen[out[n].index] += 1;
        }
    }
    for (const auto& [index, times] : seen) CHECK(times == 1);
    return seen;
  };
  CHECK(due_at(1999).empty());
  CHECK(due_at(2000).size() == 200);
  CHECK(due_at(2000).empty());  // they come again with the next second
  sound();
  CHECK(due_at(2001).size() == 400);
  CHECK(due_at(2002).size() == 600);
  sound();
  for (unsigned n = 0; n < 600; ++n) {
    if (n % 2 == 0) {
      REQUIRE(table.claim_end(handles[n], EndReason::kExpired, 0, 2002, 1, words) == Status::kOk);
      table.drop(handles[n]);
    } else {
      Change c;
      c.fields = kChangeDue;
      c.due = 2010;
      change(handles[n], c);
    }
  }
  CHECK(due_at(2009).empty());
  CHECK(due_at(2010).size() == 300);
  CHECK(table.live() == 300);
  CHECK(table.advance(99, 2010, {}) == 0);
  sound();
}

TEST_CASE("table: a full pool is an answer; the last tenth stays") {
  TestSegment t(Segment::bytes_min(test_options()));
  Table table(*t.segment, 0);
  DialogWords words{};
  const std::uint32_t max = t.segment->header().dialogs_max;
  unsigned made = 0;
  while (table.create(TestCall(made).dialog(), words) == Status::kOk) ++made;
  CHECK(made == max - (max + 9) / 10);
  CHECK(table.create(TestCall(made).dialog(), words) == Status::kNoMemory);
  CHECK(t.segment->verify().sound());
  for (std::uint32_t index = table.next(1); index != 0; index = table.next(index + 1)) {
    std::size_t length = 0;
    std::vector<std::uint8_t> out(4096);
    REQUIRE(table.snapshot(index, out, &length) == Status::kOk);
    std::uint32_t head[kDialogWords];
    std::memcpy(head, out.data(), sizeof head);
    REQUIRE(table.change({head[kDIndex], head[kDGeneration]}, to_state(kDeleted), words) == Status::kOk);
  }
  CHECK(table.live() == 0);
  CHECK(t.segment->arena().free_chunks() == t.segment->arena().chunks());
}

TEST_CASE("table: an arena that runs out is an answer too, and calls that are up go on") {
  TestSegment t(Segment::bytes_min(test_options()));
  Table table(*t.segment, 0);
  Arena& arena = t.segment->arena();
  DialogWords words{};
  const TestCall call(1);
  REQUIRE(table.create(call.dialog(), words) == Status::kOk);
  const DialogHandle handle = handle_of(words);
  REQUIRE(table.change(handle, to_state(kEarly), words) == Status::kOk);
  std::vector<Block> eaten;
  Block block = 0;
  while (arena.alloc(kBlockBytesMax, Need::kNewCall, &block) == Status::kOk) eaten.push_back(block);
  const TestCall second(2);
  NewDialog big = second.dialog();
  const std::string set(4000, 'r');
  big.caller_route_set = text(set);
  CHECK(table.create(big, words) == Status::kNoMemory);
  Change answer = call.answer();
  answer.callee_route_set = text(set);
  CHECK(table.change(handle, answer, words) == Status::kOk);  // from the last tenth
  CHECK(table.live() == 1);
  for (const Block b : eaten) arena.free(b);
  CHECK(t.segment->verify().sound());
}

TEST_CASE_FIXTURE(Fixture, "table: a thousand calls held and ended leave every byte and chunk free") {
  const std::uint64_t before = t.segment->used_bytes();
  const std::uint32_t chunks = t.segment->arena().free_chunks();
  for (int round = 0; round < 3; ++round) {
    std::vector<DialogHandle> handles;
    for (unsigned n = 0; n < 1000; ++n) {
      TestCall call(n);
      const DialogHandle handle = make(call);
      handles.push_back(handle);
      Change answer = call.answer();
      answer.callee_route_set = text("<sip:p1.example.com;lr>,<sip:p2.example.com;lr>");
      change(handle, answer);
      REQUIRE(table.set_variable(handle, text("account"), text(call.caller_tag)) == Status::kOk);
      REQUIRE(table.set_variable(handle, text("trunk"), text("gw1")) == Status::kOk);
      REQUIRE(profiles.join(handle, 0, text(call.caller_tag), 0, nullptr) == Status::kOk);
      REQUIRE(profiles.join(handle, 2, text(n % 2 == 0 ? "gw1" : "gw2"), 0, nullptr) == Status::kOk);
      REQUIRE(profiles.join(handle, 1, {}, 0, nullptr) == Status::kOk);
    }
    CHECK(table.live() == 1000);
    CHECK(profiles.count(1, {}, true) == 1000);
    sound();
    for (unsigned n = 0; n < 1000; ++n) {
      const DialogHandle handle = handles[(n * 7919) % 1000];
      if (n % 2 == 0) {
        change(handle, to_state(kDeleted));
      } else {
        REQUIRE(table.claim_end(handle, EndReason::kBye, 0, 0, 9, words) == Status::kOk);
        table.drop(handle);
      }
    }
    CHECK(t.segment->used_bytes() == before);
    CHECK(t.segment->arena().free_chunks() == chunks);
    CHECK(t.segment->dialogs().used() == 0);
    CHECK(counters.value(kCounterActiveDialogs) == 0);
    sound();
  }
}

TEST_CASE_FIXTURE(Fixture,
                  "table: a typical confirmed call with one profile costs at most 700 bytes, all included") {
  const std::uint64_t before = t.segment->used_bytes();
  for (unsigned n = 0; n < 1000; ++n) {
    TestCall call(n);
    const DialogHandle handle = make(call);
    change(handle, call.answer());
    change(handle, to_state(kConfirmed));
    REQUIRE(profiles.join(handle, 0, text("alice" + std::to_string(n)), 0, nullptr) == Status::kOk);
  }
  const std::uint64_t each = (t.segment->used_bytes() - before) / 1000;
  MESSAGE("bytes per call: " << each);
  CHECK(each <= 700);
  CHECK(each - 108 <= kTypicalCallBytes);  // what calls_enough() counts with
}

// A plain model of the table, driven by a seed: whatever is done, both agree.
TEST_CASE("table: random changes agree with a simple model") {
  struct Model {
    DialogHandle handle;
    TestCall call{0};
    std::uint32_t state = kUnconfirmed, due = 0, holds = 1;
    bool claimed = false, answered = false;
    std::deque<std::pair<std::string, std::string>> variables;  // newest first
    std::deque<std::pair<std::uint32_t, std::string>> members;
  };
  for (std::uint32_t seed = 1; seed <= 4; ++seed) {
    CAPTURE(seed);
    std::mt19937 random(seed);
    TestSegment t;
    Table table(*t.segment, 0);
    Profiles profiles(*t.segment, 0);
    Counters counters(*t.segment, 1);
    DialogWords words{};
    std::vector<Model> models;
    unsigned number = 0;
    const auto remove = [&](std::size_t at) {
      models[at] = models.back();
      models.pop_back();
    };
    for (int step = 0; step < 6000; ++step) {
      const std::uint32_t what = random() % 100;
      if (models.empty() || (what < 20 && models.size() < 200)) {
        Model m;
        m.call = TestCall(random() % 4 == 0 && number > 0 ? random() % number : number);  // Call-IDs repeat
        number += 1;
        m.call.caller_tag += "-" + std::to_string(step);
        REQUIRE(table.create(m.call.dialog(), words) == Status::kOk);
        m.handle = handle_of(words);
        models.push_back(m);
        continue;
      }
      const std::size_t at = random() % models.size();
      Model& m = models[at];
      if (what < 45) {
        const std::uint32_t state = 1 + random() % 5;
        if (m.state == kDeleted && state != kDeleted && m.claimed) continue;
        Change c = to_state(state);
        c.expected_state = random() % 8 == 0 ? 1 + random() % 5 : 0;
        if (state == kConfirmedNoAck) c = m.call.answer();
        const Status status = table.change(m.handle, c, words);
        if (c.expected_state != 0 && c.expected_state != m.state) {
          REQUIRE(status == Status::kConflict);
          continue;
        }
        REQUIRE(status == Status::kOk);
        if (state == kConfirmedNoAck) m.due = c.due, m.answered = true;
        if (state == kDeleted && m.state != kDeleted) m.holds -= 1, m.members.clear();
        if (state != kDeleted && m.state == kDeleted) m.holds += 1;
        if (state == kDeleted) m.due = 0;
        m.state = state;
        if (m.state == kDeleted && m.holds == 0) remove(at);
      } else if (what < 50) {
        const Status status = table.claim_end(m.handle, EndReason::kBye, 0, 0, 1, words);
        REQUIRE((status == Status::kOk) == (m.state == kConfirmed || m.state == kConfirmedNoAck));
        if (status == Status::kOk) m.state = kDeleted, m.due = 0, m.members.clear(), m.claimed = true;
      } else if (what < 57) {
        REQUIRE(table.hold(m.handle) == Status::kOk);
        m.holds += 1;
      } else if (what < 68) {
        table.drop(m.handle);
        if (m.state == kDeleted || m.holds > 1) m.holds -= 1;
        if (m.state == kDeleted && m.holds == 0) remove(at);
      } else if (what < 80) {
        const std::string key = "k" + std::to_string(random() % 5);
        auto known =
            std::find_if(m.variables.begin(), m.variables.end(), [&](auto& v) { return v.first == key; });
        if (random() % 3 == 0) {
          REQUIRE((table.remove_variable(m.handle, text(key)) == Status::kOk) ==
                  (known != m.variables.end()));
          if (known != m.variables.end()) m.variables.erase(known);
        } else {
          const std::string value(random() % 300, static_cast<char>('a' + random() % 26));
          REQUIRE(table.set_variable(m.handle, text(key), text(value)) == Status::kOk);
          if (known != m.variables.end())
            known->second = value;
          else
            m.variables.emplace_front(key, value);
        }
      } else if (what < 90) {
        const std::uint32_t profile = random() % 3;
        const std::string value = profile == 1 ? "" : "v" + std::to_string(random() % 7);
        const Status status = profiles.join(m.handle, profile, text(value), 0, nullptr);
        REQUIRE((status == Status::kOk) == (m.state != kDeleted));
        if (status == Status::kOk) m.members.emplace_front(profile, value);
      } else {
        const std::uint32_t profile = random() % 3;
        const std::string value = profile == 1 ? "" : "v" + std::to_string(random() % 7);
        const bool any = random() % 2 == 0;
        auto known = std::find_if(m.members.begin(), m.members.end(),
                                  [&](auto& v) { return v.first == profile && (any || v.second == value); });
        REQUIRE((profiles.leave(m.handle, profile, text(value), any) == Status::kOk) ==
                (known != m.members.end()));
        if (known != m.members.end()) m.members.erase(known);
      }
      if (step % 500 == 499) {
        const Verification v = t.segment->verify();
        REQUIRE(v.sound());
        REQUIRE(v.records == models.size());
        if (step % 1000 == 999) REQUIRE(t.attach());
        // Views point into the segment object: make them anew after an attach.
        table = Table(*t.segment, 0);
        profiles = Profiles(*t.segment, 0);
        counters = Counters(*t.segment, 1);
        REQUIRE(t.segment->verify().sound());
        for (std::size_t n = models.size(); n-- > 0;) {
          Model& m2 = models[n];
          const Status status = table.load(m2.handle, words);
          // Nobody in this process can hold it any more, unless its effects are owed.
          if (step % 1000 == 999 && m2.state == kDeleted && !m2.claimed) {
            REQUIRE(status == Status::kNotFound);
            remove(n);
            continue;
          }
          REQUIRE(status == Status::kOk);
          if (step % 1000 == 999) m2.holds = 1;
        }
      }
    }
    std::uint64_t active = 0, early = 0;
    std::map<std::pair<std::uint32_t, std::string>, std::uint32_t> counts;
    for (const Model& m : models) {
      REQUIRE(table.load(m.handle, words) == Status::kOk);
      CHECK(words[kDState] == m.state);
      CHECK(words[kDHolds] == m.holds);
      CHECK(words[kDDue] == m.due);
      CHECK(words[kDVariables] == m.variables.size());
      CHECK(words[kDMembers] == m.members.size());
      active += m.state == kConfirmed || m.state == kConfirmedNoAck;
      early += m.state == kEarly;
      REQUIRE(table.find_by_id(words[kDEntry], words[kDId], words) == Status::kOk);
      CHECK(words[kDIndex] == m.handle.index);
      for (const auto& [key, value] : m.variables) {
        std::uint8_t out[512];
        std::size_t length = 0;
        REQUIRE(table.get_variable(m.handle, text(key), out, &length) == Status::kOk);
        CHECK(std::string(out, out + length) == value);
      }
      for (const auto& member : m.members) counts[member] += 1;
    }
    CHECK(counters.value(kCounterActiveDialogs) == active);
    CHECK(counters.value(kCounterEarlyDialogs) == early);
    for (const auto& [member, count] : counts)
      CHECK(profiles.count(member.first, text(member.second), false) == count);
    CHECK(table.audit() == 0);
  }
}

TEST_CASE_FIXTURE(Fixture, "table: dialogs of one Call-ID are bounded, and nothing is left of one too many") {
  std::vector<DialogHandle> handles;
  TestCall call(1);
  for (std::uint32_t n = 0; n < kSameCallIdMax; ++n) {
    call.caller_tag = "tag" + std::to_string(n);
    handles.push_back(make(call));
  }
  const std::uint64_t used = t.segment->used_bytes();
  call.caller_tag = "one-too-many";
  CHECK(table.create(call.dialog(), words) == Status::kLimit);
  CHECK(table.live() == kSameCallIdMax);
  CHECK(t.segment->used_bytes() == used);
  CHECK(table.find_call(text(call.call_id), {}, kSameCallIdMax - 1, words) == Status::kOk);
  CHECK(words[kDIndex] == handles.back().index);  // in the order of their creation
  sound();
  make(TestCall(2));  // of another Call-ID
  change(handles[0], to_state(kDeleted));
  make(call);  // there is room again
  sound();
}

TEST_CASE_FIXTURE(Fixture, "table: next passes over a bounded number of free records, and none in use") {
  std::vector<DialogHandle> handles;
  for (unsigned n = 0; n < 3 * kNextLooksMax; ++n) handles.push_back(make(TestCall(n)));
  const std::uint32_t last = handles.back().index;
  for (const DialogHandle& handle : handles)
    if (handle.index != last && handle.index != 7) change(handle, to_state(kDeleted));
  std::vector<std::uint32_t> in_use;
  std::uint32_t before = 0, free_ones = 0;
  for (std::uint32_t index = table.next(1); index != 0; index = table.next(index + 1)) {
    CHECK(index - before <= kNextLooksMax);
    before = index;
    std::size_t length = 0;
    std::vector<std::uint8_t> out(4096);
    if (table.snapshot(index, out, &length) == Status::kOk)
      in_use.push_back(index);
    else
      ++free_ones;
  }
  CHECK(in_use == std::vector<std::uint32_t>{7, last});
  CHECK(free_ones == 2);
}

TEST_CASE_FIXTURE(Fixture, "table: next walks the records in use, prefetch changes nothing") {
  std::vector<DialogHandle> handles;
  for (unsigned n = 0; n < 10; ++n) handles.push_back(make(TestCall(n)));
  change(handles[3], to_state(kDeleted));
  change(handles[9], to_state(kDeleted));
  std::vector<std::uint32_t> seen;
  for (std::uint32_t index = table.next(0); index != 0; index = table.next(index + 1)) seen.push_back(index);
  CHECK(seen.size() == 8);
  CHECK(std::find(seen.begin(), seen.end(), handles[3].index) == seen.end());
  CHECK(table.next(0xffffffff) == 0);
  std::vector<std::string> ids;
  for (unsigned n = 0; n < 100; ++n) ids.push_back(TestCall(n).call_id);
  std::vector<Text> texts;
  for (const std::string& id : ids) texts.push_back(text(id));
  table.prefetch(texts);
  table.prefetch({});
  sound();
}
