// Statistics: a shard counts by number, management reads sums by name.
#include "../core/counters.h"

#include <string>

#include "shard.h"

namespace holdfast::binding {

namespace {

/// `amount` is signed: what was counted too early is taken back.
void count(ShardState& shard, std::uint32_t counter, std::uint32_t amount) noexcept {
  shard.counters.add(counter, static_cast<std::uint64_t>(std::int64_t{static_cast<std::int32_t>(amount)}));
}

/// XList: (counter, amount) pairs, what a batch counted in one call.
void count_many(ShardState& shard, std::uint32_t pairs) noexcept {
  const std::uint32_t* list = shard.x(kXList);
  for (std::uint32_t n = 0; n < pairs && n < kXListWords / 2; ++n)
    count(shard, list[2 * n], list[2 * n + 1]);
}

std::shared_ptr<OpenSegment> segment_of(const Napi::CallbackInfo& info) {
  return find_segment(info[0].IsNumber() ? info[0].As<Napi::Number>().Uint32Value() : 0);
}

Napi::Value statistics(const Napi::CallbackInfo& info) {
  Napi::Object sums = Napi::Object::New(info.Env());
  const auto open = segment_of(info);
  if (!open) return sums;
  const Counters counters(*open->segment, kMainThread);
  for (std::uint32_t n = 0; n < kCounterEnd; ++n)
    sums.Set(std::string(counter_row(n).name),
             Napi::Number::New(info.Env(), static_cast<double>(counters.value(n))));
  return sums;
}

Napi::Value statistics_reset(const Napi::CallbackInfo& info) {
  const auto open = segment_of(info);
  const bool done =
      open && Counters(*open->segment, kMainThread).reset(Counters::find(info[1].ToString().Utf8Value()));
  return Napi::Boolean::New(info.Env(), done);
}

}  // namespace

void register_counters(ShardBuilder& builder) {
  builder.method<&count>("count");
  builder.method<&count_many>("countMany");
}

void export_counters(Napi::Env env, Napi::Object exports) {
  exports.Set("statistics", Napi::Function::New(env, statistics, "statistics"));
  exports.Set("statisticsReset", Napi::Function::New(env, statistics_reset, "statisticsReset"));
}

}  // namespace holdfast::binding
