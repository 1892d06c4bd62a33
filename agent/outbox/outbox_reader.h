// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/outbox/note.h"
#include "common/base/unique_fd.h"

namespace brood {

// Reads the notes that an OutboxWriter appends, with pread: a writer that
// truncates its file cannot crash the reader. A new reader begins with the first
// segment that was not released. One thread.
class OutboxReader {
 public:
  using Sink = std::function<void(const Note& note, std::string_view text)>;

  explicit OutboxReader(std::string directory);

  // Hands every note committed since the last call to `sink`, in order. Returns
  // how many. A note whose checksum is wrong is skipped and counted.
  size_t Read(const Sink& sink);

  // Deletes the segments that have been read to their end. To be called once
  // the journal holds what they said.
  void ReleaseRead();

  uint64_t damaged() const { return damaged_; }

 private:
  bool OpenNext();

  const std::string directory_;
  UniqueFd segment_;
  uint32_t segment_number_ = 0;
  uint32_t released_number_ = 0;
  size_t position_ = 0;
  uint64_t damaged_ = 0;
  std::vector<char> buffer_;
};

}  // namespace brood
