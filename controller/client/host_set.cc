// SPDX-License-Identifier: Apache-2.0
#include "controller/client/host_set.h"

#include <algorithm>
#include <cstdint>
#include <unordered_map>
#include <unordered_set>
#include <utility>

namespace brood {
namespace {

// Enough for any numbering, and never near an overflow.
constexpr size_t kDigitsMax = 9;

// Most bytes of a set that a message shows.
constexpr size_t kShownMax = 160;

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

// What the readers of one set and of its groups share.
struct Expansion {
  explicit Expansion(const GroupLookup& lookup) : groups(lookup) {}

  const GroupLookup& groups;
  // Each group is read once, however often it is named.
  std::unordered_map<std::string, NameList> known;
  // Those that are being read, the outermost first.
  NameList open;
  // Names looked at.
  size_t work = 0;
};

// Reads one text from left to right.
class Reader {
 public:
  Reader(std::string_view text, Expansion* expansion) : text_(text), expansion_(*expansion) {}

  Result<NameList> Read() {
    if (text_.empty()) return Bad("it is empty");
    if (text_.size() > kHostSetTextMax) {
      return Error{ErrorCode::kResourceExhausted, "HOST_SET_TOO_LONG",
                   "a host set of " + std::to_string(text_.size()) + " bytes is longer than " +
                       std::to_string(kHostSetTextMax) + "; name fewer hosts",
                   "hosts"};
    }
    Result<NameList> names = ReadSet();
    if (names && at_ < text_.size()) return Bad("')' closes nothing");
    return names;
  }

 private:
  // The text in quotes; of a long one what stands around the position.
  std::string Shown() const {
    if (text_.size() <= kShownMax) return "'" + std::string(text_) + "'";
    const size_t begin = std::min(at_ - std::min(at_, kShownMax / 2), text_.size() - kShownMax);
    return (begin > 0 ? "'…" : "'") + std::string(text_.substr(begin, kShownMax)) +
           (begin + kShownMax < text_.size() ? "…'" : "'");
  }

  Error Bad(const std::string& why) const {
    return Error{ErrorCode::kInvalidArgument, "BAD_HOST_SET",
                 "host set " + Shown() + ", position " + std::to_string(at_ + 1) + ": " + why +
                     "; write names, name[1-3] or @group, with ',' (and), '!' (without), '&' (in "
                     "both) or '^' (in one of both) between",
                 "hosts"};
  }

  Error TooMany() const {
    return Error{ErrorCode::kResourceExhausted, "TOO_MANY_HOSTS",
                 "host set " + Shown() + " stands for more than " + std::to_string(kHostSetMax) +
                     " hosts; name fewer at once",
                 "hosts"};
  }

  // Before so many names are looked at.
  Status Work(size_t names) {
    expansion_.work += names;
    if (expansion_.work <= kHostSetWorkMax) return Ok();
    return Error{ErrorCode::kResourceExhausted, "HOST_SET_TOO_COSTLY",
                 "host set " + Shown() + " names its hosts again and again, " +
                     std::to_string(kHostSetWorkMax) + " names in all; name each group once",
                 "hosts"};
  }

  // The wrong place for a file: the shell's words have it, not sets.
  Error NameMissing() const {
    const bool at_file = at_ < text_.size() && text_[at_] == '^';
    return Bad(at_file ? "'^' has nothing before it (a file of hosts is an argument of its own: -w "
                         "SET -w ^FILE)"
                       : "a name is missing");
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
      if (Status status = Work(term->size() + (operation == ',' ? 0 : names.size())))
        return *status;
      names.Combine(operation, std::move(*term));
      if (names.size() > kHostSetMax) return TooMany();
      if (at_ == text_.size() || text_[at_] == ')') return names.Take();
      operation = text_[at_++];
    }
  }

  Result<NameList> ReadTerm() {
    if (at_ < text_.size() && text_[at_] == '(') return ReadParentheses();
    if (End()) return NameMissing();
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
      if (Status status = Work(made.size() * next.size())) return *status;
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
      const Result<const NameList*> members = Members(group);
      if (!members) return members.error();
      if (Status status = Work((*members)->size())) return *status;
      names.Combine(',', **members);
      if (names.size() > kHostSetMax) return TooMany();
    }
    return names.Take();
  }

  Result<const NameList*> Members(const std::string& group) {
    const auto known = expansion_.known.find(group);
    if (known != expansion_.known.end()) return &known->second;
    NameList& open = expansion_.open;
    const bool contains_itself = std::find(open.begin(), open.end(), group) != open.end();
    if (contains_itself || open.size() == static_cast<size_t>(kGroupDepthMax)) {
      return Error{ErrorCode::kInvalidArgument, "GROUP_TOO_DEEP",
                   "group '@" + group + "' " +
                       (contains_itself
                            ? "contains itself, in '@" + open.back() + "'"
                            : "stands in more than " + std::to_string(kGroupDepthMax) + " others") +
                       "; see the hosts file",
                   "hosts"};
    }
    const Result<std::string> meant = expansion_.groups(group);
    if (!meant) return meant.error();
    open.push_back(group);
    Result<NameList> members = Reader(*meant, &expansion_).Read();
    open.pop_back();
    if (!members) return members.error();
    return &expansion_.known.emplace(group, std::move(*members)).first->second;
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
  Expansion& expansion_;
  int parentheses_ = 0;
  size_t at_ = 0;
};

}  // namespace

Result<std::vector<std::string>> ExpandHostSet(std::string_view text, const GroupLookup& groups) {
  Expansion expansion(groups);
  return Reader(text, &expansion).Read();
}

bool IsHostName(std::string_view name) {
  if (name.empty() || name.size() > kHostNameMax || !IsLetterOrDigit(name.front())) return false;
  return std::all_of(name.begin(), name.end(), IsNameByte);
}

}  // namespace brood
