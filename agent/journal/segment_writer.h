// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "agent/journal/journal_files.h"
#include "agent/journal/journal_format.h"
#include "common/base/error.h"

namespace brood {

// The segment that is written to. One thread. Errors are those of JournalError.
class SegmentWriter {
 public:
  // A file in the journal's folder that has room for a whole segment, and is to become the next
  // one. With it there, a full disk is met before there is something to write.
  static Status MakeSpare(JournalFiles* files, const std::string& directory, size_t bytes);

  // Makes the segment out of the spare file, and that one first if it is not there. It appears
  // under its name with a whole header or not at all, also when power is lost.
  static Result<std::unique_ptr<SegmentWriter>> Create(JournalFiles* files,
                                                       const std::string& directory,
                                                       const SegmentHeader& header, size_t bytes,
                                                       bool has_spare);
  // Goes on with one that ends at `end` and has `size`; what stands behind is cut off.
  static Result<std::unique_ptr<SegmentWriter>> Reopen(JournalFiles* files, const std::string& path,
                                                       uint64_t end, uint64_t size, size_t bytes);

  // Writes whole records at the end, in one system call where the kernel takes them so. If it
  // fails, nothing of them is left.
  Status Append(const char* bytes, size_t size);
  // Writes again what stands there already.
  Status Rewrite(uint64_t offset, const char* bytes, size_t size);

  // Why its own room is not sure; and tries again to make it so.
  const Status& trouble() const { return trouble_; }
  Status Recover();
  // Of that only the cut: what a failed Append has left behind the end goes.
  Status Cut();

  uint64_t end() const { return end_; }
  const std::string& path() const { return path_; }
  const std::shared_ptr<JournalFile>& file() const { return file_; }

 private:
  SegmentWriter(std::shared_ptr<JournalFile> file, std::string path, uint64_t end, size_t bytes,
                bool ragged);

  const std::shared_ptr<JournalFile> file_;
  const std::string path_;
  uint64_t end_;
  const size_t bytes_;
  bool ragged_;  // bytes may stand behind end_
  Status trouble_;
};

}  // namespace brood
