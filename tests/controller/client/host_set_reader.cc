// SPDX-License-Identifier: Apache-2.0
//
// Reads host sets, one a line, for nodeset_test.py. Writes for each the names it stands for, '|'
// and those folded; or '!' and why it was refused.
#include <iostream>
#include <string>

#include "controller/client/host_fold.h"
#include "controller/client/host_set.h"

int main() {
  const brood::GroupLookup no_groups = [](const std::string& group) -> brood::Result<std::string> {
    return brood::Error{brood::ErrorCode::kNotFound, "UNKNOWN_HOST", "no group " + group, "hosts"};
  };
  for (std::string line; std::getline(std::cin, line);) {
    const auto names = brood::ExpandHostSet(line, no_groups);
    if (!names) {
      std::cout << "!" << names.error().message << "\n";
      continue;
    }
    for (const std::string& name : *names) std::cout << name << " ";
    std::cout << "|" << brood::FoldHosts(*names) << "\n";
  }
  return 0;
}
