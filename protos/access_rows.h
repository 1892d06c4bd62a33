// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <google/protobuf/descriptor.h>

#include <string>
#include <vector>

#include "brood/v1/access.pb.h"

namespace brood {

// Who may call a method, or with a path that ends in a slash all of a service.
struct AccessRow {
  std::string path;  // "/SERVICE/METHOD"
  bool users = false;
  bool agents = false;
  v1::Role least_role = v1::ROLE_UNSPECIFIED;
};

// Adds the rows of a file's methods; returns a sentence for each method that does not say who may
// call it.
std::vector<std::string> ReadAccessRows(const google::protobuf::FileDescriptor& file,
                                        std::vector<AccessRow>* rows);

}  // namespace brood
