// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdlib>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "agent/tasks/demo.h"

namespace demo {
namespace {

using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

// A hundred years: what is more would not fit in nanoseconds.
constexpr double kSecondsMax = 100.0 * 366 * 24 * 3600;
// How often a long task says how far it is and looks at its stop token.
constexpr Seconds kStep(0.05);
// The same for one that holds for long: a thousand of them at once would keep a CPU busy with it.
constexpr Seconds kLongStep(1);
// Steps of one that holds for neither long nor short.
constexpr double kSteps = 200;
// 64 KiB is what a pipe gives at most; larger reads of files gain little.
constexpr size_t kReadBytes = 64 * 1024;
// A sieve segment that stays in the first-level cache.
constexpr int64_t kSieveSegment = 32 * 1024;
// Above, 10^12, the sieve would take most of an hour.
constexpr int64_t kPrimesMax = 1'000'000'000'000;

double CheckSeconds(double seconds) {
  if (!(seconds >= 0 && seconds <= kSecondsMax)) {
    throw brood::TaskError("SECONDS must be from 0 to 100 years");
  }
  return seconds;
}

}  // namespace

void HoldFor(brood::Job& job, double seconds) {
  const Seconds whole(CheckSeconds(seconds));
  const Seconds step = std::clamp(whole / kSteps, kStep, kLongStep);
  const auto start = Clock::now();
  for (;;) {
    const Seconds gone = Clock::now() - start;
    if (gone >= whole) break;
    job.Progress(gone / whole, "holding");
    if (!job.sleep_for(std::min(step, whole - gone))) throw brood::Stopped();
  }
  job.Progress(1, "held");
}

namespace {

// Uses a CPU all the time, unlike Hold.
void Spin(brood::Job& job, double seconds, std::optional<std::string> done) {
  const Seconds whole(CheckSeconds(seconds));
  const auto start = Clock::now();
  for (;;) {
    const Seconds gone = Clock::now() - start;
    if (gone >= whole) break;
    job.ThrowIfStopped();
    job.Progress(gone / whole, "spinning");
    volatile uint64_t sink = 0;
    for (uint64_t i = 0; i < 100'000; ++i) sink = sink + i;
  }
  job.Progress(1, "spun");
  if (done) job.cell(*done).Add(1);
}

// What `wc -w` counts in the C locale: runs of bytes that are not white space and
// of which at least one can be printed.
int64_t CountWords(brood::Job& job, std::string path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY);
  if (fd < 0) throw std::system_error(errno, std::generic_category(), "cannot open '" + path + "'");
  struct Closer {
    int fd;
    ~Closer() { ::close(fd); }
  } const closer{fd};
  const off_t size = ::lseek(fd, 0, SEEK_END);
  ::lseek(fd, 0, SEEK_SET);
  std::vector<unsigned char> bytes(kReadBytes);
  int64_t words = 0;
  int64_t done = 0;
  bool in_word = false;
  for (;;) {
    const ssize_t got = ::read(fd, bytes.data(), bytes.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      throw std::system_error(errno, std::generic_category(), "cannot read '" + path + "'");
    }
    if (got == 0) break;
    for (ssize_t i = 0; i < got; ++i) {
      const unsigned char byte = bytes[static_cast<size_t>(i)];
      if (byte == ' ' || (byte >= '\t' && byte <= '\r')) {
        in_word = false;
      } else if (byte > ' ' && byte < 0x7f && !in_word) {
        // Other bytes neither begin a word nor end one.
        in_word = true;
        ++words;
      }
    }
    done += got;
    job.ThrowIfStopped();
    if (size > 0)
      job.Progress(std::min(1.0, static_cast<double>(done) / static_cast<double>(size)));
  }
  return words;
}

// A segmented sieve: memory stays small, whatever N is.
int64_t CountPrimes(brood::Job& job, int64_t n) {
  if (n > kPrimesMax) throw brood::TaskError("N must be at most " + std::to_string(kPrimesMax));
  if (n < 2) return 0;
  const auto root = static_cast<int64_t>(std::sqrt(static_cast<double>(n))) + 1;
  std::vector<bool> composite(static_cast<size_t>(root) + 1);
  std::vector<int64_t> primes;
  for (int64_t i = 2; i <= root; ++i) {
    if (composite[static_cast<size_t>(i)]) continue;
    primes.push_back(i);
    for (int64_t j = i * i; j <= root; j += i) composite[static_cast<size_t>(j)] = true;
  }
  int64_t count = 0;
  std::vector<char> segment(static_cast<size_t>(kSieveSegment));
  auto said = Clock::now();
  for (int64_t low = 2; low <= n; low += kSieveSegment) {
    const int64_t high = std::min(low + kSieveSegment - 1, n);
    std::fill(segment.begin(), segment.end(), char{0});
    for (const int64_t prime : primes) {
      if (prime * prime > high) break;
      int64_t first = std::max(prime * prime, (low + prime - 1) / prime * prime);
      for (; first <= high; first += prime) segment[static_cast<size_t>(first - low)] = 1;
    }
    count += std::count(segment.begin(), segment.begin() + (high - low + 1), char{0});
    job.ThrowIfStopped();
    if (Clock::now() - said >= kStep) {
      said = Clock::now();
      job.Progress(static_cast<double>(high) / static_cast<double>(n),
                   "up to " + std::to_string(high));
    }
  }
  job.Progress(1);
  return count;
}

// The real faults, which sanitizers would otherwise report in their own way.
#define BROOD_UNCHECKED __attribute__((noinline, no_sanitize("address", "undefined", "thread")))

BROOD_UNCHECKED void TouchNothing() {
  volatile int* volatile nowhere = nullptr;
  *nowhere = 1;
}

BROOD_UNCHECKED void DivideByZero() {
  // Both unknown to the compiler: it would turn 1 / x into a comparison.
  volatile int one = 1;
  volatile int zero = 0;
  volatile int result = one / zero;
  static_cast<void>(result);
}

BROOD_UNCHECKED void UseUpTheStack() {
  for (;;) {
    auto* const room = static_cast<volatile char*>(__builtin_alloca(4096));
    room[0] = 1;
  }
}

[[noreturn]] void Crash(std::string how) {
  if (how == "segv") TouchNothing();
  if (how == "fpe") DivideByZero();
  if (how == "stack") UseUpTheStack();
  if (how == "ill") __builtin_trap();
  if (how == "bus") ::raise(SIGBUS);
  if (how == "abort") std::abort();
  if (how == "terminate") std::terminate();
  if (how == "exit") std::exit(3);
  if (how == "_exit") ::_exit(4);
  if (how == "throw") throw std::runtime_error("thrown on purpose");
  if (how == "kill" || how == "term") {
    ::kill(::getpid(), how == "kill" ? SIGKILL : SIGTERM);
    // SIGTERM may be blocked, or come to another thread first.
    for (;;) ::pause();
  }
  throw brood::TaskError("HOW cannot be '" + how +
                         "'; it must be segv, fpe, stack, ill, bus, abort, terminate, exit, "
                         "_exit, throw, kill or term");
}

std::string Program() {
  std::string path(4096, '\0');
  const ssize_t size = ::readlink("/proc/self/exe", path.data(), path.size());
  if (size < 0) throw std::system_error(errno, std::generic_category(), "cannot read its program");
  path.resize(static_cast<size_t>(size));
  return path;
}

// For a fork: no time passes for it until its parent process is another one.
brood::Value WaitForOrphanhood(brood::Job& job, std::optional<std::string> cell) {
  if (job.is_thread()) throw brood::TaskError("a thread has no parent of its own to outlive");
  const pid_t parent = ::getppid();
  while (::getppid() == parent) {
    if (!job.sleep_for(std::chrono::milliseconds(2))) throw brood::Stopped();
    job.Progress(0, "waiting for the end of its parent");
  }
  return cell ? job.cell<brood::Value>(*cell).Read() : brood::Value();
}

std::string Where(brood::Job& job) {
  return "pid " + std::to_string(::getpid()) + " tid " + std::to_string(::syscall(SYS_gettid)) +
         " ppid " + std::to_string(::getppid()) + (job.is_thread() ? " thread" : " fork");
}

}  // namespace

void AddWorkTasks(brood::Library& library) {
  library.Add("hold", "works for SECONDS, saying how far it is; returns VALUE",
              {"seconds", "value"},
              [](brood::Job& job, double seconds, std::optional<brood::Value> value) {
                HoldFor(job, seconds);
                return value.value_or(brood::Value());
              });
  AddAlsoOnMain(library, "spin",
                "uses a whole CPU for SECONDS; then adds 1 to DONE, if it is named",
                {"seconds", "done"}, Spin);
  library.Add("deaf", "sleeps for SECONDS and never looks whether it was asked to stop",
              {"seconds"},
              [](double seconds) { std::this_thread::sleep_for(Seconds(CheckSeconds(seconds))); });
  AddAlsoOnMain(library, "words",
                "counts the words in the file PATH, as wc -w does in the C locale", {"path"},
                CountWords);
  library.Add("primes", "counts the primes up to N", {"n"}, CountPrimes);
  library.Add("crash",
              "ends badly, by HOW: segv, fpe, stack, ill, bus, abort, terminate, exit, _exit, "
              "throw, kill, term",
              {"how"}, Crash, brood::kIsolated);
  library.Add("echo", "returns TEXT", {"text"}, [](std::string text) { return text; });
  library.Add("print", "writes TEXT and a newline to the job's output", {"text"},
              [](brood::Job& job, std::string text) { job.out() << text << "\n"; });
  library.Add("print.error", "writes TEXT and a newline to the job's error output", {"text"},
              [](brood::Job& job, std::string text) { job.err() << text << "\n"; });
  library.Add("fail", "throws TEXT", {"text"},
              [](std::string text) { throw std::runtime_error(text); });
  library.Add("noop", "does nothing; for measuring", {}, [] {});
  library.Add("program", "returns the program that it runs in", {}, Program);
  library.Add("orphan",
              "as a fork: waits until its parent process has ended; returns what CELL then holds",
              {"cell"}, WaitForOrphanhood);
  library.Add("where", "returns the process and the thread it runs in", {}, Where);
}

}  // namespace demo
