// core/transactions.h - records of live transactions: the request once, edits per branch.
//
// A record is 256 bytes: a head and its first branch; further branches stand in one block of the arena.  It
// is written by its owner alone.  The owner works on a copy: load() fills its registers, store() writes them
// back whole, atomically against SIGKILL, and arms the record's one wheel node for the earliest deadline
// named in it.  Times are ticks of 10 ms since the segment was created.  Blocks (request, reply, edits) are
// owned by the record and named in read-only words.
//
// What the words of state, code and flags mean is decided in TypeScript (src/transaction); here only the
// deadlines, the destinations, the key and the blocks have meaning.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include "arena.h"
#include "branch_name.h"
#include "status.h"
#include "undo.h"
#include "wheel.h"

namespace holdfast {

inline constexpr std::uint32_t kTickMilliseconds = 10;
inline constexpr std::uint32_t kBranchesMax = 16;
inline constexpr std::uint32_t kHeadWords = 40;
inline constexpr std::uint32_t kBranchWords = 24;
inline constexpr std::uint32_t kRegisterWords = kHeadWords + kBranchesMax * kBranchWords;

/// Head words.  R: read-only to the caller (store() ignores changes).
enum HeadWord : std::uint32_t {
  kTIndex,         // R  a handle is (index, generation)
  kTGeneration,    // R
  kTOwner,         // R  owner number
  kTBranchCount,   // R  changed by add_branch
  kTRequestBlock,  // R  the request as received; 0 when shed
  kTRequestBytes,  // R
  kTReplyBlock,    // R  the last reply sent upstream, for retransmission
  kTReplyBytes,    // R
  kTKeyLo,
  kTKeyHi,  // R  keyed hash of the server transaction's identity (RFC 3261 17.2.3); 0: not in the index
  kTKind,   // 1 INVITE server, 2 non-INVITE server, 3 client only (made by us)
  kTState,
  kTMethod,  // enum sip_method
  kTFlags,
  kTCode,  // last status code sent upstream
  kTFlow,  // upstream: the flow the request came on ...
  kTPort,  //           and where responses go
  kTAddress0,
  kTAddress1,
  kTAddress2,
  kTAddress3,     // IPv6, or IPv4-mapped; network byte order
  kTDialogIndex,  // the dialog that was tracked with it; holds it (one of the record's holds)
  kTDialogGeneration,
  kTDirection,           // 1 downstream, 2 upstream; + 4: its INVITE made the dialog, + 8: its BYE ended it
  kTRetransmitDue,       // server retransmission (timer G); 0: none
  kTRetransmitInterval,  // ticks
  kTEndDue,              // when the record goes, or the state it waits in ends
  kTRouteDue,            // a suspended route's deadline
  kTOnReply,
  kTOnFailure,
  kTOnBranch,  // route numbers, 0: none
  kTCSeq,      // number of the request
  kTLoopHash,  // what our branch's last 8 digits say (RFC 5393 4.2)
  kTCreated,   // tick
  kTUser0,
  kTUser1,
  kTUser2,
  kTUser3,
  kTUser4,
  kTHeadEnd  // = kHeadWords - 1 at most
};

enum BranchWord : std::uint32_t {
  kBEditsBlock,  // R  edits against the request that make this branch's copy
  kBEditsBytes,  // R
  kBReplyBlock,  // R  its best response while others are awaited
  kBReplyBytes,  // R
  kBState,
  kBCode,  // last status code received, 0: none
  kBFlow,
  kBPort,
  kBAddress0,
  kBAddress1,
  kBAddress2,
  kBAddress3,
  kBRetransmitDue,  // timers A, E
  kBRetransmitInterval,
  kBFinalDue,  // timers B, F, C
  kBEndDue,    // timers D, K and the end of a CANCEL's patience
  kBFlags,
  kBHash,  // authenticates our Via branch
  kBCSeqReceived,
  kBCSeqSent,  // restored in replies when they differ
  kBToTag,     // 32-bit hash of the To tag of its last response
  kBUser0,
  kBUser1,
  kBEnd  // = kBranchWords - 1 at most
};

/// One edit: at `offset` of the request drop `drop` bytes and put `insert` bytes of the text there.
/// Edits are sorted by offset and do not overlap; the text of all follows in order.
struct Edit {
  std::uint32_t offset, drop, insert;
};
inline constexpr std::uint32_t kEditsMax = 32;

/// True if the edits are sorted, do not overlap, lie within `message_bytes` and insert exactly `text_bytes`.
[[nodiscard]] bool edits_fit(std::span<const Edit> edits, std::size_t text_bytes,
                             std::size_t message_bytes) noexcept;

/// Blocks that messages under way still point into: given back to the arena by the owner once they are sent.
class Graveyard {
 public:
  static constexpr std::uint32_t kBlocksMax = 2048;
  /// False when it is full: send first.
  bool bury(Block block) noexcept {
    if (count_ == kBlocksMax) return false;
    blocks_[count_++] = block;
    return true;
  }
  void clear(Arena& arena) noexcept {
    for (std::uint32_t n = 0; n < count_; ++n) arena.free(blocks_[n]);
    count_ = 0;
  }
  [[nodiscard]] std::uint32_t count() const noexcept { return count_; }

 private:
  std::uint32_t count_ = 0;
  Block blocks_[kBlocksMax];
};

struct DialogHandle;
struct TransactionRecord;
struct TransactionLink;
struct Bucket;
class Segment;
struct Rebuild;

/// How many transactions have no final answer yet; the others only wait out their timers.  For any thread: an
/// estimate while others work.
[[nodiscard]] std::uint32_t transactions_in_work(Segment& segment) noexcept;

/// A view over all transactions of a segment, held by one thread.  create, attach and verify are segment.h's;
/// a live record that names a dialog (kTDialogIndex) is one of that dialog's holds, which attach() counts:
/// whoever sets the word has called Table::hold, whoever frees the record calls Table::drop.
class Transactions {
 public:
  using Registers = std::span<std::uint32_t, kRegisterWords>;

  Transactions() noexcept = default;
  /// `thread` is the caller's own number (layout.h); `graveyard` (may be null) receives the blocks that
  /// records let go.
  Transactions(Segment& segment, std::uint32_t thread, Graveyard* graveyard = nullptr) noexcept;

  /// A dead worker's successor arms every record of the owner again (one may have been taken out and not
  /// stored).  One that names no deadline, left half made, ends with the next tick.
  void rearm(std::uint32_t owner) noexcept;

  /// A new record of `owner` that keeps a copy of `request` (may be empty); the registers are zero but for
  /// what is known.  `key` != 0 enters it in the index.  kNoMemory.
  [[nodiscard]] Status create(std::uint32_t owner, std::uint64_t key, std::span<const std::uint8_t> request,
                              Need need, Registers out) noexcept;
  /// create() of a record whose head the caller has filled in: there is no instant at which it says less.
  /// Nothing is armed before store().
  [[nodiscard]] Status begin(std::uint32_t owner, std::uint64_t key, std::span<const std::uint8_t> request,
                             Need need, Registers registers) noexcept;
  /// Finds by key among the records of `owner`.  kNotFound.
  [[nodiscard]] Status find(std::uint32_t owner, std::uint64_t key, Registers out) noexcept;
  /// Any thread may ask, but the record of another is being written: look whose it is first (is_owned_by).
  [[nodiscard]] Status load(std::uint32_t index, std::uint32_t generation, Registers out) noexcept;
  /// Whatever its generation: after advance().
  [[nodiscard]] Status load(std::uint32_t index, Registers out) noexcept;
  /// Loads the first live record of `owner` from number `cursor` on; false: there is none.
  [[nodiscard]] bool next(std::uint32_t owner, std::uint32_t cursor, Registers out) noexcept;
  [[nodiscard]] bool is_owned_by(std::uint32_t index, std::uint32_t owner) const noexcept;
  /// Writes the registers back and (re)arms the node at the earliest non-zero *Due.  `sheds`: gives back
  /// what a finished transaction no longer needs, the request and all edits.
  [[nodiscard]] Status store(Registers registers, bool sheds = false) noexcept;
  /// Frees the record and all its blocks; the generation goes up.
  void free(std::uint32_t index) noexcept;

  /// Adds a branch: checks the edits against the request, keeps them.  Its words start at
  /// kHeadWords + n * kBranchWords of the registers, zero but for the blocks.  kLimit, kNoMemory,
  /// kBadMessage.
  [[nodiscard]] Status add_branch(Registers registers, std::span<const Edit> edits,
                                  std::span<const std::uint8_t> text, Need need) noexcept;
  /// add_branch() of a branch whose words the caller has filled in, and store().
  [[nodiscard]] Status forward(Registers registers, std::span<const Edit> edits,
                               std::span<const std::uint8_t> text, Need need) noexcept;
  /// Replaces the stored reply (of the record, or of branch n) by `bytes`; empty drops it.
  [[nodiscard]] Status set_reply(Registers registers, std::span<const std::uint8_t> bytes) noexcept;
  [[nodiscard]] Status set_branch_reply(Registers registers, std::uint32_t branch,
                                        std::span<const std::uint8_t> bytes) noexcept;

  /// Who runs the live transaction that `name` is a branch of, hash and all: the owner that the name tells
  /// unless a later process has other workers.  kNoOwner if there is none.  Any thread.
  static constexpr std::uint32_t kNoOwner = 0xffffffff;
  [[nodiscard]] std::uint32_t owner_of(const BranchName& name) const noexcept;

  /// The dialog of the live transaction of `owner` that `name` is a branch of, hash and all; index 0: it has
  /// none, or there is no such transaction.
  [[nodiscard]] DialogHandle dialog_of(const BranchName& name, std::uint32_t owner) const noexcept;

  /// Takes at most `out.size()` records whose earliest deadline is past out of the owner's wheel; each is
  /// named by its index in `out`.  The caller loads, acts and stores (which arms again).
  [[nodiscard]] std::uint32_t advance(std::uint32_t owner, std::uint32_t now_tick,
                                      std::span<std::uint32_t> out) noexcept;

  /// Brings in the cache lines of a record that is about to be loaded.
  void prefetch(std::uint32_t index) const noexcept;
  /// The same for records of the caller's that are about to be handled one after the other, with what they
  /// name.
  void prefetch(std::span<const std::uint32_t> indexes) const noexcept;

  /// The same for keys that are about to be looked for.
  void prefetch_keys(std::span<const std::uint64_t> keys) const noexcept;

  [[nodiscard]] std::uint32_t live() const noexcept;
  /// Records that requests of our own may take: a fifth is left to those from outside, of which half to new
  /// calls.  Many calls that end at once wait for each other, not others for them.
  [[nodiscard]] std::uint32_t room() const noexcept;
  /// Whether requests of our own of these lengths find a record and memory each, their Via included.  Another thread
  /// may be faster: then making one says kNoMemory.
  [[nodiscard]] bool has_room(std::span<const std::size_t> requests) const noexcept;
  /// Ticks until a timer of `owner` may be due, at most `ahead`.
  [[nodiscard]] std::uint32_t quiet_ticks(std::uint32_t owner, std::uint32_t now_tick,
                                          std::uint32_t ahead) const noexcept;

  /// What messages are made of: a record's stored bytes.  Empty if there are none, or no such record or
  /// branch.
  [[nodiscard]] std::span<const std::uint8_t> request(std::uint32_t index) const noexcept;
  [[nodiscard]] std::span<const std::uint8_t> reply(std::uint32_t index) const noexcept;
  [[nodiscard]] std::span<const std::uint8_t> branch_reply(std::uint32_t index,
                                                           std::uint32_t branch) const noexcept;
  /// The edits of a branch and their text; false if there are none.
  [[nodiscard]] bool branch_edits(std::uint32_t index, std::uint32_t branch, std::span<const Edit>* edits,
                                  std::span<const std::uint8_t>* text) const noexcept;

 private:
  friend struct TransactionWalk;
  friend struct TransactionCheck;
  friend void check_transactions(Rebuild&) noexcept;
  friend void mark_transactions(Rebuild&) noexcept;
  friend void link_transactions(Rebuild&) noexcept;
  friend void verify_transactions(Rebuild&) noexcept;
  [[nodiscard]] bool is_live(std::uint32_t index) const noexcept;
  [[nodiscard]] std::uint32_t* record(std::uint32_t index) const noexcept;
  [[nodiscard]] const std::uint32_t* branch_words(std::uint32_t index, std::uint32_t branch) const noexcept;
  [[nodiscard]] std::uint32_t* extras(const std::uint32_t* record, std::uint32_t half) const noexcept;
  [[nodiscard]] Bucket& bucket(std::uint64_t key) const noexcept;
  [[nodiscard]] Wheel wheel(std::uint32_t owner) const noexcept;
  [[nodiscard]] Status keep(std::span<const std::uint8_t> bytes, Need need, Block* out) noexcept;
  void release(Block block) noexcept;
  void copy_out(std::uint32_t index, Registers out) const noexcept;
  void commit(std::uint32_t index, const std::uint32_t* words) noexcept;
  /// Takes request and edits out of the words, into `out`; how many blocks there were.
  [[nodiscard]] static std::uint32_t take_out(Registers words,
                                              std::span<Block, 1 + kBranchesMax> out) noexcept;
  [[nodiscard]] std::uint32_t due_of(std::uint32_t index) const noexcept;
  void arm(std::uint32_t index) noexcept;
  void arm_or_end(std::uint32_t index) noexcept;
  void insert_key(std::uint32_t index) noexcept;
  void remove_key(std::uint32_t index) noexcept;
  [[nodiscard]] bool matches(Registers registers) const noexcept;

  Segment* segment_ = nullptr;
  Arena* arena_ = nullptr;
  Undo undo_;
  Graveyard* graveyard_ = nullptr;
  TransactionRecord* records_ = nullptr;  // number 0 is not used, here and below
  TransactionLink* links_ = nullptr;
  WheelNode* nodes_ = nullptr;
  Bucket* buckets_ = nullptr;
  std::uint32_t transactions_max_ = 0, bucket_count_ = 0, owners_ = 0;
};

}  // namespace holdfast
