// core/layout.h - every struct of the shared segment and where it lies.
//
// The file begins with a SegmentHeader, which names every region by offset and bytes.  A change of anything
// here that an old file would contradict raises kLayoutVersion.  Truth (T) is what attach() believes;
// everything else is derived (D) and rebuilt from it.  native/README.md draws the whole.
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "arena.h"
#include "cseq.h"
#include "spinlock.h"
#include "transactions.h"
#include "undo.h"
#include "wheel.h"

namespace holdfast {

inline constexpr std::uint64_t kMagic = 0x5453'4146'444c'4f48;  // "HOLDFAST" as its bytes stand in the file
inline constexpr std::uint32_t kLayoutVersion = 2;
inline constexpr std::size_t kCacheLineBytes = 64;
inline constexpr std::size_t kPageBytes = 4096;

/// Owners are shards and the timer worker; each thread that calls the core has a number of its own: owners
/// first, then the main thread, then the pool.  Two threads never use one number at the same time.
inline constexpr std::uint32_t kWorkersMax = 32;
inline constexpr std::uint32_t kOwnersMax = kWorkersMax + 1;
inline constexpr std::uint32_t kThreadsMax = 64;
inline constexpr std::uint32_t kMainThread = kOwnersMax;
inline constexpr std::uint32_t kPoolThread = kMainThread + 1;  // the first of the pool

inline constexpr std::uint32_t kHashSizeMin = 1, kHashSizeMax = 1u << 24;
inline constexpr std::uint32_t kProfilesMax = 256;
inline constexpr std::uint32_t kSocketsMax = 256;
inline constexpr std::size_t kNameBytesMax = 63;
inline constexpr std::uint32_t kCountersMax = 160;
inline constexpr std::uint32_t kArenaClassesMax = 48;

enum RegionNumber : std::uint32_t {
  kRegionProfiles,            // T  ProfileName[kProfilesMax]
  kRegionSockets,             // T  SocketName[kSocketsMax]
  kRegionCounters,            // D  CounterBlock[kThreadsMax], then kCountersMax base values
  kRegionUndo,                // T  UndoSlot[kThreadsMax]
  kRegionEntries,             // T  HashEntry[hash_size]
  kRegionDialogs,             // T  DialogRecord[dialogs_max + 1]; record 0 is not used
  kRegionDialogNodes,         // D  WheelNode[dialogs_max + 1]
  kRegionCallIdBuckets,       // D  Bucket[dialog_buckets]
  kRegionIdBuckets,           // D  Bucket[dialog_buckets]
  kRegionProfileBuckets,      // D  Bucket[profile_buckets]
  kRegionTransactions,        // T  TransactionRecord[transactions_max + 1]; record 0 is not used
  kRegionTransactionLinks,    // D  TransactionLink[transactions_max + 1]
  kRegionTransactionNodes,    // D  WheelNode[transactions_max + 1]
  kRegionTransactionBuckets,  // D  Bucket[transaction_buckets]
  kRegionArenaClasses,        // D  ArenaClass[kArenaClassesMax]
  kRegionChunks,              // T  (size_class) D (the rest)  ArenaChunk[chunks]
  kRegionArena,               // T  chunks * kChunkBytes
  // The rest depends on the number of workers and is laid out anew at attach.
  kRegionDialogWheels,       // D  WheelHead[owners]
  kRegionKeepAliveWheels,    // D  WheelHead[owners]; their nodes lie in the dialogs' DialogExtra
  kRegionTransactionWheels,  // D  WheelHead[owners]
  kRegionMailboxes,          // D  see mailbox.h
  kRegionEnd
};

struct Region {
  std::uint64_t offset, bytes;
};

/// Records of one kind that are free, and how many are not.
struct alignas(kCacheLineBytes) PoolLine {
  Spinlock lock;
  std::uint32_t free_head;  // linked through a word of each record; 0 is the end
  std::uint32_t carved;     // T  records 1..carved have been in use at some time
  std::uint32_t used;
  std::uint32_t max;
};

struct SegmentHeader {
  std::uint64_t magic;  // written last
  std::uint32_t layout_version;
  std::uint32_t hash_size;
  std::uint64_t total_bytes;
  std::uint64_t made_boot_ms;  // CLOCK_BOOTTIME; tick 0 of the transactions' wheels
  std::uint64_t secret[2];     // of every keyed hash
  char boot_id[40];            // deadlines mean nothing under another one
  std::uint32_t h_id_step, h_id_start, h_id_start_given;
  std::uint32_t dialogs_max, transactions_max, dialog_buckets, transaction_buckets, profile_buckets, chunks;
  std::uint32_t owners;                          // workers + the timer worker, for the regions at the end
  std::uint32_t keep_alive_seconds;              // over which overdue keep-alives are spread at attach
  std::uint64_t mailbox_bytes;                   // as configured, per owner
  std::atomic<std::uint32_t> profiles, sockets;  // names in use; only grows
  Region regions[kRegionEnd];
  PoolLine dialog_pool, transaction_pool, chunk_pool;  // D, but `carved` of the first two
  std::uint32_t moved_transactions;  // 1: some have another owner than their branches name; while any live
};
static_assert(sizeof(SegmentHeader) <= kPageBytes);

/// `members` is derived; the name never changes once it stands.
struct alignas(kCacheLineBytes) ProfileName {
  char name[kNameBytesMax + 1];
  std::uint32_t with_value;
  std::atomic<std::uint32_t> members;
};
static_assert(sizeof(ProfileName) == 128);

struct SocketName {
  char name[kNameBytesMax + 1];
};

struct alignas(kCacheLineBytes) CounterBlock {
  // Modulo 2^64: one thread may count up what another counts down.
  std::atomic<std::uint64_t> values[kCountersMax];
};

struct UndoRange {
  std::uint64_t offset;  // from the beginning of the segment
  std::uint64_t bytes;
};
struct alignas(kCacheLineBytes) UndoSlot {
  std::uint32_t marked;  // 1: a change is under way, the ranges are to be put back
  std::uint32_t ranges;
  std::uint32_t bytes;
  std::uint32_t reserved;
  UndoRange range[kUndoRangesMax];
  std::uint8_t saved[kUndoBytesMax];
};

struct HashEntry {
  Spinlock lock;
  std::uint32_t last_id;  // the h_id given last
};
static_assert(sizeof(HashEntry) == 8);

struct Bucket {
  Spinlock lock;
  std::uint32_t head;
};
static_assert(sizeof(Bucket) == 8);

/// What matching touches, on one cache line.  The words up to kDialogUndoBytes are written under the entry's
/// lock and saved before a change; the chains after them under their bucket's lock, and rebuilt at attach.
struct alignas(kCacheLineBytes) DialogRecord {
  std::uint32_t generation, version;   // a handle is (index, generation)
  std::uint64_t call_id;               // keyed hash of the whole Call-ID, compared before the text
  std::uint32_t entry, id, cookie_id;  // cookie_id: the h_id in our Record-Route
  std::uint8_t state;     // 0 free, 1 unconfirmed ... 5 deleted; the store that makes it live is the last
  std::uint8_t bye_owed;  // bit 0: to the caller, bit 1: to the callee
  std::uint16_t holds;    // what still needs the record; 0: the owner frees it
  std::uint32_t caller_tag, callee_tag;       // keyed hashes; callee_tag 0: not known yet
  std::uint32_t due;                          // CLOCK_BOOTTIME seconds; 0: no timer is armed
  Block cold, callee, members;                // DialogCold, CalleeLeg or 0, first MemberBlock or 0
  std::uint32_t next_by_call_id, next_by_id;  // index chains; the first also links free records
};
inline constexpr std::size_t kDialogUndoBytes = offsetof(DialogRecord, next_by_call_id);
static_assert(sizeof(DialogRecord) == 64 && kDialogUndoBytes == 56 && offsetof(DialogRecord, state) == 28);

/// The texts of a dialog's cold block, in the order in which their bytes follow it.
enum ColdText : std::uint32_t {
  kColdCallId,
  kColdCallerTag,
  kColdCallerContact,
  kColdCallerRouteSet,
  kColdFromUri,
  kColdToUri,
  kColdRequestUri,
  kColdTimeoutRoute,
  kColdCallerSource,
  kColdTextEnd
};
/// What matching does not touch: numbers that are changed in place (saved before), then the texts.
struct DialogCold {
  std::uint32_t flags, script_flags, properties, lifetime;
  std::uint32_t init_ts, start_ts, end_ts;
  std::uint32_t caller_cseq, callee_cseq;
  std::uint16_t caller_socket, callee_socket;
  Block variables;  // VariableBlock or 0
  std::uint8_t record_routes, variable_count;
  std::uint16_t member_count;
  std::uint16_t length[kColdTextEnd];
  std::uint8_t marks;   // DialogMark
  std::uint8_t forked;  // 1: it has siblings, or had some; set before the first of them lives
  Block extra;          // DialogExtra or 0
};
static_assert(sizeof(DialogCold) == 72);

enum LegText : std::uint32_t { kLegTag, kLegContact, kLegRouteSet, kLegSource, kLegTextEnd };
/// The callee's leg, made at the first 2xx; never changed in place.
struct CalleeLeg {
  std::uint16_t length[kLegTextEnd];
};
static_assert(sizeof(CalleeLeg) == 8);

/// What a plain confirmed call does not need: made when the first of it is set, gone when nothing of it is.
/// The words from kExtraTruth on are written under the entry's lock and saved before a change; the node
/// belongs to the lock of its keep-alive wheel, which hands out `record` (see Wheel).
struct DialogExtra {
  WheelNode node;                // D
  std::uint32_t record;          // D  the number of the record that names this block
  std::uint32_t ka_due;          // CLOCK_BOOTTIME seconds of the next keep-alive; 0: none
  std::uint16_t ka_failures[2];  // unanswered in a row: of the caller, of the callee
  std::uint32_t saved_due;       // the deadline before a keep-alive shortened it
  std::uint32_t transaction_index, transaction_generation;  // the INVITE's, while unanswered
  Block early;                                              // first EarlyLeg, newest first
  Block steps;                                              // CSeqSteps or 0
  std::uint32_t early_legs;
  [[nodiscard]] bool empty() const noexcept {
    return (ka_due | ka_failures[0] | ka_failures[1] | saved_due | transaction_index | early | steps) == 0;
  }
};
inline constexpr std::size_t kExtraTruth = offsetof(DialogExtra, ka_due);
static_assert(sizeof(DialogExtra) == 52 && offsetof(DialogExtra, record) == sizeof(WheelNode));

enum EarlyText : std::uint32_t { kEarlyTag, kEarlyContact, kEarlyRouteSet, kEarlyTextEnd };
/// A leg that an 18x with a To tag opened; gone at the first 2xx.  Only the link is changed in place.
struct EarlyLeg {
  Block next;
  std::uint32_t unused;
  std::uint16_t length[3];  // tag, contact, route set; their bytes follow
  std::uint16_t reserved;
};
static_assert(sizeof(EarlyLeg) == 16);

/// All variables of a dialog, newest first: {key bytes, value bytes} as u16 each, then both texts; never
/// changed in place.
struct VariableBlock {
  std::uint16_t count, reserved;
  std::uint32_t bytes;  // of what follows
};

/// One membership: the truth about it is record, profile, value; the lists of its head are derived.
struct MemberBlock {
  std::uint32_t record;  // 0: no dialog owns it yet
  Block next_of_record;  // the dialog's own list, newest first
  std::uint16_t profile, value_bytes;
  std::uint16_t thread, uid_bytes;             // who joined without a dialog, kRemoteThread: another system
  Block head, next_of_head, previous_of_head;  // D
  std::uint32_t expires;                       // Unix seconds, 0: never
  // the value's bytes follow, then those of another system's uid
};
static_assert(sizeof(MemberBlock) == 32);

/// A (profile, value) that has members; its value is that of any of them.
struct ProfileHead {
  std::uint64_t hash;
  Block next;                      // in its bucket
  std::uint16_t profile, remotes;  // items of other systems among its members
  std::uint32_t count;
  Block first;  // newest member
};
static_assert(sizeof(ProfileHead) == 24);

/// A transaction's words at rest: its head and its first branch (transactions.h).
struct alignas(kCacheLineBytes) TransactionRecord {
  std::uint32_t head[kHeadWords];
  std::uint32_t branch[kBranchWords];
};
static_assert(sizeof(TransactionRecord) == 256);

struct TransactionLink {
  Spinlock lock;
  std::uint32_t next;  // in its bucket, or the next free record
};

/// One size class of the arena.
struct alignas(kCacheLineBytes) ArenaClass {
  Spinlock lock;
  std::uint32_t block_bytes, blocks_per_chunk;
  std::uint32_t partial;            // chunk + 1 that has room, 0: none; a doubly linked list
  std::atomic<std::uint32_t> used;  // blocks
};

struct ArenaChunk {
  std::uint16_t size_class;    // T while a record names one of its blocks; class + 1, 0: the chunk is free
  std::uint16_t used, carved;  // blocks in use; blocks handed out at some time
  std::uint16_t reserved;
  std::uint32_t free_block;      // chain through the first word of each free block: number in the chunk + 1
  std::uint32_t next, previous;  // chunk + 1, in the class's list or the list of free chunks
};
static_assert(sizeof(ArenaChunk) == 20);

}  // namespace holdfast
