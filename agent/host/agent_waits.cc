// SPDX-License-Identifier: Apache-2.0
//
// What clients wait for at the agent: a parent's start or end, a reading of its
// memory, the agent's own stop.
#include <utility>

#include "agent/core/proto_time.h"
#include "agent/core/spec_frame.h"
#include "agent/host/agent.h"
#include "spdlog/spdlog.h"

namespace brood {
namespace {

// From SIGTERM to SIGKILL when the agent stops: a person is waiting.
constexpr int64_t kStopGraceNanos = 2'000'000'000;

}  // namespace

void Agent::StartParent(const std::string& name, std::vector<std::string> libraries,
                        ParentDone done) {
  loop_->Post([this, name, libraries = std::move(libraries), done = std::move(done)] {
    Result<ParentKey> key = sequencer_->Step([&](Core& core, Instant now, Batch* batch) {
      return core.StartParent(now, name, libraries, batch);
    });
    if (!key) return done(key.error());
    waits_.push_back(Wait{*key, false, done});
  });
}

void Agent::EndParent(const std::string& name, v1::ParentEnd how, ParentDone done) {
  loop_->Post([this, name, how, done = std::move(done)] {
    Result<ParentKey> key = sequencer_->Step([&](Core& core, Instant now, Batch* batch) {
      return core.EndParent(now, name, how, batch);
    });
    if (!key) return done(key.error());
    // A main thread that leaves by pthread_exit leaves a parent behind for as
    // long as its threads run: nothing to wait for.
    waits_.push_back(Wait{*key, true, done});
  });
}

void Agent::CheckWaits() {
  std::vector<Wait> waits;
  waits.swap(waits_);
  for (Wait& wait : waits) {
    Result<v1::Parent> answer = Error{};
    const bool over = sequencer_->Look([&](const Core& core) {
      const ParentEntry& parent = core.parents().at(wait.parent.name);
      const bool same = parent.key == wait.parent;
      const bool ended = !same || parent.state == v1::PARENT_STATE_ENDED;
      if (!ended) {
        answer = core.ViewParent(parent);
        if (!wait.for_end) return parent.state == v1::PARENT_STATE_RUNNING;
        return parent.asked_end == v1::PARENT_END_THREAD_EXIT;
      }
      for (const v1::Parent& last : core.ended_parents()) {
        if (last.name() == wait.parent.name && last.incarnation() == wait.parent.incarnation)
          answer = last;
      }
      if (!wait.for_end) {
        const auto why = start_errors_.find(wait.parent);
        answer = Error{ErrorCode::kFailedPrecondition, "PARENT_FAILED",
                       "parent '" + wait.parent.name + "' ended while it was started" +
                           (why == start_errors_.end() ? "" : ": " + why->second),
                       "name"};
      }
      return true;
    });
    if (!over) {
      waits_.push_back(std::move(wait));
      continue;
    }
    const std::shared_ptr<ParentLink> link = Link(wait.parent);
    if (!wait.for_end && answer && link != nullptr && !link->library_error().empty()) {
      // Not what was asked for: say so, and do not leave half a parent behind.
      answer =
          Error{ErrorCode::kInvalidArgument, "BAD_LIBRARY", link->library_error(), "libraries"};
      sequencer_->Step([&](Core& core, Instant now, Batch* batch) {
        (void)core.EndParent(now, wait.parent.name, v1::PARENT_END_RETURN, batch);
      });
      loop_->Post([] {});  // Another round, to commit it.
    }
    wait.done(std::move(answer));
  }
  if (stop_done_ == nullptr) return;
  bool jobs_over = false;
  bool parents_over = true;
  sequencer_->Look([&](const Core& core) {
    jobs_over = true;
    for (const auto& [key, job] : core.jobs()) {
      if (!job->ended && !job->is_thread()) jobs_over = false;
    }
    for (const auto& entry : core.parents()) {
      if (entry.second.state != v1::PARENT_STATE_ENDED) parents_over = false;
    }
  });
  if (jobs_over && !parents_told_) StopParents();
  if (!jobs_over || !parents_over) return;
  internal::v1::ToSupervisor frame;
  frame.set_stop(true);
  supervisor_->Send(frame);
  std::exchange(stop_done_, nullptr)(stopped_jobs_);
}

void Agent::StopParents() {
  // Whatever threads still run end with them.
  parents_told_ = true;
  sequencer_->Look([&](const Core& core) {
    for (const auto& entry : core.parents()) {
      if (entry.second.state != v1::PARENT_STATE_ENDED) KillParent(entry.second.key);
    }
  });
}

void Agent::Stop(bool keep_jobs, std::function<void(uint32_t)> done) {
  loop_->Post([this, keep_jobs, done = std::move(done)] {
    if (keep_jobs) {
      sequencer_->Step([](Core& core, Instant, Batch*) { core.SetState(v1::HOST_STATE_STOPPING); });
      return done(0);
    }
    stopped_jobs_ = sequencer_->Step([&](Core& core, Instant now, Batch* batch) {
      core.SetState(v1::HOST_STATE_STOPPING);
      return core.CancelAll(now, kStopGraceNanos, batch);
    });
    stop_done_ = done;
  });
}

}  // namespace brood
