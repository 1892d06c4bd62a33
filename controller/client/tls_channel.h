// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <grpcpp/security/credentials.h>

#include <memory>

#include "common/base/error.h"
#include "controller/client/host_address.h"

namespace brood {

// What a connection to a host over TLS shows and asks for: the files of `address.tls`, as they are
// now; only the agent of that host is spoken to, whatever its address. Errors say what is wrong
// with the files.
Result<std::shared_ptr<grpc::ChannelCredentials>> MakeTlsChannelCredentials(
    const HostAddress& address);

}  // namespace brood
