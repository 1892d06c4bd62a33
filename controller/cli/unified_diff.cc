// SPDX-License-Identifier: Apache-2.0
#include "controller/cli/unified_diff.h"

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

namespace brood::cli {
namespace {

// Lines around a change that are shown too.
constexpr size_t kContext = 3;

using Lines = std::vector<std::string_view>;

Lines LinesOf(std::string_view text) {
  Lines lines;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size() - 1) + 1;
    lines.push_back(text.substr(0, end));
    text.remove_prefix(end);
  }
  return lines;
}

// Diagonals may be negative; places are not.
size_t Place(int at) { return static_cast<size_t>(at); }

// ' ' common, '-' of the first only, '+' of the second only.
struct Edit {
  char kind;
  std::string_view line;
};

// Myers, "An O(ND) Difference Algorithm and Its Variations" (1986): the furthest that each
// diagonal comes with d changes, for d = 0, 1, …; kept for each d, to find the way back. Empty if
// more than kDiffChangesMax changes are needed.
std::vector<std::vector<int>> Furthest(const Lines& a, const Lines& b) {
  const int n = static_cast<int>(a.size());
  const int m = static_cast<int>(b.size());
  const int most = static_cast<int>(std::min(a.size() + b.size(), kDiffChangesMax));
  std::vector<std::vector<int>> rounds;
  for (int d = 0; d <= most; ++d) {
    // Of diagonal k at [k + d].
    std::vector<int> now(Place(2 * d + 1), 0);
    for (int k = -d; k <= d; k += 2) {
      int x = 0;
      if (d > 0) {
        const std::vector<int>& before = rounds.back();
        const auto at = [&](int diagonal) { return before[Place(diagonal + d - 1)]; };
        const bool down = k == -d || (k != d && at(k - 1) < at(k + 1));
        x = down ? at(k + 1) : at(k - 1) + 1;
      }
      while (x < n && x - k < m && a[Place(x)] == b[Place(x - k)]) ++x;
      now[Place(k + d)] = x;
      if (x >= n && x - k >= m) {
        rounds.push_back(std::move(now));
        return rounds;
      }
    }
    rounds.push_back(std::move(now));
  }
  return {};
}

std::vector<Edit> Edits(const Lines& a, const Lines& b) {
  std::vector<Edit> edits;
  const std::vector<std::vector<int>> rounds = Furthest(a, b);
  if (rounds.empty()) {
    for (const std::string_view line : a) edits.push_back({'-', line});
    for (const std::string_view line : b) edits.push_back({'+', line});
    return edits;
  }
  // The way back from the end.
  int x = static_cast<int>(a.size());
  int y = static_cast<int>(b.size());
  for (int d = static_cast<int>(rounds.size()) - 1; d >= 0; --d) {
    const int k = x - y;
    int from_x = 0;
    int from_y = 0;
    bool down = false;
    if (d > 0) {
      const std::vector<int>& before = rounds[Place(d - 1)];
      const auto at = [&](int diagonal) { return before[Place(diagonal + d - 1)]; };
      down = k == -d || (k != d && at(k - 1) < at(k + 1));
      from_x = down ? at(k + 1) : at(k - 1);
      from_y = from_x - (down ? k + 1 : k - 1);
    }
    while (x > from_x && y > from_y) {
      edits.push_back({' ', a[Place(--x)]});
      --y;
    }
    if (d == 0) break;
    if (down) {
      edits.push_back({'+', b[Place(--y)]});
    } else {
      edits.push_back({'-', a[Place(--x)]});
    }
  }
  std::reverse(edits.begin(), edits.end());
  return edits;
}

std::string Range(size_t before, size_t count) {
  // As diff(1): an empty range names the line before it, a single line has no count.
  if (count == 1) return std::to_string(before + 1);
  return std::to_string(count == 0 ? before : before + 1) + "," + std::to_string(count);
}

}  // namespace

std::string UnifiedDiff(std::string_view from, std::string_view to) {
  Lines a = LinesOf(from);
  Lines b = LinesOf(to);
  // What both begin and end with needs no search.
  const size_t shorter = std::min(a.size(), b.size());
  size_t head = 0;
  while (head < shorter && a[head] == b[head]) ++head;
  size_t tail = 0;
  while (tail < shorter - head && a[a.size() - 1 - tail] == b[b.size() - 1 - tail]) ++tail;
  std::vector<Edit> edits;
  for (size_t i = 0; i < head; ++i) edits.push_back({' ', a[i]});
  const auto middle = [head, tail](const Lines& lines) {
    return Lines(lines.begin() + static_cast<int64_t>(head),
                 lines.end() - static_cast<int64_t>(tail));
  };
  for (const Edit& edit : Edits(middle(a), middle(b))) edits.push_back(edit);
  for (size_t i = a.size() - tail; i < a.size(); ++i) edits.push_back({' ', a[i]});

  std::string text;
  size_t line_a = 0;  // lines of each before edits[at]
  size_t line_b = 0;
  for (size_t at = 0; at < edits.size();) {
    const auto is_change = [](const Edit& edit) { return edit.kind != ' '; };
    const auto rest = edits.begin() + static_cast<int64_t>(at);
    const size_t change =
        static_cast<size_t>(std::find_if(rest, edits.end(), is_change) - edits.begin());
    if (change == edits.size()) break;
    const size_t first = std::max(at, change - std::min(change, kContext));
    line_a += first - at;
    line_b += first - at;
    // Changes with at most twice the context between them are one hunk.
    size_t last = change;
    for (size_t i = change; i < edits.size() && i <= last + 2 * kContext + 1; ++i)
      if (is_change(edits[i])) last = i;
    const size_t end = std::min(edits.size(), last + 1 + kContext);
    size_t count_a = 0;
    size_t count_b = 0;
    std::string lines;
    for (size_t i = first; i < end; ++i) {
      count_a += edits[i].kind != '+' ? 1 : 0;
      count_b += edits[i].kind != '-' ? 1 : 0;
      lines += edits[i].kind;
      lines += edits[i].line;
    }
    text += "@@ -" + Range(line_a, count_a) + " +" + Range(line_b, count_b) + " @@\n" + lines;
    line_a += count_a;
    line_b += count_b;
    at = end;
  }
  return text;
}

}  // namespace brood::cli
