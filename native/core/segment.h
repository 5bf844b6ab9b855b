// core/segment.h - the shared segment: one mapping that every thread sees and that outlives the process.
//
// create() makes the file, reserves it whole (never sparse: a hole would be a SIGBUS on a packet), locks it
// and lays it out; attach() takes over what a dead process left and rebuilds everything derived; verify()
// recounts it all.  The main thread creates and closes; every other call is open to all threads.  Nothing
// here knows Node.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "arena.h"
#include "hash.h"
#include "layout.h"
#include "mailbox.h"
#include "pool.h"
#include "status.h"
#include "undo.h"
#include "wheel.h"

namespace holdfast {

struct ProfileOption {
  std::string_view name;  // A-Z a-z 0-9 _, at most kNameBytesMax
  bool with_value = false;
};

struct SegmentOptions {
  std::string path;
  std::uint64_t bytes = 0;         // 0: kSegmentBytesDefault, or half of the room if that is less
  std::uint32_t hash_size = 4096;  // a power of two
  std::uint32_t workers = 1;
  /// The slots' counters: not given: random in [0, 3 * hash_size), times the step; given: this, and with a
  /// step over 1 plus a random multiple of it.
  bool h_id_start_given = false;
  std::uint32_t h_id_start = 0;
  std::uint32_t h_id_step = 1;
  std::span<const ProfileOption> profiles;
  std::span<const std::string_view> sockets;  // number 1 is the first
  std::uint64_t mailbox_bytes = kMailboxBytesMin;
  bool timer_worker = true;  // somebody will run the transactions of the last owner number
  /// At attach, keep-alives that became overdue are spread over so many seconds; 0: as the segment was made
  /// with.
  std::uint32_t keep_alive_seconds = 0;
  std::uint64_t random[4] =
      {};  // the index secret and the seed of the slots' counters: from the machine's generator
  std::uint64_t now_boot_ms = 0;  // CLOCK_BOOTTIME
};

inline constexpr std::uint32_t kKeepAliveSecondsDefault = 30;
inline constexpr std::uint64_t kSegmentBytesDefault = 256ull << 20;
/// What a typical confirmed call with one profile takes of the arena, and a live transaction with what it
/// keeps.
inline constexpr std::uint64_t kTypicalCallBytes = 512;
inline constexpr std::uint64_t kTypicalTransactionBytes = 1024;

/// Why a segment could not be had; `text` is one line for the operator.
struct SegmentError {
  Status status = Status::kOk;
  int system_errno = 0;
  std::uint64_t bytes_needed = 0, bytes_available = 0;
  std::string text;
};

/// What verify() found; all zero is sound.
struct Verification {
  std::uint32_t records = 0;   // records in use; not a fault
  std::uint32_t blocks = 0;    // blocks that records name more than once, or that do not exist
  std::uint32_t arena = 0;     // blocks lost, or in use and free at once
  std::uint32_t index = 0;     // records missing from an index chain, or wrong ones on it
  std::uint32_t pools = 0;     // records neither in use nor free, or both
  std::uint32_t profiles = 0;  // member lists or counts that disagree with the members
  std::uint32_t counts = 0;    // active_dialogs, early_dialogs
  std::uint32_t wheels = 0;    // nodes armed without a deadline, or the other way round
  [[nodiscard]] bool sound() const noexcept {
    return (blocks | arena | index | pools | profiles | counts | wheels) == 0;
  }
};

class Segment {
 public:
  /// The file at options.path.  One left by a dead process goes to `<path>.stale` (or goes, where there is no
  /// room for both; warning() says which); one in use by a living process, or that is not ours, is kRefused.
  [[nodiscard]] static std::unique_ptr<Segment> create(const SegmentOptions& options,
                                                       SegmentError& error) noexcept;
  /// Takes over the file that a dead process left; layout, hash_size and boot id must be ours.  Profiles and
  /// sockets that it does not know yet are added; the number of workers may differ.
  [[nodiscard]] static std::unique_ptr<Segment> attach(const SegmentOptions& options,
                                                       SegmentError& error) noexcept;
  /// The same over memory of the caller's (a shared mapping in tests), page-aligned and zero.
  [[nodiscard]] static std::unique_ptr<Segment> create_over(void* memory, std::size_t bytes,
                                                            const SegmentOptions& options,
                                                            SegmentError& error) noexcept;
  [[nodiscard]] static std::unique_ptr<Segment> attach_over(void* memory, std::size_t bytes,
                                                            const SegmentOptions& options,
                                                            SegmentError& error) noexcept;
  /// The least that `options` fit into.
  [[nodiscard]] static std::uint64_t bytes_min(const SegmentOptions& options) noexcept;

  ~Segment();
  Segment(const Segment&) = delete;
  Segment& operator=(const Segment&) = delete;
  /// A clean stop: the file is deleted (it stays mapped until the last user lets go).
  void remove_file() noexcept;

  /// What create() did with a file that a dead process left, one line for the operator; empty: there was
  /// none.
  [[nodiscard]] const std::string& warning() const noexcept { return warning_; }

  [[nodiscard]] SegmentHeader& header() const noexcept { return *header_; }
  [[nodiscard]] std::uint8_t* base() const noexcept { return base_; }
  [[nodiscard]] Arena& arena() noexcept { return arena_; }
  [[nodiscard]] const KeyedHash& keyed_hash() const noexcept { return keyed_hash_; }
  [[nodiscard]] Undo undo(std::uint32_t thread) const noexcept {
    return Undo(region<UndoSlot>(kRegionUndo) + thread, base_);
  }
  template <typename T>
  [[nodiscard]] T* region(RegionNumber number) const noexcept {
    return reinterpret_cast<T*>(base_ + header_->regions[number].offset);
  }

  [[nodiscard]] std::uint32_t workers() const noexcept { return workers_; }
  [[nodiscard]] std::uint32_t owners() const noexcept {
    return workers_ + 1;
  }  // the timer worker is the last
  /// Some transactions have another owner than their branches name, since this attach or an earlier one.
  [[nodiscard]] bool has_moved_transactions() const noexcept { return has_moved_transactions_; }
  /// Before the first of them gets its other owner: the next attach finds nothing moved, and must know.
  void note_moved_transactions() noexcept {
    has_moved_transactions_ = true;
    std::atomic_ref(header_->moved_transactions).store(1, std::memory_order_release);
  }
  /// The shard that owns a hash entry.
  [[nodiscard]] std::uint32_t owner_of(std::uint32_t entry) const noexcept {
    return static_cast<std::uint32_t>(std::uint64_t{entry} * workers_ / header_->hash_size);
  }
  [[nodiscard]] std::uint32_t entry_of(std::span<const std::uint8_t> call_id) const noexcept {
    return core_hash(trimmed(call_id)) & (header_->hash_size - 1);
  }
  [[nodiscard]] Spinlock& entry_lock(std::uint32_t entry) const noexcept {
    return region<HashEntry>(kRegionEntries)[entry].lock;
  }

  [[nodiscard]] Pool& dialogs() noexcept { return dialogs_; }
  [[nodiscard]] Pool& transactions() noexcept { return transactions_; }
  [[nodiscard]] const Pool& dialogs() const noexcept { return dialogs_; }
  [[nodiscard]] const Pool& transactions() const noexcept { return transactions_; }
  [[nodiscard]] DialogRecord& dialog(std::uint32_t index) const noexcept {
    return region<DialogRecord>(kRegionDialogs)[index];
  }
  /// One wheel per owner of an entry; a tick is a second of CLOCK_BOOTTIME.
  [[nodiscard]] Wheel dialog_wheel(std::uint32_t owner) const noexcept {
    return Wheel(region<WheelHead>(kRegionDialogWheels) + owner, region<WheelNode>(kRegionDialogNodes),
                 header_->dialogs_max);
  }
  /// The keep-alives of one owner's dialogs: a node is the block of a DialogExtra, what advance() hands out
  /// is a record's number.  A tick is a second of CLOCK_BOOTTIME.
  [[nodiscard]] Wheel keep_alive_wheel(std::uint32_t owner) const noexcept {
    // Block 1 begins the arena: node 0, which is not used, would lie before it.
    std::uint8_t* node0 = base_ + header_->regions[kRegionArena].offset - kBlockUnitBytes;
    return Wheel::of_blocks(region<WheelHead>(kRegionKeepAliveWheels) + owner, node0, kBlockUnitBytes,
                            static_cast<std::uint32_t>(arena_.total_bytes() / kBlockUnitBytes));
  }
  /// One wheel per owner; a tick is 10 ms since made_boot_ms.
  [[nodiscard]] Wheel transaction_wheel(std::uint32_t owner) const noexcept {
    return Wheel(region<WheelHead>(kRegionTransactionWheels) + owner,
                 region<WheelNode>(kRegionTransactionNodes), header_->transactions_max);
  }
  [[nodiscard]] Mailboxes mailboxes() const noexcept {
    return Mailboxes(base_ + header_->regions[kRegionMailboxes].offset, owners(), header_->mailbox_bytes);
  }

  /// Name of socket `number` (from 1); empty: unknown.
  [[nodiscard]] std::string_view socket_name(std::uint32_t number) const noexcept;

  [[nodiscard]] std::uint64_t total_bytes() const noexcept { return header_->total_bytes; }
  /// Records, wheel nodes and index buckets of records in use, and blocks with their waste.
  [[nodiscard]] std::uint64_t used_bytes() const noexcept;
  /// For how many typical calls the segment is enough, with transactions for a quarter of their pool beside
  /// them.
  [[nodiscard]] std::uint32_t calls_enough() const noexcept;

  /// Recounts everything; nobody else may work meanwhile.
  [[nodiscard]] Verification verify() noexcept;

 private:
  Segment() noexcept = default;
  [[nodiscard]] static std::unique_ptr<Segment> over(void* memory, std::size_t bytes,
                                                     std::uint32_t workers) noexcept;
  void lay_out(const SegmentOptions& options) noexcept;
  [[nodiscard]] bool name(const SegmentOptions& options, SegmentError& error) noexcept;
  void take_views() noexcept;
  void reset_derived(std::uint64_t now_boot_ms) noexcept;
  [[nodiscard]] bool rebuild(bool timer_worker, SegmentError& error) noexcept;

  std::uint8_t* base_ = nullptr;
  std::size_t bytes_ = 0;
  SegmentHeader* header_ = nullptr;
  bool has_moved_transactions_ = false;
  std::uint32_t workers_ = 0;
  KeyedHash keyed_hash_{0, 0};
  Arena arena_;
  Pool dialogs_, transactions_;
  std::string path_, warning_;
  int fd_ = -1;  // holds the lock on the file; -1: memory of the caller's
};

}  // namespace holdfast
