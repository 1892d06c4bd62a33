// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace brood {

// BROOD_VERSION is set once, by project() in the top CMakeLists.txt.
inline constexpr char kVersion[] = BROOD_VERSION;

}  // namespace brood
