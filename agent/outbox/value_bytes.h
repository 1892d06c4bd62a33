// SPDX-License-Identifier: Apache-2.0
//
// How a value stands in the text of a note and in a call area; its kind
// (brood.v1.ValueType, the numbers of task.h) stands beside it.
//
//   NULL                nothing
//   BOOL                one byte, 0 or 1
//   INT                 eight bytes, two's complement
//   FLOAT               eight bytes, IEEE 754
//   TEXT, BYTES, JSON   the bytes themselves
//
// Machine order: writer and reader are on one host.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace brood {

enum class ValueKind : uint16_t {
  kUnset = 0,
  kNull = 1,
  kBool = 2,
  kInt = 3,
  kFloat = 4,
  kText = 5,
  kBytes = 6,
  kJson = 7,
};

// Whether a value of this kind is bytes that stand elsewhere, not a scalar. Any number
// is a kind: what another process has in its memory is asked too.
constexpr bool HasBytes(uint32_t kind) {
  return kind == static_cast<uint32_t>(ValueKind::kText) ||
         kind == static_cast<uint32_t>(ValueKind::kBytes) ||
         kind == static_cast<uint32_t>(ValueKind::kJson);
}

// The bytes of a BOOL, INT or FLOAT, for as long as this lives.
class ScalarBytes {
 public:
  explicit ScalarBytes(bool value) : size_(1) { bytes_[0] = value ? 1 : 0; }
  explicit ScalarBytes(int64_t value) : size_(sizeof(value)) {
    std::memcpy(bytes_, &value, sizeof(value));
  }
  explicit ScalarBytes(double value) : size_(sizeof(value)) {
    std::memcpy(bytes_, &value, sizeof(value));
  }
  std::string_view view() const { return {bytes_, size_}; }

 private:
  char bytes_[8] = {};
  size_t size_;
};

// Reads one back; false if the size is not that of the kind.
inline bool ReadBool(std::string_view bytes, bool* value) {
  if (bytes.size() != 1) return false;
  *value = bytes[0] != 0;
  return true;
}
inline bool ReadInt(std::string_view bytes, int64_t* value) {
  if (bytes.size() != sizeof(*value)) return false;
  std::memcpy(value, bytes.data(), sizeof(*value));
  return true;
}
inline bool ReadFloat(std::string_view bytes, double* value) {
  if (bytes.size() != sizeof(*value)) return false;
  std::memcpy(value, bytes.data(), sizeof(*value));
  return true;
}

}  // namespace brood
