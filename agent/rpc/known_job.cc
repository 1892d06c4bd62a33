// SPDX-License-Identifier: Apache-2.0
#include "agent/rpc/known_job.h"

#include "common/job/job_fold.h"
#include "common/job/text.h"

namespace brood {
namespace {

// "EXITED", as v1::Outcome calls it without its prefix.
std::string OutcomeWord(int outcome) {
  const std::string name = v1::Outcome_Name(static_cast<v1::Outcome>(outcome));
  return name.substr(name.find('_') + 1);
}

Error NoLongerKept(const Agent& agent, const KnownId& id, const std::string& job_id,
                   const std::string& field) {
  return Error{ErrorCode::kOutOfRange, "NO_LONGER_KEPT",
               "job " + Quoted(job_id) + " ran on host '" + agent.options().name + "' and ended (" +
                   OutcomeWord(static_cast<int>(id.outcome)) + "); its events are no longer kept",
               field};
}

}  // namespace

Error NoSuchJob(const Agent& agent, const std::string& job_id, const std::string& field) {
  return Error{ErrorCode::kNotFound, "NO_SUCH_JOB",
               "host '" + agent.options().name + "' knows no job " + Quoted(job_id), field};
}

Result<KnownJob> FindJob(const Agent& agent, const Core& core, const std::string& job_id,
                         const std::string& field) {
  if (const CoreJob* const job = core.Find(job_id))
    return KnownJob{job->key, job->first_cursor, job};
  const KnownId* const id = core.FindForgotten(job_id);
  if (id == nullptr) return NoSuchJob(agent, job_id, field);
  if (id->first_cursor < agent.journal()->oldest()) return NoLongerKept(agent, *id, job_id, field);
  return KnownJob{id->job_key, id->first_cursor, nullptr};
}

Result<FoldedJob> FoldForgotten(const Agent& agent, const KnownJob& known,
                                const std::string& job_id, const std::string& field) {
  FoldedJob folded;
  const Status failed = agent.journal()->Read(
      known.first_cursor - 1, [&](uint64_t cursor, uint64_t job_key, std::string_view bytes) {
        if (job_key != known.job_key) return true;
        v1::Event event;
        if (!event.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return false;
        // The index knows a hash: another id may have the same.
        if (event.job_id() != job_id) return false;
        FoldEvent(event, &folded.job);
        folded.last_cursor = cursor;
        return !event.has_cleaned();
      });
  if (failed) return *failed;
  if (folded.job.job_id().empty()) return NoSuchJob(agent, job_id, field);
  return folded;
}

Error OutputNotKept(const Agent& agent, const std::string& job_id) {
  return Error{ErrorCode::kOutOfRange, "NO_LONGER_KEPT",
               "job " + Quoted(job_id) + " ran on host '" + agent.options().name +
                   "' and ended; its output is no longer kept",
               "job_id"};
}

}  // namespace brood
