// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <iosfwd>
#include <string>

namespace brood::cli {

// A text on a terminal that is written over itself. For one thread at a time.
class LiveText {
 public:
  // `fd` is the terminal that `out` writes to.
  LiveText(std::ostream& out, int fd) : out_(out), fd_(fd) {}

  // Shows `text` in the place of the one before: lines that are too wide are cut, and of a
  // text that is too high the last lines are shown.
  void Show(const std::string& text);
  // Takes it away; what is written next begins where it did.
  void Clear();

 private:
  std::ostream& out_;
  const int fd_;
  int lines_ = 0;
};

// The part of `text` that fits: its last `rows` lines, of at most `columns` characters each.
std::string FitText(const std::string& text, size_t rows, size_t columns);

}  // namespace brood::cli
