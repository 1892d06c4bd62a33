// SPDX-License-Identifier: Apache-2.0
#include "controller/cli/twin_report.h"

#include <cstdio>
#include <nlohmann/json.hpp>
#include <ostream>
#include <set>

#include "common/job/value.h"
#include "controller/cli/table.h"

namespace brood::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr char kUnknown[] = "unknown";

std::string Hexadecimal(uint64_t address) {
  char text[19];
  std::snprintf(text, sizeof(text), "0x%llx", static_cast<unsigned long long>(address));
  return text;
}

std::string Text(const std::optional<v1::Value>& value) {
  return value ? ValueToJson(*value) : kUnknown;
}

std::string Text(const std::optional<int32_t>& number) {
  return number ? std::to_string(*number) : kUnknown;
}

std::string Address(const std::optional<uint64_t>& address) {
  return address ? Hexadecimal(*address) : kUnknown;
}

std::string Time(const std::optional<int64_t>& nanos) {
  return nanos ? ShortTime(*nanos) : kUnknown;
}

std::string Memory(const TwinLeftover& left) {
  if (!left.job.own_bytes) return kUnknown;
  return std::to_string(*left.job.own_bytes / 1024) + " KiB";
}

std::string Outside(const TwinReading& reading) {
  if (!reading.outside_error.empty()) return kUnknown + (": " + reading.outside_error);
  return Text(reading.outside);
}

// "4711", or with the number of different ones where there were several.
std::string Last(const std::vector<TwinRound>& rounds, TwinJob TwinRound::*job,
                 std::optional<int32_t> TwinJob::*number) {
  std::set<std::optional<int32_t>> all;
  for (const TwinRound& round : rounds) all.insert((round.*job).*number);
  std::string text = Text((rounds.back().*job).*number);
  if (all.size() > 1) text += ", and " + std::to_string(all.size() - 1) + " others";
  return text;
}

std::string InParent(const TwinJob& job) {
  if (!job.in_parent || !job.in_parent->has_write) {
    const bool why = job.in_parent && !job.in_parent->error.empty();
    return why ? kUnknown + (": " + job.in_parent->error) : kUnknown;
  }
  return *job.in_parent->has_write ? "yes" : "no";
}

std::string AfterEnd(const TwinLeftover& left) {
  if (left.ended_by_parent == true) return "ended with it";
  if (!left.ended_after_parent) return kUnknown;
  if (!*left.ended_after_parent) return "had ended before: " + left.job.end;
  std::string text = "went on, " + left.job.end;
  if (left.new_ppid) text += ", child of " + std::to_string(*left.new_ppid);
  return text;
}

template <typename Number>
Json OrNull(const std::optional<Number>& number) {
  return number ? Json(*number) : Json(nullptr);
}

// A value stays a text of JSON inside: whole numbers keep all digits.
Json ValueJson(const std::optional<v1::Value>& value) {
  if (!value) return nullptr;
  return Json::parse(ValueToJson(*value), nullptr, false);
}

Json AddressJson(const std::optional<uint64_t>& address) {
  return address ? Json(Hexadecimal(*address)) : Json(nullptr);
}

Json ReadingJson(const TwinReading& reading) {
  return {{"pid", OrNull(reading.pid)},
          {"address", AddressJson(reading.address)},
          {"value", ValueJson(reading.value)},
          {"writes", OrNull(reading.version)},
          {"outside", ValueJson(reading.outside)}};
}

Json JobJson(const TwinJob& job) {
  return {{"jobId", job.job_id},
          {"pid", OrNull(job.pid)},
          {"tid", OrNull(job.tid)},
          {"ppid", OrNull(job.ppid)},
          {"returned", ValueJson(job.returned)},
          {"end", job.end},
          {"startNanos", OrNull(job.start_ns)},
          {"address", AddressJson(job.address)},
          {"found", ValueJson(job.found)},
          {"wrote", ValueJson(job.wrote)},
          {"writeInParent", job.in_parent ? OrNull(job.in_parent->has_write) : Json(nullptr)}};
}

Json LeftoverJson(const TwinLeftover& left) {
  return {{"jobId", left.job.job_id},
          {"pid", OrNull(left.job.pid)},
          {"end", left.job.end},
          {"endedByParent", OrNull(left.ended_by_parent)},
          {"endedAfterParent", OrNull(left.ended_after_parent)},
          {"newPpid", OrNull(left.new_ppid)},
          {"adopter", left.adopter},
          {"ownBytes", OrNull(left.job.own_bytes)}};
}

const char* VerdictName(TwinVerdict verdict) {
  switch (verdict) {
    case TwinVerdict::kDiffer:
      return "DIFFER";
    case TwinVerdict::kSame:
      return "SAME";
    default:
      return "UNKNOWN";
  }
}

Json HostJson(const TwinFacts& facts) {
  Json rounds = Json::array();
  for (const TwinRound& round : facts.rounds) {
    rounds.push_back({{"before", ReadingJson(round.before)},
                      {"thread", JobJson(round.thread)},
                      {"fork", JobJson(round.fork)},
                      {"after", ReadingJson(round.after)},
                      {"siblingThread", ValueJson(round.sibling_thread)},
                      {"siblingFork", ValueJson(round.sibling_fork)}});
  }
  Json findings = Json::array();
  for (const TwinFinding& finding : JudgeTwin(facts)) {
    findings.push_back({{"topic", finding.topic},
                        {"verdict", VerdictName(finding.verdict)},
                        {"sentence", finding.sentence}});
  }
  Json end = nullptr;
  if (facts.end) {
    end = {{"parent", facts.end->parent},
           {"pid", OrNull(facts.end->pid)},
           {"thread", LeftoverJson(facts.end->thread)},
           {"fork", LeftoverJson(facts.end->fork)}};
  }
  return {{"host", facts.host},     {"call", facts.call},
          {"parent", facts.parent}, {"parentPid", OrNull(facts.parent_pid)},
          {"cell", facts.cell},     {"rounds", rounds},
          {"parentEnd", end},       {"findings", findings}};
}

void AddRoundLines(const TwinFacts& facts, std::vector<TwinLine>* lines) {
  const std::vector<TwinRound>& rounds = facts.rounds;
  const TwinRound& last = rounds.back();
  const auto number = [&](const char* what, std::optional<int32_t> TwinJob::*field) {
    lines->push_back(
        {what, Last(rounds, &TwinRound::thread, field), Last(rounds, &TwinRound::fork, field)});
  };
  number("pid", &TwinJob::pid);
  number("tid", &TwinJob::tid);
  number("ppid", &TwinJob::ppid);
  if (!facts.cell.empty()) {
    lines->push_back(
        {"address of the cell", Address(last.thread.address), Address(last.fork.address)});
    lines->push_back({"the parent held before", Text(last.before.value), Text(last.before.value)});
    lines->push_back({"the job found", Text(last.thread.found), Text(last.fork.found)});
    lines->push_back({"the job wrote", Text(last.thread.wrote), Text(last.fork.wrote)});
  }
  const auto returned = [](const TwinJob& job) {
    return job.returned ? ValueToJson(*job.returned) : job.end;
  };
  lines->push_back({"the job returned", returned(last.thread), returned(last.fork)});
  if (!facts.cell.empty()) {
    lines->push_back({"its write in the parent", InParent(last.thread), InParent(last.fork)});
    lines->push_back({"the parent held then", Text(last.after.value), Text(last.after.value)});
    lines->push_back({"... read from outside", Outside(last.after), Outside(last.after)});
    lines->push_back(
        {"a sibling like it read", Text(last.sibling_thread), Text(last.sibling_fork)});
  }
  lines->push_back({"start took (median)", Time(MedianStart(facts, &TwinRound::thread)),
                    Time(MedianStart(facts, &TwinRound::fork))});
}

}  // namespace

std::vector<TwinLine> TwinLines(const TwinFacts& facts) {
  std::vector<TwinLine> lines;
  if (!facts.rounds.empty()) AddRoundLines(facts, &lines);
  if (facts.end) {
    lines.push_back({"memory of its own", Memory(facts.end->thread), Memory(facts.end->fork)});
    lines.push_back(
        {"when the parent ended", AfterEnd(facts.end->thread), AfterEnd(facts.end->fork)});
  }
  return lines;
}

void PrintTwin(const TwinFacts& facts, bool with_findings, std::ostream& out) {
  out << facts.host << ": " << facts.call << ", round " << facts.rounds.size() << " of "
      << facts.rounds_wanted << ", in parent " << facts.parent << " (pid " << Text(facts.parent_pid)
      << ")";
  if (!facts.cell.empty()) out << ", cell " << facts.cell;
  out << "\n";
  Table table({"WHAT", "AS A THREAD", "AS A FORK"});
  for (const TwinLine& line : TwinLines(facts)) table.Add({line.what, line.thread, line.fork});
  table.Print(out);
  if (!with_findings) return;
  out << "\n";
  for (const TwinFinding& finding : JudgeTwin(facts)) out << finding.sentence << "\n";
}

void PrintTwinJson(const std::vector<TwinFacts>& hosts, std::ostream& out) {
  Json json = {{"hosts", Json::array()}};
  for (const TwinFacts& facts : hosts) json["hosts"].push_back(HostJson(facts));
  out << json.dump(1, ' ', false, Json::error_handler_t::replace) << "\n";
}

}  // namespace brood::cli
