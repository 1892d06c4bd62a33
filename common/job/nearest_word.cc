// SPDX-License-Identifier: Apache-2.0
#include "common/job/nearest_word.h"

#include <algorithm>

namespace brood {
namespace {

// Damerau's distance in its simple form: no part is changed twice.
size_t Distance(std::string_view one, std::string_view other) {
  std::vector<std::vector<size_t>> rows(one.size() + 1, std::vector<size_t>(other.size() + 1));
  for (size_t i = 0; i <= one.size(); ++i) rows[i][0] = i;
  for (size_t j = 0; j <= other.size(); ++j) rows[0][j] = j;
  for (size_t i = 1; i <= one.size(); ++i) {
    for (size_t j = 1; j <= other.size(); ++j) {
      const size_t replace = rows[i - 1][j - 1] + (one[i - 1] == other[j - 1] ? 0 : 1);
      rows[i][j] = std::min({rows[i - 1][j] + 1, rows[i][j - 1] + 1, replace});
      const bool exchanged =
          i > 1 && j > 1 && one[i - 1] == other[j - 2] && one[i - 2] == other[j - 1];
      if (exchanged) rows[i][j] = std::min(rows[i][j], rows[i - 2][j - 2] + 1);
    }
  }
  return rows[one.size()][other.size()];
}

// Names are short; a longer word is none that was mistyped.
constexpr size_t kWordMax = 64;

}  // namespace

std::string NearestWord(std::string_view word, const std::vector<std::string>& known) {
  std::string nearest;
  if (word.size() > kWordMax) return nearest;
  size_t best = std::max<size_t>(1, word.size() / 3) + 1;
  for (const std::string& one : known) {
    if (one.size() > kWordMax) continue;
    const size_t distance = Distance(word, one);
    if (distance >= best) continue;
    best = distance;
    nearest = one;
  }
  return nearest;
}

}  // namespace brood
