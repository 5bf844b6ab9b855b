// Three threads post to one mailbox while its owner takes: nothing is torn, lost or out of its sender's
// order.
#include "core/mailbox.h"

#include <doctest/doctest.h>

#include <array>
#include <atomic>
#include <memory>
#include <thread>
#include <vector>

using namespace holdfast;

TEST_CASE("mailbox: many producers, one consumer") {
  constexpr std::uint32_t kProducers = 3, kEach = 20'000;
  const std::size_t size = Mailboxes::region_bytes(1, kMailboxBytesMin);
  std::unique_ptr<std::uint8_t[]> region(new std::uint8_t[size + 64]());
  void* at = region.get();
  std::size_t space = size + 64;
  Mailboxes mailboxes(std::align(64, size, at, space), 1, kMailboxBytesMin);
  mailboxes.reset();

  std::atomic<std::uint32_t> refused{0};
  std::vector<std::thread> producers;
  for (std::uint32_t p = 0; p < kProducers; ++p) {
    producers.emplace_back([&, p] {
      std::vector<std::uint8_t> bytes(1 + p * 400, static_cast<std::uint8_t>(p));
      for (std::uint32_t n = 0; n < kEach; ++n) {
        DatagramLetter letter;
        letter.flow = p;
        letter.tick = n;
        if (mailboxes.post_datagram(0, letter, bytes) != Status::kOk)
          ++refused;  // a drop: numbers may be missing
        const std::uint32_t words[] = {p, n};
        while (mailboxes.post(0, words) != Status::kOk) std::this_thread::yield();  // never lost
      }
    });
  }
  std::array<std::int64_t, kProducers> last_datagram, last_letter;
  last_datagram.fill(-1);
  last_letter.fill(-1);
  std::uint32_t datagrams = 0, letters = 0;
  bool sound = true;
  while (letters < kProducers * kEach) {
    DatagramLetter letter;
    std::span<const std::uint8_t> bytes;
    while (mailboxes.next_datagram(0, &letter, &bytes)) {
      sound = sound && letter.flow < kProducers && bytes.size() == 1 + letter.flow * 400 &&
              last_datagram[letter.flow] < letter.tick;
      for (const std::uint8_t byte : bytes) sound = sound && byte == letter.flow;
      last_datagram[letter.flow] = letter.tick;
      mailboxes.pop_datagram(0);
      ++datagrams;
    }
    std::uint32_t words[kLetterWordsMax];
    const std::uint32_t count = mailboxes.take(0, words);
    if (count == 0) {
      std::this_thread::yield();
      continue;
    }
    sound = sound && count == 2 && words[0] < kProducers && last_letter[words[0]] + 1 == words[1];
    last_letter[words[0]] = words[1];
    ++letters;
  }
  for (std::thread& producer : producers) producer.join();
  DatagramLetter letter;
  std::span<const std::uint8_t> bytes;
  while (mailboxes.next_datagram(0, &letter, &bytes)) {
    mailboxes.pop_datagram(0);
    ++datagrams;
  }
  CHECK(sound);
  CHECK(datagrams + refused == kProducers * kEach);
}
