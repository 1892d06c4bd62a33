// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/error.h"

namespace brood {

// A file that is written to. What is asked of a disk, and nothing more, so that a test can stand in
// for it: fail the n-th call, or note in which order what was asked. All give an errno; 0: done.
class JournalFile {
 public:
  virtual ~JournalFile() = default;
  // Writes all of it, or as much as the disk takes: `*written` says how much, also beside an error.
  virtual int Write(uint64_t offset, const char* bytes, size_t size, size_t* written) = 0;
  // Brings what was written before the call to the disk. Thread-safe beside Write. After an error
  // the kernel may have let go of what was not written, and says so once: another Sync proves
  // nothing before the same is written again.
  virtual int Sync() = 0;
  virtual int Truncate(uint64_t size) = 0;
  // Reserves room up to `bytes`; the size stays. 0 also where a file system cannot do it.
  virtual int Preallocate(uint64_t bytes) = 0;
};

// The folders that such files are in. Thread-safe.
class JournalFiles {
 public:
  enum class Make { kNo, kIfMissing, kEmpty };

  virtual ~JournalFiles() = default;
  // Mode 0600; no symbolic link is followed. Never null with 0.
  virtual int Open(const std::string& path, Make make, std::shared_ptr<JournalFile>* file) = 0;
  virtual int Rename(const std::string& from, const std::string& to) = 0;
  // Brings the names in a folder to the disk.
  virtual int SyncDirectory(const std::string& path) = 0;
  // What this process may still use of the disk under `path`; nothing if that is not known.
  virtual std::optional<uint64_t> FreeBytes(const std::string& path) = 0;
};

// The real ones.
class DiskFiles final : public JournalFiles {
 public:
  int Open(const std::string& path, Make make, std::shared_ptr<JournalFile>* file) override;
  int Rename(const std::string& from, const std::string& to) override;
  int SyncDirectory(const std::string& path) override;
  std::optional<uint64_t> FreeBytes(const std::string& path) override;
};

// Puts a file with these bytes in the place of the one at `path`, if there is one: durable, and
// there whole or not at all. An errno; then the old one is still there. `*file`, if not null: the
// new one.
int ReplaceFile(JournalFiles* files, const std::string& path, std::string_view bytes,
                std::shared_ptr<JournalFile>* file = nullptr);

// Why the journal cannot be written. RESOURCE_EXHAUSTED, JOURNAL_FULL where room would help; else
// UNAVAILABLE, JOURNAL_FAILED. `what` is a verb. It names the path, the errno and the cure.
Error JournalError(int error_number, const std::string& what, const std::string& path);

}  // namespace brood
