// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/base/error.h"
#include "controller/cli/line_source.h"

namespace brood::cli {

// One line of --each: the job's number, from 1, and its text.
struct EachLine {
  uint64_t number = 0;
  std::string text;
};

// Deals the lines of --each out to hosts: always to the one with the fewest jobs under
// way, and never more to one than its window holds, so that memory is bounded and every
// slot has work. Decides only; `submit` does it. For the loop's thread.
class EachFeed {
 public:
  // Before a host has said how many slots it has: few, so that a short list is spread.
  static constexpr size_t kFirstWindow = 8;
  // Jobs beyond the slots of a host: the next ones are there before a slot is free.
  static constexpr size_t kAhead = 64;

  EachFeed(size_t hosts, std::function<void(size_t host, EachLine line)> submit);

  // Where lines come from; Fill is to be called when it has more.
  void SetSource(std::unique_ptr<LineSource> source) { source_ = std::move(source); }
  void SetSlots(size_t host, size_t slots);

  // Deals out what can be dealt out now. An error of the source ends the feed.
  Status Fill();

  // The host has taken the job, or refused it for good.
  void OnAnswered(size_t host) { --hosts_[host].unanswered; }
  // The host's queue was full: the line is dealt out again.
  void OnQueueFull(size_t host, EachLine line);
  // A job has ended, or was refused.
  void OnJobEnd(size_t host);
  // No more for this host; what it had under way is not dealt out again.
  void OnHostEnd(size_t host);

  // No more lines at all.
  void Stop();
  // All lines were dealt out and answered: the hosts' calls may be closed.
  bool Done() const;
  // Lines that nobody ran are left: no host was there for them.
  bool LinesLeft() const { return !stopped_ && !(no_more_ && again_.empty()); }

 private:
  struct Host {
    size_t under_way = 0;
    size_t unanswered = 0;
    size_t window = kFirstWindow;
    size_t window_max = kFirstWindow;
    bool ended = false;
  };
  Host* Freest();

  const std::function<void(size_t host, EachLine line)> submit_;
  std::unique_ptr<LineSource> source_;
  std::vector<Host> hosts_;
  std::deque<EachLine> again_;
  uint64_t lines_ = 0;
  bool no_more_ = false;
  bool stopped_ = false;
};

}  // namespace brood::cli
