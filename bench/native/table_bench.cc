// What the core alone costs with many dialogs held: nanoseconds per call of the table, one thread; under
// callgrind, instructions instead.
//
//   node bench/micro.mjs --only native          builds it, runs it beside 64, 1,000 and 1,000,000 dialogs
//   node bench/instructions.mjs                 the same work counted in instructions
//   ./table-bench [dialogs] [--lines]           by hand; --lines prints `name<TAB>ns<TAB>operations` instead
//
// Every result is checked: a look-up that answers wrongly is not a result.  Calls are looked up in random
// order, so each meets cold cache lines, as on a machine that holds that many calls.
#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "core/profiles.h"
#include "core/segment.h"
#include "core/table.h"
#include "core/transactions.h"

#if __has_include(<valgrind/callgrind.h>)
#include <valgrind/callgrind.h>
#else
#define CALLGRIND_ZERO_STATS
#define CALLGRIND_DUMP_STATS_AT(name)
#endif

using namespace holdfast;

namespace {

bool lines_wanted = false;

Text text(const std::string& s) { return {reinterpret_cast<const std::uint8_t*>(s.data()), s.size()}; }

void require(bool good, const char* claim) {
  if (good) return;
  std::fprintf(stderr, "table-bench: not so: %s\n", claim);
  std::exit(1);
}

void print(const char* name, double value, std::size_t operations, const char* unit) {
  if (lines_wanted)
    std::printf("%s\t%.1f\t%zu\n", name, value, operations);
  else
    std::printf("%-44s %8.0f %s\n", name, value, unit);
}

/// Runs `work` for each of `order` and prints what one cost; callgrind gets a dump of its own for it.
template <typename Work>
void measure(const char* name, const std::vector<std::uint32_t>& order, Work work) {
  CALLGRIND_ZERO_STATS;
  const auto begin = std::chrono::steady_clock::now();
  for (const std::uint32_t n : order) work(n);
  const std::chrono::duration<double, std::nano> spent = std::chrono::steady_clock::now() - begin;
  CALLGRIND_DUMP_STATS_AT(name);
  print(name, spent.count() / static_cast<double>(order.size()), order.size(), "ns");
}

}  // namespace

int main(int argc, char** argv) {
  std::uint32_t dialogs = 1'000'000;
  for (int n = 1; n < argc; ++n) {
    if (std::strcmp(argv[n], "--lines") == 0)
      lines_wanted = true;
    else
      dialogs = static_cast<std::uint32_t>(std::atoi(argv[n]));
  }
  require(dialogs >= 64 && dialogs <= 10'000'000, "64 to 10,000,000 dialogs");
  const ProfileOption profile[] = {{"caller", true}};
  const std::string_view socket[] = {"udp:127.0.0.1:5060"};
  SegmentOptions options;
  options.hash_size = 4096;
  options.profiles = profile;
  options.sockets = socket;
  options.random[0] = 1, options.random[1] = 2, options.random[2] = 3;
  options.now_boot_ms = 1'000'000;
  const std::size_t bytes = (64ull << 20) + std::size_t{dialogs} * 1536;
  void* memory =
      mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  require(memory != MAP_FAILED, "memory");
  SegmentError error;
  auto segment = Segment::create_over(memory, bytes, options, error);
  require(segment != nullptr, error.text.c_str());

  Table table(*segment, 0);
  Profiles profiles(*segment, 0);
  Transactions transactions(*segment, 0);
  std::uint32_t words_memory[kDialogWords];
  const Table::Words words(words_memory);
  std::vector<std::string> call_ids(dialogs), caller_tags(dialogs), callee_tags(dialogs);
  std::vector<DialogHandle> handles(dialogs);
  std::vector<std::uint32_t> entries(dialogs), ids(dialogs), in_order(dialogs), order(dialogs);
  for (std::uint32_t n = 0; n < dialogs; ++n) {
    call_ids[n] = "3c26700857a87f84-" + std::to_string(n) + "@10.0.0.1";
    caller_tags[n] = "a73kszlfl" + std::to_string(n);
    callee_tags[n] = "1410948204" + std::to_string(n);
    in_order[n] = order[n] = n;
  }
  // Not std::shuffle, whose order is its library's own: the same work must give the same counts.
  std::mt19937 random(1);
  for (std::uint32_t n = dialogs; n > 1; --n) std::swap(order[n - 1], order[random() % n]);

  const std::string from = "sip:alice@atlanta.example.com", to = "sip:bob@biloxi.example.com",
                    contact = "sip:alice@192.0.2.101:5060;transport=udp", callee = "sip:bob@192.0.2.4:5080";
  measure("create", in_order, [&](std::uint32_t n) {
    NewDialog d;
    d.call_id = text(call_ids[n]), d.caller_tag = text(caller_tags[n]);
    d.from_uri = text(from), d.to_uri = d.request_uri = text(to), d.caller_contact = text(contact);
    d.caller_cseq = 1, d.lifetime = 43200, d.init_ts = 1, d.caller_socket = 1;
    require(table.create(d, words) == Status::kOk, "created");
    handles[n] = {words[kDIndex], words[kDGeneration]};
    entries[n] = words[kDEntry], ids[n] = words[kDId];
  });
  measure("join a profile (a value each)", in_order, [&](std::uint32_t n) {
    require(profiles.join(handles[n], 0, text(caller_tags[n]), 30, nullptr) == Status::kOk, "joined");
  });
  measure("count a value of the profile", order, [&](std::uint32_t n) {
    require(profiles.count(0, text(caller_tags[n]), false) == 1, "one member");
  });
  measure("change: answered, leg, timer", order, [&](std::uint32_t n) {
    Change c;
    c.fields = kChangeState | kChangeCalleeLeg | kChangeDue | kChangeStartTs;
    c.state = kConfirmedNoAck, c.due = 44'200, c.start_ts = 5;
    c.callee_tag = text(callee_tags[n]), c.callee_contact = text(callee), c.callee_socket = 1;
    require(table.change(handles[n], c, words) == Status::kOk, "answered");
  });
  if (!lines_wanted)
    print("memory per confirmed call, all included", static_cast<double>(segment->used_bytes()) / dialogs, 1,
          "bytes");
  std::uint64_t sum = 0;
  measure("(reading the three texts to look up with)", order, [&](std::uint32_t n) {
    sum += segment->keyed_hash()(text(call_ids[n])) + caller_tags[n].back() + callee_tags[n].back() +
           handles[n].index;
  });
  require(sum != 0, "read");
  measure("find_by_id, then match", order, [&](std::uint32_t n) {
    require(table.find_by_id(entries[n], ids[n], words) == Status::kOk && words[kDIndex] == handles[n].index,
            "by id");
    require(table.match(handles[n], text(call_ids[n]), text(callee_tags[n]), text(caller_tags[n]), kNone,
                        words) == Status::kOk &&
                words[kDDirection] == kUpstream,
            "matched");
  });
  const auto by_call_id = [&](std::uint32_t n) {
    require(table.find_by_call_id(text(call_ids[n]), text(caller_tags[n]), text(callee_tags[n]), kNone,
                                  words) == Status::kOk &&
                words[kDIndex] == handles[n].index,
            "by Call-ID");
  };
  measure("find_by_call_id with tags", order, by_call_id);
  constexpr std::uint32_t kBatch = 32;
  std::vector<std::uint32_t> batches;
  for (std::uint32_t n = 0; n + kBatch <= dialogs; n += kBatch) batches.push_back(n);
  measure("32 find_by_call_id with prefetch", batches, [&](std::uint32_t first) {
    Text texts[kBatch];
    for (std::uint32_t n = 0; n < kBatch; ++n) texts[n] = text(call_ids[order[first + n]]);
    table.prefetch(texts);
    for (std::uint32_t n = 0; n < kBatch; ++n) by_call_id(order[first + n]);
  });
  measure("change: timer and CSeq", order, [&](std::uint32_t n) {
    Change c;
    c.fields = kChangeDue | kChangeCallerCSeq;
    c.due = 45'000, c.caller_cseq = 2;
    require(table.change(handles[n], c, words) == Status::kOk, "refreshed");
  });
  const std::string key = "account", value = "4711";
  measure("set a variable", order, [&](std::uint32_t n) {
    require(table.set_variable(handles[n], text(key), text(value)) == Status::kOk, "set");
  });
  std::uint8_t room[64];
  measure("get a variable", order, [&](std::uint32_t n) {
    std::size_t length = 0;
    require(table.get_variable(handles[n], text(key), room, &length) == Status::kOk && length == value.size(),
            "got");
  });
  measure("map_cseq, nothing taken", order, [&](std::uint32_t n) {
    std::uint32_t number = 0;
    require(table.map_cseq(handles[n], kDownstream, 3, &number) == Status::kOk && number == 3, "as it was");
  });
  // A tenth, so that the others show what a call without requests of ours costs.
  const std::vector<std::uint32_t> few(order.begin(), order.begin() + dialogs / 10 + 1);
  measure("take_cseq", few, [&](std::uint32_t n) {
    std::uint32_t number = 0;
    require(table.take_cseq(handles[n], kDownstream, 0, &number) == Status::kOk && number == 4, "the next");
  });

  // Transactions: as many at once as live a moment of heavy traffic.
  const std::uint32_t at_once = std::min<std::uint32_t>(dialogs, 10'000);
  const std::vector<std::uint32_t> some(in_order.begin(), in_order.begin() + at_once);
  const std::string request(700, 'x'), reply(500, 'y');
  std::vector<std::uint32_t> records(at_once);
  std::uint32_t registers_memory[kRegisterWords];
  const Transactions::Registers registers(registers_memory);
  const auto key_of = [](std::uint32_t n) { return (std::uint64_t{n} + 1) * 0x9e3779b97f4a7c15; };
  measure("transaction: create with 700 bytes", some, [&](std::uint32_t n) {
    require(transactions.create(0, key_of(n), text(request), Need::kNewCall, registers) == Status::kOk,
            "created");
    records[n] = registers[kTIndex];
  });
  measure("transaction: find", some, [&](std::uint32_t n) {
    require(transactions.find(0, key_of(n), registers) == Status::kOk && registers[kTIndex] == records[n],
            "found");
  });
  measure("transaction: reply of 500 bytes, timer, store", some, [&](std::uint32_t n) {
    require(transactions.load(records[n], registers) == Status::kOk, "loaded");
    require(transactions.set_reply(registers, text(reply)) == Status::kOk, "replied");
    registers[kTEndDue] = 100 + n % 400;
    require(transactions.store(registers) == Status::kOk, "stored");
  });
  std::vector<std::uint32_t> due(256), ticks(600);
  for (std::uint32_t n = 0; n < ticks.size(); ++n) ticks[n] = n + 1;
  std::uint32_t ended = 0;
  measure("transaction wheel: a tick and what is due", ticks, [&](std::uint32_t tick) {
    for (;;) {
      const std::uint32_t count = transactions.advance(0, tick, due);
      for (std::uint32_t n = 0; n < count; ++n) transactions.free(due[n]);
      ended += count;
      if (count < due.size()) break;
    }
  });
  require(ended == at_once && transactions.live() == 0, "every transaction was due once");

  // A wheel's second with nothing due is what a shard pays all day.
  std::vector<DialogHandle> expired(256);
  std::vector<std::uint32_t> seconds(1'000);
  for (std::uint32_t n = 0; n < seconds.size(); ++n) seconds[n] = 1'001 + n;
  measure("dialog wheel: a second with nothing due", seconds, [&](std::uint32_t now) {
    require(table.advance(0, now, expired) == 0, "nothing was due");
  });
  measure("claim_end and drop: freed", order, [&](std::uint32_t n) {
    require(table.claim_end(handles[n], EndReason::kBye, 0, 0, 9, words) == Status::kOk, "ended");
    table.drop(handles[n]);
  });
  require(segment->used_bytes() == 0, "every byte came back");
  return 0;
}
