// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace brood {

// The life of a journal's cursors. A loss of power may take the newest events, and later ones then
// get their cursors: a new epoch, which begins behind the last event that was kept.
class Epochs {
 public:
  struct Begin {
    uint64_t epoch = 0;
    uint64_t after = 0;  // the last cursor that was kept
  };
  // Boots and torn ends of which it is remembered; a token of an earlier epoch is not gone on with.
  static constexpr size_t kBeginsMax = 32;

  // From 1; 0 before the first.
  uint64_t present() const { return present_; }
  // The newest last.
  const std::vector<Begin>& begins() const { return begins_; }

  void BeginAfter(uint64_t cursor) { Restore({++present_, cursor}); }
  // In their order, from where they were kept.
  void Restore(Begin begin) {
    present_ = std::max(present_, begin.epoch);
    begins_.push_back(begin);
    if (begins_.size() > kBeginsMax) begins_.erase(begins_.begin());
  }
  void set_present(uint64_t epoch) { present_ = epoch; }

  // The last cursor that names now what it named in that epoch; `head` is the newest. 0: none, or
  // it is no longer known.
  uint64_t KeptOf(uint64_t epoch, uint64_t head) const {
    if (epoch > present_) return 0;
    uint64_t next = present_;
    for (auto begin = begins_.rbegin(); next > epoch; ++begin, --next) {
      if (begin == begins_.rend() || begin->epoch != next) return 0;
      head = std::min(head, begin->after);
    }
    return head;
  }

 private:
  uint64_t present_ = 0;
  std::vector<Begin> begins_;
};

}  // namespace brood
