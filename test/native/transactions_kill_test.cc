// A child is killed at every numbered point of a transaction's life, and at random instants; what it leaves
// is taken over: every record wholly old or wholly new, no block lost or owned twice.
//
// flags: -DHOLDFAST_KILL_POINTS
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "core/kill_point.h"
#include "core/transactions.h"
#include "segment_memory.h"

using namespace holdfast;

namespace {

using Words = std::array<std::uint32_t, kRegisterWords>;
constexpr std::uint64_t kKey = 0x0123456789abcdef;
constexpr std::uint32_t kSteps = 12;

[[noreturn]] void fail(const std::string& what) {
  std::fprintf(stderr, "transactions_kill: %s\n", what.c_str());
  std::exit(1);
}

std::uint32_t& branch_word(Words& words, std::uint32_t branch, std::uint32_t word) {
  return words[kHeadWords + branch * kBranchWords + word];
}

/// Every word of the caller's says the same number: a record that mixes two numbers is torn.
void write_all(Words& words, std::uint32_t number) {
  words[kTState] = words[kTUser0] = words[kTUser4] = words[kTEndDue] = number;
  for (std::uint32_t n = 0; n < words[kTBranchCount]; ++n) {
    branch_word(words, n, kBState) = branch_word(words, n, kBUser1) = branch_word(words, n, kBFinalDue) =
        number;
  }
}

bool is_whole(Words& words) {
  const std::uint32_t number = words[kTState];
  bool same = words[kTUser0] == number && words[kTUser4] == number;
  // One that was never stored has a deadline since attach() found it.
  same = same && (number == 0 ? words[kTEndDue] != 0 : words[kTEndDue] == number);
  // A branch added after the last store still says 0.
  for (std::uint32_t n = 0; n < words[kTBranchCount]; ++n) {
    const std::uint32_t state = branch_word(words, n, kBState);
    same = same && (state == number || state == 0) && branch_word(words, n, kBUser1) == state &&
           branch_word(words, n, kBFinalDue) == state;
  }
  return same;
}

/// One transaction's life, again and again.
void live(Transactions& transactions, std::uint32_t rounds) {
  const std::string request = "INVITE sip:bob@b.example SIP/2.0\r\n\r\n";
  for (std::uint32_t round = 1; round <= rounds; ++round) {
    Words words;
    if (transactions.create(0, kKey, text(request), Need::kNewCall, words) != Status::kOk) fail("create");
    for (std::uint32_t step = 1; step <= kSteps; ++step) {
      const Edit edit[] = {{3, 0, 4}};
      if (step <= 6 && transactions.add_branch(words, edit, text("Via:"), Need::kNewCall) != Status::kOk)
        fail("branch");
      write_all(words, round * 100 + step);
      if (transactions.store(words) != Status::kOk) fail("store");
      const std::string reply(step * 40, static_cast<char>('a' + step));
      if (transactions.set_reply(words, text(reply)) != Status::kOk) fail("reply");
      if (transactions.set_branch_reply(words, (step * 5) % words[kTBranchCount], text(reply)) != Status::kOk)
        fail("branch reply");
      if (step == 10 && transactions.store(words, true) != Status::kOk) fail("shed");
    }
    transactions.free(words[kTIndex]);
  }
}

/// What a killed child left, attached as a new process would.
void check(TestSegment& test, const std::string& where) {
  if (!test.attach()) fail(where + ": attach");
  const Verification found = test.segment->verify();
  if (!found.sound()) {
    fail(where + ": blocks " + std::to_string(found.blocks) + " arena " + std::to_string(found.arena) +
         " index " + std::to_string(found.index) + " pools " + std::to_string(found.pools) + " wheels " +
         std::to_string(found.wheels));
  }
  Transactions transactions(*test.segment, 0);
  Words words;
  if (transactions.live() > 1) fail(where + ": more records than were made");
  if (transactions.live() == 1) {
    if (transactions.find(0, kKey, words) != Status::kOk) fail(where + ": a live record is not found");
    if (!is_whole(words)) fail(where + ": torn");
    if (words[kTReplyBytes] != 0) {
      const auto reply = transactions.reply(words[kTIndex]);
      for (const std::uint8_t byte : reply) {
        if (byte != reply[0] || reply.size() != (byte - 'a') * 40u) fail(where + ": torn reply");
      }
    }
    transactions.free(words[kTIndex]);
  }
  if (test.segment->arena().used_bytes() != 0) fail(where + ": blocks left");
}

}  // namespace

int main() {
  TestSegment test(8 << 20);
  unsigned points = 0;
  for (bool done = false; !done; ++points) {
    const pid_t child = fork();
    if (child == 0) {
      Transactions transactions(*test.segment, 0);
      kill_after_points = points + 1;
      live(transactions, 1);
      _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    done = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (!done && !(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)) fail("the child failed by itself");
    check(test, "point " + std::to_string(points + 1));
  }
  std::srand(1);
  constexpr int kRandomKills = 100;
  for (int n = 0; n < kRandomKills; ++n) {
    const pid_t child = fork();
    if (child == 0) {
      Transactions transactions(*test.segment, 0);
      live(transactions, 1'000'000);
      _exit(0);
    }
    usleep(500 + static_cast<unsigned>(std::rand() % 4000));
    kill(child, SIGKILL);
    int status = 0;
    waitpid(child, &status, 0);
    check(test, "random kill " + std::to_string(n));
  }
  std::printf("killed at %u points and %d random instants\n", points, kRandomKills);
  return 0;
}
