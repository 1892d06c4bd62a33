// SPDX-License-Identifier: Apache-2.0
#include "controller/experiment/evaluator.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <optional>
#include <set>
#include <utility>

#include "common/job/job_fold.h"

namespace brood {
namespace {

using Kind = Expression::Kind;

std::optional<double> NumberOf(const Fact& fact) {
  if (const auto* integer = std::get_if<int64_t>(&fact.value)) return static_cast<double>(*integer);
  if (const auto* number = std::get_if<double>(&fact.value)) return *number;
  return std::nullopt;
}

Fact UnknownOf(const Fact& fact) { return Fact::NotKnown(std::get<Fact::Unknown>(fact.value).why); }

// Applies it to the elements where one or both sides are lists.
Fact Broadcast(const Fact& left, const Fact& right,
               const std::function<Fact(const Fact&, const Fact&)>& apply) {
  const Fact::List* const many_left = left.list();
  const Fact::List* const many_right = right.list();
  if (many_left == nullptr && many_right == nullptr) {
    if (left.unknown()) return UnknownOf(left);
    if (right.unknown()) return UnknownOf(right);
    return apply(left, right);
  }
  if (many_left != nullptr && many_right != nullptr && many_left->size() != many_right->size()) {
    return Fact::NotKnown("lists of " + std::to_string(many_left->size()) + " and " +
                          std::to_string(many_right->size()) + " cannot be compared");
  }
  Fact::List each;
  const size_t size = many_left != nullptr ? many_left->size() : many_right->size();
  for (size_t i = 0; i < size; ++i) {
    each.push_back(Broadcast(many_left != nullptr ? (*many_left)[i] : left,
                             many_right != nullptr ? (*many_right)[i] : right, apply));
  }
  return Fact{std::move(each)};
}

// -1, 0, 1; nothing if they are of different kinds.
std::optional<int> Order(const Fact& left, const Fact& right) {
  const auto* const a = std::get_if<int64_t>(&left.value);
  const auto* const b = std::get_if<int64_t>(&right.value);
  if (a != nullptr && b != nullptr) return *a < *b ? -1 : *a > *b ? 1 : 0;
  const std::optional<double> x = NumberOf(left);
  const std::optional<double> y = NumberOf(right);
  if (x && y) return *x < *y ? -1 : *x > *y ? 1 : 0;
  const auto* const s = std::get_if<std::string>(&left.value);
  const auto* const t = std::get_if<std::string>(&right.value);
  if (s != nullptr && t != nullptr) return s->compare(*t) < 0 ? -1 : *s == *t ? 0 : 1;
  const auto* const p = std::get_if<bool>(&left.value);
  const auto* const q = std::get_if<bool>(&right.value);
  if (p != nullptr && q != nullptr) return static_cast<int>(*p) - static_cast<int>(*q);
  if (std::holds_alternative<Fact::Nothing>(left.value) &&
      std::holds_alternative<Fact::Nothing>(right.value)) {
    return 0;
  }
  return std::nullopt;
}

Fact Compare(const std::string& symbol, const Fact& left, const Fact& right) {
  const std::optional<int> order = Order(left, right);
  if (!order) {
    // Of different kinds: they are not the same, and neither is larger.
    if (symbol == "==") return Fact{false};
    if (symbol == "!=") return Fact{true};
    return Fact::NotKnown(FactText(left) + " and " + FactText(right) + " have no order");
  }
  if (symbol == "==") return Fact{*order == 0};
  if (symbol == "!=") return Fact{*order != 0};
  if (symbol == "<") return Fact{*order < 0};
  if (symbol == "<=") return Fact{*order <= 0};
  if (symbol == ">") return Fact{*order > 0};
  return Fact{*order >= 0};
}

Fact Calculate(const std::string& symbol, const Fact& left, const Fact& right) {
  const auto* const a = std::get_if<int64_t>(&left.value);
  const auto* const b = std::get_if<int64_t>(&right.value);
  if (a != nullptr && b != nullptr && symbol != "/") {
    int64_t result = 0;
    const bool over = symbol == "+"   ? __builtin_add_overflow(*a, *b, &result)
                      : symbol == "-" ? __builtin_sub_overflow(*a, *b, &result)
                                      : __builtin_mul_overflow(*a, *b, &result);
    if (!over) return Fact{result};
  }
  const std::optional<double> x = NumberOf(left);
  const std::optional<double> y = NumberOf(right);
  if (!x || !y) return Fact::NotKnown("'" + symbol + "' needs numbers");
  if (symbol == "+") return Fact{*x + *y};
  if (symbol == "-") return Fact{*x - *y};
  if (symbol == "*") return Fact{*x * *y};
  if (*y == 0) return Fact::NotKnown("a division by zero");
  return Fact{*x / *y};
}

struct Summary {
  Truth truth = Truth::kUnknown;
  std::string why;
};

Summary TruthOf(const Fact& fact) {
  if (const auto* unknown = std::get_if<Fact::Unknown>(&fact.value))
    return {Truth::kUnknown, unknown->why};
  if (const auto* truth = std::get_if<bool>(&fact.value))
    return {*truth ? Truth::kTrue : Truth::kFalse, ""};
  const Fact::List* const list = fact.list();
  if (list == nullptr) return {Truth::kUnknown, FactText(fact) + " is neither true nor false"};
  if (list->empty()) return {Truth::kUnknown, "there is nothing to compare"};
  Summary all{Truth::kTrue, ""};
  for (const Fact& one : *list) {
    const Summary truth = TruthOf(one);
    if (truth.truth == Truth::kFalse) return truth;
    if (truth.truth == Truth::kUnknown) all = truth;
  }
  return all;
}

Fact FactOf(const Summary& summary) {
  if (summary.truth == Truth::kUnknown) return Fact::NotKnown(summary.why);
  return Fact{summary.truth == Truth::kTrue};
}

const v1::Event* EventOf(const Fact& fact) {
  const auto* const thing = std::get_if<Fact::Thing>(&fact.value);
  if (thing == nullptr) return nullptr;
  const auto* const event = std::get_if<const v1::Event*>(thing);
  return event != nullptr ? *event : nullptr;
}

const ObservedJob* JobOf(const Fact& fact) {
  const auto* const thing = std::get_if<Fact::Thing>(&fact.value);
  if (thing == nullptr) return nullptr;
  const auto* const job = std::get_if<const ObservedJob*>(thing);
  return job != nullptr ? *job : nullptr;
}

Fact Before(const Fact& left, const Fact& right) {
  return Broadcast(left, right, [](const Fact& a, const Fact& b) {
    const v1::Event* const first = EventOf(a);
    const v1::Event* const second = EventOf(b);
    if (first == nullptr || second == nullptr)
      return Fact::NotKnown("before() compares two events of one host");
    return Fact{first->cursor() < second->cursor()};
  });
}

// Each had started before the other ended.
Fact Overlap(const Fact& left, const Fact& right) {
  return Broadcast(left, right, [](const Fact& a, const Fact& b) {
    const ObservedJob* const one = JobOf(a);
    const ObservedJob* const other = JobOf(b);
    if (one == nullptr || other == nullptr) return Fact::NotKnown("overlap() compares two jobs");
    const auto cursors = [](const ObservedJob& job) {
      std::pair<uint64_t, uint64_t> found;
      for (const v1::Event& event : job.events) {
        if (event.has_started()) found.first = event.cursor();
        if (IsEnd(event)) found.second = event.cursor();
      }
      return found;
    };
    const auto [start, end] = cursors(*one);
    const auto [other_start, other_end] = cursors(*other);
    if (start == 0 || end == 0 || other_start == 0 || other_end == 0)
      return Fact::NotKnown("not both have started and ended");
    return Fact{start < other_end && other_start < end};
  });
}

// Whether a MEMORY event's write was seen in the memory of a job or of the parent.
Fact Visible(const Fact& event, const Fact& who) {
  return Broadcast(event, who, [](const Fact& a, const Fact& b) {
    const v1::Event* const written = EventOf(a);
    if (written == nullptr || !written->has_memory())
      return Fact::NotKnown("visible() asks about a memory event");
    const v1::Memory& memory = written->memory();
    const ObservedJob* const job = JobOf(b);
    const bool is_parent = job == nullptr;
    const std::string name = is_parent ? "parent " + written->unit().parent() : job->job.job_id();
    for (const std::string& one : memory.visible_to()) {
      if (one == name) return Fact{true};
    }
    for (const v1::MemoryReading& reading : memory.readings()) {
      // A thread's memory is that of the process in its own start.
      const bool same = is_parent ? reading.job_id().empty()
                                  : reading.job_id() == name || reading.pid() == job->job.pid();
      if (same && reading.error().empty()) return Fact{false};
    }
    return Fact::NotKnown("the memory of " + name + " was not read");
  });
}

// The elements of a list, or the one thing itself.
Fact::List Elements(const Fact& fact) {
  if (const Fact::List* const list = fact.list()) {
    Fact::List flat;
    for (const Fact& one : *list) {
      Fact::List inner = Elements(one);
      std::move(inner.begin(), inner.end(), std::back_inserter(flat));
    }
    return flat;
  }
  return {fact};
}

Fact Distinct(const Fact::List& list) {
  std::set<std::string> seen;
  for (const Fact& one : list) {
    if (one.unknown()) return UnknownOf(one);
    seen.insert(FactText(one));
  }
  return Fact{static_cast<int64_t>(seen.size())};
}

Fact Statistic(const std::string& name, const Fact::List& list) {
  std::vector<double> numbers;
  bool integers = true;
  for (const Fact& one : list) {
    if (one.unknown()) return UnknownOf(one);
    const std::optional<double> number = NumberOf(one);
    if (!number) return Fact::NotKnown(name + "() needs numbers, not " + FactText(one));
    integers = integers && std::holds_alternative<int64_t>(one.value);
    numbers.push_back(*number);
  }
  if (numbers.empty()) return Fact::NotKnown(name + "() of nothing");
  std::sort(numbers.begin(), numbers.end());
  double result = 0;
  if (name == "min") result = numbers.front();
  if (name == "max") result = numbers.back();
  if (name == "median") result = numbers[numbers.size() / 2];
  if (name == "sum") {
    for (const double number : numbers) result += number;
  }
  // Exact up to 2^53; beyond, a double is as good as it gets.
  if (integers && std::abs(result) < 9e15) return Fact{static_cast<int64_t>(result)};
  return Fact{result};
}

Fact CallOf(const std::string& name, const std::vector<Fact>& arguments) {
  const size_t wanted = name == "before" || name == "overlap" || name == "visible" ? 2 : 1;
  if (arguments.size() != wanted) {
    return Fact::NotKnown(name + "() takes " + std::to_string(wanted) + ", not " +
                          std::to_string(arguments.size()));
  }
  const Fact& first = arguments[0];
  if (name == "before") return Before(first, arguments[1]);
  if (name == "overlap") return Overlap(first, arguments[1]);
  if (name == "visible") return Visible(first, arguments[1]);
  if (name == "all") return FactOf(TruthOf(first));
  const Fact::List list = Elements(first);
  if (name == "exists") {
    return Fact{
        std::any_of(list.begin(), list.end(), [](const Fact& one) { return !one.unknown(); })};
  }
  if (name == "count") {
    return Fact{static_cast<int64_t>(
        std::count_if(list.begin(), list.end(), [](const Fact& one) { return !one.unknown(); }))};
  }
  if (name == "distinct") return Distinct(list);
  if (name == "any") {
    Summary any{Truth::kFalse, ""};
    for (const Fact& one : list) {
      const Summary truth = TruthOf(one);
      if (truth.truth == Truth::kTrue) return Fact{true};
      if (truth.truth == Truth::kUnknown) any = truth;
    }
    return FactOf(any);
  }
  return Statistic(name, list);
}

Fact EvaluateBinary(const Observations& seen, const Expression& expression) {
  const std::string& symbol = expression.word;
  const Fact left = Evaluate(seen, expression.parts[0]);
  const Fact right = Evaluate(seen, expression.parts[1]);
  if (symbol == "and" || symbol == "or") {
    const Summary a = TruthOf(left);
    const Summary b = TruthOf(right);
    const Truth decisive = symbol == "and" ? Truth::kFalse : Truth::kTrue;
    if (a.truth == decisive || b.truth == decisive) return Fact{decisive == Truth::kTrue};
    if (a.truth == Truth::kUnknown) return FactOf(a);
    return FactOf(b);
  }
  const bool arithmetic = symbol == "+" || symbol == "-" || symbol == "*" || symbol == "/";
  return Broadcast(left, right, [&](const Fact& a, const Fact& b) {
    return arithmetic ? Calculate(symbol, a, b) : Compare(symbol, a, b);
  });
}

void CursorsOf(const Fact& fact, std::set<uint64_t>* cursors) {
  if (const Fact::List* const list = fact.list()) {
    for (const Fact& one : *list) CursorsOf(one, cursors);
  }
  if (const v1::Event* const event = EventOf(fact)) cursors->insert(event->cursor());
}

}  // namespace

Fact Evaluate(const Observations& seen, const Expression& expression) {
  switch (expression.kind) {
    case Kind::kNumber:
      return expression.is_integer ? Fact{expression.integer} : Fact{expression.number};
    case Kind::kText:
      return Fact{expression.word};
    case Kind::kBool:
      return Fact{expression.truth};
    case Kind::kPath:
      return FindFact(seen, expression.path);
    case Kind::kCall: {
      std::vector<Fact> arguments;
      for (const Expression& part : expression.parts) arguments.push_back(Evaluate(seen, part));
      return CallOf(expression.word, arguments);
    }
    case Kind::kNot: {
      const Summary truth = TruthOf(Evaluate(seen, expression.parts[0]));
      if (truth.truth == Truth::kUnknown) return FactOf(truth);
      return Fact{truth.truth == Truth::kFalse};
    }
    case Kind::kNegate:
      return Calculate("-", Fact{int64_t{0}}, Evaluate(seen, expression.parts[0]));
    case Kind::kBinary:
      return EvaluateBinary(seen, expression);
  }
  return Fact::NotKnown("no expression");
}

Checked Check(const Observations& seen, const Expression& expression) {
  Checked checked;
  const Summary summary = TruthOf(Evaluate(seen, expression));
  checked.truth = summary.truth;
  checked.why = summary.why;
  std::set<std::string> told;
  std::set<uint64_t> cursors;
  for (const Expression* const path : PathsOf(expression)) {
    const std::string name = PathText(path->path);
    if (told.insert(name).second) {
      checked.evidence.push_back(name + " = " + FactText(FindFact(seen, path->path)));
    }
    // The events on the way to a fact are what it rests on.
    std::vector<PathPart> prefix;
    for (const PathPart& part : path->path) {
      prefix.push_back(part);
      CursorsOf(FindFact(seen, prefix), &cursors);
    }
  }
  checked.cursors = {cursors.begin(), cursors.end()};
  return checked;
}

}  // namespace brood
