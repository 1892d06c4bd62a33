// SPDX-License-Identifier: Apache-2.0
#include <iostream>

#include "controller/cli/commands.h"
#include "controller/cli/doctor_checks.h"

namespace brood::cli {
namespace {

const char* Word(Health health) {
  switch (health) {
    case Health::kOk:
      return "OK  ";
    case Health::kWarn:
      return "WARN";
    case Health::kFail:
      return "FAIL";
  }
  return "FAIL";
}

Action Declare(CLI::App&, Context& context) {
  return [&context] {
    bool failed = false;
    for (const Check& check : CheckEverything(context)) {
      context.out << Word(check.health) << "  " << check.text;
      if (!check.cure.empty()) context.out << "; " << check.cure;
      context.out << "\n";
      failed = failed || check.health == Health::kFail;
    }
    return failed ? kExitFailed : kExitOk;
  };
}

}  // namespace

Command DoctorCommand() {
  return {"doctor", "look whether everything that brood needs is in order", Declare};
}

}  // namespace brood::cli
