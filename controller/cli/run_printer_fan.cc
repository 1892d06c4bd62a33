// SPDX-License-Identifier: Apache-2.0
//
// What `brood run` prints of many hosts together: gathered output, differences, one JSON array.
#include <utility>

#include "controller/cli/run_json.h"
#include "controller/cli/run_printer.h"
#include "controller/cli/unified_diff.h"
#include "controller/cli/visible.h"
#include "controller/client/host_fold.h"

namespace brood::cli {
namespace {

using Group = GatheredOutput::Group;

// As of dshbak and clush.
constexpr char kRule[] = "---------------\n";

std::string CutSentence(bool standard_out) {
  const std::string stream = standard_out ? "stdout" : "stderr";
  return "more " + stream + " than --gather keeps, " +
         std::to_string(GatheredOutput::kHostBytesMax >> 20) + " MiB of a host and " +
         std::to_string(GatheredOutput::kTotalBytesMax >> 20) + " MiB of all: its end is not shown";
}

const char* Mark(Group::State state) {
  switch (state) {
    case Group::State::kCut:
      return " (its end is left out)";
    case Group::State::kIncomplete:
      return " (not all of it)";
    default:
      return "";
  }
}

}  // namespace

std::string RunPrinter::Folded(const std::vector<size_t>& hosts) const {
  std::vector<std::string> names;
  names.reserve(hosts.size());
  for (const size_t host : hosts) names.push_back(hosts_[host]);
  return FoldHosts(names);
}

void RunPrinter::Gathered(size_t host, bool standard_out, std::string_view bytes) {
  if (!(standard_out ? gathered_out_ : gathered_err_).Add(host, bytes)) return;
  std::string sentence = CutSentence(standard_out);
  if (!files_) {
    lost_output_ = true;
    sentence += "; --outdir DIR has all";
  }
  HoldNote(host, {sentence, sentence});
}

void RunPrinter::PrintGathered(bool standard_out) {
  const bool is_terminal = standard_out ? context_.out_is_terminal : context_.err_is_terminal;
  for (const Group& group : (standard_out ? gathered_out_ : gathered_err_).Groups()) {
    if (group.text.empty()) continue;
    Print(standard_out ? context_.out_fd : context_.err_fd,
          kRule + Folded(group.hosts) + Mark(group.state) + "\n" + kRule +
              (is_terminal ? Visible(group.text, true) : group.text));
  }
}

void RunPrinter::PrintDifferences() {
  const std::vector<Group> groups = gathered_out_.Groups();
  const Group* most = nullptr;
  std::vector<size_t> partly;
  for (const Group& group : groups) {
    if (group.state != Group::State::kWhole) {
      partly.insert(partly.end(), group.hosts.begin(), group.hosts.end());
    } else if (most == nullptr) {
      most = &group;
    }
  }
  const auto name = [this](const Group& group) {
    const size_t count = group.hosts.size();
    return Folded(group.hosts) + (count > 1 ? " (" + std::to_string(count) + ")" : "");
  };
  bool differ = false;
  for (const Group& group : groups) {
    if (&group == most || group.state != Group::State::kWhole) continue;
    differ = true;
    const std::string difference = UnifiedDiff(most->text, group.text);
    Print(context_.out_fd, "--- " + name(*most) + "\n+++ " + name(group) + "\n" +
                               (context_.out_is_terminal ? Visible(difference, true) : difference));
  }
  // No output could also mean that nothing was compared.
  if (most != nullptr && !differ) {
    Note(Folded(most->hosts) +
         (most->hosts.size() > 1 ? ": no difference" : ": nothing to compare it with"));
  }
  if (!partly.empty())
    Note(Folded(partly) + ": not all of its output is known; it is not compared");
}

// Elements of an array, written as they come: it never is in memory as a whole.
void RunPrinter::PrintJson(std::string json) {
  if (many_) {
    json.insert(0, json_jobs_ == 0 ? "[\n" : ",\n");
  } else {
    json += "\n";
  }
  ++json_jobs_;
  Print(context_.out_fd, std::move(json));
}

void RunPrinter::JobLost(const RunJob& job, const Error& why) {
  if (options_.format != OutputFormat::kJson) return;
  v1::Job known = job.job;
  if (known.host().empty()) known.set_host(hosts_[job.host]);
  PrintJson(JobJson(known, &why));
}

void RunPrinter::HostFailed(size_t host, bool reached, const Error& why) {
  if (options_.format == OutputFormat::kJson) PrintJson(HostJson(hosts_[host], reached, why));
}

}  // namespace brood::cli
