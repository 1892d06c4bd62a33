// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "common/base/error.h"
#include "controller/client/host_address.h"

namespace brood {

// Why no connection with TLS comes about, where gRPC has only said that none did: makes one by
// itself, within 3 s, with the files of `address.tls`, asks for nothing, and ends it. None if
// the host cannot be reached at all, or can be spoken to. UNAUTHENTICATED otherwise: whose fault it
// is, and what to do.
Status DiagnoseTls(const HostAddress& address);

}  // namespace brood
