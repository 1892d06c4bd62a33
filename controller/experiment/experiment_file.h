// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "common/base/error.h"
#include "controller/experiment/experiment.h"

namespace brood {

// Larger files are not written by people.
inline constexpr size_t kExperimentBytesMax = 1 << 20;
// What keeps a mistyped number from filling a host.
inline constexpr uint32_t kTimesMax = 2'000;
inline constexpr size_t kStepsMax = 1'000;

// Reads an experiment in TOML; docs/experiments.md has the language. INVALID_ARGUMENT with a
// sentence that names the file, line, column, what is wrong there and what would be right. `origin`
// is the file's name for that.
Result<Experiment> ReadExperiment(std::string_view text, const std::string& origin);

}  // namespace brood
