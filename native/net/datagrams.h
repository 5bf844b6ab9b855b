// net/datagrams.h - a batch in, straight into the worker's memory; a batch out, by iovec.
//
// A Wire is the network as one worker sees it: UdpWire over the process's sockets, MemoryWire over queues in
// memory for tests.  Above it a datagram is described by kBatchWords words, an outgoing message by its
// destination and pieces.
#pragma once
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "../core/clock.h"
#include "../core/status.h"
#include "backlog.h"
#include "slots.h"

namespace holdfast::net {

/// IPv6, or IPv4-mapped; four words whose bytes in memory are the address.
using Address = std::array<std::uint32_t, 4>;

struct Endpoint {
  Address address{};
  std::uint32_t port = 0;

  [[nodiscard]] bool is_v4() const noexcept;
  bool operator==(const Endpoint&) const = default;
};

/// Reads "127.0.0.1", "::1" or "[::1]".
[[nodiscard]] std::optional<Address> read_address(const std::string& text) noexcept;
/// Reads "127.0.0.1:5080" or "[::1]:5080".
[[nodiscard]] std::optional<Endpoint> read_endpoint(const std::string& text) noexcept;
[[nodiscard]] std::string text_of(const Endpoint& endpoint) noexcept;

/// What TypeScript reads of one received datagram.
enum BatchWord : std::uint32_t {
  kNSlot,
  kNMessage,  // offset in the worker's memory
  kNLength,
  kNWords,  // offset of the slot's parser words
  kNFlow,   // number of the listen address, from 1
  kNPort,   // of the source
  kNAddress0,
  kNAddress1,
  kNAddress2,
  kNAddress3,
  kNSteered,     // how often it has been handed from shard to shard
  kNOwnerGuess,  // whom the scan thinks it belongs to; the receiver if it could not tell
  kNTick,        // of its reception
  kNWordEnd
};
inline constexpr std::uint32_t kBatchWords = 16;
static_assert(kNWordEnd <= kBatchWords);

/// Puts a datagram that stands elsewhere into `slot`; returns the offset of the message in the memory.
std::uint32_t place(std::uint8_t* memory, std::uint32_t slot, std::span<const std::uint8_t> bytes) noexcept;

// -- out
// ---------------------------------------------------------------------------------------------------------------

inline constexpr std::uint32_t kOutMessagesMax = 256;
inline constexpr std::uint32_t kOutPiecesMax = 4096;
inline constexpr std::uint32_t kFailuresMax = 512;
inline constexpr std::uint32_t kNoBranch = 0xffffffff;

struct Outgoing {
  std::uint32_t flow = 0;
  Endpoint to;
  std::uint32_t tag = 0;             // the sender's: a transaction's index
  std::uint32_t branch = kNoBranch;  // of the transaction
  std::uint32_t first_piece = 0, pieces = 0;
};

/// A message that could not be sent.
struct Failure {
  std::uint32_t tag, branch, error;  // errno
};

/// A full send buffer loses this one message, as the network may: it says nothing about where it was to go.
[[nodiscard]] constexpr bool is_full(int error) noexcept {
  return error == EAGAIN || error == EWOULDBLOCK || error == ENOBUFS;
}

class Failures {
 public:
  /// Where the send buffer was full, the branch is not named: it has not failed, retransmission carries on.
  void add(const Outgoing& message, int error) noexcept {
    ++total_;
    const std::uint32_t branch = is_full(error) ? kNoBranch : message.branch;
    if (count_ < kFailuresMax) list_[count_++] = {message.tag, branch, static_cast<std::uint32_t>(error)};
  }
  [[nodiscard]] std::span<const Failure> list() const noexcept { return {list_, count_}; }
  [[nodiscard]] std::uint64_t total() const noexcept { return total_; }  // since the beginning
  void clear() noexcept { count_ = 0; }

 private:
  std::uint32_t count_ = 0;
  std::uint64_t total_ = 0;
  Failure list_[kFailuresMax];
};

class Wire {
 public:
  virtual ~Wire() = default;
  /// Receives at most `room` (<= kBatchMax) datagrams without waiting, fewer if slots are short; writes
  /// kBatchWords of each to `batch` (slot to address; the rest is 0) and takes a slot for each.
  virtual std::uint32_t receive(Slots& slots, std::uint32_t* batch, std::uint32_t room) noexcept = 0;
  /// Sends all messages in order per flow; one that cannot be sent goes to `failures`, the others are sent
  /// all the same.
  virtual void send(std::span<const Outgoing> messages, const iovec* pieces, Failures& failures) noexcept = 0;
  /// Whether the last receive found the end of what had arrived.
  [[nodiscard]] bool is_drained() const noexcept { return drained_; }
  /// Milliseconds that the newest datagram of the last receive had waited; kOverflowed: since the last look some
  /// were lost for want of room.  What arrived behind it waits as long.
  [[nodiscard]] virtual std::uint32_t waited_ms() noexcept = 0;
  /// File descriptors whose readability announces datagrams.
  [[nodiscard]] virtual std::span<const int> descriptors() const noexcept { return {}; }
  /// The number of listen addresses; flows are 1..this.
  [[nodiscard]] virtual std::uint32_t flows() const noexcept = 0;

 protected:
  bool drained_ = true;
};

/// Messages that wait for the end of the batch.
class Outbox {
 public:
  /// kFull: flush first.  kOutOfRange: no piece, or more than fit.
  [[nodiscard]] Status add(Outgoing message, std::span<const iovec> pieces) noexcept;
  /// Sends everything.  What cannot be sent is in failures().
  void flush(Wire& wire) noexcept;

  [[nodiscard]] bool empty() const noexcept { return count_ == 0; }
  [[nodiscard]] std::uint64_t sent() const noexcept { return sent_; }
  /// Bytes that were queued since the last call.
  std::uint64_t take_bytes() noexcept { return std::exchange(bytes_, 0); }
  [[nodiscard]] Failures& failures() noexcept { return failures_; }

 private:
  std::uint32_t count_ = 0, piece_count_ = 0;
  std::uint64_t sent_ = 0, bytes_ = 0;
  Outgoing messages_[kOutMessagesMax];
  iovec pieces_[kOutPiecesMax];
  Failures failures_;
};

// -- UDP
// ---------------------------------------------------------------------------------------------------------------

/// Why sockets could not be opened.
struct ListenFault {
  std::size_t listen = 0;  // index of the address
  int error = 0;           // errno
};

/// The sockets of this process: one group of SO_REUSEPORT sockets per listen address, one socket of it per
/// worker.  When a worker dies, its sockets and what waits in them stay for its successor; the groups never
/// change.
class Sockets {
 public:
  /// Binds each address once alone, so that another program there is found, then `workers` times together.
  [[nodiscard]] static std::shared_ptr<Sockets> open(std::span<const Endpoint> listen, std::uint32_t workers,
                                                     std::uint32_t receive_buffer_bytes,
                                                     ListenFault* fault) noexcept;
  ~Sockets();
  Sockets(const Sockets&) = delete;
  Sockets& operator=(const Sockets&) = delete;

  [[nodiscard]] std::span<const int> of_worker(std::uint32_t worker) const noexcept;
  [[nodiscard]] std::span<const Endpoint> listen() const noexcept { return listen_; }
  [[nodiscard]] std::uint32_t workers() const noexcept { return workers_; }
  /// Datagrams that the kernel dropped because a socket's buffer was full, over all sockets since they were
  /// opened.
  [[nodiscard]] std::uint64_t kernel_drops() const noexcept;
  /// What the kernel granted of what was asked for, of the first socket.
  [[nodiscard]] std::uint32_t receive_buffer_bytes() const noexcept;

 private:
  Sockets() = default;
  std::vector<Endpoint> listen_;  // with the real ports where 0 was asked for
  std::vector<int> descriptors_;  // worker by worker
  std::uint32_t workers_ = 0;
};

class UdpWire final : public Wire {
  static constexpr std::uint32_t kLikelyMin = 8;

 public:
  /// `worker` receives from its own sockets.  A thread without sockets (worker >= sockets->workers()) only
  /// sends, through those of worker 0.
  UdpWire(std::shared_ptr<Sockets> sockets, std::uint32_t worker) noexcept;

  std::uint32_t receive(Slots& slots, std::uint32_t* batch, std::uint32_t room) noexcept override;
  void send(std::span<const Outgoing> messages, const iovec* pieces, Failures& failures) noexcept override;
  [[nodiscard]] std::uint32_t waited_ms() noexcept override;
  [[nodiscard]] std::span<const int> descriptors() const noexcept override;
  [[nodiscard]] std::uint32_t flows() const noexcept override;

 private:
  void send_group(int descriptor, std::span<const Outgoing* const> messages, std::uint32_t count,
                  Failures& failures) noexcept;

  std::shared_ptr<Sockets> sockets_;
  bool receives_;
  std::span<const int> descriptors_;
  std::uint32_t next_ = 0;            // the socket that is asked first, in turn
  std::uint32_t last_ = 0;            // the socket that the last datagram came from
  std::uint32_t drops_ = 0;           // of the kernel's, as of the last look
  std::uint32_t likely_ = kBatchMax;  // datagrams that the next receive asks for first
  mmsghdr in_[kBatchMax];
  iovec in_pieces_[kBatchMax][2];
  sockaddr_in6 in_names_[kBatchMax];
  mmsghdr out_[kOutMessagesMax];
  sockaddr_in6 out_names_[kOutMessagesMax];
};

// -- memory
// ------------------------------------------------------------------------------------------------------------

/// A network in memory: what arrives is put by a test, what leaves is taken by it; the clock is the test's.
class MemoryNetwork {
 public:
  MemoryNetwork(std::vector<Endpoint> listen, std::uint32_t workers);

  /// False: no such worker or socket, or more than 65,535 bytes.
  bool put(std::uint32_t worker, std::uint32_t socket, const Endpoint& source,
           std::span<const std::uint8_t> bytes);
  struct Left {
    std::uint32_t socket;
    Endpoint to;
    std::vector<std::uint8_t> bytes;
  };
  std::optional<Left> take();
  void fail_sends(const Endpoint& to, int error);

  ManualTime time;

 private:
  friend class MemoryWire;
  struct Arrived {
    std::uint32_t socket;
    Endpoint source;
    std::vector<std::uint8_t> bytes;
    std::uint64_t milliseconds;
  };
  std::mutex lock_;
  std::vector<Endpoint> listen_;
  std::vector<std::deque<Arrived>> arrived_;  // per worker
  std::deque<Left> left_;
  std::vector<std::pair<Endpoint, int>> failing_;
};

class MemoryWire final : public Wire {
 public:
  MemoryWire(std::shared_ptr<MemoryNetwork> network, std::uint32_t worker)
      : network_(std::move(network)), worker_(worker) {}

  std::uint32_t receive(Slots& slots, std::uint32_t* batch, std::uint32_t room) noexcept override;
  void send(std::span<const Outgoing> messages, const iovec* pieces, Failures& failures) noexcept override;
  [[nodiscard]] std::uint32_t waited_ms() noexcept override { return waited_ms_; }
  [[nodiscard]] std::uint32_t flows() const noexcept override;

 private:
  std::shared_ptr<MemoryNetwork> network_;
  std::uint32_t worker_;
  std::uint32_t waited_ms_ = 0;
};

// -- waking
// ------------------------------------------------------------------------------------------------------------

/// One eventfd per owner; threads of this process wake each other by them.
class Wakes {
 public:
  explicit Wakes(std::uint32_t owners);
  ~Wakes();
  Wakes(const Wakes&) = delete;
  Wakes& operator=(const Wakes&) = delete;

  /// Writes to the owner's eventfd unless that has been done and not been seen yet.
  void wake(std::uint32_t owner) noexcept;
  /// The owner has woken: from here on a wake is written again.  Look into the mailbox after this call.
  void seen(std::uint32_t owner) noexcept;
  [[nodiscard]] int descriptor(std::uint32_t owner) const noexcept;
  [[nodiscard]] std::uint32_t owners() const noexcept { return static_cast<std::uint32_t>(wakes_.size()); }

 private:
  struct Wake {
    int descriptor = -1;
    std::atomic<bool> pending{false};
  };
  std::vector<Wake> wakes_;
};

}  // namespace holdfast::net
