// SPDX-License-Identifier: Apache-2.0
#include "protos/access_rows.h"

#include <algorithm>

namespace brood {
namespace {

using google::protobuf::MethodDescriptor;

// What is wrong with a method's row; empty if nothing is.
std::string Fault(const MethodDescriptor& method) {
  if (!method.options().HasExtension(v1::access)) {
    return "does not say who may call it: add option (access) = {kinds: [...], least_role: ...}";
  }
  const v1::MethodAccess& access = method.options().GetExtension(v1::access);
  if (access.kinds_size() == 0) return "is open to nobody: name kinds";
  for (const int kind : access.kinds()) {
    if (kind == v1::PEER_KIND_UNSPECIFIED) return "is open to a kind that there is not";
    if (kind == v1::PEER_KIND_USER && access.least_role() == v1::ROLE_UNSPECIFIED) {
      return "is open to users of no role: name a least_role";
    }
  }
  return "";
}

bool Has(const v1::MethodAccess& access, v1::PeerKind kind) {
  return std::count(access.kinds().begin(), access.kinds().end(), kind) > 0;
}

}  // namespace

std::vector<std::string> ReadAccessRows(const google::protobuf::FileDescriptor& file,
                                        std::vector<AccessRow>* rows) {
  std::vector<std::string> faults;
  for (int s = 0; s < file.service_count(); ++s) {
    for (int m = 0; m < file.service(s)->method_count(); ++m) {
      const MethodDescriptor& method = *file.service(s)->method(m);
      if (const std::string fault = Fault(method); !fault.empty()) {
        faults.push_back(file.name() + ": " + method.full_name() + " " + fault);
        continue;
      }
      const v1::MethodAccess& access = method.options().GetExtension(v1::access);
      rows->push_back({"/" + file.service(s)->full_name() + "/" + method.name(),
                       Has(access, v1::PEER_KIND_USER), Has(access, v1::PEER_KIND_AGENT),
                       access.least_role()});
    }
  }
  return faults;
}

}  // namespace brood
