// SPDX-License-Identifier: Apache-2.0
#include "controller/cli/gathered_output.h"

#include <algorithm>
#include <utility>

namespace brood::cli {

std::string GatheredOutput::WithLineEnd(std::string bytes) {
  if (!bytes.empty() && bytes.back() != '\n') bytes += '\n';
  return bytes;
}

bool GatheredOutput::Add(size_t host, std::string_view bytes) {
  Host& one = hosts_[host];
  if (one.cut) return false;
  const size_t room = std::min(host_bytes_max_ - one.bytes.size(), total_bytes_max_ - total_bytes_);
  const size_t taken = std::min(room, bytes.size());
  one.bytes += bytes.substr(0, taken);
  total_bytes_ += taken;
  one.cut = taken < bytes.size();
  return one.cut;
}

void GatheredOutput::Complete(size_t host) {
  Host& one = hosts_[host];
  if (std::exchange(one.complete, true) || one.cut) return;
  const size_t size = one.bytes.size();
  std::vector<size_t>& same = whole_[WithLineEnd(std::exchange(one.bytes, {}))];
  if (!same.empty()) total_bytes_ -= size;
  same.push_back(host);
}

std::vector<GatheredOutput::Group> GatheredOutput::Groups() const {
  std::vector<Group> groups;
  for (const auto& [text, hosts] : whole_) {
    groups.push_back({Group::State::kWhole, text, hosts});
    std::sort(groups.back().hosts.begin(), groups.back().hosts.end());
  }
  for (size_t i = 0; i < hosts_.size(); ++i) {
    const Host& host = hosts_[i];
    if (host.bytes.empty() || (host.complete && !host.cut)) continue;
    groups.push_back(
        {host.cut ? Group::State::kCut : Group::State::kIncomplete, WithLineEnd(host.bytes), {i}});
  }
  std::sort(groups.begin(), groups.end(), [](const Group& a, const Group& b) {
    if (a.hosts.size() != b.hosts.size()) return a.hosts.size() > b.hosts.size();
    return a.hosts.front() < b.hosts.front();
  });
  return groups;
}

}  // namespace brood::cli
