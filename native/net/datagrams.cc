#include "datagrams.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/sock_diag.h>
#include <linux/sockios.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "splice.h"

namespace holdfast::net {

namespace {

constexpr std::uint32_t kMappedPrefix =
    0xffff0000u;  // words[2] of ::ffff:a.b.c.d, as its bytes stand in memory
constexpr int kSendWaitMs = 2;
constexpr int kSendWaitsMax = 5;  // in one send(): then a full socket is a failure at once

Address mapped(in_addr v4) noexcept { return {0, 0, kMappedPrefix, v4.s_addr}; }

/// The endpoint as the kernel wants it for a socket of that family; 0: it cannot be reached from there.
socklen_t to_sockaddr(const Endpoint& endpoint, bool v4_socket, sockaddr_in6* out) noexcept {
  const auto port = htons(static_cast<std::uint16_t>(endpoint.port));
  if (endpoint.is_v4() != v4_socket || endpoint.port > 65535) return 0;
  if (v4_socket) {
    auto* in = reinterpret_cast<sockaddr_in*>(out);
    *in = {};
    in->sin_family = AF_INET;
    in->sin_port = port;
    in->sin_addr.s_addr = endpoint.address[3];
    return sizeof(sockaddr_in);
  }
  *out = {};
  out->sin6_family = AF_INET6;
  out->sin6_port = port;
  std::memcpy(&out->sin6_addr, endpoint.address.data(), sizeof out->sin6_addr);
  return sizeof(sockaddr_in6);
}

void from_sockaddr(const sockaddr_in6& name, std::uint32_t* port, std::uint32_t* address) noexcept {
  if (name.sin6_family == AF_INET) {
    const auto& in = reinterpret_cast<const sockaddr_in&>(name);
    *port = ntohs(in.sin_port);
    const Address words = mapped(in.sin_addr);
    std::copy(words.begin(), words.end(), address);
  } else {
    *port = ntohs(name.sin6_port);
    std::memcpy(address, &name.sin6_addr, sizeof name.sin6_addr);
  }
}

void describe(std::uint32_t* words, std::uint32_t slot, std::uint32_t message, std::uint32_t length,
              std::uint32_t flow) noexcept {
  words[kNSlot] = slot;
  words[kNMessage] = message;
  words[kNLength] = length;
  words[kNWords] = words_at(slot);
  words[kNFlow] = flow;
  for (std::uint32_t word = kNSteered; word < kBatchWords; ++word) words[word] = 0;
}

}  // namespace

bool Endpoint::is_v4() const noexcept {
  return address[0] == 0 && address[1] == 0 && address[2] == kMappedPrefix;
}

std::optional<Address> read_address(const std::string& text) noexcept {
  std::string bare = text;
  if (bare.size() > 2 && bare.front() == '[' && bare.back() == ']') bare = bare.substr(1, bare.size() - 2);
  in_addr v4{};
  if (inet_pton(AF_INET, bare.c_str(), &v4) == 1) return mapped(v4);
  in6_addr v6{};
  if (inet_pton(AF_INET6, bare.c_str(), &v6) != 1) return std::nullopt;
  Address address;
  std::memcpy(address.data(), &v6, sizeof v6);
  return address;
}

std::optional<Endpoint> read_endpoint(const std::string& text) noexcept {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string::npos || colon + 1 == text.size() || text.size() - colon > 6) return std::nullopt;
  const auto address = read_address(text.substr(0, colon));
  char* end = nullptr;
  const unsigned long port = std::strtoul(text.c_str() + colon + 1, &end, 10);
  if (!address || *end != '\0' || port > 65535) return std::nullopt;
  return Endpoint{*address, static_cast<std::uint32_t>(port)};
}

std::string text_of(const Endpoint& endpoint) noexcept {
  char host[INET6_ADDRSTRLEN] = {};
  const bool v4 = endpoint.is_v4();
  inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? &endpoint.address[3] : endpoint.address.data(), host, sizeof host);
  char text[INET6_ADDRSTRLEN + 8];
  std::snprintf(text, sizeof text, v4 ? "%s:%u" : "[%s]:%u", host, endpoint.port);
  return text;
}

std::uint32_t place(std::uint8_t* memory, std::uint32_t slot, std::span<const std::uint8_t> bytes) noexcept {
  const std::uint32_t at = bytes.size() <= kSlotBytes ? slot_at(slot) : overflow_at(slot) - kHeadroomBytes;
  if (!bytes.empty()) std::memcpy(memory + at, bytes.data(), bytes.size());
  return at;
}

// -- out
// ---------------------------------------------------------------------------------------------------------------

Status Outbox::add(Outgoing message, std::span<const iovec> pieces) noexcept {
  if (pieces.empty() || pieces.size() > kPiecesMax) return Status::kOutOfRange;
  if (count_ == kOutMessagesMax || piece_count_ + pieces.size() > kOutPiecesMax) return Status::kFull;
  message.first_piece = piece_count_;
  message.pieces = static_cast<std::uint32_t>(pieces.size());
  std::copy(pieces.begin(), pieces.end(), pieces_ + piece_count_);
  piece_count_ += message.pieces;
  bytes_ += bytes_of(pieces);
  messages_[count_++] = message;
  return Status::kOk;
}

void Outbox::flush(Wire& wire) noexcept {
  if (count_ == 0) return;
  const std::uint64_t failed = failures_.total();
  wire.send({messages_, count_}, pieces_, failures_);
  sent_ += count_ - (failures_.total() - failed);
  count_ = piece_count_ = 0;
}

// -- UDP
// ---------------------------------------------------------------------------------------------------------------

namespace {

int open_socket(const Endpoint& at, bool shared) noexcept {
  sockaddr_in6 name{};
  const socklen_t length = to_sockaddr(at, at.is_v4(), &name);
  const int descriptor = socket(name.sin6_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return -1;
  const int one = 1;
  if ((!at.is_v4() && setsockopt(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one) != 0) ||
      (shared && setsockopt(descriptor, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one) != 0) ||
      bind(descriptor, reinterpret_cast<const sockaddr*>(&name), length) != 0) {
    const int error = errno;
    close(descriptor);
    errno = error;
    return -1;
  }
  return descriptor;
}

/// As much as asked for where we may, else as much as the system's limit allows.
void size_buffers(int descriptor, std::uint32_t bytes) noexcept {
  const int wanted = static_cast<int>(std::min<std::uint32_t>(bytes, 0x3fffffff));
  if (wanted == 0) return;
  if (setsockopt(descriptor, SOL_SOCKET, SO_RCVBUFFORCE, &wanted, sizeof wanted) != 0) {
    setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &wanted, sizeof wanted);
  }
  if (setsockopt(descriptor, SOL_SOCKET, SO_SNDBUFFORCE, &wanted, sizeof wanted) != 0) {
    setsockopt(descriptor, SOL_SOCKET, SO_SNDBUF, &wanted, sizeof wanted);
  }
}

std::uint32_t port_of(int descriptor) noexcept {
  sockaddr_in6 name{};
  socklen_t length = sizeof name;
  getsockname(descriptor, reinterpret_cast<sockaddr*>(&name), &length);
  return ntohs(name.sin6_port);  // at the same place in both families
}

}  // namespace

std::shared_ptr<Sockets> Sockets::open(std::span<const Endpoint> listen, std::uint32_t workers,
                                       std::uint32_t receive_buffer_bytes, ListenFault* fault) noexcept {
  std::shared_ptr<Sockets> sockets(new Sockets);
  sockets->listen_.assign(listen.begin(), listen.end());
  sockets->workers_ = workers;
  for (std::size_t n = 0; n < listen.size(); ++n) {
    const int alone = open_socket(sockets->listen_[n], false);
    if (alone < 0) {
      *fault = {n, errno};
      return nullptr;
    }
    sockets->listen_[n].port = port_of(alone);
    close(alone);
  }
  for (std::uint32_t worker = 0; worker < workers; ++worker) {
    for (std::size_t n = 0; n < listen.size(); ++n) {
      const int descriptor = open_socket(sockets->listen_[n], true);
      if (descriptor < 0) {
        *fault = {n, errno};
        return nullptr;
      }
      size_buffers(descriptor, receive_buffer_bytes);
      sockets->descriptors_.push_back(descriptor);
    }
  }
  return sockets;
}

Sockets::~Sockets() {
  for (const int descriptor : descriptors_) close(descriptor);
}

std::span<const int> Sockets::of_worker(std::uint32_t worker) const noexcept {
  if (worker >= workers_) return {};
  return std::span(descriptors_).subspan(worker * listen_.size(), listen_.size());
}

namespace {

/// The socket's own count, read when somebody asks: SO_RXQ_OVFL would tell the same with a control message per
/// datagram.
std::uint32_t drops_of(int descriptor) noexcept {
  std::uint32_t words[SK_MEMINFO_VARS] = {};
  socklen_t length = sizeof words;
  const bool told = getsockopt(descriptor, SOL_SOCKET, SO_MEMINFO, words, &length) == 0;
  return told && length > SK_MEMINFO_DROPS * sizeof *words ? words[SK_MEMINFO_DROPS] : 0;
}

}  // namespace

std::uint64_t Sockets::kernel_drops() const noexcept {
  std::uint64_t drops = 0;
  for (const int descriptor : descriptors_) drops += drops_of(descriptor);
  return drops;
}

std::uint32_t Sockets::receive_buffer_bytes() const noexcept {
  int bytes = 0;
  socklen_t length = sizeof bytes;
  if (!descriptors_.empty()) getsockopt(descriptors_.front(), SOL_SOCKET, SO_RCVBUF, &bytes, &length);
  return static_cast<std::uint32_t>(bytes / 2);  // the kernel doubles it, for its own bookkeeping (socket(7))
}

UdpWire::UdpWire(std::shared_ptr<Sockets> sockets, std::uint32_t worker) noexcept
    : sockets_(std::move(sockets)),
      receives_(worker < sockets_->workers()),
      descriptors_(sockets_->of_worker(receives_ ? worker : 0)) {
  std::memset(in_, 0, sizeof in_);
  std::memset(out_, 0, sizeof out_);
  for (std::uint32_t n = 0; n < kBatchMax; ++n) {
    in_[n].msg_hdr.msg_iov = in_pieces_[n];
    in_[n].msg_hdr.msg_iovlen = 2;
    in_[n].msg_hdr.msg_name = &in_names_[n];
    in_[n].msg_hdr.msg_namelen = sizeof in_names_[n];
    in_pieces_[n][0] = {nullptr, kSlotBytes};
    in_pieces_[n][1] = {nullptr, kOverflowBytes};
  }
}

std::span<const int> UdpWire::descriptors() const noexcept {
  return receives_ ? descriptors_ : std::span<const int>{};
}

std::uint32_t UdpWire::flows() const noexcept {
  return static_cast<std::uint32_t>(sockets_->listen().size());
}

std::uint32_t UdpWire::receive(Slots& slots, std::uint32_t* batch, std::uint32_t room) noexcept {
  if (!receives_) return 0;
  room = std::min(std::min(room, kBatchMax), slots.free_count());
  std::uint8_t* memory = slots.memory();
  std::uint32_t received = 0;
  const std::uint32_t sockets = static_cast<std::uint32_t>(descriptors_.size());
  // Every socket is asked in turn; the one asked first changes, so that none is starved by a full batch of
  // another.  Twice as many as last time are asked for, and then the rest: a lone datagram finds few slots
  // laid out.
  for (std::uint32_t asked = 0; asked < sockets && received < room;) {
    const std::uint32_t socket = (next_ + asked) % sockets;
    const std::uint32_t wanted = std::min(room - received, likely_);
    for (std::uint32_t n = 0; n < wanted; ++n) {
      const std::uint32_t slot = slots.peek(n);
      std::uint8_t* const at = memory + slot_at(slot);
      if (in_pieces_[n][0].iov_base == at) continue;  // free slots are handed out last in, first out
      in_pieces_[n][0].iov_base = at;
      in_pieces_[n][1].iov_base = memory + overflow_at(slot);
    }
    int got = 0;
    do {
      got = recvmmsg(descriptors_[socket], in_, wanted, MSG_DONTWAIT, nullptr);
    } while (got < 0 && errno == EINTR);
    for (int n = 0; n < got; ++n) {
      const std::uint32_t slot = slots.take();
      const std::uint32_t length = in_[n].msg_len;
      std::uint32_t at = slot_at(slot);
      if (length > kSlotBytes) {
        std::memcpy(memory + overflow_at(slot) - kHeadroomBytes, memory + at, kSlotBytes);
        at = overflow_at(slot) - kHeadroomBytes;
      }
      std::uint32_t* words = batch + received * kBatchWords;
      describe(words, slot, at, length, socket + 1);
      from_sockaddr(in_names_[n], &words[kNPort], &words[kNAddress0]);
      in_[n].msg_hdr.msg_namelen = sizeof in_names_[n];  // the kernel wrote how much of it is used
      ++received;
      last_ = socket;
    }
    if (got == static_cast<int>(wanted)) {
      likely_ = kBatchMax;
    } else {
      ++asked;
    }
  }
  drained_ = received < room;
  likely_ = std::clamp(2 * received, kLikelyMin, kBatchMax);
  if (sockets > 1) next_ = (next_ + 1) % sockets;
  return received;
}

std::uint32_t UdpWire::waited_ms() noexcept {
  std::uint32_t drops = 0;
  for (const int descriptor : descriptors_) drops += drops_of(descriptor);
  if (std::exchange(drops_, drops) != drops) return kOverflowed;
  // The stamp of the datagram received last.  The first question has the kernel stamp what arrives from then on; what
  // has no stamp counts as new.  Nobody asks before there is a backlog, so nobody else pays for it.
  timespec arrived{}, now{};
  if (ioctl(descriptors_[last_], SIOCGSTAMPNS, &arrived) != 0) return 0;
  clock_gettime(CLOCK_REALTIME, &now);
  const std::int64_t waited =
      (now.tv_sec - arrived.tv_sec) * std::int64_t{1'000} + (now.tv_nsec - arrived.tv_nsec) / 1'000'000;
  return static_cast<std::uint32_t>(std::clamp<std::int64_t>(waited, 0, kOverflowed - 1));
}

void UdpWire::send(std::span<const Outgoing> messages, const iovec* pieces, Failures& failures) noexcept {
  // One sendmmsg serves one socket.  Order matters within a flow only.
  std::uint32_t left = static_cast<std::uint32_t>(messages.size());
  for (std::uint32_t flow = 1; flow <= flows() && left > 0; ++flow) {
    const bool v4 = sockets_->listen()[flow - 1].is_v4();
    const Outgoing* group[kOutMessagesMax];
    std::uint32_t count = 0;
    for (const Outgoing& message : messages) {
      if (message.flow != flow) continue;
      --left;
      const socklen_t length = to_sockaddr(message.to, v4, &out_names_[count]);
      if (length == 0) {
        failures.add(message, ENETUNREACH);
        continue;
      }
      msghdr& header = out_[count].msg_hdr;
      header.msg_name = &out_names_[count];
      header.msg_namelen = length;
      header.msg_iov = const_cast<iovec*>(pieces + message.first_piece);
      header.msg_iovlen = message.pieces;
      group[count++] = &message;
    }
    if (count > 0) send_group(descriptors_[flow - 1], group, count, failures);
  }
  if (left > 0) {
    for (const Outgoing& message : messages) {
      if (message.flow == 0 || message.flow > flows()) failures.add(message, EBADF);
    }
  }
}

void UdpWire::send_group(int descriptor, std::span<const Outgoing* const> messages, std::uint32_t count,
                         Failures& failures) noexcept {
  int waits = 0;
  for (std::uint32_t sent = 0; sent < count;) {
    const int done = sendmmsg(descriptor, out_ + sent, count - sent, MSG_NOSIGNAL);
    if (done > 0) {
      sent += static_cast<std::uint32_t>(done);
      continue;
    }
    const int error = done < 0 ? errno : EIO;
    if (error == EINTR) continue;
    if (is_full(error) && waits < kSendWaitsMax) {
      ++waits;
      pollfd writable{descriptor, POLLOUT, 0};
      poll(&writable, 1, kSendWaitMs);
      continue;
    }
    failures.add(*messages[sent], error);  // this one only; the rest goes
    ++sent;
  }
}

// -- memory
// ------------------------------------------------------------------------------------------------------------

MemoryNetwork::MemoryNetwork(std::vector<Endpoint> listen, std::uint32_t workers)
    : listen_(std::move(listen)), arrived_(workers) {}

bool MemoryNetwork::put(std::uint32_t worker, std::uint32_t socket, const Endpoint& source,
                        std::span<const std::uint8_t> bytes) {
  if (worker >= arrived_.size() || socket >= listen_.size() || bytes.size() > 65535) return false;
  std::lock_guard guard(lock_);
  arrived_[worker].push_back({socket, source, {bytes.begin(), bytes.end()}, time.milliseconds.load()});
  return true;
}

std::optional<MemoryNetwork::Left> MemoryNetwork::take() {
  std::lock_guard guard(lock_);
  if (left_.empty()) return std::nullopt;
  Left oldest = std::move(left_.front());
  left_.pop_front();
  return oldest;
}

void MemoryNetwork::fail_sends(const Endpoint& to, int error) {
  std::lock_guard guard(lock_);
  std::erase_if(failing_, [&](const auto& row) { return row.first == to; });
  if (error != 0) failing_.emplace_back(to, error);
}

std::uint32_t MemoryWire::receive(Slots& slots, std::uint32_t* batch, std::uint32_t room) noexcept {
  std::lock_guard guard(network_->lock_);
  if (worker_ >= network_->arrived_.size()) return 0;
  auto& arrived = network_->arrived_[worker_];
  room = std::min(std::min(room, kBatchMax), slots.free_count());
  std::uint32_t received = 0;
  for (; received < room && !arrived.empty(); ++received) {
    const MemoryNetwork::Arrived& datagram = arrived.front();
    const std::uint32_t slot = slots.take();
    std::uint32_t* words = batch + received * kBatchWords;
    describe(words, slot, place(slots.memory(), slot, datagram.bytes),
             static_cast<std::uint32_t>(datagram.bytes.size()), datagram.socket + 1);
    words[kNPort] = datagram.source.port;
    std::copy(datagram.source.address.begin(), datagram.source.address.end(), words + kNAddress0);
    waited_ms_ = static_cast<std::uint32_t>(network_->time.milliseconds.load() - datagram.milliseconds);
    arrived.pop_front();
  }
  drained_ = arrived.empty();
  return received;
}

void MemoryWire::send(std::span<const Outgoing> messages, const iovec* pieces, Failures& failures) noexcept {
  std::lock_guard guard(network_->lock_);
  for (const Outgoing& message : messages) {
    const std::span<const iovec> own(pieces + message.first_piece, message.pieces);
    int error = 0;
    for (const auto& [to, failing] : network_->failing_) {
      if (to == message.to) error = failing;
    }
    if (message.flow == 0 || message.flow > network_->listen_.size()) error = EBADF;
    const std::size_t bytes = bytes_of(own);
    if (bytes > 65507) error = EMSGSIZE;
    if (error != 0) {
      failures.add(message, error);
      continue;
    }
    MemoryNetwork::Left left{message.flow - 1, message.to, std::vector<std::uint8_t>(bytes)};
    gather(own, left.bytes);
    network_->left_.push_back(std::move(left));
  }
}

std::uint32_t MemoryWire::flows() const noexcept {
  return static_cast<std::uint32_t>(network_->listen_.size());
}

// -- waking
// ------------------------------------------------------------------------------------------------------------

Wakes::Wakes(std::uint32_t owners) : wakes_(owners) {
  for (Wake& wake : wakes_) wake.descriptor = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
}

Wakes::~Wakes() {
  for (Wake& wake : wakes_) close(wake.descriptor);
}

void Wakes::wake(std::uint32_t owner) noexcept {
  if (owner >= wakes_.size() || wakes_[owner].pending.exchange(true, std::memory_order_acq_rel)) return;
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = write(wakes_[owner].descriptor, &one, sizeof one);
}

void Wakes::seen(std::uint32_t owner) noexcept {
  if (owner >= wakes_.size()) return;
  std::uint64_t count = 0;
  [[maybe_unused]] const ssize_t taken = read(wakes_[owner].descriptor, &count, sizeof count);
  wakes_[owner].pending.exchange(false, std::memory_order_acq_rel);
}

int Wakes::descriptor(std::uint32_t owner) const noexcept {
  return owner < wakes_.size() ? wakes_[owner].descriptor : -1;
}

}  // namespace holdfast::net
