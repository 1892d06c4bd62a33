// SPDX-License-Identifier: Apache-2.0
#include "controller/cli/each_feed.h"

#include <algorithm>

namespace brood::cli {

EachFeed::EachFeed(size_t hosts, std::function<void(size_t host, EachLine line)> submit)
    : submit_(std::move(submit)), hosts_(hosts) {}

void EachFeed::SetSlots(size_t host, size_t slots) {
  hosts_[host].window_max = slots + kAhead;
  hosts_[host].window = std::max(hosts_[host].window, slots + kAhead);
}

EachFeed::Host* EachFeed::Freest() {
  Host* freest = nullptr;
  for (Host& host : hosts_) {
    if (host.ended || host.under_way >= host.window) continue;
    if (freest == nullptr || host.under_way < freest->under_way) freest = &host;
  }
  return freest;
}

Status EachFeed::Fill() {
  while (!stopped_) {
    Host* const host = Freest();
    if (host == nullptr) return Ok();
    EachLine line;
    if (!again_.empty()) {
      line = std::move(again_.front());
      again_.pop_front();
    } else {
      if (no_more_) return Ok();
      const LineSource::Got got = source_->Next(&line.text);
      if (got == LineSource::Got::kLater) return Ok();
      if (got != LineSource::Got::kLine) {
        no_more_ = true;
        if (got == LineSource::Got::kError) return source_->error();
        return Ok();
      }
      line.number = ++lines_;
    }
    ++host->under_way;
    ++host->unanswered;
    submit_(static_cast<size_t>(host - hosts_.data()), std::move(line));
  }
  return Ok();
}

void EachFeed::OnQueueFull(size_t host, EachLine line) {
  --hosts_[host].unanswered;
  --hosts_[host].under_way;
  // Others fill its queue, too: take less, and grow again with every job that ends.
  hosts_[host].window = std::max<size_t>(hosts_[host].under_way, 1);
  if (!stopped_) again_.push_back(std::move(line));
}

void EachFeed::OnJobEnd(size_t host) {
  Host& at = hosts_[host];
  --at.under_way;
  at.window = std::min(at.window + 1, std::max(at.window, at.window_max));
}

void EachFeed::OnHostEnd(size_t host) {
  hosts_[host].ended = true;
  hosts_[host].unanswered = 0;
}

bool EachFeed::Done() const {
  return no_more_ && again_.empty() &&
         std::all_of(hosts_.begin(), hosts_.end(),
                     [](const Host& host) { return host.unanswered == 0; });
}

void EachFeed::Stop() {
  stopped_ = true;
  no_more_ = true;
  again_.clear();
}

}  // namespace brood::cli
