// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace brood::testing {

// Bytes that a program writes and a test knows: the same for the same seed and kind, in order.
class FloodBytes {
 public:
  // "binary": all 256 bytes. "text": letters, no newline. "utf8": what is no UTF-8. "nul": mostly
  // NULs.
  FloodBytes(uint64_t seed, const std::string& kind)
      : state_(seed * 2 + 1), kind_(kind.empty() ? 'b' : kind[0]) {}

  // The next ones; `size` is a multiple of eight but in the last call.
  void Fill(char* bytes, size_t size) {
    for (size_t i = 0; i < size; i += 8) {
      state_ ^= state_ << 13;
      state_ ^= state_ >> 7;
      state_ ^= state_ << 17;
      uint64_t word = state_;
      if (kind_ == 't') word = (word & 0x0f0f0f0f0f0f0f0f) + 0x6161616161616161;
      if (kind_ == 'u') word |= 0x8080808080808080;
      if (kind_ == 'n') word &= (word & 7) == 0 ? 0xff : 0;
      for (size_t k = 0; k < 8 && i + k < size; ++k) {
        bytes[i + k] = static_cast<char>(word >> (8 * k));
      }
    }
  }

 private:
  uint64_t state_;
  const char kind_;
};

}  // namespace brood::testing
