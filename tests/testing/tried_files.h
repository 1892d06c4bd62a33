// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "agent/journal/journal_files.h"
#include "common/base/mutex.h"

namespace brood::testing {

// The journal's files on the real disk, where a test sees each call before it is done, in order,
// and may have it fail. Thread-safe.
class TriedFiles final : public JournalFiles {
 public:
  enum class What { kOpen, kWrite, kSync, kTruncate, kPreallocate, kRename, kSyncDirectory };
  struct Call {
    What what;
    std::string path;  // of a rename, the new one
    uint64_t offset = 0;
    std::string bytes;  // of a write
  };
  // Called without a lock, and may block. Not 0: the errno of a call that is not done; of a write
  // the first half is.
  using Verdict = std::function<int(const Call& call)>;

  void Judge(Verdict verdict) {
    const MutexLock lock(&mutex_);
    verdict_ = std::move(verdict);
  }
  // Fails such calls on files whose path ends so, until further notice.
  void Fail(What what, const std::string& name, int error) {
    Judge([=](const Call& call) {
      return call.what == what && call.path.ends_with(name) ? error : 0;
    });
  }
  // What was done, in the order of its end.
  std::vector<Call> done() const {
    const MutexLock lock(&mutex_);
    return done_;
  }
  // How many were done.
  size_t Count() const {
    const MutexLock lock(&mutex_);
    return done_.size();
  }
  size_t Count(What what) const {
    size_t count = 0;
    for (const Call& call : done()) count += call.what == what ? 1 : 0;
    return count;
  }
  std::optional<uint64_t> free_bytes;  // what FreeBytes tells; nothing: unknown

  int Open(const std::string& path, Make make, std::shared_ptr<JournalFile>* file) override {
    std::shared_ptr<JournalFile> real;
    const int error = Do({What::kOpen, path, 0, ""}, [&] { return disk_.Open(path, make, &real); });
    if (error != 0) return error;
    const MutexLock lock(&mutex_);
    auto name = std::make_shared<std::string>(path);
    names_[path] = name;
    *file = std::make_shared<File>(this, std::move(name), std::move(real));
    return 0;
  }
  int Rename(const std::string& from, const std::string& to) override {
    const int error = Do({What::kRename, to, 0, ""}, [&] { return disk_.Rename(from, to); });
    const MutexLock lock(&mutex_);
    const auto open = names_.find(from);
    if (error != 0 || open == names_.end()) return error;
    *open->second = to;
    names_[to] = open->second;
    names_.erase(from);
    return 0;
  }
  int SyncDirectory(const std::string& path) override {
    return Do({What::kSyncDirectory, path, 0, ""}, [&] { return disk_.SyncDirectory(path); });
  }
  std::optional<uint64_t> FreeBytes(const std::string&) override { return free_bytes; }

 private:
  class File final : public JournalFile {
   public:
    File(TriedFiles* owner, std::shared_ptr<std::string> name, std::shared_ptr<JournalFile> real)
        : owner_(owner), name_(std::move(name)), real_(std::move(real)) {}

    int Write(uint64_t offset, const char* bytes, size_t size, size_t* written) override {
      const int error = owner_->Do({What::kWrite, Name(), offset, std::string(bytes, size)},
                                   [&] { return real_->Write(offset, bytes, size, written); });
      if (error != 0) (void)real_->Write(offset, bytes, size / 2, written);
      return error;
    }
    int Sync() override {
      return owner_->Do({What::kSync, Name(), 0, ""}, [&] { return real_->Sync(); });
    }
    int Truncate(uint64_t size) override {
      return owner_->Do({What::kTruncate, Name(), size, ""}, [&] { return real_->Truncate(size); });
    }
    int Preallocate(uint64_t bytes) override {
      return owner_->Do({What::kPreallocate, Name(), bytes, ""},
                        [&] { return real_->Preallocate(bytes); });
    }

   private:
    std::string Name() const {
      const MutexLock lock(&owner_->mutex_);
      return *name_;
    }
    TriedFiles* const owner_;
    const std::shared_ptr<std::string> name_;  // the owner's mutex
    const std::shared_ptr<JournalFile> real_;
  };

  template <typename F>
  int Do(Call call, F&& real) {
    Verdict verdict;
    {
      const MutexLock lock(&mutex_);
      verdict = verdict_;
    }
    if (verdict) {
      if (const int error = verdict(call)) return error;
    }
    const int error = real();
    const MutexLock lock(&mutex_);
    if (error == 0) done_.push_back(std::move(call));
    return error;
  }

  DiskFiles disk_;
  mutable Mutex mutex_;
  Verdict verdict_ BROOD_GUARDED_BY(mutex_);
  std::vector<Call> done_ BROOD_GUARDED_BY(mutex_);
  // Of files that are open: who is renamed goes on under the new one.
  std::map<std::string, std::shared_ptr<std::string>> names_ BROOD_GUARDED_BY(mutex_);
};

}  // namespace brood::testing
