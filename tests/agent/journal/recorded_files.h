// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "agent/journal/journal_files.h"

namespace brood::testing {

// One thing that was asked of the disk. A file keeps its number when it is renamed.
struct DiskCall {
  enum class What { kOpen, kWrite, kSync, kTruncate, kRename, kSyncDirectory, kMark };
  What what = What::kMark;
  int file = -1;
  std::string name;     // without its folder; of a rename, the new one
  bool empty = false;   // an open that empties, or makes
  uint64_t offset = 0;  // of a write; of a truncate, the size
  std::string bytes;
  // Of a mark: what the journal's owner knew then.
  uint64_t written = 0;
  uint64_t synced = 0;
};

// Real files, without syncs; notes what is asked of them. One thread.
class RecordedFiles final : public JournalFiles {
 public:
  const std::vector<DiskCall>& calls() const { return calls_; }
  void Clear() { *this = RecordedFiles(); }
  void Mark(uint64_t written, uint64_t synced) {
    DiskCall call;
    call.written = written;
    call.synced = synced;
    calls_.push_back(std::move(call));
  }

  int Open(const std::string& path, Make make, std::shared_ptr<JournalFile>* file) override {
    std::shared_ptr<JournalFile> real;
    if (const int error = disk_.Open(path, make, &real)) return error;
    const std::string name = NameOf(path);
    DiskCall call;
    call.what = DiskCall::What::kOpen;
    call.name = name;
    const auto known = names_.find(name);
    call.file = known == names_.end() ? next_++ : known->second;
    call.empty = make == Make::kEmpty || known == names_.end();
    names_[name] = call.file;
    *file = std::make_shared<File>(this, call.file, std::move(real));
    calls_.push_back(std::move(call));
    return 0;
  }
  int Rename(const std::string& from, const std::string& to) override {
    if (const int error = disk_.Rename(from, to)) return error;
    DiskCall call;
    call.what = DiskCall::What::kRename;
    call.file = names_.at(NameOf(from));
    call.name = NameOf(to);
    names_.erase(NameOf(from));
    names_[call.name] = call.file;
    calls_.push_back(std::move(call));
    return 0;
  }
  int SyncDirectory(const std::string&) override {
    DiskCall call;
    call.what = DiskCall::What::kSyncDirectory;
    calls_.push_back(std::move(call));
    return 0;
  }
  std::optional<uint64_t> FreeBytes(const std::string&) override { return std::nullopt; }

 private:
  class File final : public JournalFile {
   public:
    File(RecordedFiles* owner, int number, std::shared_ptr<JournalFile> real)
        : owner_(owner), number_(number), real_(std::move(real)) {}
    int Write(uint64_t offset, const char* bytes, size_t size, size_t* written) override {
      Note(DiskCall::What::kWrite, offset, std::string(bytes, size));
      return real_->Write(offset, bytes, size, written);
    }
    int Sync() override {
      Note(DiskCall::What::kSync, 0, "");
      return 0;
    }
    int Truncate(uint64_t size) override {
      Note(DiskCall::What::kTruncate, size, "");
      return real_->Truncate(size);
    }
    int Preallocate(uint64_t) override { return 0; }

   private:
    void Note(DiskCall::What what, uint64_t offset, std::string bytes) {
      DiskCall call;
      call.what = what;
      call.file = number_;
      call.offset = offset;
      call.bytes = std::move(bytes);
      owner_->calls_.push_back(std::move(call));
    }
    RecordedFiles* const owner_;
    const int number_;
    const std::shared_ptr<JournalFile> real_;
  };

  static std::string NameOf(const std::string& path) { return path.substr(path.rfind('/') + 1); }

  DiskFiles disk_;
  std::vector<DiskCall> calls_;
  std::map<std::string, int> names_;
  int next_ = 0;
};

// Files by name, as a disk holds them.
using DiskImage = std::map<std::string, std::string>;

}  // namespace brood::testing
