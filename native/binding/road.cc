#include "road.h"

#include <time.h>

#include <algorithm>
#include <cstring>

#include "../core/scan.h"

namespace holdfast::binding {

namespace {

using namespace net;

/// Not in the header's line of fire: only a response may belong to somebody else when there is one worker.
bool may_be_response(std::span<const std::uint8_t> datagram) noexcept {
  return !datagram.empty() &&
         (datagram[0] == 'S' || datagram[0] == 's' || datagram[0] == '\r' || datagram[0] == '\n');
}

}  // namespace

std::uint32_t Road::owner_of(std::span<const std::uint8_t> datagram) const noexcept {
  const Segment& segment = *shard.segment;
  if (segment.workers() == 1 && !may_be_response(datagram)) return shard.owner;
  // A branch that names nobody is forged, or of another time: the Call-ID decides.
  // After an attach with other workers the record tells whose it is, not the number in the branch.
  const bool moved = segment.has_moved_transactions();
  const Scan found = scan(datagram, moved ? kThreadsMax : shard.owners());
  if (found.has_branch) {
    // Only a reply that its owner will know takes room in the owner's mailbox; a forged one is dropped here.
    const BranchName& name = found.branch;
    if (name.owner == shard.owner && !moved) {
      shard.transactions.prefetch(name.index);
      return shard.owner;
    }
    const std::uint32_t owner = shard.transactions.owner_of(name);
    const bool known = moved ? owner < shard.owners() : owner == name.owner;
    return known ? owner : shard.owner;
  }
  if (found.call_id_length == 0) return shard.owner;
  return segment.owner_of(segment.entry_of(datagram.subspan(found.call_id_offset, found.call_id_length)));
}

Status Road::hand_over(const std::uint32_t* words, std::uint32_t owner) noexcept {
  DatagramLetter letter;
  letter.flow = words[kNFlow];
  letter.port = words[kNPort];
  std::copy(words + kNAddress0, words + kNAddress0 + 4, letter.address);
  letter.tick = words[kNTick];
  letter.steered = words[kNSteered] + 1;
  const Status status =
      mailboxes.post_datagram(owner, letter, {shard.memory + words[kNMessage], words[kNLength]});
  if (status == Status::kOk) {
    owners_to_wake |= std::uint64_t{1} << owner;
    shard.counters.add(kCounterSteered);
  } else {
    shard.counters.add(kCounterMailboxDrops);
  }
  return status;
}

std::uint64_t Road::now_microseconds() const noexcept {
  if (network) return network->time.milliseconds.load() * 1'000;
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000 + static_cast<std::uint64_t>(now.tv_nsec) / 1'000;
}

/// Tells JavaScript how long the queues have not been empty, and how long the last of this batch waited in them.
void Road::measure_backlog(std::uint32_t from_mailbox, std::uint32_t tick_of_last) noexcept {
  std::uint32_t* const told = shard.x(kXBacklog);
  const bool is_mail_left = from_mailbox == kMailboxBatchMax && mailboxes.has_datagrams(shard.owner);
  const bool is_empty = wire->is_drained() && !is_mail_left;
  told[0] = told[1] = 0;
  if (is_empty && backlog.passed() == 0) return;  // as nearly always: the time is of no interest
  backlog.received(is_empty, now_microseconds());
  if (is_empty) return;
  told[0] = static_cast<std::uint32_t>(std::min<std::uint64_t>(backlog.passed() / 1'000, kOverflowed - 1));
  if (!backlog.is_look_due()) return;
  if (!wire->is_drained()) told[1] = wire->waited_ms();
  if (!is_mail_left) return;
  const bool is_full = mailboxes.is_half_full(shard.owner);
  told[1] = std::max(told[1], is_full ? kOverflowed : (shard.clock.tick() - tick_of_last) * kTickMilliseconds);
}

std::uint32_t Road::receive() noexcept {
  flush();
  shard.clock.read();
  std::uint32_t count = 0;

  DatagramLetter letter;
  std::span<const std::uint8_t> bytes;
  while (count < kMailboxBatchMax && slots.free_count() > 0 &&
         mailboxes.next_datagram(shard.owner, &letter, &bytes)) {
    std::uint32_t* words = batch + count++ * kBatchWords;
    const std::uint32_t slot = slots.take();
    std::fill(words, words + kBatchWords, 0u);
    words[kNSlot] = slot;
    words[kNMessage] = place(shard.memory, slot, bytes);
    words[kNLength] = static_cast<std::uint32_t>(bytes.size());
    words[kNWords] = words_at(slot);
    words[kNFlow] = letter.flow;
    words[kNPort] = letter.port;
    std::copy(letter.address, letter.address + 4, words + kNAddress0);
    words[kNSteered] = letter.steered;
    words[kNOwnerGuess] = shard.owner;
    words[kNTick] = letter.tick;
    mailboxes.pop_datagram(shard.owner);
  }
  const std::uint32_t tick_of_last = letter.tick;

  const std::uint32_t from_wire = wire->receive(slots, batch + count * kBatchWords, kBatchMax - count);
  arrived = count + from_wire;
  measure_backlog(count, tick_of_last);
  std::uint64_t received_bytes = 0;
  std::uint32_t mine = count;
  for (std::uint32_t n = count; n < count + from_wire; ++n) {
    std::uint32_t* words = batch + n * kBatchWords;
    words[kNTick] = shard.clock.tick();
    received_bytes += words[kNLength];
    const std::uint32_t owner = owner_of({shard.memory + words[kNMessage], words[kNLength]});
    words[kNOwnerGuess] = owner;
    if (owner != shard.owner) {
      (void)hand_over(words, owner);  // counted there, either way
      slots.done(words[kNSlot]);
      continue;
    }
    if (mine != n) std::memcpy(batch + mine * kBatchWords, words, kBatchWords * sizeof *words);
    ++mine;
  }
  if (from_wire > 0) {
    shard.counters.add(kCounterRcvDatagrams, from_wire);
    shard.counters.add(kCounterRcvBytes, received_bytes);
    shard.counters.add(kCounterRcvBatches);
  }
  batch_count = mine;
  std::memcpy(shard.x(kXBatch), batch, mine * kBatchWords * sizeof(std::uint32_t));
  if (mine == 0) flush();  // nobody will end this batch: wake the others now
  return mine;
}

void Road::send_queued() noexcept {
  outbox.flush(*wire);
  shard.graveyard.clear(shard.segment->arena());
}

void Road::flush() noexcept {
  send_queued();
  if (outbox.sent() != sent_counted) {
    shard.counters.add(kCounterSentDatagrams, outbox.sent() - sent_counted);
    shard.counters.add(kCounterSentBytes, outbox.take_bytes());
    sent_counted = outbox.sent();
  }
  if (outbox.failures().total() != failures_counted) {
    shard.counters.add(kCounterSendErrors, outbox.failures().total() - failures_counted);
    failures_counted = outbox.failures().total();
  }
  for (std::uint32_t n = 0; n < batch_count; ++n) slots.done(batch[n * kBatchWords + kNSlot]);
  batch_count = 0;
  while (owners_to_wake != 0) {
    shard.open->wakes->wake(static_cast<std::uint32_t>(__builtin_ctzll(owners_to_wake)));
    owners_to_wake &= owners_to_wake - 1;
  }
}

Status Road::queue(const Outgoing& message, std::span<const iovec> pieces) noexcept {
  if (message.flow == 0 || message.flow > wire->flows() || message.to.port == 0 || message.to.port > 65535) {
    return Status::kOutOfRange;
  }
  Status status = outbox.add(message, pieces);
  if (status == Status::kFull) {
    send_queued();
    status = outbox.add(message, pieces);
  }
  return status;
}

Status Road::forward(std::uint32_t batch_index, std::uint32_t owner) noexcept {
  if (batch_index >= batch_count || owner >= shard.segment->owners() || owner == shard.owner)
    return Status::kOutOfRange;
  const std::uint32_t* words = batch + batch_index * kBatchWords;
  if (words[kNSteered] >= kSteersMax) {
    shard.counters.add(kCounterSteeredTwice);
    return Status::kLimit;
  }
  return hand_over(words, owner);
}

std::uint32_t Road::report_failures() noexcept {
  const std::span<const Failure> failed = outbox.failures().list();
  static_assert(sizeof(Failure) == 3 * sizeof(std::uint32_t) && kFailuresMax * 3 <= kXListWords);
  std::memcpy(shard.x(kXList), failed.data(), failed.size_bytes());
  outbox.failures().clear();
  return static_cast<std::uint32_t>(failed.size());
}

}  // namespace holdfast::binding
