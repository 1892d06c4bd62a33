// SPDX-License-Identifier: Apache-2.0
#include "agent/parent/asymmetric_barrier.h"

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define BROOD_BARRIER_SEEN_BY_SANITIZER 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define BROOD_BARRIER_SEEN_BY_SANITIZER 1
#endif

namespace brood {

bool AsymmetricBarrier::Register() {
#ifdef BROOD_BARRIER_SEEN_BY_SANITIZER
  return false;
#else
  return ::syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0;
#endif
}

void AsymmetricBarrier::Issue() {
  ::syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
}

}  // namespace brood
