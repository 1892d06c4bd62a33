// SPDX-License-Identifier: Apache-2.0
#include "agent/process/process_limit.h"

#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>

namespace brood {

bool ProcessLimitBinds() {
  if (::geteuid() == 0 || ::getuid() == 0) return false;
  __user_cap_header_struct head{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct sets[2] = {};
  if (::syscall(SYS_capget, &head, sets) != 0) return false;
  constexpr uint32_t kExceeds = (1u << CAP_SYS_RESOURCE) | (1u << CAP_SYS_ADMIN);
  return (sets[0].effective & kExceeds) == 0;
}

}  // namespace brood
