// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <cstdio>
#include <initializer_list>
#include <string_view>

namespace brood::simulation {

// What happened in a run, step by step: as one number, by which two runs are compared, and, if it
// is shown, as lines for people.
class Trace {
 public:
  explicit Trace(bool show) : show_(show) {}

  void Say(int64_t now_ns, int32_t pid, std::string_view what,
           std::initializer_list<uint64_t> numbers = {}, std::string_view text = {}) {
    ++steps_;
    Mix(static_cast<uint64_t>(now_ns));
    Mix(static_cast<uint64_t>(pid));
    Mix(what);
    for (const uint64_t number : numbers) Mix(number);
    Mix(text);
    if (!show_) return;
    std::printf("%12.6f %5d %.*s", static_cast<double>(now_ns) / 1e9, pid,
                static_cast<int>(what.size()), what.data());
    for (const uint64_t number : numbers)
      std::printf(" %llu", static_cast<unsigned long long>(number));
    std::printf(" %.*s\n", static_cast<int>(text.size()), text.data());
  }

  uint64_t hash() const { return hash_; }
  uint64_t steps() const { return steps_; }
  bool shown() const { return show_; }

 private:
  // FNV-1a, over words.
  void Mix(uint64_t number) { hash_ = (hash_ ^ number) * 0x100000001b3; }
  void Mix(std::string_view text) {
    for (const char c : text) Mix(static_cast<uint64_t>(static_cast<unsigned char>(c)));
    Mix(text.size());
  }

  const bool show_;
  uint64_t hash_ = 0xcbf29ce484222325;
  uint64_t steps_ = 0;
};

}  // namespace brood::simulation
