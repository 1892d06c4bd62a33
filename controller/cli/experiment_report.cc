// SPDX-License-Identifier: Apache-2.0
#include "controller/cli/experiment_report.h"

#include <iostream>
#include <map>
#include <nlohmann/json.hpp>

#include "common/job/duration.h"
#include "common/job/text.h"
#include "controller/cli/table.h"
#include "controller/cli/visible.h"

namespace brood::cli {
namespace {

using Json = nlohmann::ordered_json;

std::string ClaimTitle(const Claim& claim) {
  return (claim.control ? "control: " : "") + claim.says;
}

// "'x.value == 5': x.value = 5".
std::string EvidenceOf(const Expression& check, const Checked& checked) {
  std::string text = "'" + check.text + "': ";
  for (size_t i = 0; i < checked.evidence.size(); ++i)
    text += (i > 0 ? ", " : "") + checked.evidence[i];
  return text;
}

Json ClaimJson(const Claim& claim, const ClaimVerdict& verdict) {
  Json checks = Json::array();
  for (size_t i = 0; i < claim.checks.size(); ++i) {
    const Checked& checked = verdict.checks[i];
    const bool holds = checked.truth == Truth::kTrue;
    Json check = {{"check", claim.checks[i].text},
                  {"result", holds                            ? "true"
                             : checked.truth == Truth::kFalse ? "false"
                                                              : "unknown"},
                  {"evidence", checked.evidence},
                  {"cursors", checked.cursors}};
    if (!checked.why.empty()) check["why"] = checked.why;
    checks.push_back(std::move(check));
  }
  Json json = {
      {"says", claim.says}, {"control", claim.control}, {"verdict", VerdictWord(verdict.verdict)}};
  if (!verdict.why.empty()) json["why"] = verdict.why;
  json["checks"] = std::move(checks);
  return json;
}

std::string XmlText(const std::string& text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '&':
        out += "&amp;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        // What XML cannot hold at all.
        out += static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t' ? '?' : c;
    }
  }
  return out;
}

std::string StepWords(const Step& step) {
  const std::string in = step.parent.empty() ? "" : " in parent " + step.parent;
  const std::string times =
      step.times == 1 ? ""
                      : (step.up_to ? ", up to " : ", ") + std::to_string(step.times) + " times";
  switch (step.kind) {
    case StepKind::kStartParent:
      return "start parent " + step.name + (step.watch ? ", watching its cells" : "");
    case StepKind::kCall: {
      std::string text = step.name + ": call " + step.spec.call().task();
      for (const v1::Argument& argument : step.spec.call().arguments()) {
        const v1::Value& value = argument.value();
        text += " " + (value.has_int_value()     ? std::to_string(value.int_value())
                       : value.has_float_value() ? FactText(Fact{value.float_value()})
                       : value.has_bool_value()  ? (value.bool_value() ? "true" : "false")
                                                 : value.text_value());
      }
      const char* const mode = step.spec.mode() == v1::MODE_THREAD ? " as a thread"
                               : step.spec.mode() == v1::MODE_FORK ? " as a fork"
                                                                   : "";
      return text + mode + in + times;
    }
    case StepKind::kRun: {
      std::string text = step.name + ": run";
      for (const std::string& word : step.spec.command().argv()) text += " " + word;
      return text + in + times;
    }
    case StepKind::kWait:
      return "wait for " + step.target + "." + step.event;
    case StepKind::kRead:
      return step.name + ": read cell " + step.cell + in + (step.copies ? " and in its forks" : "");
    case StepKind::kEndParent: {
      std::string how = v1::ParentEnd_Name(step.how).substr(std::string("PARENT_END_").size());
      return "end parent " + step.target + " by " + how;
    }
    case StepKind::kCancel:
      return "cancel " + step.target;
    case StepKind::kSignal:
      return "send signal " + std::to_string(step.signal) + " to " + step.target;
  }
  return "";
}

}  // namespace

Verdict WorstOf(const std::vector<ExperimentResult>& results) {
  Verdict worst = Verdict::kPassed;
  for (const ExperimentResult& result : results) {
    for (const HostVerdict& host : result.hosts) worst = Worse(worst, host.verdict);
  }
  return worst;
}

void PrintTable(const std::vector<ExperimentResult>& results, bool evidence, std::ostream& out) {
  Table table({"CLAIM", "HOST", "VERDICT", "HELD", "WHAT"});
  for (const ExperimentResult& result : results) {
    for (const HostVerdict& host : result.hosts) {
      size_t held = 0;
      for (const ClaimVerdict& claim : host.claims) held += claim.verdict == Verdict::kPassed;
      table.Add({result.experiment->name, host.host, VerdictWord(host.verdict),
                 std::to_string(held) + "/" + std::to_string(host.claims.size()),
                 result.experiment->title});
    }
  }
  table.Print(out);
  for (const ExperimentResult& result : results) {
    for (const HostVerdict& host : result.hosts) {
      const std::string whose = result.experiment->name + " on " + host.host;
      if (host.verdict != Verdict::kPassed && !host.why.empty())
        out << "\n" << whose << ": " << Visible(host.why) << "\n";
      for (size_t i = 0; i < host.claims.size(); ++i) {
        const ClaimVerdict& verdict = host.claims[i];
        const Claim& claim = result.experiment->claims[i];
        if (!evidence && verdict.verdict == Verdict::kPassed) continue;
        out << (evidence && i == 0 ? "\n" + whose + "\n" : "") << "  "
            << VerdictWord(verdict.verdict) << "  " << ClaimTitle(claim) << "\n";
        for (size_t k = 0; k < verdict.checks.size(); ++k)
          out << "      " << Visible(EvidenceOf(claim.checks[k], verdict.checks[k])) << "\n";
      }
      if (!evidence) continue;
      for (const auto& [name, value] : host.figures)
        out << "  figure  " << name << ": " << Visible(value) << "\n";
    }
  }
}

void PrintMarkdown(const std::vector<ExperimentResult>& results, std::ostream& out) {
  out << "| claim | host | verdict | what |\n|---|---|---|---|\n";
  for (const ExperimentResult& result : results) {
    for (const HostVerdict& host : result.hosts) {
      out << "| " << result.experiment->name << " | " << host.host << " | "
          << VerdictWord(host.verdict) << " | " << result.experiment->title << " |\n";
    }
  }
  for (const ExperimentResult& result : results) {
    out << "\n## " << result.experiment->name << ": " << result.experiment->title << "\n";
    for (const HostVerdict& host : result.hosts) {
      out << "\n### " << host.host << ": " << VerdictWord(host.verdict) << "\n\n";
      if (!host.why.empty()) out << Visible(host.why) << "\n\n";
      for (size_t i = 0; i < host.claims.size(); ++i) {
        const Claim& claim = result.experiment->claims[i];
        out << "* " << VerdictWord(host.claims[i].verdict) << ": " << ClaimTitle(claim) << "\n";
        for (size_t k = 0; k < host.claims[i].checks.size(); ++k) {
          out << "  * " << Visible(EvidenceOf(claim.checks[k], host.claims[i].checks[k])) << "\n";
        }
      }
      for (const auto& [name, value] : host.figures)
        out << "* figure: " << name << ": " << Visible(value) << "\n";
    }
  }
}

void PrintJson(const std::vector<ExperimentResult>& results, std::ostream& out) {
  Json all = Json::object();
  for (const ExperimentResult& result : results) {
    Verdict worst = Verdict::kPassed;
    Json evidence = Json::array();
    Json tokens = Json::object();
    Json hosts = Json::object();
    for (const HostVerdict& host : result.hosts) {
      worst = Worse(worst, host.verdict);
      tokens[host.host] = {{"first", host.first_token}, {"last", host.last_token}};
      Json claims = Json::array();
      for (size_t i = 0; i < host.claims.size(); ++i) {
        const Claim& claim = result.experiment->claims[i];
        claims.push_back(ClaimJson(claim, host.claims[i]));
        for (size_t k = 0; k < host.claims[i].checks.size(); ++k) {
          evidence.push_back(host.host + ": " +
                             EvidenceOf(claim.checks[k], host.claims[i].checks[k]));
        }
      }
      Json figures = Json::object();
      for (const auto& [name, value] : host.figures) figures[name] = value;
      Json one = {{"verdict", VerdictWord(host.verdict)}};
      if (!host.why.empty()) one["why"] = host.why;
      one["claims"] = std::move(claims);
      one["figures"] = std::move(figures);
      hosts[host.host] = std::move(one);
    }
    all[result.experiment->name] = {{"title", result.experiment->title},
                                    {"verdict", VerdictWord(worst)},
                                    {"evidence", std::move(evidence)},
                                    {"resumeTokens", std::move(tokens)},
                                    {"hosts", std::move(hosts)}};
  }
  // Bytes that are no text are shown as such, never a reason to print nothing.
  out << all.dump(1, ' ', false, Json::error_handler_t::replace) << "\n";
}

void PrintJUnit(const std::vector<ExperimentResult>& results, std::ostream& out) {
  out << "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"brood\">\n";
  const size_t hosts = results.empty() ? 0 : results.front().hosts.size();
  for (size_t h = 0; h < hosts; ++h) {
    size_t tests = 0;
    size_t failures = 0;
    size_t errors = 0;
    std::string cases;
    for (const ExperimentResult& result : results) {
      const HostVerdict& host = result.hosts[h];
      for (size_t i = 0; i < result.experiment->claims.size(); ++i) {
        const Claim& claim = result.experiment->claims[i];
        ++tests;
        cases += "  <testcase classname=\"" + XmlText(result.experiment->name) + "\" name=\"" +
                 XmlText(ClaimTitle(claim)) + "\"";
        const bool judged = i < host.claims.size();
        const Verdict verdict = judged ? host.claims[i].verdict : Verdict::kNotRun;
        if (verdict == Verdict::kPassed) {
          cases += "/>\n";
          continue;
        }
        const bool failed = verdict == Verdict::kFailed;
        ++(failed ? failures : errors);
        const std::string why =
            judged && !host.claims[i].why.empty() ? host.claims[i].why : host.why;
        cases += std::string(">\n    <") + (failed ? "failure" : "error") + " type=\"" +
                 VerdictWord(verdict) + "\" message=\"" + XmlText(why) + "\"/>\n  </testcase>\n";
      }
    }
    const std::string host = XmlText(results.front().hosts[h].host);
    out << " <testsuite name=\"" << host << "\" hostname=\"" << host << "\" tests=\"" << tests
        << "\" failures=\"" << failures << "\" errors=\"" << errors << "\">\n"
        << cases << " </testsuite>\n";
  }
  out << "</testsuites>\n";
}

void PrintExplanation(const Experiment& experiment, std::ostream& out) {
  out << experiment.name << ": " << experiment.title << "\n";
  if (!experiment.says.empty()) out << "\n" << experiment.says;
  if (!experiment.says.empty() && experiment.says.back() != '\n') out << "\n";
  out << "\nSteps, on each host:\n";
  for (size_t i = 0; i < experiment.steps.size(); ++i)
    out << "  " << i + 1 << ". " << StepWords(experiment.steps[i]) << "\n";
  out << "\nClaims:\n";
  for (const Claim& claim : experiment.claims) {
    out << "  - " << ClaimTitle(claim) << "\n";
    for (const Expression& check : claim.checks) out << "      " << check.text << "\n";
  }
  if (experiment.figures.empty()) return;
  out << "\nFigures, shown and not judged:\n";
  for (const Figure& figure : experiment.figures)
    out << "  - " << figure.name << ": " << figure.value.text << "\n";
}

}  // namespace brood::cli
