// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

namespace brood {

// CRC32C (Castagnoli), as iSCSI uses it, by Intel's ISA-L (Debian package
// libisal-dev): "123456789" gives 0xE3069283. `crc` continues an earlier one.
uint32_t Crc32c(const void* data, size_t size, uint32_t crc = 0);

}  // namespace brood
