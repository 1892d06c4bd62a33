// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "brood/v1/event.pb.h"
#include "brood/v1/parent_service.pb.h"
#include "controller/cli/by_host.h"
#include "controller/cli/context.h"
#include "controller/client/resume_core.h"

namespace brood::cli {

// What is watched on each host.
struct WatchOptions {
  std::string resume_token;
  std::string run_id;
  bool follow = false;
  bool include_output = false;
  ResumePolicy resume;
  // What there is to say of a host's connection; one call at a time, not beside `event`.
  std::function<void(size_t host, const std::string& sentence)> note;
};

// Streams the events of the jobs (of all, where no ids are given) of several hosts at
// once. `event` is called for each, in each host's order, one at a time. Ends when all
// hosts are done, or at SIGINT, SIGTERM or SIGHUP.
struct WatchEnd {
  std::vector<Status> hosts;               // why, by host; Ok if all was read
  std::vector<std::string> resume_tokens;  // to go on after what was read, by host
  int signal = 0;                          // that ended it, or 0
};
WatchEnd Watch(const std::vector<HostJobs>& jobs, const WatchOptions& options,
               const std::function<void(size_t host, const v1::Event& event)>& event);

// The same for the writes of cells, from now on and until the parents end.
WatchEnd WatchCells(const std::vector<HostAddress>& hosts, const v1::WatchMemoryRequest& request,
                    const WatchOptions& options,
                    const std::function<void(size_t host, const v1::Event& event)>& event);

}  // namespace brood::cli
