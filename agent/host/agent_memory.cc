// SPDX-License-Identifier: Apache-2.0
//
// A parent's cells: as it says itself, and as they are read from outside.
#include <utility>
#include <vector>

#include "agent/core/proto_time.h"
#include "agent/core/spec_frame.h"
#include "agent/host/agent.h"
#include "agent/host/cell_readings.h"
#include "common/job/text.h"

namespace brood {
namespace {

// Of one answer: what the API promises.
constexpr uint32_t kCellsMax = 1'024;

}  // namespace

Result<std::shared_ptr<ParentLink>> Agent::RunningLink(const std::string& parent) const {
  ParentKey key;
  sequencer_->Look([&](const Core& core) {
    const auto found = core.parents().find(parent);
    if (found == core.parents().end() || found->second.state != v1::PARENT_STATE_RUNNING) return;
    key = found->second.key;
  });
  std::shared_ptr<ParentLink> link = Link(key);
  if (link != nullptr) return link;
  return Error{ErrorCode::kNotFound, "NO_SUCH_PARENT",
               "no parent '" + parent + "' runs on host '" + options_.name + "'", "parent"};
}

void Agent::WatchMemory(const std::string& parent, std::vector<std::string> cells,
                        WatchReady ready) {
  loop_->Post([this, parent, cells = std::move(cells), ready = std::move(ready)] {
    const Result<std::shared_ptr<ParentLink>> link = RunningLink(parent);
    if (!link) return ready(link.error());
    const auto watched = std::make_shared<WatchedParent>();
    watched->key = (*link)->key();
    watched->id = (*link)->watch()->Add(cells, [watched, ready](const Status& failed) {
      if (failed) return ready(*failed);
      ready(*watched);
    });
  });
}

void Agent::UnwatchMemory(const WatchedParent& watched) {
  loop_->Post([this, watched] {
    if (const std::shared_ptr<ParentLink> link = Link(watched.key))
      link->watch()->Remove(watched.id);
  });
}

void Agent::ReadMemory(const v1::ReadMemoryRequest& request, MemoryDone done) {
  loop_->Post([this, request, done = std::move(done)] {
    const Result<std::shared_ptr<ParentLink>> link = RunningLink(request.parent());
    if (!link) return done(link.error());
    internal::v1::ReadMemory read;
    read.set_limit(kCellsMax);
    *read.mutable_cells() = request.cells();
    read.set_variables(request.variables());
    (*link)->ReadMemory(std::move(read), [this, key = (*link)->key(), request,
                                          done](const Result<internal::v1::MemoryAnswer>& answer) {
      if (!answer) return done(answer.error());
      AnswerMemory(key, request, *answer, done);
    });
  });
}

void Agent::AnswerMemory(const ParentKey& key, const v1::ReadMemoryRequest& request,
                         const internal::v1::MemoryAnswer& answer, const MemoryDone& done) {
  if (!answer.missing_cell().empty()) {
    return done(Error{ErrorCode::kNotFound, "NO_SUCH_CELL",
                      "parent '" + key.name + "' has no cell " + Quoted(answer.missing_cell()) +
                          "; the first write makes it",
                      "cells"});
  }
  if (!answer.error().empty()) {
    return done(Error{ErrorCode::kUnavailable, "GATE_HELD", answer.error(), ""});
  }
  v1::ReadMemoryResponse response;
  response.set_incarnation(key.incarnation);
  response.set_truncated(answer.truncated());
  for (const internal::v1::Cell& cell : answer.cells()) {
    v1::Cell* const out = response.add_cells();
    out->set_name(cell.name());
    out->set_address(cell.address());
    *out->mutable_value() = ValueOfFrame(cell.value());
    out->set_version(cell.version());
    out->set_kind(static_cast<v1::CellKind>(cell.kind()));
    out->set_block_bytes(cell.block_bytes());
  }
  CellProcess parent;
  std::vector<CellProcess> copies;
  sequencer_->Look([&](const Core& core) {
    const auto found = core.parents().find(key.name);
    if (found == core.parents().end() || found->second.key != key) return;
    parent.pid = found->second.unit.pid();
    parent.start_ns = DurationNanos(found->second.unit.start());
    for (const uint64_t job_key : found->second.live[0]) {
      const CoreJob* const job = core.Find(job_key);
      // A command has another program's memory by now.
      if (!request.copies() || job == nullptr || !job->started() || !job->view.spec().has_call())
        continue;
      copies.push_back(CellProcess{job->view.job_id(), job->view.pid(), job->start_ns});
    }
  });
  response.set_pid(parent.pid);
  AddReadings(
      {answer.cells().begin(), answer.cells().end()}, parent, copies,
      [&](uint64_t job_key) {
        return sequencer_->Look([&](const Core& core) {
          const CoreJob* const job = core.Find(job_key);
          return job == nullptr ? std::string() : job->view.job_id();
        });
      },
      &response);
  done(std::move(response));
}

}  // namespace brood
