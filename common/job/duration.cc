// SPDX-License-Identifier: Apache-2.0
#include "common/job/duration.h"

#include <charconv>
#include <cstdio>
#include <map>

namespace brood {
namespace {

constexpr double kTenYearsNanos = 10.0 * 365 * 86'400 * 1e9;

}  // namespace

Result<google::protobuf::Duration> ParseDuration(std::string_view text, const std::string& field) {
  static constexpr struct {
    std::string_view name;
    double nanos;
  } kUnits[] = {{"ns", 1},   {"us", 1e3},   {"ms", 1e6},   {"s", 1e9},
                {"m", 60e9}, {"h", 3600e9}, {"d", 86400e9}};
  double number = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
  const std::string_view unit = text.substr(static_cast<size_t>(end - text.data()));
  double nanos = -1;
  if (error == std::errc() && unit.empty() && number == 0) nanos = 0;
  for (const auto& row : kUnits) {
    if (error == std::errc() && unit == row.name) nanos = number * row.nanos;
  }
  // The last comparison is false for "nan", too.
  if (!(nanos >= 0 && nanos <= kTenYearsNanos)) {
    return FieldError(field,
                      "'" + std::string(text) + "' is no duration; write 300ms, 1.5s, 2m or 1h");
  }
  const auto whole = static_cast<int64_t>(nanos + 0.5);
  google::protobuf::Duration duration;
  duration.set_seconds(whole / 1'000'000'000);
  duration.set_nanos(static_cast<int32_t>(whole % 1'000'000'000));
  return duration;
}

std::string DurationText(int64_t nanoseconds) {
  char text[64];
  const double seconds = static_cast<double>(nanoseconds) / 1e9;
  const int64_t whole = nanoseconds / 1'000'000'000;
  if (seconds < 1) {
    std::snprintf(text, sizeof(text), "%.0f ms", seconds * 1e3);
  } else if (whole < 60) {
    std::snprintf(text, sizeof(text), "%.1f s", seconds);
  } else if (whole < 3600) {
    std::snprintf(text, sizeof(text), "%d min %d s", static_cast<int>(whole / 60),
                  static_cast<int>(whole % 60));
  } else {
    std::snprintf(text, sizeof(text), "%lld h %d min", static_cast<long long>(whole / 3600),
                  static_cast<int>(whole / 60 % 60));
  }
  return text;
}

}  // namespace brood
