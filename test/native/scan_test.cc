// The steering scan [RFC 3261 7.3, 7.5, 8.1.1.4, 17.1.3] and our Via branch.
#include "core/scan.h"

#include <doctest/doctest.h>

#include <cstring>
#include <memory>
#include <random>
#include <string>

using namespace holdfast;

namespace {

/// Scans a copy without a byte to spare, so that the sanitizer sees every look beyond.
Scan scan_text(const std::string& text) {
  std::unique_ptr<std::uint8_t[]> exact(new std::uint8_t[text.size()]);
  std::memcpy(exact.get(), text.data(), text.size());
  return scan({exact.get(), text.size()}, 3);
}

std::string call_id_of(const std::string& text) {
  const Scan found = scan_text(text);
  return text.substr(found.call_id_offset, found.call_id_length);
}

std::string branch_text(const BranchName& name) {
  std::uint8_t out[kBranchNameBytesMax];
  return {reinterpret_cast<char*>(out), write_branch_name(name, out)};
}

bool read_text(const std::string& text, BranchName* out) {
  return read_branch_name({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()}, out);
}

const std::string kStart = "INVITE sip:bob@b.example SIP/2.0\r\n";

}  // namespace

TEST_CASE("branch: says whose transaction it is") {
  CHECK(branch_text({12, 0x1a2b, 3, 0, 0x89abcdef}) == "z9hG4bKh0c.1a2b.3.0.89abcdef");
  CHECK(branch_text({255, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}).size() == kBranchNameBytesMax);
  BranchName name;
  REQUIRE(read_text("z9hG4bKh0c.1a2b.3.0.89abcdef", &name));
  CHECK(name.owner == 12);
  CHECK(name.index == 0x1a2b);
  CHECK(name.generation == 3);
  CHECK(name.branch == 0);
  CHECK(name.hash == 0x89abcdef);
}

TEST_CASE("branch: random names are read back") {
  std::mt19937 engine(1);
  const auto random = [&engine] { return static_cast<std::uint32_t>(engine()); };
  for (int n = 0; n < 2000; ++n) {
    const BranchName name{random() % 256, random() >> random() % 32, random() >> random() % 32, random() % 16,
                          random()};
    BranchName back;
    REQUIRE(read_text(branch_text(name), &back));
    CHECK(back.owner == name.owner);
    CHECK(back.index == name.index);
    CHECK(back.generation == name.generation);
    CHECK(back.branch == name.branch);
    CHECK(back.hash == name.hash);
  }
}

TEST_CASE("branch: anything else is not ours") {
  BranchName name;
  for (const char* text :
       {"", "z9hG4bK", "z9hG4bKh", "z9hG4bKh0", "z9hG4bKh00.1.1.0.1234567", "z9hG4bKh00.1.1.0.123456789",
        "z9hG4bKh00.1.1.0.1234567g", "z9hG4bKh0.1.1.0.12345678", "z9hG4bKh00..1.0.12345678",
        "z9hG4bKh00.1.1.12345678", "z9hG4bKh00.123456789.1.0.12345678", "z9hG4bKh00.1.1.0.12345678.",
        "z9hG4bKi00.1.1.0.12345678", "Z9hG4bKh00.1.1.0.12345678", "z9hG4bKh00.A.1.0.12345678",
        "z9hG4bKh00.1.1.0.1234567 ", "z9hG4bK776asdhds"}) {
    CAPTURE(text);
    CHECK(!read_text(text, &name));
  }
}

TEST_CASE("scan: a request's Call-ID") {
  CHECK(call_id_of(kStart + "Via: SIP/2.0/UDP a;branch=z9hG4bK1\r\nCall-ID: abc@host\r\n\r\n") == "abc@host");
  CHECK(call_id_of(kStart + "i: abc@host\r\n\r\n") == "abc@host");
  CHECK(call_id_of(kStart + "CALL-id \t:\t abc@host \t\r\n\r\n") == "abc@host");
  CHECK(call_id_of(kStart + "Call-ID:\r\n  abc@host\r\nTo: <sip:b@b>\r\n\r\n") == "abc@host");
  CHECK(call_id_of("OPTIONS sip:b SIP/2.0\nI:abc\n\n") == "abc");
  CHECK(call_id_of("\r\n\r\n" + kStart + "Call-ID: abc\r\n\r\n") == "abc");
  CHECK(call_id_of(kStart + "Call-ID: abc") == "abc");  // the end is missing: a guess all the same
}

TEST_CASE("scan: what only looks like a Call-ID is none") {
  CHECK(
      call_id_of(kStart + "X-Call-ID: no\r\nCall-IDs: no\r\nCallID: no\r\nIn-Reply-To: no\r\n\r\n").empty());
  CHECK(call_id_of(kStart + "\r\nCall-ID: body\r\n").empty());
  CHECK(call_id_of(kStart + "Subject: a\r\n Call-ID: folded\r\nCall-ID: right\r\n\r\n") == "right");
  CHECK(call_id_of(kStart + "Call-ID:\r\n\r\n").empty());
  CHECK(call_id_of("").empty());
  CHECK(call_id_of("\r\n\r\n").empty());
  CHECK(call_id_of("Call-ID: first line").empty());
}

TEST_CASE("scan: a response's topmost Via branch") {
  const std::string start = "SIP/2.0 200 OK\r\n";
  const std::string ours = branch_text({1, 0x20, 4, 2, 0xcafe0001});
  Scan found = scan_text(start + "Via: SIP/2.0/UDP 127.0.0.1:5060;branch=" + ours +
                         "\r\nVia: x;branch=z9hG4bK2\r\ni: c\r\n\r\n");
  CHECK(found.is_response);
  REQUIRE(found.has_branch);
  CHECK(found.branch.owner == 1);
  CHECK(found.branch.index == 0x20);
  CHECK(found.branch.branch == 2);
  CHECK(scan_text(start + "v: SIP/2.0/UDP h;rport;received=1.2.3.4 ; BRANCH = " + ours +
                  " , SIP/2.0/UDP z\r\n\r\n")
            .has_branch);
  CHECK(scan_text(start + "V:\r\n SIP/2.0/UDP h\r\n ;branch=" + ours + "\r\n\r\n").has_branch);
}

TEST_CASE("scan: a response whose topmost branch is not ours goes by its Call-ID, before or after the Via") {
  const std::string start = "SIP/2.0 180 Ringing\r\n";
  const std::string theirs = "Via: SIP/2.0/UDP h;branch=z9hG4bK776\r\n";
  const std::string below = "Via: SIP/2.0/UDP p;branch=" + branch_text({1, 1, 1, 0, 1}) + "\r\n";
  for (const std::string& text :
       {start + theirs + below + "Call-ID: c@h\r\n\r\n", start + "Call-ID: c@h\r\n" + theirs + "\r\n",
        start + "Call-ID: c@h\r\n\r\n", start + "Via: SIP/2.0/UDP h;xbranch=1\r\nCall-ID: c@h\r\n\r\n"}) {
    const Scan found = scan_text(text);
    CHECK(!found.has_branch);
    CHECK(text.substr(found.call_id_offset, found.call_id_length) == "c@h");
  }
}

TEST_CASE("scan: an owner that there is not is nobody's branch") {
  const std::string text =
      "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP h;branch=" + branch_text({3, 1, 1, 0, 1}) + "\r\ni: c\r\n\r\n";
  CHECK(!scan_text(text).has_branch);
  CHECK(call_id_of(text) == "c");
}

TEST_CASE("scan: random bytes and cut messages are only ever a guess") {
  std::mt19937 random(5);
  const std::string whole = "SIP/2.0 200 OK\r\nv: SIP/2.0/UDP h;branch=" + branch_text({1, 2, 3, 4, 5}) +
                            "\r\nFrom: <sip:a@b>;tag=1\r\nCall-ID:\r\n abc\r\nCSeq: 1 BYE\r\n\r\nbody";
  for (std::size_t length = 0; length <= whole.size(); ++length) {
    const Scan found = scan_text(whole.substr(0, length));
    CHECK(found.call_id_offset + found.call_id_length <= length);
  }
  for (int n = 0; n < 5000; ++n) {
    std::string text = whole;
    for (int flips = random() % 6; flips >= 0; --flips)
      text[random() % text.size()] = "\r\n :;,=iIvVcC\0x"[random() % 15];
    const Scan found = scan_text(text);
    CHECK(found.call_id_offset + found.call_id_length <= text.size());
  }
}
