// SPDX-License-Identifier: Apache-2.0
#include <iostream>

#include "controller/cli/commands.h"

namespace brood::cli {

Command VersionCommand() {
  return {"version", "print the version", [](CLI::App&, Context& context) -> Action {
            return [&context] {
              context.out << "brood " BROOD_VERSION "\n";
              return kExitOk;
            };
          }};
}

}  // namespace brood::cli
