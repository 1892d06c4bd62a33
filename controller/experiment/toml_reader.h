// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <toml++/toml.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "brood/v1/job.pb.h"
#include "common/base/error.h"
#include "controller/experiment/experiment.h"

namespace brood {

// Reads tables of a TOML file and remembers the first mistake, with its line and column.
class TomlReader {
 public:
  using Keys = std::vector<std::string>;

 protected:
  // `origin` is the file's name, for sentences.
  explicit TomlReader(std::string origin) : origin_(std::move(origin)) {}

  // Empty after a mistake.
  toml::table Parse(std::string_view text);

  void Fail(const toml::source_region& where, const std::string& why);
  static Place PlaceOf(const toml::node& node);
  // "a, b, c".
  static std::string List(const Keys& keys);
  // "'parnt' is not understood in …; did you mean 'parent'?"
  static std::string NotUnderstood(const std::string& word, const Keys& known,
                                   const std::string& what);

  // A mistake if the table has any other key.
  void CheckKeys(const toml::table& table, const Keys& known, const std::string& what);
  // Calls `add` for each table of [[key]], until there is a mistake.
  template <typename F>
  void Each(const toml::table& file, const char* key, F add) {
    const toml::node* const node = file.get(key);
    if (node == nullptr || error_) return;
    const toml::array* const array = node->as_array();
    if (array == nullptr) return Fail(node->source(), std::string("write [[") + key + "]]");
    for (const toml::node& one : *array) {
      const toml::table* const table = one.as_table();
      if (table == nullptr) return Fail(one.source(), std::string("write [[") + key + "]]");
      if (!error_) add(*table);
    }
  }

  // What a key has; a mistake if it is of another type, or (needed) is not there.
  std::string Text(const toml::table& table, const char* key, bool needed);
  bool Flag(const toml::table& table, const char* key);
  Keys Texts(const toml::table& table, const char* key);
  std::optional<google::protobuf::Duration> Duration(const toml::table& table, const char* key);

  std::optional<Error> error_;

 private:
  const std::string origin_;
};

}  // namespace brood
