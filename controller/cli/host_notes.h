// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "common/base/error.h"

namespace brood::cli {

// News of single hosts, held until Flush so that all hosts with the same news share one line:
// "node[07,09]: unreachable: Connection refused". A value; no clock.
class HostNotes {
 public:
  // What is said of a host.
  struct News {
    // By itself, with all that is its own: an address, a job. One line or several.
    std::string alone;
    // Of several hosts, with nothing that is one's own; what is equal here is one line.
    std::string together;
  };

  // `print` is given the hosts' names, folded, and the sentence.
  HostNotes(std::vector<std::string> hosts,
            std::function<void(const std::string& hosts, const std::string& sentence)> print)
      : hosts_(std::move(hosts)), print_(std::move(print)) {}

  // Prints what is held first if the same is held of that host already: it is news again.
  void Add(size_t host, News news);
  // Prints all that is held, in the order in which it came.
  void Flush();
  bool empty() const { return groups_.empty(); }

 private:
  struct Group {
    News news;
    std::vector<size_t> hosts;
  };
  const std::vector<std::string> hosts_;
  const std::function<void(const std::string& hosts, const std::string& sentence)> print_;
  std::vector<Group> groups_;
};

// An error of a host as news: "unreachable: …" if its agent was not reached. What it has in common
// with that of other hosts is the message without the agent's address, `target`.
HostNotes::News NewsOf(const Error& error, const std::string& target);

}  // namespace brood::cli
