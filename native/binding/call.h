// binding/call.h - unpack arguments, call, pack the result; the only place that throws.
//
// A shard's functions are made once per shard with the ShardState as their data.  Numbers do not cross by
// Node-API, where each costs as much as the crossing, but through X, in both directions: a call costs one
// napi_get_cb_info.  src/memory/crossing.ts is the other half.  A function of the hot API is a plain C++
// function
//
//     Status transaction_load(ShardState& shard, std::uint32_t index, std::uint32_t generation);
//
// and becomes a Node-API callback by `method<&transaction_load>`.  Any 32-bit number may arrive in any
// argument.
#pragma once
#include <napi.h>

#include <cstdint>
#include <string>
#include <type_traits>
#include <utility>

#include "../core/status.h"

namespace holdfast::binding {

struct ShardState;
inline constexpr std::uint32_t kCallArgumentsMax = 8;
/// Where the arguments of a call stand, and behind them what it returns.
std::uint32_t* call_words(ShardState& shard) noexcept;

/// What every call asks first: a shard that has let go of its segment answers nothing any more.
struct Closable {
  bool closed = false;
};

template <typename Function>
struct Signature;

template <typename Result, typename... Arguments>
struct Signature<Result (*)(ShardState&, Arguments...)> {
  static_assert((std::is_same_v<Arguments, std::uint32_t> && ...), "numbers cross the boundary");
  static constexpr std::uint32_t kArguments = sizeof...(Arguments);
  static constexpr bool kReturns = !std::is_void_v<Result>;
  static_assert(kArguments <= kCallArgumentsMax);

  /// Arguments stand in `words`, what is returned goes to the word behind the last that there can be.
  template <auto function>
  static void call(ShardState& shard, std::uint32_t* words) {
    call<function>(shard, words, std::index_sequence_for<Arguments...>());
  }

 private:
  template <auto function, std::size_t... Indexes>
  static void call(ShardState& shard, [[maybe_unused]] std::uint32_t* words,
                   std::index_sequence<Indexes...>) {
    if constexpr (kReturns) {
      words[kCallArgumentsMax] = static_cast<std::uint32_t>(function(shard, words[Indexes]...));
    } else {
      function(shard, words[Indexes]...);
    }
  }
};

template <typename Result, typename... Arguments>
struct Signature<Result (*)(ShardState&, Arguments...) noexcept>
    : Signature<Result (*)(ShardState&, Arguments...)> {};

/// The Node-API callback of a function `Result f(ShardState&, std::uint32_t...)`; Result is void, Status or
/// std::uint32_t.  It returns false once the shard has let go, else nothing.
template <auto function>
napi_value method(napi_env env, napi_callback_info info) {
  void* data = nullptr;
  if (napi_get_cb_info(env, info, nullptr, nullptr, nullptr, &data) != napi_ok) return nullptr;
  if (static_cast<const Closable*>(data)->closed) {
    napi_value no = nullptr;
    napi_get_boolean(env, false, &no);
    return no;
  }
  ShardState& shard = *static_cast<ShardState*>(data);
  Signature<decltype(function)>::template call<function>(shard, call_words(shard));
  return nullptr;
}

/// Throws an Error with `code`; the message is the detail, for TypeScript to dress (errors.ts).
void throw_coded(napi_env env, const char* code, const std::string& detail);

/// The number property `name` of an object; `absent` if it is missing, null or no number.
double number_of(const Napi::Object& object, const char* name, double absent);
/// The text property `name`; empty if it is missing or no text.
std::string text_of(const Napi::Object& object, const char* name);

}  // namespace holdfast::binding
