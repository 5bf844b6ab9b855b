// SIGKILL at every instruction of attach(): whoever attaches next finds the same calls.
// flags: -O2 -DNDEBUG -fno-sanitize=all
//
// A program of its own, compiled as the product is: what matters is the order in which the compiler stores.
// A child that attaches is stepped instruction by instruction; whenever it has changed what attach()
// believes, a copy of the pages is taken over as the next process would.  With HOLDFAST_NIGHTLY=1 so are they
// where only derived bytes have changed, after each kDerivedEach instructions.
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <vector>

#include "core/transactions.h"
#include "left_behind.h"
#include "segment_memory.h"

using namespace holdfast;

namespace {

constexpr unsigned kChangesMin = 20;
constexpr std::uint64_t kStepsMax = 50'000'000;
constexpr std::uint64_t kDerivedEach = 50;

const bool is_nightly = [] {
  const char* value = std::getenv("HOLDFAST_NIGHTLY");
  return value != nullptr && std::strcmp(value, "1") == 0;
}();

void check(bool good, const char* claim, std::uint64_t step = 0) {
  if (good) return;
  std::fprintf(stderr, "attach_step_test: killed after instruction %llu: not so: %s\n",
               static_cast<unsigned long long>(step), claim);
  std::exit(1);
}

/// All that outlives a process, by record.
struct Found {
  std::map<std::uint32_t, std::string> dialogs, transactions;
  std::uint64_t used_bytes = 0;
  bool moved = false;
  bool operator==(const Found&) const = default;
};

Found found_in(Segment& segment) {
  Found found;
  Table table(segment, 0);
  Transactions transactions(segment, 0);
  static std::uint8_t out[kSnapshotBytesMax];
  for (std::uint32_t index = table.next(1); index != 0; index = table.next(index + 1)) {
    std::size_t length = 0;
    if (table.snapshot(index, out, &length) == Status::kOk) found.dialogs[index].assign(out, out + length);
  }
  std::array<std::uint32_t, kRegisterWords> words{};
  for (std::uint32_t index = 1; index <= segment.transactions().carved(); ++index) {
    words = {};
    if (transactions.load(index, words) != Status::kOk) continue;
    std::string& bytes = found.transactions[index];
    bytes.assign(reinterpret_cast<const char*>(words.data()), sizeof words);
    for (const auto& text : {transactions.request(index), transactions.reply(index)})
      bytes.append(text.begin(), text.end());
  }
  found.used_bytes = segment.used_bytes();
  found.moved = segment.has_moved_transactions();
  return found;
}

/// What the next process finds in a copy of the pages.
Found taken_over(const SharedPages& pages, const SegmentOptions& options, std::uint64_t step) {
  static SharedPages copy(pages.bytes());
  std::memcpy(copy.data(), pages.data(), pages.bytes());
  SegmentError error;
  auto segment = Segment::attach_over(copy.data(), copy.bytes(), options, error);
  if (segment == nullptr) std::fprintf(stderr, "%s\n", error.text.c_str());
  check(segment != nullptr, "the next process may attach", step);
  check(segment->verify().sound(), "verify() finds nothing", step);
  check(Table(*segment, 0).audit() == 0, "audit() finds nothing", step);
  return found_in(*segment);
}

/// The bytes that attach() believes.
std::vector<std::span<const std::uint8_t>> truth_of(const SharedPages& pages) {
  const auto& header = *static_cast<const SegmentHeader*>(pages.data());
  const auto* base = static_cast<const std::uint8_t*>(pages.data());
  const auto part = [&](RegionNumber number, std::size_t bytes) {
    return std::span(base + header.regions[number].offset, bytes);
  };
  std::vector<std::span<const std::uint8_t>> truth{{base, kPageBytes}};
  truth.push_back(part(kRegionProfiles, 4 * sizeof(ProfileName)));
  truth.push_back(part(kRegionUndo, 5 * sizeof(UndoSlot)));
  truth.push_back(part(kRegionEntries, header.hash_size * sizeof(HashEntry)));
  truth.push_back(part(kRegionDialogs, (header.dialog_pool.carved + 1) * sizeof(DialogRecord)));
  truth.push_back(
      part(kRegionTransactions, (header.transaction_pool.carved + 1) * sizeof(TransactionRecord)));
  truth.push_back(part(kRegionChunks, header.chunks * sizeof(ArenaChunk)));
  const auto* chunks = reinterpret_cast<const ArenaChunk*>(base + header.regions[kRegionChunks].offset);
  for (std::uint32_t n = 0; n < header.chunks; ++n) {
    if (chunks[n].used != 0)  // its first blocks: the scenario has no more
      truth.push_back(std::span(base + header.regions[kRegionArena].offset + n * kChunkBytes, 2'048));
  }
  return truth;
}

// ---- stepping ----

void tell_difference(const Found& now, const Found& expected) {
  std::fprintf(stderr, "bytes in use %llu, expected %llu; moved %d, expected %d\n",
               static_cast<unsigned long long>(now.used_bytes),
               static_cast<unsigned long long>(expected.used_bytes), now.moved, expected.moved);
  const auto tell = [](const char* kind, const auto& there, const auto& wanted) {
    std::fprintf(stderr, "%s: %zu, expected %zu\n", kind, there.size(), wanted.size());
    for (const auto& [index, bytes] : wanted) {
      const auto at = there.find(index);
      if (at == there.end()) {
        std::fprintf(stderr, "%s %u is gone\n", kind, index);
        continue;
      }
      for (std::size_t n = 0; n + 4 <= std::min(bytes.size(), at->second.size()); n += 4)
        if (std::memcmp(bytes.data() + n, at->second.data() + n, 4) != 0)
          std::fprintf(stderr, "%s %u: word %zu differs\n", kind, index, n / 4);
    }
  };
  tell("dialogs", now.dialogs, expected.dialogs);
  tell("transactions", now.transactions, expected.transactions);
}

void step_through(const char* name, std::uint32_t workers) {
  SegmentOptions options = test_options(2);
  const std::size_t bytes = (Segment::bytes_min(options) + kPageBytes - 1) / kPageBytes * kPageBytes;
  TestSegment t(bytes, options);
  check(t.segment != nullptr, "a segment");
  leave_behind(*t.segment);
  options.workers = workers;
  const Found expected = taken_over(t.pages, options, 0);

  const pid_t child = fork();
  check(child >= 0, "fork");
  if (child == 0) {
    ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
    raise(SIGSTOP);
    SegmentError error;
    auto segment = Segment::attach_over(t.pages.data(), bytes, options, error);
    _exit(segment == nullptr ? 3 : 0);
  }
  int status = 0;
  check(waitpid(child, &status, 0) == child && WIFSTOPPED(status), "the child waits to be stepped");

  const auto truth = truth_of(t.pages);
  std::vector<std::uint8_t> seen;
  for (const auto& part : truth) seen.insert(seen.end(), part.begin(), part.end());
  const auto has_changed = [&] {
    bool changed = false;
    std::uint8_t* before = seen.data();
    for (const auto& part : truth) {
      if (std::memcmp(before, part.data(), part.size()) != 0) {
        std::memcpy(before, part.data(), part.size());
        changed = true;
      }
      before += part.size();
    }
    return changed;
  };

  std::uint64_t step = 0;
  unsigned changes = 0, looks = 0;
  for (;; ++step) {
    check(step < kStepsMax, "attach() takes fewer instructions", step);
    check(ptrace(PTRACE_SINGLESTEP, child, nullptr, nullptr) == 0, "a step", step);
    check(waitpid(child, &status, 0) == child, "waitpid", step);
    if (!WIFSTOPPED(status)) break;
    const bool changed = has_changed();
    if (changed) ++changes;
    if (!changed && !(is_nightly && step % kDerivedEach == 0)) continue;
    ++looks;
    const Found now = taken_over(t.pages, options, step);
    if (now != expected) tell_difference(now, expected);
    check(now == expected, "the same calls as without a kill", step);
  }
  check(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the child attaches", step);
  check(changes > kChangesMin, "attach() changes what it believes, too");
  check(taken_over(t.pages, options, step) == expected, "the same calls after two whole attaches", step);
  std::printf("  %-18s %llu instructions, %u changes, %u looked at\n", name,
              static_cast<unsigned long long>(step), changes, looks);
}

}  // namespace

int main(int, char** argv) {
  // Otherwise memset() is one instruction that stops again for each byte.
  constexpr char kTunables[] = "GLIBC_TUNABLES";
  if (std::getenv(kTunables) == nullptr) {
    setenv(kTunables,
           "glibc.cpu.x86_rep_stosb_threshold=1000000000:glibc.cpu.x86_rep_movsb_threshold=1000000000", 1);
    execv("/proc/self/exe", argv);
  }
  step_through("two workers", 2);
  step_through("two, then one", 1);
  return 0;
}
