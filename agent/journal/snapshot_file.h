// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/journal/journal_files.h"
#include "common/base/error.h"

namespace brood {

// A snapshot stands beside the segments as CURSOR.snapshot: what its owner knew after the event
// CURSOR, in parts that mean nothing here.

// Writes it whole, and makes it durable: it appears under its name with all parts or not at all.
// Each part has at most 1 MiB.
Status WriteSnapshotFile(JournalFiles* files, const std::string& directory,
                         std::string_view journal_id, uint64_t epoch, uint64_t cursor,
                         const std::vector<std::string>& parts);

// Reads it and checks every byte, then hands its parts to `sink`, which may be null. DATA_LOSS,
// with the file and the offset, if it is not whole; nothing has been handed on then.
Status ReadSnapshotFile(const std::string& directory, std::string_view journal_id, uint64_t cursor,
                        const std::function<void(std::string_view part)>& sink);

}  // namespace brood
