// SPDX-License-Identifier: Apache-2.0
#include <map>
#include <string>

#include "controller/cli/command.h"

namespace brood::cli {

std::string RefuseEmpty(const std::string& word) {
  return word.empty() ? "is empty; give a value or leave the option out" : "";
}

void AddHostsOption(CLI::App& app, std::string& set) {
  app.add_option("-w,--hosts", set, "hosts, such as node[1-3],web or @lab; the local one without")
      ->type_name("SET")
      ->check(RefuseEmpty);
}

void AddFormatOption(CLI::App& app, OutputFormat& format, const char* allowed) {
  static const std::map<std::string, OutputFormat> kAll = {
      {"text", OutputFormat::kText},       {"table", OutputFormat::kTable},
      {"wide", OutputFormat::kWide},       {"json", OutputFormat::kJson},
      {"jsonl", OutputFormat::kJsonLines}, {"name", OutputFormat::kName}};
  const std::string list = std::string("|") + allowed + "|";
  app.add_option_function<std::string>(
         "-o,--output",
         [&format, list, allowed](const std::string& name) {
           const auto found = kAll.find(name);
           if (found == kAll.end() || list.find("|" + name + "|") == std::string::npos) {
             throw CLI::ValidationError("-o", "'" + name + "' is not one of " + allowed);
           }
           format = found->second;
         },
         "format of the output")
      ->type_name(allowed);
}

}  // namespace brood::cli
