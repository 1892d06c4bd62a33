// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>

namespace brood::chaos {

// What jobs wrote of themselves, past brood: each appends one line to one file when its own code
// begins, and one as its last act. So who judges brood does not have to believe it.
class Ledger {
 public:
  struct Runs {
    int begun = 0;
    int ended = 0;
  };

  explicit Ledger(std::string path) : path_(std::move(path)) {}
  const std::string& path() const { return path_; }

  // By job id; lines are "B ID" and "E ID". Others are an error, which is told.
  std::map<std::string, Runs> Read() const;

 private:
  const std::string path_;
};

}  // namespace brood::chaos
