// SPDX-License-Identifier: Apache-2.0
#include "controller/experiment/toml_reader.h"

#include <algorithm>
#include <utility>

#include "common/job/duration.h"
#include "common/job/nearest_word.h"
#include "controller/experiment/experiment_file.h"

namespace brood {

toml::table TomlReader::Parse(std::string_view text) {
  if (text.size() > kExperimentBytesMax) {
    error_ = Error{ErrorCode::kInvalidArgument, "EXPERIMENT_TOO_LARGE",
                   origin_ + " is larger than 1 MiB; split it", "FILE"};
    return toml::table();
  }
  try {
    return toml::parse(text);
  } catch (const toml::parse_error& error) {
    Fail(error.source(), std::string(error.description()));
    return toml::table();
  }
}

void TomlReader::Fail(const toml::source_region& where, const std::string& why) {
  if (error_) return;
  error_ = Error{ErrorCode::kInvalidArgument, "BAD_EXPERIMENT",
                 origin_ + ", line " + std::to_string(where.begin.line) + ", column " +
                     std::to_string(where.begin.column) + ": " + why,
                 "FILE"};
}

Place TomlReader::PlaceOf(const toml::node& node) {
  return Place{node.source().begin.line, node.source().begin.column};
}

std::string TomlReader::List(const Keys& keys) {
  std::string list;
  for (const std::string& key : keys) list += (list.empty() ? "" : ", ") + key;
  return list;
}

std::string TomlReader::NotUnderstood(const std::string& word, const Keys& known,
                                      const std::string& what) {
  const std::string nearest = NearestWord(word, known);
  return "'" + word + "' is not understood in " + what +
         (nearest.empty() ? "; there are " + List(known) : "; did you mean '" + nearest + "'?");
}

void TomlReader::CheckKeys(const toml::table& table, const Keys& known, const std::string& what) {
  for (const auto& [key, value] : table) {
    const std::string name(key.str());
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      Fail(key.source(), NotUnderstood(name, known, what));
    }
  }
}

std::string TomlReader::Text(const toml::table& table, const char* key, bool needed) {
  const toml::node* const node = table.get(key);
  if (node == nullptr) {
    if (needed) Fail(table.source(), std::string("'") + key + "' is missing");
    return "";
  }
  if (!node->is_string()) {
    Fail(node->source(), std::string("'") + key + "' must be a text");
    return "";
  }
  return node->value_or(std::string());
}

bool TomlReader::Flag(const toml::table& table, const char* key) {
  const toml::node* const node = table.get(key);
  if (node == nullptr) return false;
  if (!node->is_boolean()) Fail(node->source(), std::string("'") + key + "' is true or false");
  return node->value_or(false);
}

TomlReader::Keys TomlReader::Texts(const toml::table& table, const char* key) {
  Keys texts;
  const toml::node* const node = table.get(key);
  if (node == nullptr) return texts;
  const toml::array* const array = node->as_array();
  if (array == nullptr) {
    Fail(node->source(), std::string("'") + key + "' must be a list of texts");
    return texts;
  }
  for (const toml::node& one : *array) {
    if (!one.is_string()) Fail(one.source(), std::string("'") + key + "' holds texts only");
    texts.push_back(one.value_or(std::string()));
  }
  return texts;
}

std::optional<google::protobuf::Duration> TomlReader::Duration(const toml::table& table,
                                                               const char* key) {
  const toml::node* const node = table.get(key);
  if (node == nullptr) return std::nullopt;
  Result<google::protobuf::Duration> duration = ParseDuration(Text(table, key, false), key);
  if (duration) return *duration;
  Fail(node->source(), duration.error().message);
  return std::nullopt;
}

}  // namespace brood
