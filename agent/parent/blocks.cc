// SPDX-License-Identifier: Apache-2.0
#include "agent/parent/blocks.h"

#include <sys/mman.h>
#include <unistd.h>

#include "agent/parent/limits.h"

namespace brood {
namespace {

// Zeros at an address that is a multiple of `alignment`, itself one of the page; null with errno.
char* MapAligned(size_t bytes, size_t alignment) {
  const size_t wide = bytes + alignment;
  void* const mapped = ::mmap(nullptr, wide, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapped == MAP_FAILED) return nullptr;
  char* const begin = static_cast<char*>(mapped);
  const auto at = reinterpret_cast<uintptr_t>(begin);
  char* const block = begin + (alignment - at % alignment) % alignment;
  const auto before = static_cast<size_t>(block - begin);
  if (before > 0) ::munmap(begin, before);
  ::munmap(block + bytes, wide - before - bytes);
  return block;
}

}  // namespace

void* Blocks::Find(const std::string& name, size_t bytes, uint32_t flags) const {
  const auto found = blocks_.find(name);
  if (found == blocks_.end()) return nullptr;
  const Block& block = found->second;
  return block.bytes == bytes && block.flags == flags ? block.address : nullptr;
}

int Blocks::Make(const std::string& name, size_t bytes, uint32_t flags, void** address) {
  const bool fits = bytes > 0 && bytes <= kBlockBytesMax - bytes_;
  if (!fits || blocks_.size() >= kBlocksMax) return BROOD_TOO_LARGE;
  const bool huge = (flags & BROOD_BLOCK_HUGE_PAGES) != 0;
  const size_t alignment = huge ? kHugePageBytes : static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  const size_t mapped = (bytes + alignment - 1) / alignment * alignment;
  char* const block = MapAligned(mapped, alignment);
  if (block == nullptr) return BROOD_FAILED;
  // Advice: where there are no huge pages, ordinary ones do. Without it, never huge ones, so that
  // what was asked for is what is measured.
  ::madvise(block, mapped, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
  blocks_[name] = Block{block, bytes, flags};
  bytes_ += bytes;
  *address = block;
  return BROOD_OK;
}

}  // namespace brood
