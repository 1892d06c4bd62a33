// SPDX-License-Identifier: Apache-2.0
#include "agent/host/sync_thread.h"

#include <pthread.h>

#include <utility>

namespace brood {

SyncThread::SyncThread(Journal* journal, EnvironmentFile* environments, Done done)
    : journal_(journal), environments_(environments), done_(std::move(done)) {
  thread_ = std::thread([this] { Run(); });
  ::pthread_setname_np(thread_.native_handle(), "brood-sync");
}

void SyncThread::Stop() {
  {
    const MutexLock lock(&mutex_);
    ending_ = true;
    due_.NotifyAll();
  }
  if (thread_.joinable()) thread_.join();
}

void SyncThread::Want() {
  const MutexLock lock(&mutex_);
  wanted_ = true;
  due_.NotifyAll();
}

// Environments first: a job that is in the journal has its own.
Result<uint64_t> SyncThread::Sync() {
  if (environments_ != nullptr) {
    if (Status bad = environments_->Sync()) return *std::move(bad);
  }
  return journal_->Sync();
}

void SyncThread::Run() {
  for (;;) {
    {
      const MutexLock lock(&mutex_);
      while (!wanted_ && !ending_) due_.Wait(&mutex_);
      if (ending_) return;
      wanted_ = false;
    }
    done_(Sync());
  }
}

}  // namespace brood
