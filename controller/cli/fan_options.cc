// SPDX-License-Identifier: Apache-2.0
//
// The options of `run` that are about many hosts.
#include <charconv>
#include <optional>
#include <string>

#include "controller/cli/run_options.h"

namespace brood::cli {
namespace {

void AddCount(CLI::App& app, const char* names, const char* name, std::optional<size_t>& value,
              size_t least, const char* description) {
  app.add_option_function<std::string>(
         names,
         [&value, name, least](const std::string& word) {
           size_t number = 0;
           const char* const end = word.data() + word.size();
           const auto read = std::from_chars(word.data(), end, number);
           if (read.ec != std::errc() || read.ptr != end || number < least) {
             throw CLI::ValidationError(
                 name, "'" + word + "' is no whole number from " + std::to_string(least) + " on");
           }
           value = number;
         },
         description)
      ->type_name("N");
}

Error Refused(const std::string& sentence) {
  return Error{ErrorCode::kInvalidArgument, "BAD_OPTIONS", sentence, ""};
}

}  // namespace

void AddFanOptions(CLI::App& app, RunOptions& options) {
  AddCount(app, "-f,--fanout", "--fanout", options.fanout, 1,
           "hosts that run at once; the next follows when one has ended (64)");
  app.add_flag("-b,--gather", options.gather,
               "print the output of hosts once they have ended, equal output once");
  app.add_flag("--diff", options.diff,
               "as --gather, but only how output differs from that of most hosts");
  app.add_flag_callback(
      "--fail-fast", [&options] { options.max_failed = 0; },
      "cancel the rest when a job has failed");
  AddCount(app, "--max-failed", "--max-failed", options.max_failed, 0,
           "cancel the rest when more than N jobs have failed");
  app.get_option("--max-failed")->excludes("--fail-fast");
  app.add_option("--outdir", options.out_directory,
                 "write the output to files too, DIR/HOST.out and DIR/HOST.err")
      ->type_name("DIR")
      ->check(RefuseEmpty);
}

Status CheckFanOptions(const RunOptions& options) {
  const bool gather = options.gather || options.diff;
  const std::string gather_name = options.diff ? "--diff" : "--gather";
  struct Asked {
    bool is;
    std::string name;
  };
  const Asked needs_set[] = {{gather, gather_name}, {options.fanout.has_value(), "--fanout"}};
  for (const Asked& one : needs_set) {
    if (one.is && options.hosts.empty()) {
      return Refused(one.name + " is about several hosts: name them with -w SET");
    }
  }
  if (gather && options.format != OutputFormat::kText) {
    return Refused(gather_name +
                   " is for people and -o json|jsonl for programs: leave one of them out");
  }
  if (gather && options.labels != Labels::kAuto) {
    return Refused(gather_name +
                   " names hosts above their output and --label in each line: leave one of them "
                   "out");
  }
  const Asked of_one_job[] = {{gather, gather_name},
                              {options.fanout.has_value(), "--fanout"},
                              {!options.out_directory.empty(), "--outdir"}};
  for (const Asked& one : of_one_job) {
    if (one.is && !options.each.empty()) {
      return Refused(one.name +
                     " is for one job on each host, and --each gives hosts many: leave one of "
                     "them out");
    }
  }
  const Asked waits[] = {{gather, gather_name},
                         {options.max_failed.has_value(), "--fail-fast or --max-failed"},
                         {!options.out_directory.empty(), "--outdir"}};
  for (const Asked& one : waits) {
    if (one.is && options.detach) {
      return Refused(one.name +
                     " is for a run that is watched, and --detach leaves it: leave one of them "
                     "out; 'brood wait' and 'brood logs' are for later");
    }
  }
  if (options.fanout && options.detach) {
    return Refused("--fanout waits for jobs to end, and --detach for none: leave one of them out");
  }
  return Ok();
}

}  // namespace brood::cli
