// SPDX-License-Identifier: Apache-2.0
#include "controller/cli/host_notes.h"

#include <algorithm>
#include <sstream>
#include <utility>

#include "controller/client/host_fold.h"

namespace brood::cli {
namespace {

void Remove(std::string* text, const std::string& part) {
  for (size_t at = text->find(part); at != std::string::npos; at = text->find(part, at))
    text->erase(at, part.size());
}

// Of the transport's "failed to connect to all addresses; last error: UNKNOWN: ADDRESS: WHY" only
// the last is for people.
std::string WithoutAddress(std::string message, const std::string& target) {
  Remove(&message, "the agent at '" + target + "' cannot be reached: ");
  Remove(&message, "the agent at '" + target + "' ");
  Remove(&message, "failed to connect to all addresses; last error: ");
  Remove(&message, "UNKNOWN: ");
  Remove(&message, "UNAVAILABLE: ");
  for (const char* const family : {"ipv4:", "ipv6:", ""}) Remove(&message, family + target + ": ");
  return message;
}

}  // namespace

void HostNotes::Add(size_t host, News news) {
  auto group = std::find_if(groups_.begin(), groups_.end(), [&news](const Group& one) {
    return one.news.together == news.together;
  });
  if (group != groups_.end() &&
      std::find(group->hosts.begin(), group->hosts.end(), host) != group->hosts.end()) {
    Flush();
    group = groups_.end();
  }
  if (group == groups_.end()) group = groups_.insert(groups_.end(), Group{std::move(news), {}});
  group->hosts.push_back(host);
}

void HostNotes::Flush() {
  for (const Group& group : std::exchange(groups_, {})) {
    std::vector<std::string> names;
    names.reserve(group.hosts.size());
    for (const size_t host : group.hosts) names.push_back(hosts_[host]);
    std::istringstream lines(names.size() > 1 ? group.news.together : group.news.alone);
    for (std::string line; std::getline(lines, line);) print_(FoldHosts(names), line);
  }
}

HostNotes::News NewsOf(const Error& error, const std::string& target) {
  HostNotes::News news{error.message, WithoutAddress(error.message, target)};
  if (error.reason != "UNREACHABLE") return news;
  return {"unreachable: " + news.alone, "unreachable: " + news.together};
}

}  // namespace brood::cli
