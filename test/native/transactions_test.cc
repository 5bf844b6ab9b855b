// Records of transactions: what they keep, what they refuse, when they come due, what attach makes of them.
#include "core/transactions.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <string>

#include "core/layout.h"
#include "segment_memory.h"

using namespace holdfast;

namespace {

using Words = std::array<std::uint32_t, kRegisterWords>;

const std::string kRequest = "INVITE sip:bob@b.example SIP/2.0\r\nMax-Forwards: 70\r\n\r\n";

struct Fixture {
  explicit Fixture(std::size_t bytes = 16 << 20) : test(bytes), transactions(*test.segment, 0) {
    REQUIRE(test.segment);
    blocks_before = test.segment->arena().used_bytes();
  }
  Status create(std::uint64_t key, Words& words, const std::string& request = kRequest,
                Need need = Need::kNewCall) {
    return transactions.create(0, key, text(request), need, words);
  }
  Status add_branch(Words& words, const std::string& inserted = "Via: x\r\n") {
    const Edit edits[] = {{34, 0, static_cast<std::uint32_t>(inserted.size())}, {48, 2, 0}};
    return transactions.add_branch(words, edits, text(inserted), Need::kNewCall);
  }
  [[nodiscard]] bool sound() const { return test.segment->verify().sound(); }
  [[nodiscard]] bool empty() const {
    return transactions.live() == 0 && test.segment->arena().used_bytes() == blocks_before && sound();
  }
  TestSegment test;
  Transactions transactions;
  std::uint64_t blocks_before;
};

std::string string_of(std::span<const std::uint8_t> bytes) { return {bytes.begin(), bytes.end()}; }

std::uint32_t& branch_word(Words& words, std::uint32_t branch, std::uint32_t word) {
  return words[kHeadWords + branch * kBranchWords + word];
}

}  // namespace

TEST_CASE("transactions: one that begins says from its first instant what its head was filled with") {
  Fixture f;
  Words words{};
  words.fill(0xffffffff);
  words[kTKind] = 1;
  words[kTState] = 2;
  words[kTEndDue] = 3;
  REQUIRE(f.transactions.begin(0, 7, text(kRequest), Need::kNewCall, words) == Status::kOk);
  CHECK(words[kTBranchCount] == 0);
  CHECK(words[kTReplyBlock] == 0);
  CHECK(branch_word(words, 0, kBState) == 0);
  Words found;
  REQUIRE(f.transactions.load(words[kTIndex], found) == Status::kOk);
  CHECK(found[kTKind] == 1);
  CHECK(found[kTState] == 2);
  CHECK(found[kTEndDue] == 3);
  CHECK(found[kTRequestBytes] == kRequest.size());
  f.transactions.free(words[kTIndex]);
  CHECK(f.empty());
}

TEST_CASE("transactions: next() walks the live records of one owner") {
  Fixture f;
  Words words, other;
  for (std::uint64_t key = 1; key <= 4; ++key) REQUIRE(f.create(key, words) == Status::kOk);
  REQUIRE(f.transactions.create(1, 5, text(kRequest), Need::kNewCall, other) == Status::kOk);
  f.transactions.free(2);
  std::uint32_t sum = 0;
  for (std::uint32_t cursor = 1; f.transactions.next(0, cursor, words); cursor = words[kTIndex] + 1)
    sum = sum * 10 + words[kTIndex];
  CHECK(sum == 134);
  CHECK(f.transactions.next(1, 1, words));
  CHECK(words[kTIndex] == other[kTIndex]);
  CHECK(!f.transactions.next(1, other[kTIndex] + 1, words));
}

TEST_CASE("transactions: a request of our own without a copy does not outlive its process") {
  Fixture f;
  Words words{};
  words[kTKind] = 3;
  REQUIRE(f.transactions.begin(0, 0, text(kRequest), Need::kCallIsUp, words) == Status::kOk);
  REQUIRE(f.test.attach());
  CHECK(Transactions(*f.test.segment, 0).live() == 0);
  CHECK(f.test.segment->arena().used_bytes() == 0);
  CHECK(f.test.segment->verify().sound());
}

TEST_CASE(
    "transactions: a reply's owner is known by handle and hash of a live transaction, by neither alone") {
  Fixture f;
  Words words;
  REQUIRE(f.create(7, words) == Status::kOk);
  words[kTLoopHash] = 0x89abcdef;
  REQUIRE(f.transactions.store(words) == Status::kOk);
  const BranchName ours{0, words[kTIndex], words[kTGeneration], 3, 0x89abcdef};
  CHECK(f.transactions.owner_of(ours) == words[kTOwner]);
  BranchName renamed = ours;  // by a process with other workers
  renamed.owner += 1;
  CHECK(f.transactions.owner_of(renamed) == words[kTOwner]);
  for (const auto part : {&BranchName::index, &BranchName::generation, &BranchName::hash}) {
    BranchName forged = ours;
    forged.*part += 1;
    CHECK(f.transactions.owner_of(forged) == Transactions::kNoOwner);
  }
  BranchName none = ours;
  for (const std::uint32_t index : {0u, 0xffffffffu}) {
    none.index = index;
    CHECK(f.transactions.owner_of(none) == Transactions::kNoOwner);
  }
  f.transactions.free(ours.index);
  CHECK(f.transactions.owner_of(ours) == Transactions::kNoOwner);
  CHECK(f.empty());
}

TEST_CASE("transactions: a record keeps the request, is found by key and by handle, and leaves nothing") {
  Fixture f;
  Words words, found;
  REQUIRE(f.create(0x1122334455667788, words) == Status::kOk);
  CHECK(words[kTOwner] == 0);
  CHECK(words[kTRequestBytes] == kRequest.size());
  CHECK(words[kTBranchCount] == 0);
  CHECK(words[kTState] == 0);
  CHECK(string_of(f.transactions.request(words[kTIndex])) == kRequest);
  REQUIRE(f.transactions.find(0, 0x1122334455667788, found) == Status::kOk);
  CHECK(found[kTIndex] == words[kTIndex]);
  CHECK(f.transactions.find(1, 0x1122334455667788, found) == Status::kNotFound);  // another owner's
  CHECK(f.transactions.find(0, 0x1122334455667789, found) == Status::kNotFound);
  CHECK(f.transactions.find(0, 0, found) == Status::kNotFound);
  CHECK(f.transactions.load(words[kTIndex], words[kTGeneration], found) == Status::kOk);
  CHECK(f.transactions.load(words[kTIndex], words[kTGeneration] + 1, found) == Status::kNotFound);
  CHECK(f.transactions.load(0, 0, found) == Status::kNotFound);
  CHECK(f.transactions.load(0xffffffff, 1, found) == Status::kNotFound);
  CHECK(f.transactions.live() == 1);
  CHECK(f.sound());
  f.transactions.free(words[kTIndex]);
  f.transactions.free(words[kTIndex]);
  f.transactions.free(0xffffffff);
  CHECK(f.transactions.find(0, 0x1122334455667788, found) == Status::kNotFound);
  CHECK(f.transactions.load(words[kTIndex], words[kTGeneration], found) == Status::kNotFound);
  CHECK(f.empty());
  REQUIRE(f.create(1, found) == Status::kOk);
  CHECK(found[kTIndex] == words[kTIndex]);
  CHECK(found[kTGeneration] == words[kTGeneration] + 1);  // an old handle finds nothing
}

TEST_CASE("transactions: store keeps what is the caller's and ignores what is not") {
  Fixture f;
  Words words, back;
  REQUIRE(f.create(7, words) == Status::kOk);
  REQUIRE(f.add_branch(words) == Status::kOk);
  words[kTState] = 4;
  words[kTUser4] = 99;
  branch_word(words, 0, kBCode) = 180;
  words[kTRequestBlock] = 12345;
  words[kTKeyLo] = 1;
  words[kTBranchCount] = 16;
  branch_word(words, 0, kBEditsBlock) = 777;
  branch_word(words, 1, kBCode) = 200;
  CHECK(f.transactions.store(words) == Status::kOk);
  REQUIRE(f.transactions.load(words[kTIndex], words[kTGeneration], back) == Status::kOk);
  CHECK(back[kTState] == 4);
  CHECK(back[kTUser4] == 99);
  CHECK(branch_word(back, 0, kBCode) == 180);
  CHECK(back[kTBranchCount] == 1);
  CHECK(back[kTRequestBytes] == kRequest.size());
  CHECK(string_of(f.transactions.request(back[kTIndex])) == kRequest);
  CHECK(f.sound());
  words[kTGeneration] += 1;
  CHECK(f.transactions.store(words) == Status::kNotFound);
}

TEST_CASE(
    "transactions: sixteen branches, each with its own words, edits and reply; a seventeenth is refused") {
  Fixture f;
  Words words, back;
  REQUIRE(f.create(7, words) == Status::kOk);
  for (std::uint32_t n = 0; n < kBranchesMax; ++n) {
    REQUIRE(f.add_branch(words, "Via: branch " + std::to_string(n) + "\r\n") == Status::kOk);
    branch_word(words, n, kBCode) = 100 + n;
    REQUIRE(f.transactions.store(words) == Status::kOk);
    REQUIRE(f.transactions.set_branch_reply(words, n, text("reply " + std::to_string(n))) == Status::kOk);
  }
  CHECK(f.add_branch(words) == Status::kLimit);
  CHECK(f.transactions.set_branch_reply(words, kBranchesMax, text("x")) == Status::kOutOfRange);
  REQUIRE(f.transactions.load(words[kTIndex], words[kTGeneration], back) == Status::kOk);
  CHECK(back == words);
  for (std::uint32_t n = 0; n < kBranchesMax; ++n) {
    CHECK(branch_word(back, n, kBCode) == 100 + n);
    CHECK(string_of(f.transactions.branch_reply(back[kTIndex], n)) == "reply " + std::to_string(n));
    std::span<const Edit> edits;
    Text inserted;
    REQUIRE(f.transactions.branch_edits(back[kTIndex], n, &edits, &inserted));
    CHECK(edits.size() == 2);
    CHECK(edits[1].drop == 2);
    CHECK(string_of(inserted) == "Via: branch " + std::to_string(n) + "\r\n");
  }
  CHECK(f.sound());
  REQUIRE(f.transactions.set_branch_reply(words, 5, {}) == Status::kOk);
  CHECK(f.transactions.branch_reply(words[kTIndex], 5).empty());
  REQUIRE(f.transactions.store(words, true) == Status::kOk);
  CHECK(f.transactions.request(words[kTIndex]).empty());
  CHECK(words[kTRequestBytes] == 0);
  std::span<const Edit> edits;
  Text inserted;
  CHECK(!f.transactions.branch_edits(words[kTIndex], 3, &edits, &inserted));
  CHECK(string_of(f.transactions.branch_reply(words[kTIndex], 3)) == "reply 3");
  CHECK(f.sound());
  f.transactions.free(words[kTIndex]);
  CHECK(f.empty());
}

TEST_CASE("transactions: edits that do not fit the request are refused and keep nothing") {
  Fixture f;
  Words words;
  REQUIRE(f.create(7, words) == Status::kOk);
  const std::uint64_t used = f.test.segment->arena().used_bytes();
  const auto size = static_cast<std::uint32_t>(kRequest.size());
  const std::string inserted = "abc";
  const auto refused = [&](std::initializer_list<Edit> list, std::string_view put) {
    return f.transactions.add_branch(words, std::span(list.begin(), list.size()), text(put),
                                     Need::kNewCall) == Status::kBadMessage;
  };
  CHECK(refused({{size + 1, 0, 0}}, ""));
  CHECK(refused({{0, size + 1, 0}}, ""));
  CHECK(refused({{10, 0xffffffff, 0}}, ""));
  CHECK(refused({{0xffffffff, 0xffffffff, 0}}, ""));
  CHECK(refused({{10, 0, 3}}, ""));                                   // text that is not there
  CHECK(refused({{10, 0, 2}}, "abc"));                                // text that nobody puts
  CHECK(refused({{10, 0, 0x80000000}, {11, 0, 0x80000003}}, "abc"));  // sums that wrap
  CHECK(refused({{10, 5, 0}, {14, 0, 0}}, ""));                       // overlap
  CHECK(refused({{10, 0, 0}, {9, 0, 0}}, ""));                        // not sorted
  const std::vector<Edit> many(kEditsMax + 1);
  CHECK(f.transactions.add_branch(words, many, {}, Need::kNewCall) == Status::kLimit);
  CHECK(f.transactions.add_branch(words, {}, std::vector<std::uint8_t>(kBlockBytesMax), Need::kNewCall) ==
        Status::kBadMessage);
  CHECK(f.test.segment->arena().used_bytes() == used);
  CHECK(words[kTBranchCount] == 0);
  CHECK(!refused({{size, 0, 3}}, "abc"));  // behind the last byte is inside
}

TEST_CASE(
    "transactions: the earliest deadline of head and branches comes, early firings are put right silently") {
  Fixture f;
  Words words;
  std::uint32_t out[16];
  REQUIRE(f.create(7, words) == Status::kOk);
  REQUIRE(f.add_branch(words) == Status::kOk);
  REQUIRE(f.add_branch(words) == Status::kOk);
  words[kTEndDue] = 500;
  branch_word(words, 0, kBFinalDue) = 400;
  branch_word(words, 1, kBRetransmitDue) = 50;
  REQUIRE(f.transactions.store(words) == Status::kOk);
  CHECK(f.transactions.quiet_ticks(0, 0, 100) == 50);
  CHECK(f.sound());
  branch_word(words, 1, kBRetransmitDue) = 90;
  REQUIRE(f.transactions.store(words) == Status::kOk);
  CHECK(f.transactions.advance(0, 89, out) == 0);
  CHECK(f.transactions.advance(1, 200, out) == 0);  // another owner's wheel
  REQUIRE(f.transactions.advance(0, 90, out) == 1);
  CHECK(out[0] == words[kTIndex]);
  CHECK(f.transactions.advance(0, 600, out) == 0);  // out of the wheel until it is stored
  f.transactions.rearm(0);                          // unless its worker died
  CHECK(f.transactions.advance(0, 601, out) == 1);
  branch_word(words, 1, kBRetransmitDue) = branch_word(words, 0, kBFinalDue) = words[kTEndDue] = 0;
  REQUIRE(f.transactions.store(words) == Status::kOk);
  CHECK(f.transactions.advance(0, 5000, out) == 0);
  words[kTRouteDue] = 6000;
  REQUIRE(f.transactions.store(words) == Status::kOk);
  f.transactions.free(words[kTIndex]);
  CHECK(f.transactions.advance(0, 7000, out) == 0);
  CHECK(f.empty());
}

TEST_CASE("transactions: one that its dead worker left without a deadline ends with the next tick") {
  Fixture f;
  Words words, other;
  std::uint32_t out[4];
  REQUIRE(f.create(1, words) == Status::kOk);
  REQUIRE(f.create(2, other) == Status::kOk);
  other[kTEndDue] = 900;
  REQUIRE(f.transactions.store(other) == Status::kOk);
  CHECK(f.transactions.advance(0, 500, out) == 0);
  f.transactions.rearm(0);
  CHECK(f.sound());
  REQUIRE(f.transactions.advance(0, 501, out) == 1);
  CHECK(out[0] == words[kTIndex]);
  REQUIRE(f.transactions.load(out[0], words) == Status::kOk);
  CHECK(words[kTEndDue] != 0);
  CHECK(words[kTEndDue] <= 501);
  f.transactions.free(out[0]);

  REQUIRE(f.create(3, words) == Status::kOk);  // the same for a whole process
  REQUIRE(f.test.attach());
  CHECK(f.sound());
  Transactions after(*f.test.segment, 0);
  REQUIRE(after.advance(0, 600, out) == 1);
  CHECK(out[0] == words[kTIndex]);
  after.free(out[0]);
  after.free(other[kTIndex]);
  CHECK(after.live() == 0);
}

TEST_CASE(
    "transactions: a store that leaves the earliest deadline where it was changes nothing in the wheel") {
  Fixture f;
  Words words;
  std::uint32_t out[4];
  REQUIRE(f.create(1, words) == Status::kOk);
  words[kTEndDue] = 50;
  REQUIRE(f.transactions.store(words) == Status::kOk);
  words[kTRouteDue] = 80;
  REQUIRE(f.transactions.store(words) == Status::kOk);
  CHECK(f.sound());
  REQUIRE(f.transactions.advance(0, 50, out) == 1);
  REQUIRE(f.transactions.store(words) == Status::kOk);  // taken out: armed again, though nothing moved
  CHECK(f.sound());
  REQUIRE(f.transactions.advance(0, 51, out) == 1);
  words[kTEndDue] = 90;
  REQUIRE(f.transactions.store(words) == Status::kOk);
  words[kTEndDue] = 70;  // earlier, then later again than where it is linked
  REQUIRE(f.transactions.store(words) == Status::kOk);
  words[kTEndDue] = 75;
  REQUIRE(f.transactions.store(words) == Status::kOk);
  REQUIRE(f.transactions.store(words) == Status::kOk);
  CHECK(f.transactions.advance(0, 74, out) == 0);
  CHECK(f.transactions.advance(0, 75, out) == 1);
  f.transactions.free(words[kTIndex]);
  CHECK(f.empty());
}

TEST_CASE("transactions: blocks that messages may refer to wait in the graveyard") {
  Fixture f;
  Graveyard graveyard;
  Transactions transactions(*f.test.segment, 0, &graveyard);
  Words words;
  REQUIRE(transactions.create(0, 7, text(kRequest), Need::kNewCall, words) == Status::kOk);
  REQUIRE(transactions.set_reply(words, text("SIP/2.0 100 Trying")) == Status::kOk);
  const std::uint64_t used = f.test.segment->arena().used_bytes();
  REQUIRE(transactions.set_reply(words, text("SIP/2.0 180 Ringing")) == Status::kOk);
  transactions.free(words[kTIndex]);
  CHECK(graveyard.count() == 3);
  CHECK(f.test.segment->arena().used_bytes() > used);
  graveyard.clear(f.test.segment->arena());
  CHECK(f.empty());
}

TEST_CASE("transactions: room that runs out is an answer, and the last tenth is for calls that are up") {
  Fixture f;
  std::vector<Words> all;
  Words words;
  std::uint64_t key = 0;
  const std::uint32_t most = f.test.segment->header().transactions_max;
  Status status = Status::kOk;
  while ((status = f.create(++key, words, "")) == Status::kOk) all.push_back(words);
  CHECK(status == Status::kNoMemory);
  CHECK(all.size() < most);
  CHECK(all.size() >= most * 8 / 10);
  while ((status = f.create(++key, words, "", Need::kCallIsUp)) == Status::kOk) all.push_back(words);
  CHECK(status == Status::kNoMemory);
  CHECK(all.size() == most);
  CHECK(f.sound());
  for (const Words& each : all) f.transactions.free(each[kTIndex]);
  CHECK(f.empty());
}

TEST_CASE("transactions: a request that finds no block leaves no record") {
  Fixture f(6 << 20);
  std::vector<std::uint32_t> all;
  Words words;
  const std::string big(60'000, 'x');
  while (f.create(all.size() + 1, words, big, Need::kCallIsUp) == Status::kOk) all.push_back(words[kTIndex]);
  CHECK(!all.empty());
  CHECK(f.transactions.live() == all.size());
  CHECK(f.sound());
  for (const std::uint32_t index : all) f.transactions.free(index);
  CHECK(f.empty());
}

TEST_CASE("transactions: attach finds them with their blocks, deadlines, keys and the dialogs they hold") {
  Fixture f;
  Words words, back;
  std::uint32_t out[16];
  Table table(*f.test.segment, 0);
  DialogWords dialog;
  REQUIRE(table.create(TestCall(1).dialog(), dialog) == Status::kOk);
  const std::uint32_t holds = dialog[kDHolds];
  REQUIRE(f.create(7, words) == Status::kOk);
  for (int n = 0; n < 5; ++n) REQUIRE(f.add_branch(words) == Status::kOk);
  REQUIRE(f.transactions.set_reply(words, text("SIP/2.0 100 Trying")) == Status::kOk);
  REQUIRE(f.transactions.set_branch_reply(words, 4, text("SIP/2.0 486 Busy")) == Status::kOk);
  REQUIRE(table.hold(handle_of(dialog)) == Status::kOk);
  words[kTDialogIndex] = dialog[kDIndex];
  words[kTDialogGeneration] = dialog[kDGeneration];
  branch_word(words, 4, kBFinalDue) = 300;
  REQUIRE(f.transactions.store(words) == Status::kOk);
  Words gone;
  REQUIRE(f.create(8, gone) == Status::kOk);
  f.transactions.free(gone[kTIndex]);

  REQUIRE(f.test.attach());
  CHECK(f.sound());
  Transactions after(*f.test.segment, 0);
  CHECK(after.live() == 1);
  const std::uint32_t owner =
      f.test.segment->owner_of(dialog[kDEntry]);  // whoever owns its Call-ID runs it now
  REQUIRE(after.find(owner, 7, back) == Status::kOk);
  words[kTOwner] = owner;
  CHECK(std::equal(words.begin(), words.begin() + kHeadWords + 5 * kBranchWords, back.begin()));
  CHECK(string_of(after.reply(back[kTIndex])) == "SIP/2.0 100 Trying");
  CHECK(string_of(after.branch_reply(back[kTIndex], 4)) == "SIP/2.0 486 Busy");
  CHECK(string_of(after.request(back[kTIndex])) == kRequest);
  CHECK(after.advance(owner, 299, out) == 0);
  CHECK(after.advance(owner, 300, out) == 1);
  Table table_after(*f.test.segment, 0);
  REQUIRE(table_after.load(handle_of(dialog), dialog) == Status::kOk);
  CHECK(dialog[kDHolds] == holds + 1);
  after.free(back[kTIndex]);
  CHECK(after.live() == 0);
}

TEST_CASE("transactions: attach leaves none to nobody, and tells which owed BYEs nobody sends") {
  for (const bool timer_worker : {true, false}) {
    CAPTURE(timer_worker);
    Fixture f;
    const std::uint32_t timer = f.test.segment->owners() - 1;
    Table table(*f.test.segment, 0);
    DialogWords dialog;
    REQUIRE(table.create(TestCall(1).dialog(), dialog) == Status::kOk);
    REQUIRE(table.change(handle_of(dialog), TestCall(1).answer(), dialog) == Status::kOk);
    REQUIRE(table.claim_end(handle_of(dialog), EndReason::kCommand, 3, 1, 1, dialog) == Status::kOk);
    Words bye;  // the timer worker sends the caller's, and died before the callee's
    REQUIRE(f.transactions.create(timer, 0, text(kRequest), Need::kCallIsUp, bye) == Status::kOk);
    bye[kTKind] = 3;
    bye[kTUser0] = 1;
    bye[kTDirection] = 1;
    bye[kTEndDue] = 100;
    REQUIRE(f.transactions.add_branch(bye, {}, {}, Need::kCallIsUp) == Status::kOk);
    branch_word(bye, 0, kBState) = 1;
    REQUIRE(table.hold(handle_of(dialog)) == Status::kOk);
    bye[kTDialogIndex] = dialog[kDIndex];
    bye[kTDialogGeneration] = dialog[kDGeneration];
    REQUIRE(f.transactions.store(bye) == Status::kOk);
    Words nobodys;  // no Call-ID tells whose it is
    REQUIRE(f.transactions.create(timer, 0, text("BYE"), Need::kCallIsUp, nobodys) == Status::kOk);
    nobodys[kTEndDue] = 100;
    REQUIRE(f.transactions.store(nobodys) == Status::kOk);

    f.test.options.timer_worker = timer_worker;
    REQUIRE(f.test.attach());
    CHECK(f.sound());
    Transactions after(*f.test.segment, 0);
    CHECK(after.live() == 1);
    REQUIRE(after.load(bye[kTIndex], bye[kTGeneration], bye) == Status::kOk);
    CHECK(bye[kTOwner] == (timer_worker ? timer : f.test.segment->owner_of(dialog[kDEntry])));
    Table table_after(*f.test.segment, 0);
    REQUIRE(table_after.load(handle_of(dialog), dialog) == Status::kOk);
    CHECK((dialog[kDMarks] & (kMarkByeToCallerUnsent | kMarkByeToCalleeUnsent)) == kMarkByeToCalleeUnsent);
    CHECK(dialog[kDHolds] == 3);  // the end that is owed, the BYE under way, the one that nobody sends
  }
}
