// SPDX-License-Identifier: Apache-2.0
//
// Values as task.h, the frames and the notes have them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "agent/outbox/slot_file.h"
#include "agent/outbox/value_bytes.h"
#include "agent/sdk/task.h"
#include "brood/internal/v1/frames.pb.h"

namespace brood {

// BROOD_OK, BROOD_WRONG_TYPE for no type there is, BROOD_TOO_LARGE over 48 KiB.
inline int CheckValue(const brood_value& value) {
  if (value.type < BROOD_NULL || value.type > BROOD_JSON) return BROOD_WRONG_TYPE;
  if (!HasBytes(value.type)) return BROOD_OK;
  if (value.size > kValueBytesMax) return BROOD_TOO_LARGE;
  return value.data == nullptr && value.size > 0 ? BROOD_WRONG_TYPE : BROOD_OK;
}

// The same value with its bytes in `keep`.
brood_value KeepValue(const brood_value& value, std::string* keep);

// Points into `value`. A value of no kind is BROOD_NULL.
brood_value FromProtoValue(const internal::v1::Value& value);
void SetProtoValue(const brood_value& value, internal::v1::Value* proto);

// The bytes of agent/outbox/value_bytes.h.
std::string ToValueBytes(const brood_value& value);

// "a whole number" and so on, for sentences.
const char* TypeWords(uint32_t type);

}  // namespace brood
