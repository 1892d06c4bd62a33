// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "brood/v1/event.pb.h"
#include "controller/cli/context.h"
#include "controller/cli/gathered_output.h"
#include "controller/cli/host_notes.h"
#include "controller/cli/out_directory.h"
#include "controller/cli/output_queue.h"
#include "controller/cli/run_job.h"
#include "controller/cli/run_options.h"

namespace brood::cli {

// Everything that `brood run` prints, in one order: the jobs' output, values and
// events, notes of brood's own, and the progress line of a terminal. For the loop's
// thread.
class RunPrinter {
 public:
  // `hosts`: their names, by number.
  RunPrinter(const RunOptions& options, const Context& context, std::vector<std::string> hosts,
             OutputQueue& queue);

  // Makes the folder of --outdir, if there is to be one.
  Status OpenFiles();

  // How the streams of a job on that host are shown: stdout, or else stderr.
  LineStyle Style(size_t host, bool standard_out) const;

  // One event of a job: its output bytes, or the event itself with -o jsonl.
  void Event(RunJob& job, const v1::Event& event);
  // A job has ended for good: the rest of its output, its value, its JSON, and a note
  // if it did not end well.
  void JobEnd(RunJob& job);
  // A host has ended, with nothing more to come: its files are closed.
  void HostEnd(size_t host);
  // For -o json: what is known of a job whose end is not, and of a host that has none.
  void JobLost(const RunJob& job, const Error& why);
  void HostFailed(size_t host, bool reached, const Error& why);
  // The run is over.
  void Finish();

  // "brood: SENTENCE"; with a host where that matters: "brood: host1: SENTENCE".
  void Note(const std::string& sentence);
  void HostNote(size_t host, const std::string& sentence);
  // The same, held until ReleaseNotes so that it is said of several hosts at once. Where there is
  // only one host nothing is held.
  void HoldNote(size_t host, HostNotes::News news);
  void ReleaseNotes() { notes_.Flush(); }
  // From here on how jobs end is held as well: many will end alike.
  void HoldEnds() { hold_ends_ = true; }

  // True once bytes of a job's output could not be had: they were not, or are no longer, kept.
  bool lost_output() const { return lost_output_; }

  // No more notes.
  void BeQuiet() { quiet_ = true; }

  // Shows this line on a terminal's stderr until something else is printed; an empty
  // one takes it away. Where there is colour, `alarm`, a part of it, is red.
  void Progress(const std::string& line, const std::string& alarm = "");

 private:
  std::string Name(const RunJob& job) const;
  void Print(int fd, std::string bytes);
  void OutputBytes(RunJob& job, const v1::Output& output);
  void OutputClosed(RunJob& job, const v1::OutputClosed& closed);
  void NoteLost(const RunJob& job, const std::string& sentence);
  void NoteEnd(const RunJob& job);
  void Gathered(size_t host, bool standard_out, std::string_view bytes);
  void PrintGathered(bool standard_out);
  void PrintDifferences();
  std::string Folded(const std::vector<size_t>& hosts) const;
  void PrintJson(std::string json);

  const RunOptions& options_;
  const Context& context_;
  const std::vector<std::string> hosts_;
  OutputQueue& queue_;
  const bool each_;
  const bool many_;    // more than one job
  const bool labels_;  // lines carry a label
  const bool gather_;
  GatheredOutput gathered_out_;
  GatheredOutput gathered_err_;
  std::unique_ptr<OutDirectory> files_;
  HostNotes notes_;
  bool hold_ends_;
  bool quiet_ = false;
  bool lost_output_ = false;
  bool progress_shown_ = false;
  bool at_line_start_ = true;  // of the terminal
  size_t json_jobs_ = 0;
};

}  // namespace brood::cli
