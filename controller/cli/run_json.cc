// SPDX-License-Identifier: Apache-2.0
#include "controller/cli/run_json.h"

#include <nlohmann/json.hpp>

#include "controller/cli/json_output.h"

namespace brood::cli {
namespace {

using Json = nlohmann::ordered_json;

Json ErrorJson(const Error& error) {
  return {
      {"code", ErrorCodeName(error.code)}, {"reason", error.reason}, {"message", error.message}};
}

std::string Text(const Json& tree) {
  // What a host says need not be UTF-8.
  return tree.dump(1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

std::string JobJson(const v1::Job& job, const Error* why) {
  Json tree = Json::parse(ToJsonLine(job), nullptr, false);
  if (!tree.is_object()) tree = Json::object();
  tree["reached"] = true;
  if (why != nullptr) tree["error"] = ErrorJson(*why);
  return Text(tree);
}

std::string HostJson(const std::string& host, bool reached, const Error& why) {
  return Text(Json{{"host", host}, {"reached", reached}, {"error", ErrorJson(why)}});
}

}  // namespace brood::cli
