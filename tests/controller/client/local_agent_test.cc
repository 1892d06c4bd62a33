// SPDX-License-Identifier: Apache-2.0
//
// Starting the local agent, with a script in the place of brood-agent.
#include "controller/client/local_agent.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>

#include <filesystem>
#include <fstream>
#include <thread>
#include <vector>

#include "common/base/unix_socket.h"
#include "tests/testing/temp_directory.h"

namespace brood {
namespace {

using ::testing::HasSubstr;

class LocalAgentTest : public ::testing::Test {
 protected:
  LocalAgentTest() {
    paths_.state = directory_.path() + "/state";
    paths_.runtime = directory_.path() + "/run";
  }
  ~LocalAgentTest() override {
    std::ifstream pids(directory_.path() + "/pids");
    for (pid_t pid = 0; pids >> pid;) {
      ::kill(pid, SIGKILL);
      ::waitpid(pid, nullptr, 0);
    }
  }
  // A program that notes its pid and does that.
  void MakeAgent(const std::string& python) {
    const std::string path = directory_.path() + "/brood-agent";
    std::ofstream(path) << "#!/usr/bin/python3\nimport os, signal, socket, sys\n"
                        << "open('" << directory_.path()
                        << "/pids', 'a').write(f'{os.getpid()}\\n')\n"
                        << python;
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
  }
  void MakeServingAgent() {
    MakeAgent("s = socket.socket(socket.AF_UNIX)\ns.bind('" + paths_.runtime +
              "/agent.sock')\ns.listen(50)\n"
              "os.write(int(sys.argv[2]), b'+')\nsignal.pause()\n");
  }
  size_t Started() const {
    std::ifstream pids(directory_.path() + "/pids");
    size_t count = 0;
    for (pid_t pid = 0; pids >> pid;) ++count;
    return count;
  }
  testing::TempDirectory directory_;
  Paths paths_;
};

TEST_F(LocalAgentTest, IsStartedOnceByManyAtTheSameTime) {
  MakeServingAgent();
  std::vector<std::thread> callers;
  std::atomic<int> served{0};
  for (int i = 0; i < 10; ++i) {
    callers.emplace_back([&] {
      const auto address = EnsureLocalAgent(paths_, directory_.path());
      served += address.ok() && address->name == "local" ? 1 : 0;
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(served, 10);
  EXPECT_EQ(Started(), 1u);
  EXPECT_TRUE(LocalAgentListens(paths_));
}

TEST_F(LocalAgentTest, SaysWhatTheAgentSaidWhenItDoesNotServe) {
  MakeAgent("os.write(int(sys.argv[2]), b'the moon is full\\n')\n");
  const auto address = EnsureLocalAgent(paths_, directory_.path());
  ASSERT_FALSE(address.ok());
  EXPECT_EQ(address.error().reason, "AGENT_NOT_STARTED");
  EXPECT_THAT(address.error().message, HasSubstr("the moon is full"));
  EXPECT_THAT(address.error().message, HasSubstr(paths_.state + "/agent.log"));
}

TEST_F(LocalAgentTest, SaysThatItEndedBeforeItServed) {
  MakeAgent("print('last words', file=sys.stderr)\n");
  const auto address = EnsureLocalAgent(paths_, directory_.path());
  ASSERT_FALSE(address.ok());
  EXPECT_THAT(address.error().message, HasSubstr("it ended before it served"));
  std::ifstream log(paths_.state + "/agent.log");
  EXPECT_THAT(std::string(std::istreambuf_iterator<char>(log), {}), HasSubstr("last words"));
}

TEST_F(LocalAgentTest, NamesTheProgramThatIsMissing) {
  const auto address = EnsureLocalAgent(paths_, directory_.path());
  ASSERT_FALSE(address.ok());
  EXPECT_THAT(address.error().message, HasSubstr(directory_.path() + "/brood-agent"));
}

TEST_F(LocalAgentTest, OneThatWasStoppedIsStartedByWhoAsksForItAndNotByWhoOnlyGoesOn) {
  MakeServingAgent();
  ASSERT_FALSE(MakePrivateDirectory(paths_.runtime));
  std::ofstream(StoppedMarkPath(paths_.runtime)).flush();
  EXPECT_TRUE(LocalAgentStopped(paths_));
  const auto revived = ReviveLocalAgent(paths_, directory_.path());
  ASSERT_FALSE(revived.ok());
  EXPECT_EQ(revived.error().reason, "AGENT_STOPPED");
  EXPECT_EQ(Started(), 0u);
  EXPECT_TRUE(EnsureLocalAgent(paths_, directory_.path()).ok());
  EXPECT_EQ(Started(), 1u);
}

TEST_F(LocalAgentTest, IsNotStartedWhereSomebodyListens) {
  ASSERT_FALSE(MakePrivateDirectory(paths_.runtime));
  const auto listener = ListenUnix(AgentSocketPath(paths_.runtime));
  ASSERT_TRUE(listener.ok());
  EXPECT_TRUE(EnsureLocalAgent(paths_, directory_.path()).ok());
  EXPECT_EQ(Started(), 0u);
}

}  // namespace
}  // namespace brood
