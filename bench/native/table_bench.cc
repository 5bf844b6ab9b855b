// What the core alone costs with many dialogs held: nanoseconds per call of the table, one thread.
//
//   g++ -std=c++20 -O3 -DNDEBUG -D_GNU_SOURCE -Inative bench/native/table_bench.cc native/core/*.cc -o
//   table-bench
//   ./table-bench [dialogs]            1,000,000 unless said otherwise; prints a line per operation
//
// Every result is checked: a look-up that answers wrongly is not a result.  Calls are looked up in random
// order, so each meets cold cache lines, as on a machine that holds that many calls.
#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "core/profiles.h"
#include "core/segment.h"
#include "core/table.h"

using namespace holdfast;

namespace {

Text text(const std::string& s) { return {reinterpret_cast<const std::uint8_t*>(s.data()), s.size()}; }

void require(bool good, const char* claim) {
  if (good) return;
  std::fprintf(stderr, "table-bench: not so: %s\n", claim);
  std::exit(1);
}

/// Runs `work` for each of `order` and prints what one cost.
template <typename Work>
void measure(const char* name, const std::vector<std::uint32_t>& order, Work work) {
  const auto begin = std::chrono::steady_clock::now();
  for (const std::uint32_t n : order) work(n);
  const std::chrono::duration<double, std::nano> spent = std::chrono::steady_clock::now() - begin;
  std::printf("%-44s %8.0f ns\n", name, spent.count() / static_cast<double>(order.size()));
}

}  // namespace

int main(int argc, char** argv) {
  const auto dialogs = static_cast<std::uint32_t>(argc > 1 ? std::atoi(argv[1]) : 1'000'000);
  require(dialogs >= 1000 && dialogs <= 10'000'000, "1,000 to 10,000,000 dialogs");
  const ProfileOption profile[] = {{"caller", true}};
  const std::string_view socket[] = {"udp:127.0.0.1:5060"};
  SegmentOptions options;
  options.hash_size = 4096;
  options.profiles = profile;
  options.sockets = socket;
  options.random[0] = 1, options.random[1] = 2, options.random[2] = 3;
  options.now_boot_ms = 1'000'000;
  const std::size_t bytes = (64ull << 20) + std::size_t{dialogs} * 1280;
  void* memory =
      mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  require(memory != MAP_FAILED, "memory");
  SegmentError error;
  auto segment = Segment::create_over(memory, bytes, options, error);
  require(segment != nullptr, error.text.c_str());

  Table table(*segment, 0);
  Profiles profiles(*segment, 0);
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
  std::shuffle(order.begin(), order.end(), std::mt19937(1));

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
  measure("change: answered, leg, timer", order, [&](std::uint32_t n) {
    Change c;
    c.fields = kChangeState | kChangeCalleeLeg | kChangeDue | kChangeStartTs;
    c.state = kConfirmedNoAck, c.due = 44'200, c.start_ts = 5;
    c.callee_tag = text(callee_tags[n]), c.callee_contact = text(callee), c.callee_socket = 1;
    require(table.change(handles[n], c, words) == Status::kOk, "answered");
  });
  std::printf("%-44s %8.0f bytes\n", "memory per confirmed call, all included",
              static_cast<double>(segment->used_bytes()) / dialogs);
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
  measure("the same for a batch of 32 with prefetch", batches, [&](std::uint32_t first) {
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
  measure("claim_end and drop: freed", order, [&](std::uint32_t n) {
    require(table.claim_end(handles[n], EndReason::kBye, 0, 0, 9, words) == Status::kOk, "ended");
    table.drop(handles[n]);
  });
  require(segment->used_bytes() == 0, "every byte came back");
  return 0;
}
