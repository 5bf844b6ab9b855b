// Making, closing and measuring the shared segment: the cold API of the main thread.
#include "../core/segment.h"

#include <sys/random.h>

#include <cerrno>
#include <vector>

#include "../core/table.h"
#include "shard.h"

namespace holdfast::binding {

namespace {

/// How the operator's mistakes are named in TypeScript (errors.ts).
const char* code_of(const SegmentError& error) noexcept {
  if (error.system_errno == EACCES || error.system_errno == EPERM) return "ERR_PERMISSION";
  if (error.status == Status::kNoMemory) return "ERR_SEGMENT_ROOM";
  if (error.status == Status::kRefused && error.system_errno == EWOULDBLOCK) return "ERR_SEGMENT_IN_USE";
  if (error.status == Status::kNotFound) return "ERR_SEGMENT_NO_CALLS";
  return "ERR_SEGMENT";
}

/// Texts stay where they are while the options are used.
struct OptionTexts {
  std::vector<std::string> profiles, sockets;
  std::vector<ProfileOption> profile_options;
  std::vector<std::string_view> socket_views;
};

SegmentOptions read_options(const Napi::Object& object, OptionTexts& texts) {
  SegmentOptions options;
  options.path = text_of(object, "path");
  options.bytes = static_cast<std::uint64_t>(number_of(object, "bytes", 0));
  options.hash_size = static_cast<std::uint32_t>(number_of(object, "hashSize", 4096));
  options.workers = static_cast<std::uint32_t>(number_of(object, "workers", 1));
  const double start = number_of(object, "hIdStart", -1);
  options.h_id_start_given = start >= 0;
  options.h_id_start = start >= 0 ? static_cast<std::uint32_t>(start) : 0;
  options.h_id_step = static_cast<std::uint32_t>(number_of(object, "hIdStep", 1));
  options.keep_alive_seconds = static_cast<std::uint32_t>(number_of(object, "keepAliveSeconds", 0));
  options.mailbox_bytes = static_cast<std::uint64_t>(number_of(object, "mailboxBytes", kMailboxBytesMin));
  const Napi::Value timer = object.Get("timerWorker");
  options.timer_worker = !timer.IsBoolean() || timer.As<Napi::Boolean>().Value();
  const Napi::Value profiles = object.Get("profiles"), sockets = object.Get("sockets");
  if (profiles.IsArray()) {
    const auto list = profiles.As<Napi::Array>();
    texts.profiles.reserve(list.Length());
    for (std::uint32_t n = 0; n < list.Length(); ++n) {
      const auto one = list.Get(n).As<Napi::Object>();
      texts.profiles.push_back(text_of(one, "name"));
      texts.profile_options.push_back({texts.profiles.back(), one.Get("withValue").ToBoolean().Value()});
    }
  }
  if (sockets.IsArray()) {
    const auto list = sockets.As<Napi::Array>();
    texts.sockets.reserve(list.Length());
    for (std::uint32_t n = 0; n < list.Length(); ++n) {
      texts.sockets.push_back(list.Get(n).ToString().Utf8Value());
      texts.socket_views.push_back(texts.sockets.back());
    }
  }
  options.profiles = texts.profile_options;
  options.sockets = texts.socket_views;
  return options;
}

using Open = std::unique_ptr<Segment> (*)(const SegmentOptions&, SegmentError&) noexcept;

Napi::Value open_segment(const Napi::CallbackInfo& info, Open open) {
  Napi::Env env = info.Env();
  if (!info[0].IsObject()) {
    throw_coded(env, "ERR_SEGMENT", "options are needed");
    return env.Undefined();
  }
  OptionTexts texts;
  SegmentOptions options = read_options(info[0].As<Napi::Object>(), texts);
  if (getrandom(options.random, sizeof options.random, 0) != sizeof options.random) {
    throw_coded(env, "ERR_SEGMENT", "the machine gives no random numbers");
    return env.Undefined();
  }
  options.now_boot_ms = boot_milliseconds();
  SegmentError error;
  std::unique_ptr<Segment> segment = open(options, error);
  if (segment == nullptr) {
    throw_coded(env, code_of(error), error.text);
    return env.Undefined();
  }
  const std::uint32_t owners = segment->owners();
  return Napi::Number::New(env, add_segment(std::move(segment), owners));
}

/// A new segment; what a dead process left is moved aside.
Napi::Value create_segment(const Napi::CallbackInfo& info) { return open_segment(info, &Segment::create); }

/// The segment that a dead process left, with all its dialogs.
Napi::Value attach_segment(const Napi::CallbackInfo& info) { return open_segment(info, &Segment::attach); }

Napi::Value segment_warning(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const auto open = find_segment(info[0].IsNumber() ? info[0].As<Napi::Number>().Uint32Value() : 0);
  if (!open || open->segment->warning().empty()) return env.Null();
  return Napi::String::New(env, open->segment->warning());
}

/// Names in the order of their numbers.
Napi::Value segment_names(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Napi::Array profiles = Napi::Array::New(env), sockets = Napi::Array::New(env);
  const auto open = find_segment(info[0].IsNumber() ? info[0].As<Napi::Number>().Uint32Value() : 0);
  if (open) {
    const SegmentHeader& header = open->segment->header();
    const auto* defined = open->segment->region<ProfileName>(kRegionProfiles);
    for (std::uint32_t n = 0; n < header.profiles; ++n) {
      Napi::Object profile = Napi::Object::New(env);
      profile.Set("name", defined[n].name);
      profile.Set("withValue", defined[n].with_value != 0);
      profiles.Set(n, profile);
    }
    for (std::uint32_t n = 0; n < header.sockets; ++n)
      sockets.Set(n, Napi::String::New(env, std::string(open->segment->socket_name(n + 1))));
  }
  Napi::Object names = Napi::Object::New(env);
  names.Set("profiles", profiles);
  names.Set("sockets", sockets);
  return names;
}

Napi::Value close_segment(const Napi::CallbackInfo& info) {
  const auto open = remove_segment(info[0].IsNumber() ? info[0].As<Napi::Number>().Uint32Value() : 0);
  if (open && info[1].ToBoolean().Value()) open->segment->remove_file();
  return info.Env().Undefined();
}

Napi::Value segment_usage(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const auto open = find_segment(info[0].IsNumber() ? info[0].As<Napi::Number>().Uint32Value() : 0);
  if (!open) {
    throw_coded(env, "ERR_SEGMENT", "no such segment is open");
    return env.Undefined();
  }
  Segment& segment = *open->segment;
  Napi::Object usage = Napi::Object::New(env);
  const auto set = [&](const char* name, std::uint64_t value) {
    usage.Set(name, Napi::Number::New(env, static_cast<double>(value)));
  };
  set("totalBytes", segment.total_bytes());
  set("usedBytes", segment.used_bytes());
  set("arenaTotalBytes", segment.arena().total_bytes());
  set("arenaUsedBytes", segment.arena().used_bytes());
  set("dialogs", segment.dialogs().used());
  set("dialogsMax", segment.dialogs().max());
  set("transactions", segment.transactions().used());
  set("transactionsMax", segment.transactions().max());
  set("callsEnough", segment.calls_enough());
  return usage;
}

Napi::Value transactions_in_work(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const auto open = find_segment(info[0].IsNumber() ? info[0].As<Napi::Number>().Uint32Value() : 0);
  if (!open) {
    throw_coded(env, "ERR_SEGMENT", "no such segment is open");
    return env.Undefined();
  }
  return Napi::Number::New(env, holdfast::transactions_in_work(*open->segment));
}

Napi::Value boot_seconds(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(boot_milliseconds() / 1000));
}

}  // namespace

void export_segment(Napi::Env env, Napi::Object exports) {
  exports.Set("createSegment", Napi::Function::New(env, create_segment, "createSegment"));
  exports.Set("attachSegment", Napi::Function::New(env, attach_segment, "attachSegment"));
  exports.Set("segmentWarning", Napi::Function::New(env, segment_warning, "segmentWarning"));
  exports.Set("segmentNames", Napi::Function::New(env, segment_names, "segmentNames"));
  exports.Set("closeSegment", Napi::Function::New(env, close_segment, "closeSegment"));
  exports.Set("segmentUsage", Napi::Function::New(env, segment_usage, "segmentUsage"));
  exports.Set("transactionsInWork",
              Napi::Function::New(env, transactions_in_work, "transactionsInWork"));
  exports.Set("bootSeconds", Napi::Function::New(env, boot_seconds, "bootSeconds"));
}

}  // namespace holdfast::binding
