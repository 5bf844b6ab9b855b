// core/mailbox.h - the bounded rings through which threads hand each other datagrams and letters.
//
// Every owner (shard or timer worker) has one mailbox with two rings: datagrams that another thread received
// for it, and control letters.  Any thread posts, under the ring's spinlock for one bounded copy; the owner
// alone takes, without a lock.  Datagrams for a full ring are the caller's to drop and count; a letter for a
// full ring stays with its sender.
//
// The rings are in the segment so that a worker's successor finds them; a new process empties them at attach.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

#include "status.h"

namespace holdfast {

/// How a datagram came: what the receiver knew of it.
struct DatagramLetter {
  std::uint32_t flow = 0;
  std::uint32_t port = 0;
  std::uint32_t address[4] = {};
  std::uint32_t tick = 0;     // of its reception
  std::uint32_t steered = 0;  // how often it has been handed on, this time included
};

inline constexpr std::uint32_t kLetterWordsMax = 64;
inline constexpr std::size_t kDatagramBytesMax = 65535;
inline constexpr std::size_t kMailboxBytesMin = 512 * 1024;

struct MailboxHead;

/// A view over the mailboxes of all owners.
class Mailboxes {
 public:
  /// Room for `owners` mailboxes: a datagram ring of `bytes_each` (rounded up to a power of two, at least
  /// kMailboxBytesMin), and a letter ring of a quarter of that.
  [[nodiscard]] static std::size_t region_bytes(std::uint32_t owners, std::size_t bytes_each) noexcept;

  Mailboxes() noexcept = default;
  /// Over a region of that size, aligned to 64.
  Mailboxes(void* region, std::uint32_t owners, std::size_t bytes_each) noexcept;
  /// Empties all; nobody else may use them.
  void reset() noexcept;

  /// kFull: no room; kOutOfRange: no such owner, or more than kDatagramBytesMax.
  [[nodiscard]] Status post_datagram(std::uint32_t owner, const DatagramLetter& letter,
                                     std::span<const std::uint8_t> bytes) noexcept;
  /// The oldest datagram, left in place until pop_datagram; false: none.  Owner only.
  [[nodiscard]] bool next_datagram(std::uint32_t owner, DatagramLetter* letter,
                                   std::span<const std::uint8_t>* bytes) noexcept;
  void pop_datagram(std::uint32_t owner) noexcept;

  /// A control letter of 1..kLetterWordsMax words.  kFull, kOutOfRange.
  [[nodiscard]] Status post(std::uint32_t owner, std::span<const std::uint32_t> words) noexcept;
  /// Takes the oldest letter; number of its words, 0: none.  Owner only.
  [[nodiscard]] std::uint32_t take(std::uint32_t owner,
                                   std::span<std::uint32_t, kLetterWordsMax> out) noexcept;

  [[nodiscard]] bool has_datagrams(std::uint32_t owner) const noexcept;
  /// Of the datagrams' ring at least half is in use: the next burst of others will find no room.
  [[nodiscard]] bool is_half_full(std::uint32_t owner) const noexcept;
  [[nodiscard]] std::uint32_t letters(std::uint32_t owner) const noexcept;  // waiting now
  [[nodiscard]] std::uint32_t owners() const noexcept { return owners_; }

 private:
  [[nodiscard]] MailboxHead& head(std::uint32_t owner) const noexcept;

  std::uint8_t* region_ = nullptr;
  std::uint32_t owners_ = 0;
  std::size_t datagram_bytes_ = 0, letter_bytes_ = 0;
};

}  // namespace holdfast
