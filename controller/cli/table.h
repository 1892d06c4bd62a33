// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

namespace brood::cli {

// Rows in aligned columns, two spaces apart, under a head in capitals; no blanks
// at the end of a line. Bytes that would move a terminal's cursor are made
// visible (visible.h); widths count UTF-8 characters. An empty cell is shown as "-".
class Table {
 public:
  // Column heads; written as given, in capitals by custom.
  explicit Table(std::vector<std::string> heads);

  // One cell per head; missing ones are empty.
  void Add(std::vector<std::string> cells);
  // The column's cells are put to the right: for numbers.
  void AlignRight(size_t column);
  bool empty() const { return rows_.empty(); }

  // Prints head and rows.
  void Print(std::ostream& out) const;

 private:
  std::vector<std::string> heads_;
  std::vector<bool> right_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace brood::cli
