// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace brood::cli {

// How the output of one job's stream is shown.
struct LineStyle {
  // Lines are kept whole; else bytes pass as they come.
  bool lines = false;
  // Put before each line, e.g. "host1: "; empty for none.
  std::string label;
  // What a terminal would obey is made visible. Only for labelled lines on a terminal.
  bool visible = false;
};

// Turns one stream's bytes into what is printed. A value; no clock, no descriptor.
class LineOutput {
 public:
  // A longer line is given out in parts, each a line of its own: a bound on memory.
  static constexpr size_t kLineBytesMax = 1 << 20;

  explicit LineOutput(LineStyle style) : style_(std::move(style)) {}

  // The next bytes; returns what can be printed now.
  std::string Add(std::string_view bytes);
  // The stream is over; returns a last line that had no end. With a label it gets one,
  // so that the next label starts a line.
  std::string Finish();

 private:
  void AppendLine(std::string_view line, std::string& out) const;

  const LineStyle style_;
  std::string partial_;
};

}  // namespace brood::cli
