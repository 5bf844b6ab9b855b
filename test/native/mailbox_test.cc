// Mailboxes: order, bounds, wrapping.
#include "core/mailbox.h"

#include <doctest/doctest.h>

#include <cstring>
#include <deque>
#include <memory>
#include <random>
#include <string>
#include <vector>

using namespace holdfast;

namespace {

struct TestMailboxes {
  explicit TestMailboxes(std::uint32_t owners = 2, std::size_t bytes = kMailboxBytesMin)
      : region(new std::uint8_t[Mailboxes::region_bytes(owners, bytes) + 64]()) {
    void* at = region.get();
    std::size_t space = Mailboxes::region_bytes(owners, bytes) + 64;
    mailboxes = Mailboxes(std::align(64, Mailboxes::region_bytes(owners, bytes), at, space), owners, bytes);
    mailboxes.reset();
  }
  std::unique_ptr<std::uint8_t[]> region;
  Mailboxes mailboxes;
};

std::span<const std::uint8_t> bytes(const std::string& text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

}  // namespace

TEST_CASE("mailbox: a datagram comes out as it went in, with how it came") {
  TestMailboxes t;
  DatagramLetter letter;
  letter.flow = 2;
  letter.port = 5080;
  letter.address[3] = 0x0100007f;
  letter.tick = 77;
  letter.steered = 1;
  CHECK(t.mailboxes.post_datagram(1, letter, bytes("INVITE")) == Status::kOk);
  DatagramLetter got;
  std::span<const std::uint8_t> text;
  CHECK(!t.mailboxes.next_datagram(0, &got, &text));
  REQUIRE(t.mailboxes.next_datagram(1, &got, &text));
  CHECK(std::memcmp(&got, &letter, sizeof got) == 0);
  CHECK(std::string(text.begin(), text.end()) == "INVITE");
  CHECK(t.mailboxes.has_datagrams(1));
  t.mailboxes.pop_datagram(1);
  CHECK(!t.mailboxes.has_datagrams(1));
}

TEST_CASE("mailbox: an empty datagram is one, too") {
  TestMailboxes t;
  CHECK(t.mailboxes.post_datagram(0, {}, {}) == Status::kOk);
  DatagramLetter got;
  std::span<const std::uint8_t> text;
  REQUIRE(t.mailboxes.next_datagram(0, &got, &text));
  CHECK(text.empty());
}

TEST_CASE("mailbox: bounds are refusals") {
  TestMailboxes t;
  const std::vector<std::uint8_t> big(kDatagramBytesMax + 1);
  const std::vector<std::uint32_t> words(kLetterWordsMax + 1);
  CHECK(t.mailboxes.post_datagram(2, {}, {}) == Status::kOutOfRange);
  CHECK(t.mailboxes.post_datagram(0, {}, big) == Status::kOutOfRange);
  CHECK(t.mailboxes.post(2, std::span(words).first(1)) == Status::kOutOfRange);
  CHECK(t.mailboxes.post(0, words) == Status::kOutOfRange);
  CHECK(t.mailboxes.post(0, {}) == Status::kOutOfRange);
}

TEST_CASE("mailbox: full is full, for datagrams and letters each by itself, and empties again") {
  TestMailboxes t;
  const std::vector<std::uint8_t> big(kDatagramBytesMax);
  int posted = 0;
  while (t.mailboxes.post_datagram(0, {}, big) == Status::kOk) ++posted;
  CHECK(posted == 7);  // of 512 KiB
  const std::uint32_t words[] = {1, 2, 3};
  CHECK(t.mailboxes.post(0, words) == Status::kOk);
  int letters = 1;
  while (t.mailboxes.post(0, words) == Status::kOk) ++letters;
  CHECK(t.mailboxes.letters(0) == static_cast<std::uint32_t>(letters));
  DatagramLetter got;
  std::span<const std::uint8_t> text;
  while (t.mailboxes.next_datagram(0, &got, &text)) {
    CHECK(text.size() == big.size());
    t.mailboxes.pop_datagram(0);
    --posted;
  }
  CHECK(posted == 0);
  std::uint32_t out[kLetterWordsMax];
  while (t.mailboxes.take(0, out) == 3) --letters;
  CHECK(letters == 0);
  CHECK(t.mailboxes.letters(0) == 0);
  CHECK(t.mailboxes.post_datagram(0, {}, big) == Status::kOk);
}

TEST_CASE("mailbox: random sizes wrap around many times in order") {
  TestMailboxes t;
  std::mt19937 random(3);
  std::deque<std::string> expected;
  std::uint64_t posted = 0;
  for (int step = 0; step < 30'000; ++step) {
    if (random() % 2) {
      std::string text(random() % (random() % 10 == 0 ? kDatagramBytesMax : 900),
                       static_cast<char>('a' + random() % 26));
      if (t.mailboxes.post_datagram(1, {.tick = static_cast<std::uint32_t>(posted)}, bytes(text)) ==
          Status::kOk) {
        expected.push_back(std::move(text));
        ++posted;
      }
    } else if (!expected.empty()) {
      DatagramLetter got;
      std::span<const std::uint8_t> text;
      REQUIRE(t.mailboxes.next_datagram(1, &got, &text));
      REQUIRE(got.tick == posted - expected.size());
      REQUIRE(std::string(text.begin(), text.end()) == expected.front());
      t.mailboxes.pop_datagram(1);
      expected.pop_front();
    }
  }
  CHECK(posted > 5000);
}
