// SPDX-License-Identifier: Apache-2.0
#include "controller/client/host_address.h"

#include <charconv>
#include <cstdint>
#include <string_view>

namespace brood {
namespace {

bool IsPort(std::string_view text) {
  uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  return error == std::errc() && end == text.data() + text.size() && port > 0;
}

bool IsLoopback(std::string_view host) {
  // "127.evil.example" is a name like any other.
  const bool digits = host.find_first_not_of("0123456789.") == std::string_view::npos;
  return host == "localhost" || host == "[::1]" || (digits && host.rfind("127.", 0) == 0);
}

}  // namespace

Status CheckAddress(const HostAddress& address) {
  const std::string_view target = address.target;
  if (target.rfind("unix:/", 0) == 0) return Ok();
  const size_t colon = target.rfind(':');
  if (colon == std::string_view::npos || colon == 0 || !IsPort(target.substr(colon + 1))) {
    return Error{ErrorCode::kInvalidArgument, "BAD_ADDRESS",
                 "the address of host '" + address.name + "' is '" + address.target +
                     "'; write unix:/PATH or HOST:PORT",
                 "address"};
  }
  if (address.insecure ? !IsLoopback(target.substr(0, colon)) : address.tls == nullptr) {
    return Error{ErrorCode::kFailedPrecondition, "INSECURE_ADDRESS",
                 "host '" + address.name + "' is at '" + address.target +
                     "': TCP without TLS is for loopback only, and only with `insecure = true` in "
                     "the hosts file; elsewhere leave that out, and have a certificate",
                 "address"};
  }
  return Ok();
}

}  // namespace brood
