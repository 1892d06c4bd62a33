// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "agent/journal/epochs.h"
#include "agent/journal/journal_files.h"
#include "common/base/error.h"

namespace brood {

// What the file `epoch` of a journal's folder holds: which journal it is, and the life of its
// cursors.
struct EpochFile {
  std::string journal_id;  // 16 hex digits
  Epochs epochs;
  std::string boot_id;  // when the epoch began
};

// NOT_FOUND if there is none, DATA_LOSS if it cannot be understood.
Result<EpochFile> ReadEpochFile(const std::string& directory);

// Replaces it as a whole, and makes it durable: an epoch must never come twice.
Status WriteEpochFile(JournalFiles* files, const std::string& directory, const EpochFile& file);

// 16 random hex digits.
Result<std::string> MakeJournalId();

}  // namespace brood
