// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ostream>
#include <string>

#include "common/base/error.h"

namespace brood {

// Reads every byte of a journal's folder, takes no lock and changes nothing: also while an agent
// has it, whose last batch may be under way. Writes a line to `out` for each file, and one for what
// an agent would cut. The first damage, with file and offset; NOT_FOUND if there is no journal.
Status CheckJournal(const std::string& directory, std::ostream& out);

}  // namespace brood
