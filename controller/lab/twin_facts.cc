// SPDX-License-Identifier: Apache-2.0
#include "controller/lab/twin_facts.h"

#include <algorithm>
#include <cstdio>
#include <functional>

#include "common/job/value.h"

namespace brood {
namespace {

using Rounds = std::vector<TwinRound>;
using Seen = std::optional<bool>;

// What the rounds say together: true or false if all say so, nothing if one is unknown;
// `mixed` if some say this and some that.
struct Together {
  Seen all;
  bool mixed = false;
};

Together Ask(const Rounds& rounds, const std::function<Seen(const TwinRound&)>& question) {
  bool yes = false;
  bool no = false;
  bool unknown = rounds.empty();
  for (const TwinRound& round : rounds) {
    const Seen seen = question(round);
    unknown = unknown || !seen;
    yes = yes || (seen && *seen);
    no = no || (seen && !*seen);
  }
  Together together;
  together.mixed = yes && no;
  if (!unknown && yes != no) together.all = yes;
  return together;
}

bool Same(const v1::Value& a, const v1::Value& b) { return ValueToJson(a) == ValueToJson(b); }

Seen SameOf(const std::optional<v1::Value>& a, const std::optional<v1::Value>& b) {
  if (!a || !b) return std::nullopt;
  return Same(*a, *b);
}

std::string Text(const std::optional<v1::Value>& value) {
  return value ? ValueToJson(*value) : "unknown";
}

std::string Number(const std::optional<int32_t>& number) {
  return number ? std::to_string(*number) : "unknown";
}

std::string InRounds(const TwinFacts& facts) {
  if (facts.rounds.size() == 1) return "in the one round";
  return "in all " + std::to_string(facts.rounds.size()) + " rounds";
}

TwinFinding Mixed(const char* topic, const std::string& about) {
  return {topic, TwinVerdict::kUnknown,
          about + " was not the same in all rounds, so nothing is concluded from it."};
}

TwinFinding JudgeProcess(const TwinFacts& facts) {
  constexpr char kTopic[] = "process";
  const auto in_parent = [&facts](const TwinJob& job) -> Seen {
    if (!job.pid || !facts.parent_pid) return std::nullopt;
    return *job.pid == *facts.parent_pid;
  };
  const Together thread =
      Ask(facts.rounds, [&](const TwinRound& r) { return in_parent(r.thread); });
  const Together fork = Ask(facts.rounds, [&](const TwinRound& r) { return in_parent(r.fork); });
  if (thread.mixed || fork.mixed) return Mixed(kTopic, "In whose process the two ran");
  if (!thread.all || !fork.all) {
    return {kTopic, TwinVerdict::kUnknown,
            "In which process the two ran could not be read in every round."};
  }
  const TwinRound& last = facts.rounds.back();
  const auto told = [&](const char* name, const TwinJob& job, bool inside) {
    if (inside) {
      return std::string("the ") + name + " ran in the parent's own process " + Number(job.pid) +
             ", as its thread " + Number(job.tid);
    }
    return std::string("the ") + name + " was process " + Number(job.pid) + ", " +
           (job.ppid && job.ppid == facts.parent_pid
                ? "a child of the parent, process " + Number(facts.parent_pid)
                : "whose parent process was " + Number(job.ppid));
  };
  std::string sentence =
      told("thread", last.thread, *thread.all) + "; " + told("fork", last.fork, *fork.all) + ".";
  sentence[0] = 'T';
  if (*thread.all == *fork.all) {
    return {kTopic, TwinVerdict::kSame, sentence + " In that the two did not differ."};
  }
  return {kTopic, TwinVerdict::kDiffer, sentence};
}

// Both begin with what the parent held: the fork has a copy of it.
TwinFinding JudgeStartValue(const TwinFacts& facts) {
  constexpr char kTopic[] = "start value";
  const auto held = [](const TwinRound& round, const TwinJob& job) -> Seen {
    if (!job.found || !round.before.value) return std::nullopt;
    // The two run at once: what the thread has written may be there already.
    return Same(*job.found, *round.before.value) || SameOf(job.found, round.thread.wrote) == true;
  };
  const Together thread = Ask(facts.rounds, [&](const TwinRound& r) -> Seen {
    return SameOf(r.thread.found, r.before.value);
  });
  const Together fork = Ask(facts.rounds, [&](const TwinRound& r) { return held(r, r.fork); });
  if (thread.mixed || fork.mixed)
    return Mixed(kTopic, "Whether the two found what the parent held");
  if (!thread.all || !fork.all) {
    return {kTopic, TwinVerdict::kUnknown,
            "What the two found in the cell before they wrote could not be read in every round."};
  }
  const TwinRound& last = facts.rounds.back();
  const std::string found = "the thread found " + Text(last.thread.found) + ", the fork " +
                            Text(last.fork.found) + ", and the parent had held " +
                            Text(last.before.value);
  if (*thread.all && *fork.all) {
    return {kTopic, TwinVerdict::kSame,
            "Both began with what the parent held: last, " + found + "."};
  }
  return {kTopic, TwinVerdict::kDiffer,
          std::string("Not both began with what the parent held: ") + found + "."};
}

TwinFinding JudgeParent(const TwinFacts& facts) {
  constexpr char kTopic[] = "parent";
  const auto seen = [](const TwinJob& job) -> Seen {
    return job.in_parent ? job.in_parent->has_write : std::nullopt;
  };
  const Together thread = Ask(facts.rounds, [&](const TwinRound& r) { return seen(r.thread); });
  const Together fork = Ask(facts.rounds, [&](const TwinRound& r) { return seen(r.fork); });
  // The second way: by the parent's own word it holds what was read there from outside.
  const Together agree = Ask(facts.rounds, [](const TwinRound& r) -> Seen {
    return SameOf(r.after.value, r.after.outside);
  });
  if (thread.mixed || fork.mixed || agree.mixed) {
    return Mixed(kTopic, "Whose write was in the parent's memory");
  }
  if (!thread.all || !fork.all || !agree.all) {
    return {kTopic, TwinVerdict::kUnknown,
            "Whose write was in the parent's memory could not be read in every round, by the "
            "parent itself and from outside."};
  }
  const TwinRound& last = facts.rounds.back();
  if (!*agree.all) {
    return {kTopic, TwinVerdict::kUnknown,
            "The parent says that it holds " + Text(last.after.value) + ", but " +
                Text(last.after.outside) + " was read in its memory from outside."};
  }
  const std::string holds = "; the parent then held " + Text(last.after.value) +
                            ", by its own word and from outside, where the fork had left " +
                            Text(last.fork.wrote) + " in its memory.";
  const auto told = [](bool was) { return was ? "was" : "was not"; };
  if (*thread.all != *fork.all) {
    return {kTopic, TwinVerdict::kDiffer,
            std::string("What the thread wrote ") + told(*thread.all) +
                " in the parent's memory, what the fork wrote " + told(*fork.all) + ", " +
                InRounds(facts) + holds};
  }
  return {kTopic, TwinVerdict::kSame,
          std::string("What the thread wrote and what the fork wrote ") + told(*thread.all) +
              " in the parent's memory: in that they did not differ" + holds};
}

TwinFinding JudgeSibling(const TwinFacts& facts) {
  constexpr char kTopic[] = "sibling";
  const auto with = [&](std::optional<v1::Value> TwinRound::*sibling) {
    return Ask(facts.rounds, [&](const TwinRound& r) { return SameOf(r.*sibling, r.after.value); });
  };
  const Together thread = with(&TwinRound::sibling_thread);
  const Together fork = with(&TwinRound::sibling_fork);
  if (thread.mixed || fork.mixed) return Mixed(kTopic, "What siblings read");
  if (!thread.all || !fork.all) {
    return {kTopic, TwinVerdict::kUnknown,
            "What siblings found in the cell could not be read in every round."};
  }
  const TwinRound& last = facts.rounds.back();
  const std::string read = "a sibling thread read " + Text(last.sibling_thread) +
                           ", a sibling fork " + Text(last.sibling_fork) + ", the parent held " +
                           Text(last.after.value);
  if (!*thread.all || !*fork.all) {
    return {kTopic, TwinVerdict::kDiffer, "Not all saw the same afterwards: " + read + "."};
  }
  const Together of_thread = Ask(facts.rounds, [](const TwinRound& r) -> Seen {
    return r.thread.in_parent ? r.thread.in_parent->has_write : std::nullopt;
  });
  const Together of_fork = Ask(facts.rounds, [](const TwinRound& r) -> Seen {
    return r.fork.in_parent ? r.fork.in_parent->has_write : std::nullopt;
  });
  if (!of_thread.all || !of_fork.all) {
    return {kTopic, TwinVerdict::kUnknown,
            "Siblings saw what the parent held (" + read +
                "); whose write that was could not be read."};
  }
  if (*of_thread.all == *of_fork.all) {
    return {kTopic, TwinVerdict::kSame,
            std::string("Siblings saw what the parent held, with ") +
                (*of_thread.all ? "both writes" : "neither write") + ": " + read + "."};
  }
  return {kTopic, TwinVerdict::kDiffer,
          std::string("Siblings saw what the ") + (*of_thread.all ? "thread" : "fork") +
              " wrote, and not what the " + (*of_thread.all ? "fork" : "thread") +
              " wrote: " + read + "."};
}

// What became of one of the pair; nothing if it is not known.
std::optional<std::string> Fate(const char* name, const TwinLeftover& left) {
  if (left.ended_by_parent == true) return "the " + std::string(name) + " ended with it";
  if (left.job.end.empty() || !left.ended_after_parent) return std::nullopt;
  if (!*left.ended_after_parent) {
    return "the " + std::string(name) + " had ended before (" + left.job.end + ")";
  }
  std::string fate = "the " + std::string(name) + " went on";
  if (left.new_ppid) {
    fate += " as a child of process " + std::to_string(*left.new_ppid);
    if (!left.adopter.empty()) fate += " (" + left.adopter + ")";
  } else {
    fate += ", as whose child was not seen,";
  }
  return fate + " and ended by itself: " + left.job.end;
}

TwinFinding JudgeEnd(const TwinFacts& facts) {
  constexpr char kTopic[] = "end";
  const std::optional<std::string> thread =
      facts.end ? Fate("thread", facts.end->thread) : std::nullopt;
  const std::optional<std::string> fork = facts.end ? Fate("fork", facts.end->fork) : std::nullopt;
  if (!thread || !fork) {
    return {kTopic, TwinVerdict::kUnknown,
            "What became of the two when their parent ended could not be seen."};
  }
  const std::string sentence =
      "When the main thread of the parent returned, " + *thread + "; " + *fork + ".";
  const bool thread_with = facts.end->thread.ended_by_parent == true;
  const bool fork_with = facts.end->fork.ended_by_parent == true;
  if (thread_with == fork_with) {
    return {kTopic, TwinVerdict::kSame, sentence + " In that the two did not differ."};
  }
  const TwinLeftover& other = thread_with ? facts.end->fork : facts.end->thread;
  if (other.ended_after_parent != true) return {kTopic, TwinVerdict::kUnknown, sentence};
  return {kTopic, TwinVerdict::kDiffer, sentence};
}

TwinFinding JudgeStartTime(const TwinFacts& facts) {
  constexpr char kTopic[] = "start time";
  const std::optional<int64_t> thread = MedianStart(facts, &TwinRound::thread);
  const std::optional<int64_t> fork = MedianStart(facts, &TwinRound::fork);
  if (!thread || !fork || *thread <= 0 || *fork <= 0) {
    return {kTopic, TwinVerdict::kUnknown, "How long the two took to start could not be read."};
  }
  const std::string both = "Starting the thread took " + ShortTime(*thread) +
                           ", starting the fork " + ShortTime(*fork) + " (medians of " +
                           std::to_string(facts.rounds.size()) + ")";
  const double times = *fork > *thread ? static_cast<double>(*fork) / static_cast<double>(*thread)
                                       : static_cast<double>(*thread) / static_cast<double>(*fork);
  char factor[32];
  std::snprintf(factor, sizeof(factor), "%.1f", times);
  if (times < 1.05) return {kTopic, TwinVerdict::kSame, both + ": no difference to speak of."};
  return {kTopic, TwinVerdict::kDiffer,
          both + ": the " + (*fork > *thread ? "fork" : "thread") + " took " + factor +
              " times as long."};
}

TwinFinding JudgeMemory(const TwinFacts& facts) {
  constexpr char kTopic[] = "memory";
  if (!facts.end || (!facts.end->thread.job.own_bytes && !facts.end->fork.job.own_bytes)) {
    return {kTopic, TwinVerdict::kUnknown,
            "How much memory the two had of their own could not be read."};
  }
  const std::optional<uint64_t>& thread = facts.end->thread.job.own_bytes;
  const std::optional<uint64_t>& fork = facts.end->fork.job.own_bytes;
  const auto told = [](const std::optional<uint64_t>& bytes) {
    return bytes ? std::to_string(*bytes / 1024) + " KiB" : std::string("an unknown amount");
  };
  const std::string sentence = "Holding, the fork had " + told(fork) +
                               " of memory of its own by then, the thread " + told(thread) + ".";
  if (!thread || !fork) return {kTopic, TwinVerdict::kUnknown, sentence};
  return {kTopic, *thread == *fork ? TwinVerdict::kSame : TwinVerdict::kDiffer, sentence};
}

}  // namespace

std::vector<TwinFinding> JudgeTwin(const TwinFacts& facts) {
  std::vector<TwinFinding> findings = {
      JudgeProcess(facts), JudgeStartValue(facts), JudgeParent(facts), JudgeSibling(facts),
      JudgeEnd(facts),     JudgeStartTime(facts),  JudgeMemory(facts)};
  return findings;
}

std::optional<int64_t> Median(std::vector<int64_t> numbers) {
  if (numbers.empty()) return std::nullopt;
  const auto middle = numbers.begin() + static_cast<ptrdiff_t>((numbers.size() - 1) / 2);
  std::nth_element(numbers.begin(), middle, numbers.end());
  return *middle;
}

std::optional<int64_t> MedianStart(const TwinFacts& facts, TwinJob TwinRound::*job) {
  std::vector<int64_t> times;
  for (const TwinRound& round : facts.rounds) {
    if (!(round.*job).start_ns) return std::nullopt;
    times.push_back(*(round.*job).start_ns);
  }
  return Median(std::move(times));
}

std::string ShortTime(int64_t nanos) {
  char text[32];
  if (nanos < 1'000'000) {
    std::snprintf(text, sizeof(text), "%lld us", static_cast<long long>((nanos + 500) / 1000));
  } else {
    std::snprintf(text, sizeof(text), "%.1f ms", static_cast<double>(nanos) / 1e6);
  }
  return text;
}

}  // namespace brood
