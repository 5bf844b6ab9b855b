// A file that was damaged is refused, with a remedy, or works: whatever bytes of it change, attach() reads
// nothing that is not there and ends.
//
// A program of its own, since one run is one seed: HOLDFAST_DAMAGE_SEED=N and HOLDFAST_DAMAGE_ROUNDS=N say
// which and how many rounds; a round that crashes or hangs names itself.  HOLDFAST_NIGHTLY=1: many more.
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <span>
#include <vector>

#include "left_behind.h"
#include "segment_memory.h"

using namespace holdfast;

namespace {

constexpr unsigned kRoundSecondsMax = 20;
char where[96];

void name_round(int signal_number) {
  (void)!write(STDERR_FILENO, where, std::strlen(where));
  signal(signal_number, SIG_DFL);
  raise(signal_number);
}

[[noreturn]] void fail(const char* claim) {
  std::fprintf(stderr, "%s: not so: %s\n", where, claim);
  std::exit(1);
}

unsigned setting(const char* name, unsigned otherwise) {
  const char* value = std::getenv(name);
  return value == nullptr ? otherwise : static_cast<unsigned>(std::strtoul(value, nullptr, 10));
}

/// Pages between two that nobody may touch.
class GuardedPages {
 public:
  explicit GuardedPages(std::size_t bytes) : bytes_(bytes) {
    constexpr std::size_t kGuardBytes = 16 << 20;
    auto* all = static_cast<std::uint8_t*>(
        mmap(nullptr, bytes + 2 * kGuardBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    data_ = all + kGuardBytes;
    if (mprotect(data_, bytes, PROT_READ | PROT_WRITE) != 0) std::abort();
  }
  [[nodiscard]] std::uint8_t* data() const { return data_; }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }

 private:
  std::size_t bytes_;
  std::uint8_t* data_;
};

/// Where a changed byte can matter: what attach() believes, in parts that are chosen equally often.
std::vector<std::span<std::uint8_t>> parts_of(std::uint8_t* base) {
  const auto& header = *reinterpret_cast<const SegmentHeader*>(base);
  const auto part = [&](RegionNumber number, std::size_t bytes) {
    return std::span(base + header.regions[number].offset, bytes);
  };
  std::vector<std::span<std::uint8_t>> parts{{base, sizeof(SegmentHeader)}};
  parts.push_back(part(kRegionProfiles, 4 * sizeof(ProfileName)));
  parts.push_back(part(kRegionSockets, 3 * sizeof(SocketName)));
  parts.push_back(part(kRegionUndo, 4 * sizeof(UndoSlot)));
  parts.push_back(part(kRegionEntries, header.hash_size * sizeof(HashEntry)));
  const auto dialogs = part(kRegionDialogs, (header.dialog_pool.carved + 1) * sizeof(DialogRecord));
  const auto transactions =
      part(kRegionTransactions, (header.transaction_pool.carved + 1) * sizeof(TransactionRecord));
  for (int weight = 0; weight < 4; ++weight) parts.insert(parts.end(), {dialogs, transactions});
  parts.push_back(part(kRegionChunks, header.chunks * sizeof(ArenaChunk)));
  const auto* chunks = reinterpret_cast<const ArenaChunk*>(base + header.regions[kRegionChunks].offset);
  for (std::uint32_t n = 0; n < header.chunks; ++n) {
    if (chunks[n].used != 0)
      parts.push_back(std::span(base + header.regions[kRegionArena].offset + n * kChunkBytes, 1'024));
  }
  return parts;
}

void damage(std::vector<std::span<std::uint8_t>>& parts, std::mt19937& random) {
  for (unsigned bytes = random() % 8 == 0 ? 1 + random() % 16 : 1; bytes > 0; --bytes) {
    const auto& part = parts[random() % parts.size()];
    std::uint8_t& byte = part[random() % part.size()];
    constexpr std::uint8_t kOdd[] = {0, 1, 2, 4, 5, 0x7f, 0x80, 0xff};
    byte = random() % 2 == 0 ? static_cast<std::uint8_t>(byte ^ 1u << random() % 8)
                             : kOdd[random() % std::size(kOdd)];
  }
}

void check_sound(Segment& segment, const char* claim) {
  const Verification v = segment.verify();
  if (v.sound()) return;
  std::fprintf(stderr, "blocks %u arena %u index %u pools %u profiles %u counts %u wheels %u\n", v.blocks,
               v.arena, v.index, v.pools, v.profiles, v.counts, v.wheels);
  fail(claim);
}

/// Everything is looked at, changed and ended.
void work_on(Segment& segment, std::mt19937& random) {
  check_sound(segment, "verify() finds nothing after an attach");
  Table table(segment, 0);
  if (table.audit() != 0) fail("audit() finds nothing after an attach");
  Transactions transactions(segment, 0);
  Profiles profiles(segment, 0);
  static std::uint8_t out[kSnapshotBytesMax];
  std::array<std::uint32_t, kRegisterWords> registers{};
  std::uint64_t sum = 0;
  const auto read = [&sum](std::span<const std::uint8_t> bytes) {
    for (const std::uint8_t byte : bytes) sum += byte;
  };
  for (std::uint32_t index = 1; index <= segment.transactions().carved(); ++index) {
    if (transactions.load(index, registers) != Status::kOk) continue;
    read(transactions.request(index));
    read(transactions.reply(index));
    for (std::uint32_t branch = 0; branch < registers[kTBranchCount]; ++branch) {
      std::span<const Edit> edits;
      std::span<const std::uint8_t> inserted;
      if (transactions.branch_edits(index, branch, &edits, &inserted)) read(inserted);
      read(transactions.branch_reply(index, branch));
    }
    const Edit edit[] = {{0, 0, 2}};
    (void)transactions.add_branch(registers, edit, text("ab"), Need::kCallIsUp);
    (void)transactions.store(registers);
    const DialogHandle held{registers[kTDialogIndex], registers[kTDialogGeneration]};
    transactions.free(index);
    if (held.index != 0) table.drop(held);
  }
  DialogWords words{};
  for (std::uint32_t index = table.next(1); index != 0; index = table.next(index + 1)) {
    std::size_t length = 0;
    if (table.snapshot(index, out, &length) != Status::kOk) continue;
    read({out, length});
    std::memcpy(words.data(), out, sizeof words);
    const DialogHandle handle = handle_of(words);
    (void)table.set_variable(handle, text("k"), text("v"));
    (void)profiles.join(handle, 0, text("alice"), 0, nullptr);
    std::uint32_t number = 0;
    (void)table.take_cseq(handle, kUpstream, 0, &number);
    if (random() % 2 == 0) (void)table.change(handle, TestCall(7).answer(), words);
    if (table.load(handle, words) == Status::kOk && words[kDState] == kDeleted)
      for (std::uint32_t holds = words[kDHolds]; holds > 0; --holds) table.drop(handle);
    else
      (void)table.change(handle, to_state(kDeleted), words);
  }
  if (sum == 1) std::puts("");  // what was read is used
  check_sound(segment, "verify() finds nothing after the work");
}

}  // namespace

int main() {
  const bool is_nightly = std::getenv("HOLDFAST_NIGHTLY") != nullptr;
  const unsigned seed = setting("HOLDFAST_DAMAGE_SEED", is_nightly ? static_cast<unsigned>(getpid()) : 1);
  const unsigned rounds = setting("HOLDFAST_DAMAGE_ROUNDS", is_nightly ? 200'000 : 600);
  for (const int number : {SIGALRM, SIGSEGV, SIGBUS}) signal(number, name_round);
  SegmentOptions options = test_options(2);
  const std::size_t bytes = (Segment::bytes_min(options) + kPageBytes - 1) / kPageBytes * kPageBytes;
  TestSegment left(bytes, options);
  leave_behind(*left.segment);
  const GuardedPages pages(bytes);
  unsigned refused = 0, taken = 0;
  for (unsigned round = 1; round <= rounds; ++round) {
    std::snprintf(where, sizeof where, "damage_test: HOLDFAST_DAMAGE_SEED=%u, round %u\n", seed, round);
    std::mt19937 random(seed + round * 1'000'003u);
    std::memcpy(pages.data(), left.pages.data(), bytes);
    auto parts = parts_of(pages.data());
    damage(parts, random);
    alarm(kRoundSecondsMax);
    SegmentError error;
    auto segment = Segment::attach_over(pages.data(), bytes, options, error);
    if (segment == nullptr) {
      if (error.status == Status::kOk || error.text.empty()) fail("a refusal says why");
      ++refused;
    } else {
      work_on(*segment, random);
      ++taken;
    }
  }
  alarm(0);
  if (refused == 0 || taken == 0) fail("some are refused, some are not");
  std::printf("damage_test: seed %u, %u rounds: %u refused, %u taken over\n", seed, rounds, refused, taken);
  return 0;
}
