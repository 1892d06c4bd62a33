// SPDX-License-Identifier: Apache-2.0
#include "controller/client/host_set.h"

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

// The names of a set so far; shared by a set and the groups in it.
struct Names {
  std::vector<std::string> ordered;
  std::unordered_set<std::string> known;
};

// Reads one text from left to right.
class Reader {
 public:
  Reader(std::string_view text, const GroupLookup& groups, int depth, Names& names)
      : text_(text), groups_(groups), depth_(depth), names_(names) {}

  Status Read() {
    if (text_.empty()) return Bad("it is empty");
    if (text_.size() > kHostSetTextMax) {
      return Error{ErrorCode::kResourceExhausted, "HOST_SET_TOO_LONG",
                   "a host set of " + std::to_string(text_.size()) + " bytes is longer than " +
                       std::to_string(kHostSetTextMax) + "; make it a group of the hosts file",
                   "hosts"};
    }
    for (;;) {
      if (Status status = ReadTerm()) return status;
      if (at_ == text_.size()) return Ok();
      ++at_;  // the comma
    }
  }

 private:
  Error Bad(const std::string& why) const {
    return Error{ErrorCode::kInvalidArgument, "BAD_HOST_SET",
                 "host set '" + std::string(text_) + "', position " + std::to_string(at_ + 1) +
                     ": " + why + "; write names, name[1-3] or @group, with commas between",
                 "hosts"};
  }

  Error TooMany() const {
    return Error{ErrorCode::kResourceExhausted, "TOO_MANY_HOSTS",
                 "host set '" + std::string(text_) + "' stands for more than " +
                     std::to_string(kHostSetMax) + " hosts; name fewer at once",
                 "hosts"};
  }

  bool End() const { return at_ == text_.size() || text_[at_] == ','; }

  std::string ReadBytes() {
    const size_t begin = at_;
    while (at_ < text_.size() && IsNameByte(text_[at_])) ++at_;
    return std::string(text_.substr(begin, at_ - begin));
  }

  Status ReadTerm() {
    if (End()) return Bad("a name is missing");
    if (text_[at_] == '@') return ReadGroup();
    std::vector<std::string> made{""};
    const size_t begin = at_;
    while (!End()) {
      std::vector<std::string> next;
      if (text_[at_] == '[') {
        if (Status status = ReadBracket(&next)) return status;
      } else {
        next.push_back(ReadBytes());
        if (next.back().empty()) return Bad(std::string("'") + text_[at_] + "' is not understood");
      }
      if (made.size() * next.size() > kHostSetMax) return TooMany();
      std::vector<std::string> product;
      product.reserve(made.size() * next.size());
      for (const std::string& head : made)
        for (const std::string& tail : next) product.push_back(head + tail);
      made = std::move(product);
    }
    for (std::string& name : made) {
      if (!IsHostName(name)) {
        at_ = begin;
        return Bad("'" + name + "' is no host name (a letter or digit first, at most " +
                   std::to_string(kHostNameMax) + " bytes)");
      }
      if (Status status = Add(std::move(name))) return status;
    }
    return Ok();
  }

  Status Add(std::string name) {
    if (!names_.known.insert(name).second) return Ok();
    if (names_.ordered.size() == kHostSetMax) return TooMany();
    names_.ordered.push_back(std::move(name));
    return Ok();
  }

  Status ReadGroup() {
    ++at_;
    const std::string group = ReadBytes();
    if (group.empty()) return Bad("the group's name is missing after '@'");
    if (!End()) return Bad(std::string("'") + text_[at_] + "' is not understood");
    if (depth_ == kGroupDepthMax) {
      return Error{ErrorCode::kInvalidArgument, "GROUP_TOO_DEEP",
                   "group '@" + group + "' stands in more than " + std::to_string(kGroupDepthMax) +
                       " others, or contains itself; see the hosts file",
                   "hosts"};
    }
    Result<std::string> meant = groups_(group);
    if (!meant) return meant.error();
    return Reader(*meant, groups_, depth_ + 1, names_).Read();
  }

  // "[1-3,07]" from its '['.
  Status ReadBracket(std::vector<std::string>* made) {
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

  Status ReadRange(std::vector<std::string>* made) {
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
    const uint64_t low = std::stoull(first);
    const uint64_t high = std::stoull(last);
    const std::string range = "'" + first + "-" + last + "'";
    if (low > high) {
      at_ = begin;
      return Bad("the range " + range + " goes backwards");
    }
    if (last.front() == '0' && last.size() != first.size()) {
      at_ = begin;
      return Bad("the zeros of the range " + range + " do not match");
    }
    if (high - low >= kHostSetMax) return TooMany();
    const size_t width = first.front() == '0' ? first.size() : 0;
    for (uint64_t number = low; number <= high; ++number) {
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
  Names& names_;
  size_t at_ = 0;
};

}  // namespace

Result<std::vector<std::string>> ExpandHostSet(std::string_view text, const GroupLookup& groups) {
  Names names;
  if (Status status = Reader(text, groups, 0, names).Read()) return *status;
  return std::move(names.ordered);
}

bool IsHostName(std::string_view name) {
  if (name.empty() || name.size() > kHostNameMax || !IsLetterOrDigit(name.front())) return false;
  for (const char c : name)
    if (!IsNameByte(c)) return false;
  return true;
}

}  // namespace brood
