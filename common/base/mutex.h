// SPDX-License-Identifier: Apache-2.0
//
// A mutex that clang's -Wthread-safety checks and that ThreadSanitizer knows. (Debian's Abseil is
// not built for it: every absl::Mutex looks like a race there.)
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>

#ifdef __clang__
#define BROOD_THREAD_ATTRIBUTE(x) __attribute__((x))
#else
#define BROOD_THREAD_ATTRIBUTE(x)
#endif

// The member may be used only while that mutex is held.
#define BROOD_GUARDED_BY(mutex) BROOD_THREAD_ATTRIBUTE(guarded_by(mutex))
// What the pointer points to may be used only while that mutex is held.
#define BROOD_PT_GUARDED_BY(mutex) BROOD_THREAD_ATTRIBUTE(pt_guarded_by(mutex))
// The function may be called only while that mutex is held.
#define BROOD_REQUIRES(mutex) BROOD_THREAD_ATTRIBUTE(requires_capability(mutex))
// The function may be called only while that mutex is not held.
#define BROOD_EXCLUDES(mutex) BROOD_THREAD_ATTRIBUTE(locks_excluded(mutex))

namespace brood {

class BROOD_THREAD_ATTRIBUTE(capability("mutex")) Mutex {
 public:
  void Lock() BROOD_THREAD_ATTRIBUTE(acquire_capability()) { mutex_.lock(); }
  void Unlock() BROOD_THREAD_ATTRIBUTE(release_capability()) { mutex_.unlock(); }

 private:
  friend class CondVar;
  std::mutex mutex_;
};

// Holds the mutex for a scope.
class BROOD_THREAD_ATTRIBUTE(scoped_lockable) MutexLock {
 public:
  explicit MutexLock(Mutex* mutex) BROOD_THREAD_ATTRIBUTE(acquire_capability(mutex))
      : mutex_(mutex) {
    mutex_->Lock();
  }
  ~MutexLock() BROOD_THREAD_ATTRIBUTE(release_capability()) { mutex_->Unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex* const mutex_;
};

// To wait, with a mutex held, until another thread says that what it guards has changed. Both waits
// give the mutex up meanwhile, and may come back without a reason: look again.
class CondVar {
 public:
  void Wait(Mutex* mutex) BROOD_REQUIRES(mutex) {
    std::unique_lock<std::mutex> held(mutex->mutex_, std::adopt_lock);
    changed_.wait(held);
    held.release();
  }
  // False once the time has come.
  bool WaitUntil(Mutex* mutex, std::chrono::steady_clock::time_point time) BROOD_REQUIRES(mutex) {
    std::unique_lock<std::mutex> held(mutex->mutex_, std::adopt_lock);
    const bool changed = changed_.wait_until(held, time) == std::cv_status::no_timeout;
    held.release();
    return changed;
  }
  void NotifyAll() { changed_.notify_all(); }

 private:
  std::condition_variable changed_;
};

}  // namespace brood
