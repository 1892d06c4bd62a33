// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <thread>

#include "agent/journal/environment_file.h"
#include "agent/journal/journal.h"
#include "common/base/error.h"
#include "common/base/mutex.h"

namespace brood {

// Brings the journal to the disk beside its appender. One sync at a time, each for all who asked
// before it began: what comes while the disk works shares the next one.
class SyncThread {
 public:
  // Called in the thread after each sync: the cursor up to which the journal is on the disk, and
  // the environments with it; or why not.
  using Done = std::function<void(const Result<uint64_t>& through)>;

  // `environments` may be null.
  SyncThread(Journal* journal, EnvironmentFile* environments, Done done);
  ~SyncThread() { Stop(); }

  // Ends the thread after the sync that runs, if one does; what is still asked for is not done.
  void Stop();

  // A sync that begins after this call is to come. Thread-safe, at once.
  void Want();

 private:
  void Run();
  Result<uint64_t> Sync();

  Journal* const journal_;
  EnvironmentFile* const environments_;
  const Done done_;
  Mutex mutex_;
  CondVar due_;  // wanted or ending
  bool wanted_ BROOD_GUARDED_BY(mutex_) = false;
  bool ending_ BROOD_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace brood
