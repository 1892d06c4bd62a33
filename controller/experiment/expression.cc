// SPDX-License-Identifier: Apache-2.0
#include "controller/experiment/expression.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <utility>

#include "common/job/text.h"

namespace brood {
namespace {

// How deep parentheses may stand in each other: nobody writes more, and the parser is recursive.
constexpr int kDepthMax = 64;

bool IsNameStart(char c) { return std::isalpha(static_cast<unsigned char>(c)) != 0 || c == '_'; }
bool IsNamePart(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '-';
}

class Parser {
 public:
  explicit Parser(const std::string& text) : text_(text) {}

  Result<Expression> Parse() {
    Expression whole = Or();
    Skip();
    if (!failed_ && at_ < text_.size()) Fail("'" + text_.substr(at_) + "' is left over");
    if (failed_) {
      return Error{ErrorCode::kInvalidArgument, "BAD_EXPRESSION",
                   why_ + " at column " + std::to_string(failed_at_ + 1) + " of '" + text_ + "'",
                   "check"};
    }
    whole.text = text_;
    return whole;
  }

 private:
  void Fail(const std::string& why) {
    if (failed_) return;
    failed_ = true;
    failed_at_ = at_;
    why_ = why;
  }

  void Skip() {
    while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_])) != 0) ++at_;
  }

  bool Take(std::string_view symbol) {
    Skip();
    if (text_.compare(at_, symbol.size(), symbol) != 0) return false;
    // A word must not go on.
    if (IsNameStart(symbol[0]) && at_ + symbol.size() < text_.size() &&
        IsNamePart(text_[at_ + symbol.size()])) {
      return false;
    }
    at_ += symbol.size();
    return true;
  }

  static Expression Binary(std::string_view word, Expression left, Expression right) {
    Expression both;
    both.kind = Expression::Kind::kBinary;
    both.word = word;
    both.parts.push_back(std::move(left));
    both.parts.push_back(std::move(right));
    return both;
  }

  Expression Or() {
    Expression left = And();
    while (!failed_ && Take("or")) left = Binary("or", std::move(left), And());
    return left;
  }

  Expression And() {
    Expression left = Not();
    while (!failed_ && Take("and")) left = Binary("and", std::move(left), Not());
    return left;
  }

  Expression Not() {
    if (!Take("not")) return Compare();
    Expression negated;
    negated.kind = Expression::Kind::kNot;
    negated.parts.push_back(Deeper([this] { return Not(); }));
    return negated;
  }

  Expression Compare() {
    Expression left = Sum();
    // The longer ones first: "<" begins "<=".
    for (const char* const symbol : {"==", "!=", "<=", ">=", "<", ">"}) {
      if (!failed_ && Take(symbol)) return Binary(symbol, std::move(left), Sum());
    }
    return left;
  }

  Expression Sum() {
    Expression left = Product();
    while (!failed_) {
      if (Take("+")) {
        left = Binary("+", std::move(left), Product());
      } else if (Take("-")) {
        left = Binary("-", std::move(left), Product());
      } else {
        break;
      }
    }
    return left;
  }

  Expression Product() {
    Expression left = Primary();
    while (!failed_) {
      if (Take("*")) {
        left = Binary("*", std::move(left), Primary());
      } else if (Take("/")) {
        left = Binary("/", std::move(left), Primary());
      } else {
        break;
      }
    }
    return left;
  }

  template <typename F>
  Expression Deeper(F parse) {
    if (++depth_ > kDepthMax) {
      Fail("the expression is nested too deep");
      return Expression();
    }
    Expression inner = parse();
    --depth_;
    return inner;
  }

  Expression Primary() {
    Skip();
    if (failed_ || at_ == text_.size()) {
      Fail("something is missing");
      return Expression();
    }
    const char c = text_[at_];
    if (Take("(")) {
      Expression inner = Deeper([this] { return Or(); });
      if (!Take(")")) Fail("')' is missing");
      return inner;
    }
    if (Take("-")) {
      Expression negated;
      negated.kind = Expression::Kind::kNegate;
      negated.parts.push_back(Deeper([this] { return Primary(); }));
      return negated;
    }
    if (c == '"' || c == '\'') return Text(c);
    if (std::isdigit(static_cast<unsigned char>(c)) != 0) return Number();
    if (IsNameStart(c)) return NameOrCall();
    Fail(std::string("'") + c + "' is not understood");
    return Expression();
  }

  Expression Text(char quote) {
    Expression text;
    text.kind = Expression::Kind::kText;
    const size_t end = text_.find(quote, at_ + 1);
    if (end == std::string::npos) {
      Fail("the text has no end");
      return text;
    }
    text.word = text_.substr(at_ + 1, end - at_ - 1);
    at_ = end + 1;
    return text;
  }

  Expression Number() {
    Expression number;
    number.kind = Expression::Kind::kNumber;
    const char* const begin = text_.data() + at_;
    const char* const end = text_.data() + text_.size();
    const auto whole = std::from_chars(begin, end, number.integer);
    const auto real = std::from_chars(begin, end, number.number);
    if (real.ec != std::errc()) {
      Fail("the number is out of range");
      return number;
    }
    number.is_integer = whole.ec == std::errc() && whole.ptr == real.ptr;
    at_ += static_cast<size_t>(real.ptr - begin);
    return number;
  }

  std::string Name() {
    const size_t begin = at_;
    while (at_ < text_.size() && IsNamePart(text_[at_])) ++at_;
    return text_.substr(begin, at_ - begin);
  }

  Expression NameOrCall() {
    Expression named;
    const size_t begin = at_;
    std::string name = Name();
    if (name == "true" || name == "false") {
      named.truth = name == "true";
      return named;
    }
    if (Take("(")) {
      named.kind = Expression::Kind::kCall;
      named.word = name;
      if (std::find(FunctionNames().begin(), FunctionNames().end(), name) ==
          FunctionNames().end()) {
        at_ = begin;
        std::string known;
        for (const std::string& one : FunctionNames()) known += (known.empty() ? "" : ", ") + one;
        Fail("there is no function '" + name + "'; there are " + known);
        return named;
      }
      do {
        named.parts.push_back(Deeper([this] { return Or(); }));
      } while (!failed_ && Take(","));
      if (!Take(")")) Fail("')' is missing");
      return named;
    }
    named.kind = Expression::Kind::kPath;
    named.path.push_back(PathPart{std::move(name), false, std::nullopt});
    Index(&named.path.back());
    while (!failed_ && at_ < text_.size() && text_[at_] == '.') {
      ++at_;
      named.path.push_back(PathPart{Name(), false, std::nullopt});
      if (named.path.back().name.empty()) Fail("a name is missing after '.'");
      Index(&named.path.back());
    }
    return named;
  }

  void Index(PathPart* part) {
    if (at_ == text_.size() || text_[at_] != '[') return;
    const size_t end = text_.find(']', at_);
    if (end == std::string::npos) return Fail("']' is missing");
    const std::string inner = text_.substr(at_ + 1, end - at_ - 1);
    int64_t index = 0;
    const auto [stop, error] = std::from_chars(inner.data(), inner.data() + inner.size(), index);
    if (inner == "*") {
      part->all = true;
    } else if (error == std::errc() && stop == inner.data() + inner.size() && index != 0) {
      part->index = index;
    } else {
      return Fail("'[" + inner +
                  "]' is no index; write [1] for the first, [-1] for the last or "
                  "[*] for all");
    }
    at_ = end + 1;
  }

  const std::string& text_;
  size_t at_ = 0;
  int depth_ = 0;
  bool failed_ = false;
  size_t failed_at_ = 0;
  std::string why_;
};

void Collect(const Expression& expression, std::vector<const Expression*>* paths) {
  if (expression.kind == Expression::Kind::kPath) paths->push_back(&expression);
  for (const Expression& part : expression.parts) Collect(part, paths);
}

}  // namespace

Result<Expression> ParseExpression(const std::string& text) { return Parser(text).Parse(); }

std::vector<const Expression*> PathsOf(const Expression& expression) {
  std::vector<const Expression*> paths;
  Collect(expression, &paths);
  return paths;
}

std::string PathText(const std::vector<PathPart>& path) {
  std::string text;
  for (const PathPart& part : path) {
    text += (text.empty() ? "" : ".") + part.name;
    if (part.all) text += "[*]";
    if (part.index) text += "[" + std::to_string(*part.index) + "]";
  }
  return text;
}

const std::vector<std::string>& FunctionNames() {
  static const auto* const names =
      new std::vector<std::string>{"all", "any",    "before", "count",   "distinct", "exists",
                                   "max", "median", "min",    "overlap", "sum",      "visible"};
  return *names;
}

}  // namespace brood
