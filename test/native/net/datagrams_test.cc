// The wires: UDP over loopback, IPv4 and IPv6, and the network in memory.  Ports 16100 to 16199.
#include "net/datagrams.h"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <memory>
#include <string>
#include <vector>

using namespace holdfast;
using namespace holdfast::net;

namespace {

std::span<const std::uint8_t> bytes(const std::string& text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

Endpoint endpoint(const char* text) { return *read_endpoint(text); }

/// A socket of a peer.
struct Peer {
  explicit Peer(const char* text) : at(endpoint(text)) {
    if (at.is_v4()) {
      descriptor = socket(AF_INET, SOCK_DGRAM, 0);
      sockaddr_in name{};
      name.sin_family = AF_INET;
      name.sin_port = htons(static_cast<std::uint16_t>(at.port));
      name.sin_addr.s_addr = at.address[3];
      REQUIRE(bind(descriptor, reinterpret_cast<sockaddr*>(&name), sizeof name) == 0);
    } else {
      descriptor = socket(AF_INET6, SOCK_DGRAM, 0);
      sockaddr_in6 name{};
      name.sin6_family = AF_INET6;
      name.sin6_port = htons(static_cast<std::uint16_t>(at.port));
      std::memcpy(&name.sin6_addr, at.address.data(), 16);
      REQUIRE(bind(descriptor, reinterpret_cast<sockaddr*>(&name), sizeof name) == 0);
    }
  }
  ~Peer() { close(descriptor); }
  void send(const Endpoint& to, const std::string& text) const {
    if (at.is_v4()) {
      sockaddr_in name{};
      name.sin_family = AF_INET;
      name.sin_port = htons(static_cast<std::uint16_t>(to.port));
      name.sin_addr.s_addr = to.address[3];
      CHECK(sendto(descriptor, text.data(), text.size(), 0, reinterpret_cast<sockaddr*>(&name),
                   sizeof name) == static_cast<ssize_t>(text.size()));
    } else {
      sockaddr_in6 name{};
      name.sin6_family = AF_INET6;
      name.sin6_port = htons(static_cast<std::uint16_t>(to.port));
      std::memcpy(&name.sin6_addr, to.address.data(), 16);
      CHECK(sendto(descriptor, text.data(), text.size(), 0, reinterpret_cast<sockaddr*>(&name),
                   sizeof name) == static_cast<ssize_t>(text.size()));
    }
  }
  /// The next datagram; "nothing" if none comes within a second.
  [[nodiscard]] std::string receive(int wait_ms = 1000) const {
    pollfd readable{descriptor, POLLIN, 0};
    if (poll(&readable, 1, wait_ms) != 1) return "nothing";
    std::string text(65536, '\0');
    text.resize(static_cast<std::size_t>(recv(descriptor, text.data(), text.size(), 0)));
    return text;
  }
  Endpoint at;
  int descriptor;
};

struct Worker {
  Worker() : memory(new std::uint8_t[kMemoryBytes]), slots(memory.get()) {}
  std::uint32_t receive(Wire& wire) {
    for (std::span<const int> all = wire.descriptors(); const int descriptor : all) {
      pollfd readable{descriptor, POLLIN, 0};
      poll(&readable, 1, 200);
    }
    return wire.receive(slots, batch, kBatchMax);
  }
  [[nodiscard]] std::uint32_t word(std::uint32_t n, BatchWord which) const {
    return batch[n * kBatchWords + which];
  }
  [[nodiscard]] std::string message(std::uint32_t n) const {
    return {reinterpret_cast<const char*>(memory.get() + word(n, kNMessage)), word(n, kNLength)};
  }
  void done(std::uint32_t count) {
    for (std::uint32_t n = 0; n < count; ++n) slots.done(word(n, kNSlot));
  }
  std::unique_ptr<std::uint8_t[]> memory;
  Slots slots;
  std::uint32_t batch[kBatchMax * kBatchWords];
};

iovec piece(const std::string& text) { return {const_cast<char*>(text.data()), text.size()}; }

constexpr std::uint32_t kPiecesEach = 64;

std::shared_ptr<Sockets> open(std::vector<Endpoint> listen, std::uint32_t workers = 1) {
  ListenFault fault;
  auto sockets = Sockets::open(listen, workers, 1 << 20, &fault);
  INFO("errno " << fault.error);
  REQUIRE(sockets);
  return sockets;
}

}  // namespace

TEST_CASE("endpoints: read and written") {
  CHECK(text_of(endpoint("127.0.0.1:5060")) == "127.0.0.1:5060");
  CHECK(text_of(endpoint("[::1]:5060")) == "[::1]:5060");
  CHECK(endpoint("127.0.0.1:5060").is_v4());
  CHECK(!endpoint("[::1]:5060").is_v4());
  CHECK(endpoint("[::ffff:127.0.0.1]:1") == endpoint("127.0.0.1:1"));
  for (const char* wrong : {"", "127.0.0.1", ":5060", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:5x",
                            "host:5060", "1.2.3.4:999999999"}) {
    CAPTURE(wrong);
    CHECK(!read_endpoint(wrong));
  }
}

TEST_CASE("slots: free, in the batch, kept, and free again") {
  Worker w;
  CHECK(w.slots.free_count() == kSlots);
  const std::uint32_t next = w.slots.peek(0);
  const std::uint32_t slot = w.slots.take();
  CHECK(slot == next);
  CHECK(!w.slots.release(slot));
  CHECK(w.slots.keep(slot));
  CHECK(!w.slots.keep(slot));  // once only: whoever counts what is kept would count it twice
  w.slots.done(slot);
  w.slots.done(slot);
  CHECK(w.slots.free_count() == kSlots - 1);
  CHECK(!w.slots.keep(slot));
  CHECK(w.slots.release(slot));
  CHECK(!w.slots.release(slot));
  CHECK(w.slots.free_count() == kSlots);
  CHECK(w.slots.peek(0) == slot);  // last in, first out
  CHECK(!w.slots.keep(kSlots));
  CHECK(!w.slots.release(0xffffffff));
  const std::uint32_t kept = w.slots.take();
  CHECK(w.slots.keep(kept));
  CHECK(w.slots.release(kept));  // before the batch ends: still in it
  CHECK(w.slots.free_count() == kSlots - 1);
  w.slots.done(kept);
  CHECK(w.slots.free_count() == kSlots);
}

TEST_CASE("udp: a batch comes in with its sources, answers go out in pieces") {
  const Endpoint here = endpoint("127.0.0.1:16101");
  UdpWire wire(open({here}), 0);
  Peer peer("127.0.0.1:16102");
  Worker w;
  for (int n = 0; n < 5; ++n) peer.send(here, "datagram " + std::to_string(n));
  std::uint32_t count = w.receive(wire);
  REQUIRE(count == 5);
  for (std::uint32_t n = 0; n < count; ++n) {
    CHECK(w.message(n) == "datagram " + std::to_string(n));
    CHECK(w.word(n, kNFlow) == 1);
    CHECK(w.word(n, kNPort) == 16102);
    CHECK(w.word(n, kNAddress3) == inet_addr("127.0.0.1"));
    CHECK(w.word(n, kNWords) == words_at(w.word(n, kNSlot)));
    CHECK(w.word(n, kNSteered) == 0);
  }
  Outbox outbox;
  const std::string first = "abc", second = "defg";
  const iovec pieces[] = {piece(first), piece(second)};
  for (int n = 0; n < 3; ++n) REQUIRE(outbox.add({.flow = 1, .to = peer.at}, pieces) == Status::kOk);
  outbox.flush(wire);
  CHECK(outbox.empty());
  CHECK(outbox.sent() == 3);
  for (int n = 0; n < 3; ++n) CHECK(peer.receive() == "abcdefg");
  w.done(count);
  CHECK(w.slots.free_count() == kSlots);
  CHECK(wire.receive(w.slots, w.batch, kBatchMax) == 0);
}

TEST_CASE("udp: datagrams of any length lie in one piece") {
  const Endpoint here = endpoint("127.0.0.1:16103");
  UdpWire wire(open({here}), 0);
  Peer peer("127.0.0.1:16104");
  Worker w;
  for (const std::size_t length : {0u, 1u, 2047u, 2048u, 2049u, 4096u, 30000u, 65507u}) {
    std::string text(length, '\0');
    for (std::size_t n = 0; n < length; ++n) text[n] = static_cast<char>('a' + n % 23);
    peer.send(here, text);
    const std::uint32_t count = w.receive(wire);
    REQUIRE(count == 1);
    CHECK(w.message(0) == text);
    w.done(count);
  }
}

TEST_CASE("udp: IPv6, several addresses at once, each flow through its own socket") {
  const std::vector<Endpoint> here{endpoint("127.0.0.1:16105"), endpoint("[::1]:16105")};
  UdpWire wire(open(here), 0);
  Peer four("127.0.0.1:16106"), six("[::1]:16106");
  Worker w;
  four.send(here[0], "four");
  six.send(here[1], "six");
  const std::uint32_t count = w.receive(wire);
  REQUIRE(count == 2);
  CHECK(w.message(0) == "four");
  CHECK(w.message(1) == "six");
  CHECK(w.word(1, kNFlow) == 2);
  const std::string answer = "answer";
  const iovec pieces[] = {piece(answer)};
  Outbox outbox;
  for (int n = 0; n < 2; ++n) {
    REQUIRE(outbox.add({.flow = 2, .to = six.at}, pieces) == Status::kOk);
    REQUIRE(outbox.add({.flow = 1, .to = four.at}, pieces) == Status::kOk);
  }
  outbox.flush(wire);
  CHECK(outbox.sent() == 4);
  CHECK(four.receive() == "answer");
  CHECK(six.receive() == "answer");
  CHECK(wire.flows() == 2);
}

TEST_CASE("udp: one message that cannot be sent is reported, the others go") {
  const Endpoint here = endpoint("127.0.0.1:16107");
  UdpWire wire(open({here}), 0);
  Peer peer("127.0.0.1:16108");
  Outbox outbox;
  const std::string good = "good", big(65508, 'x');
  const iovec pieces[] = {piece(good)}, too_big[] = {piece(big)};
  REQUIRE(outbox.add({.flow = 1, .to = peer.at, .tag = 1}, pieces) == Status::kOk);
  REQUIRE(outbox.add({.flow = 1, .to = peer.at, .tag = 2, .branch = 3}, too_big) == Status::kOk);
  REQUIRE(outbox.add({.flow = 1, .to = endpoint("[::1]:16108"), .tag = 3}, pieces) == Status::kOk);
  REQUIRE(outbox.add({.flow = 7, .to = peer.at, .tag = 4}, pieces) == Status::kOk);
  REQUIRE(outbox.add({.flow = 0, .to = peer.at, .tag = 5}, pieces) == Status::kOk);
  REQUIRE(outbox.add({.flow = 1, .to = peer.at, .tag = 6}, pieces) == Status::kOk);
  outbox.flush(wire);
  CHECK(outbox.sent() == 2);
  CHECK(peer.receive() == "good");
  CHECK(peer.receive() == "good");
  std::vector<std::pair<std::uint32_t, std::uint32_t>> failed;
  for (const Failure& failure : outbox.failures().list()) failed.emplace_back(failure.tag, failure.error);
  CHECK(failed == std::vector<std::pair<std::uint32_t, std::uint32_t>>{
                      {3, ENETUNREACH}, {2, EMSGSIZE}, {4, EBADF}, {5, EBADF}});
  CHECK(outbox.failures().list()[1].branch == 3);
}

TEST_CASE("udp: the queue is bounded") {
  Outbox outbox;
  const std::string text = "x";
  const std::vector<iovec> pieces(kPiecesEach, piece(text));
  CHECK(outbox.add({.flow = 1, .to = {}}, {}) == Status::kOutOfRange);
  CHECK(outbox.add({.flow = 1, .to = {}}, std::vector<iovec>(66, piece(text))) == Status::kOutOfRange);
  std::uint32_t added = 0;
  while (outbox.add({.flow = 1, .to = {}}, pieces) == Status::kOk) ++added;
  CHECK(added == kOutPiecesMax / kPiecesEach);
}

TEST_CASE("udp: an address that another program listens on is found, with or without SO_REUSEPORT") {
  const Endpoint here = endpoint("127.0.0.1:16109");
  ListenFault fault;
  {
    Peer other("127.0.0.1:16109");
    CHECK(!Sockets::open(std::vector{here}, 1, 0, &fault));
    CHECK(fault.error == EADDRINUSE);
    CHECK(fault.listen == 0);
  }
  auto first = open({here}, 2);
  CHECK(!Sockets::open(std::vector{endpoint("127.0.0.1:16110"), here}, 1, 0, &fault));
  CHECK(fault.error == EADDRINUSE);
  CHECK(fault.listen == 1);
  first.reset();
  CHECK(Sockets::open(std::vector{here}, 1, 0, &fault));
  CHECK(!Sockets::open(std::vector{endpoint("192.0.2.1:16109")}, 1, 0, &fault));
  CHECK(fault.error == EADDRNOTAVAIL);
}

TEST_CASE("udp: workers share an address, a thread without sockets sends through the first's") {
  const Endpoint here = endpoint("127.0.0.1:16111");
  auto sockets = open({here}, 2);
  UdpWire first(sockets, 0), second(sockets, 1), timer(sockets, 2);
  CHECK(timer.descriptors().empty());
  Worker w;
  std::uint32_t got = 0;
  for (int n = 0; n < 16; ++n) {
    Peer peer(("127.0.0.1:" + std::to_string(16120 + n)).c_str());
    peer.send(here, "x");
    for (UdpWire* wire : {&first, &second}) {
      const std::uint32_t count = wire->receive(w.slots, w.batch, kBatchMax);
      w.done(count);
      got += count;
    }
  }
  CHECK(got == 16);
  CHECK(timer.receive(w.slots, w.batch, kBatchMax) == 0);
  Peer peer("127.0.0.1:16112");
  const std::string text = "from the timer";
  const iovec pieces[] = {piece(text)};
  Outbox outbox;
  REQUIRE(outbox.add({.flow = 1, .to = peer.at}, pieces) == Status::kOk);
  outbox.flush(timer);
  CHECK(peer.receive() == text);
}

TEST_CASE("udp: what the kernel dropped is counted") {
  const Endpoint here = endpoint("127.0.0.1:16113");
  ListenFault fault;
  auto sockets = Sockets::open(std::vector{here}, 1, 4096, &fault);
  REQUIRE(sockets);
  CHECK(sockets->kernel_drops() == 0);
  CHECK(sockets->receive_buffer_bytes() == 4096);  // what was asked for, not what the kernel adds to it
  Peer peer("127.0.0.1:16114");
  for (int n = 0; n < 100; ++n) peer.send(here, std::string(1000, 'x'));
  UdpWire wire(sockets, 0);
  Worker w;
  const std::uint32_t count = w.receive(wire);
  CHECK(count < 100);
  CHECK(sockets->kernel_drops() == 100 - count);
}

TEST_CASE("udp: no free slot, no datagram; it waits in the socket") {
  const Endpoint here = endpoint("127.0.0.1:16115");
  UdpWire wire(open({here}), 0);
  Peer peer("127.0.0.1:16116");
  Worker w;
  while (w.slots.free_count() > 2) (void)w.slots.take();
  for (int n = 0; n < 5; ++n) peer.send(here, std::to_string(n));
  CHECK(w.receive(wire) == 2);
  CHECK(w.receive(wire) == 0);
  w.done(2);
  CHECK(w.receive(wire) == 2);
  CHECK(w.message(0) == "2");
}

TEST_CASE("memory: what is put arrives, what is sent is taken, in order; failures are the test's") {
  auto network =
      std::make_shared<MemoryNetwork>(std::vector{endpoint("127.0.0.1:5060"), endpoint("[::1]:5060")}, 2);
  MemoryWire first(network, 0), second(network, 1);
  Worker w;
  const std::string big(40'000, 'b');
  CHECK(network->put(1, 1, endpoint("[::1]:7"), bytes("hello")));
  CHECK(network->put(1, 0, endpoint("127.0.0.1:8"), bytes(big)));
  CHECK(!network->put(2, 0, endpoint("127.0.0.1:8"), bytes("x")));
  CHECK(!network->put(0, 2, endpoint("127.0.0.1:8"), bytes("x")));
  CHECK(first.receive(w.slots, w.batch, kBatchMax) == 0);
  REQUIRE(second.receive(w.slots, w.batch, kBatchMax) == 2);
  CHECK(w.message(0) == "hello");
  CHECK(w.word(0, kNFlow) == 2);
  CHECK(w.word(0, kNPort) == 7);
  CHECK(w.message(1) == big);
  Outbox outbox;
  const std::string text = "text";
  const iovec pieces[] = {piece(text), piece(text)};
  network->fail_sends(endpoint("127.0.0.1:9"), EPERM);
  REQUIRE(outbox.add({.flow = 1, .to = endpoint("127.0.0.1:9"), .tag = 4, .branch = 5}, pieces) ==
          Status::kOk);
  REQUIRE(outbox.add({.flow = 2, .to = endpoint("[::1]:9")}, pieces) == Status::kOk);
  outbox.flush(first);
  REQUIRE(outbox.failures().list().size() == 1);
  CHECK(outbox.failures().list()[0].tag == 4);
  CHECK(outbox.failures().list()[0].error == EPERM);
  CHECK(outbox.failures().list()[0].branch == 5);
  const auto left = network->take();
  REQUIRE(left);
  CHECK(left->socket == 1);
  CHECK(text_of(left->to) == "[::1]:9");
  CHECK(std::string(left->bytes.begin(), left->bytes.end()) == "texttext");
  CHECK(!network->take());
  network->fail_sends(endpoint("127.0.0.1:9"), 0);
  REQUIRE(outbox.add({.flow = 1, .to = endpoint("127.0.0.1:9")}, pieces) == Status::kOk);
  outbox.flush(first);
  CHECK(network->take());
}

TEST_CASE("memory: a full send buffer is counted, but no branch has failed for it") {
  auto network = std::make_shared<MemoryNetwork>(std::vector{endpoint("127.0.0.1:5060")}, 1);
  MemoryWire wire(network, 0);
  Outbox outbox;
  const std::string text = "text";
  const iovec pieces[] = {piece(text)};
  for (const int error : {EAGAIN, ENOBUFS, ECONNREFUSED}) {
    CAPTURE(error);
    network->fail_sends(endpoint("127.0.0.1:9"), error);
    const std::uint64_t before = outbox.failures().total();
    REQUIRE(outbox.add({.flow = 1, .to = endpoint("127.0.0.1:9"), .tag = 4, .branch = 2}, pieces) ==
            Status::kOk);
    outbox.flush(wire);
    CHECK(outbox.failures().total() == before + 1);
    REQUIRE(outbox.failures().list().size() == 1);
    CHECK(outbox.failures().list()[0].tag == 4);
    CHECK(outbox.failures().list()[0].branch == (error == ECONNREFUSED ? 2 : kNoBranch));
    outbox.failures().clear();
  }
}

TEST_CASE("wakes: written once until seen") {
  Wakes wakes(2);
  const auto readable = [&] {
    pollfd poll_one{wakes.descriptor(1), POLLIN, 0};
    return poll(&poll_one, 1, 0) == 1;
  };
  CHECK(!readable());
  wakes.wake(1);
  wakes.wake(1);
  wakes.wake(7);
  CHECK(readable());
  wakes.seen(1);
  CHECK(!readable());
  wakes.wake(1);
  CHECK(readable());
  CHECK(wakes.descriptor(2) == -1);
}
