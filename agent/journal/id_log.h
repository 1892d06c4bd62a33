// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "agent/journal/journal_files.h"
#include "common/base/error.h"

namespace brood {

// The ids of jobs that have been forgotten, as entries of 32 bytes that mean nothing here, numbered
// from 0. Beside the journal's segments stand files NUMBER.ids, by the number of their first entry.
// A snapshot says how many entries belong to its state; what stands behind those was written for a
// snapshot that never came to be, and is cut. One thread.
class IdLog {
 public:
  static constexpr size_t kEntryBytes = 32;

  // As `total`: all that are there, where no snapshot says how many belong to it.
  static constexpr uint64_t kAll = UINT64_MAX;

  struct Options {
    // Whole files of entries that are older than the newest so many are removed.
    uint64_t kept = uint64_t{1} << 20;
    // A file takes about so many: 2 MiB, the unit of removal.
    uint64_t file_entries = 1 << 16;
  };

  // Opens what belongs to a state of which `total` entries are part, and cuts the rest. DATA_LOSS,
  // with the file and the offset, if some of the newest of them are not there or not whole; but if
  // no file is there at all they are given up, and entries() is empty.
  static Result<std::unique_ptr<IdLog>> Open(JournalFiles* files, std::string directory,
                                             std::string journal_id, uint64_t total,
                                             Options options);

  // The newest entries that were there, at most `kept`; to be taken once.
  std::string TakeEntries() { return std::move(entries_); }
  // Whether ids were given up, see Open.
  bool gave_up() const { return gave_up_; }

  // Adds entries behind the last one, and makes them durable. If it fails nothing was added.
  Status Append(std::string_view entries);
  uint64_t total() const { return total_; }

 private:
  IdLog(JournalFiles* files, std::string directory, std::string journal_id, Options options);
  Status Load(uint64_t total);
  Status LoadFile(uint64_t first, uint64_t total, bool last);
  Status BeginFile();
  std::string PathOf(uint64_t first) const;
  void DropOld();

  JournalFiles* const files_;
  const std::string directory_;
  const std::string journal_id_;
  const Options options_;
  uint64_t total_ = 0;
  bool gave_up_ = false;
  uint64_t base_ = 0;  // those before it were given up
  std::string entries_;
  // The file that is written to; null: the next Append begins one.
  std::shared_ptr<JournalFile> file_;
  uint64_t first_ = 0;  // its first entry
  uint64_t end_ = 0;    // behind its last record
};

// For who only looks: how many entries stand whole in a file that begins with entry `first`, and
// whether what follows is no whole record. DATA_LOSS for a whole one that does not belong there.
Status ReadIdFile(const std::string& path, std::string_view journal_id, uint64_t first,
                  uint64_t* count, bool* torn);

}  // namespace brood
