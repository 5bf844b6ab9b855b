// The segment as a file: room, locks, what a dead process left, and taking it over.
#include "core/segment.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <fstream>

#include "segment_memory.h"

using namespace holdfast;

namespace {

/// A directory of its own that goes with everything in it.
struct Directory {
  Directory() {
    char name[] = "/dev/shm/holdfast-test-XXXXXX";
    if (mkdtemp(name) == nullptr) {
      char other[] = "/tmp/holdfast-test-XXXXXX";
      path = mkdtemp(other);
    } else {
      path = name;
    }
  }
  ~Directory() {
    for (const char* name : {"/segment", "/segment.stale", "/link"}) unlink((path + name).c_str());
    rmdir(path.c_str());
  }
  std::string path;
};

struct Fixture {
  Directory directory;
  SegmentOptions options = test_options();
  SegmentError error;
  Fixture() {
    options.path = directory.path + "/segment";
    options.bytes = 8 << 20;
  }
  [[nodiscard]] std::string file() const { return options.path; }
  [[nodiscard]] bool exists(const std::string& suffix) const {
    return access((file() + suffix).c_str(), F_OK) == 0;
  }
  void write(std::string_view contents) const {
    std::ofstream(file()) << contents;
    REQUIRE(chmod(file().c_str(), 0600) == 0);
  }
};

/// Runs `work` in a child that ends by SIGKILL, as a process that dies does.
template <typename Work>
void in_dying_child(Work work) {
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    work();
    kill(getpid(), SIGKILL);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  REQUIRE(WIFSIGNALED(status));
}

}  // namespace

TEST_CASE_FIXTURE(Fixture, "segment: the file is reserved whole and goes with a clean stop") {
  auto segment = Segment::create(options, error);
  REQUIRE(segment != nullptr);
  struct stat facts;
  REQUIRE(stat(file().c_str(), &facts) == 0);
  CHECK(facts.st_size == 8 << 20);
  CHECK(static_cast<std::uint64_t>(facts.st_blocks) * 512 >= 8u << 20);  // not sparse
  CHECK((facts.st_mode & 0777) == 0600);
  CHECK(segment->total_bytes() == 8 << 20);
  CHECK(segment->calls_enough() > 1000);
  CHECK(segment->verify().sound());
  CHECK(segment->warning().empty());
  segment->remove_file();
  CHECK_FALSE(exists(""));
}

TEST_CASE_FIXTURE(Fixture, "segment: a clean stop leaves another file of its name") {
  auto segment = Segment::create(options, error);
  REQUIRE(segment != nullptr);
  REQUIRE(rename(file().c_str(), (file() + ".stale").c_str()) == 0);
  write("somebody else's");
  segment->remove_file();
  CHECK(exists(""));
}

TEST_CASE_FIXTURE(Fixture, "segment: a file that others may open is refused and left as it is") {
  in_dying_child([&] { (void)Segment::create(options, error).release(); });
  for (const mode_t mode : {0640, 0604, 0610, 0666}) {
    CAPTURE(mode);
    REQUIRE(chmod(file().c_str(), mode) == 0);
    CHECK(Segment::create(options, error) == nullptr);
    CHECK(error.status == Status::kRefused);
    CHECK(error.text.find("others may open it") != std::string::npos);
    CHECK(Segment::attach(options, error) == nullptr);
    CHECK(error.status == Status::kRefused);
  }
  CHECK_FALSE(exists(".stale"));
  REQUIRE(chmod(file().c_str(), 0600) == 0);
  CHECK(Segment::attach(options, error) != nullptr);
}

TEST_CASE_FIXTURE(Fixture,
                  "segment: what a dead process left is not touched for a segment that will not fit") {
  in_dying_child([&] { (void)Segment::create(options, error).release(); });
  in_dying_child([&] { (void)Segment::create(options, error).release(); });  // its first is .stale now
  REQUIRE(exists(".stale"));
  for (const std::uint64_t bytes : {std::uint64_t{1} << 60, std::uint64_t{100'000}}) {
    options.bytes = bytes;
    CHECK(Segment::create(options, error) == nullptr);
    CHECK(error.status == Status::kNoMemory);
    CHECK(exists(".stale"));
  }
  options.bytes = 8 << 20;
  CHECK(Segment::attach(options, error) != nullptr);
}

TEST_CASE_FIXTURE(Fixture, "segment: one in use by a living process is a refusal that says so") {
  auto segment = Segment::create(options, error);
  REQUIRE(segment != nullptr);
  CHECK(Segment::create(options, error) == nullptr);
  CHECK(error.status == Status::kRefused);
  CHECK(error.text.find("in use by a living process") != std::string::npos);
  CHECK(error.text.find(file()) != std::string::npos);
  CHECK(Segment::attach(options, error) == nullptr);
  CHECK(error.status == Status::kRefused);
  CHECK(exists(""));
  CHECK_FALSE(exists(".stale"));
}

TEST_CASE_FIXTURE(Fixture, "segment: what a dead process left is moved aside once, with a warning") {
  in_dying_child([&] { (void)Segment::create(options, error).release(); });
  REQUIRE(exists(""));
  for (int round = 0; round < 2; ++round) {  // the second one takes the place of the first
    auto segment = Segment::create(options, error);
    REQUIRE(segment != nullptr);
    CHECK(segment->warning().find(".stale") != std::string::npos);
    CHECK(exists(".stale"));
    CHECK(segment->dialogs().used() == 0);
  }
}

TEST_CASE_FIXTURE(Fixture, "segment: one that died while it was made is taken for ours too") {
  write(std::string(4096, '\0'));
  auto segment = Segment::create(options, error);
  REQUIRE(segment != nullptr);
  CHECK(exists(".stale"));
}

TEST_CASE_FIXTURE(Fixture, "segment: a file that is not ours is refused and left as it is") {
  write("not a segment, but somebody's text");
  CHECK(Segment::create(options, error) == nullptr);
  CHECK(error.status == Status::kRefused);
  CHECK(error.text.find("not a segment of ours") != std::string::npos);
  std::string contents;
  std::getline(std::ifstream(file()), contents);
  CHECK(contents == "not a segment, but somebody's text");
  unlink(file().c_str());

  REQUIRE(symlink("/dev/null", file().c_str()) == 0);  // nor is a link followed
  CHECK(Segment::create(options, error) == nullptr);
  CHECK(error.status == Status::kSystem);
  unlink(file().c_str());

  options.path = directory.path;
  CHECK(Segment::create(options, error) == nullptr);
  options.path = directory.path + "/missing/segment";
  CHECK(Segment::create(options, error) == nullptr);
  CHECK(error.system_errno == ENOENT);
}

TEST_CASE_FIXTURE(Fixture, "segment: too little room is an error with what is needed and what is there") {
  options.bytes = 1ull << 60;
  CHECK(Segment::create(options, error) == nullptr);
  CHECK(error.status == Status::kNoMemory);
  CHECK(error.bytes_needed == 1ull << 60);
  CHECK(error.bytes_available > 0);
  CHECK(error.text.find(std::to_string(1ull << 60) + " bytes needed") != std::string::npos);
  CHECK(error.text.find(std::to_string(error.bytes_available) + " available") != std::string::npos);
  CHECK_FALSE(exists(""));

  options.bytes = 100'000;  // smaller than the fixed parts
  CHECK(Segment::create(options, error) == nullptr);
  CHECK(error.status == Status::kNoMemory);
  CHECK(error.bytes_needed == Segment::bytes_min(options));
  CHECK(error.bytes_available < 100'000);
  CHECK_FALSE(exists(""));
  CHECK_FALSE(exists(".stale"));
}

TEST_CASE_FIXTURE(Fixture, "segment: options outside their bounds are refused") {
  const auto refused = [&](auto set) {
    SegmentOptions wrong = options;
    set(wrong);
    const bool none = Segment::create(wrong, error) == nullptr;
    CHECK(error.status == Status::kOutOfRange);
    CHECK_FALSE(exists(""));
    return none;
  };
  CHECK(refused([](SegmentOptions& o) { o.hash_size = 1000; }));
  CHECK(refused([](SegmentOptions& o) { o.hash_size = 0; }));
  CHECK(refused([](SegmentOptions& o) { o.workers = 0; }));
  CHECK(refused([](SegmentOptions& o) { o.workers = kWorkersMax + 1; }));
  CHECK(refused([](SegmentOptions& o) { o.h_id_step = 0; }));
  const std::string long_name(64, 'p');
  const ProfileOption long_profile[] = {{long_name, true}}, empty_profile[] = {{"", true}};
  CHECK(refused([&](SegmentOptions& o) { o.profiles = long_profile; }));
  CHECK(refused([&](SegmentOptions& o) { o.profiles = empty_profile; }));
  const std::string_view long_socket[] = {long_name};
  CHECK(refused([&](SegmentOptions& o) { o.sockets = long_socket; }));
}

TEST_CASE_FIXTURE(Fixture, "segment: attach finds the calls of a process that was killed") {
  in_dying_child([&] {
    auto segment = Segment::create(options, error).release();
    Table table(*segment, 0);
    Profiles profiles(*segment, 0);
    DialogWords words{};
    for (unsigned n = 0; n < 100; ++n) {
      const TestCall call(n);
      (void)table.create(call.dialog(), words);
      if (n % 2 == 0) (void)table.change(handle_of(words), call.answer(), words);
      (void)profiles.join(handle_of(words), 0, text("alice"), 0, nullptr);
      if (n % 10 == 9) (void)table.change(handle_of(words), to_state(kDeleted), words);
    }
    Member pending = 0;
    (void)profiles.join({}, 0, text("alice"), 0, &pending);
    segment->entry_lock(3).lock();  // whatever it held
    segment->region<WheelHead>(kRegionDialogWheels)->lock.lock();
  });
  const std::string_view sockets[] = {"udp:[::1]:5060", "udp:10.0.0.1:5060"};
  options.sockets = sockets;
  options.workers = 3;  // not part of the layout
  auto segment = Segment::attach(options, error);
  REQUIRE_MESSAGE(segment != nullptr, error.text);
  CHECK(segment->verify().sound());
  Table table(*segment, 0);
  Profiles profiles(*segment, 0);
  DialogWords words{};
  CHECK(table.live() == 90);
  CHECK(Counters(*segment, 0).value(kCounterActiveDialogs) == 50);
  CHECK(profiles.count(0, text("alice"), false) == 90);  // the one without a dialog is given back
  CHECK(segment->socket_name(1) == "udp:127.0.0.1:5060");
  CHECK(segment->socket_name(2) == "udp:[::1]:5060");
  CHECK(segment->socket_name(3) == "udp:10.0.0.1:5060");
  CHECK(segment->socket_name(4).empty());
  for (unsigned n = 0; n < 100; ++n) {
    const TestCall call(n);
    const Status status = table.find_by_call_id(text(call.call_id), text(call.caller_tag),
                                                text(n % 2 == 0 ? call.callee_tag : ""), kDownstream, words);
    CHECK(status == (n % 10 == 9 ? Status::kNotFound : Status::kOk));
    if (status == Status::kOk && n % 2 == 0) CHECK(words[kDDue] == 50'000);
  }
  DialogHandle due[64];
  std::uint32_t count = 0;
  for (std::uint32_t owner = 0; owner < 3; ++owner) {
    do {  // a long pause is walked in bounded steps
      count += table.advance(owner, 50'000, due);
    } while (segment->dialog_wheel(owner).behind(50'000));
  }
  CHECK(count == 50);
  // Ids go on where they were.
  REQUIRE(table.create(TestCall(0).dialog(), words) == Status::kOk);
  REQUIRE(table.find_call(text(TestCall(0).call_id), {}, 0, words) == Status::kOk);
  const std::uint32_t first = words[kDId];
  REQUIRE(table.find_call(text(TestCall(0).call_id), {}, 1, words) == Status::kOk);
  CHECK(words[kDId] > first);
}

TEST_CASE_FIXTURE(Fixture, "segment: attach refuses what does not fit, and names the remedy") {
  in_dying_child([&] { (void)Segment::create(options, error).release(); });
  auto refusal = Status::kRefused;
  const auto refused = [&](auto set) {
    SegmentOptions other = options;
    set(other);
    CHECK(Segment::attach(other, error) == nullptr);
    CHECK(error.status == refusal);
    return error.text;
  };
  CHECK(refused([](SegmentOptions& o) { o.hash_size = 128; }).find("hash_size is 64") != std::string::npos);
  CHECK(refused([](SegmentOptions& o) { o.h_id_step = 2; }).find("h_id_step is 1") != std::string::npos);
  const ProfileOption other_way[] = {{"caller", false}};
  CHECK(refused([&](SegmentOptions& o) { o.profiles = other_way; }).find("profile caller") !=
        std::string::npos);
  const auto patched = [&](std::size_t offset, std::uint32_t value) {
    const int fd = open(file().c_str(), O_RDWR);
    std::uint32_t old = 0;
    REQUIRE(pread(fd, &old, 4, static_cast<off_t>(offset)) == 4);
    REQUIRE(pwrite(fd, &value, 4, static_cast<off_t>(offset)) == 4);
    const std::string text = refused([](SegmentOptions&) {});
    REQUIRE(pwrite(fd, &old, 4, static_cast<off_t>(offset)) == 4);
    close(fd);
    return text;
  };
  CHECK(patched(offsetof(SegmentHeader, layout_version), 77).find("layout version 77") != std::string::npos);
  CHECK(patched(offsetof(SegmentHeader, magic), 1).find("not a segment") != std::string::npos);
  refusal = Status::kNotFound;  // nothing is lost with it
  CHECK(patched(offsetof(SegmentHeader, boot_id), 0x7a7a7a7a).find("started anew") != std::string::npos);
  refusal = Status::kRefused;
  REQUIRE(truncate(file().c_str(), 100) == 0);
  CHECK(refused([](SegmentOptions&) {}).find("not a segment") != std::string::npos);
  unlink(file().c_str());
  CHECK(Segment::attach(options, error) == nullptr);
  CHECK(error.status == Status::kSystem);
}

TEST_CASE_FIXTURE(Fixture, "segment: attach refuses a file that was cut, wherever, and leaves it as it is") {
  for (const off_t bytes : {4'096, 8'192, 100'000, 4 << 20, (8 << 20) - 1}) {
    CAPTURE(bytes);
    in_dying_child([&] { (void)Segment::create(options, error).release(); });
    REQUIRE(truncate(file().c_str(), bytes) == 0);
    CHECK(Segment::attach(options, error) == nullptr);
    CHECK(error.status == Status::kRefused);
    CHECK(error.text.find("is cut: " + std::to_string(bytes) +
                          " of 8388608 bytes are there: begin without") != std::string::npos);
    struct stat facts;
    REQUIRE(stat(file().c_str(), &facts) == 0);
    CHECK(facts.st_size == bytes);
    unlink(file().c_str());
  }
}

TEST_CASE("segment: an arena whose blocks have no numbers is refused before a byte of it is touched") {
  const std::size_t bytes = 300ull << 30;
  void* pages =
      mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (pages == MAP_FAILED) return;  // so much is not even lent here
  SegmentError error;
  CHECK(Segment::create_over(pages, bytes, test_options(), error) == nullptr);
  CHECK(error.status == Status::kOutOfRange);
  CHECK(error.text.find("128 GiB") != std::string::npos);
  munmap(pages, bytes);
}

TEST_CASE("segment: sizes scale with the whole, and nothing is wasted") {
  SegmentOptions options = test_options();
  options.hash_size = 4096;
  std::uint32_t last = 0;
  for (const std::size_t megabytes : {8, 16, 64, 256}) {
    SharedPages pages(megabytes << 20);
    SegmentError error;
    auto segment = Segment::create_over(pages.data(), pages.bytes(), options, error);
    REQUIRE(segment != nullptr);
    const Region& end = segment->header().regions[kRegionMailboxes];
    CHECK(end.offset + end.bytes <= pages.bytes());
    CHECK(pages.bytes() - end.offset - end.bytes < 2 * kChunkBytes);
    std::uint64_t at = kPageBytes;
    for (const Region& region : segment->header().regions) {
      CHECK(region.offset >= at);
      CHECK(region.offset % 64 == 0);
      at = region.offset + region.bytes;
    }
    CHECK(segment->calls_enough() > last);
    last = segment->calls_enough();
    MESSAGE(megabytes << " MiB: " << last << " calls, " << segment->header().dialogs_max << " dialogs, "
                      << segment->header().transactions_max << " transactions, "
                      << (segment->arena().total_bytes() >> 20) << " MiB arena");
  }
  CHECK(last >= 150'000);  // the default of 256 MiB
}

TEST_CASE("segment: the least size works, one page less does not") {
  const SegmentOptions options = test_options();
  const std::uint64_t least = Segment::bytes_min(options);
  SharedPages pages(least);
  SegmentError error;
  CHECK(Segment::create_over(pages.data(), least - kPageBytes, options, error) == nullptr);
  CHECK(error.bytes_needed == least);
  auto segment = Segment::create_over(pages.data(), least, options, error);
  REQUIRE(segment != nullptr);
  CHECK(segment->verify().sound());
}
