// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace brood::cli {

// What many hosts wrote to one stream, each kept once however many wrote the same. A value; no
// clock, no descriptor.
class GatheredOutput {
 public:
  // Of one host: more is not read by anybody at the end of a run, and belongs into files
  // (--outdir).
  static constexpr size_t kHostBytesMax = 1 << 20;
  // Of all hosts together, what is equal once: as much as an agent keeps of one stream.
  static constexpr size_t kTotalBytesMax = 64 << 20;

  explicit GatheredOutput(size_t hosts, size_t host_bytes_max = kHostBytesMax,
                          size_t total_bytes_max = kTotalBytesMax)
      : host_bytes_max_(host_bytes_max), total_bytes_max_(total_bytes_max), hosts_(hosts) {}

  // The next bytes of a host. True if a limit is reached by them, the first time for that host:
  // the rest of its output is left out.
  bool Add(size_t host, std::string_view bytes);
  // The host has sent all of it.
  void Complete(size_t host);

  // Hosts with the same output, in order.
  struct Group {
    enum class State {
      kWhole,
      kCut,         // a limit was reached: what is left of it is equal to nothing
      kIncomplete,  // the host was lost, or the run broken off, before it had sent all
    };
    State state = State::kWhole;
    // Ends with a line feed, unless it is empty: with or without one, a last line is the same.
    std::string text;
    std::vector<size_t> hosts;
  };
  // The largest first, then by their first host. A host that has sent nothing and is not complete
  // is in none.
  std::vector<Group> Groups() const;

 private:
  struct Host {
    std::string bytes;
    bool cut = false;
    bool complete = false;  // `bytes` is in whole_, unless it is cut
  };
  static std::string WithLineEnd(std::string bytes);

  const size_t host_bytes_max_;
  const size_t total_bytes_max_;
  size_t total_bytes_ = 0;
  std::vector<Host> hosts_;
  std::unordered_map<std::string, std::vector<size_t>> whole_;
};

}  // namespace brood::cli
