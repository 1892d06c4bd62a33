// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace brood::cli {

// Twelve characters of a-z and 2-7 (60 random bits of the kernel): a run's id. Two of a
// million runs are the same with a chance of one in two million.
std::string NewRunId();

}  // namespace brood::cli
