// SPDX-License-Identifier: Apache-2.0
#include "controller/cli/run_printer.h"

#include <utility>

#include "common/job/exit_code.h"
#include "common/job/value.h"
#include "controller/cli/json_output.h"
#include "controller/cli/run_json.h"
#include "controller/cli/visible.h"
#include "controller/client/host_fold.h"

namespace brood::cli {

RunPrinter::RunPrinter(const RunOptions& options, const Context& context,
                       std::vector<std::string> hosts, OutputQueue& queue)
    : options_(options),
      context_(context),
      hosts_(std::move(hosts)),
      queue_(queue),
      each_(!options.each.empty()),
      many_(hosts_.size() > 1 || each_),
      labels_(options.labels == Labels::kAlways ||
              (options.labels == Labels::kAuto && hosts_.size() > 1)),
      gather_(options.gather || options.diff),
      gathered_out_(gather_ ? hosts_.size() : 0),
      gathered_err_(gather_ ? hosts_.size() : 0),
      notes_(hosts_,
             [this](const std::string& names, const std::string& sentence) {
               Note(options_.hosts.empty() ? sentence : names + ": " + sentence);
             }),
      hold_ends_(gather_) {}

Status RunPrinter::OpenFiles() {
  if (options_.out_directory.empty()) return Ok();
  auto files = OutDirectory::Create(options_.out_directory, hosts_);
  if (!files) return files.error();
  files_ = *std::move(files);
  return Ok();
}

LineStyle RunPrinter::Style(size_t host, bool standard_out) const {
  LineStyle style;
  style.lines = many_ || labels_;
  if (labels_) style.label = hosts_[host] + ": ";
  style.visible = labels_ && (standard_out ? context_.out_is_terminal : context_.err_is_terminal);
  return style;
}

// "host1/ID" where a host has many jobs, "host1" where hosts were named, else nothing.
std::string RunPrinter::Name(const RunJob& job) const {
  if (each_) return hosts_[job.host] + "/" + job.job.job_id();
  return options_.hosts.empty() ? "" : hosts_[job.host];
}

void RunPrinter::Print(int fd, std::string bytes) {
  if (bytes.empty()) return;
  if (fd == context_.out_fd ? context_.out_is_terminal : context_.err_is_terminal) {
    Progress("");
    at_line_start_ = bytes.back() == '\n';
  }
  queue_.Write(fd, std::move(bytes));
}

void RunPrinter::Event(RunJob& job, const v1::Event& event) {
  if (options_.format == OutputFormat::kJsonLines) {
    Print(context_.out_fd, ToJsonLine(event, Fields::kAll) + "\n");
  }
  if (event.has_output() && (options_.format == OutputFormat::kText || files_)) {
    OutputBytes(job, event.output());
  }
  if (event.has_output_limit()) {
    HostNote(job.host,
             std::string("its ") +
                 (event.output_limit().stream() == v1::STREAM_STDERR ? "stderr" : "stdout") +
                 " went past " + std::to_string(event.output_limit().limit()) +
                 " bytes, and so it is ended");
  }
  if (event.has_output_closed()) OutputClosed(job, event.output_closed());
  if (event.has_survivors() && event.survivors().total() > 0) {
    const uint32_t total = event.survivors().total();
    HostNote(job.host, std::to_string(total) + (total == 1 ? " process" : " processes") +
                           " of job " + job.job.job_id() + (total == 1 ? " lives on" : " live on"));
  }
}

void RunPrinter::OutputClosed(RunJob& job, const v1::OutputClosed& closed) {
  for (LostOutput* const lost : {&job.lost_out, &job.lost_err}) NoteLost(job, lost->Finish());
  NoteLost(job, DroppedSentence(closed));
}

void RunPrinter::NoteLost(const RunJob& job, const std::string& sentence) {
  if (sentence.empty()) return;
  // Who says what is to become of too much output knows that there may be less.
  lost_output_ = lost_output_ || options_.output_overflow == v1::OUTPUT_OVERFLOW_UNSPECIFIED;
  HostNote(job.host, sentence);
}

void RunPrinter::OutputBytes(RunJob& job, const v1::Output& output) {
  const bool is_err = output.stream() == v1::STREAM_STDERR;
  NoteLost(job, (is_err ? job.lost_err : job.lost_out).Add(output));
  if (files_) {
    const Status status = files_->Write(job.host, !is_err, output.bytes());
    if (status) {
      lost_output_ = true;
      HostNote(job.host, status->message);
    }
  }
  if (options_.format != OutputFormat::kText) return;
  if (gather_) {
    Gathered(job.host, !is_err, output.bytes());
  } else if (is_err) {
    Print(context_.err_fd, job.err.Add(output.bytes()));
  } else {
    Print(context_.out_fd, job.out.Add(output.bytes()));
  }
}

void RunPrinter::JobEnd(RunJob& job) {
  if (options_.format == OutputFormat::kText) {
    const std::string value = job.returned ? ValueToJson(*job.returned) + "\n" : "";
    if (gather_) {
      Gathered(job.host, true, value);
      gathered_out_.Complete(job.host);
      gathered_err_.Complete(job.host);
    } else {
      Print(context_.out_fd, job.out.Finish());
      Print(context_.err_fd, job.err.Finish());
      if (!value.empty()) Print(context_.out_fd, job.out.Add(value));
    }
  }
  if (options_.format == OutputFormat::kJson) PrintJson(JobJson(job.job, nullptr));
  NoteEnd(job);
}

void RunPrinter::HostEnd(size_t host) {
  if (files_) files_->Close(host);
}

void RunPrinter::NoteEnd(const RunJob& job) {
  if (RunExitCode(job.job) == 0) return;
  // One command's own exit code is for its caller to judge, as with env(1) or ssh(1).
  if (!many_ && job.job.outcome() == v1::OUTCOME_EXITED && job.job.has_exit_code()) return;
  const std::string name = Name(job);
  const std::string sentence = OutcomeSentence(job.job);
  if (hold_ends_ && !each_) return HoldNote(job.host, {sentence, sentence});
  Note((name.empty() ? "" : name + ": ") + OutcomeSentence(job.job));
}

void RunPrinter::Finish() {
  Progress("");
  if (options_.diff) {
    PrintDifferences();
  } else if (gather_) {
    PrintGathered(true);
  }
  if (gather_) PrintGathered(false);
  ReleaseNotes();
  if (files_) {
    Note("the output is in " + files_->path() + ": " + FoldHosts(hosts_) +
         ", .out and .err of each");
  }
  if (options_.format == OutputFormat::kJson && many_) {
    Print(context_.out_fd, json_jobs_ == 0 ? "[]\n" : "\n]\n");
  }
}

void RunPrinter::Note(const std::string& sentence) {
  if (quiet_) return;
  std::string line = "brood: ";
  line += context_.err_is_terminal ? Visible(sentence, true) : sentence;
  if (context_.err_is_terminal && !at_line_start_) line.insert(0, "\n");
  Print(context_.err_fd, line + "\n");
}

void RunPrinter::HostNote(size_t host, const std::string& sentence) {
  Note(options_.hosts.empty() ? sentence : hosts_[host] + ": " + sentence);
}

void RunPrinter::HoldNote(size_t host, HostNotes::News news) {
  notes_.Add(host, std::move(news));
  if (hosts_.size() == 1) notes_.Flush();
}

void RunPrinter::Progress(const std::string& line, const std::string& alarm) {
  if (!context_.err_is_terminal) return;
  std::string bytes;
  if (progress_shown_) bytes = "\r\x1b[K";
  progress_shown_ = !line.empty() && at_line_start_;
  if (progress_shown_) {
    std::string shown = Visible(line);
    const size_t at = alarm.empty() || !context_.err_color ? std::string::npos : shown.find(alarm);
    if (at != std::string::npos) shown.replace(at, alarm.size(), "\x1b[31m" + alarm + "\x1b[m");
    bytes += shown;
  }
  queue_.Write(context_.err_fd, std::move(bytes));
}

}  // namespace brood::cli
