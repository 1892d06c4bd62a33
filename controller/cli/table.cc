// SPDX-License-Identifier: Apache-2.0
#include "controller/cli/table.h"

#include <algorithm>
#include <ostream>
#include <utility>

#include "controller/cli/visible.h"

namespace brood::cli {
namespace {

// Characters, not bytes: every byte that does not continue a UTF-8 character.
size_t Width(const std::string& text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }));
}

}  // namespace

Table::Table(std::vector<std::string> heads)
    : heads_(std::move(heads)), right_(heads_.size(), false) {}

void Table::Add(std::vector<std::string> cells) {
  cells.resize(heads_.size());
  for (std::string& cell : cells) cell = cell.empty() ? "-" : Visible(cell);
  rows_.push_back(std::move(cells));
}

void Table::AlignRight(size_t column) { right_[column] = true; }

void Table::Print(std::ostream& out) const {
  std::vector<size_t> widths;
  for (const std::string& head : heads_) widths.push_back(Width(head));
  for (const auto& row : rows_) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], Width(row[i]));
  }
  const auto print = [&](const std::vector<std::string>& row) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      const std::string blanks(widths[i] - Width(row[i]), ' ');
      line += i > 0 ? "  " : "";
      line += right_[i] ? blanks + row[i] : row[i] + blanks;
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out << line << '\n';
  };
  print(heads_);
  for (const auto& row : rows_) print(row);
}

}  // namespace brood::cli
