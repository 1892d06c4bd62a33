// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/error.h"

namespace brood {

// A part of a path: `.name`, with an index if one was written.
struct PathPart {
  std::string name;
  bool all = false;              // [*]
  std::optional<int64_t> index;  // [2] is the second, [-1] the last
};

// What is checked, or shown: a small language over facts.
//
//   or and not   == != < <= > >=   + - * /   FUNCTION(…)   PATH   1 2.5 "text" true false
//
// Comparisons go over lists element by element. docs/experiments.md has the names.
struct Expression {
  enum class Kind { kNumber, kText, kBool, kPath, kCall, kNot, kNegate, kBinary };
  Kind kind = Kind::kBool;
  std::string text;  // as it was written, of the whole expression at the root
  int64_t integer = 0;
  double number = 0;
  bool is_integer = false;
  bool truth = false;
  std::string word;  // text, function, or operator
  std::vector<PathPart> path;
  std::vector<Expression> parts;
};

// INVALID_ARGUMENT with a sentence that names what is wrong and its column (from 1) in `text`.
Result<Expression> ParseExpression(const std::string& text);

// All paths in it, in order.
std::vector<const Expression*> PathsOf(const Expression& expression);

// "kid[2].exited.exit_code", as it would be written.
std::string PathText(const std::vector<PathPart>& path);

// The functions there are.
const std::vector<std::string>& FunctionNames();

}  // namespace brood
