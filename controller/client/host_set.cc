// SPDX-License-Identifier: Apache-2.0
#include "controller/client/host_set.h"

#include <algorithm>
#include <cstdint>
#include <unordered_set>
#include <utility>

namespace brood {
namespace {

// Enough for any numbering, and never near an overflow.
constexpr size_t kDigitsMax = 9;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsLetterOrDigit(char c) {
  return IsDigit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool IsNameByte(char c) { return IsLetterOrDigit(c) || c == '.' || c == '_' || c == '-'; }
// A group may be "source:group" or "label=value" too, and "*" is all.
bool IsGroupByte(char c) { return IsNameByte(c) || c == ':' || c == '=' || c == '*'; }
bool IsOperator(char c) { return c == ',' || c == '!' || c == '&' || c == '^'; }

using NameList = std::vector<std::string>;

// A set of names that keeps their order.
class Names {
 public:
  size_t size() const { return ordered_.size(); }
  NameList Take() { return std::move(ordered_); }
  void Add(std::string name) {
    if (known_.insert(name).second) ordered_.push_back(std::move(name));
  }
  // What `operation` says, with the names of another set.
  void Combine(char operation, NameList others) {
    if (operation == ',') {
      for (std::string& name : others) Add(std::move(name));
      return;
    }
    const std::unordered_set<std::string> in_others(others.begin(), others.end());
    NameList only_theirs;
    for (std::string& name : others) {
      if (operation == '^' && known_.count(name) == 0) only_theirs.push_back(std::move(name));
    }
    const bool keep_common = operation == '&';
    const auto gone = [&](const std::string& name) {
      return (in_others.count(name) > 0) != keep_common;
    };
    NameList kept;
    for (std::string& name : ordered_) {
      if (!gone(name)) kept.push_back(std::move(name));
    }
    ordered_ = std::move(kept);
    known_ = {ordered_.begin(), ordered_.end()};
    for (std::string& name : only_theirs) Add(std::move(name));
  }

 private:
  NameList ordered_;
  std::unordered_set<std::string> known_;
};

// Reads one text from left to right.
class Reader {
 public:
  Reader(std::string_view text, const GroupLookup& groups, int depth)
      : text_(text), groups_(groups), depth_(depth) {}

  Result<NameList> Read() {
    if (text_.empty()) return Bad("it is empty");
    if (text_.size() > kHostSetTextMax) {
      return Error{ErrorCode::kResourceExhausted, "HOST_SET_TOO_LONG",
                   "a host set of " + std::to_string(text_.size()) + " bytes is longer than " +
                       std::to_string(kHostSetTextMax) + "; make it a group of the hosts file",
                   "hosts"};
    }
    Result<NameList> names = ReadSet();
    if (names && at_ < text_.size()) return Bad("')' closes nothing");
    return names;
  }

 private:
  Error Bad(const std::string& why) const {
    return Error{ErrorCode::kInvalidArgument, "BAD_HOST_SET",
                 "host set '" + std::string(text_) + "', position " + std::to_string(at_ + 1) +
                     ": " + why +
                     "; write names, name[1-3] or @group, with ',' (and), '!' (without), '&' (in "
                     "both) or '^' (in one of both) between",
                 "hosts"};
  }

  Error TooMany() const {
    return Error{ErrorCode::kResourceExhausted, "TOO_MANY_HOSTS",
                 "host set '" + std::string(text_) + "' stands for more than " +
                     std::to_string(kHostSetMax) + " hosts; name fewer at once",
                 "hosts"};
  }

  Error NotUnderstood() const { return Bad(std::string("'") + text_[at_] + "' is not understood"); }

  bool End() const { return at_ == text_.size() || IsOperator(text_[at_]) || text_[at_] == ')'; }

  // To the end of the text, or to a ')'.
  Result<NameList> ReadSet() {
    Names names;
    char operation = ',';
    for (;;) {
      Result<NameList> term = ReadTerm();
      if (!term) return term;
      names.Combine(operation, std::move(*term));
      if (names.size() > kHostSetMax) return TooMany();
      if (at_ == text_.size() || text_[at_] == ')') return names.Take();
      operation = text_[at_++];
    }
  }

  Result<NameList> ReadTerm() {
    if (at_ < text_.size() && text_[at_] == '(') return ReadParentheses();
    if (End()) return Bad("a name is missing");
    if (text_[at_] == '@') return ReadGroups();
    const size_t begin = at_;
    Result<NameList> made = ReadPattern(IsNameByte);
    if (!made) return made;
    for (const std::string& name : *made) {
      if (IsHostName(name)) continue;
      at_ = begin;
      return Bad("'" + name + "' is no host name (a letter or digit first, at most " +
                 std::to_string(kHostNameMax) + " bytes)");
    }
    return made;
  }

  Result<NameList> ReadParentheses() {
    const size_t open = at_++;
    if (++parentheses_ > kHostSetDepthMax)
      return Bad("more than " + std::to_string(kHostSetDepthMax) + " '(' stand in each other");
    Result<NameList> names = ReadSet();
    if (!names) return names;
    if (at_ == text_.size()) {
      at_ = open;
      return Bad("'(' is not closed");
    }
    ++at_;
    --parentheses_;
    if (!End()) return NotUnderstood();
    return names;
  }

  // Plain bytes and brackets, to the end of the term.
  Result<NameList> ReadPattern(bool (*plain)(char)) {
    NameList made{""};
    while (!End()) {
      NameList next;
      if (text_[at_] == '[') {
        if (Status status = ReadBracket(&next)) return *status;
      } else {
        const size_t begin = at_;
        while (at_ < text_.size() && plain(text_[at_])) ++at_;
        if (at_ == begin) return NotUnderstood();
        next.emplace_back(text_.substr(begin, at_ - begin));
      }
      if (made.size() * next.size() > kHostSetMax) return TooMany();
      NameList product;
      product.reserve(made.size() * next.size());
      for (const std::string& head : made)
        for (const std::string& tail : next) product.push_back(head + tail);
      made = std::move(product);
    }
    return made;
  }

  Result<NameList> ReadGroups() {
    ++at_;
    if (End()) return Bad("the group's name is missing after '@'");
    Result<NameList> groups = ReadPattern(IsGroupByte);
    if (!groups) return groups;
    Names names;
    for (const std::string& group : *groups) {
      if (depth_ == kGroupDepthMax) {
        return Error{ErrorCode::kInvalidArgument, "GROUP_TOO_DEEP",
                     "group '@" + group + "' stands in more than " +
                         std::to_string(kGroupDepthMax) +
                         " others, or contains itself; see the hosts file",
                     "hosts"};
      }
      Result<std::string> meant = groups_(group);
      if (!meant) return meant.error();
      Result<NameList> members = Reader(*meant, groups_, depth_ + 1).Read();
      if (!members) return members;
      names.Combine(',', std::move(*members));
      if (names.size() > kHostSetMax) return TooMany();
    }
    return names.Take();
  }

  // "[1-3,07]" from its '['.
  Status ReadBracket(NameList* made) {
    const size_t open = at_;
    do {
      ++at_;  // '[' or ','
      if (Status status = ReadRange(made)) return status;
    } while (at_ < text_.size() && text_[at_] == ',');
    if (at_ == text_.size()) {
      at_ = open;
      return Bad("'[' is not closed");
    }
    if (text_[at_] != ']')
      return Bad(std::string("'") + text_[at_] + "' is not understood in brackets");
    ++at_;
    return Ok();
  }

  Status ReadNumber(std::string* digits) {
    const size_t begin = at_;
    while (at_ < text_.size() && IsDigit(text_[at_])) ++at_;
    *digits = std::string(text_.substr(begin, at_ - begin));
    if (digits->empty()) return Bad("a number is missing");
    if (digits->size() > kDigitsMax) {
      at_ = begin;
      return Bad("'" + *digits + "' has more than " + std::to_string(kDigitsMax) + " digits");
    }
    return Ok();
  }

  // "7", "1-3" or "1-9/2".
  Status ReadRange(NameList* made) {
    const size_t begin = at_;
    std::string first;
    if (Status status = ReadNumber(&first)) return status;
    if (at_ == text_.size() || text_[at_] != '-') {
      made->push_back(first);
      return Ok();
    }
    ++at_;
    std::string last;
    if (Status status = ReadNumber(&last)) return status;
    std::string step = "1";
    if (at_ < text_.size() && text_[at_] == '/') {
      ++at_;
      if (Status status = ReadNumber(&step)) return status;
    }
    const uint64_t low = std::stoull(first);
    const uint64_t high = std::stoull(last);
    const uint64_t stride = std::stoull(step);
    const std::string range = "'" + std::string(text_.substr(begin, at_ - begin)) + "'";
    std::string wrong;
    if (low > high) wrong = "the range " + range + " goes backwards";
    if (stride == 0) wrong = "the range " + range + " has no step";
    if (last.front() == '0' && last.size() != first.size())
      wrong = "the zeros of the range " + range + " do not match";
    if (!wrong.empty()) {
      at_ = begin;
      return Bad(wrong);
    }
    if ((high - low) / stride >= kHostSetMax) return TooMany();
    const size_t width = first.front() == '0' ? first.size() : 0;
    for (uint64_t number = low; number <= high; number += stride) {
      std::string digits = std::to_string(number);
      if (digits.size() < width) digits.insert(0, width - digits.size(), '0');
      made->push_back(std::move(digits));
    }
    if (made->size() > kHostSetMax) return TooMany();
    return Ok();
  }

  const std::string_view text_;
  const GroupLookup& groups_;
  const int depth_;
  int parentheses_ = 0;
  size_t at_ = 0;
};

}  // namespace

Result<std::vector<std::string>> ExpandHostSet(std::string_view text, const GroupLookup& groups) {
  return Reader(text, groups, 0).Read();
}

bool IsHostName(std::string_view name) {
  if (name.empty() || name.size() > kHostNameMax || !IsLetterOrDigit(name.front())) return false;
  return std::all_of(name.begin(), name.end(), IsNameByte);
}

}  // namespace brood
