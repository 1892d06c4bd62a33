// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "tests/simulation/world.h"

namespace brood::simulation {

// A job that is a process: claims its slot, begins its code, writes its ledger, prints, ends.
class JobProgram final : public Program {
 public:
  struct Start {
    uint64_t job_key = 0;
    std::string job_id;
    bool is_command = false;
    std::shared_ptr<ParentFolder> folder;
    uint32_t slot = 0;
    std::shared_ptr<Pipe> pipe;
    // It has executed its program, or has failed to.
    std::function<void()> executed;
  };

  JobProgram(World* world, ProcessRef self, Start start);
  ~JobProgram() override;
  bool OnSignal(int signal) override;

 private:
  void Claim();
  void Execute();
  void BeginCode();
  void EndCode();
  void Print(const std::string& text);

  World* const world_;
  const std::weak_ptr<Process> self_;
  const Start start_;
  const JobPlan plan_;
  bool executed_ = false;
};

// What a job prints before it works; the rest comes after.
std::string FirstOutput(const std::string& output);
std::string SecondOutput(const std::string& output);

}  // namespace brood::simulation
