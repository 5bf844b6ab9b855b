#include "segment.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <new>
#include <utility>

#include "counters.h"
#include "kill_point.h"
#include "rebuild.h"

namespace holdfast {

namespace {

constexpr std::uint32_t kDialogsMin = 64, kTransactionsMin = 64, kChunksMin = 16;
constexpr std::uint64_t kBytesPerDialog = 1024,
                        kBytesPerTransaction = 1024;  // of the whole, when the pools are sized
constexpr std::uint32_t kPoolMax = 1u << 30;
/// A block's number has 32 bits: 128 GiB of arena, less one chunk.
constexpr std::uint64_t kChunksMax = 0xffff'ffffull / (kChunkBytes / kBlockUnitBytes);
/// What one owner's mailbox may take in a file that we read.
constexpr std::uint64_t kMailboxBytesMax = 1ull << 32;
/// What to do about a file whose calls cannot be taken over.
constexpr char kBeginFresh[] = "begin without its calls (--segment-fresh; in a program: `fresh: true`)";

std::uint64_t up_to(std::uint64_t value, std::uint64_t step) noexcept {
  return (value + step - 1) / step * step;
}

/// Where everything lies in a segment of a given size.
struct Plan {
  std::uint32_t dialogs_max = 0, transactions_max = 0, profile_buckets = 0, chunks = 0;
  Region regions[kRegionEnd] = {};
  std::uint64_t total = 0;

  void place(std::uint32_t hash_size) noexcept {
    const std::uint64_t dialogs = dialogs_max + 1ull, transactions = transactions_max + 1ull;
    at_ = kPageBytes;
    put(kRegionProfiles, kProfilesMax * sizeof(ProfileName));
    put(kRegionSockets, kSocketsMax * sizeof(SocketName));
    put(kRegionCounters, kThreadsMax * sizeof(CounterBlock) + kCountersMax * sizeof(std::uint64_t));
    put(kRegionUndo, kThreadsMax * sizeof(UndoSlot));
    put(kRegionEntries, hash_size * sizeof(HashEntry));
    put(kRegionDialogs, dialogs * sizeof(DialogRecord));
    put(kRegionDialogNodes, dialogs * sizeof(WheelNode));
    put(kRegionCallIdBuckets, dialogs_max * sizeof(Bucket));
    put(kRegionIdBuckets, dialogs_max * sizeof(Bucket));
    put(kRegionProfileBuckets, profile_buckets * sizeof(Bucket));
    put(kRegionTransactions, transactions * sizeof(TransactionRecord));
    put(kRegionTransactionLinks, transactions * sizeof(TransactionLink));
    put(kRegionTransactionNodes, transactions * sizeof(WheelNode));
    put(kRegionTransactionBuckets, transactions_max * sizeof(Bucket));
    put(kRegionArenaClasses, kArenaClassesMax * sizeof(ArenaClass));
    put(kRegionChunks, chunks * sizeof(ArenaChunk));
    at_ = up_to(at_, kPageBytes);
    put(kRegionArena, std::uint64_t{chunks} * kChunkBytes);
  }

  /// The regions that depend on the number of owners.
  void place_end(std::uint32_t owners, std::uint64_t mailbox_bytes) noexcept {
    at_ = regions[kRegionArena].offset + regions[kRegionArena].bytes;
    put(kRegionDialogWheels, owners * sizeof(WheelHead));
    put(kRegionKeepAliveWheels, owners * sizeof(WheelHead));
    put(kRegionTransactionWheels, owners * sizeof(WheelHead));
    put(kRegionMailboxes, Mailboxes::region_bytes(owners, mailbox_bytes));
    total = up_to(at_, kPageBytes);
  }

  static Plan of(const SegmentOptions& options, std::uint32_t dialogs, std::uint32_t transactions,
                 std::uint32_t chunks) noexcept {
    Plan plan;
    plan.dialogs_max = dialogs;
    plan.transactions_max = transactions;
    plan.profile_buckets = dialogs / 2 + 1;
    plan.chunks = chunks;
    plan.place(options.hash_size);
    plan.place_end(options.workers + 1, options.mailbox_bytes);
    return plan;
  }

  static Plan smallest(const SegmentOptions& options) noexcept {
    return of(options, kDialogsMin, kTransactionsMin, kChunksMin);
  }

  /// Pools in proportion to what the fixed parts leave, the rest to the arena.
  static Plan for_bytes(const SegmentOptions& options, std::uint64_t bytes) noexcept {
    const std::uint64_t fixed = of(options, 0, 0, 0).total;
    const std::uint64_t rest = bytes > fixed ? bytes - fixed : 0;
    const auto share = [rest](std::uint64_t each, std::uint32_t min) {
      return static_cast<std::uint32_t>(std::clamp<std::uint64_t>(rest / each, min, kPoolMax));
    };
    Plan plan =
        of(options, share(kBytesPerDialog, kDialogsMin), share(kBytesPerTransaction, kTransactionsMin), 0);
    const std::uint64_t left = bytes > plan.total ? bytes - plan.total : 0;
    std::uint32_t chunks =
        static_cast<std::uint32_t>(std::min(left / (kChunkBytes + sizeof(ArenaChunk)), kChunksMax + 1));
    for (;; --chunks) {  // rounding to pages may cost a chunk
      plan = of(options, plan.dialogs_max, plan.transactions_max, chunks);
      if (plan.total <= bytes || chunks == 0) return plan;
    }
  }

 private:
  void put(RegionNumber number, std::uint64_t bytes) noexcept {
    at_ = up_to(at_, kCacheLineBytes);
    regions[number] = {at_, bytes};
    at_ += bytes;
  }
  std::uint64_t at_ = 0;
};

void fail(SegmentError& error, Status status, std::string text, int system_errno = 0) noexcept {
  error.status = status;
  error.system_errno = system_errno;
  error.text = std::move(text);
}

void fail_room(SegmentError& error, const std::string& what, std::uint64_t needed,
               std::uint64_t available) noexcept {
  error.bytes_needed = needed;
  error.bytes_available = available;
  fail(error, Status::kNoMemory,
       what + ": " + std::to_string(needed) + " bytes needed, " + std::to_string(available) + " available");
}

bool check(const SegmentOptions& options, SegmentError& error) noexcept {
  if (!std::has_single_bit(options.hash_size) || options.hash_size > kHashSizeMax)
    return fail(error, Status::kOutOfRange, "hash_size is not a power of two up to 16777216"), false;
  if (options.workers < 1 || options.workers > kWorkersMax)
    return fail(error, Status::kOutOfRange, "workers: 1 to " + std::to_string(kWorkersMax) + " allowed"),
           false;
  if (options.h_id_step < 1) return fail(error, Status::kOutOfRange, "h_id_step is 0"), false;
  return true;
}

/// What the arena cannot number is refused, not left unused.
bool check_arena(const SegmentOptions& options, std::uint64_t bytes, SegmentError& error) noexcept {
  if (Plan::for_bytes(options, bytes).chunks <= kChunksMax) return true;
  error.bytes_available = bytes;
  fail(error, Status::kOutOfRange,
       "segment of " + std::to_string(bytes) +
           " bytes: more than 128 GiB of it would be texts, which cannot be numbered; make it smaller");
  return false;
}

std::string boot_id() noexcept {
  char text[40] = {};
  if (const int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC); fd >= 0) {
    const ssize_t got = read(fd, text, sizeof text - 1);
    close(fd);
    if (got > 0) text[std::strcspn(text, "\n")] = 0;
  }
  return text;
}

bool same_regions(const Region* one, const Region* other, std::uint32_t end) noexcept {
  return std::equal(one, one + end, other, [](const Region& a, const Region& b) {
    return a.offset == b.offset && a.bytes == b.bytes;
  });
}

/// Everything lies where it would be laid out, and nothing counts more than there is.
bool is_plausible(const SegmentHeader& header, std::uint64_t now_boot_ms) noexcept {
  if (header.dialogs_max < kDialogsMin || header.dialogs_max > kPoolMax ||
      header.transactions_max > kPoolMax || header.transactions_max < kTransactionsMin ||
      header.chunks > kChunksMax || header.dialog_buckets != header.dialogs_max ||
      header.transaction_buckets != header.transactions_max ||
      header.profile_buckets != header.dialogs_max / 2 + 1 || header.mailbox_bytes > kMailboxBytesMax ||
      header.profiles > kProfilesMax || header.sockets > kSocketsMax ||
      header.dialog_pool.carved > header.dialogs_max ||
      header.transaction_pool.carved > header.transactions_max || header.made_boot_ms > now_boot_ms)
    return false;
  Plan plan;
  plan.dialogs_max = header.dialogs_max;
  plan.transactions_max = header.transactions_max;
  plan.profile_buckets = header.profile_buckets;
  plan.chunks = header.chunks;
  plan.place(header.hash_size);
  return same_regions(plan.regions, header.regions, kRegionArena + 1);
}

/// A small generator for the slots' counters; its seed comes from outside.
struct SplitMix {
  std::uint64_t state;
  std::uint64_t next() noexcept {
    std::uint64_t z = state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
  }
};

/// A descriptor that is closed at the end of its scope unless released.
class Descriptor {
 public:
  explicit Descriptor(int fd = -1) noexcept : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  void reset(int fd) noexcept {
    if (fd_ >= 0) close(fd_);
    fd_ = fd;
  }
  int release() noexcept { return std::exchange(fd_, -1); }
  [[nodiscard]] int get() const noexcept { return fd_; }

 private:
  int fd_;
};

constexpr int kOpenTriesMax = 8;
constexpr int kReserveTriesMax = 1000;  // each begins where the one before was interrupted

/// Opens and locks the file at `path`; the lock is on the file that has this name now.
bool open_locked(const std::string& path, int flags, Descriptor& file, struct stat& facts,
                 SegmentError& error) noexcept {
  for (int tries = 0; tries < kOpenTriesMax; ++tries) {
    file.reset(open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW | flags, 0600));
    if (file.get() < 0)
      return fail(error, Status::kSystem, "segment " + path + ": " + std::strerror(errno), errno), false;
    if (fstat(file.get(), &facts) != 0 || !S_ISREG(facts.st_mode))
      return fail(error, Status::kRefused, "segment " + path + ": not a regular file"), false;
    if (flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno == EWOULDBLOCK)
        return fail(error, Status::kRefused, "segment " + path + ": in use by a living process", EWOULDBLOCK),
               false;
      return fail(error, Status::kSystem, "segment " + path + ": " + std::strerror(errno), errno), false;
    }
    struct stat named;
    if (stat(path.c_str(), &named) == 0 && named.st_ino == facts.st_ino && named.st_dev == facts.st_dev)
      return true;
  }
  return fail(error, Status::kRefused, "segment " + path + ": changes under our hands"), false;
}

/// `facts` of an existing file: it is ours alone, or could be read and written behind our back.
bool is_private(const struct stat& facts) noexcept {
  return facts.st_uid == geteuid() && (facts.st_mode & 077) == 0;
}

void fail_not_private(const std::string& path, SegmentError& error) noexcept {
  fail(error, Status::kRefused,
       "segment " + path +
           ": the file belongs to another user or others may open it; move it away or choose another path");
}

/// posix_fallocate that goes on after a signal; an errno.
int reserve(int fd, std::uint64_t bytes) noexcept {
  for (int tries = 0;; ++tries) {
    const int code = posix_fallocate(fd, 0, static_cast<off_t>(bytes));
    if (code != EINTR || tries == kReserveTriesMax) return code;
  }
}

std::uint64_t room(int fd) noexcept {
  struct statvfs facts;
  if (fstatvfs(fd, &facts) != 0) return 0;
  return std::uint64_t{facts.f_bavail} * facts.f_frsize;
}

std::uint64_t wanted(const SegmentOptions& options, std::uint64_t available) noexcept {
  if (options.bytes != 0) return options.bytes / kPageBytes * kPageBytes;
  return std::min(kSegmentBytesDefault, available / 2) / kPageBytes * kPageBytes;
}

/// Bytes that a new segment takes of `available`; 0, and why: it does not fit.
std::uint64_t bytes_that_fit(const SegmentOptions& options, std::uint64_t available,
                             SegmentError& error) noexcept {
  const std::uint64_t bytes = wanted(options, available);
  const std::uint64_t needed = std::max(bytes, Segment::bytes_min(options));
  // A size that was asked for must be enough; the default must at least fit into half of the room.
  if (options.bytes == 0 ? bytes >= needed : (available >= bytes && bytes >= needed))
    return check_arena(options, bytes, error) ? bytes : 0;
  fail_room(error, "segment " + options.path, needed,
            options.bytes == 0 ? bytes : std::min(available, bytes));
  return 0;
}

std::uint64_t bytes_held(const std::string& path) noexcept {
  struct stat facts;
  return lstat(path.c_str(), &facts) == 0 ? static_cast<std::uint64_t>(facts.st_blocks) * 512 : 0;
}

/// Takes what a dead process left out of the way; `file` is then a new, empty, locked file of that name.
/// Nothing is touched unless the new segment will fit.
bool move_aside(const SegmentOptions& options, Descriptor& file, SegmentError& error,
                std::string& warning) noexcept {
  const std::string stale = options.path + ".stale";
  const std::uint64_t with_stale = room(file.get()) + bytes_held(stale);  // the older one goes in any case
  if (bytes_that_fit(options, with_stale + bytes_held(options.path), error) == 0) return false;
  const std::uint64_t needed = options.bytes != 0 ? wanted(options, 0) : kSegmentBytesDefault;
  SegmentError no_room;
  const bool keep = with_stale >= needed && bytes_that_fit(options, with_stale, no_room) != 0;
  unlink(stale.c_str());
  if ((keep ? rename(options.path.c_str(), stale.c_str()) : unlink(options.path.c_str())) != 0)
    return fail(error, Status::kSystem, "segment " + options.path + ": " + std::strerror(errno), errno),
           false;
  warning = keep ? "segment left by a dead process moved to " + stale
                 : "segment left by a dead process removed: no room for both at " + options.path;
  Descriptor fresh;
  struct stat facts;
  if (!open_locked(options.path, O_CREAT | O_EXCL, fresh, facts, error)) return false;
  file.reset(fresh.release());
  return true;
}

}  // namespace

std::uint64_t Segment::bytes_min(const SegmentOptions& options) noexcept {
  return Plan::smallest(options).total;
}

std::unique_ptr<Segment> Segment::over(void* memory, std::size_t bytes, std::uint32_t workers) noexcept {
  std::unique_ptr<Segment> segment(new (std::nothrow) Segment());
  if (segment == nullptr) return nullptr;
  segment->base_ = static_cast<std::uint8_t*>(memory);
  segment->bytes_ = bytes;
  segment->header_ = reinterpret_cast<SegmentHeader*>(memory);
  segment->workers_ = workers;
  return segment;
}

void Segment::take_views() noexcept {
  keyed_hash_ = KeyedHash(header_->secret[0], header_->secret[1]);
  arena_ = Arena(region<ArenaClass>(kRegionArenaClasses), region<ArenaChunk>(kRegionChunks),
                 &header_->chunk_pool, base_ + header_->regions[kRegionArena].offset, header_->chunks);
  dialogs_ = Pool(&header_->dialog_pool, &region<DialogRecord>(kRegionDialogs)->next_by_call_id,
                  sizeof(DialogRecord) / sizeof(std::uint32_t));
  transactions_ = Pool(&header_->transaction_pool, &region<TransactionLink>(kRegionTransactionLinks)->next,
                       sizeof(TransactionLink) / sizeof(std::uint32_t));
}

/// A new segment in zero memory; everything but the magic.
void Segment::lay_out(const SegmentOptions& options) noexcept {
  const Plan plan = Plan::for_bytes(options, bytes_);
  SegmentHeader& header = *new (header_) SegmentHeader{};
  header.layout_version = kLayoutVersion;
  header.hash_size = options.hash_size;
  header.total_bytes = bytes_;
  header.made_boot_ms = options.now_boot_ms;
  header.secret[0] = options.random[0];
  header.secret[1] = options.random[1];
  std::snprintf(header.boot_id, sizeof header.boot_id, "%s", boot_id().c_str());
  header.h_id_step = options.h_id_step;
  header.h_id_start = options.h_id_start;
  header.h_id_start_given = options.h_id_start_given ? 1 : 0;
  header.dialogs_max = header.dialog_buckets = plan.dialogs_max;
  header.transactions_max = header.transaction_buckets = plan.transactions_max;
  header.profile_buckets = plan.profile_buckets;
  header.chunks = plan.chunks;
  header.owners = options.workers + 1;
  header.mailbox_bytes = options.mailbox_bytes;
  header.keep_alive_seconds =
      options.keep_alive_seconds != 0 ? options.keep_alive_seconds : kKeepAliveSecondsDefault;
  std::copy(std::begin(plan.regions), std::end(plan.regions), header.regions);
  take_views();

  SplitMix random{options.random[2]};
  auto* entries = region<HashEntry>(kRegionEntries);
  for (std::uint32_t n = 0; n < header.hash_size; ++n) {
    const auto drawn = static_cast<std::uint32_t>(random.next() % (3ull * header.hash_size));
    new (&entries[n]) HashEntry{};
    entries[n].last_id = !options.h_id_start_given ? drawn * options.h_id_step
                         : options.h_id_step == 1  ? options.h_id_start
                                                   : options.h_id_start + drawn * options.h_id_step;
  }
  dialogs_.reset(header.dialogs_max);
  transactions_.reset(header.transactions_max);
  arena_.reset();
  reset_derived(options.now_boot_ms);
}

/// Empties locks, chains, wheels, mailboxes and counters; what is in use stands in the pools and the arena.
void Segment::reset_derived(std::uint64_t now_boot_ms) noexcept {
  const auto zero = [this](RegionNumber number) {
    std::memset(base_ + header_->regions[number].offset, 0, header_->regions[number].bytes);
  };
  for (RegionNumber number :
       {kRegionCounters, kRegionDialogNodes, kRegionCallIdBuckets, kRegionIdBuckets, kRegionProfileBuckets,
        kRegionTransactionLinks, kRegionTransactionNodes, kRegionTransactionBuckets, kRegionDialogWheels,
        kRegionKeepAliveWheels, kRegionTransactionWheels, kRegionMailboxes})
    zero(number);
  for (std::uint32_t n = 0; n < header_->hash_size; ++n) new (&entry_lock(n)) Spinlock();
  for (std::uint32_t n = 0; n < kProfilesMax; ++n) region<ProfileName>(kRegionProfiles)[n].members = 0;
  const auto tick = static_cast<std::uint32_t>((now_boot_ms - header_->made_boot_ms) / kTickMilliseconds);
  for (std::uint32_t owner = 0; owner < header_->owners; ++owner) {
    dialog_wheel(owner).reset(static_cast<std::uint32_t>(now_boot_ms / 1000));
    keep_alive_wheel(owner).reset(static_cast<std::uint32_t>(now_boot_ms / 1000));
    transaction_wheel(owner).reset(tick);
  }
  mailboxes().reset();
}

/// Enters the names of the options that are not there yet.
bool Segment::name(const SegmentOptions& options, SegmentError& error) noexcept {
  auto* profiles = region<ProfileName>(kRegionProfiles);
  for (const ProfileOption& option : options.profiles) {
    std::uint32_t n = 0;
    while (n < header_->profiles && option.name != profiles[n].name) ++n;
    if (n < header_->profiles && (profiles[n].with_value != 0) == option.with_value) continue;
    const std::string name(option.name);
    if (n < header_->profiles)
      return fail(error, Status::kRefused,
                  "profile " + name +
                      ": was defined the other way (with or without value): configure that, or " +
                      kBeginFresh),
             false;
    if (n == kProfilesMax || option.name.empty() || option.name.size() > kNameBytesMax)
      return fail(error, Status::kOutOfRange, "profile " + name + ": at most 256, of 1 to 63 characters"),
             false;
    std::memcpy(profiles[n].name, name.c_str(), name.size() + 1);
    profiles[n].with_value = option.with_value ? 1 : 0;
    header_->profiles = n + 1;
  }
  auto* sockets = region<SocketName>(kRegionSockets);
  // Numbers are given by order, so that a dialog's socket means the same; at attach others are appended.
  for (const std::string_view socket : options.sockets) {
    std::uint32_t n = 0;
    while (n < header_->sockets && socket != sockets[n].name) ++n;
    if (n < header_->sockets) continue;
    const std::string name(socket);
    if (n == kSocketsMax || name.empty() || name.size() > kNameBytesMax)
      return fail(error, Status::kOutOfRange, "socket " + name + ": at most 256, of 1 to 63 characters"),
             false;
    std::memcpy(sockets[n].name, name.c_str(), name.size() + 1);
    header_->sockets = n + 1;
  }
  return true;
}

std::unique_ptr<Segment> Segment::create_over(void* memory, std::size_t bytes, const SegmentOptions& options,
                                              SegmentError& error) noexcept {
  if (!check(options, error)) return nullptr;
  if (const std::uint64_t min = bytes_min(options); bytes < min) {
    fail_room(error, "segment too small for hash_size, workers and mailboxes", min, bytes);
    return nullptr;
  }
  if (!check_arena(options, bytes, error)) return nullptr;
  auto segment = over(memory, bytes, options.workers);
  if (segment == nullptr) return fail(error, Status::kNoMemory, "no memory"), nullptr;
  segment->lay_out(options);
  if (!segment->name(options, error)) return nullptr;
  std::atomic_signal_fence(std::memory_order_seq_cst);
  segment->header_->magic = kMagic;
  return segment;
}

std::unique_ptr<Segment> Segment::create(const SegmentOptions& options, SegmentError& error) noexcept {
  if (!check(options, error)) return nullptr;
  Descriptor file;
  struct stat facts;
  std::string warning;
  if (!open_locked(options.path, O_CREAT, file, facts, error)) return nullptr;
  if (!is_private(facts)) return fail_not_private(options.path, error), nullptr;
  if (facts.st_size > 0) {
    std::uint64_t magic = 0;
    if (pread(file.get(), &magic, sizeof magic, 0) != sizeof magic || (magic != kMagic && magic != 0))
      return fail(error, Status::kRefused,
                  "segment " + options.path +
                      ": not a segment of ours; move the file away or choose another path"),
             nullptr;
    if (!move_aside(options, file, error, warning)) return nullptr;
  }
  const auto give_up = [&options]() -> std::unique_ptr<Segment> {
    return unlink(options.path.c_str()), nullptr;
  };
  const std::uint64_t bytes = bytes_that_fit(options, room(file.get()), error);
  if (bytes == 0) return give_up();
  if (const int code = reserve(file.get(), bytes); code != 0) {
    if (code == ENOSPC)
      fail_room(error, "segment " + options.path, bytes, room(file.get()));
    else
      fail(error, Status::kSystem, "segment " + options.path + ": " + std::strerror(code), code);
    return give_up();
  }
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, file.get(), 0);
  if (memory == MAP_FAILED) {
    fail(error, Status::kSystem, "segment " + options.path + ": " + std::strerror(errno), errno);
    return give_up();
  }
  auto segment = create_over(memory, bytes, options, error);
  if (segment == nullptr) {
    munmap(memory, bytes);
    return give_up();
  }
  segment->path_ = options.path;
  segment->warning_ = std::move(warning);
  segment->fd_ = file.release();
  return segment;
}

std::unique_ptr<Segment> Segment::attach_over(void* memory, std::size_t bytes, const SegmentOptions& options,
                                              SegmentError& error) noexcept {
  if (!check(options, error)) return nullptr;
  auto segment = over(memory, bytes, options.workers);
  if (segment == nullptr) return fail(error, Status::kNoMemory, "no memory"), nullptr;
  SegmentHeader& header = *segment->header_;
  const auto refuse = [&error](const std::string& text) {
    return fail(error, Status::kRefused, text), nullptr;
  };
  // The magic comes last: whoever makes a segment and dies before it leaves zeros there.
  if (bytes >= kPageBytes && header.magic == 0)
    return fail(error, Status::kNotFound, "was never finished"), nullptr;
  if (bytes < kPageBytes || header.magic != kMagic) return refuse("not a segment of ours");
  if (header.layout_version != kLayoutVersion)
    return refuse("layout version " + std::to_string(header.layout_version) + ", this program has " +
                  std::to_string(kLayoutVersion) + ": start the program that made it, or " + kBeginFresh);
  if (header.hash_size != options.hash_size)
    return refuse("hash_size is " + std::to_string(header.hash_size) +
                  " in the segment: configure that, or " + kBeginFresh);
  if (header.h_id_step != options.h_id_step)
    return refuse("h_id_step is " + std::to_string(header.h_id_step) +
                  " in the segment: configure that, or " + kBeginFresh);
  if (boot_id() != header.boot_id)
    return fail(error, Status::kNotFound, "written before the machine was started anew"), nullptr;

  if (header.total_bytes > bytes)
    return refuse("is cut: " + std::to_string(bytes) + " of " + std::to_string(header.total_bytes) +
                  " bytes are there: " + kBeginFresh);
  if (!is_plausible(header, options.now_boot_ms))
    return refuse(std::string("its header is damaged: ") + kBeginFresh);
  Plan plan;
  std::copy(std::begin(header.regions), std::end(header.regions), plan.regions);
  plan.place_end(options.workers + 1, header.mailbox_bytes);
  if (plan.total > bytes) {
    fail_room(error, "segment too small for this number of workers", plan.total, bytes);
    return nullptr;
  }
  std::copy(std::begin(plan.regions), std::end(plan.regions), header.regions);
  HOLDFAST_KILL_POINT();
  header.owners = options.workers + 1;
  if (options.keep_alive_seconds != 0) header.keep_alive_seconds = options.keep_alive_seconds;
  segment->take_views();
  for (std::uint32_t n = 0; n < kProfilesMax; ++n)  // they are read to their end
    segment->region<ProfileName>(kRegionProfiles)[n].name[kNameBytesMax] = 0;
  for (std::uint32_t n = 0; n < kSocketsMax; ++n)
    segment->region<SocketName>(kRegionSockets)[n].name[kNameBytesMax] = 0;
  const std::uint64_t begin = header.regions[kRegionDialogs].offset;
  const std::uint64_t end = header.regions[kRegionArena].offset + header.regions[kRegionArena].bytes;
  for (std::uint32_t thread = 0; thread < kThreadsMax; ++thread)
    if (!segment->undo(thread).is_whole(begin, end))
      return refuse(std::string("a change under way is damaged: ") + kBeginFresh);
  for (std::uint32_t thread = 0; thread < kThreadsMax; ++thread) segment->undo(thread).restore(bytes);
  segment->reset_derived(std::max(options.now_boot_ms, header.made_boot_ms));
  if (!segment->name(options, error) || !segment->rebuild(options.timer_worker, error)) return nullptr;
  return segment;
}

std::unique_ptr<Segment> Segment::attach(const SegmentOptions& options, SegmentError& error) noexcept {
  Descriptor file;
  struct stat facts;
  if (!check(options, error) || !open_locked(options.path, 0, file, facts, error)) return nullptr;
  if (!is_private(facts)) return fail_not_private(options.path, error), nullptr;
  SegmentHeader header{};
  if (facts.st_size == 0)
    return fail(error, Status::kNotFound, "segment " + options.path + ": was never finished"), nullptr;
  if (facts.st_size < static_cast<off_t>(kPageBytes) ||
      pread(file.get(), &header, sizeof header, 0) != sizeof header)
    return fail(error, Status::kRefused, "segment " + options.path + ": not a segment of ours"), nullptr;
  auto bytes = static_cast<std::uint64_t>(facts.st_size);
  const bool is_cut = header.total_bytes > bytes;  // attach_over() says so
  if (header.magic == kMagic && header.layout_version == kLayoutVersion && !is_cut &&
      is_plausible(header, options.now_boot_ms)) {
    Plan plan;  // more workers than before need more room at the end
    std::copy(std::begin(header.regions), std::end(header.regions), plan.regions);
    plan.place_end(options.workers + 1, header.mailbox_bytes);
    if (plan.total > bytes) {
      if (reserve(file.get(), plan.total) != 0)
        return fail_room(error, "segment " + options.path, plan.total - bytes, room(file.get())), nullptr;
      bytes = plan.total;
    }
  }
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, file.get(), 0);
  if (memory == MAP_FAILED)
    return fail(error, Status::kSystem, "segment " + options.path + ": " + std::strerror(errno), errno),
           nullptr;
  auto segment = attach_over(memory, bytes, options, error);
  if (segment == nullptr) {
    error.text = "segment " + options.path + ": " + error.text;
    munmap(memory, bytes);
    return nullptr;
  }
  segment->header_->total_bytes = bytes;
  segment->path_ = options.path;
  segment->fd_ = file.release();
  return segment;
}

Segment::~Segment() {
  if (fd_ < 0) return;
  munmap(base_, bytes_);
  close(fd_);
}

void Segment::remove_file() noexcept {
  struct stat own, named;
  // Somebody may have moved ours away and put another one there.
  if (fd_ >= 0 && fstat(fd_, &own) == 0 && lstat(path_.c_str(), &named) == 0 && own.st_ino == named.st_ino &&
      own.st_dev == named.st_dev)
    unlink(path_.c_str());
}

bool Segment::rebuild(bool timer_worker, SegmentError& error) noexcept {
  ArenaMarks marks(arena_.total_bytes());
  if (!marks.ready()) return fail(error, Status::kNoMemory, "no memory to attach with"), false;
  Verification found;
  Rebuild work{*this, marks, found, timer_worker};
  const auto refuse_damage = [&] {
    if (found.blocks == 0) return false;
    fail(error, Status::kRefused,
         std::to_string(found.blocks) + " records or blocks are damaged: " + kBeginFresh);
    return true;
  };
  check_dialogs(work);
  check_transactions(work);
  if (refuse_damage()) return false;
  begin_dialogs(work);
  HOLDFAST_KILL_POINT();
  mark_transactions(work);
  HOLDFAST_KILL_POINT();
  mark_dialogs(work);
  HOLDFAST_KILL_POINT();
  if (refuse_damage()) return false;
  link_dialogs(work);
  HOLDFAST_KILL_POINT();
  link_transactions(work);
  HOLDFAST_KILL_POINT();
  arena_.rebuild(marks);
  HOLDFAST_KILL_POINT();
  if (link_members(work) != Status::kOk)
    return fail(error, Status::kNoMemory, "no room for the profiles"), false;
  if (transactions_.used() == 0) header_->moved_transactions = 0;
  has_moved_transactions_ = header_->moved_transactions != 0;
  return true;
}

Verification Segment::verify() noexcept {
  Verification found;
  ArenaMarks marks(arena_.total_bytes());
  if (!marks.ready()) return found.arena = 1, found;
  Rebuild work{*this, marks, found};
  verify_dialogs(work);
  verify_transactions(work);
  verify_members(work);
  found.arena += arena_.verify(marks);
  return found;
}

std::string_view Segment::socket_name(std::uint32_t number) const noexcept {
  if (number == 0 || number > header_->sockets) return {};
  return region<SocketName>(kRegionSockets)[number - 1].name;
}

std::uint64_t Segment::used_bytes() const noexcept {
  constexpr std::uint64_t dialog =
      sizeof(DialogRecord) + sizeof(WheelNode) + 2 * sizeof(Bucket) + sizeof(Bucket) / 2;
  constexpr std::uint64_t transaction =
      sizeof(TransactionRecord) + sizeof(TransactionLink) + sizeof(WheelNode) + sizeof(Bucket);
  return arena_.used_bytes() + dialogs_.used() * dialog + transactions_.used() * transaction;
}

std::uint32_t Segment::calls_enough() const noexcept {
  const std::uint64_t arena = arena_.total_bytes() - arena_.total_bytes() / 10;
  const std::uint64_t beside = header_->transactions_max / 4 * kTypicalTransactionBytes;
  const std::uint64_t by_text = (arena > beside ? arena - beside : 0) / kTypicalCallBytes;
  return static_cast<std::uint32_t>(
      std::min<std::uint64_t>(by_text, header_->dialogs_max - Pool::reserve(header_->dialogs_max)));
}

}  // namespace holdfast
