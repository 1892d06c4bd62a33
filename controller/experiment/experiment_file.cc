// SPDX-License-Identifier: Apache-2.0
#include "controller/experiment/experiment_file.h"

#include <algorithm>
#include <charconv>
#include <csignal>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "brood/v1/event.pb.h"
#include "common/job/job_id.h"
#include "common/job/nearest_word.h"
#include "common/job/spec_validation.h"
#include "controller/experiment/toml_reader.h"

namespace brood {
namespace {

constexpr int64_t kWithinDefaultNanos = 30'000'000'000;

using Keys = TomlReader::Keys;

const std::map<std::string, StepKind>& StepKinds() {
  static const auto* const kinds =
      new std::map<std::string, StepKind>{{"start-parent", StepKind::kStartParent},
                                          {"call", StepKind::kCall},
                                          {"run", StepKind::kRun},
                                          {"wait", StepKind::kWait},
                                          {"read", StepKind::kRead},
                                          {"end-parent", StepKind::kEndParent},
                                          {"cancel", StepKind::kCancel},
                                          {"signal", StepKind::kSignal}};
  return *kinds;
}

Keys KeysOf(StepKind kind) {
  switch (kind) {
    case StepKind::kStartParent:
      return {"do", "name", "libraries", "watch"};
    case StepKind::kCall:
      return {"do",           "as",    "task",    "args",  "mode",
              "in",           "times", "timeout", "meter", "refuse_if_hazard",
              "kill_if_stuck"};
    case StepKind::kRun:
      return {"do", "as", "argv", "in", "times", "timeout", "meter"};
    case StepKind::kWait:
      return {"do", "for", "within"};
    case StepKind::kRead:
      return {"do", "as", "cell", "in", "copies"};
    case StepKind::kEndParent:
      return {"do", "name", "how"};
    case StepKind::kCancel:
      return {"do", "of"};
    case StepKind::kSignal:
      return {"do", "of", "signal"};
  }
  return {};
}

// Reads one file; the first error stays.
class Reader : private TomlReader {
 public:
  explicit Reader(std::string origin) : TomlReader(std::move(origin)) {}

  Result<Experiment> Read(std::string_view text) {
    const toml::table file = Parse(text);
    if (error_) return *error_;
    CheckKeys(file, {"name", "title", "says", "step", "claim", "figure"}, "an experiment");
    experiment_.name = Text(file, "name", true);
    if (!error_ && ValidateJobId("name", experiment_.name)) {
      Fail(file["name"].node()->source(), "'" + experiment_.name +
                                              "' is no name; it must match "
                                              "[A-Za-z0-9][A-Za-z0-9._-]{0,63}");
    }
    experiment_.title = Text(file, "title", true);
    experiment_.says = Text(file, "says", false);
    Each(file, "step", [this](const toml::table& step) { AddStep(step); });
    Each(file, "claim", [this](const toml::table& claim) { AddClaim(claim); });
    Each(file, "figure", [this](const toml::table& figure) { AddFigure(figure); });
    if (!error_ && experiment_.steps.empty()) Fail(file.source(), "it has no [[step]]");
    if (!error_ && experiment_.claims.empty()) Fail(file.source(), "it has no [[claim]]");
    if (error_) return *error_;
    return std::move(experiment_);
  }

 private:
  void AddStep(const toml::table& table) {
    if (experiment_.steps.size() == kStepsMax)
      return Fail(table.source(), "there are more than 1000 steps; split the experiment");
    Step step;
    step.place = PlaceOf(table);
    const std::string what = Text(table, "do", true);
    const auto kind = StepKinds().find(what);
    if (!error_ && kind == StepKinds().end()) {
      Keys known;
      for (const auto& entry : StepKinds()) known.push_back(entry.first);
      return Fail(table["do"].node()->source(), NotUnderstood(what, known, "do"));
    }
    if (error_) return;
    step.kind = kind->second;
    CheckKeys(table, KeysOf(step.kind), "a step that does '" + what + "'");
    switch (step.kind) {
      case StepKind::kStartParent:
        ReadStartParent(table, &step);
        break;
      case StepKind::kCall:
      case StepKind::kRun:
        ReadJob(table, &step);
        break;
      case StepKind::kWait:
        ReadWait(table, &step);
        break;
      case StepKind::kRead:
        step.cell = Text(table, "cell", true);
        step.copies = Flag(table, "copies");
        ReadParent(table, &step);
        Define(table, "as", &step, Known::kReading);
        break;
      case StepKind::kEndParent:
        ReadEndParent(table, &step);
        break;
      case StepKind::kCancel:
      case StepKind::kSignal:
        step.target = Text(table, "of", true);
        CheckNamed(table, "of", step.target, {Known::kJob}, "a job");
        if (step.kind == StepKind::kSignal) ReadSignal(table, &step);
        break;
    }
    experiment_.steps.push_back(std::move(step));
  }

  enum class Known { kJob, kParent, kReading };

  // The name that a step gives; new.
  void Define(const toml::table& table, const char* key, Step* step, Known known) {
    step->name = Text(table, key, true);
    if (error_) return;
    const toml::source_region& where = table.get(key)->source();
    const Result<Expression> path = ParseExpression(step->name);
    const bool plain = path && path->kind == Expression::Kind::kPath && path->path.size() == 1 &&
                       PathText(path->path) == step->name && !path->path[0].index &&
                       !path->path[0].all;
    if (!plain || step->name == "host" || step->name.size() > 24) {
      return Fail(where, "'" + step->name +
                             "' is no name for a step; take a letter, then letters, digits, - and "
                             "_, at most 24, and not 'host'");
    }
    if (!names_.emplace(step->name, known).second)
      Fail(where, "there is already something called '" + step->name + "'; take another name");
  }

  void CheckNamed(const toml::table& table, const char* key, const std::string& name,
                  const std::set<Known>& wanted, const std::string& what) {
    if (error_) return;
    const auto found = names_.find(name);
    if (found != names_.end() && wanted.count(found->second) > 0) return;
    Keys known;
    for (const auto& [one, kind] : names_) {
      if (wanted.count(kind) > 0) known.push_back(one);
    }
    Fail(table.get(key)->source(), "no step before this one makes " + what + " '" + name + "'" +
                                       (known.empty() ? "" : "; there are " + List(known)));
  }

  void ReadParent(const toml::table& table, Step* step) {
    step->parent = Text(table, "in", false);
    if (!step->parent.empty()) CheckNamed(table, "in", step->parent, {Known::kParent}, "a parent");
  }

  void ReadStartParent(const toml::table& table, Step* step) {
    step->libraries = Texts(table, "libraries");
    const toml::node* const watch = table.get("watch");
    if (watch != nullptr && watch->is_array()) {
      step->watched_cells = Texts(table, "watch");
      step->watch = true;
    } else if (watch != nullptr) {
      step->watch = Flag(table, "watch");
    }
    Define(table, "name", step, Known::kParent);
    step->parent = step->name;
  }

  void ReadEndParent(const toml::table& table, Step* step) {
    static const auto* const ways =
        new std::map<std::string, v1::ParentEnd>{{"return", v1::PARENT_END_RETURN},
                                                 {"exit", v1::PARENT_END_EXIT},
                                                 {"abort", v1::PARENT_END_ABORT},
                                                 {"kill", v1::PARENT_END_KILL},
                                                 {"thread-exit", v1::PARENT_END_THREAD_EXIT}};
    step->target = Text(table, "name", true);
    CheckNamed(table, "name", step->target, {Known::kParent}, "a parent");
    const std::string how = Text(table, "how", false);
    if (how.empty() || error_) return;
    const auto found = ways->find(how);
    if (found == ways->end()) {
      return Fail(table.get("how")->source(),
                  NotUnderstood(how, {"return", "exit", "abort", "kill", "thread-exit"}, "how"));
    }
    step->how = found->second;
  }

  void ReadSignal(const toml::table& table, Step* step) {
    static const auto* const signals = new std::map<std::string, int>{
        {"HUP", SIGHUP},   {"INT", SIGINT},   {"KILL", SIGKILL}, {"TERM", SIGTERM},
        {"STOP", SIGSTOP}, {"CONT", SIGCONT}, {"USR1", SIGUSR1}, {"USR2", SIGUSR2}};
    const std::string name = Text(table, "signal", true);
    if (error_) return;
    const auto found = signals->find(name);
    if (found == signals->end()) {
      Keys known;
      for (const auto& entry : *signals) known.push_back(entry.first);
      return Fail(table.get("signal")->source(), NotUnderstood(name, known, "signal"));
    }
    step->signal = found->second;
  }

  void ReadJob(const toml::table& table, Step* step) {
    v1::JobSpec& spec = step->spec;
    if (step->kind == StepKind::kRun) {
      for (const std::string& word : Texts(table, "argv")) spec.mutable_command()->add_argv(word);
      if (!spec.has_command()) return Fail(table.source(), "'argv' is missing");
    } else {
      spec.mutable_call()->set_task(Text(table, "task", true));
      ReadArguments(table, spec.mutable_call());
      static const auto* const modes = new std::map<std::string, v1::Mode>{
          {"auto", v1::MODE_AUTO}, {"fork", v1::MODE_FORK}, {"thread", v1::MODE_THREAD}};
      const std::string mode = Text(table, "mode", false);
      const auto found = modes->find(mode.empty() ? "auto" : mode);
      if (found == modes->end()) {
        return Fail(table.get("mode")->source(),
                    NotUnderstood(mode, {"auto", "fork", "thread"}, "mode"));
      }
      spec.set_mode(found->second);
    }
    if (const auto time = Duration(table, "timeout")) *spec.mutable_timeout() = *time;
    if (const auto time = Duration(table, "meter")) *spec.mutable_memory_meter() = *time;
    if (const auto time = Duration(table, "kill_if_stuck")) *spec.mutable_kill_if_stuck() = *time;
    spec.set_refuse_if_hazard(Flag(table, "refuse_if_hazard"));
    ReadParent(table, step);
    ReadTimes(table, step);
    if (const Status bad = ValidateJobSpec(spec)) return Fail(table.source(), bad->message);
    Define(table, "as", step, Known::kJob);
  }

  // 3, or "up to 1000".
  void ReadTimes(const toml::table& table, Step* step) {
    const toml::node* const times = table.get("times");
    if (times == nullptr) return;
    int64_t count = times->value_or(int64_t{0});
    const std::string text = times->is_string() ? times->value_or(std::string()) : "";
    const std::string_view up_to = "up to ";
    if (text.rfind(up_to, 0) == 0) {
      step->up_to = true;
      const char* const end = text.data() + text.size();
      const auto [stop, error] = std::from_chars(text.data() + up_to.size(), end, count);
      if (error != std::errc() || stop != end) count = 0;
    }
    if ((!times->is_integer() && !step->up_to) || count < 1 || count > kTimesMax) {
      return Fail(times->source(),
                  "'times' is a whole number from 1 to 2000, or \"up to N\" with such a number");
    }
    step->times = static_cast<uint32_t>(count);
  }

  void ReadArguments(const toml::table& table, v1::Call* call) {
    const toml::node* const node = table.get("args");
    if (node == nullptr) return;
    const toml::array* const array = node->as_array();
    if (array == nullptr) return Fail(node->source(), "'args' must be a list");
    for (const toml::node& one : *array) {
      v1::Value* const value = call->add_arguments()->mutable_value();
      if (one.is_string()) {
        value->set_text_value(one.value_or(std::string()));
      } else if (one.is_integer()) {
        value->set_int_value(one.value_or(int64_t{0}));
      } else if (one.is_floating_point()) {
        value->set_float_value(one.value_or(0.0));
      } else if (one.is_boolean()) {
        value->set_bool_value(one.value_or(false));
      } else {
        return Fail(one.source(), "an argument is a text, a number, true or false");
      }
    }
  }

  void ReadWait(const toml::table& table, Step* step) {
    const std::string words = Text(table, "for", true);
    const auto within = Duration(table, "within");
    step->within_ns =
        within ? within->seconds() * 1'000'000'000 + within->nanos() : kWithinDefaultNanos;
    if (error_) return;
    const size_t dot = words.find('.');
    step->target = words.substr(0, dot);
    step->event = dot == std::string::npos ? "" : words.substr(dot + 1);
    CheckNamed(table, "for", step->target, {Known::kJob, Known::kParent}, "a job or parent");
    const auto* const field = v1::Event::descriptor()->FindFieldByName(step->event);
    if (step->event != "ended" && (field == nullptr || field->containing_oneof() == nullptr)) {
      Fail(table.get("for")->source(),
           "'" + step->event +
               "' is no event; write e.g. 'NAME.started', 'NAME.ended' or "
               "'PARENT.parent_ended'");
    }
  }

  Expression Check(const toml::node& node, const std::string& text) {
    Result<Expression> expression = ParseExpression(text);
    if (!expression) {
      Fail(node.source(), expression.error().message);
      return Expression();
    }
    for (const Expression* const path : PathsOf(*expression)) {
      const std::string& name = path->path.front().name;
      if (name == "host" || names_.count(name) > 0) continue;
      Keys known;
      for (const auto& entry : names_) known.push_back(entry.first);
      const std::string nearest = NearestWord(name, known);
      Fail(node.source(), "'" + text + "' is about '" + name + "', which no step makes" +
                              (nearest.empty() ? "" : "; did you mean '" + nearest + "'?"));
    }
    return *std::move(expression);
  }

  void AddClaim(const toml::table& table) {
    CheckKeys(table, {"says", "check", "control"}, "a claim");
    Claim claim;
    claim.place = PlaceOf(table);
    claim.says = Text(table, "says", true);
    claim.control = Flag(table, "control");
    const toml::node* const node = table.get("check");
    if (node == nullptr) return Fail(table.source(), "'check' is missing");
    if (node->is_string()) {
      claim.checks.push_back(Check(*node, node->value_or(std::string())));
    } else if (const toml::array* const array = node->as_array()) {
      for (const toml::node& one : *array) {
        if (!one.is_string()) return Fail(one.source(), "'check' holds texts only");
        claim.checks.push_back(Check(one, one.value_or(std::string())));
      }
    }
    if (!error_ && claim.checks.empty())
      return Fail(node->source(), "'check' must be a text or a list of texts");
    experiment_.claims.push_back(std::move(claim));
  }

  void AddFigure(const toml::table& table) {
    CheckKeys(table, {"name", "value"}, "a figure");
    Figure figure;
    figure.name = Text(table, "name", true);
    const std::string value = Text(table, "value", true);
    if (error_) return;
    figure.value = Check(*table.get("value"), value);
    experiment_.figures.push_back(std::move(figure));
  }

  Experiment experiment_;
  std::map<std::string, Known> names_;
};

}  // namespace

Result<Experiment> ReadExperiment(std::string_view text, const std::string& origin) {
  return Reader(origin).Read(text);
}

}  // namespace brood
