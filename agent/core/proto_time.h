// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "google/protobuf/duration.pb.h"
#include "google/protobuf/timestamp.pb.h"

namespace brood {

inline constexpr int64_t kNanosPerSecond = 1'000'000'000;

inline void SetDuration(int64_t ns, google::protobuf::Duration* out) {
  out->set_seconds(ns / kNanosPerSecond);
  out->set_nanos(static_cast<int32_t>(ns % kNanosPerSecond));
}

inline int64_t DurationNanos(const google::protobuf::Duration& duration) {
  return duration.seconds() * kNanosPerSecond + duration.nanos();
}

inline void SetTimestamp(int64_t ns, google::protobuf::Timestamp* out) {
  out->set_seconds(ns / kNanosPerSecond);
  out->set_nanos(static_cast<int32_t>(ns % kNanosPerSecond));
}

}  // namespace brood
