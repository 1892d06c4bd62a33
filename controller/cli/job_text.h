// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <google/protobuf/timestamp.pb.h>

#include <string>

#include "brood/v1/job.pb.h"

namespace brood::cli {

// A job's parts in words, for tables.

// "sleep 10", quoted as a shell would want it; "demo.add counter 5".
std::string WhatText(const v1::JobSpec& spec);
// "RUNNING", "QUEUED", …
std::string StateText(const v1::Job& job);
// "fork", "thread"; empty before it is chosen.
std::string ModeText(v1::Mode mode);
// "exited 0", "returned 5", "terminated by SIGKILL"; empty before the end.
std::string EndText(const v1::Job& job);
// How long it ran, or has been running: "1.2 s"; empty before it started.
std::string RunTimeText(const v1::Job& job);
// "2026-01-31 12:34:56.789" in local time; empty if it is not set.
std::string TimeText(const google::protobuf::Timestamp& time);

}  // namespace brood::cli
