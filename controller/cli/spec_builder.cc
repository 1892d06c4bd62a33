// SPDX-License-Identifier: Apache-2.0
#include "controller/cli/spec_builder.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <memory>
#include <utility>
#include <vector>

#include "common/job/byte_size.h"
#include "common/job/duration.h"
#include "common/job/limits.h"
#include "common/job/name_value.h"
#include "common/job/resource_limits.h"
#include "common/job/text.h"
#include "controller/cli/run_id.h"

namespace brood::cli {
namespace {

constexpr char kBraces[] = "{}";

Result<std::string> CurrentDirectory() {
  const std::unique_ptr<char, decltype(&std::free)> path(::getcwd(nullptr, 0), &std::free);
  if (!path) return ErrnoError(errno, "find the current directory");
  return std::string(path.get());
}

mode_t CurrentUmask() {
  const mode_t mask = ::umask(0);
  ::umask(mask);
  return mask;
}

void Set(v1::Environment& environment, const std::string& name, const std::string& value) {
  auto* const variable = environment.add_set();
  variable->set_name(name);
  variable->set_value(value);
}

Status AddEnvironment(const RunOptions& options, const Context& context, bool local_command,
                      v1::JobSpec& spec) {
  if (local_command) {
    spec.mutable_environment()->set_clear(true);
    for (const std::string& variable : context.environment) {
      const size_t equals = variable.find('=');
      // What is no variable cannot be handed on.
      if (equals == std::string::npos || equals == 0) continue;
      Set(*spec.mutable_environment(), variable.substr(0, equals), variable.substr(equals + 1));
    }
  }
  for (const std::string& variable : options.environment) {
    if (variable.find('=') == std::string::npos && !variable.empty()) {
      Set(*spec.mutable_environment(), variable, context.Variable(variable));
      continue;
    }
    auto pair = ParseNameValue(variable, "-e");
    if (!pair) return pair.error();
    Set(*spec.mutable_environment(), pair->name, pair->value);
  }
  return Ok();
}

Status AddDirectory(const RunOptions& options, bool local, bool local_command, v1::JobSpec& spec) {
  std::string directory = options.directory;
  const bool relative = !directory.empty() && directory[0] != '/';
  if (local_command || (local && relative)) {
    if (directory.empty() || relative) {
      auto current = CurrentDirectory();
      if (!current) return current.error();
      directory = directory.empty() ? *current : *current + "/" + directory;
    }
  }
  spec.set_working_directory(directory);
  return Ok();
}

Status AddLimits(const RunOptions& options, v1::JobSpec& spec) {
  for (const std::string& text : options.limits) {
    Result<v1::ResourceLimit> limit = ParseLimit(text, "--limit");
    if (!limit) return limit.error();
    *spec.add_limits() = *std::move(limit);
  }
  if (Status bad = CheckLimits(spec)) {
    // In the words of who typed it: not of the spec's field.
    return FieldError("--limit", bad->message.substr(bad->field.size() + 2));
  }
  for (const std::string& text : options.job_labels) {
    auto pair = ParseNameValue(text, "--labels");
    if (!pair) return pair.error();
    (*spec.mutable_labels())[pair->name] = pair->value;
  }
  return Ok();
}

Status AddTimes(const RunOptions& options, v1::JobSpec& spec) {
  if (!options.timeout.empty()) {
    auto timeout = ParseDuration(options.timeout, "--timeout");
    if (!timeout) return timeout.error();
    *spec.mutable_timeout() = *timeout;
  }
  if (!options.grace.empty()) {
    auto grace = ParseDuration(options.grace, "--grace");
    if (!grace) return grace.error();
    *spec.mutable_kill_grace() = *grace;
  }
  if (!options.meter.empty()) {
    auto meter = ParseDuration(options.meter, "--meter");
    if (!meter) return meter.error();
    *spec.mutable_memory_meter() = *meter;
  }
  if (!options.kill_if_stuck.empty()) {
    auto time = ParseDuration(options.kill_if_stuck, "--kill-if-stuck");
    if (!time) return time.error();
    *spec.mutable_kill_if_stuck() = *time;
  }
  spec.set_refuse_if_hazard(options.refuse_if_hazard);
  spec.set_durable(options.durable);
  return Ok();
}

Status AddOutput(const RunOptions& options, v1::JobSpec& spec) {
  if (options.output != v1::OUTPUT_TARGET_UNSPECIFIED)
    spec.mutable_output()->set_target(options.output);
  if (options.output_overflow != v1::OUTPUT_OVERFLOW_UNSPECIFIED)
    spec.mutable_output()->set_overflow(options.output_overflow);
  if (options.output_max.empty()) return Ok();
  auto bytes = ParseByteSize(options.output_max, "--output-max");
  if (!bytes) return bytes.error();
  if (*bytes < kStreamBytesMin || *bytes > kStreamBytesMost) {
    return FieldError("--output-max",
                      "'" + options.output_max + "' is out of range; give 64K to 1T");
  }
  spec.mutable_output()->set_stream_bytes_max(*bytes);
  return Ok();
}

// A word is text in the protocol; what is no text can only be bytes.
void SetWord(const std::string& word, v1::Argument& argument) {
  if (IsUtf8(word)) {
    argument.set_word(word);
  } else {
    argument.mutable_value()->set_bytes_value(word);
  }
}

Status CheckText(const RunOptions& options) {
  std::vector<std::pair<const char*, const std::string*>> texts = {{"--parent", &options.parent},
                                                                   {"--call", &options.call}};
  for (const std::string& label : options.job_labels) texts.emplace_back("--labels", &label);
  for (const std::string& limit : options.limits) texts.emplace_back("--limit", &limit);
  for (const auto& [option, text] : texts) {
    if (!IsUtf8(*text)) {
      return FieldError(option, Quoted(*text) + " is no text; write it in UTF-8");
    }
  }
  return Ok();
}

Status CheckCombination(const RunOptions& options) {
  if (options.call.empty() && options.words.empty()) {
    return Error{ErrorCode::kInvalidArgument, "NOTHING_TO_RUN",
                 "there is nothing to run; give a command, or --call LIBRARY.TASK", "CMD"};
  }
  if (!options.each.empty() && options.input) {
    return FieldError("-i", "does not go with --each: many jobs cannot share one input");
  }
  if (options.detach && options.input) {
    return FieldError("-i", "does not go with -d: nobody would be there to send the input");
  }
  if (options.mode == v1::MODE_THREAD && !options.limits.empty()) {
    return FieldError("--limit",
                      "does not go with --mode thread: a thread has the limits of its "
                      "process; take --mode fork");
  }
  if (options.explain && !options.each.empty()) {
    return FieldError("--explain", "is about one job; leave --each out");
  }
  return Ok();
}

std::string Replace(const std::string& word, const std::string& line) {
  std::string out;
  size_t at = 0;
  for (size_t next = word.find(kBraces); next != std::string::npos; next = word.find(kBraces, at)) {
    out.append(word, at, next - at).append(line);
    at = next + 2;
  }
  return out.append(word, at);
}

}  // namespace

Result<SpecBuilder> SpecBuilder::Create(const RunOptions& options, const Context& context) {
  if (Status status = CheckCombination(options)) return *status;
  if (Status status = CheckText(options)) return *status;
  SpecBuilder builder;
  builder.run_id_ = NewRunId();
  v1::JobSpec& spec = builder.spec_;
  spec.set_mode(options.mode);
  spec.set_parent(options.parent);
  spec.set_run_id(builder.run_id_);
  spec.set_stdin_stream(options.input);
  if (options.call.empty()) {
    for (const std::string& word : options.words) spec.mutable_command()->add_argv(word);
  } else {
    spec.mutable_call()->set_task(options.call);
    for (const std::string& word : options.words) {
      SetWord(word, *spec.mutable_call()->add_arguments());
    }
  }
  for (const std::string& word : options.words) {
    builder.has_braces_ = builder.has_braces_ || word.find(kBraces) != std::string::npos;
  }
  const bool local = options.hosts.empty();
  const bool local_command = local && options.call.empty();
  if (Status status = AddEnvironment(options, context, local_command, spec)) return *status;
  if (Status status = AddDirectory(options, local, local_command, spec)) return *status;
  if (Status status = AddLimits(options, spec)) return *status;
  if (Status status = AddTimes(options, spec)) return *status;
  if (Status status = AddOutput(options, spec)) return *status;
  if (local_command) spec.set_umask(CurrentUmask());
  return builder;
}

v1::JobSubmission SpecBuilder::Job() const {
  v1::JobSubmission job;
  job.set_job_id(run_id_);
  *job.mutable_spec() = spec_;
  return job;
}

v1::JobSubmission SpecBuilder::JobOfLine(uint64_t number, const std::string& line) const {
  v1::JobSubmission job;
  job.set_job_id(run_id_ + "." + std::to_string(number));
  *job.mutable_spec() = spec_;
  if (spec_.has_command()) {
    auto* const command = job.mutable_spec()->mutable_command();
    for (std::string& word : *command->mutable_argv()) word = Replace(word, line);
    if (!has_braces_) command->add_argv(line);
  } else {
    auto* const call = job.mutable_spec()->mutable_call();
    for (auto& argument : *call->mutable_arguments()) {
      if (argument.has_word()) SetWord(Replace(argument.word(), line), argument);
    }
    if (!has_braces_) SetWord(line, *call->add_arguments());
  }
  return job;
}

}  // namespace brood::cli
