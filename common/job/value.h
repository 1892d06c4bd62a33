// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <google/protobuf/struct.pb.h>

#include <string>
#include <string_view>

#include "brood/v1/value.pb.h"
#include "common/base/error.h"

namespace brood {

// Containers within containers beyond which a JSON value is handed on as text: protobuf's readers
// stop at 100 messages, and one container of google.protobuf.Value takes up to three.
inline constexpr int kJsonDepthMax = 28;

// The value as JSON text: 5, "text", null, true, 2.5 (a whole float is 5.0, NaN and the infinities
// are "NaN", "Infinity", "-Infinity"), bytes as a base64 string, JSON as it is. null if none is
// set.
std::string ValueToJson(const v1::Value& value);

// A word of a command line, read as `type`: TEXT and BYTES verbatim; INT a decimal of 64 bits and
// nothing else; FLOAT as C writes it; BOOL true or false; NULL null; JSON the text if it is JSON,
// else a JSON string. INVALID_ARGUMENT, naming `field`, if it cannot be read so.
Result<v1::Value> ValueFromWord(std::string_view word, v1::ValueType type, std::string_view field);

// Ok if a kind is set, it has at most 48 KiB, text is UTF-8 and JSON is JSON.
Status CheckValue(const v1::Value& value, std::string_view field);

// The value as protobuf's JSON-like value: whole numbers beyond 2^53 lose digits, bytes become
// base64, non-finite numbers text, JSON deeper than kJsonDepthMax its own text.
google::protobuf::Value ToProtobufValue(const v1::Value& value);

// The type whose kind is set; VALUE_TYPE_UNSPECIFIED if none is.
v1::ValueType TypeOf(const v1::Value& value);

// For sentences: "null", "true or false", "a whole number", "a number", "a text", "bytes", "JSON".
const char* TypePhrase(v1::ValueType type);

}  // namespace brood
