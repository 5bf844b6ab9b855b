// binding/call.h - unpack arguments, call, pack the result; the only place that throws.
//
// A shard's functions are made once per shard with the ShardState as their data: a call costs one
// napi_get_cb_info and one conversion per number, no unwrap and no object.  A function of the hot API is a
// plain C++ function
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

/// What every call asks first: a shard that has let go of its segment answers nothing any more.
struct Closable {
  bool closed = false;
};

namespace detail {

inline napi_value pack(napi_env, std::nullptr_t) { return nullptr; }
inline napi_value pack(napi_env env, std::uint32_t value) {
  napi_value result = nullptr;
  napi_create_uint32(env, value, &result);
  return result;
}
inline napi_value pack(napi_env env, Status status) { return pack(env, static_cast<std::uint32_t>(status)); }

template <typename Function>
struct Signature;

template <typename Result, typename... Arguments>
struct Signature<Result (*)(ShardState&, Arguments...)> {
  static_assert((std::is_same_v<Arguments, std::uint32_t> && ...), "numbers cross the boundary");
  using Indexes = std::index_sequence_for<Arguments...>;

  template <auto function, std::size_t... Indexes>
  static napi_value call(napi_env env, napi_callback_info info, std::index_sequence<Indexes...>) {
    constexpr std::size_t count = sizeof...(Arguments);
    napi_value values[count + 1];
    std::size_t given = count;
    void* data = nullptr;
    if (napi_get_cb_info(env, info, &given, values, nullptr, &data) != napi_ok) return nullptr;
    std::uint32_t numbers[count + 1] = {};
    for (std::size_t n = 0; n < count; ++n) {
      // What is no number counts as 0, which every call must stand anyway.
      if (napi_get_value_uint32(env, values[n], &numbers[n]) != napi_ok) numbers[n] = 0;
    }
    if (static_cast<const Closable*>(data)->closed) return nullptr;
    ShardState& shard = *static_cast<ShardState*>(data);
    if constexpr (std::is_void_v<Result>) {
      function(shard, numbers[Indexes]...);
      return nullptr;
    } else {
      return pack(env, function(shard, numbers[Indexes]...));
    }
  }
};

template <typename Result, typename... Arguments>
struct Signature<Result (*)(ShardState&, Arguments...) noexcept>
    : Signature<Result (*)(ShardState&, Arguments...)> {};

}  // namespace detail

/// The Node-API callback of a function `Result f(ShardState&, std::uint32_t...)`; Result is void, Status or
/// std::uint32_t.
template <auto function>
napi_value method(napi_env env, napi_callback_info info) {
  using Signature = detail::Signature<decltype(function)>;
  return Signature::template call<function>(env, info, typename Signature::Indexes());
}

/// Throws an Error with `code`; the message is the detail, for TypeScript to dress (errors.ts).
void throw_coded(napi_env env, const char* code, const std::string& detail);

/// The number property `name` of an object; `absent` if it is missing, null or no number.
double number_of(const Napi::Object& object, const char* name, double absent);
/// The text property `name`; empty if it is missing or no text.
std::string text_of(const Napi::Object& object, const char* name);

}  // namespace holdfast::binding
