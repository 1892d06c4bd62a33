// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "brood/v1/event.pb.h"

namespace brood::cli {

// "STARTED", "THREAD_ENDED", …: the name of the payload.
std::string EventName(const v1::Event& event);

// The payload in a few words: "pid 4711, fork took 310 us"; may be empty.
std::string EventDetails(const v1::Event& event);

}  // namespace brood::cli
