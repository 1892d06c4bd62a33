// SPDX-License-Identifier: Apache-2.0
#include "controller/cli/gather.h"

#include <nlohmann/json.hpp>
#include <ostream>

namespace brood::cli {

void PrintJsonByHost(std::ostream& out, const std::vector<HostMessage>& messages, bool several) {
  if (!several) {
    if (!messages.empty()) out << ToJsonText(*messages.front().second, Fields::kAll);
    return;
  }
  nlohmann::ordered_json all = nlohmann::ordered_json::object();
  for (const auto& [host, message] : messages) {
    all[host] = nlohmann::ordered_json::parse(ToJsonLine(*message, Fields::kAll), nullptr, false);
  }
  out << all.dump(1) << "\n";
}

std::string ShortName(const std::string& value, const std::string& prefix) {
  return value.rfind(prefix, 0) == 0 ? value.substr(prefix.size()) : value;
}

}  // namespace brood::cli
