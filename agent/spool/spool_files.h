// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "agent/spool/spool.h"
#include "common/base/error.h"
#include "common/base/unique_fd.h"

namespace brood {

// Where the kept bytes lie: DIRECTORY/<key / 1000>/<key>.out and .err, so that no folder gets more
// than 2,000 files. Thread-safe.
class SpoolFiles {
 public:
  explicit SpoolFiles(std::string directory) : directory_(std::move(directory)) {}

  // Opens the file of a stream to write, made if need be with the folder it is in.
  Result<UniqueFd> Create(uint64_t job_key, OutputStream stream) const;
  // NOT_FOUND if there is none.
  Result<UniqueFd> Open(uint64_t job_key, OutputStream stream) const;
  // Bytes kept of a stream; 0 if there is no file.
  uint64_t Size(uint64_t job_key, OutputStream stream) const;
  // No job with this key or above has files.
  uint64_t EndOfKeys() const;
  // Deletes both files, and their folder with its last file.
  void Remove(uint64_t job_key) const;

 private:
  std::string Folder(uint64_t job_key) const;
  std::string Path(uint64_t job_key, OutputStream stream) const;

  std::string directory_;
};

}  // namespace brood
