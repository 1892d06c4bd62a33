// SPDX-License-Identifier: Apache-2.0
//
// The C++ face of task libraries, against a host of the test's own.
#include "agent/sdk/task.hpp"

#include <cmath>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/agent/sdk/fake_host.h"

namespace {

using brood::testing::Binary;
using brood::testing::FakeJob;
using brood::testing::FakeParent;
using brood::testing::FindTask;
using brood::testing::Integer;
using brood::testing::JsonText;
using brood::testing::Nothing;
using brood::testing::Number;
using brood::testing::OwnedValue;
using brood::testing::Text;
using brood::testing::Truth;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

class TaskTest : public ::testing::Test {
 protected:
  // Runs one task, made of `callable`.
  template <typename Callable>
  int Call(std::initializer_list<const char*> names, Callable callable,
           const std::vector<OwnedValue>& arguments) {
    brood::Library library("test");
    library.Add("task", "", names, callable);
    return job_.Run(library.Finish(), "task", arguments);
  }
  // The same, when it must return.
  template <typename Callable>
  OwnedValue Returned(std::initializer_list<const char*> names, Callable callable,
                      const std::vector<OwnedValue>& arguments) {
    EXPECT_EQ(Call(names, callable, arguments), BROOD_TASK_RETURNED) << job_.thrown;
    return job_.result;
  }
  // The same, when it must throw.
  template <typename Callable>
  std::string Thrown(std::initializer_list<const char*> names, Callable callable,
                     const std::vector<OwnedValue>& arguments) {
    EXPECT_EQ(Call(names, callable, arguments), BROOD_TASK_THREW);
    return job_.thrown;
  }

  FakeParent parent_;
  FakeJob job_{&parent_};
};

int64_t Twice(int64_t n) { return 2 * n; }
int64_t TwiceQuietly(int64_t n) noexcept { return 2 * n; }
struct Adder {
  int64_t more;
  int64_t operator()(int64_t n) const { return n + more; }
};

TEST_F(TaskTest, RunsFunctionsLambdasAndFunctionObjects) {
  EXPECT_EQ(Returned({"n"}, Twice, {Integer(21)}), Integer(42));
  EXPECT_EQ(Returned({"n"}, &Twice, {Integer(21)}), Integer(42));
  EXPECT_EQ(Returned({"n"}, TwiceQuietly, {Integer(21)}), Integer(42));
  EXPECT_EQ(Returned({"n"}, Adder{2}, {Integer(40)}), Integer(42));
  int64_t captured = 40;
  EXPECT_EQ(Returned({"n"}, [captured](int64_t n) { return n + captured; }, {Integer(2)}),
            Integer(42));
  int64_t state = 0;
  EXPECT_EQ(Returned({}, [state]() mutable { return ++state; }, {}), Integer(1));
  EXPECT_EQ(Returned({"n"}, [](int64_t n) noexcept { return n; }, {Integer(1)}), Integer(1));
}

TEST_F(TaskTest, ConvertsEveryKindOfValueBothWays) {
  EXPECT_EQ(Returned({"x"}, [](bool x) { return !x; }, {Truth(true)}), Truth(false));
  EXPECT_EQ(Returned({"x"}, [](double x) { return x / 2; }, {Number(5)}), Number(2.5));
  EXPECT_EQ(Returned({"x"}, [](float x) { return x; }, {Number(0.5)}), Number(0.5));
  EXPECT_EQ(Returned({"x"}, [](std::string x) { return x + "!"; }, {Text("hi")}), Text("hi!"));
  EXPECT_EQ(Returned({"x"}, [](const std::string& x) { return x; }, {Text("")}), Text(""));
  EXPECT_EQ(Returned({"x"}, [](std::string_view x) { return x.substr(1); }, {Text("abc")}),
            Text("bc"));
  EXPECT_EQ(Returned({}, [] { return "literal"; }, {}), Text("literal"));
  const std::string raw("\0\xff", 2);
  EXPECT_EQ(Returned({"x"}, [](brood::Bytes x) { return x; }, {Binary(raw)}), Binary(raw));
  EXPECT_EQ(Returned({"x"}, [](brood::Json x) { return x; }, {JsonText("[1]")}), JsonText("[1]"));
  EXPECT_EQ(Returned({}, [] {}, {}), Nothing());
  EXPECT_EQ(Returned({"x"}, [](std::string x) { return x.size(); }, {Text(std::string(3, '\0'))}),
            Integer(3));
  for (const OwnedValue& any :
       {Nothing(), Truth(true), Integer(-1), Number(1.5), Text("t"), Binary(raw), JsonText("{}")}) {
    EXPECT_EQ(Returned({"x"}, [](brood::Value x) { return x; }, {any}), any);
  }
}

TEST_F(TaskTest, KeepsAll64BitsOfAnInteger) {
  const auto same = [](int64_t n) { return n; };
  for (const int64_t n : {std::numeric_limits<int64_t>::min(), std::numeric_limits<int64_t>::max(),
                          (int64_t{1} << 53) + 1}) {
    EXPECT_EQ(Returned({"n"}, same, {Integer(n)}), Integer(n));
  }
}

TEST_F(TaskTest, RefusesIntegersThatDoNotFit) {
  EXPECT_EQ(Thrown({"n"}, [](int8_t) {}, {Integer(300)}),
            "argument 'n' is 300; it must be from -128 to 127");
  EXPECT_EQ(Thrown({"n"}, [](uint32_t) {}, {Integer(-1)}),
            "argument 'n' is -1; it must be from 0 to 4294967295");
  EXPECT_THAT(Thrown({"n"}, [](uint64_t) {}, {Integer(-1)}), HasSubstr("it must be from 0 to"));
  EXPECT_EQ(Returned({"n"}, [](int8_t n) { return n; }, {Integer(-128)}), Integer(-128));
  EXPECT_EQ(Returned({"n"}, [](uint64_t n) { return n; }, {Integer(INT64_MAX)}),
            Integer(INT64_MAX));
  EXPECT_THAT(Thrown({}, [] { return std::numeric_limits<uint64_t>::max(); }, {}),
              HasSubstr("18446744073709551615 does not fit"));
}

TEST_F(TaskTest, TakesAnIntegerWhereANumberIsAskedForAndRefusesWhatOverflows) {
  EXPECT_EQ(Returned({"x"}, [](double x) { return x; }, {Integer(3)}), Number(3));
  EXPECT_THAT(Thrown({"x"}, [](float) {}, {Number(1e300)}), HasSubstr("'x' is too large"));
  EXPECT_TRUE(std::isnan(Returned({"x"}, [](float x) { return x; }, {Number(NAN)}).number));
  EXPECT_TRUE(std::isinf(Returned({"x"}, [](float x) { return x; }, {Number(INFINITY)}).number));
}

TEST_F(TaskTest, NamesTheArgumentOfTheWrongKind) {
  EXPECT_EQ(Thrown({"a", "b"}, [](int64_t, std::string) {}, {Integer(1), Integer(2)}),
            "argument 'b' is an integer, not text");
  EXPECT_EQ(Thrown({"x"}, [](int64_t) {}, {Number(1)}), "argument 'x' is a number, not an integer");
  EXPECT_EQ(Thrown({"x"}, [](bool) {}, {Integer(1)}),
            "argument 'x' is an integer, not a truth value");
  EXPECT_EQ(Thrown({"x"}, [](brood::Bytes) {}, {Text("")}), "argument 'x' is text, not bytes");
  EXPECT_EQ(Thrown({"x"}, [](std::string) {}, {Nothing()}), "argument 'x' is nothing, not text");
}

TEST_F(TaskTest, LetsTrailingArgumentsBeLeftOut) {
  const auto count = [](int64_t a, std::optional<int64_t> b, std::optional<std::string> c) {
    return a + b.value_or(10) + (c ? 100 : 0);
  };
  EXPECT_EQ(Returned({"a", "b", "c"}, count, {Integer(1)}), Integer(11));
  EXPECT_EQ(Returned({"a", "b", "c"}, count, {Integer(1), Integer(2)}), Integer(3));
  EXPECT_EQ(Returned({"a", "b", "c"}, count, {Integer(1), Nothing(), Text("")}), Integer(111));
  EXPECT_EQ(Thrown({"a", "b", "c"}, count, {}), "the task takes 1 to 3 arguments, not 0");
  EXPECT_EQ(Thrown({"a"}, Twice, {Integer(1), Integer(1)}),
            "the task takes 1 to 1 arguments, not 2");
}

TEST_F(TaskTest, ReturnsNothingForAnEmptyOptional) {
  const auto maybe = [](bool yes) { return yes ? std::optional<int64_t>(1) : std::nullopt; };
  EXPECT_EQ(Returned({"yes"}, maybe, {Truth(true)}), Integer(1));
  EXPECT_EQ(Returned({"yes"}, maybe, {Truth(false)}), Nothing());
}

TEST_F(TaskTest, DescribesItselfInTheTablesOfTheCInterface) {
  brood::Library library("test");
  library.Add("typed", "does it", {"b", "i", "f", "t", "y", "j", "any"},
              [](brood::Job&, bool, uint8_t, double, std::string_view, brood::Bytes,
                 std::optional<brood::Json>, std::optional<brood::Value>) { return 1.5; });
  library.Add(
      "void", "", {}, [] {}, brood::kIsolated | brood::kSharesMemory);
  library.Add("text", "", {}, [] { return "x"; });
  library.Add("maybe", "", {}, [] { return std::optional<bool>(); });
  const brood_library* const made = library.Finish();
  EXPECT_EQ(made->abi_version, BROOD_TASK_ABI_VERSION);
  EXPECT_EQ(made->size, sizeof(brood_library));
  EXPECT_EQ(made->task_size, sizeof(brood_task));
  EXPECT_STREQ(made->name, "test");
  ASSERT_EQ(made->task_count, 4u);
  const brood_task* const typed = FindTask(made, "typed");
  ASSERT_NE(typed, nullptr);
  EXPECT_STREQ(typed->summary, "does it");
  EXPECT_EQ(typed->result, uint32_t{BROOD_FLOAT});
  EXPECT_EQ(typed->flags, 0u);
  ASSERT_EQ(typed->parameter_count, 7u);
  const uint32_t types[] = {BROOD_BOOL,  BROOD_INT,  BROOD_FLOAT, BROOD_TEXT,
                            BROOD_BYTES, BROOD_JSON, BROOD_JSON};
  for (uint32_t i = 0; i < 7; ++i) {
    EXPECT_EQ(typed->parameters[i].type, types[i]) << i;
    EXPECT_EQ(typed->parameters[i].optional, i >= 5 ? 1u : 0u) << i;
  }
  EXPECT_STREQ(typed->parameters[6].name, "any");
  EXPECT_EQ(FindTask(made, "void")->result, uint32_t{BROOD_NULL});
  EXPECT_EQ(FindTask(made, "void")->flags,
            uint32_t{BROOD_TASK_ISOLATED | BROOD_TASK_SHARES_MEMORY});
  EXPECT_EQ(FindTask(made, "text")->result, uint32_t{BROOD_TEXT});
  EXPECT_EQ(FindTask(made, "maybe")->result, uint32_t{BROOD_JSON});
}

TEST_F(TaskTest, RefusesTwoTasksOfOneNameAndWrongParameterNames) {
  brood::Library library("test");
  library.Add("a", "", {}, [] {});
  EXPECT_THROW(library.Add("a", "", {}, [] {}), brood::TaskError);
  EXPECT_THROW(library.Add("b", "", {"x"}, [] {}), brood::TaskError);
  EXPECT_THROW(library.Add("c", "", {}, Twice), brood::TaskError);
}

TEST_F(TaskTest, ALibraryWhoseOwnCodeThrowsIsNotLoaded) {
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(brood::detail::MakeLibrary(
                "bad", [](brood::Library& library) { library.Add("x", "", {"y"}, [] {}); }),
            nullptr);
  EXPECT_THAT(::testing::internal::GetCapturedStderr(),
              HasSubstr("task library 'bad' is not loaded: task 'x' has 0 parameters"));
}

TEST_F(TaskTest, TurnsExceptionsIntoTheirWords) {
  EXPECT_EQ(Thrown({}, [] { throw std::runtime_error("went wrong"); }, {}), "went wrong");
  EXPECT_EQ(Thrown({}, [] { throw 7; }, {}), "something that is no std::exception");
  EXPECT_EQ(Thrown({}, [] { throw brood::TaskError(""); }, {}), "");
}

TEST_F(TaskTest, StopsWhenAskedTo) {
  job_.stop = true;
  EXPECT_EQ(Call({}, [](brood::Job& job) { job.ThrowIfStopped(); }, {}), BROOD_TASK_STOPPED);
  EXPECT_EQ(Returned({}, [](brood::Job& job) { return job.stop_requested(); }, {}), Truth(true));
  EXPECT_EQ(Returned({}, [](brood::Job& job) { return job.sleep_for(std::chrono::hours(1)); }, {}),
            Truth(false));
  job_.stop = false;
  EXPECT_EQ(Returned({}, [](brood::Job& job) { return job.sleep_for(std::chrono::hours(1)); }, {}),
            Truth(true));
  EXPECT_EQ(Call({}, [](brood::Job& job) { job.ThrowIfStopped(); }, {}), BROOD_TASK_RETURNED);
}

TEST_F(TaskTest, KnowsItsJob) {
  const auto who = [](brood::Job& job) {
    return job.id() + (job.is_thread() ? " thread" : " fork");
  };
  EXPECT_EQ(Returned({}, who, {}), Text("here/7 thread"));
  job_.is_thread = false;
  EXPECT_EQ(Returned({}, who, {}), Text("here/7 fork"));
}

TEST_F(TaskTest, SaysHowFarItIs) {
  Call({},
       [](brood::Job& job) {
         job.Progress(0.5, "half");
         job.Progress(1);
       },
       {});
  EXPECT_THAT(job_.progress, ElementsAre(Pair(0.5, "half"), Pair(1, "")));
}

TEST_F(TaskTest, WritesOutputByLinesAndAllOfItAtTheEnd) {
  Call({},
       [](brood::Job& job) {
         job.out() << "n " << 42 << ' ' << -7L << ' ' << 2.5 << ' ' << true << ' ' << uint8_t{200}
                   << ' ' << std::string("s") << '\n';
         job.out() << "no newline";
         job.err() << "complaint";
       },
       {});
  EXPECT_EQ(job_.out, "n 42 -7 2.5 true 200 s\nno newline");
  EXPECT_EQ(job_.err, "complaint");
  EXPECT_EQ(job_.writes, 3);
}

TEST_F(TaskTest, WritesWhatIsHeldBeforeItSleepsThrowsOrStops) {
  job_.on_sleep = [](FakeJob* job, int64_t nanoseconds) {
    EXPECT_EQ(job->out, "before");
    EXPECT_EQ(nanoseconds, 2'000'000);
  };
  const auto print = [](brood::Job& job) {
    job.out() << "before";
    job.sleep_for(std::chrono::milliseconds(2));
    job.out() << " after";
    throw std::runtime_error("x");
  };
  EXPECT_EQ(Thrown({}, print, {}), "x");
  EXPECT_EQ(job_.out, "before after");
  job_.stop = true;
  job_.out.clear();
  job_.on_sleep = nullptr;
  Call({},
       [](brood::Job& job) {
         job.out() << "last words";
         job.ThrowIfStopped();
       },
       {});
  EXPECT_EQ(job_.out, "last words");
}

TEST_F(TaskTest, KeepsTheOrderOfPlainAndHeldOutputAndItsMemorySmall) {
  Call({},
       [](brood::Job& job) {
         job.out() << "a";
         job.out().Write("b");
         job.out() << "c";
         for (int i = 0; i < 10'000; ++i) job.out() << 'x';
       },
       {});
  EXPECT_EQ(job_.out, "abc" + std::string(10'000, 'x'));
  EXPECT_GE(job_.writes, 4);
  EXPECT_LE(job_.writes, 6);
}

TEST_F(TaskTest, ThrowsIfItsOutputIsGone) {
  job_.write_answer = BROOD_FAILED;
  EXPECT_THAT(Thrown({}, [](brood::Job& job) { job.out() << "x\n"; }, {}),
              HasSubstr("the job's output: Input/output error"));
  EXPECT_THAT(Thrown({}, [](brood::Job& job) { job.out() << "x"; }, {}),
              HasSubstr("the job's output"))
      << "even if it is noticed only at the end";
}

TEST_F(TaskTest, ReadsWritesAndAddsToCells) {
  const auto use = [](brood::Job& job) {
    const auto cell = job.cell("n");
    if (cell.TryRead()) throw std::runtime_error("there already");
    cell.Add(40);
    cell.Add(2);
    job.cell<std::string>("s").Write("text");
    job.cell<bool>("b").Write(true);
    job.cell<uint8_t>("u").Write(200);
    job.cell<double>("d").Write(1.5);
    return cell.Read();
  };
  EXPECT_EQ(Returned({}, use, {}), Integer(42));
  EXPECT_EQ(parent_.Find("n"), Integer(42));
  EXPECT_EQ(parent_.Find("s"), Text("text"));
  EXPECT_EQ(parent_.Find("b"), Truth(true));
  EXPECT_EQ(parent_.Find("u"), Integer(200));
  EXPECT_EQ(parent_.Find("d"), Number(1.5));
}

TEST_F(TaskTest, SaysWhatIsWrongWithACell) {
  EXPECT_EQ(Thrown({}, [](brood::Job& job) { job.cell("none").Read(); }, {}),
            "cell 'none' does not exist: a cell is made by its first write");
  EXPECT_THAT(Thrown({}, [](brood::Job& job) { job.cell("a/b").Write(1); }, {}),
              HasSubstr("cell 'a/b' has a bad name"));
  EXPECT_THAT(
      Thrown({},
             [](brood::Job& job) { job.cell<std::string>("x").Write(std::string(50'000, 'x')); },
             {}),
      HasSubstr("cell 'x' is too large"));
  Call({}, [](brood::Job& job) { job.cell<std::string>("t").Write("seven"); }, {});
  EXPECT_EQ(Thrown({}, [](brood::Job& job) { job.cell("t").Read(); }, {}),
            "cell 't' is text, not an integer");
  EXPECT_EQ(Thrown({}, [](brood::Job& job) { job.cell("t").Add(1); }, {}),
            "cell 't' holds another kind of value");
  Call({}, [](brood::Job& job) { job.cell("big").Write(1000); }, {});
  EXPECT_THAT(Thrown({}, [](brood::Job& job) { job.cell<int8_t>("big").Read(); }, {}),
              HasSubstr("cell 'big' is 1000; it must be from -128 to 127"));
}

TEST_F(TaskTest, UpdatesACellInOneStep) {
  const auto append = [](brood::Job& job, std::string word) {
    return job.cell<std::string>("s").Update(
        [&](std::optional<std::string> before) { return before.value_or("") + word; });
  };
  EXPECT_EQ(Returned({"word"}, append, {Text("a")}), Text("a"));
  EXPECT_EQ(Returned({"word"}, append, {Text("b")}), Text("ab"));
  EXPECT_EQ(parent_.Find("s"), Text("ab"));
}

TEST_F(TaskTest, LeavesACellAloneIfItsUpdateThrows) {
  Call({}, [](brood::Job& job) { job.cell("n").Write(5); }, {});
  EXPECT_EQ(Thrown({},
                   [](brood::Job& job) {
                     job.cell("n").Update([](std::optional<int64_t>) -> int64_t {
                       throw std::runtime_error("changed my mind");
                     });
                   },
                   {}),
            "changed my mind");
  EXPECT_EQ(parent_.Find("n"), Integer(5));
  EXPECT_THAT(Thrown({},
                     [](brood::Job& job) {
                       job.cell<std::string>("n").Update(
                           [](std::optional<std::string> s) { return s.value(); });
                     },
                     {}),
              HasSubstr("cell 'n' is an integer, not text"));
  EXPECT_EQ(parent_.Find("n"), Integer(5));
}

TEST_F(TaskTest, SaysThatAResultIsTooLarge) {
  EXPECT_THAT(Thrown({}, [] { return std::string(50'000, 'x'); }, {}),
              HasSubstr("what the task returned is too large"));
}

class Account {
 public:
  int64_t Add(int64_t n) { return balance_ += n; }
  int64_t Balance() const { return balance_; }
  std::string Tell(brood::Job& job, int64_t more) const noexcept {
    return job.id() + " " + std::to_string(balance_ + more);
  }
  void Fail(std::string why) { throw std::runtime_error(why); }

 private:
  int64_t balance_ = 0;
};

TEST_F(TaskTest, BindsMethodsToTheOriginalObject) {
  Account account;
  EXPECT_EQ(Returned({"n"}, brood::Bind(account, &Account::Add), {Integer(5)}), Integer(5));
  EXPECT_EQ(account.Balance(), 5) << "the original, not a copy";
  account.Add(1);
  const Account& seen = account;
  EXPECT_EQ(Returned({}, brood::Bind(seen, &Account::Balance), {}), Integer(6));
  EXPECT_EQ(Returned({"n"}, brood::Bind(seen, &Account::Tell), {Integer(4)}), Text("here/7 10"));
  EXPECT_EQ(Thrown({"why"}, brood::Bind(account, &Account::Fail), {Text("broke")}), "broke");
}

TEST_F(TaskTest, TakesTheObjectOfAnUnboundMethodByName) {
  static constinit brood::Objects<Account> accounts;
  const auto add = brood::Unbound(accounts, &Account::Add);
  EXPECT_EQ(Returned({"object", "n"}, add, {Text("anna"), Integer(5)}), Integer(5));
  EXPECT_EQ(Returned({"object", "n"}, add, {Text("ben"), Integer(1)}), Integer(1));
  EXPECT_EQ(Returned({"object", "n"}, add, {Text("anna"), Integer(5)}), Integer(10));
  EXPECT_EQ(accounts.Get("anna").Balance(), 10);
  EXPECT_EQ(Returned({"object"}, brood::Unbound(accounts, &Account::Balance), {Text("ben")}),
            Integer(1));
  EXPECT_EQ(Returned({"object", "n"}, brood::Unbound(accounts, &Account::Tell),
                     {Text("ben"), Integer(1)}),
            Text("here/7 2"));
  EXPECT_EQ(Thrown({"object", "n"}, add, {Text(""), Integer(1)}), "an object needs a name");
}

TEST_F(TaskTest, MarksUnboundMethodsAsMethods) {
  static constinit brood::Objects<Account> accounts;
  static Account account;
  brood::Library library("test");
  library.Add("unbound", "", {"object", "n"}, brood::Unbound(accounts, &Account::Add),
              brood::kSharesMemory);
  library.Add("bound", "", {"n"}, brood::Bind(account, &Account::Add));
  const brood_library* const made = library.Finish();
  EXPECT_EQ(FindTask(made, "unbound")->flags,
            uint32_t{BROOD_TASK_METHOD | BROOD_TASK_SHARES_MEMORY});
  EXPECT_EQ(FindTask(made, "bound")->flags, 0u);
  EXPECT_EQ(FindTask(made, "unbound")->parameters[0].type, uint32_t{BROOD_TEXT});
}

TEST(ObjectsTest, GivesTheSameObjectToAllThreadsThatAskAtOnce) {
  struct Named {
    explicit Named(std::string own_name) : name(std::move(own_name)) {}
    const std::string name;
    std::atomic<int> seen{0};
  };
  constexpr int kThreads = 8;
  constexpr int kNames = 200;
  static constinit brood::Objects<Named> objects(
      [](const std::string& name) { return std::make_unique<Named>(name); });
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([t] {
      for (int i = 0; i < kNames; ++i) {
        const std::string name = "object" + std::to_string((i * (t + 1)) % kNames);
        Named& object = objects.Get(name);
        EXPECT_EQ(object.name, name);
      }
      for (int i = 0; i < kNames; ++i) ++objects.Get("object" + std::to_string(i)).seen;
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (int i = 0; i < kNames; ++i) {
    EXPECT_EQ(objects.Get("object" + std::to_string(i)).seen, kThreads) << i;
  }
}

TEST(ObjectsTest, RefusesMoreThanItsLimit) {
  static constinit brood::Objects<int> objects;
  for (size_t i = 0; i < brood::kObjectsMax; ++i) objects.Get(std::to_string(i));
  EXPECT_THROW(objects.Get("one more"), brood::TaskError);
  objects.Get("0");
}

}  // namespace
