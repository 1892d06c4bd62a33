// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "brood/v1/access.pb.h"
#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "common/tls/configuration.h"

namespace brood {

// Which role a user has here: as [roles] of the configuration says, else operator. Users of another
// realm have none unless they are named. The file is looked at again once a second, when asked; one
// that is gone or wrong changes nothing. Thread-safe.
class RolePolicy {
 public:
  // Of this realm's agent, with what the file has said by now.
  RolePolicy(std::string path, std::string realm, std::map<std::string, RoleName> roles);

  v1::Role RoleOf(const Identity& user);

 private:
  void LookAgain() BROOD_REQUIRES(mutex_);

  const std::string path_;
  const std::string realm_;
  Mutex mutex_;
  std::map<std::string, RoleName> roles_ BROOD_GUARDED_BY(mutex_);
  int64_t looked_ns_ BROOD_GUARDED_BY(mutex_) = 0;
  // Of the file as it was read: inode, size and time of change.
  std::string seen_ BROOD_GUARDED_BY(mutex_);
};

}  // namespace brood
