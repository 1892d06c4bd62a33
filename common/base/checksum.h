// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

namespace brood {

// CRC32C (Castagnoli), as iSCSI uses it, by Intel's ISA-L (Debian package
// libisal-dev): "123456789" gives 0xE3069283. `crc` continues an earlier one.
uint32_t Crc32c(const void* data, size_t size, uint32_t crc = 0);

// CRC-64 (ECMA-182, reflected, as in .xz): "123456789" gives 0x995DC9BBDF1939FA. For names, where
// nobody gains by two that collide.
uint64_t Crc64(const void* data, size_t size);

}  // namespace brood
