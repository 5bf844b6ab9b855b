// CSeq numbers: what is taken is one more than all that was sent, and nothing sent changes its number.
#include "core/cseq.h"

#include <doctest/doctest.h>

#include <map>
#include <random>

using namespace holdfast;

TEST_CASE("cseq: an empty list maps to itself; the first number taken follows the highest received") {
  CSeqStepList list{};
  CHECK(list.mapped(0) == 0);
  CHECK(list.mapped(7) == 7);
  CHECK(list.added() == 0);
  CHECK(list.take(7, 0) == 8);
  CHECK(list.mapped(7) == 7);  // its retransmission, its ACK
  CHECK(list.mapped(6) == 6);
  CHECK(list.mapped(8) == 9);
  CHECK(list.mapped(80) == 81);  // a jump keeps its distance
  CHECK(list.take(7, 0) == 9);
  CHECK(list.count == 1);  // two in a row are one step
  CHECK(list.mapped(8) == 10);
  CHECK(list.take(8, 0) == 11);
  CHECK(list.count == 2);
  CHECK(list.mapped(7) == 7);
  CHECK(list.mapped(8) == 10);
  CHECK(list.mapped(9) == 12);
}

TEST_CASE("cseq: the first number towards a side that has sent nothing is 1 [spec 4.3]") {
  CSeqStepList list{};
  CHECK(list.take(0, 0) == 1);
  CHECK(list.mapped(1) == 2);
}

TEST_CASE("cseq: a request sent anew keeps the number it was sent with last") {
  CSeqStepList list{};
  CHECK(list.take(7, 7) == 8);  // INVITE 7 again, with credentials
  CHECK(list.mapped(7) == 8);   // the ACK to its 2xx
  CHECK(list.mapped(8) == 9);
  CHECK(list.mapped(6) == 6);
  CHECK(list.take(7, 7) == 9);  // and once more
  CHECK(list.mapped(7) == 9);
  CHECK(list.mapped(8) == 10);
  CHECK(list.count == 1);

  CSeqStepList other{};
  CHECK(other.take(9, 7) == 10);  // 8 and 9 had left meanwhile
  CHECK(other.mapped(6) == 6);
  CHECK(other.mapped(7) == 10);
  CHECK(other.mapped(8) == 8);
  CHECK(other.mapped(9) == 9);
  CHECK(other.mapped(10) == 11);
  CHECK(other.take(9, 9) == 11);
  CHECK(other.mapped(7) == 10);
  CHECK(other.mapped(8) == 8);
  CHECK(other.mapped(9) == 11);
  CHECK(other.mapped(10) == 12);
}

TEST_CASE("cseq: when the oldest step goes, the numbers behind the next one stay right") {
  CSeqStepList list{};
  std::map<std::uint32_t, std::uint32_t> sent;
  for (std::uint32_t received = 1; received <= 30; ++received) {
    sent[received] = list.mapped(received);
    const std::uint32_t taken = list.take(received, 0);
    CHECK(taken == sent[received] + 1);
    CHECK(list.count <= kCSeqStepsMax);
    for (std::uint32_t n = received >= kCSeqStepsMax - 1 ? received - (kCSeqStepsMax - 2) : 1; n <= received;
         ++n)
      CHECK(list.mapped(n) == sent[n]);
  }
}

TEST_CASE("cseq: against a plain model, whatever the order") {
  for (std::uint32_t seed = 1; seed <= 200; ++seed) {
    CAPTURE(seed);
    std::mt19937 random(seed);
    CSeqStepList list{};
    std::map<std::uint32_t, std::uint32_t> sent;  // received -> sent last
    std::uint32_t highest = random() % 5, highest_sent = highest;
    if (highest != 0) sent[highest] = highest;
    for (unsigned steps = 0; steps < kCSeqStepsMax / 3;) {
      const std::uint32_t act = random() % 4;
      if (act < 2) {
        highest += 1 + random() % 3;
        const std::uint32_t number = list.mapped(highest);
        REQUIRE(number > highest_sent);  // nothing is sent twice, nothing goes backwards
        sent[highest] = highest_sent = number;
      } else {
        const std::uint32_t again = act == 3 ? highest : 0;
        const std::uint32_t number = list.take(highest, again);
        REQUIRE(number == highest_sent + 1);
        highest_sent = number;
        if (again != 0) sent[again] = number;
        ++steps;
      }
      for (const auto& [received, number] : sent) REQUIRE(list.mapped(received) == number);
    }
  }
}

TEST_CASE("cseq: a dialog that began with a renumbered request counts from there") {
  CSeqStepList list{};
  list.shift(7, 1);  // INVITE 7 was answered as 8
  CHECK(list.mapped(6) == 6);
  CHECK(list.mapped(7) == 8);
  CHECK(list.mapped(8) == 9);
  CHECK(list.added() == 1);
  CHECK(list.take(7, 0) == 9);
  CHECK(list.mapped(7) == 8);
  CHECK(list.mapped(8) == 10);
  list.shift(7, 2);
  CHECK(list.mapped(6) == 6);
  CHECK(list.mapped(7) == 10);
  CHECK(list.mapped(8) == 12);
  list.shift(9, 0);
  CHECK(list.count == 2);
  list.shift(8, 1);
  CHECK(list.mapped(7) == 10);
  CHECK(list.mapped(8) == 13);
}

TEST_CASE("cseq: however many shifts, at most eight steps are kept and the newest are right") {
  CSeqStepList list{};
  std::uint32_t add = 0;
  for (std::uint32_t n = 1; n <= 20; ++n) {
    list.shift(10 * n, 1);
    CHECK(list.mapped(10 * n) == 10 * n + ++add);
  }
  CHECK(list.count == kCSeqStepsMax);
  CHECK(list.mapped(150) == 165);
}
