// SPDX-License-Identifier: Apache-2.0
#include "common/job/spec_validation.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>

namespace brood {
namespace {

v1::JobSpec Command() {
  v1::JobSpec spec;
  spec.mutable_command()->add_argv("true");
  return spec;
}

v1::JobSpec Call() {
  v1::JobSpec spec;
  spec.mutable_call()->set_task("demo.add");
  return spec;
}

// The field at fault; "" if the spec was taken.
std::string Fault(const v1::JobSpec& spec) {
  const Status bad = ValidateJobSpec(spec);
  if (!bad) return "";
  EXPECT_EQ(bad->code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(bad->reason, "INVALID_FIELD");
  EXPECT_EQ(bad->message.find(bad->field + ": "), 0U) << bad->message;
  EXPECT_LT(bad->message.size(), 400U) << "values are shortened";
  return bad->field;
}

std::string Fault(v1::JobSpec spec, const std::function<void(v1::JobSpec&)>& change) {
  change(spec);
  return Fault(spec);
}

std::string Word(size_t size) { return std::string(size, 'x'); }

TEST(SpecValidationTest, TakesACommandAndACall) {
  EXPECT_EQ(Fault(Command()), "");
  EXPECT_EQ(Fault(Call()), "");
  v1::JobSpec spec = Command();
  for (int i = 1; i < 4096; ++i) spec.mutable_command()->add_argv("\xFF");
  EXPECT_EQ(Fault(spec), "");
}

TEST(SpecValidationTest, RefusesNothingToRunAndUnknownModes) {
  EXPECT_EQ(Fault(v1::JobSpec()), "spec");
  EXPECT_EQ(Fault(Command(), [](v1::JobSpec& s) { s.set_mode(static_cast<v1::Mode>(9)); }),
            "spec.mode");
}

TEST(SpecValidationTest, RefusesArgvThatExecCannotTake) {
  const std::string argv = "spec.command.argv";
  EXPECT_EQ(Fault(Command(), [](v1::JobSpec& s) { s.mutable_command()->clear_argv(); }), argv);
  EXPECT_EQ(Fault(Command(), [](v1::JobSpec& s) { s.mutable_command()->set_argv(0, ""); }),
            argv + "[0]");
  EXPECT_EQ(Fault(Command(),
                  [](v1::JobSpec& s) {
                    for (int i = 0; i < 4096; ++i) s.mutable_command()->add_argv("x");
                  }),
            argv);
  EXPECT_EQ(Fault(Command(),
                  [](v1::JobSpec& s) { s.mutable_command()->add_argv(std::string("a\0b", 3)); }),
            argv + "[1]");
  EXPECT_EQ(Fault(Command(), [](v1::JobSpec& s) { s.mutable_command()->add_argv(Word(131'072)); }),
            argv + "[1]");
  EXPECT_EQ(Fault(Command(), [](v1::JobSpec& s) { s.mutable_command()->add_argv(Word(131'071)); }),
            "");
  EXPECT_EQ(Fault(Command(),
                  [](v1::JobSpec& s) {
                    for (int i = 0; i < 3; ++i) s.mutable_command()->add_argv(Word(100'000));
                  }),
            argv);
}

TEST(SpecValidationTest, NamesValueAndCure) {
  v1::JobSpec spec = Command();
  spec.mutable_command()->add_argv(std::string("a\0b", 3));
  EXPECT_EQ(ValidateJobSpec(spec)->message,
            "spec.command.argv[1]: 'a\\x00b' holds a NUL byte; no program can get it");
}

TEST(SpecValidationTest, RefusesCallsThatNoTaskCanTake) {
  for (const std::string& task :
       {std::string(), std::string("add"), std::string(".add"), std::string("demo."),
        std::string("demo/add.x"), std::string("de mo.x"), "demo." + Word(300)}) {
    EXPECT_EQ(Fault(Call(), [&](v1::JobSpec& s) { s.mutable_call()->set_task(task); }),
              "spec.call.task")
        << task;
  }
  const std::string arguments = "spec.call.arguments";
  EXPECT_EQ(Fault(Call(), [](v1::JobSpec& s) { s.mutable_call()->add_arguments(); }),
            arguments + "[0]");
  EXPECT_EQ(
      Fault(Call(), [](v1::JobSpec& s) { s.mutable_call()->add_arguments()->mutable_value(); }),
      arguments + "[0].value");
  EXPECT_EQ(
      Fault(Call(),
            [](v1::JobSpec& s) { s.mutable_call()->add_arguments()->set_word(Word(50'000)); }),
      arguments + "[0].word");
  EXPECT_EQ(Fault(Call(),
                  [](v1::JobSpec& s) {
                    s.mutable_call()->add_arguments()->mutable_value()->set_json_value("{");
                  }),
            arguments + "[0].value");
  EXPECT_EQ(Fault(Call(),
                  [](v1::JobSpec& s) {
                    for (int i = 0; i < 65; ++i) s.mutable_call()->add_arguments()->set_word("");
                  }),
            arguments);
  const auto words = [](int count) {
    return [count](v1::JobSpec& s) {
      for (int i = 0; i < count; ++i) s.mutable_call()->add_arguments()->set_word(Word(49'000));
    };
  };
  EXPECT_EQ(Fault(Call(), words(10)), "");
  EXPECT_EQ(Fault(Call(), words(11)), arguments);
}

TEST(SpecValidationTest, RefusesEnvironmentsThatExecCannotTake) {
  const auto variable = [](const std::string& name, const std::string& value) {
    return Fault(Command(), [&](v1::JobSpec& s) {
      v1::EnvironmentVariable* set = s.mutable_environment()->add_set();
      set->set_name(name);
      set->set_value(value);
    });
  };
  const std::string set = "spec.environment.set";
  EXPECT_EQ(variable("A", "b=c\xFF"), "");
  EXPECT_EQ(variable("", "b"), set + "[0].name");
  EXPECT_EQ(variable("A=B", "b"), set + "[0].name");
  EXPECT_EQ(variable(std::string("A\0", 2), "b"), set + "[0].name");
  EXPECT_EQ(variable(Word(32'769), "b"), set + "[0].name");
  EXPECT_EQ(variable("A", std::string("\0", 1)), set + "[0].value");
  EXPECT_EQ(variable("A", Word(131'069)), "");
  EXPECT_EQ(variable("A", Word(131'070)), set + "[0].value");
  const auto many = [](int count, size_t size) {
    return Fault(Command(), [&](v1::JobSpec& s) {
      for (int i = 0; i < count; ++i) {
        v1::EnvironmentVariable* one = s.mutable_environment()->add_set();
        one->set_name("A");
        one->set_value(Word(size));
      }
    });
  };
  EXPECT_EQ(many(4097, 1), set);
  EXPECT_EQ(many(3, 100'000), set);
  const std::string unset = "spec.environment.unset";
  EXPECT_EQ(Fault(Command(), [](v1::JobSpec& s) { s.mutable_environment()->add_unset("A=B"); }),
            unset + "[0]");
  EXPECT_EQ(Fault(Command(),
                  [](v1::JobSpec& s) {
                    for (int i = 0; i < 4097; ++i) s.mutable_environment()->add_unset("A");
                  }),
            unset);
}

TEST(SpecValidationTest, RefusesDirectoriesThatAreNoAbsolutePath) {
  for (const std::string& path :
       {std::string("tmp"), std::string("../x"), std::string("/a\0b", 4), "/" + Word(4095)}) {
    EXPECT_EQ(Fault(Command(), [&](v1::JobSpec& s) { s.set_working_directory(path); }),
              "spec.working_directory");
  }
}

TEST(SpecValidationTest, RefusesNumbersOutOfRange) {
  EXPECT_EQ(Fault(Command(), [](v1::JobSpec& s) { s.set_umask(0777); }), "");
  EXPECT_EQ(Fault(Command(), [](v1::JobSpec& s) { s.set_umask(01000); }), "spec.umask");
  const auto timeout = [](int64_t seconds, int32_t nanos) {
    return Fault(Command(), [&](v1::JobSpec& s) {
      s.mutable_timeout()->set_seconds(seconds);
      s.mutable_timeout()->set_nanos(nanos);
    });
  };
  EXPECT_EQ(timeout(0, 0), "");
  EXPECT_EQ(timeout(0, 1'000'000), "");
  EXPECT_EQ(timeout(0, 999'999), "spec.timeout");
  EXPECT_EQ(timeout(-1, 0), "spec.timeout");
  EXPECT_EQ(timeout(1, -1), "spec.timeout");
  EXPECT_EQ(timeout(1, 1'000'000'000), "spec.timeout");
  EXPECT_EQ(timeout(315'360'000, 0), "");
  EXPECT_EQ(timeout(315'360'000, 1), "spec.timeout");
  EXPECT_EQ(timeout(INT64_MAX, 0), "spec.timeout");
  const auto grace = [](int64_t seconds) {
    return Fault(Command(), [&](v1::JobSpec& s) { s.mutable_kill_grace()->set_seconds(seconds); });
  };
  EXPECT_EQ(grace(0), "");
  EXPECT_EQ(grace(3600), "");
  EXPECT_EQ(grace(3601), "spec.kill_grace");
  EXPECT_EQ(grace(-1), "spec.kill_grace");
}

TEST(SpecValidationTest, RefusesWishesAboutTheCopyThatNobodyCanMeet) {
  EXPECT_EQ(Fault(Call(), [](v1::JobSpec& s) { s.mutable_memory_meter()->set_nanos(49'999'999); }),
            "spec.memory_meter");
  EXPECT_EQ(Fault(Call(), [](v1::JobSpec& s) { s.mutable_memory_meter()->set_seconds(3601); }),
            "spec.memory_meter");
  EXPECT_EQ(Fault(Call(), [](v1::JobSpec& s) { s.mutable_kill_if_stuck()->set_nanos(1); }),
            "spec.kill_if_stuck");
  EXPECT_EQ(Fault(Call(),
                  [](v1::JobSpec& s) {
                    s.mutable_memory_meter()->set_nanos(50'000'000);
                    s.mutable_kill_if_stuck()->set_seconds(3600);
                    s.set_refuse_if_hazard(true);
                  }),
            "");
  // A meter is for commands too; what is about locks is not.
  EXPECT_EQ(Fault(Command(), [](v1::JobSpec& s) { s.mutable_memory_meter()->set_seconds(1); }), "");
  const auto unsupported = [](v1::JobSpec spec, const std::function<void(v1::JobSpec&)>& change) {
    change(spec);
    const Status bad = ValidateJobSpec(spec);
    return bad ? bad->reason + " " + bad->field : "";
  };
  EXPECT_EQ(unsupported(Command(), [](v1::JobSpec& s) { s.set_refuse_if_hazard(true); }),
            "UNSUPPORTED_IN_MODE spec.refuse_if_hazard");
  EXPECT_EQ(unsupported(Call(),
                        [](v1::JobSpec& s) {
                          s.set_mode(v1::MODE_THREAD);
                          s.mutable_kill_if_stuck()->set_seconds(1);
                        }),
            "UNSUPPORTED_IN_MODE spec.kill_if_stuck");
}

TEST(SpecValidationTest, RefusesOutputThatCannotBeKept) {
  const auto output = [](v1::JobSpec spec, const std::function<void(v1::OutputSettings&)>& change) {
    change(*spec.mutable_output());
    const Status bad = ValidateJobSpec(spec);
    return bad ? bad->reason + " " + bad->field : "";
  };
  const auto of_bytes = [&](uint64_t bytes) {
    return output(Command(), [bytes](v1::OutputSettings& o) { o.set_stream_bytes_max(bytes); });
  };
  const std::string bytes = "INVALID_FIELD spec.output.stream_bytes_max";
  EXPECT_EQ(of_bytes(0), "");
  EXPECT_EQ(of_bytes(65'535), bytes);
  EXPECT_EQ(of_bytes(65'536), "");
  EXPECT_EQ(of_bytes(uint64_t{1} << 40), "");
  EXPECT_EQ(of_bytes((uint64_t{1} << 40) + 1), bytes);
  EXPECT_EQ(output(Command(),
                   [](v1::OutputSettings& o) { o.set_target(static_cast<v1::OutputTarget>(3)); }),
            "INVALID_FIELD spec.output.target");
  EXPECT_EQ(
      output(Command(),
             [](v1::OutputSettings& o) { o.set_overflow(static_cast<v1::OutputOverflow>(4)); }),
      "INVALID_FIELD spec.output.overflow");
  v1::JobSpec thread = Call();
  thread.set_mode(v1::MODE_THREAD);
  EXPECT_EQ(output(thread, [](v1::OutputSettings&) {}), "");
  EXPECT_EQ(output(thread, [](v1::OutputSettings& o) { o.set_target(v1::OUTPUT_TARGET_FILE); }),
            "UNSUPPORTED_IN_MODE spec.output");
}

TEST(SpecValidationTest, RefusesUnknownAndRepeatedLimits) {
  const auto limits = [](std::initializer_list<const char*> names) {
    return Fault(Command(), [&](v1::JobSpec& s) {
      for (const char* name : names) {
        s.add_limits()->set_name(name);
        s.mutable_limits(s.limits_size() - 1)->set_value(1 << 20);
      }
    });
  };
  EXPECT_EQ(
      limits({"cpu", "fsize", "data", "stack", "core", "rss", "as", "memlock", "nproc", "nofile"}),
      "");
  EXPECT_EQ(limits({"cpu", "RLIMIT_CPU"}), "spec.limits[1].name");
  EXPECT_EQ(limits({"cpu", "as", "cpu"}), "spec.limits[2].name");
}

TEST(SpecValidationTest, RefusesLabelsThatCannotBeShown) {
  const auto label = [](const std::string& key, const std::string& value) {
    return Fault(Command(), [&](v1::JobSpec& s) { (*s.mutable_labels())[key] = value; });
  };
  EXPECT_EQ(label("team/a-b.c_D", "any thing"), "");
  EXPECT_EQ(label("", "x"), "spec.labels");
  EXPECT_EQ(label("-x", "x"), "spec.labels");
  EXPECT_EQ(label("a b", "x"), "spec.labels");
  EXPECT_EQ(label(Word(257), "x"), "spec.labels");
  EXPECT_EQ(label("a", Word(257)), "spec.labels[a]");
  const Status bad = [] {
    v1::JobSpec spec = Command();
    for (int i = 0; i < 10'000; ++i) (*spec.mutable_labels())["k" + std::to_string(i)] = "v";
    return ValidateJobSpec(spec);
  }();
  EXPECT_EQ(bad->message, "spec.labels: has 10000 labels; at most 64 are taken");
}

TEST(SpecValidationTest, NamesTheSameLabelEachTime) {
  v1::JobSpec spec = Command();
  for (int i = 0; i < 30; ++i) (*spec.mutable_labels())["bad key " + std::to_string(i)] = "v";
  EXPECT_NE(ValidateJobSpec(spec)->message.find("'bad key 0'"), std::string::npos);
}

TEST(SpecValidationTest, RefusesNamesThatAreNoNames) {
  EXPECT_EQ(Fault(Command(), [](v1::JobSpec& s) { s.set_parent("../x"); }), "spec.parent");
  EXPECT_EQ(Fault(Command(), [](v1::JobSpec& s) { s.set_run_id("a/b"); }), "spec.run_id");
}

TEST(SpecValidationTest, RefusesWhatAThreadCannotHaveNamingTheField) {
  const auto refusal = [](v1::JobSpec spec, const std::function<void(v1::JobSpec&)>& change) {
    change(spec);
    EXPECT_FALSE(ValidateJobSpec(spec)) << "fine unless it is a thread";
    spec.set_mode(v1::MODE_THREAD);
    const Status bad = ValidateJobSpec(spec);
    if (!bad) return std::string("taken");
    EXPECT_EQ(bad->code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(bad->reason, "UNSUPPORTED_IN_MODE");
    return bad->field;
  };
  const auto nothing = [](v1::JobSpec&) {};
  EXPECT_EQ(refusal(Command(), nothing), "spec.mode");
  EXPECT_EQ(refusal(Call(), nothing), "taken");
  EXPECT_EQ(refusal(Call(), [](v1::JobSpec& s) { s.mutable_environment()->set_clear(true); }),
            "spec.environment");
  EXPECT_EQ(refusal(Call(), [](v1::JobSpec& s) { s.mutable_environment()->add_unset("A"); }),
            "spec.environment");
  EXPECT_EQ(refusal(Call(), [](v1::JobSpec& s) { s.set_working_directory("/"); }),
            "spec.working_directory");
  EXPECT_EQ(refusal(Call(), [](v1::JobSpec& s) { s.set_umask(0); }), "spec.umask");
  EXPECT_EQ(refusal(Call(), [](v1::JobSpec& s) { s.set_stdin_stream(true); }), "spec.stdin_stream");
  EXPECT_EQ(refusal(Call(), [](v1::JobSpec& s) { s.add_limits()->set_name("core"); }),
            "spec.limits[0]");
  EXPECT_EQ(refusal(Call(), [](v1::JobSpec& s) { s.mutable_timeout()->set_seconds(1); }), "taken");
}

}  // namespace
}  // namespace brood
