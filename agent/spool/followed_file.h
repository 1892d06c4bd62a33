// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "agent/spool/spool_settings.h"

namespace brood {

// One stream that its job writes into the kept file itself. Looks at how far it has come, and
// throws away what is too much.
class FollowedFile {
 public:
  FollowedFile(std::string path, const SpoolSettings& settings)
      : path_(std::move(path)), settings_(settings) {}

  // Looks at the file, and frees what is not to be kept. Needs no descriptor for the look: it must
  // be true also in an agent that has none left.
  void Look();

  // Whether a process has it open for writing.
  enum class Holders { kNone, kSome, kUnknown };
  Holders FindHolders();

  // The position behind the last byte kept, and of the first one.
  uint64_t end() const { return settings_.LastKept(size_); }
  uint64_t begin() const { return settings_.FirstKept(size_); }
  uint64_t dropped() const { return begin() + (size_ - end()); }
  bool over_limit() const {
    return settings_.overflow == SpoolSettings::Overflow::kEnd && size_ > end();
  }
  // It was longer once, and what it had was told of: somebody truncated it.
  bool truncated() const { return truncated_; }

  // Takes away what stands behind `end`. What somebody still writes comes there again: all who have
  // the file open append.
  void CutAt(uint64_t end) const;

  uint64_t told = 0;  // how far OnOutput told; for who follows

 private:
  const std::string path_;
  const SpoolSettings settings_;
  uint64_t size_ = 0;
  uint64_t freed_ = 0;
  bool truncated_ = false;
};

}  // namespace brood
