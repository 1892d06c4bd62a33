// SPDX-License-Identifier: Apache-2.0
#include "controller/cli/json_output.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>

namespace brood::cli {
namespace {

using Json = nlohmann::ordered_json;

// MODE_FORK is FORK for people and their scripts: the values that the command
// line itself takes, without the prefix that protobuf's names need.
std::string WithoutPrefix(const google::protobuf::EnumDescriptor& type, const std::string& name) {
  constexpr char kUnset[] = "UNSPECIFIED";
  const std::string& zero = type.value(0)->name();
  const size_t prefix = zero.size() - std::min(zero.size(), sizeof(kUnset) - 1);
  return name.compare(0, prefix, zero, 0, prefix) == 0 ? name.substr(prefix) : name;
}

// Walks a message's JSON beside its descriptor.
void ShortenEnums(const google::protobuf::Descriptor& type, Json* json) {
  if (!json->is_object() || type.full_name().rfind("google.protobuf.", 0) == 0) return;
  for (int i = 0; i < type.field_count(); ++i) {
    const google::protobuf::FieldDescriptor& field = *type.field(i);
    const auto found = json->find(field.json_name());
    if (found == json->end() || field.is_map()) continue;
    const auto shorten = [&field](Json* value) {
      if (field.enum_type() != nullptr && value->is_string()) {
        *value = WithoutPrefix(*field.enum_type(), value->get<std::string>());
      } else if (field.message_type() != nullptr) {
        ShortenEnums(*field.message_type(), value);
      }
    };
    if (field.is_repeated()) {
      for (Json& value : *found) shorten(&value);
    } else {
      shorten(&*found);
    }
  }
}

std::string ToJson(const google::protobuf::Message& message, Fields fields, bool whitespace) {
  google::protobuf::util::JsonPrintOptions options;
  options.always_print_primitive_fields = fields == Fields::kAll;
  std::string json;
  // Fails only for messages that cannot come from protobuf's own readers, such as a
  // timestamp beyond the year 9999.
  const auto status = google::protobuf::util::MessageToJsonString(message, &json, options);
  if (!status.ok()) return "{}";
  Json tree = Json::parse(json, nullptr, false);
  if (tree.is_discarded()) return json;
  ShortenEnums(*message.GetDescriptor(), &tree);
  return tree.dump(whitespace ? 1 : -1);
}

}  // namespace

std::string ToJsonLine(const google::protobuf::Message& message, Fields fields) {
  return ToJson(message, fields, false);
}

std::string ToJsonText(const google::protobuf::Message& message, Fields fields) {
  std::string json = ToJson(message, fields, true);
  if (json.empty() || json.back() != '\n') json += '\n';
  return json;
}

}  // namespace brood::cli
