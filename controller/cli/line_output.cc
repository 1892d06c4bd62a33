// SPDX-License-Identifier: Apache-2.0
#include "controller/cli/line_output.h"

#include <utility>

#include "controller/cli/visible.h"

namespace brood::cli {

void LineOutput::AppendLine(std::string_view line, std::string& out) const {
  out += style_.label;
  if (style_.visible) {
    out += Visible(line);
  } else {
    out += line;
  }
}

std::string LineOutput::Add(std::string_view bytes) {
  if (!style_.lines) return std::string(bytes);
  std::string out;
  while (!bytes.empty()) {
    const size_t end = bytes.find('\n');
    const size_t room = kLineBytesMax - partial_.size();
    const size_t size = end == std::string_view::npos ? bytes.size() : end;
    partial_ += bytes.substr(0, std::min(size, room));
    if (size > room) {
      // Too long: cut here, and go on with the rest as if it were another line.
      bytes.remove_prefix(room);
    } else if (end == std::string_view::npos) {
      break;
    } else {
      bytes.remove_prefix(end + 1);
    }
    AppendLine(partial_, out);
    out += '\n';
    partial_.clear();
  }
  return out;
}

std::string LineOutput::Finish() {
  std::string out;
  if (partial_.empty()) return out;
  AppendLine(partial_, out);
  if (!style_.label.empty()) out += '\n';
  partial_.clear();
  return out;
}

}  // namespace brood::cli
