// Threads on one segment, under TSan: locks, slabs, and claim against change against free.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <random>
#include <thread>

#include "core/audit.h"
#include "segment_memory.h"

using namespace holdfast;

namespace {

constexpr std::uint32_t kThreads = 3;

template <typename Work>
void on_threads(Work work) {
  std::vector<std::thread> threads;
  std::atomic<std::uint32_t> ready{0};
  for (std::uint32_t n = 0; n < kThreads; ++n)
    threads.emplace_back([&, n] {
      ready.fetch_add(1);
      while (ready.load() < kThreads) std::this_thread::yield();
      work(n);
    });
  for (std::thread& thread : threads) thread.join();
}

/// Handles that threads tell each other of; a place may hold one that is long over.
class Board {
 public:
  static constexpr std::size_t kPlaces = 64;
  void put(std::size_t at, DialogHandle handle) {
    places_[at % kPlaces].store(std::uint64_t{handle.generation} << 32 | handle.index,
                                std::memory_order_release);
  }
  [[nodiscard]] DialogHandle get(std::size_t at) const {
    const std::uint64_t word = places_[at % kPlaces].load(std::memory_order_acquire);
    return {static_cast<std::uint32_t>(word), static_cast<std::uint32_t>(word >> 32)};
  }

 private:
  std::atomic<std::uint64_t> places_[kPlaces] = {};
};

}  // namespace

TEST_CASE("threads: a thousand joins race against a limit and never overshoot") {
  TestSegment t;
  constexpr std::uint32_t kLimit = 100;
  std::atomic<std::uint32_t> joined{0}, refused{0}, most{0};
  std::vector<Member> members[kThreads];
  on_threads([&](std::uint32_t n) {
    Profiles profiles(*t.segment, n);
    for (unsigned k = 0; k < 1000 / kThreads + 1; ++k) {
      Member member = 0;
      const Status status = profiles.join({}, 0, text("alice"), kLimit, &member);
      if (status == Status::kOk) {
        joined += 1;
        members[n].push_back(member);
      } else {
        CHECK(status == Status::kLimit);
        refused += 1;
      }
      const std::uint32_t count = profiles.count(0, text("alice"), false);
      std::uint32_t seen = most.load();
      while (count > seen && !most.compare_exchange_weak(seen, count)) {
      }
      // Some give back, so that the head comes and goes and the limit is met again and again.
      if (k % 5 == 4 && !members[n].empty()) {
        profiles.give_back(members[n].back());
        members[n].pop_back();
      }
    }
  });
  std::uint32_t left = 0;
  for (const auto& list : members) left += static_cast<std::uint32_t>(list.size());
  CHECK(most <= kLimit);
  CHECK(joined + refused >= 1000);
  CHECK(Profiles(*t.segment, 0).count(0, text("alice"), false) == left);
  CHECK(t.segment->verify().sound());
  for (std::uint32_t n = 0; n < kThreads; ++n)
    for (const Member member : members[n]) Profiles(*t.segment, n).give_back(member);
  CHECK(t.segment->used_bytes() == 0);
}

TEST_CASE("threads: a dialog is ended once, whoever tries [architecture, Ending]") {
  TestSegment t;
  Table owner(*t.segment, 0);
  DialogWords words{};
  for (unsigned round = 0; round < 200; ++round) {
    const TestCall call(round);
    REQUIRE(owner.create(call.dialog(), words) == Status::kOk);
    const DialogHandle handle = handle_of(words);
    REQUIRE(owner.change(handle, call.answer(), words) == Status::kOk);
    std::atomic<std::uint32_t> ended{0}, refreshed{0};
    on_threads([&](std::uint32_t n) {
      Table table(*t.segment, n);
      DialogWords mine{};
      if (n == 2) {  // a refresh comes first or not at all
        Change c;
        c.fields = kChangeDue;
        c.expected_state = kConfirmedNoAck;
        c.due = 90'000;
        if (table.change(handle, c, mine) == Status::kOk) refreshed += 1;
        return;
      }
      const Status status = table.claim_end(handle, EndReason::kExpired, n + 1, 50'000, 1, mine);
      if (status == Status::kOk) {
        ended += 1;
        CHECK(mine[kDByeOwed] == n + 1);
      } else {
        CHECK((status == Status::kConflict || status == Status::kNotDue));
      }
    });
    CHECK(ended + refreshed >= 1);
    CHECK(ended <= 1);
    REQUIRE(owner.load(handle, words) == Status::kOk);
    CHECK((words[kDState] == kDeleted) == (ended == 1));
    if (ended == 0) CHECK(words[kDDue] == 90'000);
    if (ended == 0) REQUIRE(owner.claim_end(handle, EndReason::kBye, 0, 0, 1, words) == Status::kOk);
    owner.drop(handle);
  }
  CHECK(t.segment->used_bytes() == 0);
  CHECK(t.segment->verify().sound());
}

TEST_CASE("threads: no two requests of our own get one CSeq number, and each is over all sent before") {
  TestSegment t;
  Table owner(*t.segment, 0);
  DialogWords words{};
  const TestCall call(1);
  REQUIRE(owner.create(call.dialog(), words) == Status::kOk);
  const DialogHandle handle = handle_of(words);
  REQUIRE(owner.change(handle, call.answer(), words) == Status::kOk);
  constexpr std::uint32_t kEach = 300;
  std::vector<std::uint32_t> numbers[kThreads];
  on_threads([&](std::uint32_t n) {
    Table table(*t.segment, n);
    std::uint32_t number = 0;
    for (std::uint32_t k = 0; k < kEach; ++k) {
      if (n == 0)  // what the caller sends meanwhile
        CHECK(table.map_cseq(handle, kDownstream, 2 + k, &number) == Status::kOk);
      else
        CHECK(table.take_cseq(handle, kDownstream, 0, &number) == Status::kOk);
      CHECK((numbers[n].empty() || number > numbers[n].back()));
      numbers[n].push_back(number);
    }
  });
  std::vector<std::uint32_t> all;
  for (const auto& list : numbers) all.insert(all.end(), list.begin(), list.end());
  std::sort(all.begin(), all.end());
  CHECK(std::adjacent_find(all.begin(), all.end()) == all.end());
  CHECK(all.front() == 2);
  CHECK(all.back() == 1 + all.size());  // and none is left out
  CHECK(t.segment->verify().sound());
}

TEST_CASE("threads: everything at once, and afterwards all agrees") {
  TestSegment t(16 << 20, test_options(kThreads));
  Board board;
  std::atomic<std::uint32_t> made{0}, forked{0};
  std::atomic<std::uint64_t> wrong{0};
  on_threads([&](std::uint32_t n) {
    std::mt19937 random(n + 1);
    std::uint32_t cursor = 0;
    Table table(*t.segment, n);
    Profiles profiles(*t.segment, n);
    Counters counters(*t.segment, n);
    DialogWords words{};
    std::vector<DialogHandle> mine;
    std::vector<std::uint8_t> out(kSnapshotBytesMax);
    for (unsigned step = 0; step < 6000; ++step) {
      const std::uint32_t act = random() % 100;
      // Its own calls are made and freed by their owner alone; the same Call-IDs on all threads share
      // buckets.
      if (act < 25 && mine.size() < 100) {
        const TestCall call(random() % 300);
        if (table.create(call.dialog(), words) == Status::kOk) {
          mine.push_back(handle_of(words));
          board.put(random(), mine.back());
          made += 1;
        }
        continue;
      }
      if (act < 35 && !mine.empty()) {
        const std::size_t at = random() % mine.size();
        const DialogHandle handle = mine[at];
        mine[at] = mine.back();
        mine.pop_back();
        // Another thread may have claimed it: then the table's hold is ours to drop.
        Change c = to_state(kDeleted);
        if (table.load(handle, words) != Status::kOk) continue;
        c.expected_state = words[kDState];
        if (words[kDState] == kDeleted || table.change(handle, c, words) == Status::kConflict) {
          // Ended by a claim, or changed between: look again.
          if (table.load(handle, words) == Status::kOk && words[kDState] == kDeleted)
            table.drop(handle);
          else
            mine.push_back(handle);
        }
        continue;
      }
      if (act < 42 && !mine.empty()) {  // the owner's too
        const DialogHandle own = mine[random() % mine.size()];
        const std::string tag = "t" + std::to_string(random() % 6);
        Change c;
        c.callee_tag = text(tag);
        c.due = 1001 + random() % 50, c.start_ts = 1;
        if (random() % 2 == 0)
          (void)table.early_leg(own, {text(tag), text("sip:" + std::to_string(step)), {}}, words);
        else if (table.fork(own, c, words) == Status::kOk) {
          mine.push_back(handle_of(words));
          board.put(random(), mine.back());
          forked += 1;
        }
        continue;
      }
      const DialogHandle handle = board.get(random());
      const std::string value = "v" + std::to_string(random() % 5);
      const TestCall call(random() % 300);
      std::uint32_t number = 0;
      switch (act % 17) {
        case 0: {
          Change c = call.answer();
          c.expected_state = kUnconfirmed;
          (void)table.change(handle, c, words);
          break;
        }
        case 1: {
          Change c;
          c.fields = kChangeDue | kChangeFlags | kChangeCallerCSeq;
          c.due = 1001 + random() % 50;
          c.flags_set = 1u << n;
          c.caller_cseq = step;
          (void)table.change(handle, c, words);
          break;
        }
        case 2:
          (void)table.claim_end(handle, EndReason::kCommand, 0, 0, 1, words);
          break;
        case 3:
          (void)table.set_variable(handle, text(value), text(std::string(random() % 200, 'x')));
          break;
        case 4:
          (void)table.remove_variable(handle, text(value));
          break;
        case 5:
          (void)profiles.join(handle, random() % 3, text(value), 20, nullptr);
          break;
        case 6:
          (void)profiles.leave(handle, random() % 3, text(value), random() % 2 == 0);
          break;
        case 7: {
          Member member = 0;
          if (profiles.join({}, 0, text(value), 0, &member) == Status::kOk &&
              profiles.attach(member, handle) != Status::kOk)
            profiles.give_back(member);
          break;
        }
        case 8: {
          std::size_t length = 0;
          (void)table.snapshot(1 + random() % 300, out, &length);
          break;
        }
        case 9: {
          (void)table.find_by_call_id(text(call.call_id), text(call.caller_tag), text(call.callee_tag), kNone,
                                      words);
          (void)table.find_by_id(random() % 64, random() % 100, words);
          (void)table.match(handle, text(call.call_id), text(call.caller_tag), {}, kNone, words);
          break;
        }
        case 10: {
          DialogHandle handles[16];
          (void)profiles.members(random() % 3, text(value), random() % 2 == 0, 0, handles);
          (void)profiles.count(random() % 3, text(value), false);
          break;
        }
        case 11: {
          DialogHandle handles[16];
          (void)table.advance(random() % kThreads, 1001 + step / 200, handles);
          break;
        }
        case 12: {
          Change c;
          c.fields = kChangeKaDue | kChangeSavedDue | kChangeMarks;
          c.ka_due = random() % 3 == 0 ? 0 : 1001 + random() % 50;
          c.saved_due = random() % 2;
          c.marks_set = kMarkShortened;
          (void)table.change(handle, c, words);
          break;
        }
        case 13: {
          DialogHandle handles[16];
          (void)table.advance_keep_alive(random() % kThreads, 1001 + step / 200, handles);
          break;
        }
        case 14:
          (void)table.take_cseq(handle, random() % 2 == 0 ? kDownstream : kUpstream, 0, &number);
          (void)table.map_cseq(handle, kDownstream, step, &number);
          break;
        case 15:
          (void)table.probe_answered(handle, 1 + random() % 2, random() % 2 == 0, &number);
          (void)profiles.is_member(handle, random() % 3, text(value), true);
          break;
        default: {
          const Text ids[] = {text(call.call_id)};
          table.prefetch(ids);
          (void)table.next(1 + random() % 300);
          counters.add(kCounterRcvRequests);
          (void)counters.value(kCounterRcvRequests);
          if (table.hold(handle) == Status::kOk) table.drop(handle);
          wrong += audit_slice(*t.segment, &cursor);
        }
      }
    }
  });
  CHECK(made > 1000);
  CHECK(forked > 20);
  CHECK(wrong == 0);  // what audits beside all this sees no difference
  CHECK(t.segment->verify().sound());
  Table table(*t.segment, 0);
  CHECK(table.audit() == 0);
  DialogWords words{};
  for (std::uint32_t index = table.next(1); index != 0; index = table.next(index + 1)) {
    std::uint8_t out[65536];
    std::size_t length = 0;
    REQUIRE(table.snapshot(index, out, &length) == Status::kOk);
    std::memcpy(words.data(), out, sizeof words);
    const DialogHandle handle = handle_of(words);
    CHECK(words[kDHolds] == 1);
    if (words[kDState] == kDeleted)
      table.drop(handle);
    else
      CHECK(table.change(handle, to_state(kDeleted), words) == Status::kOk);
  }
  CHECK(t.segment->used_bytes() == 0);
  CHECK(t.segment->arena().free_chunks() == t.segment->arena().chunks());
  CHECK(t.segment->verify().sound());
}

TEST_CASE("threads: the arena under three threads loses nothing") {
  TestSegment t;
  Arena& arena = t.segment->arena();
  on_threads([&](std::uint32_t n) {
    std::mt19937 random(n + 7);
    std::vector<std::pair<Block, std::uint8_t>> mine;
    for (unsigned step = 0; step < 8000; ++step) {
      if (mine.size() < 50 && random() % 2 == 0) {
        Block block = 0;
        const std::size_t bytes = 1 + random() % 600;
        if (arena.alloc(bytes, Need::kCallIsUp, &block) != Status::kOk) continue;
        arena.bytes(block)[0] = static_cast<std::uint8_t>(step);
        mine.emplace_back(block, static_cast<std::uint8_t>(step));
      } else if (!mine.empty()) {
        const auto [block, mark] = mine.back();
        mine.pop_back();
        CHECK(arena.bytes(block)[0] == mark);
        arena.free(block);
      }
    }
    for (const auto& [block, mark] : mine) arena.free(block);
  });
  CHECK(arena.used_bytes() == 0);
  CHECK(arena.free_chunks() == arena.chunks());
  CHECK(arena.verify(ArenaMarks(arena.total_bytes())) == 0);
}
