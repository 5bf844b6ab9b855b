#include "call.h"

namespace holdfast::binding {

void throw_coded(napi_env env, const char* code, const std::string& detail) {
  napi_throw_error(env, code, detail.c_str());
}

double number_of(const Napi::Object& object, const char* name, double absent) {
  const Napi::Value value = object.Get(name);
  return value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : absent;
}

std::string text_of(const Napi::Object& object, const char* name) {
  const Napi::Value value = object.Get(name);
  return value.IsString() ? value.As<Napi::String>().Utf8Value() : std::string();
}

}  // namespace holdfast::binding
