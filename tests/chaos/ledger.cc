// SPDX-License-Identifier: Apache-2.0
#include "tests/chaos/ledger.h"

#include <gtest/gtest.h>

#include <fstream>

namespace brood::chaos {

std::map<std::string, Ledger::Runs> Ledger::Read() const {
  std::map<std::string, Runs> runs;
  std::ifstream file(path_);
  std::string line;
  while (std::getline(file, line)) {
    if (line.size() > 2 && line[1] == ' ' && (line[0] == 'B' || line[0] == 'E')) {
      ++(line[0] == 'B' ? runs[line.substr(2)].begun : runs[line.substr(2)].ended);
    } else {
      ADD_FAILURE() << "the ledger has a line that is none: '" << line << "'";
    }
  }
  return runs;
}

}  // namespace brood::chaos
