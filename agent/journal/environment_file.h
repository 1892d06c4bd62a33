// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/base/error.h"
#include "common/base/unique_fd.h"

namespace brood {

// The environments of jobs that have not started yet, so that the next agent can start them. They
// may hold secrets, so they are no part of the journal, and gone from the disk once no job waits
// for its own. One thread at a time.
class EnvironmentFile {
 public:
  using Bytes = std::shared_ptr<const std::string>;
  struct Options {
    // Once it is larger than this and mostly of jobs that have started, it is written anew.
    uint64_t rewrite_bytes = 4 << 20;
  };

  // Opens the file, creating it if need be, and cuts what a process that died within a write left
  // at its end. DATA_LOSS if it is something else.
  static Result<std::unique_ptr<EnvironmentFile>> Open(const std::string& path, Options options);
  static Result<std::unique_ptr<EnvironmentFile>> Open(const std::string& path) {
    return Open(path, Options());
  }

  // When it returns, they survive the death of every process of brood. Neighbours that have the
  // same bytes (the jobs of one run) share them. RESOURCE_EXHAUSTED if the disk is full.
  Status Keep(const std::vector<std::pair<uint64_t, std::string>>& of_jobs);
  // Of jobs that have started, or never will; unknown ones are ignored.
  void Forget(const std::vector<uint64_t>& job_keys);

  // By job key.
  const std::map<uint64_t, Bytes>& kept() const { return kept_; }
  uint64_t file_bytes() const { return size_; }

 private:
  EnvironmentFile(std::string path, Options options, UniqueFd fd);
  Status Load();
  void Encode(uint64_t job_key, const Bytes& bytes, std::string* out);
  Status Write(const std::string& bytes);
  void Rewrite();

  const std::string path_;
  const Options options_;
  UniqueFd fd_;
  uint64_t size_ = 0;
  uint64_t wanted_bytes_ = 0;  // of those that are kept, shared ones counted each time
  std::map<uint64_t, Bytes> kept_;
  Bytes last_;  // the last that was written out in full: the next may be the same
};

}  // namespace brood
