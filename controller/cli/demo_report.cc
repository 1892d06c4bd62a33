// SPDX-License-Identifier: Apache-2.0
#include "controller/cli/demo_report.h"

#include <ostream>

#include "common/job/exit_code.h"
#include "controller/cli/table.h"

namespace brood::cli {
namespace {

std::string Number(const std::optional<int64_t>& number) {
  return number ? std::to_string(*number) : "unknown";
}

// A call that gave no number has a reason, and that is what the cell shows.
std::string Answer(const RanJob& ran) {
  const std::optional<int64_t> count = CountOf(ran);
  return count ? std::to_string(*count) : OutcomeSentence(ran.job);
}

std::vector<std::string> Ids(const v1::Job& job) {
  return {job.has_pid() ? std::to_string(job.pid()) : "unknown",
          job.has_tid() ? std::to_string(job.tid()) : "unknown",
          job.has_ppid() ? std::to_string(job.ppid()) : "unknown"};
}

void AddRow(Table& table, std::vector<std::string> first, const std::vector<std::string>& ids,
            const std::vector<std::string>& last) {
  first.insert(first.end(), ids.begin(), ids.end());
  first.insert(first.end(), last.begin(), last.end());
  table.Add(std::move(first));
}

void PrintWords(const std::vector<DemoFacts>& hosts, const std::string& text, std::ostream& out) {
  out << "\n1. One piece of work, three ways: count the words of " << text << "\n\n";
  Table table({"HOST", "RUN AS", "PID", "TID", "PPID", "WORDS"});
  for (size_t column = 2; column < 6; ++column) table.AlignRight(column);
  for (const DemoFacts& facts : hosts) {
    AddRow(table, {facts.host, "the parent itself"},
           {std::to_string(facts.after_thread.pid), std::to_string(facts.after_thread.pid), ""},
           {""});
    AddRow(table, {facts.host, "program wc -w"}, Ids(facts.wc.job), {Answer(facts.wc)});
    AddRow(table, {facts.host, "fork of the parent"}, Ids(facts.words_fork.job),
           {Answer(facts.words_fork)});
    AddRow(table, {facts.host, "thread of the parent"}, Ids(facts.words_thread.job),
           {Answer(facts.words_thread)});
  }
  table.Print(out);
}

void PrintCell(const std::vector<DemoFacts>& hosts, std::ostream& out) {
  out << "\n2. One cell of the parent's memory: a thread adds " << kThreadAdds
      << ", then a fork adds " << kForkAdds << "\n\n";
  Table table({"HOST", "WRITER", "PID", "TID", "PPID", "ADDS", "HOLDS THEN", "PARENT HOLDS THEN"});
  for (size_t column = 2; column < 8; ++column) table.AlignRight(column);
  for (const DemoFacts& facts : hosts) {
    AddRow(
        table, {facts.host, "thread"}, Ids(facts.add_thread.job),
        {std::to_string(kThreadAdds), Answer(facts.add_thread), Number(facts.after_thread.value)});
    AddRow(table, {facts.host, "fork"}, Ids(facts.add_fork.job),
           {std::to_string(kForkAdds), Answer(facts.add_fork), Number(facts.after_fork.value)});
  }
  table.Print(out);
}

}  // namespace

bool PrintDemo(const std::vector<DemoFacts>& hosts, const std::string& text, std::ostream& out) {
  PrintWords(hosts, text, out);
  PrintCell(hosts, out);
  out << "\n3. What that shows, on each of the " << hosts.size() << " hosts\n\n";
  bool all = true;
  for (const Finding& finding : Judge(hosts)) {
    out << (finding.held ? "  seen      " : "  NOT SEEN  ") << finding.sentence << "\n";
    all = all && finding.held;
  }
  return all;
}

void PrintDemoEnd(const std::string& program_directory, std::ostream& out) {
  out << "\nAgents, supervisors, parents and jobs have ended; no process is left.\n"
         "\nTry next:\n"
         "  export PATH="
      << program_directory
      << ":$PATH\n"
         "  brood run -- hostname                                a program, on this machine\n"
         "  brood run --mode thread --call demo.add score 5      a call, as a thread\n"
         "  brood run --mode fork --call demo.add score 100      the same call, as a fork\n"
         "  brood cells                                          what the parent holds\n"
         "  brood lab up -n 3                                    three hosts to play with\n"
         "  brood run -w @lab -- hostname                        a program, on all of them\n"
         "  brood tree -w @lab                                   who is whose parent\n"
         "  brood lab down\n";
}

}  // namespace brood::cli
