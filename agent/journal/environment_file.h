// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "agent/journal/journal_files.h"
#include "common/base/error.h"
#include "common/base/mutex.h"

namespace brood {

// The environments of jobs that have not started yet, so that the next agent can start them. They
// may hold secrets, so they are no part of the journal, and gone from the disk once no job waits
// for its own. One thread at a time, but for Sync.
class EnvironmentFile {
 public:
  using Bytes = std::shared_ptr<const std::string>;
  struct Options {
    // Once it is larger than this and mostly of jobs that have started, it is written anew.
    uint64_t rewrite_bytes = 4 << 20;
    // What is written to; null: the disk. Outlives this.
    JournalFiles* files = nullptr;
  };

  // Opens the file, creating it if need be, and cuts what a process that died within a write left
  // at its end. DATA_LOSS if it is something else.
  static Result<std::unique_ptr<EnvironmentFile>> Open(const std::string& path, Options options);
  static Result<std::unique_ptr<EnvironmentFile>> Open(const std::string& path) {
    return Open(path, Options());
  }

  // When it returns, they survive the death of every process of brood. Neighbours that have the
  // same bytes (the jobs of one run) share them. If it fails they are kept in memory, and there is
  // trouble until Recover has written them. Errors are those of JournalError.
  Status Keep(const std::vector<std::pair<uint64_t, std::string>>& of_jobs);
  // Of jobs that have started, or never will; unknown ones are ignored.
  void Forget(const std::vector<uint64_t>& job_keys);

  // Brings what was kept before the call to the disk. Thread-safe. Fails while there is trouble.
  Status Sync();
  // Why what is kept may not be in the file.
  Status Trouble() const;
  // Tries to end that, and returns what is left of it.
  Status Recover();

  // By job key.
  const std::map<uint64_t, Bytes>& kept() const { return kept_; }
  uint64_t file_bytes() const { return size_; }

 private:
  EnvironmentFile(std::string path, Options options);
  JournalFiles* files() { return options_.files != nullptr ? options_.files : &disk_; }
  Status Load();
  void Encode(uint64_t job_key, const Bytes& bytes, std::string* out);
  Status Write(const std::string& bytes);
  Status Rewrite();
  std::shared_ptr<JournalFile> file() const;

  const std::string path_;
  const Options options_;
  DiskFiles disk_;
  uint64_t size_ = 0;
  uint64_t wanted_bytes_ = 0;  // of those that are kept, shared ones counted each time
  std::map<uint64_t, Bytes> kept_;
  Bytes last_;  // the last that was written out in full: the next may be the same

  // Held while the kernel syncs: it tells of an error once, and it must be heard by all.
  Mutex sync_mutex_;
  mutable Mutex mutex_;
  std::shared_ptr<JournalFile> file_ BROOD_GUARDED_BY(mutex_);
  // Since the last Sync.
  bool unsynced_ BROOD_GUARDED_BY(mutex_) = true;
  bool renamed_ BROOD_GUARDED_BY(mutex_) = true;
  Status trouble_ BROOD_GUARDED_BY(mutex_);
};

}  // namespace brood
