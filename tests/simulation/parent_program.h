// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "agent/parent/job_keys.h"
#include "tests/simulation/world.h"

namespace brood::simulation {

// A parent as agent/parent does its work, in steps at which it can be killed: a model, with the
// real notes, slots and job keys.
class ParentProgram final : public Program {
 public:
  ParentProgram(World* world, const ProcessRef& self, ParentKey key, uint32_t slots);
  ~ParentProgram() override;

  // Its start is noted; or (false) who started it has ended before.
  void OnGo(bool go);
  void Accept(const std::shared_ptr<ParentWire>& wire, uint64_t agent_incarnation, bool commands);
  void OnChildEnded() override;

 private:
  struct Process {
    uint32_t attempt = 0;
    uint32_t slot = 0;
    int32_t pid = 0;
    bool ended = false;
    bool drained = false;
  };
  struct Thread {
    internal::v1::StartJob job;
    int32_t tid = 0;
    bool started = false;
    bool asked_to_stop = false;
    std::shared_ptr<Pipe> pipe;
  };
  struct Kept {
    std::shared_ptr<Pipe> pipe;
    bool sent = false;
  };

  ProcessRef self() const { return self_.lock(); }
  void Step(int64_t least_ns, std::function<void()> step);
  void OnMain();
  void OnCommands();
  void OnFrame(internal::v1::ToParent frame);
  void StartCall(internal::v1::StartJob job);
  void End(int how);

  uint32_t Reserve(const internal::v1::StartJob& job);
  void Announce(const std::vector<uint64_t>& job_keys);
  void LaunchNext();
  void OnExecuted(const internal::v1::StartJob& job, uint32_t slot, int32_t pid);
  void ForkNext();
  void AddProcess(const internal::v1::StartJob& job, uint32_t slot, int32_t pid);
  std::unique_ptr<Program> ProgramOf(const internal::v1::StartJob& job, const ProcessRef& child,
                                     uint32_t slot, const std::shared_ptr<Pipe>& pipe);
  void RunThread(uint64_t job_key);
  void EndThread(uint64_t job_key);
  int Signal(const internal::v1::SignalJob& signal);
  void Reap(uint64_t job_key);
  void Drained(uint64_t job_key);
  void Forget(uint64_t job_key);

  bool TryNote(Note note, const std::string& text = {});
  void AddNote(const Note& note, const std::string& text = {});
  void RetryNotes();
  void Ring();

  World* const world_;
  Kernel* const kernel_;
  const std::weak_ptr<simulation::Process> self_;
  const ParentKey key_;
  const uint32_t slot_count_;
  std::shared_ptr<ParentFolder> folder_;
  JobKeys keys_;
  std::vector<uint32_t> free_slots_;
  std::map<uint64_t, Process> processes_;
  std::map<uint64_t, Thread> threads_;
  std::map<uint64_t, Kept> streams_;
  uint64_t agent_incarnation_ = 0;
  std::shared_ptr<ParentWire> main_;
  // The launcher's, which it reads until it is told that another agent is there.
  std::shared_ptr<ParentWire> commands_;
  uint64_t commands_incarnation_ = 0;
  // And the incarnation of the agent that sent them.
  std::deque<std::pair<internal::v1::StartJob, uint64_t>> commands_waiting_;
  bool launching_ = false;
  std::deque<internal::v1::StartJob> forks_waiting_;
  std::deque<std::pair<Note, std::string>> held_notes_;
  bool left_ = false;  // its main thread has, by thread-exit
};

}  // namespace brood::simulation
