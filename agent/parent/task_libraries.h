// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "agent/sdk/task.h"
#include "brood/internal/v1/frames.pb.h"
#include "common/base/error.h"

namespace brood {

// The task libraries of a parent, loaded before its first job and never unloaded.
// Main thread; Find from any thread once all are loaded.
class TaskLibraries {
 public:
  // Loads one. What is wrong with it is said in its description, and the parent goes on without it.
  void Load(const std::string& path);

  // By LIBRARY.TASK; null if there is none.
  const brood_task* Find(const std::string& name) const;

  // Those that the libraries show from their loading on, as LIBRARY.NAME.
  const std::vector<std::pair<std::string, const brood_variable*>>& variables() const {
    return variables_;
  }

  const std::vector<std::pair<std::string, const brood_mutex*>>& mutexes() const {
    return mutexes_;
  }

  // For the agent: each library with its tasks, or its error.
  const internal::v1::Tasks& description() const { return description_; }

 private:
  Status LoadInto(const std::string& path, internal::v1::Library* described);
  Status Take(const std::string& path, const brood_library& library,
              internal::v1::Library* described);
  Status TakeVariables(const std::string& path, const brood_library& library);
  Status TakeMutexes(const std::string& path, const brood_library& library);

  std::unordered_map<std::string, const brood_task*> tasks_;
  std::vector<std::string> names_;  // of the libraries
  std::vector<std::pair<std::string, const brood_variable*>> variables_;
  std::vector<std::pair<std::string, const brood_mutex*>> mutexes_;
  internal::v1::Tasks description_;
};

// The shared object that brood ships, beside the program or in ../lib/brood; empty if it is not
// there.
std::string FindShippedLibrary();

// The arguments as the task takes them: pointing into `job`, a whole number made
// a number where the task wants one. INVALID_ARGUMENT, in a sentence, if they do not fit.
Result<std::vector<brood_value>> BindArguments(const brood_task& task,
                                               const internal::v1::StartJob& job);

}  // namespace brood
