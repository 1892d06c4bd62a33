// SPDX-License-Identifier: Apache-2.0
#include "controller/client/each_host.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <thread>

namespace brood {

std::vector<Status> EachHost(const std::vector<HostAddress>& hosts,
                             const std::function<Status(size_t index, Connection&)>& ask) {
  std::vector<Status> answers(hosts.size());
  std::atomic<size_t> next{0};
  const auto take = [&] {
    for (size_t i = next++; i < hosts.size(); i = next++) {
      auto connection = Connection::Open(hosts[i]);
      answers[i] = connection ? ask(i, **connection) : Status(connection.error());
    }
  };
  std::vector<std::thread> threads;
  for (size_t i = 1; i < std::min(hosts.size(), kHostsAtOnce); ++i) threads.emplace_back(take);
  take();
  for (std::thread& thread : threads) thread.join();
  return answers;
}

}  // namespace brood
