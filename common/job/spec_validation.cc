// SPDX-License-Identifier: Apache-2.0
#include "common/job/spec_validation.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "common/job/job_id.h"
#include "common/job/limits.h"
#include "common/job/resource_limits.h"
#include "common/job/text.h"
#include "common/job/value.h"

namespace brood {
namespace {

bool HasNul(std::string_view bytes) { return bytes.find('\0') != std::string_view::npos; }

std::string Indexed(std::string_view field, int index) {
  return std::string(field) + "[" + std::to_string(index) + "]";
}

std::string Count(size_t count, std::string_view noun) {
  return std::to_string(count) + " " + std::string(noun);
}

Error Unsupported(std::string field, const std::string& why) {
  Error error = FieldError(std::move(field), why);
  error.reason = "UNSUPPORTED_IN_MODE";
  return error;
}

Status CheckCommand(const v1::Command& command) {
  const std::string field = "spec.command.argv";
  if (command.argv().empty()) return FieldError(field, "is empty; give at least the program");
  if (command.argv_size() > kArgvWordsMax) {
    return FieldError(field, "has " + Count(static_cast<size_t>(command.argv_size()), "words") +
                                 "; at most 4096 are taken, pass the rest in a file or by stdin");
  }
  size_t total = 0;
  for (int i = 0; i < command.argv_size(); ++i) {
    const std::string& word = command.argv(i);
    if (HasNul(word)) {
      return FieldError(Indexed(field, i),
                        Quoted(word) + " holds a NUL byte; no program can get it");
    }
    if (word.size() > kArgvWordBytesMax) {
      return FieldError(Indexed(field, i),
                        Quoted(word) + " is too long; a word has at most 131071 bytes");
    }
    total += word.size();
  }
  if (command.argv(0).empty())
    return FieldError(Indexed(field, 0), "'' names no program; name one");
  if (total > kArgvBytesMax) {
    return FieldError(field, "has " + Count(total, "bytes") +
                                 "; at most 262144 are taken, pass the rest in a file or by stdin");
  }
  return Ok();
}

bool IsTaskName(std::string_view name) {
  const size_t dot = name.find('.');
  if (dot == std::string_view::npos || dot == 0 || dot + 1 == name.size()) return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.';
  });
}

Status CheckCall(const v1::Call& call) {
  if (call.task().size() > kTaskNameBytesMax || !IsTaskName(call.task())) {
    return FieldError("spec.call.task", Quoted(call.task()) +
                                            " is not the name of a task; give LIBRARY.TASK as in "
                                            "'demo.add', at most 256 bytes");
  }
  const std::string field = "spec.call.arguments";
  if (call.arguments_size() > kCallArgumentsMax) {
    return FieldError(field, "has " +
                                 Count(static_cast<size_t>(call.arguments_size()), "arguments") +
                                 "; at most 64 are taken, pass a list as one JSON value");
  }
  if (call.ByteSizeLong() > kCallBytesMax) {
    return FieldError(field, "have " + Count(call.ByteSizeLong(), "bytes") +
                                 " in all; at most 524288 are taken, pass the rest in a file");
  }
  for (int i = 0; i < call.arguments_size(); ++i) {
    const v1::Argument& argument = call.arguments(i);
    if (argument.has_value()) {
      if (Status bad = CheckValue(argument.value(), Indexed(field, i) + ".value")) return bad;
    } else if (argument.kind_case() != v1::Argument::kWord) {
      return FieldError(Indexed(field, i), "is empty; set its value or its word");
    } else if (argument.word().size() > kValueBytesMax) {
      return FieldError(Indexed(field, i) + ".word",
                        Quoted(argument.word()) + " is too long; a value has at most 49152 bytes");
    }
  }
  return Ok();
}

Status CheckVariableName(const std::string& field, const std::string& name) {
  if (name.empty()) return FieldError(field, "'' is no name of a variable; name one");
  if (HasNul(name) || name.find('=') != std::string::npos) {
    return FieldError(field, Quoted(name) + " holds '=' or a NUL byte; rename the variable");
  }
  if (name.size() > kEnvironmentNameBytesMax) {
    return FieldError(field, Quoted(name) + " is too long; a name has at most 32768 bytes");
  }
  return Ok();
}

Status CheckEnvironment(const v1::Environment& environment) {
  const std::string unset = "spec.environment.unset";
  const std::string set = "spec.environment.set";
  if (environment.unset_size() > kEnvironmentNamesMax) {
    return FieldError(unset, "has " +
                                 Count(static_cast<size_t>(environment.unset_size()), "names") +
                                 "; at most 4096 are taken, use clear instead");
  }
  for (int i = 0; i < environment.unset_size(); ++i) {
    if (Status bad = CheckVariableName(Indexed(unset, i), environment.unset(i))) return bad;
  }
  if (environment.set_size() > kEnvironmentNamesMax) {
    return FieldError(set, "has " +
                               Count(static_cast<size_t>(environment.set_size()), "variables") +
                               "; at most 4096 are taken, pass the rest in a file");
  }
  size_t total = 0;
  for (int i = 0; i < environment.set_size(); ++i) {
    const v1::EnvironmentVariable& variable = environment.set(i);
    if (Status bad = CheckVariableName(Indexed(set, i) + ".name", variable.name())) return bad;
    const std::string value_field = Indexed(set, i) + ".value";
    if (HasNul(variable.value())) {
      return FieldError(value_field,
                        Quoted(variable.value()) + " holds a NUL byte; no program can get it");
    }
    const size_t size = variable.name().size() + 1 + variable.value().size();
    if (size > kArgvWordBytesMax) {
      return FieldError(value_field, Quoted(variable.value()) +
                                         " is too long; name, '=' and value have at most 131071 "
                                         "bytes together");
    }
    total += size;
  }
  if (total > kEnvironmentBytesMax) {
    return FieldError(set, "has " + Count(total, "bytes") +
                               "; at most 262144 are taken, pass the rest in a file");
  }
  return Ok();
}

Status CheckDirectory(const std::string& directory) {
  const std::string field = "spec.working_directory";
  if (directory.empty()) return Ok();
  if (HasNul(directory)) {
    return FieldError(field, Quoted(directory) + " holds a NUL byte; no path can");
  }
  if (directory[0] != '/') {
    return FieldError(field, Quoted(directory) + " is relative; give an absolute path");
  }
  if (directory.size() > kPathBytesMax) {
    return FieldError(field, Quoted(directory) + " is too long; a path has at most 4095 bytes");
  }
  return Ok();
}

Status CheckDuration(const std::string& field, const google::protobuf::Duration& duration,
                     int64_t seconds_max, const std::string& range) {
  const int64_t seconds = duration.seconds();
  const int32_t nanos = duration.nanos();
  if (seconds < 0 || nanos < 0 || nanos > 999'999'999 || seconds > seconds_max ||
      (seconds == seconds_max && nanos > 0)) {
    return FieldError(field, std::to_string(seconds) + " s and " + std::to_string(nanos) +
                                 " ns is out of range; give " + range);
  }
  return Ok();
}

Status CheckTimes(const v1::JobSpec& spec) {
  const std::string range = "1 ms to 10 years, or 0 for none";
  if (Status bad = CheckDuration("spec.timeout", spec.timeout(), kTimeoutSecondsMax, range))
    return bad;
  const int32_t nanos = spec.timeout().nanos();
  if (spec.timeout().seconds() == 0 && nanos > 0 && nanos < kTimeoutNanosMin) {
    return FieldError("spec.timeout", std::to_string(nanos) + " ns is out of range; give " + range);
  }
  return CheckDuration("spec.kill_grace", spec.kill_grace(), kKillGraceSecondsMax, "0 to 1 hour");
}

// A period: nothing, or from `least` nanoseconds to an hour.
Status CheckPeriod(const std::string& field, const google::protobuf::Duration& period,
                   int32_t least) {
  const std::string range = std::to_string(least / 1'000'000) + " ms to 1 hour, or leave it out";
  if (Status bad = CheckDuration(field, period, kPeriodSecondsMax, range)) return bad;
  if (period.seconds() == 0 && period.nanos() > 0 && period.nanos() < least) {
    return FieldError(field, std::to_string(period.nanos()) + " ns is out of range; give " + range);
  }
  return Ok();
}

// What is about the copy of a parent's memory is for forked calls only.
Status CheckForkWishes(const v1::JobSpec& spec) {
  if (Status bad = CheckPeriod("spec.memory_meter", spec.memory_meter(), kMeterNanosMin))
    return bad;
  if (Status bad = CheckPeriod("spec.kill_if_stuck", spec.kill_if_stuck(), kKillIfStuckNanosMin))
    return bad;
  if (spec.has_call()) return Ok();
  const std::string why =
      "a command executes another program and inherits no locks; leave it out, or call a task";
  if (spec.refuse_if_hazard()) return Unsupported("spec.refuse_if_hazard", why);
  if (spec.has_kill_if_stuck()) return Unsupported("spec.kill_if_stuck", why);
  return Ok();
}

Status CheckOutput(const v1::OutputSettings& output) {
  if (!v1::OutputTarget_IsValid(output.target())) {
    return FieldError("spec.output.target",
                      std::to_string(output.target()) +
                          " is no target; take OUTPUT_TARGET_PIPE or OUTPUT_TARGET_FILE");
  }
  if (!v1::OutputOverflow_IsValid(output.overflow())) {
    return FieldError("spec.output.overflow",
                      std::to_string(output.overflow()) +
                          " is no policy; take OUTPUT_OVERFLOW_DROP, OUTPUT_OVERFLOW_RING or "
                          "OUTPUT_OVERFLOW_END");
  }
  const uint64_t most = output.stream_bytes_max();
  if (most != 0 && (most < kStreamBytesMin || most > kStreamBytesMost)) {
    return FieldError(
        "spec.output.stream_bytes_max",
        std::to_string(most) +
            " bytes is out of range; give 65536 (64 KiB) to 1099511627776 (1 TiB), or "
            "0 for 64 MiB");
  }
  return Ok();
}

bool IsLabelKey(std::string_view key) {
  const auto alphanumeric = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  };
  if (key.empty() || !alphanumeric(key[0])) return false;
  return std::all_of(key.begin(), key.end(), [&](char c) {
    return alphanumeric(c) || c == '.' || c == '_' || c == '/' || c == '-';
  });
}

Status CheckLabels(const v1::JobSpec& spec) {
  if (spec.labels().size() > static_cast<size_t>(kLabelsMax)) {
    return FieldError("spec.labels",
                      "has " + Count(spec.labels().size(), "labels") + "; at most 64 are taken");
  }
  // A map has no order; the first violation must be the same each time.
  std::vector<std::string> keys;
  for (const auto& [key, value] : spec.labels()) keys.push_back(key);
  std::sort(keys.begin(), keys.end());
  for (const std::string& key : keys) {
    if (key.size() > kLabelBytesMax || !IsLabelKey(key)) {
      return FieldError("spec.labels", "the key " + Quoted(key) +
                                           " does not match [A-Za-z0-9][A-Za-z0-9._/-]* or is over "
                                           "256 bytes; rename it");
    }
    const std::string& value = spec.labels().at(key);
    if (value.size() > kLabelBytesMax || !IsUtf8(value)) {
      return FieldError("spec.labels[" + key + "]",
                        Quoted(value) + " is over 256 bytes or not UTF-8; shorten it");
    }
  }
  return Ok();
}

// What a thread shares with its process it cannot have of its own.
Status CheckThread(const v1::JobSpec& spec) {
  const std::string cure = "; leave it out, or ask for MODE_FORK";
  if (spec.has_command()) {
    return Unsupported(
        "spec.mode",
        "MODE_THREAD cannot run a command: a program cannot be executed in a thread; "
        "ask for MODE_FORK or MODE_AUTO, or call a task");
  }
  const v1::Environment& environment = spec.environment();
  if (environment.clear() || environment.unset_size() > 0 || environment.set_size() > 0) {
    return Unsupported("spec.environment", "a thread has its process's environment" + cure);
  }
  if (!spec.working_directory().empty()) {
    return Unsupported(
        "spec.working_directory",
        Quoted(spec.working_directory()) + ": a thread has its process's directory" + cure);
  }
  if (spec.has_umask()) {
    return Unsupported("spec.umask", "a thread has its process's umask" + cure);
  }
  if (spec.stdin_stream()) {
    return Unsupported("spec.stdin_stream", "a thread has its process's standard input" + cure);
  }
  if (spec.has_memory_meter()) {
    return Unsupported("spec.memory_meter", "a thread has its process's pages" + cure);
  }
  if (spec.refuse_if_hazard()) {
    return Unsupported("spec.refuse_if_hazard", "a thread is not forked" + cure);
  }
  if (spec.has_kill_if_stuck()) {
    return Unsupported("spec.kill_if_stuck", "a thread inherits no locks" + cure);
  }
  if (spec.output().ByteSizeLong() > 0) {
    return Unsupported("spec.output", "a thread has its process's output" + cure);
  }
  if (spec.limits_size() > 0) {
    return Unsupported("spec.limits[0]", Quoted(spec.limits(0).name()) +
                                             ": the kernel limits processes, not threads" + cure);
  }
  return Ok();
}

}  // namespace

Status ValidateJobSpec(const v1::JobSpec& spec) {
  if (spec.what_case() == v1::JobSpec::WHAT_NOT_SET) {
    return FieldError("spec", "says nothing to run; set command or call");
  }
  if (!v1::Mode_IsValid(spec.mode())) {
    return FieldError("spec.mode", std::to_string(spec.mode()) +
                                       " is no mode; take MODE_AUTO, MODE_FORK or MODE_THREAD");
  }
  if (spec.has_command()) {
    if (Status bad = CheckCommand(spec.command())) return bad;
  } else {
    if (Status bad = CheckCall(spec.call())) return bad;
  }
  if (!spec.parent().empty()) {
    if (Status bad = ValidateJobId("spec.parent", spec.parent())) return bad;
  }
  if (Status bad = CheckEnvironment(spec.environment())) return bad;
  if (Status bad = CheckDirectory(spec.working_directory())) return bad;
  if (spec.has_umask() && spec.umask() > 0777) {
    return FieldError("spec.umask",
                      std::to_string(spec.umask()) + " is out of range; give 0 to 0777 (511)");
  }
  if (Status bad = CheckTimes(spec)) return bad;
  if (Status bad = CheckForkWishes(spec)) return bad;
  if (Status bad = CheckOutput(spec.output())) return bad;
  if (Status bad = CheckLimits(spec)) return bad;
  if (Status bad = CheckLabels(spec)) return bad;
  if (!spec.run_id().empty()) {
    if (Status bad = ValidateJobId("spec.run_id", spec.run_id())) return bad;
  }
  if (spec.mode() == v1::MODE_THREAD) return CheckThread(spec);
  return Ok();
}

}  // namespace brood
