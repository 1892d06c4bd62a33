// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "tests/testing/fake_agent.h"
#include "tests/testing/program.h"
#include "tests/testing/temp_directory.h"

namespace brood::testing {

// A world of its own for the real `brood`: folders, a hosts file, and fake agents as
// the local one and as hosts by name.
class CliWorld {
 public:
  CliWorld() {
    std::filesystem::create_directory(Path("run"));
    std::filesystem::permissions(Path("run"), std::filesystem::perms::owner_all);
  }

  std::string Path(const std::string& name) const { return directory_.path() + "/" + name; }

  FakeAgent& Local(FakeAgent::Script script) {
    agents_.push_back(
        std::make_unique<FakeAgent>(Path("run/agent.sock"), "here", std::move(script)));
    return *agents_.back();
  }
  FakeAgent& Host(const std::string& name, FakeAgent::Script script) {
    agents_.push_back(std::make_unique<FakeAgent>(Path(name + ".sock"), name, std::move(script)));
    NameHost(name);
    return *agents_.back();
  }
  // A host where nobody listens.
  void NameHost(const std::string& name) {
    std::ofstream(Path("hosts.toml"), std::ios::app)
        << "[hosts." << name << "]\naddress = \"unix:" << Path(name + ".sock") << "\"\n";
  }

  ProgramSetup Setup(const std::vector<std::string>& words) const {
    ProgramSetup setup;
    const char* const programs = std::getenv("BROOD_BIN_DIR");
    setup.argv = {std::string(programs != nullptr ? programs : ".") + "/brood"};
    setup.argv.insert(setup.argv.end(), words.begin(), words.end());
    setup.environment = {{"BROOD_STATE_DIR", Path("state")},
                         {"BROOD_RUNTIME_DIR", Path("run")},
                         {"BROOD_HOSTS", Path("hosts.toml")},
                         {"BROOD_CONFIG", Path("config.toml")},
                         {"NO_COLOR", ""}};
    return setup;
  }
  ProgramEnd Run(const std::vector<std::string>& words, const std::string& input = "") const {
    return RunProgram(Setup(words), input);
  }

 private:
  TempDirectory directory_;
  std::vector<std::unique_ptr<FakeAgent>> agents_;
};

}  // namespace brood::testing
