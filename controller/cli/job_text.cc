// SPDX-License-Identifier: Apache-2.0
#include "controller/cli/job_text.h"

#include <cstdio>
#include <ctime>

#include "common/job/duration.h"
#include "common/job/exit_code.h"
#include "common/job/text.h"
#include "common/job/value.h"
#include "controller/cli/json_output.h"

namespace brood::cli {
namespace {

// A word as it could be typed: in quotes unless it is plain.
std::string Word(const std::string& word) {
  const bool plain = !word.empty() && word.find_first_not_of(
                                          "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                          "0123456789_-+=:,./@%{}") == std::string::npos;
  return plain ? word : Quoted(word);
}

int64_t Nanos(const google::protobuf::Timestamp& time) {
  return time.seconds() * 1'000'000'000 + time.nanos();
}

int64_t WallNanos() {
  timespec now;
  ::clock_gettime(CLOCK_REALTIME, &now);
  return now.tv_sec * 1'000'000'000 + now.tv_nsec;
}

}  // namespace

std::string WhatText(const v1::JobSpec& spec) {
  std::string text;
  if (spec.has_command()) {
    for (const std::string& word : spec.command().argv()) {
      text += (text.empty() ? "" : " ") + Word(word);
    }
    return text;
  }
  text = spec.call().task();
  for (const v1::Argument& argument : spec.call().arguments()) {
    text += " " + (argument.has_word() ? Word(argument.word()) : ValueToJson(argument.value()));
  }
  return text;
}

std::string StateText(const v1::Job& job) {
  return v1::JobState_Name(job.state()).substr(sizeof("JOB_STATE_") - 1);
}

std::string ModeText(v1::Mode mode) {
  switch (mode) {
    case v1::MODE_FORK:
      return "fork";
    case v1::MODE_THREAD:
      return "thread";
    default:
      return "";
  }
}

std::string EndText(const v1::Job& job) {
  if (job.state() != v1::JOB_STATE_ENDED) return "";
  if (job.outcome() == v1::OUTCOME_RETURNED) return "returned " + ToJsonLine(job.result());
  return OutcomeSentence(job);
}

std::string RunTimeText(const v1::Job& job) {
  if (!job.has_start_time()) return "";
  const int64_t end = job.has_end_time() ? Nanos(job.end_time()) : WallNanos();
  // The wall clock may have been set back meanwhile.
  return DurationText(std::max<int64_t>(0, end - Nanos(job.start_time())));
}

std::string TimeText(const google::protobuf::Timestamp& time) {
  if (time.seconds() == 0 && time.nanos() == 0) return "";
  const time_t seconds = time.seconds();
  tm parts;
  if (::localtime_r(&seconds, &parts) == nullptr) return "";
  char text[64];
  const size_t size = std::strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &parts);
  std::snprintf(text + size, sizeof(text) - size, ".%03d", time.nanos() / 1'000'000);
  return text;
}

}  // namespace brood::cli
