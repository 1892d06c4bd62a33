// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "agent/outbox/cell_image.h"
#include "common/base/error.h"

namespace brood {

// What stands in a process's memory, read from outside by process_vm_readv(2): the
// code that runs there is not asked, and is not stopped. Nothing that is read is
// believed: sizes are bounded, and a cell that changes meanwhile is read again.
// The caller makes sure that the pid is still the process it means. Any thread.

struct MemoryCell {
  CellImage image;
  std::string bytes;  // of TEXT, BYTES, JSON
};

// The CellImage at that address and its value. UNAVAILABLE if it keeps changing,
// PERMISSION_DENIED if this process may not read that one, NOT_FOUND if the
// process or the memory is not there, DATA_LOSS if there is no cell.
Result<MemoryCell> ReadMemoryCell(pid_t pid, uint64_t image_address);

// `size` bytes, at most 48 KiB, as they are.
Result<std::string> ReadMemoryBytes(pid_t pid, uint64_t address, size_t size);

// Whether two processes have the same page of memory at an address.
enum class SamePage { kSame, kOther, kUnknown };
// Unknown without CAP_SYS_ADMIN (the kernel then hides page frames) and where there is no page.
SamePage ComparePages(pid_t one, pid_t other, uint64_t address);

}  // namespace brood
