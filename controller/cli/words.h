// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace brood::cli {

// Takes CMD ARG… off the words of a command: everything from the first word on that is
// neither an option of `app` nor an option's value, or all that follows `--`. What is
// left in `arguments` is for CLI11. (CLI11 itself reads words such as [1,2] as lists.)
std::vector<std::string> TakeWords(const CLI::App& app, std::vector<std::string>& arguments);

}  // namespace brood::cli
