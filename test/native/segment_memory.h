// test/native/segment_memory.h - a segment in memory of this process, or shared with its children.
#pragma once
#include <sys/mman.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/counters.h"
#include "core/profiles.h"
#include "core/segment.h"
#include "core/table.h"

namespace holdfast {

inline Text text(std::string_view s) { return {reinterpret_cast<const std::uint8_t*>(s.data()), s.size()}; }

inline constexpr ProfileOption kTestProfiles[] = {{"caller", true}, {"calls", false}, {"gateway", true}};
inline constexpr std::string_view kTestSockets[] = {"udp:127.0.0.1:5060", "udp:[::1]:5060"};

inline SegmentOptions test_options(std::uint32_t workers = 2) {
  SegmentOptions options;
  options.hash_size = 64;
  options.workers = workers;
  options.h_id_start_given = true;
  options.profiles = kTestProfiles;
  options.sockets = kTestSockets;
  options.random[0] = 0x0123456789abcdef;
  options.random[1] = 0xfedcba9876543210;
  options.random[2] = 42;
  options.now_boot_ms = 1'000'000;
  return options;
}

/// Pages that a forked child writes to as well.
class SharedPages {
 public:
  explicit SharedPages(std::size_t bytes) : bytes_(bytes) {
    data_ = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (data_ == MAP_FAILED) std::abort();
  }
  ~SharedPages() { munmap(data_, bytes_); }
  SharedPages(const SharedPages&) = delete;
  SharedPages& operator=(const SharedPages&) = delete;
  [[nodiscard]] void* data() const { return data_; }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }

 private:
  void* data_;
  std::size_t bytes_;
};

/// A segment over shared pages; attach() takes it over as a later process would.
struct TestSegment {
  explicit TestSegment(std::size_t bytes = 16 << 20, SegmentOptions opts = test_options())
      : options(opts), pages(bytes) {
    segment = Segment::create_over(pages.data(), bytes, options, error);
    if (segment == nullptr) std::fprintf(stderr, "%s\n", error.text.c_str());
  }
  bool attach() {
    segment = Segment::attach_over(pages.data(), pages.bytes(), options, error);
    if (segment == nullptr) std::fprintf(stderr, "%s\n", error.text.c_str());
    return segment != nullptr;
  }
  SegmentOptions options;
  SegmentError error;
  SharedPages pages;
  std::unique_ptr<Segment> segment;
};

using DialogWords = std::array<std::uint32_t, kDialogWords>;
inline DialogHandle handle_of(const DialogWords& words) { return {words[kDIndex], words[kDGeneration]}; }

/// An INVITE's dialog as it usually looks; the number makes Call-ID and tag its own.
struct TestCall {
  explicit TestCall(unsigned number)
      : call_id("3c26700857a87f84-" + std::to_string(number) + "@10.0.0.1"),
        caller_tag("a73kszlfl" + std::to_string(number)),
        callee_tag("1410948204-" + std::to_string(number)) {}
  [[nodiscard]] NewDialog dialog() const {
    NewDialog d;
    d.call_id = text(call_id);
    d.caller_tag = text(caller_tag);
    d.from_uri = text("sip:alice@atlanta.example.com");
    d.to_uri = text("sip:bob@biloxi.example.com");
    d.request_uri = text("sip:bob@biloxi.example.com");
    d.caller_contact = text("sip:alice@192.0.2.101:5060;transport=udp");
    d.caller_cseq = 1;
    d.lifetime = 43200;
    d.init_ts = 1'700'000'000;
    d.caller_socket = 1;
    return d;
  }
  [[nodiscard]] Change answer() const {
    Change c;
    c.fields = kChangeState | kChangeCalleeLeg | kChangeStartTs | kChangeDue;
    c.state = kConfirmedNoAck;
    c.start_ts = 1'700'000'005;
    c.due = 50'000;
    c.callee_tag = text(callee_tag);
    c.callee_contact = text("sip:bob@192.0.2.4:5080");
    c.callee_socket = 1;
    return c;
  }
  std::string call_id, caller_tag, callee_tag;
};

inline Change to_state(std::uint32_t state) {
  Change c;
  c.fields = kChangeState;
  c.state = state;
  return c;
}

}  // namespace holdfast
