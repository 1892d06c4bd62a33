// SPDX-License-Identifier: Apache-2.0
//
// What agents that come, go and come again mean to a parent.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "agent/parent/limits.h"
#include "common/base/frame_socket.h"
#include "common/base/protocol.h"
#include "common/base/unix_socket.h"
#include "tests/agent/parent/calls_fixture.h"
#include "tests/testing/parent_driver.h"

namespace brood::testing {
namespace {

using internal::v1::FromParent;
using internal::v1::StartJob;
using internal::v1::ToParent;
using ParentAgentsTest = CallsFixture;

// Another agent's connection, read to its end.
class Stranger {
 public:
  explicit Stranger(const ParentDriver& driver)
      : socket_(*ConnectUnix(driver.directory() + "/s")) {}

  void Say(const ToParent& frame) { (void)socket_.Send(frame.SerializeAsString()); }
  void SayBytes(const std::string& bytes) {
    (void)!::write(socket_.fd(), bytes.data(), bytes.size());
  }

  // True once the parent has closed it.
  bool Closed(ParentDriver* driver) {
    return driver->Wait([this] {
      const Result<bool> open = socket_.Receive([this](std::string_view payload) {
        FromParent frame;
        if (frame.ParseFromArray(payload.data(), static_cast<int>(payload.size()))) {
          heard_ = frame;
        }
      });
      return !open || !*open;
    });
  }
  const FromParent& heard() const { return heard_; }

 private:
  FrameSocket socket_;
  FromParent heard_;
};

ToParent Hello(uint32_t protocol, uint64_t incarnation) {
  ToParent frame;
  frame.mutable_hello()->set_protocol(protocol);
  frame.mutable_hello()->set_agent_incarnation(incarnation);
  return frame;
}

// As /proc has it: S sleeps, R runs.
char StateOf(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  const size_t name = text.rfind(')');
  return name != std::string::npos && name + 2 < text.size() ? text[name + 2] : '?';
}

TEST_F(ParentAgentsTest, SaysWhoItIs) {
  EXPECT_EQ(driver_.hello().name(), "test");
  EXPECT_EQ(driver_.hello().incarnation(), 7u);
  EXPECT_EQ(driver_.hello().pid(), driver_.pid());
  EXPECT_EQ(driver_.hello().protocol(), kProtocolVersion);
}

TEST_F(ParentAgentsTest, SaysOfWhichJobsItNeverHeardAndStartsWhatIsSentAfterwards) {
  const uint64_t known = Start("nothing", {}, kThread);
  ASSERT_NE(driver_.AwaitEnd(known), nullptr);
  constexpr uint64_t kCall = 900;
  constexpr uint64_t kCommand = 901;
  ToParent ask;
  for (const uint64_t key : {known, kCall, kCommand}) ask.add_ask_known(key);
  driver_.Send(ask);
  ASSERT_TRUE(driver_.Wait([&] { return driver_.unknown().size() == 2; }));
  EXPECT_EQ(driver_.unknown(), (std::vector<uint64_t>{kCall, kCommand}));
  // An agent that asks again hears the same: it has not started.
  ask.Clear();
  for (const uint64_t key : {kCall, kCommand}) ask.add_ask_known(key);
  driver_.Send(ask);
  ASSERT_TRUE(driver_.Wait([&] { return driver_.unknown().size() == 4; }));
  // Another attempt is another matter, once. What an older agent had sent is not taken then
  // (job_keys.h).
  StartJob call = driver_.Call("test.nothing", {}, kThread);
  call.set_job_key(kCall);
  call.set_attempt(2);
  StartJob command = ParentDriver::Command({"/bin/true"});
  command.set_job_key(kCommand);
  command.set_attempt(2);
  for (int i = 0; i < 2; ++i) {
    driver_.Start(call);
    driver_.Start(command);
  }
  ASSERT_NE(driver_.AwaitEnd(kCall), nullptr);
  ASSERT_NE(driver_.AwaitEnd(kCommand), nullptr);
  ASSERT_NE(driver_.AwaitEnd(Start("nothing", {}, kThread)), nullptr);
  ASSERT_NE(driver_.AwaitEnd(driver_.Start(ParentDriver::Command({"/bin/true"}))), nullptr);
  EXPECT_EQ(driver_.Count(kCall, NoteKind::kStarted), 1u);
  EXPECT_EQ(driver_.Count(kCommand, NoteKind::kStarted), 1u);
}

TEST_F(ParentAgentsTest, ListensWhereOnlyItsOwnerMayKnock) {
  struct stat seen {};
  ASSERT_EQ(::stat((driver_.directory() + "/s").c_str(), &seen), 0);
  EXPECT_EQ(seen.st_mode & 0777u, 0600u);
}

TEST_F(ParentAgentsTest, GoesOnWithoutAnAgentAndHandsStreamsToTheNext) {
  driver_.set_reads_output(false);
  StartJob job = driver_.Command({"sh", "-c", "echo early; read line; echo late; exit 6"});
  job.set_stdin_stream(true);
  const uint64_t key = driver_.Start(job);
  ASSERT_NE(driver_.Await(key, NoteKind::kStarted), nullptr);
  ASSERT_TRUE(driver_.Wait([&] { return driver_.outputs()[key].announced == 1; }));
  const UniqueFd input = std::move(driver_.outputs()[key].input);
  // The agent dies, and all its descriptors with it.
  driver_.Disconnect();
  driver_.outputs()[key].fds[0].reset();
  driver_.outputs()[key].fds[1].reset();
  ASSERT_EQ(::write(input.get(), "go\n", 3), 3);
  const SeenNote* const ended = driver_.AwaitEnd(key);
  ASSERT_NE(ended, nullptr) << "notes need no agent";
  EXPECT_EQ(ended->note.status, 6);
  driver_.set_reads_output(true);
  ASSERT_TRUE(driver_.Connect(2));
  ASSERT_TRUE(driver_.AwaitOutput(key));
  EXPECT_EQ(driver_.outputs()[key].bytes[0], "early\nlate\n");
  EXPECT_EQ(driver_.outputs()[key].announced, 2);
}

TEST_F(ParentAgentsTest, ForgetsStreamsThatAreDrained) {
  const uint64_t drained = driver_.Start(driver_.Command({"true"}));
  const uint64_t kept = driver_.Start(driver_.Command({"true"}));
  ASSERT_NE(driver_.AwaitEnd(drained), nullptr);
  ASSERT_NE(driver_.AwaitEnd(kept), nullptr);
  driver_.Drain(drained);
  ASSERT_TRUE(driver_.ReadMemory({}).has_value());
  driver_.Disconnect();
  ASSERT_TRUE(driver_.Connect(2));
  ASSERT_TRUE(driver_.Wait([&] { return driver_.outputs()[kept].announced == 2; }));
  EXPECT_EQ(driver_.outputs()[drained].announced, 1);
}

TEST_F(ParentAgentsTest, LetsANewerAgentFenceOffTheOlderOne) {
  Stranger newer(driver_);
  newer.Say(Hello(kProtocolVersion, 5));
  EXPECT_TRUE(driver_.Wait([&] { return !driver_.main_open() && !driver_.commands_open(); }));
  // The older one is not let in again.
  Stranger older(driver_);
  older.Say(Hello(kProtocolVersion, 4));
  EXPECT_TRUE(older.Closed(&driver_));
  EXPECT_FALSE(older.heard().has_hello());
  ASSERT_TRUE(driver_.Connect(6));
}

TEST_F(ParentAgentsTest, AnswersAnotherProtocolWithItsOwnAndCloses) {
  Stranger stranger(driver_);
  stranger.Say(Hello(kProtocolVersion + 1, 9));
  EXPECT_TRUE(stranger.Closed(&driver_));
  EXPECT_EQ(stranger.heard().hello().protocol(), kProtocolVersion);
  EXPECT_TRUE(driver_.main_open());
  EXPECT_NE(driver_.Log().find("speaks protocol"), std::string::npos);
}

TEST_F(ParentAgentsTest, ClosesWhoDoesNotSayHello) {
  Stranger rude(driver_);
  ToParent frame;
  frame.mutable_end()->set_how(1);
  rude.Say(frame);
  EXPECT_TRUE(rude.Closed(&driver_));
  Stranger noisy(driver_);
  noisy.SayBytes(std::string(100, '\xff'));
  EXPECT_TRUE(noisy.Closed(&driver_));
  EXPECT_TRUE(Run("nothing", {}, kThread).returned);
}

TEST_F(ParentAgentsTest, LetsAnAgentInBesideAnyNumberThatSayNothing) {
  driver_.Disconnect();
  std::vector<Stranger> silent;
  for (size_t i = 0; i < kUngreetedConnectionsMax + 1; ++i) silent.emplace_back(driver_);
  ASSERT_TRUE(driver_.Connect(2));
  EXPECT_TRUE(Run("nothing", {}, kThread).returned);
  EXPECT_TRUE(silent.front().Closed(&driver_)) << "the oldest";
}

TEST_F(ParentAgentsTest, SleepsWhileItHasNoDescriptorForWhoWantsIn) {
  rlimit usual{};
  rlimit none{};
  ASSERT_EQ(::prlimit(driver_.pid(), RLIMIT_NOFILE, nullptr, &usual), 0);
  none.rlim_max = usual.rlim_max;
  ASSERT_EQ(::prlimit(driver_.pid(), RLIMIT_NOFILE, &none, nullptr), 0);
  // That it connects has woken the parent: asleep again, it has looked.
  Stranger stranger(driver_);
  EXPECT_TRUE(driver_.Wait([this] { return StateOf(driver_.pid()) == 'S'; }));
  ASSERT_EQ(::prlimit(driver_.pid(), RLIMIT_NOFILE, &usual, nullptr), 0);
  stranger.Say(Hello(kProtocolVersion + 1, 9));
  EXPECT_TRUE(stranger.Closed(&driver_));
  EXPECT_EQ(stranger.heard().hello().protocol(), kProtocolVersion) << "let in when there was one";
}

TEST_F(ParentAgentsTest, TakesWhatComesWithTheHelloInOneWrite) {
  driver_.Disconnect();
  std::string bytes;
  const auto append = [&bytes](const ToParent& frame) {
    const std::string payload = frame.SerializeAsString();
    const auto size = static_cast<uint32_t>(payload.size());
    bytes.append(reinterpret_cast<const char*>(&size), sizeof(size));
    bytes.append(payload);
  };
  ToParent hello = Hello(kProtocolVersion, 2);
  hello.mutable_hello()->set_commands(true);
  StartJob job = driver_.Command({"sh", "-c", "exit 8"});
  job.set_job_key(50);
  *hello.mutable_start()->add_jobs() = job;
  append(hello);
  ToParent second;
  job.set_job_key(51);
  *second.mutable_start()->add_jobs() = job;
  append(second);
  Stranger agent(driver_);
  agent.SayBytes(bytes);
  for (const uint64_t key : {50u, 51u}) {
    const SeenNote* const ended = driver_.AwaitEnd(key);
    ASSERT_NE(ended, nullptr) << key;
    EXPECT_EQ(ended->note.status, 8);
  }
}

TEST_F(ParentAgentsTest, TakesCommandsAndCallsOnEitherConnection) {
  StartJob command = driver_.Command({"true"});
  command.set_job_key(60);
  StartJob call = driver_.Call("test.nothing", {}, kThread);
  call.set_job_key(61);
  ToParent on_main;
  *on_main.mutable_start()->add_jobs() = command;
  ToParent on_commands;
  *on_commands.mutable_start()->add_jobs() = call;
  driver_.Send(on_main);
  driver_.SendCommands(on_commands);
  EXPECT_NE(driver_.AwaitEnd(60), nullptr);
  EXPECT_NE(driver_.AwaitEnd(61), nullptr);
}

TEST_F(ParentAgentsTest, KeepsNoDescriptorOfAJobThatIsDoneWith) {
  const auto count = [this] {
    size_t open = 0;
    for ([[maybe_unused]] const auto& entry :
         std::filesystem::directory_iterator("/proc/" + std::to_string(driver_.pid()) + "/fd")) {
      ++open;
    }
    return open;
  };
  const size_t before = count();
  for (int round = 0; round < 3; ++round) {
    std::vector<uint64_t> jobs;
    jobs.push_back(driver_.Start(driver_.Command({"true"})));
    jobs.push_back(driver_.Start(driver_.Command({"no-such-program"})));
    jobs.push_back(Start("nothing", {}, kFork));
    jobs.push_back(Start("none", {}, kFork));
    jobs.push_back(Start("print", {Text("x"), Int(1)}, kThread));
    StartJob input = driver_.Command({"cat"});
    input.set_stdin_stream(true);
    jobs.push_back(driver_.Start(input));
    ASSERT_TRUE(
        driver_.Wait([&] { return static_cast<bool>(driver_.outputs()[jobs.back()].input); }));
    driver_.outputs()[jobs.back()].input.reset();
    for (const uint64_t job : jobs) {
      ASSERT_NE(driver_.AwaitEnd(job), nullptr);
      driver_.Drain(job);
    }
  }
  ASSERT_TRUE(driver_.ReadMemory({}).has_value());
  EXPECT_TRUE(driver_.Wait([&] { return count() == before; })) << count() << " " << before;
}

}  // namespace
}  // namespace brood::testing
