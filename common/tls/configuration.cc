// SPDX-License-Identifier: Apache-2.0
#include "common/tls/configuration.h"

#include <toml++/toml.h>

#include <sstream>
#include <utility>

namespace brood {
namespace {

Error Bad(const std::string& path, const toml::source_region& where, const std::string& why) {
  std::ostringstream message;
  message << "configuration '" << path << "', line " << where.begin.line << ": " << why;
  return Error{ErrorCode::kInvalidArgument, "BAD_CONFIGURATION", message.str(), "config"};
}

Status ReadFiles(const std::string& path, const std::string& folder, const toml::table& table,
                 TlsFiles* files) {
  bool own_key = false;
  for (const auto& [key, value] : table) {
    std::string* const to = key == "certificate" ? &files->certificate
                            : key == "key"       ? &files->key
                            : key == "ca"        ? &files->ca
                                                 : nullptr;
    const std::string file = value.value_or(std::string());
    if (to == nullptr || file.empty()) {
      return Bad(path, value.source(),
                 "'" + std::string(key.str()) +
                     "' is not understood; there are certificate, key and ca, each = \"FILE\"");
    }
    *to = file.front() == '/' ? file : folder + file;
    own_key = own_key || key == "key";
  }
  if (!own_key) files->key = files->certificate;
  return Ok();
}

Status ReadRoles(const std::string& path, const toml::table& table,
                 std::map<std::string, RoleName>* roles) {
  static constexpr std::pair<std::string_view, RoleName> kWords[] = {
      {"none", RoleName::kNone}, {"viewer", RoleName::kViewer}, {"operator", RoleName::kOperator}};
  for (const auto& [key, value] : table) {
    const std::string uri(key.str());
    const Result<Identity> identity = ParseIdentity(uri);
    if (!identity) return Bad(path, value.source(), identity.error().message);
    if (identity->kind != PeerKind::kUser) {
      return Bad(path, value.source(), "'" + uri + "' is no user; only users have roles");
    }
    const std::string word = value.value_or(std::string());
    bool known = false;
    for (const auto& [name, role] : kWords) {
      if (word != name) continue;
      roles->emplace(uri, role);
      known = true;
    }
    if (!known) {
      return Bad(path, value.source(),
                 "the role of '" + uri + "' is '" + word +
                     "'; there are \"operator\", \"viewer\" and \"none\"");
    }
  }
  return Ok();
}

}  // namespace

Result<Configuration> LoadConfiguration(const std::string& path) {
  Result<std::string> text = ReadTlsFile(path);
  if (!text && text.error().code == ErrorCode::kNotFound) return ParseConfiguration("", path);
  if (!text) return text.error();
  return ParseConfiguration(*text, path);
}

Result<Configuration> ParseConfiguration(std::string_view text, const std::string& path) {
  const std::string folder = path.substr(0, path.rfind('/') + 1);
  Configuration configuration;
  configuration.agent = {folder + "certs/agent.pem", folder + "certs/agent.pem",
                         folder + "certs/ca.pem"};
  configuration.user = {folder + "certs/user.pem", folder + "certs/user.pem",
                        folder + "certs/ca.pem"};
  toml::table file;
  try {
    file = toml::parse(text);
  } catch (const toml::parse_error& error) {
    return Bad(path, error.source(), std::string(error.description()));
  }
  for (const auto& [section, node] : file) {
    const toml::table* const table = node.as_table();
    Status bad;
    if (table != nullptr && section == "agent") {
      bad = ReadFiles(path, folder, *table, &configuration.agent);
    } else if (table != nullptr && section == "user") {
      bad = ReadFiles(path, folder, *table, &configuration.user);
    } else if (table != nullptr && section == "roles") {
      bad = ReadRoles(path, *table, &configuration.roles);
    } else {
      bad = Bad(path, node.source(),
                "'" + std::string(section.str()) +
                    "' is not understood; there are [agent], [user] and [roles]");
    }
    if (bad) return *bad;
  }
  return configuration;
}

}  // namespace brood
