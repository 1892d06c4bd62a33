// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "brood/v1/event.pb.h"
#include "brood/v1/host_service.pb.h"
#include "brood/v1/job.pb.h"
#include "brood/v1/parent_service.pb.h"
#include "controller/experiment/experiment.h"

namespace brood {

// A job as its events told of it.
struct ObservedJob {
  std::string name;  // "kid", or "kid[2]"
  v1::Job job;       // the fold of its events
  std::vector<v1::Event> events;
};

struct ObservedParent {
  std::string name;
  v1::Parent parent;  // as it was when it started
  std::vector<v1::Event> events;
};

struct ObservedReading {
  std::string name;
  int32_t pid = 0;  // of the parent
  v1::Cell cell;
};

// What was seen of one experiment on one host: all that claims can be about.
struct Observations {
  std::string host;
  // By the names of the experiment; a group has its jobs in order.
  std::map<std::string, std::vector<ObservedJob>> jobs;
  std::map<std::string, ObservedParent> parents;
  std::map<std::string, ObservedReading> readings;
  v1::Host about;
  // Steps that failed, or never ran because an earlier one had, by the name that they give; and
  // why.
  std::map<std::string, std::string> not_run;
  // Why the experiment as a whole stopped early; empty if it did not.
  std::string broken;
  // The stretch of the host's journal that it took.
  std::string first_token;
  std::string last_token;
};

}  // namespace brood
