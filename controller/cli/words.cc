// SPDX-License-Identifier: Apache-2.0
#include "controller/cli/words.h"

namespace brood::cli {
namespace {

bool TakesValue(const CLI::App& app, const std::string& name) {
  const CLI::Option* option = app.get_option_no_throw(name);
  return option != nullptr && option->get_items_expected_min() > 0;
}

// True if the option's value is the next word: --name VALUE, -n VALUE, -dn VALUE; not
// --name=VALUE, -nVALUE, -d.
bool ValueFollows(const CLI::App& app, const std::string& word) {
  if (word.rfind("--", 0) == 0) {
    return word.find('=') == std::string::npos && TakesValue(app, word);
  }
  for (size_t i = 1; i < word.size(); ++i) {
    if (TakesValue(app, std::string("-") + word[i])) return i + 1 == word.size();
  }
  return false;
}

// -5, -.5: an argument of a task. No option's name begins with a digit or a point.
bool IsNumber(const std::string& word) {
  return word.size() > 1 && word[0] == '-' &&
         ((word[1] >= '0' && word[1] <= '9') || word[1] == '.');
}

}  // namespace

std::vector<std::string> TakeWords(const CLI::App& app, std::vector<std::string>& arguments) {
  size_t at = 0;
  while (at < arguments.size()) {
    const std::string& word = arguments[at];
    if (word == "--" || word.size() < 2 || word[0] != '-' || IsNumber(word)) break;
    at += ValueFollows(app, word) ? 2 : 1;
  }
  if (at > arguments.size()) at = arguments.size();
  const bool mark = at < arguments.size() && arguments[at] == "--";
  const auto first = arguments.begin() + static_cast<ptrdiff_t>(at);
  std::vector<std::string> words(first + (mark ? 1 : 0), arguments.end());
  arguments.erase(first, arguments.end());
  return words;
}

}  // namespace brood::cli
