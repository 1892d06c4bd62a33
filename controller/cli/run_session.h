// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "controller/cli/context.h"
#include "controller/cli/each_feed.h"
#include "controller/cli/input_pump.h"
#include "controller/cli/interrupts.h"
#include "controller/cli/output_queue.h"
#include "controller/cli/run_job.h"
#include "controller/cli/run_options.h"
#include "controller/cli/run_printer.h"
#include "controller/cli/signal_source.h"
#include "controller/cli/spec_builder.h"
#include "controller/client/fan_out.h"

namespace brood::cli {

// One foreground `brood run`: submits, prints, and sees every job to its end. One
// thread and its loop; see fan_out.h and output_queue.h for who else is there.
class RunSession final : private FanOut::Observer {
 public:
  // How the run ended: with an exit code, or (signal not 0) by that signal.
  struct End {
    int exit_code = 0;
    int signal = 0;
  };
  static End Run(const RunOptions& options, const SpecBuilder& builder,
                 const std::vector<HostAddress>& hosts, SignalSource& signals, Context& context);

 private:
  // Beyond the grace of its jobs a cancelled run waits no longer than that: an agent that
  // does not even kill is stuck.
  static constexpr int64_t kAfterGraceNanos = 5'000'000'000;
  // A cancelled run whose reader is gone, or that nobody can see, waits no longer than that.
  static constexpr int64_t kUnseenEndNanos = 2'000'000'000;
  // A host that has not even answered by then is left when a run is cancelled.
  static constexpr int64_t kUnansweredNanos = 2'000'000'000;
  static constexpr int64_t kLastWordsNanos = 500'000'000;
  // How often the progress line changes, and when it is first shown.
  static constexpr int64_t kProgressNanos = 200'000'000;
  static constexpr int64_t kProgressFirstNanos = 1'000'000'000;
  // A full queue is asked again after that, as its RetryInfo says.
  static constexpr int64_t kQueueFullNanos = 100'000'000;

  // News of hosts are held so long, so that those of many come in one line: one second is what a
  // host that is down is tried for, and a try takes up to half a second. While others are still
  // tried they are held on: up to twice what one connect may take.
  static constexpr int64_t kNotesNanos = 2'000'000'000;
  static constexpr int64_t kNotesLongestNanos = 10'000'000'000;

  struct Host {
    std::unique_ptr<Connection> connection;        // from its start to its end
    std::unordered_map<std::string, RunJob> jobs;  // not ended
    bool reached = false;                          // it has answered
    bool ended = false;
  };

  RunSession(const RunOptions& options, const SpecBuilder& builder,
             const std::vector<HostAddress>& hosts, Context& context, EventLoop& loop);

  Status Start(SignalSource& signals);
  Status StartEach();
  void WatchOutput();
  void StartHosts();
  void StartHost(size_t host);
  void LeaveOutRest();

  void Submit(size_t host, v1::JobSubmission job, EachLine line);
  void FillFeed();
  void EndJob(size_t host, const std::string& job_id);
  void Remember();
  HostNotes::News NewsOfEnd(size_t host, const Error& why) const;

  void OnSignal(int signal);
  void OnInterrupt();
  void OnOutputFailed(int fd, int error_number);
  void OnOutputClosed();
  void Cancel(int signal);
  void Leave();
  void LeaveIfUnanswered();
  void ShowState();
  void ShowProgress();
  void CountCode(const v1::Job& job);
  void CountFailures(size_t failures);
  void HoldNote(size_t host, HostNotes::News news);
  void PlanRelease(int64_t held_since_ns);
  void Refuse(size_t host, HostNotes::News news);
  void MaybeFinish();
  End FinalEnd() const;

  // FanOut::Observer.
  void OnSubmitted(size_t host, const v1::SubmittedJob& answer) override;
  void OnEvent(size_t host, const v1::Event& event) override;
  void OnHostEnd(size_t host, const Status& status) override;
  void OnInputTaken(size_t host, bool open) override;
  void OnHost(size_t host, const v1::Host& state) override;
  void OnLinkLost(size_t host, const Error& why) override;
  void OnLinkBack(size_t host) override;
  void OnInputLost(size_t host, const Error& why) override;

  const RunOptions& options_;
  const SpecBuilder& builder_;
  Context& context_;
  EventLoop& loop_;
  const BootTime started_;
  const std::vector<HostAddress>& addresses_;
  const size_t places_;   // hosts that run at once
  size_t next_host_ = 0;  // the first that was not started; FanOut has the same numbers
  size_t in_place_ = 0;   // hosts that were started and have not ended
  std::vector<Host> hosts_;
  std::vector<std::string> names_;
  OutputQueue queue_;
  RunPrinter printer_;
  FanOut fan_out_;
  std::unique_ptr<EachFeed> feed_;
  std::unique_ptr<InputPump> input_;
  Interrupts interrupts_;
  bool remembered_ = false;
  bool cancelled_ = false;
  bool left_ = false;
  bool too_many_failed_ = false;  // and cancelled for that
  bool release_planned_ = false;  // of notes
  bool finished_ = false;
  bool paused_ = false;
  bool retry_planned_ = false;
  bool watching_output_ = false;
  bool output_lost_ = false;  // bytes for stdout could not be written
  size_t ended_jobs_ = 0;
  size_t good_jobs_ = 0;  // of those
  size_t failed_ = 0;     // jobs, and hosts that took none
  size_t cancelled_jobs_ = 0;
  End end_;
};

}  // namespace brood::cli
