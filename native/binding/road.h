// binding/road.h - a shard's way to the network: the wire, its slots, the batch in hand, the queue of what
// leaves.
//
// Free of JavaScript but for the loop that drives it (net.cc).
#pragma once
#include <cstdint>
#include <memory>
#include <span>

#include "../core/mailbox.h"
#include "../net/backlog.h"
#include "../net/datagrams.h"
#include "shard.h"

namespace holdfast::binding {

/// From its first socket a datagram may move on to the shard that the scan names, and once more to the one
/// the parser names.
inline constexpr std::uint32_t kSteersMax = 2;
/// Of one batch, at most so many come out of the mailbox: the wire has its turn too.
inline constexpr std::uint32_t kMailboxBatchMax = net::kBatchMax / 2;

struct Road {
  Road(ShardState& state, std::unique_ptr<net::Wire> over)
      : shard(state), wire(std::move(over)), slots(state.memory), mailboxes(state.segment->mailboxes()) {}

  /// Ends the batch before and receives the next: what the mailbox and the wire have, without what belongs to
  /// others.
  std::uint32_t receive() noexcept;
  /// Sends what is queued, takes the batch's slots back, frees buried blocks, wakes whom letters were posted
  /// to.
  void flush() noexcept;
  /// Sends what is queued; then nothing refers to buried blocks any more.
  void send_queued() noexcept;
  [[nodiscard]] Status queue(const net::Outgoing& message, std::span<const iovec> pieces) noexcept;
  /// Makes sure that a call may bury all blocks of a record.
  void make_room_for_blocks() noexcept {
    if (shard.graveyard.count() + kBlocksOfRecordMax > Graveyard::kBlocksMax) send_queued();
  }
  [[nodiscard]] Status forward(std::uint32_t batch_index, std::uint32_t owner) noexcept;
  /// Failures of sends since the last call, as (tag, branch, errno) in XList; returns how many.
  std::uint32_t report_failures() noexcept;

  static constexpr std::uint32_t kBlocksOfRecordMax = 3 + 2 * kBranchesMax;

  ShardState& shard;
  std::shared_ptr<net::MemoryNetwork> network;  // null: UDP
  std::unique_ptr<net::Wire> wire;
  net::Slots slots;
  Mailboxes mailboxes;
  net::Outbox outbox;
  std::uint32_t batch_count = 0;
  std::uint32_t arrived = 0;  // datagrams of the last receive, those of other shards included
  std::uint32_t kept = 0;
  net::Backlog backlog;
  std::uint64_t owners_to_wake = 0;  // bit per owner
  std::uint64_t failures_counted = 0, sent_counted = 0;
  std::uint32_t batch[net::kBatchMax * net::kBatchWords];  // what X shows, out of JavaScript's reach

 private:
  void measure_backlog(std::uint32_t from_mailbox, std::uint32_t tick_of_last) noexcept;
  [[nodiscard]] std::uint64_t now_microseconds() const noexcept;
  [[nodiscard]] std::uint32_t owner_of(std::span<const std::uint8_t> datagram) const noexcept;
  [[nodiscard]] Status hand_over(const std::uint32_t* words, std::uint32_t owner) noexcept;
};
static_assert(kOwnersMax <= 64);

}  // namespace holdfast::binding
