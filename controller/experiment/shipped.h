// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

namespace brood {

// An experiment that comes with brood: its file's name and text.
struct ShippedExperiment {
  std::string file;
  std::string text;
};

// All of them, in order: C1 to C13.
const std::vector<ShippedExperiment>& ShippedExperiments();

}  // namespace brood
