// SPDX-License-Identifier: Apache-2.0
#include "agent/spool/spool_settings.h"

#include <array>
#include <cstdio>
#include <string_view>

namespace brood {
namespace {

constexpr std::array<std::string_view, 2> kTargets = {"pipe", "file"};
constexpr std::array<std::string_view, 3> kOverflows = {"drop", "ring", "end"};

// The words' index; nothing if it is none of them.
template <size_t kCount>
std::optional<uint8_t> Index(const std::array<std::string_view, kCount>& words,
                             std::string_view word) {
  for (uint8_t i = 0; i < kCount; ++i) {
    if (words[i] == word) return i;
  }
  return std::nullopt;
}

}  // namespace

std::string ToText(const SpoolSettings& settings) {
  return std::string(kTargets[static_cast<size_t>(settings.target)]) + " " +
         std::string(kOverflows[static_cast<size_t>(settings.overflow)]) + " " +
         std::to_string(settings.stream_bytes_max) + "\n";
}

std::optional<SpoolSettings> ParseSpoolSettings(const std::string& text) {
  char target[8];
  char overflow[8];
  unsigned long long most = 0;
  // With its line's end: else it was cut.
  char end = 0;
  if (std::sscanf(text.c_str(), "%7s %7s %llu%c", target, overflow, &most, &end) != 4 ||
      end != '\n' || most == 0) {
    return std::nullopt;
  }
  const std::optional<uint8_t> to = Index(kTargets, target);
  const std::optional<uint8_t> over = Index(kOverflows, overflow);
  if (!to || !over) return std::nullopt;
  return SpoolSettings{static_cast<SpoolSettings::Target>(*to),
                       static_cast<SpoolSettings::Overflow>(*over), most};
}

void SettingsBook::Set(uint64_t job_key, const SpoolSettings& settings) {
  const std::lock_guard lock(mutex_);
  pages_[job_key].settings = settings;
}

std::optional<SpoolSettings> SettingsBook::Find(uint64_t job_key) const {
  const std::lock_guard lock(mutex_);
  const auto found = pages_.find(job_key);
  return found == pages_.end() ? std::nullopt : std::optional(found->second.settings);
}

void SettingsBook::Forget(uint64_t job_key) {
  const std::lock_guard lock(mutex_);
  pages_.erase(job_key);
}

void SettingsBook::SetEnds(uint64_t job_key, uint64_t stdout_bytes, uint64_t stderr_bytes) {
  const std::lock_guard lock(mutex_);
  const auto found = pages_.find(job_key);
  if (found == pages_.end()) return;
  found->second.ends[0] = stdout_bytes;
  found->second.ends[1] = stderr_bytes;
}

uint64_t SettingsBook::End(uint64_t job_key, size_t stream) const {
  const std::lock_guard lock(mutex_);
  const auto found = pages_.find(job_key);
  return found == pages_.end() ? UINT64_MAX : found->second.ends[stream];
}

}  // namespace brood
