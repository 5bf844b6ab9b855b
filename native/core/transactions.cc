#include "transactions.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstring>

#include "hash.h"
#include "kill_point.h"
#include "layout.h"
#include "pool.h"
#include "rebuild.h"
#include "scan.h"
#include "segment.h"
#include "table.h"

namespace holdfast {

namespace {

constexpr std::uint32_t kRecordWords = kHeadWords + kBranchWords;
static_assert(kRecordWords * 4 == 256);
static_assert(kTHeadEnd <= kHeadWords - 1 && kBEnd <= kBranchWords);

/// In the record, the head's last word names the block of further branches; registers show 0 there.
constexpr std::uint32_t kTExtrasBlock = kHeadWords - 1;
/// In the record, the word of the branch count also says which half of that block is valid and how many
/// branches a half can hold: a change goes into the other half and becomes true with the record.
constexpr std::uint32_t kCountMask = 0xff, kHalfBit = 0x100, kRoomShift = 16;

constexpr std::uint32_t kGenerationMask = 0x3fffffff;  // stays a small integer in JavaScript
constexpr std::size_t kRoomAskedMax = 2;               // requests of our own that has_room() is asked for
constexpr std::size_t kViaEditBytes = 160;             // what the edit that puts our Via in takes
constexpr std::uint32_t kExtrasFirst = 3;              // room made for the first further branches

constexpr std::uint32_t kHeadReadOnly[] = {kTIndex,        kTGeneration,   kTOwner,      kTBranchCount,
                                           kTRequestBlock, kTRequestBytes, kTReplyBlock, kTReplyBytes,
                                           kTKeyLo,        kTKeyHi};
constexpr std::uint32_t kBranchReadOnly[] = {kBEditsBlock, kBEditsBytes, kBReplyBlock, kBReplyBytes};

/// What comes after is not written before; a process may die in between.
void keep_order() noexcept {
  std::atomic_signal_fence(std::memory_order_seq_cst);
  HOLDFAST_KILL_POINT();
}

/// `tick` comes before `other`; both are near each other.
bool is_earlier(std::uint32_t tick, std::uint32_t other) noexcept {
  return static_cast<std::int32_t>(tick - other) < 0;
}

std::uint32_t earliest_due(const std::uint32_t* words, std::uint32_t branches) noexcept {
  std::uint32_t due = 0;
  const auto look = [&due](std::uint32_t candidate) {
    if (candidate != 0 && (due == 0 || is_earlier(candidate, due))) due = candidate;
  };
  look(words[kTRetransmitDue]);
  look(words[kTEndDue]);
  look(words[kTRouteDue]);
  for (std::uint32_t n = 0; n < branches; ++n) {
    const std::uint32_t* branch = words + kHeadWords + n * kBranchWords;
    look(branch[kBRetransmitDue]);
    look(branch[kBFinalDue]);
    look(branch[kBEndDue]);
  }
  return due;
}

std::uint64_t key_of(const std::uint32_t* words) noexcept {
  return static_cast<std::uint64_t>(words[kTKeyHi]) << 32 | words[kTKeyLo];
}

}  // namespace

bool edits_fit(std::span<const Edit> edits, std::size_t text_bytes, std::size_t message_bytes) noexcept {
  std::uint64_t end = 0, inserted = 0;
  for (const Edit& edit : edits) {
    if (edit.offset < end) return false;
    end = std::uint64_t{edit.offset} + edit.drop;
    if (end > message_bytes) return false;
    inserted += edit.insert;
  }
  return inserted == text_bytes;
}

Transactions::Transactions(Segment& segment, std::uint32_t thread, Graveyard* graveyard) noexcept
    : segment_(&segment),
      arena_(&segment.arena()),
      undo_(segment.undo(thread)),
      graveyard_(graveyard),
      records_(segment.region<TransactionRecord>(kRegionTransactions)),
      links_(segment.region<TransactionLink>(kRegionTransactionLinks)),
      nodes_(segment.region<WheelNode>(kRegionTransactionNodes)),
      buckets_(segment.region<Bucket>(kRegionTransactionBuckets)),
      transactions_max_(segment.header().transactions_max),
      bucket_count_(segment.header().transaction_buckets),
      owners_(segment.owners()) {}

void Transactions::rearm(std::uint32_t owner) noexcept {
  const std::uint32_t carved = segment_->transactions().carved();
  for (std::uint32_t index = 1; index <= carved; ++index) {
    const std::uint32_t* r = record(index);
    if (r[kTIndex] == index && r[kTOwner] == owner) arm_or_end(index);
  }
}

// -- where things are
// --------------------------------------------------------------------------------------------------

std::uint32_t* Transactions::record(std::uint32_t index) const noexcept {
  return records_[index].head;  // the branch's words follow
}

bool Transactions::is_live(std::uint32_t index) const noexcept {
  return index != 0 && index <= transactions_max_ && record(index)[kTIndex] == index;
}

std::uint32_t* Transactions::extras(const std::uint32_t* record, std::uint32_t half) const noexcept {
  auto* words = reinterpret_cast<std::uint32_t*>(arena_->bytes(record[kTExtrasBlock]));
  return words + half * (record[kTBranchCount] >> kRoomShift) * kBranchWords;
}

const std::uint32_t* Transactions::branch_words(std::uint32_t index, std::uint32_t branch) const noexcept {
  const std::uint32_t* r = record(index);
  if (branch == 0) return r + kHeadWords;
  return extras(r, (r[kTBranchCount] & kHalfBit) ? 1 : 0) + (branch - 1) * kBranchWords;
}

Bucket& Transactions::bucket(std::uint64_t key) const noexcept {
  return buckets_[bucket_of(key, bucket_count_)];
}

Wheel Transactions::wheel(std::uint32_t owner) const noexcept { return segment_->transaction_wheel(owner); }

// -- the index
// ---------------------------------------------------------------------------------------------------------

void Transactions::insert_key(std::uint32_t index) noexcept {
  Bucket& b = bucket(key_of(record(index)));
  LockGuard guard(b.lock);
  links_[index].next = b.head;
  b.head = index;
}

void Transactions::remove_key(std::uint32_t index) noexcept {
  Bucket& b = bucket(key_of(record(index)));
  LockGuard guard(b.lock);
  std::uint32_t* link = &b.head;
  while (*link != 0 && *link != index) link = &links_[*link].next;
  if (*link == index) *link = links_[index].next;
}

// -- records
// -----------------------------------------------------------------------------------------------------------

Status Transactions::keep(std::span<const std::uint8_t> bytes, Need need, Block* out) noexcept {
  *out = 0;
  if (bytes.empty()) return Status::kOk;
  const Status status = arena_->alloc(bytes.size(), need, out);
  if (status == Status::kOk) std::memcpy(arena_->bytes(*out), bytes.data(), bytes.size());
  return status;
}

void Transactions::release(Block block) noexcept {
  if (block == 0) return;
  if (graveyard_ == nullptr || !graveyard_->bury(block)) arena_->free(block);
}

Status Transactions::create(std::uint32_t owner, std::uint64_t key, std::span<const std::uint8_t> request,
                            Need need, Registers out) noexcept {
  std::fill_n(out.begin(), kHeadWords, 0u);
  return begin(owner, key, request, need, out);
}

Status Transactions::begin(std::uint32_t owner, std::uint64_t key, std::span<const std::uint8_t> request,
                           Need need, Registers registers) noexcept {
  if (owner >= owners_) return Status::kOutOfRange;
  std::uint32_t index = 0;
  if (const Status status = segment_->transactions().take(need, &index); status != Status::kOk) return status;
  Block request_block = 0;
  if (const Status status = keep(request, need, &request_block); status != Status::kOk) {
    segment_->transactions().give(index);
    return status;
  }

  std::uint32_t* r = record(index);
  const std::uint32_t generation = r[kTGeneration] == 0 ? 1 : r[kTGeneration];
  std::memcpy(r + 1, registers.data() + 1, (kHeadWords - 1) * sizeof(std::uint32_t));
  for (const std::uint32_t word : kHeadReadOnly)
    if (word != kTIndex) r[word] = 0;
  r[kTExtrasBlock] = 0;
  std::memset(r + kHeadWords, 0, kBranchWords * sizeof(std::uint32_t));
  r[kTGeneration] = generation;
  r[kTOwner] = owner;
  r[kTRequestBlock] = request_block;
  r[kTRequestBytes] = static_cast<std::uint32_t>(request.size());
  r[kTKeyLo] = static_cast<std::uint32_t>(key);
  r[kTKeyHi] = static_cast<std::uint32_t>(key >> 32);
  keep_order();
  r[kTIndex] = index;  // from here on it is
  keep_order();
  if (key != 0) insert_key(index);
  copy_out(index, registers);
  return Status::kOk;
}

void Transactions::copy_out(std::uint32_t index, Registers out) const noexcept {
  const std::uint32_t* r = record(index);
  std::memcpy(out.data(), r, kRecordWords * sizeof(std::uint32_t));
  const std::uint32_t count = r[kTBranchCount] & kCountMask;
  out[kTBranchCount] = count;
  out[kTExtrasBlock] = 0;
  if (count > 1) {
    std::memcpy(out.data() + kRecordWords, branch_words(index, 1),
                (count - 1) * kBranchWords * sizeof(std::uint32_t));
  }
}

Status Transactions::find(std::uint32_t owner, std::uint64_t key, Registers out) noexcept {
  if (key == 0) return Status::kNotFound;
  std::uint32_t found = 0;
  {
    Bucket& b = bucket(key);
    LockGuard guard(b.lock);
    for (std::uint32_t index = b.head; index != 0 && found == 0; index = links_[index].next) {
      if (key_of(record(index)) == key && record(index)[kTOwner] == owner) found = index;
    }
  }
  if (found == 0) return Status::kNotFound;
  copy_out(found, out);
  return Status::kOk;
}

Status Transactions::load(std::uint32_t index, std::uint32_t generation, Registers out) noexcept {
  if (!is_live(index) || record(index)[kTGeneration] != generation) return Status::kNotFound;
  copy_out(index, out);
  return Status::kOk;
}

Status Transactions::load(std::uint32_t index, Registers out) noexcept {
  if (!is_live(index)) return Status::kNotFound;
  copy_out(index, out);
  return Status::kOk;
}

bool Transactions::next(std::uint32_t owner, std::uint32_t cursor, Registers out) noexcept {
  const std::uint32_t last = segment_->transactions().carved();
  for (std::uint32_t index = std::max(cursor, 1u); index <= last; ++index) {
    if (!is_owned_by(index, owner)) continue;
    copy_out(index, out);
    return true;
  }
  return false;
}

bool Transactions::is_owned_by(std::uint32_t index, std::uint32_t owner) const noexcept {
  if (index == 0 || index > transactions_max_) return false;
  std::uint32_t* const r = record(index);
  return std::atomic_ref(r[kTIndex]).load(std::memory_order_acquire) == index &&
         std::atomic_ref(r[kTOwner]).load(std::memory_order_relaxed) == owner;
}

std::uint32_t Transactions::owner_of(const BranchName& name) const noexcept {
  if (name.index == 0 || name.index > transactions_max_) return kNoOwner;
  // Its owner may be writing it: these words stay what they are as long as the transaction lives.
  std::uint32_t* const r = record(name.index);
  const auto word = [r](HeadWord at) {
    return std::atomic_ref<std::uint32_t>(r[at]).load(std::memory_order_relaxed);
  };
  const bool is_it =
      word(kTIndex) == name.index && word(kTGeneration) == name.generation && word(kTLoopHash) == name.hash;
  return is_it ? word(kTOwner) : kNoOwner;
}

DialogHandle Transactions::dialog_of(const BranchName& name, std::uint32_t owner) const noexcept {
  if (owner_of(name) != owner) return {};
  const std::uint32_t* r = record(name.index);
  return {r[kTDialogIndex], r[kTDialogGeneration]};
}

bool Transactions::matches(Registers registers) const noexcept {
  return is_live(registers[kTIndex]) && record(registers[kTIndex])[kTGeneration] == registers[kTGeneration];
}

/// Makes the record say `words` (registers, read-only ones included) in one step.
void Transactions::commit(std::uint32_t index, const std::uint32_t* words) noexcept {
  std::uint32_t* r = record(index);
  const std::uint32_t count = r[kTBranchCount] & kCountMask;
  std::uint32_t packed = r[kTBranchCount];
  if (count > 1) {
    packed ^= kHalfBit;
    std::memcpy(extras(r, (packed & kHalfBit) ? 1 : 0), words + kRecordWords,
                (count - 1) * kBranchWords * sizeof(std::uint32_t));
  }
  const Block extras_block = r[kTExtrasBlock];
  undo_.save(r, kRecordWords * sizeof(std::uint32_t));
  undo_.mark();
  HOLDFAST_KILL_POINT();
  std::memcpy(r, words, kRecordWords * sizeof(std::uint32_t));
  HOLDFAST_KILL_POINT();
  r[kTBranchCount] = packed;
  r[kTExtrasBlock] = extras_block;
  HOLDFAST_KILL_POINT();
  undo_.clear();
  HOLDFAST_KILL_POINT();
}

/// The earliest deadline that the record names, 0: none.
std::uint32_t Transactions::due_of(std::uint32_t index) const noexcept {
  const std::uint32_t* r = record(index);
  const std::uint32_t count = r[kTBranchCount] & kCountMask;
  const std::uint32_t due = earliest_due(r, std::min(count, 1u));
  if (count <= 1) return due;
  // The further branches, seen as if a head without other deadlines came before them.
  std::uint32_t words[kHeadWords + (kBranchesMax - 1) * kBranchWords];
  std::memset(words, 0, kHeadWords * sizeof(std::uint32_t));
  words[kTEndDue] = due;
  std::memcpy(words + kHeadWords, branch_words(index, 1), (count - 1) * kBranchWords * sizeof(std::uint32_t));
  return earliest_due(words, count - 1);
}

void Transactions::arm(std::uint32_t index) noexcept {
  const std::uint32_t* r = record(index);
  const std::uint32_t due = due_of(index);
  const WheelNode& node = nodes_[index];  // only its owner arms, advances and cancels it: read without a lock
  if (due == 0) {
    if (node.at != 0) wheel(r[kTOwner]).cancel(index);
  } else if (node.at == 0 || node.due != due) {
    wheel(r[kTOwner]).arm(index, due);
  }
}

/// Arms a record found after its worker died: without a deadline nobody would ever look at it.
void Transactions::arm_or_end(std::uint32_t index) noexcept {
  std::uint32_t* r = record(index);
  if (due_of(index) == 0) r[kTEndDue] = std::max(wheel(r[kTOwner]).walked(), 1u);
  arm(index);
}

std::uint32_t Transactions::take_out(Registers words, std::span<Block, 1 + kBranchesMax> out) noexcept {
  std::uint32_t count = 0;
  const auto take = [&](std::uint32_t block, std::uint32_t bytes) {
    if (words[block] != 0) out[count++] = words[block];
    words[block] = words[bytes] = 0;
  };
  take(kTRequestBlock, kTRequestBytes);
  for (std::uint32_t n = 0; n < words[kTBranchCount]; ++n) {
    const std::uint32_t at = kHeadWords + n * kBranchWords;
    take(at + kBEditsBlock, at + kBEditsBytes);
  }
  return count;
}

Status Transactions::store(Registers registers, bool sheds) noexcept {
  if (!matches(registers)) return Status::kNotFound;
  const std::uint32_t index = registers[kTIndex];
  const std::uint32_t* r = record(index);
  const std::uint32_t count = r[kTBranchCount] & kCountMask;
  for (const std::uint32_t word : kHeadReadOnly) registers[word] = r[word];
  registers[kTBranchCount] = count;
  for (std::uint32_t n = 0; n < count; ++n) {
    const std::uint32_t* branch = branch_words(index, n);
    for (const std::uint32_t word : kBranchReadOnly)
      registers[kHeadWords + n * kBranchWords + word] = branch[word];
  }
  Block blocks[1 + kBranchesMax];
  const std::uint32_t block_count = sheds ? take_out(registers, blocks) : 0;
  commit(index, registers.data());
  arm(index);
  for (std::uint32_t n = 0; n < block_count; ++n) release(blocks[n]);
  return Status::kOk;
}

void Transactions::free(std::uint32_t index) noexcept {
  if (!is_live(index)) return;
  std::uint32_t* r = record(index);
  const std::uint32_t owner = r[kTOwner];
  wheel(owner).cancel(index);
  if (key_of(r) != 0) remove_key(index);
  Block blocks[3 + 2 * kBranchesMax] = {r[kTRequestBlock], r[kTReplyBlock], r[kTExtrasBlock]};
  std::uint32_t block_count = 3;
  const std::uint32_t count = r[kTBranchCount] & kCountMask;
  for (std::uint32_t n = 0; n < count; ++n) {
    const std::uint32_t* branch = branch_words(index, n);
    blocks[block_count++] = branch[kBEditsBlock];
    blocks[block_count++] = branch[kBReplyBlock];
  }
  const std::uint32_t generation = (r[kTGeneration] + 1) & kGenerationMask;
  r[kTGeneration] = generation == 0 ? 1 : generation;
  keep_order();
  r[kTIndex] = 0;  // from here on it is not
  keep_order();
  for (std::uint32_t n = 0; n < block_count; ++n) release(blocks[n]);
  segment_->transactions().give(index);
}

// -- what a record keeps
// -----------------------------------------------------------------------------------------------

Status Transactions::add_branch(Registers registers, std::span<const Edit> edits,
                                std::span<const std::uint8_t> text, Need need) noexcept {
  if (!matches(registers)) return Status::kNotFound;
  const std::uint32_t index = registers[kTIndex];
  std::uint32_t* r = record(index);
  const std::uint32_t count = r[kTBranchCount] & kCountMask;
  if (count == kBranchesMax || edits.size() > kEditsMax) return Status::kLimit;
  if (!edits_fit(edits, text.size(), r[kTRequestBytes])) return Status::kBadMessage;

  // The edits and their text in one block: count, edits, text.
  const std::uint32_t edit_count = static_cast<std::uint32_t>(edits.size());
  const std::size_t bytes = sizeof edit_count + edits.size_bytes() + text.size();
  Block edits_block = 0;
  if (const Status status = arena_->alloc(bytes, need, &edits_block); status != Status::kOk) {
    return status == Status::kOutOfRange ? Status::kLimit : status;
  }
  std::uint8_t* at = arena_->bytes(edits_block);
  std::memcpy(at, &edit_count, sizeof edit_count);
  if (!edits.empty()) std::memcpy(at + sizeof edit_count, edits.data(), edits.size_bytes());
  if (!text.empty()) std::memcpy(at + sizeof edit_count + edits.size_bytes(), text.data(), text.size());

  std::uint32_t branch[kBranchWords] = {};
  branch[kBEditsBlock] = edits_block;
  branch[kBEditsBytes] = static_cast<std::uint32_t>(bytes);

  if (count == 0) {
    undo_.save(r, kRecordWords * sizeof(std::uint32_t));
    undo_.mark();
    HOLDFAST_KILL_POINT();
    std::memcpy(r + kHeadWords, branch, sizeof branch);
    r[kTBranchCount] = 1;
    HOLDFAST_KILL_POINT();
    undo_.clear();
    HOLDFAST_KILL_POINT();
  } else {
    const std::uint32_t room = r[kTBranchCount] >> kRoomShift;
    if (count - 1 < room) {
      // Beyond the count in the valid half: not read by anyone until the count says so.
      std::memcpy(const_cast<std::uint32_t*>(branch_words(index, count)), branch, sizeof branch);
      keep_order();
      r[kTBranchCount] += 1;
    } else {
      const std::uint32_t new_room = room == 0 ? kExtrasFirst : kBranchesMax - 1;
      Block block = 0;
      const std::size_t half_bytes = new_room * kBranchWords * sizeof(std::uint32_t);
      if (const Status status = arena_->alloc(2 * half_bytes, need, &block); status != Status::kOk) {
        arena_->free(edits_block);
        return status;
      }
      auto* half = reinterpret_cast<std::uint32_t*>(arena_->bytes(block));
      if (count > 1) std::memcpy(half, branch_words(index, 1), (count - 1) * sizeof branch);
      std::memcpy(half + (count - 1) * kBranchWords, branch, sizeof branch);
      const Block old_block = r[kTExtrasBlock];
      undo_.save(r, kRecordWords * sizeof(std::uint32_t));
      undo_.mark();
      HOLDFAST_KILL_POINT();
      r[kTBranchCount] = (count + 1) | new_room << kRoomShift;
      r[kTExtrasBlock] = block;
      HOLDFAST_KILL_POINT();
      undo_.clear();
      HOLDFAST_KILL_POINT();
      if (old_block != 0) arena_->free(old_block);
    }
  }
  registers[kTBranchCount] = count + 1;
  std::memcpy(registers.data() + kHeadWords + count * kBranchWords, branch, sizeof branch);
  return Status::kOk;
}

Status Transactions::forward(Registers registers, std::span<const Edit> edits,
                             std::span<const std::uint8_t> text, Need need) noexcept {
  const std::uint32_t branch = registers[kTBranchCount];
  if (branch >= kBranchesMax) return Status::kLimit;
  std::uint32_t* const words = registers.data() + kHeadWords + branch * kBranchWords;
  std::uint32_t filled[kBranchWords];
  std::memcpy(filled, words, sizeof filled);
  if (const Status status = add_branch(registers, edits, text, need); status != Status::kOk) return status;
  for (std::uint32_t n = 0; n < kBranchWords; ++n) {
    if (std::ranges::find(kBranchReadOnly, n) == std::end(kBranchReadOnly)) words[n] = filled[n];
  }
  return store(registers);
}

Status Transactions::set_reply(Registers registers, std::span<const std::uint8_t> bytes) noexcept {
  if (!matches(registers)) return Status::kNotFound;
  std::uint32_t* r = record(registers[kTIndex]);
  Block block = 0;
  if (const Status status = keep(bytes, Need::kCallIsUp, &block); status != Status::kOk) return status;
  const Block old_block = r[kTReplyBlock];
  undo_.save(r + kTReplyBlock, 2 * sizeof(std::uint32_t));
  undo_.mark();
  HOLDFAST_KILL_POINT();
  r[kTReplyBlock] = block;
  HOLDFAST_KILL_POINT();
  r[kTReplyBytes] = static_cast<std::uint32_t>(bytes.size());
  HOLDFAST_KILL_POINT();
  undo_.clear();
  HOLDFAST_KILL_POINT();
  release(old_block);
  registers[kTReplyBlock] = r[kTReplyBlock];
  registers[kTReplyBytes] = r[kTReplyBytes];
  return Status::kOk;
}

Status Transactions::set_branch_reply(Registers registers, std::uint32_t branch,
                                      std::span<const std::uint8_t> bytes) noexcept {
  if (!matches(registers)) return Status::kNotFound;
  const std::uint32_t index = registers[kTIndex];
  if (branch >= (record(index)[kTBranchCount] & kCountMask)) return Status::kOutOfRange;
  Block block = 0;
  if (const Status status = keep(bytes, Need::kCallIsUp, &block); status != Status::kOk) return status;
  auto* words = const_cast<std::uint32_t*>(branch_words(index, branch));
  const Block old_block = words[kBReplyBlock];
  undo_.save(words + kBReplyBlock, 2 * sizeof(std::uint32_t));
  undo_.mark();
  HOLDFAST_KILL_POINT();
  words[kBReplyBlock] = block;
  words[kBReplyBytes] = static_cast<std::uint32_t>(bytes.size());
  HOLDFAST_KILL_POINT();
  undo_.clear();
  HOLDFAST_KILL_POINT();
  release(old_block);
  std::uint32_t* shown = registers.data() + kHeadWords + branch * kBranchWords;
  shown[kBReplyBlock] = words[kBReplyBlock];
  shown[kBReplyBytes] = words[kBReplyBytes];
  return Status::kOk;
}

std::span<const std::uint8_t> Transactions::request(std::uint32_t index) const noexcept {
  if (!is_live(index) || record(index)[kTRequestBlock] == 0) return {};
  return {arena_->bytes(record(index)[kTRequestBlock]), record(index)[kTRequestBytes]};
}

std::span<const std::uint8_t> Transactions::reply(std::uint32_t index) const noexcept {
  if (!is_live(index) || record(index)[kTReplyBlock] == 0) return {};
  return {arena_->bytes(record(index)[kTReplyBlock]), record(index)[kTReplyBytes]};
}

std::span<const std::uint8_t> Transactions::branch_reply(std::uint32_t index,
                                                         std::uint32_t branch) const noexcept {
  if (!is_live(index) || branch >= (record(index)[kTBranchCount] & kCountMask)) return {};
  const std::uint32_t* words = branch_words(index, branch);
  if (words[kBReplyBlock] == 0) return {};
  return {arena_->bytes(words[kBReplyBlock]), words[kBReplyBytes]};
}

bool Transactions::branch_edits(std::uint32_t index, std::uint32_t branch, std::span<const Edit>* edits,
                                std::span<const std::uint8_t>* text) const noexcept {
  if (!is_live(index) || branch >= (record(index)[kTBranchCount] & kCountMask)) return false;
  const std::uint32_t* words = branch_words(index, branch);
  if (words[kBEditsBlock] == 0) return false;
  const std::uint8_t* at = arena_->bytes(words[kBEditsBlock]);
  std::uint32_t count = 0;
  std::memcpy(&count, at, sizeof count);
  *edits = {reinterpret_cast<const Edit*>(at + sizeof count), count};
  *text = {at + sizeof count + count * sizeof(Edit),
           words[kBEditsBytes] - sizeof count - count * sizeof(Edit)};
  return true;
}

// -- time
// --------------------------------------------------------------------------------------------------------------

std::uint32_t Transactions::advance(std::uint32_t owner, std::uint32_t now_tick,
                                    std::span<std::uint32_t> out) noexcept {
  return owner < owners_ ? wheel(owner).advance(now_tick, out) : 0;
}

std::uint32_t Transactions::quiet_ticks(std::uint32_t owner, std::uint32_t now_tick,
                                        std::uint32_t ahead) const noexcept {
  return owner < owners_ ? wheel(owner).quiet_ticks(now_tick, ahead) : ahead;
}

void Transactions::prefetch(std::uint32_t index) const noexcept {
  if (index == 0 || index > transactions_max_) return;
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(record(index));
  for (std::size_t at = 0; at < sizeof(TransactionRecord); at += kCacheLineBytes)
    __builtin_prefetch(bytes + at);
}

void Transactions::prefetch(std::span<const std::uint32_t> indexes) const noexcept {
  for (const std::uint32_t index : indexes) {
    prefetch(index);
    if (index <= transactions_max_) __builtin_prefetch(&links_[index]);
  }
  for (const std::uint32_t index : indexes) {
    if (!is_live(index)) continue;
    const std::uint32_t* r = record(index);
    __builtin_prefetch(&bucket(key_of(r)));
    const std::uint32_t dialog = r[kTDialogIndex];
    if (dialog != 0 && dialog <= segment_->dialogs().max()) __builtin_prefetch(&segment_->dialog(dialog));
    // A block that is given back becomes a link of its free list.
    for (const Block block : {r[kTRequestBlock], r[kTReplyBlock], r[kHeadWords + kBEditsBlock]}) {
      if (block != 0) __builtin_prefetch(arena_->bytes(block));
    }
  }
}

void Transactions::prefetch_keys(std::span<const std::uint64_t> keys) const noexcept {
  for (const std::uint64_t key : keys) __builtin_prefetch(&bucket(key));
  for (const std::uint64_t key : keys) {
    const std::uint32_t head = std::atomic_ref(bucket(key).head).load(std::memory_order_relaxed);
    if (head != 0) __builtin_prefetch(record(head));
  }
}

std::uint32_t transactions_in_work(Segment& segment) noexcept {
  const auto* records = segment.region<TransactionRecord>(kRegionTransactions);
  const std::uint32_t carved = segment.transactions().carved();
  std::uint32_t in_work = 0;
  for (std::uint32_t index = 1; index <= carved; ++index) {
    const std::uint32_t* r = records[index].head;
    if (std::atomic_ref(const_cast<std::uint32_t&>(r[kTIndex])).load(std::memory_order_relaxed) != index) continue;
    if (std::atomic_ref(const_cast<std::uint32_t&>(r[kTState])).load(std::memory_order_relaxed) == 1) ++in_work;
  }
  return in_work;
}

std::uint32_t Transactions::live() const noexcept { return segment_->transactions().used(); }

std::uint32_t Transactions::room() const noexcept {
  const std::uint32_t ours = transactions_max_ - 2 * Pool::reserve(transactions_max_), used = live();
  return used < ours ? ours - used : 0;
}

bool Transactions::has_room(std::span<const std::size_t> requests) const noexcept {
  std::array<std::size_t, 2 * kRoomAskedMax> blocks;
  if (requests.size() > kRoomAskedMax || room() < requests.size()) return false;
  for (std::size_t n = 0; n < requests.size(); ++n) {
    blocks[2 * n] = requests[n];
    blocks[2 * n + 1] = kViaEditBytes;
  }
  return arena_->has_room({blocks.data(), 2 * requests.size()});
}

// -- attach and verify (rebuild.h)
// -------------------------------------------------------------------------------------

constexpr std::uint32_t kKindClient = 3;
constexpr std::uint32_t kEndedDialog = 8;  // kTDirection: its BYE ended the dialog (src/dialog)
constexpr std::uint32_t kPurposeBye = 1, kPurposeByeAgain = 2;  // kTUser0: PURPOSE of src/dialog

/// Every carved record, and the blocks of the live ones.
struct TransactionWalk {
  explicit TransactionWalk(Segment& segment) noexcept : segment(segment), view(segment, kMainThread) {}

  [[nodiscard]] std::uint32_t last() const noexcept { return segment.transactions().carved(); }
  [[nodiscard]] bool is_live(std::uint32_t index) const noexcept {
    return view.is_live(index) && view.record(index)[kTOwner] < segment.owners();
  }
  /// attach(): who runs it from now on; owners() if nobody can.
  [[nodiscard]] std::uint32_t owner_after(std::uint32_t index, const Rebuild& work) const noexcept {
    const std::uint32_t* r = view.record(index);
    const std::uint32_t timer = segment.owners() - 1;
    if (r[kTKind] == kKindClient && r[kTOwner] >= timer && work.timer_worker) return timer;
    const std::uint32_t dialog = r[kTDialogIndex];
    if (dialog != 0 && dialog <= segment.dialogs().carved()) {
      const DialogRecord& named = segment.dialog(dialog);
      if (named.state != 0 && named.generation == r[kTDialogGeneration]) return segment.owner_of(named.entry);
    }
    const std::span<const std::uint8_t> request = view.request(index);
    const Scan found = scan(request, 0);
    if (found.call_id_length == 0) return r[kTOwner] < timer ? r[kTOwner] : segment.owners();
    return segment.owner_of(segment.entry_of(request.subspan(found.call_id_offset, found.call_id_length)));
  }
  void mark(std::uint32_t index, Rebuild& work) const noexcept {
    const auto mark_block = [&work](Block block) {
      if (block != 0) work.mark(block);
    };
    const std::uint32_t* r = view.record(index);
    mark_block(r[kTRequestBlock]);
    mark_block(r[kTReplyBlock]);
    mark_block(r[kTExtrasBlock]);
    const std::uint32_t branches = r[kTBranchCount] & kCountMask;
    for (std::uint32_t n = 0; n < branches; ++n) {
      const std::uint32_t* branch = view.branch_words(index, n);
      mark_block(branch[kBEditsBlock]);
      mark_block(branch[kBReplyBlock]);
    }
  }
  /// The record stands on its bucket's chain.
  [[nodiscard]] bool is_linked(std::uint32_t index) const noexcept {
    std::uint32_t steps = 0;
    std::uint32_t at = view.bucket(key_of(view.record(index))).head;
    while (at != 0 && at != index && ++steps <= last()) at = view.links_[at].next;
    return at == index;
  }

  Segment& segment;
  Transactions view;
};

/// What a live record says could be so: each block that it names exists and is large enough.
struct TransactionCheck {
  TransactionWalk& walk;
  Arena& arena;

  [[nodiscard]] bool holds(Block block, std::uint32_t bytes) const noexcept {
    return block == 0 ? bytes == 0 : arena.is_block(block, std::max(bytes, 1u));
  }
  [[nodiscard]] bool is_whole(std::uint32_t index) const noexcept {
    const std::uint32_t* r = walk.view.record(index);
    const std::uint32_t branches = r[kTBranchCount] & kCountMask, room = r[kTBranchCount] >> kRoomShift;
    if (r[kTIndex] != index || r[kTGeneration] == 0 || r[kTKind] > kKindClient || branches > kBranchesMax ||
        room >= kBranchesMax || r[kTDialogIndex] > walk.segment.header().dialogs_max ||
        !holds(r[kTRequestBlock], r[kTRequestBytes]) || !holds(r[kTReplyBlock], r[kTReplyBytes]))
      return false;
    const std::uint32_t extras_bytes =
        2 * room * kBranchWords * static_cast<std::uint32_t>(sizeof(std::uint32_t));
    if (!holds(r[kTExtrasBlock], extras_bytes) || (branches > 1 && branches - 1 > room)) return false;
    for (std::uint32_t n = 0; n < branches; ++n) {
      const std::uint32_t* branch = walk.view.branch_words(index, n);
      if (!holds(branch[kBReplyBlock], branch[kBReplyBytes]) || !edits_are_whole(branch, r[kTRequestBytes]))
        return false;
    }
    return true;
  }
  [[nodiscard]] bool edits_are_whole(const std::uint32_t* branch,
                                     std::uint32_t request_bytes) const noexcept {
    const std::uint32_t bytes = branch[kBEditsBytes];
    if (!holds(branch[kBEditsBlock], bytes)) return false;
    if (branch[kBEditsBlock] == 0) return true;
    const std::uint8_t* at = arena.bytes(branch[kBEditsBlock]);
    std::uint32_t count = 0;
    if (bytes < sizeof count) return false;
    std::memcpy(&count, at, sizeof count);
    if (count > kEditsMax || bytes - sizeof count < count * sizeof(Edit)) return false;
    const std::span edits(reinterpret_cast<const Edit*>(at + sizeof count), count);
    return edits_fit(edits, bytes - sizeof count - edits.size_bytes(), request_bytes);
  }
};

void check_transactions(Rebuild& work) noexcept {
  TransactionWalk walk(work.segment);
  const TransactionCheck check{walk, work.segment.arena()};
  for (std::uint32_t index = 1; index <= walk.last(); ++index)
    if (walk.view.record(index)[kTIndex] != 0 && !check.is_whole(index)) work.found.blocks += 1;
}

void mark_transactions(Rebuild& work) noexcept {
  TransactionWalk walk(work.segment);
  for (std::uint32_t index = 1; index <= walk.last(); ++index) {
    std::uint32_t* r = walk.view.record(index);
    // A request of our own that has no copy yet: whoever wanted it sent finds it unsent.
    const bool is_live = walk.view.is_live(index) &&
                         (r[kTKind] != kKindClient || r[kHeadWords + kBState] != 0);
    const std::uint32_t owner = is_live ? walk.owner_after(index, work) : work.segment.owners();
    if (owner == work.segment.owners()) {
      r[kTIndex] = 0;  // nobody's
      continue;
    }
    if (r[kTOwner] != owner) work.segment.note_moved_transactions();
    HOLDFAST_KILL_POINT();
    r[kTOwner] = owner;
    HOLDFAST_KILL_POINT();
    walk.mark(index, work);
    const std::uint32_t dialog = r[kTDialogIndex];
    if (dialog == 0 || dialog > work.segment.dialogs().carved()) continue;
    DialogRecord& named = work.segment.dialog(dialog);
    if (named.state == 0 || named.generation != r[kTDialogGeneration]) continue;
    named.holds += 1;
    const bool is_bye =
        r[kTKind] == kKindClient && (r[kTUser0] == kPurposeBye || r[kTUser0] == kPurposeByeAgain);
    if (is_bye && named.state == kDeleted) bye_is_sent(work.segment, dialog, r[kTDirection] & 3);
    if ((is_bye || (r[kTDirection] & kEndedDialog) != 0) && named.state == kDeleted)
      bye_is_under_way(work.segment, dialog);
  }
}

void link_transactions(Rebuild& work) noexcept {
  TransactionWalk walk(work.segment);
  Pool& pool = work.segment.transactions();
  pool.rebuild(work.segment.header().transactions_max);
  for (std::uint32_t index = walk.last(); index >= 1;
       --index) {  // downwards: the free list then begins with the first
    if (!walk.is_live(index)) {
      pool.give(index);
      continue;
    }
    if (key_of(walk.view.record(index)) != 0) walk.view.insert_key(index);
    walk.view.arm_or_end(index);
  }
}

void verify_transactions(Rebuild& work) noexcept {
  TransactionWalk walk(work.segment);
  Pool& pool = work.segment.transactions();
  std::uint32_t live = 0, linked = 0, free_records = 0, chained = 0;
  for (std::uint32_t index = 1; index <= walk.last(); ++index) {
    if (!walk.is_live(index)) continue;
    ++live;
    ++work.found.records;
    walk.mark(index, work);
    if (key_of(walk.view.record(index)) != 0) {
      ++linked;
      if (!walk.is_linked(index)) ++work.found.index;
    }
    if ((walk.view.nodes_[index].at != 0) != (walk.view.due_of(index) != 0)) ++work.found.wheels;
  }
  for (std::uint32_t n = 0; n < walk.view.bucket_count_; ++n) {
    for (std::uint32_t at = walk.view.buckets_[n].head; at != 0 && chained <= walk.last();
         at = walk.view.links_[at].next) {
      ++chained;
    }
  }
  if (chained != linked) ++work.found.index;
  for (std::uint32_t at = pool.free_head(); at != 0 && free_records <= walk.last(); at = pool.link(at)) {
    ++free_records;
    if (walk.is_live(at)) ++work.found.pools;
  }
  if (live + free_records != walk.last() || live != pool.used()) ++work.found.pools;
}

}  // namespace holdfast
