// A shard's network for JavaScript: the loop that calls back per batch, sending, the mailbox; the process's
// sockets; the memory wire of tests.
#include <poll.h>
#include <time.h>
#include <uv.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "../net/slice.h"
#include "../net/window.h"
#include "road.h"

namespace holdfast::binding {

namespace {

using namespace net;

// -- the loop
// ----------------------------------------------------------------------------------------------------------

/// While traffic is dense the event loop is asked this often whether it has something to do.
constexpr std::uint64_t kAskMicroseconds = 4'000;
/// The shard waits for datagrams itself until none have come for so long.
constexpr std::uint64_t kQuietMicroseconds = 50'000;
constexpr std::uint64_t kMicrosecondsPerTick = kTickMilliseconds * 1'000;
/// Where one tick could not do all that is due, the next comes so soon.
constexpr std::uint64_t kLateTickMicroseconds = 1'000;
constexpr std::uint32_t kTimerTicksMax = 100;  // onTick comes at least once a second

std::uint64_t microseconds() noexcept {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000 + static_cast<std::uint64_t>(now.tv_nsec) / 1000;
}

enum Callback { kOnBatch, kOnTick, kOnLetters, kOnSendFailed, kCallbacks };

}  // namespace

/// The handles that drive one shard.  Deletes itself when the last of them is closed.
struct Loop {
  Loop(napi_env environment, ShardState& state, double window_ms)
      : env(environment), shard(state), window(window_ms), wakes(state.open->wakes) {}

  napi_env env;
  ShardState& shard;
  Window window;
  std::shared_ptr<Wakes> wakes;  // and through the wire the sockets: descriptors outlive their handles
  napi_ref callbacks[kCallbacks] = {};
  napi_async_context context = nullptr;
  napi_async_cleanup_hook_handle hook = nullptr;
  uv_loop_t* uv = nullptr;
  std::vector<uv_poll_t> polls;  // the sockets, and last the mailbox's eventfd
  std::vector<pollfd> waited;    // the same descriptors, and last the event loop's own
  uv_timer_t timer{};
  std::uint64_t timer_at = 0;  // uv milliseconds
  std::size_t open_handles = 0;
  bool is_late = false;  // the last tick left some of what is due
  bool closing = false;
};

namespace {

void close_loop(Loop* loop);

/// Calls back; false when the environment can no longer run JavaScript, or the callback threw (which ends the
/// worker).  `said_true`: whether it returned true.
bool call_back(Loop* loop, Callback which, std::uint32_t count, bool* said_true = nullptr) {
  if (loop->callbacks[which] == nullptr || loop->closing) return !loop->closing;
  napi_env env = loop->env;
  napi_handle_scope scope = nullptr;
  napi_open_handle_scope(env, &scope);
  napi_value function = nullptr, global = nullptr, argument = nullptr, result = nullptr;
  napi_get_reference_value(env, loop->callbacks[which], &function);
  napi_get_global(env, &global);
  napi_create_uint32(env, count, &argument);
  const napi_status status = napi_make_callback(env, loop->context, global, function, 1, &argument, &result);
  bool pending = false;
  napi_is_exception_pending(env, &pending);
  if (pending) {
    napi_value error = nullptr;
    napi_get_and_clear_last_exception(env, &error);
    close_loop(loop);
    napi_fatal_exception(env, error);
  }
  if (said_true != nullptr && status == napi_ok && !pending) napi_get_value_bool(env, result, said_true);
  napi_close_handle_scope(env, scope);
  return status == napi_ok && !pending && !loop->closing;
}

bool end_of_batch(Loop* loop) {
  Road& road = *loop->shard.road;
  road.flush();
  if (road.outbox.failures().list().empty() || loop->callbacks[kOnSendFailed] == nullptr) return true;
  const std::uint32_t failed = road.report_failures();
  const bool alive = call_back(loop, kOnSendFailed, failed);
  road.flush();  // what the answer to a failure queued
  return alive;
}

timespec timespec_of(std::uint64_t microseconds) noexcept {
  return {static_cast<time_t>(microseconds / 1'000'000), static_cast<long>(microseconds % 1'000'000 * 1000)};
}

/// Lets datagrams gather until `until`; a letter ends the wait, another shard's datagram does not.
std::uint64_t wait_in_window(Loop* loop, std::uint64_t now, std::uint64_t wait_us) {
  const std::uint32_t owner = loop->shard.owner;
  pollfd mail{loop->wakes->descriptor(owner), POLLIN, 0};
  const std::uint64_t until = now + wait_us;
  while (now < until) {
    const timespec timeout = timespec_of(until - now);
    if (ppoll(&mail, 1, &timeout, nullptr) > 0) {
      loop->wakes->seen(owner);
      if (loop->shard.road->mailboxes.letters(owner) != 0) return microseconds();
    }
    now = microseconds();
  }
  return now;
}

/// Ticks until onTick is wanted: the next slot of the wheel that is not empty, a second at most; 0: now.
std::uint32_t ticks_until_due(const Loop* loop) noexcept {
  const ShardState& shard = loop->shard;
  if (loop->is_late || shard.is_behind()) return 0;
  return shard.transactions.quiet_ticks(shard.owner, shard.clock.tick(), kTimerTicksMax);
}

bool tick(Loop* loop) {
  loop->is_late = false;
  return call_back(loop, kOnTick, 0, &loop->is_late) && end_of_batch(loop);
}

/// The event loop has a timer due, a message, an immediate: its turn comes before the next batch.
bool is_turn_wanted(Loop* loop) noexcept {
  pollfd& own = loop->waited.back();
  uv_update_time(loop->uv);
  return uv_backend_timeout(loop->uv) == 0 || poll(&own, 1, 0) > 0;
}

enum class Woken { kByDatagrams, kByTime, kByEventLoop };

/// Waits until something arrives or the event loop wants its turn, at most `wait_us`.
Woken wait_for_more(Loop* loop, std::uint64_t wait_us) {
  uv_update_time(loop->uv);
  const int turn_ms = uv_backend_timeout(loop->uv);  // -1: no timer
  if (turn_ms == 0) return Woken::kByEventLoop;
  if (turn_ms > 0) wait_us = std::min(wait_us, static_cast<std::uint64_t>(turn_ms) * 1'000);
  const timespec timeout = timespec_of(wait_us);
  const int ready = ppoll(loop->waited.data(), loop->waited.size(), &timeout, nullptr);
  if (ready <= 0) return Woken::kByTime;
  const pollfd& mail = loop->waited[loop->waited.size() - 2];
  if (mail.revents != 0) loop->wakes->seen(loop->shard.owner);
  return loop->waited.back().revents != 0 ? Woken::kByEventLoop : Woken::kByDatagrams;
}

bool letters(Loop* loop) {
  const std::uint32_t waiting = loop->shard.road->mailboxes.letters(loop->shard.owner);
  if (waiting == 0) return true;
  return call_back(loop, kOnLetters, waiting) && end_of_batch(loop);
}

/// Batch after batch, and what is due between them, until the event loop wants its turn or nothing has come
/// for a while.  Until then the shard waits here: a turn of the event loop costs as much as a batch of one.
/// False: the loop is closed.
bool serve(Loop* loop) {
  ShardState& shard = loop->shard;
  Road& road = *shard.road;
  std::uint64_t now = microseconds();
  std::uint64_t asked = now, came = now, ticked = 0;
  for (;;) {
    if (const std::uint64_t wait = loop->window.wait(now); wait != 0) now = wait_in_window(loop, now, wait);
    const std::uint32_t count = road.receive();
    loop->window.received(road.arrived, now);
    if (count != 0 && (!call_back(loop, kOnBatch, count) || !end_of_batch(loop))) return false;
    if (!letters(loop)) return false;
    now = microseconds();
    std::uint32_t ticks = ticks_until_due(loop);
    if (ticks == 0 && now - ticked >= kLateTickMicroseconds) {
      if (!tick(loop)) return false;
      ticks = ticks_until_due(loop);
      ticked = now = microseconds();
    }
    if (road.arrived != 0) came = now;
    if (now - asked >= kAskMicroseconds) {
      if (is_turn_wanted(loop)) return true;
      asked = now;
    }
    if (road.arrived == kBatchMax || road.mailboxes.has_datagrams(shard.owner)) continue;
    if (road.mailboxes.letters(shard.owner) != 0) continue;  // more than one turn's
    if (loop->window.wait(now) != 0) continue;
    if (now - came >= kQuietMicroseconds) return true;
    const std::uint64_t until_tick = ticks == 0 ? kLateTickMicroseconds : ticks * kMicrosecondsPerTick;
    const Woken woken = wait_for_more(loop, std::min(kQuietMicroseconds, until_tick));
    if (woken == Woken::kByEventLoop) return true;
    asked = now = microseconds();
  }
}

void on_socket(uv_poll_t* handle, int status, int events);
void on_mail(uv_poll_t* handle, int status, int events);
void arm_timer(Loop* loop);

/// Has the event loop wait for datagrams and letters, or leaves that to serve().
void watch(Loop* loop, bool by_event_loop) {
  for (uv_poll_t& poll : loop->polls) {
    if (by_event_loop) {
      uv_poll_start(&poll, UV_READABLE, &poll == &loop->polls.back() ? on_mail : on_socket);
    } else {
      uv_poll_stop(&poll);
    }
  }
}

void rounds(Loop* loop) {
  watch(loop, false);
  uv_timer_stop(&loop->timer);
  loop->timer_at = 0;
  if (!serve(loop)) return;
  const ShardState& shard = loop->shard;
  if (shard.road->mailboxes.has_datagrams(shard.owner) || shard.road->mailboxes.letters(shard.owner) != 0) {
    loop->wakes->wake(shard.owner);  // not all: after the event loop's turn
  }
  watch(loop, true);
  arm_timer(loop);
}

void on_socket(uv_poll_t* handle, int, int) { rounds(static_cast<Loop*>(handle->data)); }

void on_mail(uv_poll_t* handle, int, int) {
  Loop* loop = static_cast<Loop*>(handle->data);
  loop->wakes->seen(loop->shard.owner);
  loop->shard.clock.read();
  if (letters(loop)) rounds(loop);
}

void on_timer(uv_timer_t* handle) {
  Loop* loop = static_cast<Loop*>(handle->data);
  loop->timer_at = 0;
  loop->shard.clock.read();
  if (tick(loop)) arm_timer(loop);
}

/// The timer runs until onTick is wanted.
void arm_timer(Loop* loop) {
  if (loop->closing) return;
  const std::uint32_t ticks = ticks_until_due(loop);
  // Behind: the next tick comes at once, after the event loop's turn.
  const std::uint64_t delay = ticks == 0 ? 1 : std::uint64_t{ticks} * kTickMilliseconds;
  const std::uint64_t at = uv_now(loop->uv) + delay;
  if (loop->timer_at != 0 && loop->timer_at <= at) return;
  loop->timer_at = at;
  uv_timer_start(&loop->timer, on_timer, delay, 0);
}

void on_closed(uv_handle_t* handle) {
  Loop* loop = static_cast<Loop*>(handle->data);
  if (--loop->open_handles != 0) return;
  const napi_async_cleanup_hook_handle hook = loop->hook;
  delete loop;
  napi_remove_async_cleanup_hook(hook);
}

void close_loop(Loop* loop) {
  if (loop->closing) return;
  loop->closing = true;
  if (loop->shard.loop == loop) loop->shard.loop = nullptr;
  for (uv_poll_t& poll : loop->polls) {
    uv_poll_stop(&poll);
    uv_close(reinterpret_cast<uv_handle_t*>(&poll), on_closed);
  }
  uv_timer_stop(&loop->timer);
  uv_close(reinterpret_cast<uv_handle_t*>(&loop->timer), on_closed);
  for (napi_ref& callback : loop->callbacks) {
    if (callback) napi_delete_reference(loop->env, callback);
    callback = nullptr;
  }
  if (loop->context) napi_async_destroy(loop->env, loop->context);
  loop->context = nullptr;
}

/// start(onBatch, onTick, onLetters, onSendFailed?)
napi_value start(napi_env env, napi_callback_info info) {
  std::size_t count = kCallbacks;
  napi_value arguments[kCallbacks];
  void* data = nullptr;
  napi_get_cb_info(env, info, &count, arguments, nullptr, &data);
  ShardState& shard = *static_cast<ShardState*>(data);
  if (shard.closed) {
    throw_coded(env, "ERR_SHARD", "start: the shard was released");
    return nullptr;
  }
  if (shard.loop != nullptr) {
    throw_coded(env, "ERR_SHARD", "start: the shard is running");
    return nullptr;
  }
  napi_valuetype types[kCallbacks];
  for (std::size_t n = 0; n < kCallbacks; ++n) napi_typeof(env, arguments[n], &types[n]);
  if (types[kOnBatch] != napi_function || types[kOnTick] != napi_function ||
      types[kOnLetters] != napi_function) {
    throw_coded(env, "ERR_SHARD", "start: three functions are needed");
    return nullptr;
  }
  auto* loop = new Loop(env, shard, shard.receive_window_ms);
  for (std::size_t n = 0; n < kCallbacks; ++n) {
    if (types[n] == napi_function) napi_create_reference(env, arguments[n], 1, &loop->callbacks[n]);
  }
  napi_value name = nullptr, resource = nullptr;
  napi_create_string_utf8(env, "holdfast:shard", NAPI_AUTO_LENGTH, &name);
  napi_create_object(env, &resource);
  napi_async_init(env, resource, name, &loop->context);
  napi_get_uv_event_loop(env, &loop->uv);

  const std::span<const int> sockets = shard.road->wire->descriptors();
  const int mail = loop->wakes->descriptor(shard.owner);
  loop->polls.resize(sockets.size() + 1);
  for (const int socket : sockets) loop->waited.push_back({socket, POLLIN, 0});
  loop->waited.push_back({mail, POLLIN, 0});
  loop->waited.push_back({uv_backend_fd(loop->uv), POLLIN, 0});
  for (std::size_t n = 0; n < loop->polls.size(); ++n) {
    uv_poll_t& poll = loop->polls[n];
    poll.data = loop;
    const bool is_mail = n == sockets.size();
    // A descriptor that is already polled on this event loop: the shard's own mistake, found at once.
    if (uv_poll_init(loop->uv, &poll, is_mail ? mail : sockets[n]) != 0) {
      loop->polls.resize(n);
      throw_coded(env, "ERR_SHARD", "start: a socket cannot be polled");
      break;
    }
    uv_poll_start(&poll, UV_READABLE, is_mail ? on_mail : on_socket);
  }
  uv_timer_init(loop->uv, &loop->timer);
  loop->timer.data = loop;
  loop->open_handles = loop->polls.size() + 1;
  napi_add_async_cleanup_hook(
      env, [](napi_async_cleanup_hook_handle, void* pointer) { close_loop(static_cast<Loop*>(pointer)); },
      loop, &loop->hook);
  bool failed = false;
  napi_is_exception_pending(env, &failed);
  if (failed) {
    close_loop(loop);
    return nullptr;
  }
  shard.loop = loop;
  // The timer worker can wait: it makes room for the shards.
  const bool is_timer_worker = shard.owner == shard.segment->workers();
  if (shard.road->network == nullptr && !is_timer_worker) ask_short_slice();
  shard.clock.read();
  loop->wakes->wake(shard.owner);  // what waited for a predecessor
  arm_timer(loop);
  return nullptr;
}

void stop(ShardState& shard) {
  if (shard.loop == nullptr) return;
  shard.road->flush();
  close_loop(shard.loop);
}

// -- calls
// -------------------------------------------------------------------------------------------------------------

std::uint32_t receive(ShardState& shard) noexcept { return shard.road->receive(); }

void send_queued(ShardState& shard) noexcept { shard.road->send_queued(); }

std::uint32_t flush(ShardState& shard) noexcept {
  shard.road->flush();
  return shard.road->report_failures();
}

Status keep_slot(ShardState& shard, std::uint32_t slot) noexcept {
  if (shard.road->kept == kKeptSlotsMax) return Status::kFull;
  if (!shard.road->slots.keep(slot)) return Status::kOutOfRange;
  ++shard.road->kept;
  return Status::kOk;
}

Status release_slot(ShardState& shard, std::uint32_t slot) noexcept {
  if (!shard.road->slots.release(slot)) return Status::kOutOfRange;
  --shard.road->kept;
  return Status::kOk;
}

Status forward(ShardState& shard, std::uint32_t batch_index, std::uint32_t owner) noexcept {
  return shard.road->forward(batch_index, owner);
}

Status send(ShardState& shard) noexcept { return queue_described(shard); }

Status post(ShardState& shard, std::uint32_t owner, std::uint32_t words) noexcept {
  if (words > kLetterWordsMax) return Status::kOutOfRange;
  const Status status = shard.road->mailboxes.post(owner, {shard.x(kXArgs), words});
  if (status == Status::kOk) shard.open->wakes->wake(owner);
  return status;
}

std::uint32_t take(ShardState& shard) noexcept {
  return shard.road->mailboxes.take(
      shard.owner, std::span<std::uint32_t, kLetterWordsMax>(shard.x(kXArgs), kLetterWordsMax));
}

/// A test's clock moves between calls; the machine's is read once per batch or tick.
const Clock& clock_of(ShardState& shard) noexcept {
  if (shard.road->network) shard.clock.read();
  return shard.clock;
}
std::uint32_t now_tick(ShardState& shard) noexcept { return clock_of(shard).tick(); }
std::uint32_t now_boot_seconds(ShardState& shard) noexcept { return clock_of(shard).boot_seconds(); }
std::uint32_t now_unix_seconds(ShardState& shard) noexcept { return clock_of(shard).unix_seconds(); }

// -- the process's sockets
// ---------------------------------------------------------------------------------------------

constexpr std::uint32_t kListenMax = 64;

/// The listen addresses of a JavaScript array of {address, port}; throws and returns false if one is not
/// usable.
bool read_listen(Napi::Env env, const Napi::Value& value, std::vector<Endpoint>* out) {
  if (!value.IsArray() || value.As<Napi::Array>().Length() == 0 ||
      value.As<Napi::Array>().Length() > kListenMax) {
    throw_coded(env, "ERR_ADDRESS", "listen: 1 to 64 addresses are allowed");
    return false;
  }
  const Napi::Array list = value.As<Napi::Array>();
  for (std::uint32_t n = 0; n < list.Length(); ++n) {
    const Napi::Value row = list.Get(n);
    const std::string text = row.IsObject() ? text_of(row.As<Napi::Object>(), "address") : std::string();
    const double port = row.IsObject() ? number_of(row.As<Napi::Object>(), "port", -1) : -1;
    const auto address = read_address(text);
    if (!address || !(port >= 0 && port <= 65535) || port != std::floor(port)) {
      throw_coded(env, "ERR_ADDRESS",
                  "listen " + text + ": an IPv4 or IPv6 address and a port up to 65535 are allowed");
      return false;
    }
    out->push_back({*address, static_cast<std::uint32_t>(port)});
  }
  return true;
}

std::shared_ptr<OpenSegment> segment_of(Napi::Env env, const Napi::Value& value) {
  auto open = find_segment(value.IsNumber() ? value.As<Napi::Number>().Uint32Value() : 0);
  if (!open) throw_coded(env, "ERR_SEGMENT", "no such segment is open");
  return open;
}

const char* code_of(int error) noexcept {
  if (error == EADDRINUSE) return "ERR_ADDRESS_IN_USE";
  return error == EACCES || error == EPERM ? "ERR_PERMISSION" : "ERR_ADDRESS";
}

/// openSockets(segment, listen, workers, receiveBufferBytes); the ports, for a test that asked for port 0.
Napi::Value open_sockets(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const auto open = segment_of(env, info[0]);
  std::vector<Endpoint> listen;
  if (!open || !read_listen(env, info[1], &listen)) return env.Undefined();
  const double workers = info[2].IsNumber() ? info[2].As<Napi::Number>().DoubleValue() : 0;
  const double buffer = info[3].IsNumber() ? info[3].As<Napi::Number>().DoubleValue() : 0;
  if (!(workers >= 1 && workers <= kWorkersMax) || !(buffer >= 0 && buffer <= 0x3fffffff) || open->sockets) {
    throw_coded(env, "ERR_ADDRESS",
                open->sockets ? "the sockets are open already" : "workers or buffer out of range");
    return env.Undefined();
  }
  ListenFault fault;
  open->sockets =
      Sockets::open(listen, static_cast<std::uint32_t>(workers), static_cast<std::uint32_t>(buffer), &fault);
  if (!open->sockets) {
    throw_coded(env, code_of(fault.error),
                "udp:" + text_of(listen[fault.listen]) + ": " + std::strerror(fault.error));
    return env.Undefined();
  }
  const Napi::Array ports = Napi::Array::New(env, listen.size());
  for (std::uint32_t n = 0; n < listen.size(); ++n) ports.Set(n, open->sockets->listen()[n].port);
  return ports;
}

Napi::Value close_sockets(const Napi::CallbackInfo& info) {
  if (const auto open = segment_of(info.Env(), info[0])) open->sockets.reset();
  return info.Env().Undefined();
}

Napi::Value kernel_drops(const Napi::CallbackInfo& info) {
  const auto open = segment_of(info.Env(), info[0]);
  if (!open) return info.Env().Undefined();
  return Napi::Number::New(info.Env(),
                           open->sockets ? static_cast<double>(open->sockets->kernel_drops()) : 0);
}

/// receiveBuffer(segment): bytes that the kernel granted each socket.
Napi::Value receive_buffer(const Napi::CallbackInfo& info) {
  const auto open = segment_of(info.Env(), info[0]);
  if (!open) return info.Env().Undefined();
  return Napi::Number::New(info.Env(), open->sockets ? open->sockets->receive_buffer_bytes() : 0);
}

// -- the memory wire
// ---------------------------------------------------------------------------------------------------

struct MemoryWireState {
  std::weak_ptr<OpenSegment> open;  // the wire lives as long as the environment, the segment need not
  std::shared_ptr<MemoryNetwork> network;
};
constexpr napi_type_tag kMemoryWireTag = {0x686f6c6466617374, 0x6d656d6f72792077};

MemoryWireState& wire_of(const Napi::CallbackInfo& info) {
  return *static_cast<MemoryWireState*>(info.Data());
}

std::optional<Endpoint> endpoint_of(Napi::Env env, const Napi::Value& value) {
  const auto endpoint = value.IsString() ? read_endpoint(value.As<Napi::String>().Utf8Value()) : std::nullopt;
  if (!endpoint) throw_coded(env, "ERR_ADDRESS", "an address and a port are needed, like 127.0.0.1:5080");
  return endpoint;
}

Napi::Value wire_put(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  MemoryWireState& state = wire_of(info);
  const auto source = endpoint_of(env, info[2]);
  if (!source) return env.Undefined();
  const std::uint32_t worker = info[0].IsNumber() ? info[0].As<Napi::Number>().Uint32Value() : kOwnersMax;
  const std::uint32_t socket = info[1].IsNumber() ? info[1].As<Napi::Number>().Uint32Value() : kListenMax;
  if (!info[3].IsTypedArray() || info[3].As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array) {
    throw_coded(env, "ERR_ADDRESS", "put: a Uint8Array is needed");
    return env.Undefined();
  }
  const auto bytes = info[3].As<Napi::Uint8Array>();
  if (!state.network->put(worker, socket, *source, {bytes.Data(), bytes.ByteLength()})) {
    throw_coded(env, "ERR_ADDRESS", "put: no such worker or socket, or more than 65535 bytes");
    return env.Undefined();
  }
  if (const auto open = state.open.lock()) open->wakes->wake(worker);
  return env.Undefined();
}

Napi::Value wire_take(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const auto left = wire_of(info).network->take();
  if (!left) return env.Null();
  Napi::Object result = Napi::Object::New(env);
  result.Set("socket", left->socket);
  result.Set("destination", text_of(left->to));
  Napi::Uint8Array bytes = Napi::Uint8Array::New(env, left->bytes.size());
  std::memcpy(bytes.Data(), left->bytes.data(), left->bytes.size());
  result.Set("bytes", bytes);
  return result;
}

Napi::Value wire_set_time(const Napi::CallbackInfo& info) {
  const double milliseconds = info[0].IsNumber() ? info[0].As<Napi::Number>().DoubleValue() : -1;
  if (!(milliseconds >= 0 && milliseconds < 9e15)) {
    throw_coded(info.Env(), "ERR_ADDRESS", "setTime: milliseconds from 0 on are needed");
    return info.Env().Undefined();
  }
  wire_of(info).network->time.milliseconds = static_cast<std::uint64_t>(milliseconds);
  return info.Env().Undefined();
}

Napi::Value wire_fail_sends(const Napi::CallbackInfo& info) {
  const auto to = endpoint_of(info.Env(), info[0]);
  if (to)
    wire_of(info).network->fail_sends(*to, info[1].IsNumber() ? info[1].As<Napi::Number>().Int32Value() : 0);
  return info.Env().Undefined();
}

/// createMemoryWire(segment, listen, workers)
Napi::Value create_memory_wire(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const auto open = segment_of(env, info[0]);
  std::vector<Endpoint> listen;
  if (!open || !read_listen(env, info[1], &listen)) return env.Undefined();
  const double workers = info[2].IsNumber() ? info[2].As<Napi::Number>().DoubleValue() : 0;
  if (!(workers >= 1 && workers <= kWorkersMax)) {
    throw_coded(env, "ERR_ADDRESS", "createMemoryWire: 1 to 32 workers are allowed");
    return env.Undefined();
  }
  auto* state = new MemoryWireState{
      open, std::make_shared<MemoryNetwork>(std::move(listen), static_cast<std::uint32_t>(workers))};
  napi_add_env_cleanup_hook(env, [](void* pointer) { delete static_cast<MemoryWireState*>(pointer); }, state);
  Napi::Object wire = Napi::Object::New(env);
  napi_type_tag_object(env, wire, &kMemoryWireTag);
  napi_wrap(env, wire, state, nullptr, nullptr, nullptr);
  wire.Set("put", Napi::Function::New(env, wire_put, "put", state));
  wire.Set("take", Napi::Function::New(env, wire_take, "take", state));
  wire.Set("setTime", Napi::Function::New(env, wire_set_time, "setTime", state));
  wire.Set("failSends", Napi::Function::New(env, wire_fail_sends, "failSends", state));
  return wire;
}

}  // namespace

// -- assembly
// ----------------------------------------------------------------------------------------------------------

bool make_road(Napi::Env env, ShardState& shard, const Napi::Value& wire) {
  std::shared_ptr<MemoryNetwork> network;
  std::unique_ptr<Wire> over;
  if (wire.IsObject()) {
    bool ours = false;
    napi_check_object_type_tag(env, wire, &kMemoryWireTag, &ours);
    void* state = nullptr;
    if (!ours || napi_unwrap(env, wire, &state) != napi_ok) {
      throw_coded(env, "ERR_SHARD", "wire: not one of createMemoryWire");
      return false;
    }
    network = static_cast<MemoryWireState*>(state)->network;
    over = std::make_unique<MemoryWire>(network, shard.owner);
  } else if (wire.IsNull()) {  // no network: whoever embeds the dialogs alone has its own
    over = std::make_unique<MemoryWire>(std::make_shared<MemoryNetwork>(std::vector<Endpoint>(), 0),
                                        shard.owner);
  } else if (shard.open->sockets) {
    over = std::make_unique<UdpWire>(shard.open->sockets, shard.owner);
  } else {
    throw_coded(env, "ERR_SHARD", "openSockets comes first, or a wire");
    return false;
  }
  shard.clock.begin(shard.segment->header().made_boot_ms, network ? &network->time : nullptr);
  shard.road = new Road(shard, std::move(over));
  shard.road->network = std::move(network);
  return true;
}

void register_net(ShardBuilder& builder) {
  builder.callback("start", start);
  builder.method<&stop>("stop");
  builder.method<&receive>("receive");
  builder.method<&flush>("flush");
  builder.method<&send_queued>("sendQueued");
  builder.method<&keep_slot>("keepSlot");
  builder.method<&release_slot>("releaseSlot");
  builder.method<&forward>("forward");
  builder.method<&send>("send");
  builder.method<&now_tick>("nowTick");
  builder.method<&now_boot_seconds>("nowBootSeconds");
  builder.method<&now_unix_seconds>("nowUnixSeconds");
  builder.method<&post>("post");
  builder.method<&take>("take");
}

void export_net(Napi::Env env, Napi::Object exports) {
  exports.Set("openSockets", Napi::Function::New(env, open_sockets, "openSockets"));
  exports.Set("closeSockets", Napi::Function::New(env, close_sockets, "closeSockets"));
  exports.Set("kernelDrops", Napi::Function::New(env, kernel_drops, "kernelDrops"));
  exports.Set("receiveBuffer", Napi::Function::New(env, receive_buffer, "receiveBuffer"));
  exports.Set("createMemoryWire", Napi::Function::New(env, create_memory_wire, "createMemoryWire"));
}

}  // namespace holdfast::binding
