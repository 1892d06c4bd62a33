// SPDX-License-Identifier: Apache-2.0
#include "common/base/heaps.h"

#include <malloc.h>
#include <unistd.h>

namespace brood {

void LimitHeaps() {
  const long processors = ::sysconf(_SC_NPROCESSORS_ONLN);
  if (processors > 0) ::mallopt(M_ARENA_MAX, static_cast<int>(processors));
}

}  // namespace brood
