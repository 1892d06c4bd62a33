// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <string>

#include "common/base/error.h"

namespace brood {

// A certificate anybody may read; a file with a key nobody else.
inline constexpr mode_t kPublicMode = 0644;
inline constexpr mode_t kPrivateMode = 0600;

// Makes a file with this text, on the disk when it returns. ALREADY_EXISTS, changing nothing, if it
// is there.
Status CreateFile(const std::string& path, const std::string& text, mode_t mode);

// Puts another text in place of the file's, in one step: who reads meanwhile gets the old one or
// the new one.
Status ReplaceFile(const std::string& path, const std::string& text, mode_t mode);

}  // namespace brood
