// The export list: what each room of the binding gives to the addon and to a shard.
#include <napi.h>

#include "shard.h"

namespace holdfast::binding {

void export_segment(Napi::Env env, Napi::Object exports);
void export_table(Napi::Env env, Napi::Object exports);
void export_profiles(Napi::Env env, Napi::Object exports);
void export_counters(Napi::Env env, Napi::Object exports);
void export_layout(Napi::Env env, Napi::Object exports);
void export_net(Napi::Env env, Napi::Object exports);
void export_shard(Napi::Env env, Napi::Object exports);

}  // namespace holdfast::binding

static Napi::Object initialize(Napi::Env env, Napi::Object exports) {
  using namespace holdfast::binding;
  export_segment(env, exports);
  export_table(env, exports);
  export_profiles(env, exports);
  export_counters(env, exports);
  export_layout(env, exports);
  export_net(env, exports);
  export_shard(env, exports);
  return exports;
}

NODE_API_MODULE(holdfast, initialize)
