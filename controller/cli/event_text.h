// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "brood/v1/event.pb.h"

namespace brood::cli {

// "STARTED", "THREAD_ENDED", …: the name of the payload.
std::string EventName(const v1::Event& event);

// The payload in a few words: "pid 4711, fork took 310 us"; may be empty.
std::string EventDetails(const v1::Event& event);

// "12:34:56.789  host1/abc  3  STARTED  pid 4711, …": the event on one line, safe for a terminal.
std::string EventLine(const std::string& host, const v1::Event& event);

}  // namespace brood::cli
