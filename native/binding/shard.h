// binding/shard.h - what the process holds for an open segment, and what one shard's calls work on.
//
// Every room of the binding adds its calls to the same JavaScript object: it exposes `void register_<room>(ShardBuilder&)`
// for the calls of a shard and `void export_<room>(Napi::Env, Napi::Object)` for those of the addon, both named in addon.cc.
#pragma once
#include <napi.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "../core/clock.h"
#include "../core/status.h"
#include "call.h"

namespace holdfast {
class Segment;
class Table;
class Profiles;
class Counters;
class Transactions;
class Undo;
namespace net {
class Sockets;
class Wakes;
}  // namespace net
}  // namespace holdfast

namespace holdfast::binding {

/// One open segment of this process; every thread finds it by its number.  It stays mapped until the last shard let go.
struct OpenSegment {
  std::uint32_t id = 0;
  std::shared_ptr<Segment> segment;
  std::shared_ptr<net::Wakes> wakes;       // one eventfd per owner
  std::shared_ptr<net::Sockets> sockets;   // what openSockets opened
};
/// Registers an open segment under a new number and returns it (binding/segment.cc, createSegment).
std::uint32_t add_segment(std::shared_ptr<Segment> segment, std::uint32_t owners);
/// Null if there is none of that number.
std::shared_ptr<OpenSegment> find_segment(std::uint32_t id);
/// Takes it out of the registry (closeSegment); null if there is none.
std::shared_ptr<OpenSegment> remove_segment(std::uint32_t id);

/// Word numbers of the exchange area X, in one place for all rooms.  kX*Words are the room each region has.
inline constexpr std::uint32_t kXTransaction = 0;        // kRegisterWords = 424
inline constexpr std::uint32_t kXDialog = 448;           // kDialogWords = 32
inline constexpr std::uint32_t kXSend = 512;             // flow port address[4] tag count, then 64 pairs
inline constexpr std::uint32_t kXSendWords = 8 + 2 * 64;
inline constexpr std::uint32_t kXArgs = 704;
inline constexpr std::uint32_t kXArgsWords = 320;
inline constexpr std::uint32_t kXBatch = 1024;           // kBatchMax * kBatchWords
inline constexpr std::uint32_t kXBatchWords = 64 * 16;
inline constexpr std::uint32_t kXList = 2048;
inline constexpr std::uint32_t kXListWords = 2048;
inline constexpr std::uint32_t kExchangeWords = 4096;

/// What one shard's calls work on.  One thread uses it; it has no other state than this.
struct ShardState {
  std::shared_ptr<OpenSegment> open;
  Segment* segment = nullptr;
  std::uint32_t owner = 0;
  std::uint8_t* memory = nullptr;          // M
  std::size_t memory_bytes = 0;
  std::uint32_t* exchange = nullptr;       // X, kExchangeWords
  Clock clock;

  // The rooms' objects over the segment, made by their register_ functions and living as long as the shard.
  std::shared_ptr<void> table_room;        // whatever binding/table.cc wants to keep
  std::shared_ptr<void> profiles_room;
  std::shared_ptr<void> counters_room;
  std::shared_ptr<void> segment_room;
  Table* table = nullptr;
  Profiles* profiles = nullptr;
  Counters* counters = nullptr;
  Undo* undo = nullptr;                    // this thread's slot

  /// [offset, offset + length) lies in M.
  [[nodiscard]] bool in_memory(std::uint32_t offset, std::uint32_t length) const noexcept {
    return offset <= memory_bytes && length <= memory_bytes - offset;
  }
  [[nodiscard]] std::uint32_t* x(std::uint32_t word) const noexcept { return exchange + word; }

  struct Road;                             // binding/net.cc: the wire, the mailbox and the loop
  Road* road = nullptr;
};

/// Puts calls on the JavaScript object of a shard while it is made.
class ShardBuilder {
 public:
  ShardBuilder(Napi::Env env, Napi::Object object, ShardState& shard) : env_(env), object_(object), shard_(shard) {}

  template <auto function>
  void method(const char* name) {
    callback(name, &binding::method<function>);
  }
  /// A callback that unpacks by itself; its data is the ShardState.
  void callback(const char* name, napi_callback callback);

  [[nodiscard]] ShardState& shard() noexcept { return shard_; }
  [[nodiscard]] Napi::Env env() const noexcept { return env_; }

 private:
  Napi::Env env_;
  Napi::Object object_;
  ShardState& shard_;
};

}  // namespace holdfast::binding
