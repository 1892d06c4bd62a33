// SPDX-License-Identifier: Apache-2.0
#include "controller/lab/demo_facts.h"

#include <charconv>
#include <functional>

namespace brood {
namespace {

bool Started(const RanJob& ran) { return ran.job.has_pid() && ran.job.has_tid(); }

bool SameWords(const DemoFacts& facts) {
  const std::optional<int64_t> words = CountOf(facts.wc);
  return words && *words > 0 && CountOf(facts.words_fork) == words &&
         CountOf(facts.words_thread) == words;
}

bool ForkIsAChild(const DemoFacts& facts) {
  const int32_t parent = facts.after_thread.pid;
  for (const RanJob* ran : {&facts.words_fork, &facts.add_fork}) {
    if (!Started(*ran) || parent == 0) return false;
    if (ran->job.pid() == parent || ran->job.ppid() != parent) return false;
  }
  return true;
}

bool ThreadIsInside(const DemoFacts& facts) {
  const int32_t parent = facts.after_thread.pid;
  for (const RanJob* ran : {&facts.words_thread, &facts.add_thread}) {
    if (!Started(*ran) || parent == 0) return false;
    if (ran->job.pid() != parent || ran->job.tid() == parent) return false;
  }
  return true;
}

bool ThreadChangedIt(const DemoFacts& facts) {
  return CountOf(facts.add_thread) == kThreadAdds && facts.after_thread.value == kThreadAdds;
}

bool ForkBeganWithIt(const DemoFacts& facts) {
  return facts.after_thread.value &&
         CountOf(facts.add_fork) == *facts.after_thread.value + kForkAdds;
}

bool ForkChangedNothing(const DemoFacts& facts) {
  // The same life of the parent, the same place in its memory, the same value.
  return facts.after_fork.value && facts.after_fork.value == facts.after_thread.value &&
         facts.after_fork.pid == facts.after_thread.pid &&
         facts.after_fork.address == facts.after_thread.address &&
         CountOf(facts.add_fork) != facts.after_fork.value;
}

bool OnAll(const std::vector<DemoFacts>& hosts,
           const std::function<bool(const DemoFacts&)>& claim) {
  if (hosts.empty()) return false;
  for (const DemoFacts& facts : hosts)
    if (!claim(facts)) return false;
  return true;
}

}  // namespace

std::optional<int64_t> CountOf(const RanJob& ran) {
  if (ran.returned) {
    if (ran.returned->kind_case() != v1::Value::kIntValue) return std::nullopt;
    return ran.returned->int_value();
  }
  // "5644 /a/path\n"
  const size_t begin = ran.out.find_first_not_of(' ');
  if (begin == std::string::npos) return std::nullopt;
  int64_t count = 0;
  const char* const end = ran.out.data() + ran.out.size();
  if (std::from_chars(ran.out.data() + begin, end, count).ec != std::errc()) return std::nullopt;
  return count;
}

std::vector<Finding> Judge(const std::vector<DemoFacts>& hosts) {
  return {
      {"The answer is the same: program, fork and thread counted as many words.",
       OnAll(hosts, SameWords)},
      {"A fork is a process of its own: a new pid, and the parent is its parent process.",
       OnAll(hosts, ForkIsAChild)},
      {"A thread is inside the parent: the parent's own pid, and a thread id beside it.",
       OnAll(hosts, ThreadIsInside)},
      {"What a thread writes, the parent has: both hold the same value.",
       OnAll(hosts, ThreadChangedIt)},
      {"A fork begins with a copy: it found what the thread had written.",
       OnAll(hosts, ForkBeganWithIt)},
      {"What a fork writes stays its own: the parent's cell did not change.",
       OnAll(hosts, ForkChangedNothing)},
  };
}

}  // namespace brood
