// SPDX-License-Identifier: Apache-2.0
//
// What stands beside the segments: snapshots and ids.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "agent/journal/journal_format.h"
#include "common/base/error.h"

namespace brood {

struct SideFile {
  SideHeader header;
  std::string bytes;  // all of it, the header included
};

// Reads the file of that kind whose name states `number`. DATA_LOSS, naming it, unless it begins
// with a whole header that says the same; the records are not looked at.
Result<SideFile> ReadSideFile(const std::string& path, const char (&magic)[8],
                              std::string_view journal_id, uint64_t number);

// Numbers in the names of the folder's files with that suffix, sorted.
Result<std::vector<uint64_t>> ListNumbered(const std::string& directory, std::string_view suffix);

Error SideDamage(const std::string& path, const std::string& what);

}  // namespace brood
