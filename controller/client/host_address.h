// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "common/base/error.h"

namespace brood {

struct TlsFiles;

// Where one host's agent is reached.
struct HostAddress {
  // What people call it, in labels and job ids; "local" for the local agent.
  std::string name;
  // "unix:/absolute/path" or "HOST:PORT".
  std::string target;
  // The inventory says `insecure = true`: plain TCP is allowed, to loopback only.
  bool insecure = false;
  // Starts its agent again if it has died; none where nobody here can. May take seconds.
  std::function<Status()> bring_back = nullptr;
  // Who we are where we speak TLS: over TCP that is not `insecure`. None: it cannot be reached so.
  std::shared_ptr<const TlsFiles> tls = nullptr;
};

// Whether that host may be connected to. BAD_ADDRESS if the target is no "unix:/PATH" and no
// "HOST:PORT" with a port from 1 to 65535; FAILED_PRECONDITION, reason INSECURE_ADDRESS, for TCP
// marked insecure that is not loopback, and for TCP without TLS. Nothing is looked up.
Status CheckAddress(const HostAddress& address);

// Name of the local agent in job ids: "local/ID".
inline constexpr char kLocalHostName[] = "local";

}  // namespace brood
