// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "agent/spool/spool.h"
#include "common/base/error.h"
#include "common/base/unique_fd.h"

namespace brood {

// Where the kept bytes lie: DIRECTORY/<key / 1000>/<key>.out and .err, and for few jobs .settings,
// so that no folder gets more than 3,000 files. Thread-safe.
class SpoolFiles {
 public:
  explicit SpoolFiles(std::string directory) : directory_(std::move(directory)) {}

  // Opens the file of a stream to write, made if need be with the folder it is in.
  Result<UniqueFd> Create(uint64_t job_key, OutputStream stream) const;
  // NOT_FOUND if there is none.
  Result<UniqueFd> Open(uint64_t job_key, OutputStream stream) const;
  std::string Path(uint64_t job_key, OutputStream stream) const;
  Status KeepSettings(uint64_t job_key, const SpoolSettings& settings) const;
  // Bytes kept of a stream; 0 if there is no file.
  uint64_t Size(uint64_t job_key, OutputStream stream) const;
  // All jobs that have files, with the settings of those that have some.
  std::map<uint64_t, std::optional<SpoolSettings>> List() const;
  // Whether the file system can free a part of a file.
  bool CanFree() const;
  // Deletes a job's files, and their folder with its last file.
  void Remove(uint64_t job_key) const;

 private:
  std::string Folder(uint64_t job_key) const;
  std::string SettingsPath(uint64_t job_key) const;
  Result<UniqueFd> CreateAt(uint64_t job_key, const std::string& path, int flags) const;

  std::string directory_;
};

// Frees the whole blocks of [from, to), which are zeros from then on; the size stays.
void FreeBytes(int fd, uint64_t from, uint64_t to);
// What is to be freed at once, at least: each call costs some microseconds. So much more than its
// limit a stream may keep on the disk.
inline constexpr uint64_t kFreeBytes = 1 << 20;

}  // namespace brood
