// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "common/base/error.h"
#include "controller/client/host_address.h"
#include "controller/lab/demo_facts.h"

namespace brood {

// The text whose words are counted: the first of these that is there. Debian's
// base-files has the first.
std::string DemoText();

// Runs the demo's jobs on all hosts at once, and reads. The error of the first host
// that has one names it.
Result<std::vector<DemoFacts>> RunDemo(const std::vector<HostAddress>& hosts,
                                       const std::string& text);

// A new folder for the demo's state, not on a tmpfs (its notes must be true files)
// and short enough for sockets: in TMPDIR, /var/tmp, /tmp or HOME, the first that will do.
Result<std::string> MakeDemoFolder();

}  // namespace brood
