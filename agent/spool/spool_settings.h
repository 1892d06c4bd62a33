// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

#include "common/base/error.h"

namespace brood {

// How the output of one job is kept, where it is not as that of all others.
struct SpoolSettings {
  enum class Target : uint8_t { kPipe = 0, kFile = 1 };
  enum class Overflow : uint8_t { kDrop = 0, kRing = 1, kEnd = 2 };
  Target target = Target::kPipe;
  Overflow overflow = Overflow::kDrop;
  uint64_t stream_bytes_max = 0;  // not 0

  bool operator==(const SpoolSettings&) const = default;
  bool is_file() const { return target == Target::kFile; }
  bool is_ring() const { return overflow == Overflow::kRing; }
  // Of a stream that has come to `end`: the first byte kept, and behind the last one.
  uint64_t FirstKept(uint64_t end) const {
    return is_ring() && end > stream_bytes_max ? end - stream_bytes_max : 0;
  }
  uint64_t LastKept(uint64_t end) const {
    return is_ring() || end < stream_bytes_max ? end : stream_bytes_max;
  }
};

// As they stand on disk, and back; nothing if the text is none.
std::string ToText(const SpoolSettings& settings);
std::optional<SpoolSettings> ParseSpoolSettings(const std::string& text);

// The settings of those jobs that have any: few, so all are in memory. Thread-safe.
class SettingsBook {
 public:
  void Set(uint64_t job_key, const SpoolSettings& settings);
  std::optional<SpoolSettings> Find(uint64_t job_key) const;
  void Forget(uint64_t job_key);

  // A file that a job wrote itself was closed here: what comes behind is nobody's output.
  void SetEnds(uint64_t job_key, uint64_t stdout_bytes, uint64_t stderr_bytes);
  // Where the stream ends if it is closed; UINT64_MAX before.
  uint64_t End(uint64_t job_key, size_t stream) const;

 private:
  struct Page {
    SpoolSettings settings;
    uint64_t ends[2] = {UINT64_MAX, UINT64_MAX};
  };
  mutable std::mutex mutex_;
  std::unordered_map<uint64_t, Page> pages_;  // guarded by mutex_
};

}  // namespace brood
