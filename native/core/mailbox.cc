#include "mailbox.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstring>

#include "spinlock.h"

namespace holdfast {

namespace {

/// Before every entry: its whole size (a multiple of kEntryAlign), and the bytes in use after this header.
struct EntryHead {
  std::uint32_t size;
  std::uint32_t bytes;
};
constexpr std::size_t kEntryAlign = 8;
static_assert(sizeof(EntryHead) == kEntryAlign);
/// In `bytes`: nothing to read here, the next entry is at the ring's beginning.
constexpr std::uint32_t kSkip = 0xffffffffu;

std::size_t ring_bytes(std::size_t bytes_each) noexcept {
  return std::bit_ceil(std::max(bytes_each, kMailboxBytesMin));
}

}  // namespace

/// Positions only grow; what lies between head and tail is in the ring.
struct Ring {
  alignas(64) Spinlock lock;  // of those who post
  alignas(64) std::atomic<std::uint64_t> tail;
  std::atomic<std::uint32_t> posted;  // entries, for counting what waits
  alignas(64) std::atomic<std::uint64_t> head;
  std::atomic<std::uint32_t> taken;
};

struct MailboxHead {
  Ring datagrams, letters;
};

namespace {

/// One ring and its bytes.
class RingView {
 public:
  RingView(Ring& ring, std::uint8_t* bytes, std::size_t size) noexcept
      : ring_(ring), bytes_(bytes), size_(size) {}

  Status post(const void* first, std::size_t first_bytes, const void* second,
              std::size_t second_bytes) noexcept {
    const std::size_t payload = first_bytes + second_bytes;
    const std::size_t size = (sizeof(EntryHead) + payload + kEntryAlign - 1) & ~(kEntryAlign - 1);
    LockGuard guard(ring_.lock);
    std::uint64_t tail = ring_.tail.load(std::memory_order_relaxed);
    const std::size_t room =
        size_ - static_cast<std::size_t>(tail - ring_.head.load(std::memory_order_acquire));
    const std::size_t until_end = size_ - static_cast<std::size_t>(tail & (size_ - 1));
    const std::size_t skipped = size > until_end ? until_end : 0;
    if (skipped + size > room) return Status::kFull;
    if (skipped) {
      put_head(tail, static_cast<std::uint32_t>(skipped), kSkip);
      tail += skipped;
    }
    put_head(tail, static_cast<std::uint32_t>(size), static_cast<std::uint32_t>(payload));
    std::uint8_t* to = at(tail) + sizeof(EntryHead);
    std::memcpy(to, first, first_bytes);
    if (second_bytes) std::memcpy(to + first_bytes, second, second_bytes);
    ring_.posted.fetch_add(1, std::memory_order_relaxed);
    ring_.tail.store(tail + size, std::memory_order_release);
    return Status::kOk;
  }

  /// The oldest entry, or null.
  const std::uint8_t* front(std::uint32_t* payload) noexcept {
    std::uint64_t head = ring_.head.load(std::memory_order_relaxed);
    const std::uint64_t tail = ring_.tail.load(std::memory_order_acquire);
    if (head == tail) return nullptr;
    EntryHead entry = head_at(head);
    if (entry.bytes == kSkip) {
      head += entry.size;
      ring_.head.store(head, std::memory_order_release);
      if (head == tail) return nullptr;
      entry = head_at(head);
    }
    *payload = entry.bytes;
    return at(head) + sizeof(EntryHead);
  }

  void pop() noexcept {
    const std::uint64_t head = ring_.head.load(std::memory_order_relaxed);
    ring_.taken.fetch_add(1, std::memory_order_relaxed);
    ring_.head.store(head + head_at(head).size, std::memory_order_release);
  }

 private:
  std::uint8_t* at(std::uint64_t position) noexcept { return bytes_ + (position & (size_ - 1)); }
  EntryHead head_at(std::uint64_t position) noexcept {
    EntryHead entry;
    std::memcpy(&entry, at(position), sizeof entry);
    return entry;
  }
  void put_head(std::uint64_t position, std::uint32_t size, std::uint32_t bytes) noexcept {
    const EntryHead entry{size, bytes};
    std::memcpy(at(position), &entry, sizeof entry);
  }

  Ring& ring_;
  std::uint8_t* bytes_;
  std::size_t size_;
};

void empty(Ring& ring) noexcept {
  ring.lock.unlock();
  ring.tail.store(0, std::memory_order_relaxed);
  ring.head.store(0, std::memory_order_relaxed);
  ring.posted.store(0, std::memory_order_relaxed);
  ring.taken.store(0, std::memory_order_release);
}

}  // namespace

std::size_t Mailboxes::region_bytes(std::uint32_t owners, std::size_t bytes_each) noexcept {
  const std::size_t datagrams = ring_bytes(bytes_each);
  return owners * (sizeof(MailboxHead) + datagrams + datagrams / 4);
}

Mailboxes::Mailboxes(void* region, std::uint32_t owners, std::size_t bytes_each) noexcept
    : region_(static_cast<std::uint8_t*>(region)),
      owners_(owners),
      datagram_bytes_(ring_bytes(bytes_each)),
      letter_bytes_(datagram_bytes_ / 4) {}

MailboxHead& Mailboxes::head(std::uint32_t owner) const noexcept {
  return reinterpret_cast<MailboxHead*>(region_)[owner];
}

void Mailboxes::reset() noexcept {
  for (std::uint32_t owner = 0; owner < owners_; ++owner) {
    empty(head(owner).datagrams);
    empty(head(owner).letters);
  }
}

static RingView datagram_ring(MailboxHead& head, std::uint8_t* region, std::uint32_t owners,
                              std::uint32_t owner, std::size_t datagrams, std::size_t letters) noexcept {
  return {head.datagrams, region + owners * sizeof(MailboxHead) + owner * (datagrams + letters), datagrams};
}

static RingView letter_ring(MailboxHead& head, std::uint8_t* region, std::uint32_t owners,
                            std::uint32_t owner, std::size_t datagrams, std::size_t letters) noexcept {
  return {head.letters, region + owners * sizeof(MailboxHead) + owner * (datagrams + letters) + datagrams,
          letters};
}

Status Mailboxes::post_datagram(std::uint32_t owner, const DatagramLetter& letter,
                                std::span<const std::uint8_t> bytes) noexcept {
  if (owner >= owners_ || bytes.size() > kDatagramBytesMax) return Status::kOutOfRange;
  return datagram_ring(head(owner), region_, owners_, owner, datagram_bytes_, letter_bytes_)
      .post(&letter, sizeof letter, bytes.data(), bytes.size());
}

bool Mailboxes::next_datagram(std::uint32_t owner, DatagramLetter* letter,
                              std::span<const std::uint8_t>* bytes) noexcept {
  std::uint32_t payload = 0;
  const std::uint8_t* entry =
      datagram_ring(head(owner), region_, owners_, owner, datagram_bytes_, letter_bytes_).front(&payload);
  if (!entry) return false;
  std::memcpy(letter, entry, sizeof *letter);
  *bytes = {entry + sizeof *letter, payload - sizeof *letter};
  return true;
}

void Mailboxes::pop_datagram(std::uint32_t owner) noexcept {
  datagram_ring(head(owner), region_, owners_, owner, datagram_bytes_, letter_bytes_).pop();
}

Status Mailboxes::post(std::uint32_t owner, std::span<const std::uint32_t> words) noexcept {
  if (owner >= owners_ || words.empty() || words.size() > kLetterWordsMax) return Status::kOutOfRange;
  return letter_ring(head(owner), region_, owners_, owner, datagram_bytes_, letter_bytes_)
      .post(words.data(), words.size_bytes(), nullptr, 0);
}

std::uint32_t Mailboxes::take(std::uint32_t owner, std::span<std::uint32_t, kLetterWordsMax> out) noexcept {
  RingView ring = letter_ring(head(owner), region_, owners_, owner, datagram_bytes_, letter_bytes_);
  std::uint32_t payload = 0;
  const std::uint8_t* entry = ring.front(&payload);
  if (!entry) return 0;
  std::memcpy(out.data(), entry, payload);
  ring.pop();
  return payload / sizeof(std::uint32_t);
}

bool Mailboxes::has_datagrams(std::uint32_t owner) const noexcept {
  const Ring& ring = head(owner).datagrams;
  return ring.head.load(std::memory_order_relaxed) != ring.tail.load(std::memory_order_acquire);
}

bool Mailboxes::is_half_full(std::uint32_t owner) const noexcept {
  const Ring& ring = head(owner).datagrams;
  const std::uint64_t used =
      ring.tail.load(std::memory_order_acquire) - ring.head.load(std::memory_order_relaxed);
  return used >= datagram_bytes_ / 2;
}

std::uint32_t Mailboxes::letters(std::uint32_t owner) const noexcept {
  const Ring& ring = head(owner).letters;
  return ring.posted.load(std::memory_order_relaxed) - ring.taken.load(std::memory_order_relaxed);
}

}  // namespace holdfast
