// SPDX-License-Identifier: Apache-2.0
#include "common/base/checksum.h"

#include <isa-l/crc.h>
#include <isa-l/crc64.h>

#include <algorithm>
#include <climits>

namespace brood {

uint32_t Crc32c(const void* data, size_t size, uint32_t crc) {
  // ISA-L takes a non-const pointer that it only reads, an int length, and no
  // inversion of its own.
  auto* bytes = const_cast<unsigned char*>(static_cast<const unsigned char*>(data));
  crc = ~crc;
  while (size > 0) {
    const size_t part = std::min<size_t>(size, INT_MAX);
    crc = crc32_iscsi(bytes, static_cast<int>(part), crc);
    bytes += part;
    size -= part;
  }
  return ~crc;
}

uint64_t Crc64(const void* data, size_t size) {
  return crc64_ecma_refl(0, static_cast<const unsigned char*>(data), size);
}

}  // namespace brood
