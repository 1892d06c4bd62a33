// SPDX-License-Identifier: Apache-2.0
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "controller/cli/by_host.h"
#include "controller/cli/commands.h"
#include "controller/cli/job_reference.h"
#include "controller/cli/line_output.h"
#include "controller/cli/lost_output.h"
#include "controller/cli/signal_source.h"
#include "controller/cli/watch.h"

namespace brood::cli {
namespace {

struct Options {
  std::string hosts;
  std::vector<std::string> words;
  bool follow = false;
  ResumePolicy resume;
};

// The two streams of one job.
struct Streams {
  LineOutput out;
  LineOutput err;
  LostOutput lost_out = {};
  LostOutput lost_err = {};
};

void Write(std::ostream& stream, const std::string& bytes) {
  stream.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

void Note(Context& context, const std::string& job, const std::string& sentence) {
  if (!sentence.empty()) context.err << "brood: " << job << ": " << sentence << "\n";
}

int Run(const Options& options, Context& context) {
  auto jobs = FindJobs(context, options.hosts, options.words);
  if (!jobs) return context.Fail(jobs.error(), kExitFailed);
  const std::vector<HostJobs> watched = ByHost(*jobs);
  const bool labels = jobs->size() > 1;
  std::map<std::pair<size_t, std::string>, Streams> streams;
  const auto streams_of = [&](size_t host, const std::string& id) -> Streams& {
    const std::string label = labels ? watched[host].host.name + "/" + id + ": " : "";
    return streams
        .try_emplace({host, id},
                     Streams{LineOutput({labels, label, labels && context.out_is_terminal}),
                             LineOutput({labels, label, labels && context.err_is_terminal})})
        .first->second;
  };
  WatchOptions watch;
  watch.follow = options.follow;
  watch.include_output = true;
  watch.resume = options.resume;
  watch.note = [&](size_t host, const std::string& sentence) {
    context.Note(watched[host].host.name, sentence);
  };
  const WatchEnd end = Watch(watched, watch, [&](size_t host, const v1::Event& event) {
    if (event.has_output_closed()) {
      Note(context, watched[host].host.name + "/" + event.job_id(),
           DroppedSentence(event.output_closed()));
    }
    if (!event.has_output()) return;
    Streams& of = streams_of(host, event.job_id());
    const v1::Output& output = event.output();
    const bool is_err = output.stream() == v1::STREAM_STDERR;
    Note(context, watched[host].host.name + "/" + event.job_id(),
         (is_err ? of.lost_err : of.lost_out).Add(output));
    if (is_err) {
      Write(context.err, of.err.Add(output.bytes()));
    } else {
      Write(context.out, of.out.Add(output.bytes()));
    }
    if (options.follow) context.out << std::flush;
  });
  for (auto& [key, of] : streams) {
    Write(context.out, of.out.Finish());
    Write(context.err, of.err.Finish());
    for (LostOutput* const lost : {&of.lost_out, &of.lost_err})
      Note(context, watched[key.first].host.name + "/" + key.second, lost->Finish());
  }
  context.out << std::flush;
  context.err << std::flush;
  if (end.signal != 0) return DieOf(end.signal);
  int code = kExitOk;
  for (size_t i = 0; i < watched.size(); ++i) {
    if (!end.hosts[i]) continue;
    context.Complain(watched[i].host.name, *end.hosts[i]);
    code = kExitFailed;
  }
  return code;
}

}  // namespace

Command LogsCommand() {
  return {"logs", "print the output of jobs, as it was kept",
          [](CLI::App& app, Context& context) -> Action {
            auto options = std::make_shared<Options>();
            AddHostsOption(app, options->hosts);
            app.add_flag("-f,--follow", options->follow, "go on until the jobs have ended");
            AddGiveUpOption(app, options->resume);
            AddJobWords(app, options->words);
            return [options, &context] { return Run(*options, context); };
          }};
}

}  // namespace brood::cli
