#include "shard.h"

#include <algorithm>
#include <mutex>

#include "road.h"

namespace holdfast::binding {

// -- the process's open segments
// ---------------------------------------------------------------------------------------

namespace {

struct Registry {
  std::mutex lock;
  std::uint32_t last_id = 0;
  std::vector<std::shared_ptr<OpenSegment>> open;
};

Registry& registry() {
  static Registry* const all = new Registry;  // outlives every thread
  return *all;
}

}  // namespace

std::uint32_t add_segment(std::shared_ptr<Segment> segment, std::uint32_t owners) {
  auto open = std::make_shared<OpenSegment>();
  open->segment = std::move(segment);
  open->wakes = std::make_shared<net::Wakes>(owners);
  Registry& all = registry();
  std::lock_guard guard(all.lock);
  open->id = ++all.last_id;
  all.open.push_back(open);
  return open->id;
}

std::shared_ptr<OpenSegment> find_segment(std::uint32_t id) {
  Registry& all = registry();
  std::lock_guard guard(all.lock);
  for (const auto& open : all.open) {
    if (open->id == id) return open;
  }
  return nullptr;
}

std::shared_ptr<OpenSegment> remove_segment(std::uint32_t id) {
  Registry& all = registry();
  std::lock_guard guard(all.lock);
  for (auto at = all.open.begin(); at != all.open.end(); ++at) {
    if ((*at)->id != id) continue;
    auto open = *at;
    all.open.erase(at);
    return open;
  }
  return nullptr;
}

bool ShardState::is_behind() const noexcept {
  const std::uint32_t now = clock.boot_seconds(), workers = segment->workers();
  if (owner < workers) return !has_timer_worker && segment->dialog_wheel(owner).behind(now);
  for (std::uint32_t shard = 0; shard < workers; ++shard) {
    if (segment->dialog_wheel(shard).behind(now)) return true;
  }
  return false;
}

// -- one shard
// ---------------------------------------------------------------------------------------------------------

bool make_road(Napi::Env env, ShardState& shard, const Napi::Value& wire);
void register_net(ShardBuilder& builder);
void register_transactions(ShardBuilder& builder);
void register_table(ShardBuilder& builder);
void register_profiles(ShardBuilder& builder);
void register_counters(ShardBuilder& builder);

std::uint32_t* call_words(ShardState& shard) noexcept { return shard.x(kXCall); }

void ShardBuilder::callback(const char* name, napi_callback callback) {
  napi_value function = nullptr;
  napi_create_function(env_, name, NAPI_AUTO_LENGTH, callback, &shard_, &function);
  object_.Set(name, Napi::Value(env_, function));
}

namespace {

/// The typed array's bytes; they do not move while it is referenced.
template <typename Word>
Word* words_of(const Napi::Value& value, napi_typedarray_type type, std::size_t least, std::size_t* length) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != type) return nullptr;
  void* data = nullptr;
  // Works on a view of shared memory, where asking the buffer itself does not.
  if (napi_get_typedarray_info(value.Env(), value, nullptr, length, &data, nullptr, nullptr) != napi_ok)
    return nullptr;
  return *length >= least ? static_cast<Word*>(data) : nullptr;
}

/// What leaves has left, what was buried is given back.
void let_go(ShardState& shard) {
  if (shard.road) {
    shard.road->flush();
    delete shard.road;
    shard.road = nullptr;
  }
  shard.segment = nullptr;
  shard.open.reset();
}

/// Ends with its environment.
void end_shard(void* pointer) {
  auto* shard = static_cast<ShardState*>(pointer);
  let_go(*shard);
  delete shard;
}

/// release(): after stop(), and not from one of its callbacks.
napi_value release(napi_env env, napi_callback_info info) {
  void* data = nullptr;
  napi_get_cb_info(env, info, nullptr, nullptr, nullptr, &data);
  auto& shard = *static_cast<ShardState*>(data);
  if (shard.closed) return nullptr;
  if (shard.loop != nullptr) {
    throw_coded(env, "ERR_SHARD", "release: stop() comes first");
    return nullptr;
  }
  shard.closed = true;
  let_go(shard);
  shard.kept_arrays.Reset();
  return nullptr;
}

Napi::Value open_shard(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const auto refuse = [env](const char* why) {
    throw_coded(env, "ERR_SHARD", why);
    return env.Undefined();
  };
  if (!info[0].IsObject()) return refuse("options are needed");
  const Napi::Object options = info[0].As<Napi::Object>();
  auto open = find_segment(static_cast<std::uint32_t>(number_of(options, "segment", 0)));
  if (!open) return refuse("no such segment is open");
  const double owner = number_of(options, "owner", -1);
  if (!(owner >= 0 && owner < open->segment->owners()))
    return refuse("owner: not a shard or the timer worker");

  auto shard = std::make_unique<ShardState>(std::move(open), static_cast<std::uint32_t>(owner));
  const Napi::Value memory = options.Get("memory"), exchange = options.Get("exchange");
  std::size_t words = 0;
  shard->memory = words_of<std::uint8_t>(memory, napi_uint8_array, net::kMemoryBytes, &shard->memory_bytes);
  shard->exchange = words_of<std::uint32_t>(exchange, napi_uint32_array, kExchangeWords, &words);
  if (!shard->memory || !shard->exchange)
    return refuse("memory or exchange: too small, or not of the kind that is needed");
  shard->receive_window_ms = std::clamp(number_of(options, "receiveWindowMs", 0), 0.0, kReceiveWindowMsMax);
  const Napi::Value timer = options.Get("timerWorker");
  shard->has_timer_worker = timer.IsBoolean() && timer.As<Napi::Boolean>().Value();
  if (!make_road(env, *shard, options.Get("wire"))) return env.Undefined();
  shard->clock.publish(shard->x(kXClock));
  // A successor finds what its predecessor had in hand.
  shard->transactions.rearm(shard->owner);

  ShardState* const state = shard.release();
  napi_add_env_cleanup_hook(env, end_shard, state);
  Napi::Object object = Napi::Object::New(env);
  // The shard's functions hold the two arrays in place.
  state->kept_arrays = Napi::Persistent(Napi::Object::New(env));
  state->kept_arrays.SuppressDestruct();
  state->kept_arrays.Value().Set("memory", memory);
  state->kept_arrays.Value().Set("exchange", exchange);
  ShardBuilder builder(env, object, *state);
  builder.callback("release", &release);
  register_net(builder);
  register_transactions(builder);
  register_table(builder);
  register_profiles(builder);
  register_counters(builder);
  return object;
}

}  // namespace

void export_shard(Napi::Env env, Napi::Object exports) {
  exports.Set("openShard", Napi::Function::New(env, open_shard, "openShard"));
}

}  // namespace holdfast::binding
