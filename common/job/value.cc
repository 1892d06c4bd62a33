// SPDX-License-Identifier: Apache-2.0
#include "common/job/value.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "common/job/limits.h"
#include "common/job/text.h"

namespace brood {
namespace {

using Json = nlohmann::json;

std::string JsonString(std::string_view text) {
  // "replace" instead of an exception, should the text not be UTF-8.
  return Json(text).dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string NonFiniteName(double number) {
  if (std::isnan(number)) return "NaN";
  return number > 0 ? "Infinity" : "-Infinity";
}

std::string JsonNumber(double number) {
  if (!std::isfinite(number)) return JsonString(NonFiniteName(number));
  char buffer[32];
  // The shortest text that reads back as the same double; no locale.
  const auto end = std::to_chars(buffer, buffer + sizeof(buffer), number).ptr;
  std::string text(buffer, end);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

// Containers within containers of a text that is known to be JSON.
int JsonDepth(std::string_view text) {
  int depth = 0;
  int deepest = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      deepest = std::max(deepest, ++depth);
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  return deepest;
}

void Convert(const Json& json, google::protobuf::Value* out) {
  switch (json.type()) {
    case Json::value_t::boolean:
      out->set_bool_value(json.get<bool>());
      break;
    case Json::value_t::number_integer:
    case Json::value_t::number_unsigned:
    case Json::value_t::number_float:
      out->set_number_value(json.get<double>());
      break;
    case Json::value_t::string:
      out->set_string_value(json.get_ref<const std::string&>());
      break;
    case Json::value_t::array:
      out->mutable_list_value();  // present also when it is empty
      for (const Json& element : json) Convert(element, out->mutable_list_value()->add_values());
      break;
    case Json::value_t::object:
      out->mutable_struct_value();
      for (const auto& [key, element] : json.items()) {
        Convert(element, &(*out->mutable_struct_value()->mutable_fields())[key]);
      }
      break;
    default:
      out->set_null_value(google::protobuf::NULL_VALUE);
  }
}

size_t PayloadSize(const v1::Value& value) {
  switch (value.kind_case()) {
    case v1::Value::kTextValue:
      return value.text_value().size();
    case v1::Value::kBytesValue:
      return value.bytes_value().size();
    case v1::Value::kJsonValue:
      return value.json_value().size();
    default:
      return 0;
  }
}

Error WrongWord(std::string_view field, std::string_view word, v1::ValueType type,
                const std::string& cure) {
  return FieldError(std::string(field),
                    Quoted(word) + " is not " + TypePhrase(type) + "; give " + cure);
}

template <typename Number>
bool ReadWhole(std::string_view word, Number* number) {
  const char* end = word.data() + word.size();
  const auto [stop, error] = std::from_chars(word.data(), end, *number);
  return error == std::errc() && stop == end && !word.empty();
}

}  // namespace

std::string ValueToJson(const v1::Value& value) {
  switch (value.kind_case()) {
    case v1::Value::kNullValue:
    case v1::Value::KIND_NOT_SET:
      return "null";
    case v1::Value::kBoolValue:
      return value.bool_value() ? "true" : "false";
    case v1::Value::kIntValue:
      return std::to_string(value.int_value());
    case v1::Value::kFloatValue:
      return JsonNumber(value.float_value());
    case v1::Value::kTextValue:
      return JsonString(value.text_value());
    case v1::Value::kBytesValue:
      return JsonString(Base64(value.bytes_value()));
    case v1::Value::kJsonValue:
      return value.json_value();
  }
  return "null";
}

Result<v1::Value> ValueFromWord(std::string_view word, v1::ValueType type, std::string_view field) {
  v1::Value value;
  switch (type) {
    case v1::VALUE_TYPE_NULL:
      if (word != "null") return WrongWord(field, word, type, "null");
      value.set_null_value(google::protobuf::NULL_VALUE);
      break;
    case v1::VALUE_TYPE_BOOL:
      if (word != "true" && word != "false") return WrongWord(field, word, type, "true or false");
      value.set_bool_value(word == "true");
      break;
    case v1::VALUE_TYPE_INT: {
      int64_t number = 0;
      if (!ReadWhole(word, &number)) {
        return WrongWord(field, word, type, "digits, -9223372036854775808 to 9223372036854775807");
      }
      value.set_int_value(number);
      break;
    }
    case v1::VALUE_TYPE_FLOAT: {
      double number = 0;
      if (!ReadWhole(word, &number)) return WrongWord(field, word, type, "one such as 2.5 or 1e-3");
      value.set_float_value(number);
      break;
    }
    case v1::VALUE_TYPE_TEXT:
      value.set_text_value(std::string(word));
      break;
    case v1::VALUE_TYPE_BYTES:
      value.set_bytes_value(std::string(word));
      break;
    case v1::VALUE_TYPE_JSON:
      if (Json::accept(word)) {
        value.set_json_value(std::string(word));
      } else if (IsUtf8(word)) {
        value.set_json_value(JsonString(word));
      } else {
        return WrongWord(field, word, type, "JSON or a text in UTF-8");
      }
      break;
    default:
      return FieldError(std::string(field), "its task declares no type for it; mend the library");
  }
  if (Status bad = CheckValue(value, field)) return *std::move(bad);
  return value;
}

Status CheckValue(const v1::Value& value, std::string_view field) {
  const std::string path(field);
  if (value.kind_case() == v1::Value::KIND_NOT_SET) {
    return FieldError(path, "holds no value; set one of its kinds (null_value for nothing)");
  }
  if (const size_t size = PayloadSize(value); size > kValueBytesMax) {
    return FieldError(path, "has " + std::to_string(size) +
                                " bytes; a value has at most 49152, pass more in a file");
  }
  if (value.has_text_value() && !IsUtf8(value.text_value())) {
    return FieldError(path, Quoted(value.text_value()) + " is not UTF-8; pass it as bytes");
  }
  if (value.has_json_value() && !Json::accept(value.json_value())) {
    return FieldError(path, Quoted(value.json_value()) + " is not JSON; pass it as text");
  }
  return Ok();
}

google::protobuf::Value ToProtobufValue(const v1::Value& value) {
  google::protobuf::Value out;
  switch (value.kind_case()) {
    case v1::Value::kNullValue:
    case v1::Value::KIND_NOT_SET:
      out.set_null_value(google::protobuf::NULL_VALUE);
      break;
    case v1::Value::kBoolValue:
      out.set_bool_value(value.bool_value());
      break;
    case v1::Value::kIntValue:
      out.set_number_value(static_cast<double>(value.int_value()));
      break;
    case v1::Value::kFloatValue:
      if (std::isfinite(value.float_value())) {
        out.set_number_value(value.float_value());
      } else {
        out.set_string_value(NonFiniteName(value.float_value()));
      }
      break;
    case v1::Value::kTextValue:
      out.set_string_value(value.text_value());
      break;
    case v1::Value::kBytesValue:
      out.set_string_value(Base64(value.bytes_value()));
      break;
    case v1::Value::kJsonValue: {
      const std::string& text = value.json_value();
      if (!Json::accept(text) || JsonDepth(text) > kJsonDepthMax) {
        out.set_string_value(text);
      } else {
        Convert(Json::parse(text, nullptr, false), &out);
      }
      break;
    }
  }
  return out;
}

v1::ValueType TypeOf(const v1::Value& value) {
  switch (value.kind_case()) {
    case v1::Value::kNullValue:
      return v1::VALUE_TYPE_NULL;
    case v1::Value::kBoolValue:
      return v1::VALUE_TYPE_BOOL;
    case v1::Value::kIntValue:
      return v1::VALUE_TYPE_INT;
    case v1::Value::kFloatValue:
      return v1::VALUE_TYPE_FLOAT;
    case v1::Value::kTextValue:
      return v1::VALUE_TYPE_TEXT;
    case v1::Value::kBytesValue:
      return v1::VALUE_TYPE_BYTES;
    case v1::Value::kJsonValue:
      return v1::VALUE_TYPE_JSON;
    case v1::Value::KIND_NOT_SET:
      break;
  }
  return v1::VALUE_TYPE_UNSPECIFIED;
}

const char* TypePhrase(v1::ValueType type) {
  switch (type) {
    case v1::VALUE_TYPE_NULL:
      return "null";
    case v1::VALUE_TYPE_BOOL:
      return "true or false";
    case v1::VALUE_TYPE_INT:
      return "a whole number";
    case v1::VALUE_TYPE_FLOAT:
      return "a number";
    case v1::VALUE_TYPE_TEXT:
      return "a text";
    case v1::VALUE_TYPE_BYTES:
      return "bytes";
    case v1::VALUE_TYPE_JSON:
      return "JSON";
    default:
      return "of no known type";
  }
}

}  // namespace brood
