// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "agent/core/effect.h"
#include "agent/journal/epochs.h"
#include "agent/journal/journal.h"
#include "agent/outbox/note.h"
#include "agent/outbox/slot_file.h"

namespace brood::simulation {

// A parent's or a supervisor's outbox. A note stands there as a whole or not at all, as the commit
// word has it; what is read goes a segment at a time.
struct NotesFile {
  static constexpr size_t kSegmentNotes = 5;
  std::vector<std::pair<Note, std::string>> notes;
  size_t first_kept = 0;
};

// Where a reader of an outbox stands.
class NotesReader {
 public:
  using Sink = std::function<void(const Note& note, const std::string& text)>;
  void Read(const NotesFile& file, const Sink& sink) {
    if (next_ < file.first_kept) next_ = file.first_kept;
    while (next_ < file.notes.size()) {
      // Not by reference: the sink may take its time, and the file may grow.
      const auto [note, text] = file.notes[next_++];
      sink(note, text);
    }
  }
  void Release(NotesFile* file) const {
    const size_t whole = next_ / NotesFile::kSegmentNotes * NotesFile::kSegmentNotes;
    if (whole > file->first_kept) file->first_kept = whole;
  }

 private:
  size_t next_ = 0;
};

struct CallAreaFile {
  uint64_t job_key = 0;
  uint32_t result = 0;  // as CallArea has it
  int64_t value = 0;
};

// The folder of one life of a parent.
struct ParentFolder {
  bool has_slots = false;
  NotesFile notes;
  std::vector<StartSlot> starts;
  std::vector<CallAreaFile> areas;
  LastWords last_words;
};

struct JournalFile {
  Epochs epochs;
  std::string boot_id;
  bool torn = false;  // a part of a record stands at the end
  size_t synced = 0;  // records that a loss of power cannot take
  std::vector<JournalRecord> records;
};

// The state folder.
struct Disk {
  bool full = false;
  JournalFile journal;
  int folders_boot = 0;  // the boot whose supervisors and parents have folders
  uint64_t agent_incarnation = 0;
  std::map<uint64_t, std::shared_ptr<NotesFile>> supervisors;
  std::map<ParentKey, std::shared_ptr<ParentFolder>> parents;
  std::map<uint64_t, std::string> spool;  // what is kept of each job's output
};

// A job's pipe: what is in it is there for as long as anybody holds an end.
struct Pipe {
  uint64_t inode = 0;
  std::string bytes;
  int writers = 0;
};

}  // namespace brood::simulation
