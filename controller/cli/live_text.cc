// SPDX-License-Identifier: Apache-2.0
#include "controller/cli/live_text.h"

#include <sys/ioctl.h>

#include <algorithm>
#include <ostream>
#include <vector>

namespace brood::cli {
namespace {

// Of a terminal that does not say.
constexpr size_t kRowsDefault = 24;
constexpr size_t kColumnsDefault = 80;

bool Continues(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) == 0x80; }

// The first `columns` characters of UTF-8.
std::string Cut(const std::string& line, size_t columns) {
  size_t end = 0;
  for (size_t seen = 0; end < line.size(); ++end)
    if (!Continues(line[end]) && seen++ == columns) break;
  return line.substr(0, end);
}

}  // namespace

std::string FitText(const std::string& text, size_t rows, size_t columns) {
  std::vector<std::string> lines;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    lines.push_back(Cut(text.substr(begin, end - begin), columns));
    begin = end + 1;
  }
  std::string fitting;
  for (size_t i = lines.size() - std::min(lines.size(), rows); i < lines.size(); ++i)
    fitting += lines[i] + "\n";
  return fitting;
}

void LiveText::Show(const std::string& text) {
  winsize size{};
  size_t rows = kRowsDefault;
  size_t columns = kColumnsDefault;
  if (::ioctl(fd_, TIOCGWINSZ, &size) == 0 && size.ws_row > 1 && size.ws_col > 1) {
    rows = size.ws_row;
    columns = size.ws_col;
  }
  Clear();
  // The cursor stands below the last line.
  const std::string fitting = FitText(text, rows - 1, columns - 1);
  lines_ = static_cast<int>(std::count(fitting.begin(), fitting.end(), '\n'));
  out_ << fitting << std::flush;
}

void LiveText::Clear() {
  if (lines_ > 0) out_ << "\x1b[" << lines_ << "A\r\x1b[J" << std::flush;
  lines_ = 0;
}

}  // namespace brood::cli
