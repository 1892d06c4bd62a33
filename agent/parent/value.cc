// SPDX-License-Identifier: Apache-2.0
#include "agent/parent/value.h"

#include "agent/outbox/value_bytes.h"

namespace brood {

using ProtoValue = internal::v1::Value;

brood_value KeepValue(const brood_value& value, std::string* keep) {
  brood_value kept = value;
  if (!HasBytes(value.type)) return kept;
  if (value.size > 0) {
    keep->assign(value.data, value.size);
  } else {
    keep->clear();
  }
  kept.data = keep->data();
  return kept;
}

brood_value FromProtoValue(const ProtoValue& value) {
  brood_value result{};
  const auto set_bytes = [&result](uint32_t type, const std::string& bytes) {
    result.type = type;
    result.data = bytes.data();
    result.size = bytes.size();
  };
  switch (value.kind_case()) {
    case ProtoValue::kBoolValue:
      result.type = BROOD_BOOL;
      result.integer = value.bool_value() ? 1 : 0;
      break;
    case ProtoValue::kIntValue:
      result.type = BROOD_INT;
      result.integer = value.int_value();
      break;
    case ProtoValue::kFloatValue:
      result.type = BROOD_FLOAT;
      result.number = value.float_value();
      break;
    case ProtoValue::kTextValue:
      set_bytes(BROOD_TEXT, value.text_value());
      break;
    case ProtoValue::kBytesValue:
      set_bytes(BROOD_BYTES, value.bytes_value());
      break;
    case ProtoValue::kJsonValue:
      set_bytes(BROOD_JSON, value.json_value());
      break;
    case ProtoValue::kNullValue:
    case ProtoValue::KIND_NOT_SET:
      result.type = BROOD_NULL;
      break;
  }
  return result;
}

void SetProtoValue(const brood_value& value, ProtoValue* proto) {
  switch (value.type) {
    case BROOD_BOOL:
      proto->set_bool_value(value.integer != 0);
      break;
    case BROOD_INT:
      proto->set_int_value(value.integer);
      break;
    case BROOD_FLOAT:
      proto->set_float_value(value.number);
      break;
    case BROOD_TEXT:
      proto->set_text_value(value.data, value.size);
      break;
    case BROOD_BYTES:
      proto->set_bytes_value(value.data, value.size);
      break;
    case BROOD_JSON:
      proto->set_json_value(value.data, value.size);
      break;
    default:
      proto->set_null_value(true);
      break;
  }
}

std::string ToValueBytes(const brood_value& value) {
  switch (value.type) {
    case BROOD_BOOL:
      return std::string(ScalarBytes(value.integer != 0).view());
    case BROOD_INT:
      return std::string(ScalarBytes(value.integer).view());
    case BROOD_FLOAT:
      return std::string(ScalarBytes(value.number).view());
    case BROOD_TEXT:
    case BROOD_BYTES:
    case BROOD_JSON:
      return std::string(value.size > 0 ? value.data : "", value.size);
    default:
      return std::string();
  }
}

const char* TypeWords(uint32_t type) {
  switch (type) {
    case BROOD_NULL:
      return "null";
    case BROOD_BOOL:
      return "true or false";
    case BROOD_INT:
      return "a whole number";
    case BROOD_FLOAT:
      return "a number";
    case BROOD_TEXT:
      return "a text";
    case BROOD_BYTES:
      return "bytes";
    case BROOD_JSON:
      return "JSON";
    default:
      return "a value of no known type";
  }
}

}  // namespace brood
