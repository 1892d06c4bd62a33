// SPDX-License-Identifier: Apache-2.0
#include "agent/process/memory_reader.h"

#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <optional>

#include "agent/outbox/slot_file.h"
#include "agent/outbox/value_bytes.h"
#include "common/base/unique_fd.h"

namespace brood {
namespace {

// A change takes less than a microsecond, or some for 48 KiB of text: who finds it changing so
// often reads a cell that is written all the time.
constexpr int kAttempts = 64;

Error ReadError(pid_t pid, int error_number) {
  const std::string process = "process " + std::to_string(pid);
  switch (error_number) {
    case EPERM:
      return Error{ErrorCode::kPermissionDenied, "MAY_NOT_READ",
                   "may not read the memory of " + process +
                       ": run the agent as root, or set kernel.yama.ptrace_scope to 0",
                   ""};
    case ESRCH:
      return Error{ErrorCode::kNotFound, "NO_SUCH_PROCESS", process + " has ended", ""};
    case EFAULT:
      return Error{ErrorCode::kNotFound, "NO_SUCH_MEMORY",
                   process + " has no memory at that address", ""};
    default:
      return ErrnoError(error_number, "cannot read the memory of " + process);
  }
}

std::optional<Error> ReadAt(pid_t pid, uint64_t address, void* to, size_t size) {
  const iovec local{to, size};
  const iovec remote{reinterpret_cast<void*>(address), size};
  const ssize_t got = ::process_vm_readv(pid, &local, 1, &remote, 1, 0);
  if (got == static_cast<ssize_t>(size)) return std::nullopt;
  return ReadError(pid, got < 0 ? errno : EFAULT);
}

// The image, and before it its sequence by itself: one copy of the whole may take its parts in any
// order (the processor's string moves do), so that a new sequence could stand beside an old size.
std::optional<Error> ReadImage(pid_t pid, uint64_t address, uint64_t* sequence, CellImage* image) {
  const iovec local[] = {{sequence, sizeof(*sequence)}, {image, sizeof(*image)}};
  const iovec remote[] = {
      {reinterpret_cast<void*>(address + offsetof(CellImage, sequence)), sizeof(*sequence)},
      {reinterpret_cast<void*>(address), sizeof(*image)}};
  const ssize_t got = ::process_vm_readv(pid, local, 2, remote, 2, 0);
  if (got == static_cast<ssize_t>(sizeof(*sequence) + sizeof(*image))) return std::nullopt;
  return ReadError(pid, got < 0 ? errno : EFAULT);
}

// The frame of the page, if there is one and it is shown.
std::optional<uint64_t> PageFrame(pid_t pid, uint64_t address) {
  const UniqueFd fd(
      ::open(("/proc/" + std::to_string(pid) + "/pagemap").c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return std::nullopt;
  const auto page = static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  uint64_t entry = 0;
  const auto at = static_cast<off_t>(address / page * sizeof(entry));
  if (::pread(fd.get(), &entry, sizeof(entry), at) != sizeof(entry)) return std::nullopt;
  constexpr uint64_t kPresent = uint64_t{1} << 63;
  constexpr uint64_t kFrameMask = (uint64_t{1} << 55) - 1;
  const uint64_t frame = entry & kFrameMask;
  if ((entry & kPresent) == 0 || frame == 0) return std::nullopt;
  return frame;
}

}  // namespace

Result<MemoryCell> ReadMemoryCell(pid_t pid, uint64_t image_address) {
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    MemoryCell cell;
    uint64_t before = 0;
    if (auto failed = ReadImage(pid, image_address, &before, &cell.image)) return *failed;
    if (cell.image.magic != kCellMagic) {
      return Error{ErrorCode::kDataLoss, "NO_CELL",
                   "there is no cell at that address of process " + std::to_string(pid), ""};
    }
    if (before % 2 != 0 || cell.image.sequence != before) continue;
    if (HasBytes(cell.image.value_kind)) {
      if (cell.image.size > kValueBytesMax) continue;
      cell.bytes.resize(cell.image.size);
      // Where a longer text is being put elsewhere, the old place may be gone.
      if (!cell.bytes.empty() &&
          ReadAt(pid, cell.image.data, cell.bytes.data(), cell.bytes.size())) {
        continue;
      }
    }
    uint64_t after = 0;
    if (auto failed =
            ReadAt(pid, image_address + offsetof(CellImage, sequence), &after, sizeof(after))) {
      return *failed;
    }
    if (after == before) return cell;
  }
  return Error{ErrorCode::kUnavailable, "CHANGING",
               "the cell changes too fast to be read; try again", ""};
}

Result<std::string> ReadMemoryBytes(pid_t pid, uint64_t address, size_t size) {
  if (size > kValueBytesMax) {
    return FieldError("size", std::to_string(size) + " is more than a value can have");
  }
  std::string bytes(size, '\0');
  if (size > 0) {
    if (auto failed = ReadAt(pid, address, bytes.data(), size)) return *failed;
  }
  return bytes;
}

SamePage ComparePages(pid_t one, pid_t other, uint64_t address) {
  const std::optional<uint64_t> first = PageFrame(one, address);
  const std::optional<uint64_t> second = PageFrame(other, address);
  if (!first || !second) return SamePage::kUnknown;
  return *first == *second ? SamePage::kSame : SamePage::kOther;
}

}  // namespace brood
