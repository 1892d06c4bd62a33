// SPDX-License-Identifier: Apache-2.0
//
// A task library written straight against task.h, for the parent's tests: what
// each task does is said by its summary. BROOD_TEST_FAULT in the environment
// makes it a library that must be refused.
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include "agent/sdk/task.h"

extern char** environ;

namespace {

std::string TextOf(const brood_value& value) { return std::string(value.data, value.size); }

int ReturnInt(const brood_host* host, brood_job* job, int64_t number) {
  brood_value value{};
  value.type = BROOD_INT;
  value.integer = number;
  host->return_value(job, &value);
  return BROOD_TASK_RETURNED;
}

int ReturnText(const brood_host* host, brood_job* job, const std::string& text) {
  brood_value value{};
  value.type = BROOD_TEXT;
  value.data = text.data();
  value.size = text.size();
  const int refused = host->return_value(job, &value);
  if (refused == BROOD_OK) return BROOD_TASK_RETURNED;
  const std::string thrown = "return_value answered " + std::to_string(refused);
  host->throw_text(job, thrown.data(), thrown.size());
  return BROOD_TASK_THREW;
}

int Threw(const brood_host* host, brood_job* job, const std::string& text) {
  host->throw_text(job, text.data(), text.size());
  return BROOD_TASK_THREW;
}

#define TASK(name)                                                                       \
  int name([[maybe_unused]] const brood_host* host, [[maybe_unused]] brood_job* job,     \
           [[maybe_unused]] const brood_value* arguments, [[maybe_unused]] size_t count, \
           [[maybe_unused]] void* context)

TASK(Add) {
  int64_t now = 0;
  const int refused = host->cell_add(job, TextOf(arguments[0]).c_str(), arguments[1].integer, &now);
  return refused == BROOD_OK ? ReturnInt(host, job, now)
                             : Threw(host, job, "cell_add answered " + std::to_string(refused));
}

TASK(Read) {
  brood_value value{};
  const int refused = host->cell_read(job, TextOf(arguments[0]).c_str(), &value);
  if (refused != BROOD_OK) {
    return Threw(host, job, "cell_read answered " + std::to_string(refused));
  }
  host->return_value(job, &value);
  return BROOD_TASK_RETURNED;
}

TASK(Write) {
  const int refused = host->cell_write(job, TextOf(arguments[0]).c_str(), &arguments[1]);
  return refused == BROOD_OK ? BROOD_TASK_RETURNED
                             : Threw(host, job, "cell_write answered " + std::to_string(refused));
}

TASK(Echo) {
  host->return_value(job, &arguments[0]);
  return BROOD_TASK_RETURNED;
}

TASK(Nothing) { return BROOD_TASK_RETURNED; }

TASK(Hold) {
  host->progress(job, 0.5, "holding", 7);
  const int64_t nanoseconds = arguments[0].integer * 1'000'000;
  if (host->sleep(job, nanoseconds) == BROOD_STOPPED) return BROOD_TASK_STOPPED;
  return ReturnInt(host, job, host->stop_requested(job));
}

// Memory of many sizes, each part written and read again.
bool AllocatesRight(uint64_t seed) {
  std::vector<std::string> parts;
  for (uint64_t i = 0; i < 64; ++i)
    parts.emplace_back((seed * 2'654'435'761 + i * 40'503) % 6'000 + 1,
                       static_cast<char>('a' + i % 26));
  for (uint64_t i = 0; i < parts.size(); ++i) {
    if (parts[i].front() != static_cast<char>('a' + i % 26) || parts[i].back() != parts[i].front())
      return false;
  }
  return true;
}

TASK(Allocate) {
  const auto seed = static_cast<uint64_t>(arguments[0].integer);
  return ReturnInt(host, job, AllocatesRight(seed) ? arguments[0].integer : -1);
}

// With moments in between: a fork waits for who was interrupted in the allocator, on few CPUs very
// long.
TASK(Churn) {
  host->progress(job, 0, "churning", 8);
  for (uint64_t round = 0; host->sleep(job, 300'000) != BROOD_STOPPED; ++round) {
    if (!AllocatesRight(round)) return Threw(host, job, "memory is not what was written to it");
  }
  return BROOD_TASK_STOPPED;
}

TASK(Print) {
  if (count < 2) return Threw(host, job, "no stream was given");
  const int failed = host->write(job, static_cast<int>(arguments[1].integer), arguments[0].data,
                                 arguments[0].size);
  return ReturnInt(host, job, failed);
}

TASK(Throw) { return Threw(host, job, TextOf(arguments[0])); }

// Breaks the rule that no exception leaves a task.
TASK(Escape) { throw std::runtime_error(TextOf(arguments[0])); }

// Without an end, but the compiler must not know.
[[gnu::noinline]] int Overflow(volatile int* depth) {
  volatile char frame[4096];
  *depth = *depth + 1;
  frame[0] = static_cast<char>(*depth);
  return *depth > 0 ? Overflow(depth) + frame[0] : 0;
}

TASK(Crash) {
  const std::string how = TextOf(arguments[0]);
  if (how == "segv") {
    volatile uintptr_t nowhere = 8;
    *reinterpret_cast<volatile int*>(nowhere) = 1;
  }
  if (how == "abort") std::abort();
  volatile int depth = 0;
  if (how == "overflow") return Overflow(&depth);
  if (how == "exit") std::exit(static_cast<int>(arguments[1].integer));
  return BROOD_TASK_RETURNED;
}

TASK(Progress) {
  for (int64_t i = 1; i <= arguments[0].integer; ++i) {
    const std::string text = "step " + std::to_string(i);
    host->progress(job, static_cast<double>(i) / static_cast<double>(arguments[0].integer),
                   text.data(), text.size());
  }
  return BROOD_TASK_RETURNED;
}

TASK(Descriptors) {
  std::string open;
  for (int fd = 0; fd < 4096; ++fd) {
    if (::fcntl(fd, F_GETFD) >= 0) open += std::to_string(fd) + " ";
  }
  return ReturnText(host, job, open);
}

TASK(Big) {
  return ReturnText(host, job, std::string(static_cast<size_t>(arguments[0].integer), 'x'));
}

TASK(Input) {
  std::string text;
  char bytes[256];
  ssize_t got;
  while ((got = ::read(0, bytes, sizeof(bytes))) > 0) text.append(bytes, static_cast<size_t>(got));
  return ReturnText(host, job, text);
}

TASK(Environment) {
  const char* const value = std::getenv(TextOf(arguments[0]).c_str());
  return value != nullptr ? ReturnText(host, job, value) : BROOD_TASK_RETURNED;
}

TASK(WorkingDirectory) {
  char path[4096];
  return ReturnText(host, job, ::getcwd(path, sizeof(path)) != nullptr ? path : "?");
}

// Changes a cell for as long as the other end of a FIFO is open.
brood_value WaitForFifo(const brood_value* before, void* context) {
  const int fd = ::open(static_cast<const char*>(context), O_RDONLY);
  char byte;
  while (::read(fd, &byte, 1) > 0) {
  }
  ::close(fd);
  return *before;
}

TASK(LockCell) {
  std::string fifo = TextOf(arguments[1]);
  host->cell_update(job, TextOf(arguments[0]).c_str(), WaitForFifo, fifo.data(), nullptr);
  return BROOD_TASK_RETURNED;
}

// Prints by stdio and does not flush.
TASK(Buffer) {
  std::fputs(TextOf(arguments[0]).c_str(), stdout);
  return BROOD_TASK_RETURNED;
}

TASK(ForkInside) {
  const pid_t child = ::fork();
  if (child == 0) return ReturnInt(host, job, 666);
  int status = 0;
  ::waitpid(child, &status, 0);
  return ReturnInt(host, job, status);
}

TASK(ThreadExit) {
  ReturnInt(host, job, 5);
  pthread_exit(nullptr);
}

TASK(IgnoreChildren) {
  struct sigaction action {};
  action.sa_handler = SIG_IGN;
  ::sigaction(SIGCHLD, &action, nullptr);
  return BROOD_TASK_RETURNED;
}

TASK(IgnoreSignal) {
  ::signal(static_cast<int>(arguments[0].integer), SIG_IGN);
  return BROOD_TASK_RETURNED;
}

TASK(Signals) {
  std::string changed;
  for (int number = 1; number < NSIG; ++number) {
    struct sigaction action {};
    if (::sigaction(number, nullptr, &action) == 0 && action.sa_handler != SIG_DFL)
      changed += std::to_string(number) + " ";
  }
  return ReturnText(host, job, changed);
}

TASK(Linger) {
  std::atexit([] {
    for (;;) ::pause();
  });
  return BROOD_TASK_RETURNED;
}

TASK(Where) {
  return ReturnText(host, job,
                    std::string(host->job_id(job)) + (host->is_thread(job) ? " thread" : " fork"));
}

const brood_parameter kCell[] = {{"cell", BROOD_TEXT, 0}};
const brood_parameter kCellAndNumber[] = {{"cell", BROOD_TEXT, 0}, {"number", BROOD_INT, 0}};
const brood_parameter kCellAndValue[] = {{"cell", BROOD_TEXT, 0}, {"value", BROOD_JSON, 0}};
const brood_parameter kAny[] = {{"value", BROOD_JSON, 0}};
const brood_parameter kFloat[] = {{"value", BROOD_FLOAT, 0}};
const brood_parameter kNumber[] = {{"number", BROOD_INT, 0}};
const brood_parameter kText[] = {{"text", BROOD_TEXT, 0}};
const brood_parameter kTextAndNumber[] = {{"text", BROOD_TEXT, 0}, {"number", BROOD_INT, 1}};
const brood_parameter kCellAndText[] = {{"cell", BROOD_TEXT, 0}, {"fifo", BROOD_TEXT, 0}};

template <size_t N>
constexpr brood_task Task(const char* name, const char* summary,
                          const brood_parameter (&parameters)[N], uint32_t result,
                          decltype(brood_task::run) run, uint32_t flags = 0) {
  return brood_task{name, summary, parameters, N, result, flags, 0, run, nullptr};
}

brood_task Plain(const char* name, const char* summary, uint32_t result,
                 decltype(brood_task::run) run) {
  return brood_task{name, summary, nullptr, 0, result, 0, 0, run, nullptr};
}

brood_task g_tasks[] = {
    Task("add", "adds to a cell", kCellAndNumber, BROOD_INT, Add, BROOD_TASK_SHARES_MEMORY),
    Task("read", "reads a cell", kCell, BROOD_JSON, Read),
    Task("write", "writes a cell", kCellAndValue, BROOD_NULL, Write),
    Task("echo", "returns its argument", kAny, BROOD_JSON, Echo),
    Task("echo_float", "returns its argument", kFloat, BROOD_FLOAT, Echo),
    Plain("nothing", "does nothing", BROOD_NULL, Nothing),
    Task("hold", "sleeps so many milliseconds", kNumber, BROOD_INT, Hold),
    Task("print", "writes to a stream", kTextAndNumber, BROOD_INT, Print),
    Task("throw", "throws by the rules", kText, BROOD_NULL, Throw),
    Task("escape", "lets an exception escape", kText, BROOD_NULL, Escape),
    Task("crash", "crashes", kTextAndNumber, BROOD_NULL, Crash, BROOD_TASK_ISOLATED),
    Task("progress", "reports progress", kNumber, BROOD_NULL, Progress),
    Plain("descriptors", "lists what is open", BROOD_TEXT, Descriptors),
    Task("big", "returns a text of that size", kNumber, BROOD_TEXT, Big),
    Plain("input", "returns its standard input", BROOD_TEXT, Input),
    Task("environment", "returns a variable", kText, BROOD_TEXT, Environment),
    Plain("directory", "returns the working directory", BROOD_TEXT, WorkingDirectory),
    Task("lock_cell", "keeps a cell locked", kCellAndText, BROOD_NULL, LockCell),
    Task("buffer", "leaves text in stdio's buffer", kText, BROOD_NULL, Buffer),
    Plain("fork_inside", "forks by itself", BROOD_INT, ForkInside),
    Plain("thread_exit", "leaves by pthread_exit", BROOD_INT, ThreadExit),
    Plain("ignore_children", "ignores SIGCHLD", BROOD_NULL, IgnoreChildren),
    Task("ignore_signal_main", "ignores a signal, on the main thread", kNumber, BROOD_NULL,
         IgnoreSignal, BROOD_TASK_ON_MAIN_THREAD),
    Plain("signals", "lists the signals that have an action of their own", BROOD_TEXT, Signals),
    Plain("linger", "makes exit wait for ever", BROOD_NULL, Linger),
    Task("allocate", "allocates memory; returns its argument", kNumber, BROOD_INT, Allocate),
    Plain("churn", "allocates memory until it is stopped", BROOD_NULL, Churn),
    Plain("where", "says its job and mode", BROOD_TEXT, Where),
};

brood_library g_library = {BROOD_TASK_ABI_VERSION,
                           sizeof(brood_library),
                           "test",
                           g_tasks,
                           sizeof(g_tasks) / sizeof(g_tasks[0]),
                           sizeof(brood_task),
                           nullptr,
                           0,
                           0,
                           nullptr,
                           0,
                           0};

}  // namespace

extern "C" __attribute__((visibility("default"))) const brood_library* brood_task_library(void) {
  const char* const set = std::getenv("BROOD_TEST_FAULT");
  const std::string fault = set != nullptr ? set : "";
  if (fault == "null") return nullptr;
  if (fault == "throws") throw std::runtime_error("no");
  if (fault == "version") g_library.abi_version = 99;
  if (fault == "size") g_library.size = 3;
  // No fault: what a library built against the first task.h, or the second, looks like. What lies
  // beyond its size is not to be read.
  if (fault == "first_header") g_library.size = BROOD_LIBRARY_FIRST_SIZE;
  if (fault == "second_header") g_library.size = BROOD_LIBRARY_SECOND_SIZE;
  if (fault == "first_header") g_library.variable_count = 7;
  if (fault == "first_header" || fault == "second_header") g_library.mutex_count = 7;
  if (fault == "mutexes") g_library.mutex_count = 7;
  if (fault == "task_size") g_library.task_size = 8;
  if (fault == "name") g_library.name = "Not-A-Name";
  if (fault == "count") g_library.task_count = 1025;
  if (fault == "task_name") g_tasks[1].name = "Nope!";
  if (fault == "duplicate") g_tasks[1].name = g_tasks[0].name;
  if (fault == "function") g_tasks[1].run = nullptr;
  if (fault == "type") g_tasks[1].result = 12;
  return &g_library;
}
