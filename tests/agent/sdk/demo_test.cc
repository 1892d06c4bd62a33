// SPDX-License-Identifier: Apache-2.0
//
// The shipped library, loaded as a parent loads it.
#include <dlfcn.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/agent/sdk/fake_host.h"

namespace brood::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class DemoTest : public ::testing::Test {
 protected:
  static const brood_library* library() {
    static const brood_library* const loaded = [] {
      void* const object = ::dlopen(DEMO, RTLD_NOW | RTLD_LOCAL);
      EXPECT_NE(object, nullptr) << ::dlerror();
      const auto entry =
          reinterpret_cast<const brood_library* (*)()>(::dlsym(object, BROOD_TASK_LIBRARY_SYMBOL));
      return entry();
    }();
    return loaded;
  }
  OwnedValue Returned(const std::string& task, const std::vector<OwnedValue>& arguments) {
    EXPECT_EQ(job_.Run(library(), task, arguments), BROOD_TASK_RETURNED) << job_.thrown;
    return job_.result;
  }
  std::string Thrown(const std::string& task, const std::vector<OwnedValue>& arguments) {
    EXPECT_EQ(job_.Run(library(), task, arguments), BROOD_TASK_THREW);
    return job_.thrown;
  }

  FakeParent parent_;
  FakeJob job_{&parent_};
};

// A file of the test's own, gone at its end.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& bytes) {
    const int fd = ::mkstemp(path_.data());
    EXPECT_EQ(::write(fd, bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
    ::close(fd);
  }
  ~TemporaryFile() { ::unlink(path_.c_str()); }
  const std::string& path() const { return path_; }

 private:
  std::string path_ = "/tmp/brood-demo-XXXXXX";
};

int64_t AskWc(const std::string& path) {
  FILE* const pipe = ::popen(("LC_ALL=C wc -w < '" + path + "'").c_str(), "r");
  long long words = -1;
  EXPECT_EQ(std::fscanf(pipe, "%lld", &words), 1);
  ::pclose(pipe);
  return words;
}

TEST_F(DemoTest, HoldsTheTasksOfTheContract) {
  EXPECT_STREQ(library()->name, "demo");
  for (const char* name :
       {"add", "read", "write", "hold", "words", "primes", "crash", "counter.add", "counter.value",
        "echo", "print", "fail", "noop", "where", "spin", "static.add"}) {
    EXPECT_NE(FindTask(library(), name), nullptr) << name;
  }
  EXPECT_EQ(FindTask(library(), "add")->flags, uint32_t{BROOD_TASK_SHARES_MEMORY});
  EXPECT_EQ(FindTask(library(), "crash")->flags, uint32_t{BROOD_TASK_ISOLATED});
  EXPECT_EQ(FindTask(library(), "counter.add")->flags,
            uint32_t{BROOD_TASK_METHOD | BROOD_TASK_SHARES_MEMORY});
  EXPECT_EQ(FindTask(library(), "primes")->flags, 0u);
  EXPECT_EQ(FindTask(library(), "hold")->parameters[1].optional, 1u);
}

TEST_F(DemoTest, NamesAreWithinTheGrammarAndSummariesOneLine) {
  for (uint32_t i = 0; i < library()->task_count; ++i) {
    const std::string name = library()->tasks[i].name;
    EXPECT_EQ(name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_."), std::string::npos)
        << name;
    const std::string summary = library()->tasks[i].summary;
    EXPECT_THAT(summary, Not(IsEmpty())) << name;
    EXPECT_THAT(summary, Not(HasSubstr("\n"))) << name;
  }
}

TEST_F(DemoTest, AddsReadsAndWritesCells) {
  EXPECT_EQ(Returned("add", {Text("c"), Integer(5)}), Integer(5));
  EXPECT_EQ(Returned("add", {Text("c"), Integer(-2)}), Integer(3));
  EXPECT_EQ(Returned("read", {Text("c")}), Integer(3));
  EXPECT_THAT(Thrown("read", {Text("unknown")}), HasSubstr("cell 'unknown' does not exist"));
  EXPECT_EQ(Returned("write", {Text("c"), Text("words")}), Text("words"));
  EXPECT_EQ(Returned("read", {Text("c")}), Text("words"));
  EXPECT_EQ(Returned("write", {Text("c"), JsonText("[1,2]")}), JsonText("[1,2]"));
  EXPECT_EQ(Returned("write", {Text("c")}), Nothing());
  EXPECT_EQ(parent_.Find("c"), Nothing());
}

TEST_F(DemoTest, AddsSafelyFromManyThreads) {
  constexpr int kThreads = 4;
  constexpr int64_t kTimes = 2000;
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([this] {
      FakeJob job(&parent_);
      EXPECT_EQ(job.Run(library(), "add.safe", {Text("n"), Integer(kTimes)}), BROOD_TASK_RETURNED);
      EXPECT_EQ(job.Run(library(), "add.unsafe", {Text("m"), Integer(kTimes)}),
                BROOD_TASK_RETURNED);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(parent_.Find("n"), Integer(kThreads * kTimes));
  // How many of these got lost is chance; that none is invented is not.
  EXPECT_LE(parent_.Find("m")->integer, kThreads * kTimes);
  EXPECT_GE(parent_.Find("m")->integer, 2);
}

TEST_F(DemoTest, WaitsForAnotherThreadsWrite) {
  std::thread other([this] {
    FakeJob job(&parent_);
    job.Run(library(), "write", {Text("go"), Integer(1)});
  });
  EXPECT_EQ(Returned("wait", {Text("go"), Integer(1), Number(20)}), Truth(true));
  other.join();
  EXPECT_EQ(Returned("wait", {Text("go"), Integer(2), Number(0)}), Truth(false));
  job_.stop = true;
  EXPECT_EQ(job_.Run(library(), "wait", {Text("go"), Integer(2)}), BROOD_TASK_STOPPED);
}

TEST_F(DemoTest, HoldsReportingProgressAndReturnsTheValue) {
  EXPECT_EQ(Returned("hold", {Number(0.05), Integer(7)}), Integer(7));
  ASSERT_GE(job_.progress.size(), 2u);
  EXPECT_EQ(job_.progress.back().first, 1.0);
  for (size_t i = 1; i < job_.progress.size(); ++i) {
    EXPECT_GE(job_.progress[i].first, job_.progress[i - 1].first);
  }
  EXPECT_EQ(Returned("hold", {Integer(0)}), Nothing());
  EXPECT_THAT(Thrown("hold", {Number(-1)}), HasSubstr("SECONDS"));
  EXPECT_THAT(Thrown("hold", {Number(1e300)}), HasSubstr("SECONDS"));
}

TEST_F(DemoTest, HoldsAndSpinsNoLongerThanAsked) {
  job_.stop = true;
  EXPECT_EQ(job_.Run(library(), "hold", {Number(1000), Integer(7)}), BROOD_TASK_STOPPED);
  EXPECT_EQ(job_.Run(library(), "spin", {Number(1000)}), BROOD_TASK_STOPPED);
  job_.stop = false;
  EXPECT_EQ(Returned("spin", {Number(0.01)}), Nothing());
  EXPECT_EQ(Returned("spin", {Number(0.01), Text("done")}), Nothing());
  EXPECT_EQ(Returned("read", {Text("done")}), Integer(1));
  EXPECT_EQ(job_.progress.back().first, 1.0);
}

TEST_F(DemoTest, CountsWordsAsWcDoes) {
  std::mt19937 random(20);
  std::string noise(300'000, '\0');
  for (char& byte : noise) byte = static_cast<char>(random());
  std::string words;
  // Words across the borders of what is read at a time.
  while (words.size() < 200'000) words.append(random() % 9 + 1, 'w').append(random() % 3, ' ');
  const std::string cases[] = {"",
                               " ",
                               "one",
                               "one two\tthree\nfour\vfive\fsix\rseven",
                               "\n\n a \n",
                               "na\xc3\xafve caf\xc3\xa9",
                               "\xc3\xa9 \xc3\xa9",
                               std::string("a\0b c", 5),
                               "\x01\x02 \x7f x\x7fy",
                               "\xa0",
                               noise,
                               words};
  for (const std::string& text : cases) {
    const TemporaryFile file(text);
    EXPECT_EQ(Returned("words", {Text(file.path())}), Integer(AskWc(file.path())))
        << text.substr(0, 40);
  }
  EXPECT_EQ(job_.progress.back().first, 1.0);
  // A text that every Debian has.
  const std::string licence = "/usr/share/common-licenses/GPL-3";
  if (::access(licence.c_str(), R_OK) == 0) {
    EXPECT_EQ(Returned("words", {Text(licence)}), Integer(AskWc(licence)));
  }
}

TEST_F(DemoTest, SaysWhichFileItCannotRead) {
  EXPECT_EQ(Thrown("words", {Text("/nowhere/file")}),
            "cannot open '/nowhere/file': No such file or directory");
  EXPECT_EQ(Thrown("words", {Text("/")}), "cannot read '/': Is a directory");
}

TEST_F(DemoTest, CountsPrimes) {
  const std::pair<int64_t, int64_t> known[] = {{-5, 0},
                                               {0, 0},
                                               {1, 0},
                                               {2, 1},
                                               {3, 2},
                                               {4, 2},
                                               {100, 25},
                                               {32768, 3512},
                                               {32769, 3512},
                                               {32771, 3513},
                                               {1'000'000, 78498},
                                               {10'000'000, 664579}};
  for (const auto& [n, count] : known) {
    EXPECT_EQ(Returned("primes", {Integer(n)}), Integer(count)) << n;
  }
  EXPECT_THAT(Thrown("primes", {Integer(INT64_MAX)}), HasSubstr("at most 1000000000000"));
  job_.stop = true;
  EXPECT_EQ(job_.Run(library(), "primes", {Integer(1'000'000'000'000)}), BROOD_TASK_STOPPED);
}

TEST_F(DemoTest, CountersAreObjectsOfTheParent) {
  EXPECT_EQ(Returned("counter.add", {Text("x"), Integer(3)}), Integer(3));
  EXPECT_EQ(Returned("counter.add", {Text("x"), Integer(4)}), Integer(7));
  EXPECT_EQ(Returned("counter.value", {Text("x")}), Integer(7));
  EXPECT_EQ(Returned("counter.value", {Text("y")}), Integer(0));
  const OwnedValue address = Returned("counter.address", {Text("x")});
  EXPECT_EQ(Returned("counter.address", {Text("x")}), address);
  EXPECT_NE(Returned("counter.address", {Text("y")}), address);
  const int64_t total = Returned("total.value", {}).integer;
  EXPECT_EQ(Returned("total.add", {Integer(5)}), Integer(total + 5));
  EXPECT_EQ(Returned("total.value", {}), Integer(total + 5));
}

TEST_F(DemoTest, WritesSequencesAndMakesBlocks) {
  EXPECT_EQ(Returned("seq", {Text("s"), Integer(3), Integer(9)}), Integer(9));
  EXPECT_EQ(Returned("seq", {Text("s"), Integer(INT64_MAX), Integer(INT64_MAX)}),
            Integer(INT64_MAX));
  EXPECT_EQ(Returned("seq", {Text("s"), Integer(1), Integer(50), Integer(100'000)}), Integer(50));
  EXPECT_THAT(Thrown("seq", {Text("s"), Integer(1), Integer(2), Integer(-1)}),
              HasSubstr("must not be negative"));
  EXPECT_EQ(Returned("block", {Text("b"), Integer(2)}), Integer(2 << 20));
  EXPECT_EQ(Returned("block", {Text("b"), Integer(2), Truth(false)}), Integer(2 << 20));
  EXPECT_THAT(Thrown("block", {Text("b"), Integer(3)}), HasSubstr("the name is taken"));
  EXPECT_THAT(Thrown("block", {Text("none"), Integer(0)}), HasSubstr("MIB must be from 1"));
}

TEST_F(DemoTest, AForkActsOnACopyOfObjectsAndStatics) {
  Returned("counter.add", {Text("copied"), Integer(1)});
  const int64_t before = Returned("static.add", {Integer(10)}).integer;
  const pid_t child = ::fork();
  if (child == 0) {
    FakeJob job(&parent_);
    job.Run(library(), "counter.add", {Text("copied"), Integer(1)});
    const bool seen = job.result == Integer(2);
    job.Run(library(), "static.add", {Integer(1)});
    ::_exit(seen && job.result == Integer(before + 1) ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(Returned("counter.value", {Text("copied")}), Integer(1));
  EXPECT_EQ(Returned("static.value", {}), Integer(before));
}

TEST_F(DemoTest, EchoesPrintsFailsAndSaysWhereItIs) {
  EXPECT_EQ(Returned("echo", {Text("\xc3\xa9 x")}), Text("\xc3\xa9 x"));
  EXPECT_EQ(Returned("print", {Text("hello")}), Nothing());
  EXPECT_EQ(job_.out, "hello\n");
  Returned("print.error", {Text("oh")});
  EXPECT_EQ(job_.err, "oh\n");
  EXPECT_EQ(Thrown("fail", {Text("because")}), "because");
  EXPECT_EQ(Returned("noop", {}), Nothing());
  const std::string where = Returned("where", {}).data;
  EXPECT_THAT(where, HasSubstr("pid " + std::to_string(::getpid()) + " tid " +
                               std::to_string(::syscall(SYS_gettid))));
  EXPECT_THAT(where, HasSubstr("thread"));
}

struct End {
  const char* how;
  int exit_code;
  int signal;
};

TEST_F(DemoTest, CrashesAsAsked) {
  const End ends[] = {{"segv", 0, SIGSEGV},      {"fpe", 0, SIGFPE},  {"stack", 0, SIGSEGV},
                      {"ill", 0, SIGILL},        {"bus", 0, SIGBUS},  {"abort", 0, SIGABRT},
                      {"terminate", 0, SIGABRT}, {"exit", 3, 0},      {"_exit", 4, 0},
                      {"kill", 0, SIGKILL},      {"term", 0, SIGTERM}};
  library();
  for (const End& end : ends) {
    const pid_t child = ::fork();
    if (child == 0) {
      ::close(2);
      // A sanitizer's own report would hide the signal.
      for (const int signal : {SIGSEGV, SIGFPE, SIGILL, SIGBUS, SIGABRT}) {
        ::signal(signal, SIG_DFL);
      }
      FakeJob job(&parent_);
      job.Run(library(), "crash", {Text(end.how)});
      ::_exit(99);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    if (end.signal != 0) {
      ASSERT_TRUE(WIFSIGNALED(status)) << end.how << " " << status;
      EXPECT_EQ(WTERMSIG(status), end.signal) << end.how;
    } else {
      ASSERT_TRUE(WIFEXITED(status)) << end.how << " " << status;
      EXPECT_EQ(WEXITSTATUS(status), end.exit_code) << end.how;
    }
  }
  EXPECT_EQ(Thrown("crash", {Text("throw")}), "thrown on purpose");
  EXPECT_THAT(Thrown("crash", {Text("gently")}), HasSubstr("HOW cannot be 'gently'"));
}

}  // namespace
}  // namespace brood::testing
