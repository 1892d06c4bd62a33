// SPDX-License-Identifier: Apache-2.0
#include "controller/client/host_fold.h"

#include <cstdint>
#include <map>
#include <set>
#include <utility>

namespace brood {
namespace {

// Longer ones are rather a part of the name than its number; host_set.cc reads no more digits.
constexpr size_t kDigitsMax = 9;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// By length first: numbers with zeros in front stand together, and those without are in order.
struct ByNumber {
  bool operator()(const std::string& a, const std::string& b) const {
    return a.size() != b.size() ? a.size() < b.size() : a < b;
  }
};

using Numbers = std::set<std::string, ByNumber>;

// All combinations of one number each, for names of one pattern.
using Block = std::vector<Numbers>;

struct Pattern {
  std::vector<std::string> texts;  // around the numbers: one more than those
  bool operator<(const Pattern& other) const { return texts < other.texts; }
};

void Split(const std::string& name, Pattern* pattern, Block* block) {
  pattern->texts.emplace_back();
  for (size_t at = 0; at < name.size();) {
    size_t end = at;
    while (end < name.size() && IsDigit(name[end])) ++end;
    if (end == at || end - at > kDigitsMax) {
      const size_t taken = end == at ? 1 : end - at;
      pattern->texts.back().append(name, at, taken);
      at += taken;
      continue;
    }
    block->push_back({name.substr(at, end - at)});
    pattern->texts.emplace_back();
    at = end;
  }
}

// Blocks that differ in one number only become one.
void Merge(size_t dimension, std::vector<Block>* blocks) {
  std::map<Block, Numbers> merged;
  for (Block& block : *blocks) {
    Numbers numbers = std::exchange(block[dimension], Numbers());
    merged[block].merge(numbers);
  }
  blocks->clear();
  for (auto& [block, numbers] : merged) {
    blocks->push_back(block);
    blocks->back()[dimension] = numbers;
  }
}

// Whether the number `next` follows `last` in a range that began with `first`.
bool Follows(const std::string& first, const std::string& last, const std::string& next) {
  if (std::stoull(last) + 1 != std::stoull(next)) return false;
  if (last.size() == next.size()) return true;
  // 9 goes on with 10, but 99 in a range of two digits does not go on with 100, nor 9 with 010.
  const bool zeros_in_front = first.size() > 1 && first.front() == '0';
  return !zeros_in_front && next.front() != '0';
}

std::string Text(const Numbers& numbers) {
  if (numbers.size() == 1) return *numbers.begin();
  std::string text = "[";
  for (auto first = numbers.begin(); first != numbers.end();) {
    auto last = first;
    auto next = std::next(first);
    while (next != numbers.end() && Follows(*first, *last, *next)) last = next++;
    text += (text.size() > 1 ? "," : "") + *first;
    if (last != first) text += "-" + *last;
    first = next;
  }
  return text + "]";
}

}  // namespace

std::string FoldHosts(const std::vector<std::string>& names) {
  std::map<Pattern, std::vector<Block>> patterns;
  for (const std::string& name : names) {
    Pattern pattern;
    Block block;
    Split(name, &pattern, &block);
    patterns[std::move(pattern)].push_back(std::move(block));
  }
  std::string folded;
  for (auto& [pattern, blocks] : patterns) {
    // The last number first: it is the one that runs fastest.
    for (size_t dimension = pattern.texts.size() - 1; dimension > 0; --dimension)
      Merge(dimension - 1, &blocks);
    if (pattern.texts.size() == 1) blocks.resize(1);
    for (const Block& block : blocks) {
      if (!folded.empty()) folded += ",";
      folded += pattern.texts.front();
      for (size_t i = 0; i < block.size(); ++i) folded += Text(block[i]) + pattern.texts[i + 1];
    }
  }
  return folded;
}

}  // namespace brood
