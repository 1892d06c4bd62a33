// SPDX-License-Identifier: Apache-2.0
//
// How the hazards that were seen at a fork stand in the text of its kStarted note: one after the
// other, each {kind, name's size, 2 bytes 0, tid, job key, name}, in machine order.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace brood {

inline constexpr size_t kHazardsMax = 16;  // event.proto
inline constexpr size_t kHazardNameBytesMax = 64;

// The numbers of brood.v1.HazardKind.
enum class HazardKind : uint8_t { kThread = 1, kStream = 2, kMutex = 3 };

struct HazardNote {
  HazardKind kind = HazardKind::kThread;
  std::string name;
  int32_t tid = 0;
  uint64_t job_key = 0;
};

inline std::string ToHazardBytes(const std::vector<HazardNote>& hazards) {
  std::string bytes;
  for (const HazardNote& hazard : hazards) {
    const std::string_view name = std::string_view(hazard.name).substr(0, kHazardNameBytesMax);
    char head[16] = {static_cast<char>(hazard.kind), static_cast<char>(name.size())};
    std::memcpy(head + 4, &hazard.tid, sizeof(hazard.tid));
    std::memcpy(head + 8, &hazard.job_key, sizeof(hazard.job_key));
    bytes.append(head, sizeof(head)).append(name);
  }
  return bytes;
}

// Those that are whole; what is none ends the list.
inline std::vector<HazardNote> FromHazardBytes(std::string_view bytes) {
  std::vector<HazardNote> hazards;
  constexpr size_t kHead = 16;
  while (bytes.size() >= kHead && hazards.size() < kHazardsMax) {
    HazardNote hazard;
    const auto kind = static_cast<uint8_t>(bytes[0]);
    const auto size = static_cast<uint8_t>(bytes[1]);
    if (kind < 1 || kind > 3 || size > kHazardNameBytesMax || bytes.size() < kHead + size) break;
    hazard.kind = static_cast<HazardKind>(kind);
    std::memcpy(&hazard.tid, bytes.data() + 4, sizeof(hazard.tid));
    std::memcpy(&hazard.job_key, bytes.data() + 8, sizeof(hazard.job_key));
    hazard.name = std::string(bytes.substr(kHead, size));
    bytes.remove_prefix(kHead + size);
    hazards.push_back(std::move(hazard));
  }
  return hazards;
}

}  // namespace brood
