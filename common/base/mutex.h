// SPDX-License-Identifier: Apache-2.0
//
// A mutex that clang's -Wthread-safety checks and that ThreadSanitizer knows. (Debian's Abseil is
// not built for it: every absl::Mutex looks like a race there.)
#pragma once

#include <mutex>

#ifdef __clang__
#define BROOD_THREAD_ATTRIBUTE(x) __attribute__((x))
#else
#define BROOD_THREAD_ATTRIBUTE(x)
#endif

// The member may be used only while that mutex is held.
#define BROOD_GUARDED_BY(mutex) BROOD_THREAD_ATTRIBUTE(guarded_by(mutex))
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

}  // namespace brood
