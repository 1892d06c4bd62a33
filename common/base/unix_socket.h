// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <string>

#include "common/base/error.h"
#include "common/base/unique_fd.h"

namespace brood {

// Listens on a unix socket that only its owner can open (0600); an old file of
// that name is removed first. Paths are at most 107 bytes (the kernel's
// sun_path); a longer one is INVALID_ARGUMENT and names BROOD_RUNTIME_DIR.
Result<UniqueFd> ListenUnix(const std::string& path);

// Connects, blocking; non-blocking afterwards is up to the caller.
Result<UniqueFd> ConnectUnix(const std::string& path);

// Who is at the other end, as the kernel knows it.
struct PeerCredentials {
  pid_t pid = 0;
  uid_t uid = 0;
};
Result<PeerCredentials> ReadPeerCredentials(int fd);

}  // namespace brood
