// Profiles: a shard joins, leaves and asks; management counts and lists.
#include "../core/profiles.h"

#include <algorithm>
#include <array>
#include <string>

#include "shard.h"

namespace holdfast::binding {

namespace {

/// The length that says "any value, or none".
constexpr std::uint32_t kAnyValue = 0xffff'ffff;

Profiles profiles_of(ShardState& shard) noexcept { return Profiles(*shard.segment, shard.owner); }

/// A value in M; `any` for a length of -1.
struct Value {
  Value(const ShardState& shard, std::uint32_t offset, std::uint32_t length) noexcept
      : any(length == kAnyValue) {
    if (any) return;
    good = shard.in_memory(offset, length);
    if (good && length != 0) text = {shard.memory + offset, length};
  }
  Text text;
  bool any, good = true;
};

Status profile_join(ShardState& shard, std::uint32_t index, std::uint32_t generation, std::uint32_t profile,
                    std::uint32_t offset, std::uint32_t length, std::uint32_t limit) noexcept {
  const Value value(shard, offset, length);
  if (!value.good) return Status::kBadMessage;
  return profiles_of(shard).join({index, generation}, profile, value.text, limit, shard.x(kXArgs));
}

Status profile_attach(ShardState& shard, std::uint32_t member, std::uint32_t index,
                      std::uint32_t generation) noexcept {
  return profiles_of(shard).attach(member, {index, generation});
}

void profile_give_back(ShardState& shard, std::uint32_t member) noexcept {
  profiles_of(shard).give_back(member);
}

Status profile_leave(ShardState& shard, std::uint32_t index, std::uint32_t generation, std::uint32_t profile,
                     std::uint32_t offset, std::uint32_t length) noexcept {
  const Value value(shard, offset, length);
  if (!value.good) return Status::kBadMessage;
  return profiles_of(shard).leave({index, generation}, profile, value.text, value.any);
}

Status profile_is_member(ShardState& shard, std::uint32_t index, std::uint32_t generation,
                         std::uint32_t profile, std::uint32_t offset, std::uint32_t length) noexcept {
  const Value value(shard, offset, length);
  if (!value.good) return Status::kBadMessage;
  return profiles_of(shard).is_member({index, generation}, profile, value.text, value.any);
}

std::uint32_t profile_size(ShardState& shard, std::uint32_t profile, std::uint32_t offset,
                           std::uint32_t length) noexcept {
  const Value value(shard, offset, length);
  return value.good ? profiles_of(shard).count(profile, value.text, value.any) : 0;
}

Status profile_add_remote(ShardState& shard, std::uint32_t profile, std::uint32_t offset,
                          std::uint32_t length, std::uint32_t uid_offset, std::uint32_t uid_length,
                          std::uint32_t expires) noexcept {
  const Value value(shard, offset, length), uid(shard, uid_offset, uid_length);
  if (!value.good || !uid.good) return Status::kBadMessage;
  return profiles_of(shard).add_remote(profile, value.text, uid.text, expires);
}

Status profile_remove_remote(ShardState& shard, std::uint32_t profile, std::uint32_t offset,
                             std::uint32_t length, std::uint32_t uid_offset,
                             std::uint32_t uid_length) noexcept {
  const Value value(shard, offset, length), uid(shard, uid_offset, uid_length);
  if (!value.good || !uid.good) return Status::kBadMessage;
  return profiles_of(shard).remove_remote(profile, value.text, uid.text);
}

std::uint32_t profile_expire_remotes(ShardState& shard, std::uint32_t now, std::uint32_t part) noexcept {
  return profiles_of(shard).expire_remotes(now, part);
}

// ---- management ----

/// What (segment, name, value | null) of a call name; `profiles` is null when there is no such segment or
/// profile.
struct Named {
  explicit Named(const Napi::CallbackInfo& info)
      : open(find_segment(info[0].IsNumber() ? info[0].As<Napi::Number>().Uint32Value() : 0)) {
    if (!open) return;
    const std::string name = info[1].ToString().Utf8Value();
    any = !info[2].IsString();
    if (!any) value = info[2].As<Napi::String>().Utf8Value();
    bool with_value = false;
    known = profiles().find({reinterpret_cast<const std::uint8_t*>(name.data()), name.size()}, &profile,
                            &with_value) == Status::kOk;
  }
  [[nodiscard]] Profiles profiles() const noexcept { return Profiles(*open->segment, kMainThread); }
  [[nodiscard]] Text text() const noexcept {
    return {reinterpret_cast<const std::uint8_t*>(value.data()), value.size()};
  }

  std::shared_ptr<OpenSegment> open;
  std::string value;
  std::uint32_t profile = 0;
  bool any = true, known = false;
};

Napi::Value profile_count(const Napi::CallbackInfo& info) {
  const Named named(info);
  const std::uint32_t count =
      named.known ? named.profiles().count(named.profile, named.text(), named.any) : 0;
  return Napi::Number::New(info.Env(), count);
}

Napi::Value profile_members(const Napi::CallbackInfo& info) {
  const Named named(info);
  const std::uint32_t skip = info[3].IsNumber() ? info[3].As<Napi::Number>().Uint32Value() : 0;
  std::uint32_t count = 0;
  void* data = nullptr;
  std::size_t words = 0;
  if (named.known && info[4].IsTypedArray() &&
      info[4].As<Napi::TypedArray>().TypedArrayType() == napi_uint32_array &&
      napi_get_typedarray_info(info.Env(), info[4], nullptr, &words, &data, nullptr, nullptr) == napi_ok) {
    std::array<DialogHandle, 1024> handles;
    count = named.profiles().members(named.profile, named.text(), named.any, skip,
                                     {handles.data(), std::min(handles.size(), words / 2)});
    auto* out = static_cast<std::uint32_t*>(data);
    for (std::uint32_t n = 0; n < count; ++n) {
      *out++ = handles[n].index;
      *out++ = handles[n].generation;
    }
  }
  return Napi::Number::New(info.Env(), count);
}

/// A worker died: what it joined without a dialog is given back (segment, owner).
Napi::Value profiles_give_back(const Napi::CallbackInfo& info) {
  const auto open = find_segment(info[0].IsNumber() ? info[0].As<Napi::Number>().Uint32Value() : 0);
  const std::uint32_t owner = info[1].IsNumber() ? info[1].As<Napi::Number>().Uint32Value() : kThreadsMax;
  const std::uint32_t count =
      open && owner < kThreadsMax ? Profiles(*open->segment, kMainThread).give_back_all(owner) : 0;
  return Napi::Number::New(info.Env(), count);
}

}  // namespace

void register_profiles(ShardBuilder& builder) {
  builder.method<&profile_join>("profileJoin");
  builder.method<&profile_attach>("profileAttach");
  builder.method<&profile_give_back>("profileGiveBack");
  builder.method<&profile_leave>("profileLeave");
  builder.method<&profile_is_member>("profileIsMember");
  builder.method<&profile_size>("profileSize");
  builder.method<&profile_add_remote>("profileAddRemote");
  builder.method<&profile_remove_remote>("profileRemoveRemote");
  builder.method<&profile_expire_remotes>("profileExpireRemotes");
}

void export_profiles(Napi::Env env, Napi::Object exports) {
  exports.Set("profileCount", Napi::Function::New(env, profile_count, "profileCount"));
  exports.Set("profileMembers", Napi::Function::New(env, profile_members, "profileMembers"));
  exports.Set("profilesGiveBack", Napi::Function::New(env, profiles_give_back, "profilesGiveBack"));
}

}  // namespace holdfast::binding
