// Splicing: received bytes + edits, nothing outside of either.
#include "net/splice.h"

#include <doctest/doctest.h>

#include <memory>
#include <random>
#include <string>
#include <vector>

using namespace holdfast;
using namespace holdfast::net;

namespace {

std::span<const std::uint8_t> bytes(const std::string& text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

/// The spliced message, or "refused".
std::string spliced(const std::string& message, const std::vector<Edit>& edits, const std::string& text) {
  iovec pieces[kPiecesMax];
  const std::uint32_t count = splice(bytes(message), edits, bytes(text), pieces);
  if (count == 0) return "refused";
  std::string out(bytes_of({pieces, count}), '\0');
  gather({pieces, count}, {reinterpret_cast<std::uint8_t*>(out.data()), out.size()});
  return out;
}

}  // namespace

TEST_CASE("splice: insert, drop and replace, at both ends too") {
  CHECK(spliced("abcdef", {}, "") == "abcdef");
  CHECK(spliced("abcdef", {{0, 0, 2}}, "XY") == "XYabcdef");
  CHECK(spliced("abcdef", {{6, 0, 2}}, "XY") == "abcdefXY");
  CHECK(spliced("abcdef", {{2, 2, 1}}, "X") == "abXef");
  CHECK(spliced("abcdef", {{0, 1, 0}, {1, 1, 1}, {2, 0, 1}, {5, 1, 0}}, "XY") == "XYcde");
  CHECK(spliced("abcdef", {{0, 6, 1}}, "X") == "X");
  CHECK(spliced("", {{0, 0, 1}}, "X") == "X");
}

TEST_CASE("splice: nothing left is no message") {
  CHECK(spliced("abc", {{0, 3, 0}}, "") == "refused");
  CHECK(spliced("", {}, "") == "refused");
}

TEST_CASE("splice: hostile edits are refused") {
  CHECK(spliced("abcdef", {{7, 0, 0}}, "") == "refused");
  CHECK(spliced("abcdef", {{6, 1, 0}}, "") == "refused");
  CHECK(spliced("abcdef", {{1, 0xffffffff, 0}}, "") == "refused");
  CHECK(spliced("abcdef", {{0xffffffff, 1, 0}}, "") == "refused");
  CHECK(spliced("abcdef", {{3, 2, 0}, {4, 0, 0}}, "") == "refused");
  CHECK(spliced("abcdef", {{3, 0, 0}, {2, 0, 0}}, "") == "refused");
  CHECK(spliced("abcdef", {{3, 0, 3}}, "XY") == "refused");
  CHECK(spliced("abcdef", {{3, 0, 1}}, "XY") == "refused");
  CHECK(spliced("abcdef", {{1, 0, 0x80000001}, {2, 0, 0x80000001}}, "XY") == "refused");
}

TEST_CASE("splice: more pieces than there is room for are refused") {
  iovec pieces[2];
  const Edit edits[] = {{2, 0, 1}};
  CHECK(splice(bytes("abcdef"), edits, bytes("X"), pieces) == 0);
}

TEST_CASE("splice: random edits are refused or give what replacing by hand gives") {
  std::mt19937 random(11);
  int accepted = 0;
  for (int n = 0; n < 20'000; ++n) {
    // Exact heap copies, so that the sanitizer sees every byte outside.
    const std::string message(random() % 40, 'm');
    std::vector<Edit> edits(random() % 5);
    std::string text;
    std::uint32_t at = 0, inserted = 0;
    for (Edit& edit : edits) {
      edit = {static_cast<std::uint32_t>(at + random() % 12), static_cast<std::uint32_t>(random() % 6),
              static_cast<std::uint32_t>(random() % 4)};
      at = edit.offset + edit.drop;
      inserted += edit.insert;
    }
    text.assign(random() % 10 == 0 ? inserted + 1 : inserted, 't');
    if (!edits.empty() && random() % 10 == 0) std::swap(edits.front(), edits.back());
    const bool fits = edits_fit(edits, text.size(), message.size());
    std::string expected = message;
    if (fits) {
      std::size_t used = text.size();
      for (std::size_t k = edits.size(); k-- > 0;) {
        used -= edits[k].insert;
        expected.replace(edits[k].offset, edits[k].drop, text.substr(used, edits[k].insert));
      }
      ++accepted;
    }
    CHECK(spliced(message, edits, text) == (fits && !expected.empty() ? expected : "refused"));
  }
  CHECK(accepted > 1000);
}
