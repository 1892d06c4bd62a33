// SPDX-License-Identifier: Apache-2.0
#include <sched.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "agent/tasks/demo.h"

namespace demo {
namespace {

// An object that lives in the parent. Atomic, so that threads may share it and a
// fork never inherits a held lock.
class Counter {
 public:
  // By way of another of its methods: that one, too, acts on this instance.
  int64_t Add(int64_t n) {
    value_ += n;
    return Value();
  }
  int64_t Value() const { return value_; }
  const std::atomic<int64_t>& shown() const { return value_; }
  std::string Address() const {
    char text[32];
    std::snprintf(text, sizeof(text), "%p", static_cast<const void*>(this));
    return text;
  }

 private:
  std::atomic<int64_t> value_{0};
};

// A variable of the library itself, outside every cell: the same in all threads
// of a parent, a copy in its forks.
constinit std::atomic<int64_t> static_value{0};

constinit brood::Objects<Counter> counters{"demo.counter"};
constinit Counter total;

int64_t AddStatic(int64_t n) { return static_value += n; }

// Reads and writes in two steps with a breath between: concurrent ones get lost.
int64_t AddUnsafely(brood::Job& job, std::string name, int64_t times) {
  const auto cell = job.cell(std::move(name));
  for (int64_t i = 0; i < times; ++i) {
    job.ThrowIfStopped();
    const int64_t before = cell.TryRead().value_or(0);
    ::sched_yield();
    cell.Write(before + 1);
  }
  return cell.Read();
}

int64_t AddSafely(brood::Job& job, std::string name, int64_t times) {
  const auto cell = job.cell(std::move(name));
  for (int64_t i = 0; i < times; ++i) {
    job.ThrowIfStopped();
    cell.Add(1);
  }
  return cell.Read();
}

// Waits until a cell holds that value: two live threads can talk so; a fork
// waits in vain for what others write.
bool WaitFor(brood::Job& job, std::string name, brood::Value wanted,
             std::optional<double> seconds) {
  using Clock = std::chrono::steady_clock;
  const auto cell = job.cell<brood::Value>(std::move(name));
  const auto deadline = Clock::now() + std::chrono::duration<double>(seconds.value_or(10));
  for (;;) {
    const auto now = cell.TryRead();
    if (now == wanted) return true;
    if (Clock::now() >= deadline) return false;
    if (!job.sleep_for(std::chrono::milliseconds(1))) throw brood::Stopped();
  }
}

// Adds, then holds what it then has for others to look at; what that is at the end.
int64_t AddAndHold(brood::Job& job, std::string name, int64_t n, double seconds) {
  const auto cell = job.cell(std::move(name));
  cell.Add(n);
  HoldFor(job, seconds);
  return cell.Read();
}

// Tells whether a task was left in any other way than by the end of its whole process: the
// kernel runs no destructor, whoever ends a thread by itself does.
void Sentinel(brood::Job& job, std::string name, double seconds) {
  const auto left = job.shared_cell(std::move(name));
  struct Guard {
    const brood::Cell<int64_t>& cell;
    ~Guard() { cell.Add(1); }
  } const guard{left};
  HoldFor(job, seconds);
}

// Two of these, with the names exchanged, talk: each waits for the other's number and answers
// with the next.
int64_t PingPong(brood::Job& job, std::string mine, std::string theirs, int64_t rounds) {
  const auto own = job.cell(std::move(mine));
  const auto other = job.cell(std::move(theirs));
  for (int64_t round = 1; round <= rounds; ++round) {
    own.Write(round);
    while (other.TryRead().value_or(0) < round) {
      if (!job.sleep_for(std::chrono::milliseconds(1))) throw brood::Stopped();
    }
  }
  return other.Read();
}

// Writes each number, so that who watches sees them come; so many a second, if that is said.
int64_t WriteSequence(brood::Job& job, std::string name, int64_t from, int64_t to,
                      std::optional<int64_t> per_second) {
  using Clock = std::chrono::steady_clock;
  const auto cell = job.cell(std::move(name));
  const int64_t rate = per_second.value_or(0);
  if (rate < 0) throw brood::TaskError("PER_SECOND must not be negative");
  // A sleep is not shorter: at high rates, several numbers between two of them.
  const int64_t burst = rate / 1000 + 1;
  const auto start = Clock::now();
  for (int64_t i = from; i <= to; ++i) {
    job.ThrowIfStopped();
    cell.Write(i);
    if (i == to) break;  // The last one may be the largest there is.
    const int64_t written = i - from + 1;
    if (rate == 0 || written % burst != 0) continue;
    const std::chrono::duration<double> due(static_cast<double>(written) /
                                            static_cast<double>(rate));
    const auto early = due - (Clock::now() - start);
    if (early.count() > 0 && !job.sleep_for(early)) throw brood::Stopped();
  }
  return cell.Read();
}

// Memory that is there, so that a fork has to copy its page tables.
int64_t MakeBlock(brood::Job& job, std::string name, int64_t mebibytes, std::optional<bool> huge) {
  constexpr int64_t kMebibytesMax = 64 * 1024;
  if (mebibytes < 1 || mebibytes > kMebibytesMax) {
    throw brood::TaskError("MIB must be from 1 to " + std::to_string(kMebibytesMax));
  }
  const std::span<std::byte> block = job.block(name, static_cast<size_t>(mebibytes) << 20,
                                               huge.value_or(false) ? brood::kHugePages : 0);
  constexpr size_t kPageBytes = 4096;
  for (size_t at = 0; at < block.size(); at += kPageBytes) {
    if (at % (size_t{1} << 20) == 0) job.ThrowIfStopped();
    block[at] = std::byte{1};
  }
  return static_cast<int64_t>(block.size());
}

}  // namespace

void AddMemoryTasks(brood::Library& library) {
  using brood::kSharesMemory;
  library.Add(
      "add", "adds N to CELL in one step; returns its new value", {"cell", "n"},
      [](brood::Job& job, std::string cell, int64_t n) { return job.cell(cell).Add(n); },
      kSharesMemory);
  library.Add(
      "read", "returns what CELL holds; an unknown cell is an error", {"cell"},
      [](brood::Job& job, std::string cell) { return job.cell<brood::Value>(cell).Read(); },
      kSharesMemory);
  library.Add(
      "write", "makes CELL hold VALUE, or nothing; returns it", {"cell", "value"},
      [](brood::Job& job, std::string cell, std::optional<brood::Value> value) {
        const brood::Value held = value.value_or(brood::Value());
        job.cell<brood::Value>(cell).Write(held);
        return held;
      },
      kSharesMemory);
  library.Add("add.unsafe",
              "adds 1 to CELL, TIMES times, reading and writing in two steps; returns what it "
              "then holds",
              {"cell", "times"}, AddUnsafely, kSharesMemory);
  library.Add("add.safe",
              "adds 1 to CELL, TIMES times, in one step each; returns what it then holds",
              {"cell", "times"}, AddSafely, kSharesMemory);
  AddAlsoOnMain(
      library, "wait",
      "waits until CELL holds VALUE, at most SECONDS (10); returns whether it came to that",
      {"cell", "value", "seconds"}, WaitFor, kSharesMemory);
  library.Add(
      "share",
      "makes CELL one that the parent and all its forks have in common, and writes N (0) to it; "
      "returns N",
      {"cell", "n"},
      [](brood::Job& job, std::string cell, std::optional<int64_t> n) {
        job.shared_cell(cell).Write(n.value_or(0));
        return n.value_or(0);
      },
      kSharesMemory);
  library.Add("add.hold", "adds N to CELL and holds for SECONDS; returns what CELL then holds",
              {"cell", "n", "seconds"}, AddAndHold);
  library.Add(
      "sentinel",
      "holds for SECONDS; adds 1 to the shared cell CELL if it is left other than by the end "
      "of its process",
      {"cell", "seconds"}, Sentinel);
  library.Add("pingpong",
              "writes 1 to ROUNDS into MINE, each number once THEIRS holds the one before; returns "
              "the last of THEIRS",
              {"mine", "theirs", "rounds"}, PingPong, kSharesMemory);
  library.Add("seq",
              "writes the numbers FROM to TO into CELL, one after the other, PER_SECOND if that is "
              "said; returns the last",
              {"cell", "from", "to", "per_second"}, WriteSequence, kSharesMemory);
  library.Add("block",
              "makes CELL a block of MIB MiB of memory, on huge pages if HUGE is true, and touches "
              "all of it; returns its bytes",
              {"cell", "mib", "huge"}, MakeBlock, kSharesMemory);
  library.Add(
      "counter.show", "lets the counter OBJECT be read as the cell demo.counter.OBJECT", {"object"},
      [](brood::Job& job, std::string object) { return counters.Get(job, object).Value(); },
      kSharesMemory);
  library.Show("static", static_value);
  library.Show("total", total.shown());
  library.Add("counter.add", "adds N to the counter OBJECT; returns its new value", {"object", "n"},
              brood::Unbound(counters, &Counter::Add), kSharesMemory);
  library.Add("counter.value", "returns the value of the counter OBJECT", {"object"},
              brood::Unbound(counters, &Counter::Value), kSharesMemory);
  library.Add("counter.address", "returns where the counter OBJECT is in memory", {"object"},
              brood::Unbound(counters, &Counter::Address), kSharesMemory);
  library.Add("total.add", "adds N to the library's one total; returns its new value", {"n"},
              brood::Bind(total, &Counter::Add), kSharesMemory);
  library.Add("total.value", "returns the library's one total", {},
              brood::Bind(std::as_const(total), &Counter::Value), kSharesMemory);
  library.Add("static.add", "adds N to a static variable of the library; returns its new value",
              {"n"}, AddStatic, kSharesMemory);
  library.Add(
      "static.value", "returns the static variable of the library", {},
      [] { return static_value.load(); }, kSharesMemory);
}

}  // namespace demo
