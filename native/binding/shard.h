// binding/shard.h - what the process holds for an open segment, and what one shard's calls work on.
//
// Every room of the binding adds its calls to the same JavaScript object: it exposes `void
// register_<room>(ShardBuilder&)` for the calls of a shard and `void export_<room>(Napi::Env, Napi::Object)`
// for those of the addon, both named in addon.cc.
#pragma once
#include <napi.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "../core/clock.h"
#include "../core/counters.h"
#include "../core/profiles.h"
#include "../core/segment.h"
#include "../core/status.h"
#include "../core/table.h"
#include "../core/transactions.h"
#include "../net/datagrams.h"
#include "call.h"

namespace holdfast::binding {

/// One open segment of this process; every thread finds it by its number.  It stays mapped until the last
/// shard let go.
struct OpenSegment {
  std::uint32_t id = 0;
  std::shared_ptr<Segment> segment;
  std::shared_ptr<net::Wakes> wakes;      // one eventfd per owner
  std::shared_ptr<net::Sockets> sockets;  // what openSockets opened
};
/// Registers an open segment under a new number and returns it (binding/segment.cc, createSegment).
std::uint32_t add_segment(std::shared_ptr<Segment> segment, std::uint32_t owners);
/// Null if there is none of that number.
std::shared_ptr<OpenSegment> find_segment(std::uint32_t id);
/// Takes it out of the registry (closeSegment); null if there is none.
std::shared_ptr<OpenSegment> remove_segment(std::uint32_t id);

/// Word numbers of the exchange area X, in one place for all rooms.  kX*Words are the room each region has.
inline constexpr std::uint32_t kXTransaction = 0;  // kRegisterWords = 424
inline constexpr std::uint32_t kXDialog = 440;     // kDialogWords = 40
inline constexpr std::uint32_t kXClock = 480;      // tick, boot seconds, Unix seconds, as of the last read
/// Of the last receive: milliseconds since the queues were last empty (0: they are), and how long its last datagram
/// had waited (0: not asked; net::kOverflowed: some were lost).
inline constexpr std::uint32_t kXBacklog = 483;
inline constexpr std::uint32_t kXCall = 488;       // a call's arguments, and what it returned
inline constexpr std::uint32_t kXResult = kXCall + kCallArgumentsMax;
inline constexpr std::uint32_t kXSend = 512;  // flow port address[4] tag count, then 64 pairs
enum SendWord : std::uint32_t { kSFlow, kSPort, kSAddress0, kSTag = kSAddress0 + 4, kSCount, kSPieces };
inline constexpr std::uint32_t kSendPiecesMax = 64;
inline constexpr std::uint32_t kXSendWords = kSPieces + 2 * kSendPiecesMax;
inline constexpr std::uint32_t kXArgs = 704;
inline constexpr std::uint32_t kXArgsWords = 320;
inline constexpr std::uint32_t kXBatch = 1024;  // kBatchMax * kBatchWords
inline constexpr std::uint32_t kXBatchWords = 64 * 16;
inline constexpr std::uint32_t kXList = 2048;
inline constexpr std::uint32_t kXListWords = 2048;
inline constexpr std::uint32_t kExchangeWords = 4096;

/// Longer, and a peer's first retransmission comes near.
inline constexpr double kReceiveWindowMsMax = 20;
/// Slots that suspended routes may keep; the rest serves batches.
inline constexpr std::uint32_t kKeptSlotsMax = net::kSlots - net::kBatchMax;

struct Loop;  // net.cc: the handles that drive it
struct Road;  // road.h: the wire, the slots, the queue of what leaves

/// What one shard's calls work on.  One thread uses it; it has no other state than this.  Lives until its
/// environment ends; release() lets go of all that is large before.
struct ShardState : Closable {
  ShardState(std::shared_ptr<OpenSegment> opened, std::uint32_t owner_number)
      : open(std::move(opened)),
        segment(open->segment.get()),
        owner(owner_number),
        counters(*segment, owner_number),
        transactions(*segment, owner_number, &graveyard),
        table(*segment, owner_number),
        profiles(*segment, owner_number) {}

  std::shared_ptr<OpenSegment> open;
  Segment* segment;
  std::uint32_t owner;             // and the number of this thread (layout.h)
  std::uint8_t* memory = nullptr;  // M
  std::size_t memory_bytes = 0;
  std::uint32_t* exchange = nullptr;  // X, kExchangeWords
  Clock clock;
  Counters counters;
  Graveyard graveyard;
  Transactions transactions;
  Table table;
  Profiles profiles;
  Road* road = nullptr;
  Loop* loop = nullptr;  // while started
  double receive_window_ms = 0;
  /// A timer worker of its own keeps the dialogs' time, under the owner number after the last shard's.
  bool has_timer_worker = false;
  Napi::ObjectReference kept_arrays;         // M and X
  std::vector<std::shared_ptr<void>> rooms;  // what other rooms keep for the shard

  /// [offset, offset + length) lies in M.
  [[nodiscard]] bool in_memory(std::uint32_t offset, std::uint32_t length) const noexcept {
    return offset <= memory_bytes && length <= memory_bytes - offset;
  }
  /// That text of M; empty if it does not lie there.
  [[nodiscard]] std::span<const std::uint8_t> text(std::uint32_t offset,
                                                   std::uint32_t length) const noexcept {
    if (!in_memory(offset, length)) return {};
    return {memory + offset, length};
  }
  /// Owner numbers that somebody answers to are below this.
  [[nodiscard]] std::uint32_t owners() const noexcept {
    return has_timer_worker ? segment->owners() : segment->workers();
  }
  /// The shard has seconds to walk in the dialog wheels that it advances.
  [[nodiscard]] bool is_behind() const noexcept;
  [[nodiscard]] std::uint32_t* x(std::uint32_t word) const noexcept { return exchange + word; }
  [[nodiscard]] Transactions::Registers registers() const noexcept {
    return Transactions::Registers(exchange + kXTransaction, kRegisterWords);
  }
};

/// The pieces that XSend describes, checked against M; 0: none, or one that does not lie in M.
[[nodiscard]] std::uint32_t send_pieces(const ShardState& shard,
                                        std::span<iovec, kSendPiecesMax> out) noexcept;
/// Queues the message that XSend describes.
[[nodiscard]] Status queue_described(ShardState& shard) noexcept;

/// Puts calls on the JavaScript object of a shard while it is made.
class ShardBuilder {
 public:
  ShardBuilder(Napi::Env env, Napi::Object object, ShardState& shard)
      : env_(env), object_(object), calls_(Napi::Object::New(env)), shard_(shard) {
    object_.Set("calls", calls_);
  }

  template <auto function>
  void method(const char* name) {
    callback(name, &binding::method<function>);
    using Shape = Signature<decltype(function)>;
    calls_.Set(name, Shape::kArguments * 2 + (Shape::kReturns ? 1 : 0));
  }
  /// A callback that unpacks by itself; its data is the ShardState.
  void callback(const char* name, napi_callback callback);

  [[nodiscard]] ShardState& shard() noexcept { return shard_; }
  [[nodiscard]] Napi::Env env() const noexcept { return env_; }

 private:
  Napi::Env env_;
  Napi::Object object_;
  Napi::Object calls_;  // twice the number of arguments, and one more if something is returned
  ShardState& shard_;
};

}  // namespace holdfast::binding
