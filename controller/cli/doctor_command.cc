// SPDX-License-Identifier: Apache-2.0
#include <iostream>
#include <memory>
#include <string>

#include "common/base/paths.h"
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

struct Options {
  bool journal = false;
  std::string folder;
};

Action Declare(CLI::App& app, Context& context) {
  auto options = std::make_shared<Options>();
  app.add_option_function<std::string>(
         "--journal",
         [options](const std::string& folder) {
           // Not by check(): CLI11 asks none about an empty value that may be left out.
           if (folder.empty()) throw CLI::ValidationError("--journal", RefuseEmpty(folder));
           options->journal = true;
           options->folder = folder;
         },
         "read every byte of the local agent's journal, or of the one in FOLDER, whether an agent "
         "has it or not")
      ->expected(0, 1)
      // Taken where none is given.
      ->default_str(MachineStateDirectory(context.paths.state) + "/journal")
      ->type_name("[FOLDER]");
  return [options, &context] {
    if (options->journal) return CheckJournal(context, options->folder);
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
