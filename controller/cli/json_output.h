// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <google/protobuf/message.h>

#include <iosfwd>
#include <string>

namespace brood::cli {

// Which fields of a message are written.
enum class Fields {
  // Those that are set; a field without presence that is zero, empty or false is left out.
  kSet,
  // Those too: where a reader of the contract may count on the field.
  kAll,
};

// protobuf's own JSON mapping, on one line, without the line's end; values of enums without
// their type's prefix (docs/adr/0010-short-enums-in-json.md).
std::string ToJsonLine(const google::protobuf::Message& message, Fields fields = Fields::kSet);

// The same over several lines, with the last line's end: -o json.
std::string ToJsonText(const google::protobuf::Message& message, Fields fields = Fields::kSet);

}  // namespace brood::cli
