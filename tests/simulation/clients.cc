// SPDX-License-Identifier: Apache-2.0
#include "tests/simulation/clients.h"

#include <algorithm>
#include <csignal>

#include "common/base/checksum.h"
#include "tests/simulation/agent_program.h"

namespace brood::simulation {
namespace {

constexpr int64_t kAgainNanos = 20'000'000;
constexpr int64_t kLookForParentNanos = 60'000'000;

}  // namespace

void Clients::Start() {
  PlanJobs();
  KeepCallsParent();
  for (size_t i = 0; i < watchers_.size(); ++i)
    kernel_->At(world_->random.Delay(1'000'000), [this, i] { Resume(i); });
  for (int left = world_->weather.parent_ends; left > 0; --left) {
    kernel_->At(world_->random.Between(0, world_->weather.span_ns), [this] { EndAParent(); });
  }
}

void Clients::PlanJobs() {
  std::vector<std::string> batch;
  for (int i = 0; i < world_->weather.jobs; ++i) {
    const std::string id = "j" + std::to_string(i + 1);
    jobs_[id] = MakeJob(id, &world_->plans[id]);
    batch.push_back(id);
    if (i + 1 < world_->weather.jobs && world_->random.Chance(400)) continue;
    open_.insert(batch.begin(), batch.end());
    kernel_->At(world_->random.Between(0, world_->weather.span_ns),
                [this, batch] { Submit(batch, false); });
    batch.clear();
  }
}

v1::JobSubmission Clients::MakeJob(const std::string& id, JobPlan* plan) {
  Random& random = world_->random;
  const Weather& weather = world_->weather;
  v1::JobSubmission job;
  job.set_job_id(id);
  v1::JobSpec* const spec = job.mutable_spec();
  chaos::Plan& told = plan->told;
  told.is_command = random.Chance(500);
  plan->works_ns =
      std::min<int64_t>(random.Delay(random.Chance(200) ? 200'000'000 : 3'000'000), 5'000'000'000);
  if (random.Chance(700)) told.output = "output of " + id;
  if (told.is_command) {
    spec->mutable_command()->add_argv("work");
    told.exit_code = static_cast<int>(random.Below(4));
    plan->exec_fails = random.Chance(weather.exec_fails_in_thousand);
    if (plan->exec_fails) told.may_end_as.insert(v1::OUTCOME_FAILED_TO_START);
  } else {
    spec->mutable_call()->set_task(kTask);
    told.is_thread = random.Chance(500);
    spec->set_mode(told.is_thread ? v1::MODE_THREAD : v1::MODE_FORK);
    told.returned = static_cast<int64_t>(random.Below(1'000'000));
    if (random.Chance(700)) spec->set_parent(kCallsParent);
  }
  told.is_durable = random.Chance(weather.durable_in_thousand);
  spec->set_durable(told.is_durable);
  plan->crashes = random.Chance(weather.crash_in_thousand);
  if (plan->crashes) told.may_end_as.insert(v1::OUTCOME_SIGNALED);
  plan->ignores_term = random.Chance(150);
  plan->leaves_daemon = !told.is_thread && random.Chance(weather.daemon_in_thousand);
  spec->mutable_kill_grace()->set_nanos(static_cast<int32_t>(random.Between(0, 300'000'000)));
  if (random.Chance(weather.timeout_in_thousand)) {
    spec->mutable_timeout()->set_nanos(static_cast<int32_t>(random.Between(1, 600'000'000)));
    told.may_end_as.insert(v1::OUTCOME_TIMED_OUT);
  }
  // Planned here, so that the judge knows of it whatever becomes of the request.
  told.may_be_cancelled = random.Chance(weather.cancel_in_thousand);
  if (random.Chance(weather.signal_in_thousand)) told.may_end_as.insert(v1::OUTCOME_SIGNALED);
  return job;
}

void Clients::Request(std::function<void(Core&, Instant, Batch*)> step, std::function<void()> done,
                      std::function<void()> lost, bool on_disk) {
  const uint32_t cuts = calm_ ? 0 : world_->weather.cuts_in_thousand;
  const bool request_lost = world_->random.Chance(cuts);
  const bool answer_lost = world_->random.Chance(cuts);
  const int64_t answer_ns = world_->random.Delay(50'000);
  // Who hears nothing knows by the end of its connection, or its deadline.
  const int64_t lost_ns = world_->random.Between(1'000'000, 200'000'000);
  const uint64_t power = power_;
  const auto settled = std::make_shared<bool>(false);
  const auto give_up = [this, settled, lost, power] {
    if (power == power_ && !std::exchange(*settled, true)) lost();
  };
  const auto answer = [=, this](bool kept) {
    if (!kept) return kernel_->At(answer_ns, give_up);
    if (answer_lost) return kernel_->Count(Sometimes::kReplyLost);
    kernel_->At(answer_ns, [=, this] {
      if (power == power_ && !std::exchange(*settled, true)) done();
    });
  };
  kernel_->At(world_->random.Delay(50'000), [=, this] {
    const ProcessRef agent = world_->agent;
    if (request_lost) kernel_->Count(Sometimes::kRequestLost);
    const bool heard = agent != nullptr && agent->alive && world_->agent_program != nullptr &&
                       world_->agent_program->serves() && !request_lost;
    if (heard) {
      kernel_->At(agent, 0, [=, this] { world_->agent_program->Call(step, on_disk, answer); });
    }
    kernel_->At(lost_ns, give_up);
  });
}

void Clients::Submit(const std::vector<std::string>& ids, bool again) {
  if (again) kernel_->Count(Sometimes::kSubmittedTwice);
  const auto answers = std::make_shared<std::vector<v1::SubmittedJob>>();
  Request(
      [this, ids, answers](Core& core, Instant now, Batch* batch) {
        for (const std::string& id : ids) {
          uint64_t key = 0;
          answers->push_back(core.Submit(now, jobs_.at(id), 7, &key, batch));
        }
      },
      [this, answers] {
        for (const v1::SubmittedJob& answer : *answers) {
          if (answer.error_reason() == "JOURNAL_FULL") {
            const std::string id = answer.job_id();
            kernel_->At(kAgainNanos, [this, id] { Submit({id}, true); });
            continue;
          }
          open_.erase(answer.job_id());
          kernel_->Say("answered", {static_cast<uint64_t>(answer.error_code())}, answer.job_id());
          if (answer.error_code() != 0) continue;
          acknowledged_.insert(answer.job_id());
          Trouble(answer.job_id());
        }
      },
      [this, ids] { kernel_->At(kAgainNanos, [this, ids] { Submit(ids, true); }); },
      std::any_of(ids.begin(), ids.end(),
                  [this](const std::string& id) { return jobs_.at(id).spec().durable(); }));
}

// What a client does to a job of its own.
void Clients::Trouble(const std::string& id) {
  const JobPlan& plan = world_->plans.at(id);
  const int64_t when = world_->random.Delay(3'000'000);
  if (plan.told.may_be_cancelled) kernel_->At(when, [this, id] { Cancel(id); });
  if (plan.told.may_end_as.count(v1::OUTCOME_SIGNALED) > 0 && !plan.crashes) {
    static constexpr int kSignals[] = {SIGTERM, SIGKILL, SIGSTOP, SIGINT};
    const int signal = kSignals[world_->random.Below(4)];
    kernel_->At(when, [this, id, signal] { Signal(id, signal); });
  }
}

void Clients::Cancel(const std::string& id) {
  kernel_->Count(Sometimes::kCancelled);
  Request([id](Core& core, Instant now,
               Batch* batch) { (void)core.Cancel(now, id, -1, "client", batch); },
          [] {}, [] {});
}

void Clients::Signal(const std::string& id, int signal) {
  kernel_->Count(Sometimes::kSignalled);
  const auto again = [this, id] { kernel_->At(kAgainNanos, [this, id] { Signal(id, SIGCONT); }); };
  Request([id, signal](Core& core, Instant now,
                       Batch* batch) { (void)core.Signal(now, id, signal, false, batch); },
          [this, signal, again] {
            // Who was stopped is told to go on until that is answered.
            if (signal != SIGSTOP) return;
            kernel_->Count(Sometimes::kStopped);
            again();
          },
          [signal, again] {
            if (signal == SIGSTOP || signal == SIGCONT) again();
          });
}

// The calls' parent is started again whenever it is not there.
void Clients::KeepCallsParent() {
  const auto again = [this] { kernel_->At(kLookForParentNanos, [this] { KeepCallsParent(); }); };
  Request([](Core& core, Instant now,
             Batch* batch) { (void)core.StartParent(now, kCallsParent, {"sim"}, batch); },
          again, again);
}

void Clients::EndAParent() {
  if (calm_) return;
  const std::string name = world_->random.Chance(700) ? kCallsParent : kDefaultParent;
  const auto how = static_cast<v1::ParentEnd>(1 + world_->random.Below(5));
  Request([name, how](Core& core, Instant now,
                      Batch* batch) { (void)core.EndParent(now, name, how, batch); },
          [] {}, [] {});
}

// A new stream, strictly after what was handed: as agent/rpc answers a token.
void Clients::Resume(size_t index) {
  Watcher& watcher = watchers_[index];
  const uint64_t life = ++watcher.life;
  const auto later = [this, index, life] {
    kernel_->At(world_->random.Delay(1'000'000), [this, index, life] {
      if (watchers_[index].life == life) Resume(index);
    });
  };
  if (world_->agent_program == nullptr || !world_->agent_program->serves()) return later();
  const AgentJournal& journal = world_->agent_program->journal();
  if (watcher.cursor > journal.KeptOf(watcher.epoch)) {
    // OUT_OF_RANGE: it says so to its own, and begins anew.
    kernel_->Count(Sometimes::kWatcherBeginsAnew);
    watcher.cursor = 0;
    watcher.seen.clear();
  } else if (watcher.cursor > 0) {
    kernel_->Count(Sometimes::kWatcherResumes);
  }
  watcher.connected_to = world_->agent_program->incarnation();
  Pull(index);
}

void Clients::Pull(size_t index) {
  Watcher& watcher = watchers_[index];
  const uint64_t life = watcher.life;
  const AgentProgram* const agent = world_->agent_program;
  const bool cut = agent == nullptr || agent->incarnation() != watcher.connected_to ||
                   (!calm_ && world_->random.Chance(world_->weather.cuts_in_thousand / 4));
  if (cut) {
    watcher.connected_to = 0;
    return kernel_->At(world_->random.Delay(1'000'000), [this, index, life] {
      if (watchers_[index].life == life) Resume(index);
    });
  }
  std::vector<std::pair<uint64_t, uint32_t>> page;
  const size_t most = 1 + world_->random.Below(8);
  agent->journal().Read(watcher.cursor, [&](uint64_t cursor, uint64_t, std::string_view payload) {
    page.emplace_back(cursor, Crc32c(payload.data(), payload.size()));
    return page.size() < most;
  });
  const uint64_t epoch = agent->journal().epoch();
  const int64_t on_the_way_ns = page.empty() ? 10'000'000 : world_->random.Delay(50'000);
  const bool lost = !calm_ && world_->random.Chance(world_->weather.cuts_in_thousand / 4);
  kernel_->At(on_the_way_ns, [this, index, life, page, epoch, lost] {
    Watcher& reader = watchers_[index];
    if (reader.life != life) return;
    if (lost) return Resume(index);
    for (const auto& event : page) {
      reader.cursor = event.first;
      reader.epoch = epoch;
      reader.seen.push_back(event);
    }
    Pull(index);
  });
}

std::string Clients::WhatIsNotDone() const {
  const AgentProgram* const agent = world_->agent_program;
  if (agent == nullptr || !agent->serves()) return "no agent serves";
  if (!open_.empty()) return "job " + *open_.begin() + " is submitted and not answered";
  if (!agent->has_written_all()) return "the agent holds records that the disk has room for";
  for (const auto& [job_key, job] : agent->core()->jobs()) {
    if (!job->view.cleaned()) return "job " + job->view.job_id() + " is not cleaned";
  }
  for (size_t i = 0; i < watchers_.size(); ++i) {
    // One that has not come back may hold a cursor that another event has now.
    if (watchers_[i].connected_to != agent->incarnation())
      return "watcher " + std::to_string(i) + " has not come back";
    if (watchers_[i].cursor != agent->journal().head())
      return "watcher " + std::to_string(i) + " is at event " +
             std::to_string(watchers_[i].cursor) + " of " + std::to_string(agent->journal().head());
  }
  return "";
}

void Clients::OnReboot() {
  ++power_;
  for (size_t i = 0; i < watchers_.size(); ++i) {
    ++watchers_[i].life;
    kernel_->At(1'000'000'000, [this, i] { Resume(i); });
  }
  for (const auto& [id, job] : jobs_) {
    if (open_.count(id) > 0)
      kernel_->At(world_->random.Between(500'000'000, 2'000'000'000),
                  [this, id = id] { Submit({id}, true); });
  }
  KeepCallsParent();
}

void Clients::Tell(chaos::Observed* observed, std::vector<std::string>* breaches) const {
  for (const auto& [id, plan] : world_->plans) observed->plans[id] = plan.told;
  observed->acknowledged = acknowledged_;
  const std::vector<JournalRecord>& records = world_->disk.journal.records;
  for (size_t i = 0; i < watchers_.size(); ++i) {
    std::vector<uint64_t>& cursors = observed->watchers.emplace_back();
    for (const auto& [cursor, checksum] : watchers_[i].seen) {
      cursors.push_back(cursor);
      if (cursor > records.size()) continue;
      const std::string& payload = records[cursor - 1].payload;
      if (Crc32c(payload.data(), payload.size()) != checksum) {
        breaches->push_back("watcher " + std::to_string(i) + " was handed another event " +
                            std::to_string(cursor) + " than the journal has");
        break;
      }
    }
  }
}

}  // namespace brood::simulation
