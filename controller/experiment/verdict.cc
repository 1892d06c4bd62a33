// SPDX-License-Identifier: Apache-2.0
#include "controller/experiment/verdict.h"

namespace brood {
namespace {

int Badness(Verdict verdict) {
  switch (verdict) {
    case Verdict::kPassed:
      return 0;
    case Verdict::kUnknown:
      return 1;
    case Verdict::kNotRun:
      return 2;
    case Verdict::kFailed:
      return 3;
  }
  return 3;
}

// The first of its names whose step did not run, and why.
std::string NotRun(const Expression& check, const Observations& seen) {
  for (const Expression* const path : PathsOf(check)) {
    const auto found = seen.not_run.find(path->path.front().name);
    if (found != seen.not_run.end()) return found->second;
  }
  return "";
}

ClaimVerdict JudgeClaim(const Claim& claim, const Observations& seen) {
  ClaimVerdict judged;
  judged.verdict = Verdict::kPassed;
  for (const Expression& check : claim.checks) {
    Checked checked = Check(seen, check);
    const std::string not_run = NotRun(check, seen);
    Verdict verdict = Verdict::kPassed;
    std::string why;
    if (!not_run.empty()) {
      verdict = Verdict::kNotRun;
      why = not_run;
    } else if (checked.truth == Truth::kFalse) {
      verdict = Verdict::kFailed;
      why = "'" + check.text + "' does not hold";
    } else if (checked.truth == Truth::kUnknown) {
      verdict = Verdict::kUnknown;
      why = "'" + check.text + "' is not known: " + checked.why;
    }
    if (Badness(verdict) > Badness(judged.verdict)) {
      judged.verdict = verdict;
      judged.why = why;
    }
    judged.checks.push_back(std::move(checked));
  }
  return judged;
}

}  // namespace

const char* VerdictWord(Verdict verdict) {
  switch (verdict) {
    case Verdict::kPassed:
      return "PASSED";
    case Verdict::kFailed:
      return "FAILED";
    case Verdict::kUnknown:
      return "UNKNOWN";
    case Verdict::kNotRun:
      return "NOT_RUN";
  }
  return "UNKNOWN";
}

Verdict Worse(Verdict one, Verdict other) { return Badness(one) >= Badness(other) ? one : other; }

HostVerdict Judge(const Experiment& experiment, const Observations& seen) {
  HostVerdict judged;
  judged.host = seen.host;
  judged.verdict = Verdict::kPassed;
  judged.first_token = seen.first_token;
  judged.last_token = seen.last_token;
  for (const Claim& claim : experiment.claims) {
    ClaimVerdict verdict = JudgeClaim(claim, seen);
    if (Badness(verdict.verdict) > Badness(judged.verdict)) {
      judged.verdict = verdict.verdict;
      judged.why = verdict.why;
    }
    judged.claims.push_back(std::move(verdict));
  }
  if (!seen.broken.empty()) {
    judged.verdict = Worse(judged.verdict, Verdict::kNotRun);
    judged.why = seen.broken;
  }
  for (const Figure& figure : experiment.figures) {
    judged.figures.emplace_back(figure.name, FactText(Evaluate(seen, figure.value)));
  }
  return judged;
}

}  // namespace brood
