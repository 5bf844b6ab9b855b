// Identity: the hash of spec 1.1 bit for bit, and the keyed hash of our indexes.
#include "core/hash.h"

#include <doctest/doctest.h>

#include <set>
#include <string>
#include <string_view>

using namespace holdfast;

namespace {
std::span<const std::uint8_t> text(std::string_view s) {
  return {reinterpret_cast<const std::uint8_t*>(s.data()), s.size()};
}

std::uint64_t keyed(std::string_view s) { return KeyedHash(0x0706050403020100, 0x0f0e0d0c0b0a0908)(text(s)); }
}  // namespace

TEST_CASE("hash: the worked example of spec 1.2") {
  const std::string_view call_id = "3c26700857a87f84@10.0.0.1";
  CHECK(core_hash(text(call_id)) == 0x4a70c3ee);
  CHECK((core_hash(text(call_id)) & 4095) == 1006);
}

TEST_CASE("hash: cross-checks of spec 1.2 with field data") {
  CHECK((core_hash(text("w6HWT0d6EZaVY3Lt1dIi0auvX1sq7Ctl")) & 4095) == 93);
  CHECK((core_hash(text("1372913901@192.168.5.52")) & 4095) == 1185);
}

TEST_CASE("hash: a rest of 0 to 3 bytes counts big-endian, case and every byte count") {
  CHECK(core_hash(text("")) == 0);
  // v ^ v >> 3 of the byte alone, then the mix.
  const auto mixed = [](std::uint32_t v) {
    const std::uint32_t h = v ^ (v >> 3);
    return h + (h >> 11) + (h >> 13) + (h >> 23);
  };
  CHECK(core_hash(text("1")) == mixed(0x31));
  CHECK(core_hash(text("12")) == mixed(0x3132));
  CHECK(core_hash(text("123")) == mixed(0x313233));
  CHECK(core_hash(text("1234")) == mixed(0x31323334));
  CHECK(core_hash(text("abc")) != core_hash(text("ABC")));
  const std::string high(5, '\xff');
  CHECK(core_hash(text(high)) != core_hash(text(std::string(5, '\x7f'))));
}

TEST_CASE("hash: white space around a Call-ID does not take part") {
  const auto same = [](std::string_view a, std::string_view b) {
    const auto ta = trimmed(text(a)), tb = text(b);
    return std::string(ta.begin(), ta.end()) == std::string(tb.begin(), tb.end());
  };
  CHECK(same(" \t a b@c\r\n", "a b@c"));
  CHECK(same("abc", "abc"));
  CHECK(same(" \r\n\t ", ""));
  CHECK(same("", ""));
}

TEST_CASE("hash: SipHash-1-3 of the bytes 0..n-1 under the key 0..15") {
  // The first reference values of the 1-3 variant.
  CHECK(keyed("") == 0xabac0158050fc4dcull);
  CHECK(keyed(std::string_view("\x00", 1)) == 0xc9f49bf37d57ca93ull);
  CHECK(keyed(std::string_view("\x00\x01", 2)) == 0x82cb9b024dc7d44dull);
  CHECK(keyed(std::string_view("\x00\x01\x02\x03\x04\x05\x06\x07", 8)) == 0x369095118d299a8eull);
}

TEST_CASE("hash: two numbers hash as their eight bytes") {
  const KeyedHash hash(1, 2);
  CHECK(hash(0x04030201, 0x08070605) == hash(text(std::string_view("\x01\x02\x03\x04\x05\x06\x07\x08", 8))));
}

TEST_CASE("hash: another key gives other values, and buckets are spread evenly") {
  CHECK(KeyedHash(1, 2)(text("x")) != KeyedHash(1, 3)(text("x")));
  CHECK(KeyedHash(1, 2)(text("x")) != KeyedHash(2, 2)(text("x")));
  const KeyedHash hash(7, 9);
  unsigned in_bucket[10] = {};
  for (unsigned n = 0; n < 10000; ++n) {
    const std::string call_id = std::to_string(n) + "@10.0.0.1";
    const std::uint32_t bucket = bucket_of(hash(text(call_id)), 10);
    REQUIRE(bucket < 10);
    in_bucket[bucket] += 1;
  }
  for (const unsigned count : in_bucket) {
    CHECK(count > 850);
    CHECK(count < 1150);
  }
}
