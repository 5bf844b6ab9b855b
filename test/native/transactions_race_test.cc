// Three owners make, find, change and free transactions at once over one pool, one index and one arena.
#include <doctest/doctest.h>

#include <array>
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "core/transactions.h"
#include "segment_memory.h"

using namespace holdfast;

TEST_CASE("transactions: owners do not disturb each other") {
  constexpr std::uint32_t kOwners = 3, kRounds = 3'000, kLive = 20;
  TestSegment test(16 << 20, test_options(kOwners - 1));
  REQUIRE(test.segment);
  std::atomic<std::uint32_t> wrong{0};
  std::vector<std::thread> owners;
  for (std::uint32_t owner = 0; owner < kOwners; ++owner) {
    owners.emplace_back([&, owner] {
      Transactions transactions(*test.segment, owner);
      std::array<std::uint32_t, kRegisterWords> words;
      const auto key_of = [owner](std::uint32_t n) { return std::uint64_t{n} << 32 | (owner + 1); };
      const std::string request(300 + owner * 200, static_cast<char>('a' + owner));
      for (std::uint32_t n = 0; n < kRounds; ++n) {
        if (transactions.create(owner, key_of(n), text(request), Need::kNewCall, words) != Status::kOk)
          ++wrong;
        const Edit edit[] = {{10, 5, 3}};
        if (transactions.add_branch(words, edit, text("Via"), Need::kNewCall) != Status::kOk) ++wrong;
        words[kTEndDue] = n + 5;
        if (transactions.store(words) != Status::kOk) ++wrong;
        if (n < kLive) continue;
        if (transactions.find(owner, key_of(n - kLive), words) != Status::kOk) {
          ++wrong;
          continue;
        }
        const auto kept = transactions.request(words[kTIndex]);
        if (kept.size() != request.size() || kept[kept.size() / 2] != request[0] || words[kTOwner] != owner)
          ++wrong;
        if (transactions.set_reply(words, text("SIP/2.0 200 OK")) != Status::kOk) ++wrong;
        transactions.free(words[kTIndex]);
        std::uint32_t due[8];
        (void)transactions.advance(owner, n, due);
      }
      for (std::uint32_t n = kRounds - kLive; n < kRounds; ++n) {
        if (transactions.find(owner, key_of(n), words) != Status::kOk) ++wrong;
        transactions.free(words[kTIndex]);
      }
    });
  }
  for (std::thread& owner : owners) owner.join();
  CHECK(wrong == 0);
  CHECK(test.segment->transactions().used() == 0);
  CHECK(test.segment->arena().used_bytes() == 0);
  CHECK(test.segment->verify().sound());
}
