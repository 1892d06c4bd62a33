// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <functional>
#include <string>

#include "common/base/error.h"
#include "controller/client/connection.h"
#include "controller/experiment/experiment.h"
#include "controller/experiment/observations.h"

namespace brood {

// How a run is made.
struct RunSettings {
  // Begins every id and parent's name of this run; at most 16 of [A-Za-z0-9].
  std::string prefix;
  // Set from outside to stop early: the step under way ends, what was started is ended.
  const std::atomic<bool>* stop = nullptr;
  // Told before each step, from 1.
  std::function<void(size_t step)> progress;
};

// Runs the steps of an experiment on one host, in order, and returns all that was seen
// from its first event to the last one of its jobs. Everything that it started is
// ended when it returns, whatever happened: jobs cancelled, parents killed. A step that
// fails stops the experiment; the observations then say so (`broken`, `not_run`). An
// error means that nothing could be observed. Blocks; for one thread.
Result<Observations> RunExperiment(Connection& connection, const Experiment& experiment,
                                   const RunSettings& settings);

}  // namespace brood
