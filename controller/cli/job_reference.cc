// SPDX-License-Identifier: Apache-2.0
#include "controller/cli/job_reference.h"

#include <algorithm>
#include <set>
#include <utility>

#include "common/job/text.h"
#include "controller/cli/last_run.h"
#include "controller/client/each_host.h"
#include "controller/client/inventory.h"

namespace brood::cli {
namespace {

// A host that is down must not make a look-up wait for long.
constexpr CallOptions kLookUp{std::chrono::seconds(3)};
// Candidates named in a sentence.
constexpr size_t kNamedMax = 5;

struct Query {
  std::string prefix;
  std::string run_id;  // or all jobs of this run
};

Status ListOn(Connection& connection, const Query& query, std::vector<v1::Job>& jobs) {
  v1::ListJobsRequest request;
  request.set_page_size(1000);
  request.set_job_id_prefix(query.prefix);
  request.set_run_id(query.run_id);
  do {
    auto response = connection.ListJobs(request, kLookUp);
    if (!response) return response.error();
    for (v1::Job& job : *response->mutable_jobs()) jobs.push_back(std::move(job));
    request.set_page_token(response->next_page_token());
  } while (!request.page_token().empty());
  return Ok();
}

// What the hosts have; the first error goes to `failed`.
std::vector<FoundJob> Ask(const std::vector<HostAddress>& hosts, const Query& query,
                          Status& failed) {
  std::vector<std::vector<v1::Job>> jobs(hosts.size());
  const auto answers = EachHost(
      hosts, [&](size_t i, Connection& connection) { return ListOn(connection, query, jobs[i]); });
  std::vector<FoundJob> found;
  for (size_t i = 0; i < hosts.size(); ++i) {
    if (answers[i] && !failed) failed = answers[i];
    // The newest is listed first; a run reads better in its own order.
    std::reverse(jobs[i].begin(), jobs[i].end());
    for (v1::Job& job : jobs[i]) found.push_back({hosts[i], std::move(job)});
  }
  return found;
}

std::string RunOf(const v1::Job& job) { return job.spec().run_id(); }

// Which of those found are meant; an error if that is not clear.
Result<std::vector<FoundJob>> Choose(const std::string& word, std::vector<FoundJob> found) {
  std::vector<FoundJob> exact;
  std::set<std::string> ids;
  std::set<std::string> runs;
  bool of_run = true;
  for (const FoundJob& one : found) {
    if (one.job.job_id() == word) exact.push_back(one);
    ids.insert(one.job.job_id());
    runs.insert(RunOf(one.job));
    of_run = of_run && RunOf(one.job).rfind(word, 0) == 0;
  }
  if (!exact.empty()) return exact;
  if (ids.size() == 1 || (runs.size() == 1 && of_run)) return found;
  std::string names;
  for (size_t i = 0; i < std::min(found.size(), kNamedMax); ++i) {
    names += (i > 0 ? ", " : "") + JobName(found[i]);
  }
  return Error{ErrorCode::kInvalidArgument, "AMBIGUOUS_ID",
               "'" + word + "' is the beginning of several jobs' ids (" + names +
                   (found.size() > kNamedMax ? ", …" : "") + "); write more of it",
               "ID"};
}

class JobFinder {
 public:
  JobFinder(const Context& context, std::string set) : context_(context), set_(std::move(set)) {}

  Result<std::vector<FoundJob>> Find(const std::string& word) {
    if (word == "last") return FindLast();
    const size_t slash = word.find('/');
    if (slash != std::string::npos) {
      auto hosts = Named({word.substr(0, slash)});
      if (!hosts) return hosts.error();
      return FindOn(*hosts, word.substr(slash + 1), word);
    }
    if (!set_.empty()) {
      auto hosts = context_.Hosts(set_);
      if (!hosts) return hosts.error();
      return FindOn(*hosts, word, word);
    }
    return FindAnywhere(word);
  }

 private:
  // By name; "local" is the local agent.
  Result<std::vector<HostAddress>> Named(const std::vector<std::string>& names) {
    std::vector<HostAddress> hosts;
    for (const std::string& name : names) {
      if (name == kLocalHostName) {
        auto local = context_.RunningHosts("");
        if (!local) return local.error();
        hosts.push_back(local->front());
        continue;
      }
      auto inventory = Inventory::Load(context_.paths);
      if (!inventory) return inventory.error();
      auto some = inventory->Select(name);
      if (!some) return some.error();
      hosts.insert(hosts.end(), some->begin(), some->end());
    }
    return hosts;
  }

  Result<std::vector<FoundJob>> FindLast() {
    auto last = LoadLastRun(context_.paths.state);
    if (!last) return last.error();
    auto hosts = Named(last->hosts);
    if (!hosts) return hosts.error();
    Status failed;
    auto found = Ask(*hosts, Query{"", last->run_id}, failed);
    if (!found.empty()) return found;
    if (failed) return *failed;
    return NotFound("last", *hosts);
  }

  Result<std::vector<FoundJob>> FindOn(const std::vector<HostAddress>& hosts,
                                       const std::string& prefix, const std::string& word) {
    Status failed;
    auto found = Ask(hosts, Query{prefix, ""}, failed);
    if (prefix.empty() || found.empty()) {
      if (failed) return *failed;
      return NotFound(word, hosts);
    }
    return Choose(prefix, std::move(found));
  }

  Result<std::vector<FoundJob>> FindAnywhere(const std::string& word) {
    std::vector<HostAddress> asked;
    Status failed;
    // The nearest first: most ids that are typed are of the last run.
    for (auto& hosts : {Local(), OfLastRun(), OfInventory()}) {
      std::vector<HostAddress> fresh;
      for (const HostAddress& host : hosts) {
        const bool known = std::any_of(asked.begin(), asked.end(), [&](const HostAddress& other) {
          return other.target == host.target;
        });
        if (!known) fresh.push_back(host);
      }
      asked.insert(asked.end(), fresh.begin(), fresh.end());
      auto found = word.empty() ? std::vector<FoundJob>() : Ask(fresh, Query{word, ""}, failed);
      if (!found.empty()) return Choose(word, std::move(found));
    }
    return NotFound(word, asked);
  }

  std::vector<HostAddress> Local() {
    auto hosts = context_.RunningHosts("");
    return hosts ? *hosts : std::vector<HostAddress>();
  }
  std::vector<HostAddress> OfLastRun() {
    auto last = LoadLastRun(context_.paths.state);
    if (!last) return {};
    auto hosts = Named(last->hosts);
    return hosts ? *hosts : std::vector<HostAddress>();
  }
  std::vector<HostAddress> OfInventory() {
    std::vector<HostAddress> hosts;
    auto inventory = Inventory::Load(context_.paths);
    if (!inventory) return hosts;
    for (const auto& [name, host] : inventory->hosts()) hosts.push_back(host);
    return hosts;
  }

  static Error NotFound(const std::string& word, const std::vector<HostAddress>& asked) {
    std::string names;
    for (size_t i = 0; i < std::min(asked.size(), kNamedMax); ++i) {
      names += (i > 0 ? ", " : " on ") + asked[i].name;
    }
    if (asked.size() > kNamedMax) names += ", …";
    return Error{ErrorCode::kNotFound, "NO_SUCH_JOB",
                 "there is no job " + Quoted(word) + (names.empty() ? ": no agent runs" : names) +
                     "; `brood ps` lists the jobs of a host",
                 "ID"};
  }

  const Context& context_;
  const std::string set_;
};

}  // namespace

std::string JobName(const FoundJob& found) { return found.host.name + "/" + found.job.job_id(); }

Result<std::vector<FoundJob>> FindJobs(const Context& context, const std::string& set,
                                       const std::vector<std::string>& words) {
  JobFinder finder(context, set);
  std::vector<FoundJob> all;
  std::set<std::string> seen;
  for (const std::string& word : words) {
    auto found = finder.Find(word);
    if (!found) return found.error();
    for (FoundJob& one : *found) {
      if (seen.insert(JobName(one)).second) all.push_back(std::move(one));
    }
  }
  return all;
}

void AddJobWords(CLI::App& app, std::vector<std::string>& words, bool required) {
  app.add_option("ID", words, "jobs: HOST/ID, the beginning of an id, a run's id, or last")
      ->required(required);
}

}  // namespace brood::cli
