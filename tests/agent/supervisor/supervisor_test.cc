// SPDX-License-Identifier: Apache-2.0
//
// The supervisor as a real process, driven over its socket.
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <set>
#include <string>

#include "agent/outbox/outbox_writer.h"
#include "common/base/clock.h"
#include "common/base/protocol.h"
#include "common/base/unix_socket.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/agent/supervisor/supervisor_process.h"

namespace brood::testing {
namespace {

namespace frames = internal::v1;
using ::testing::HasSubstr;
using ::testing::Not;

frames::ToSupervisor Start(const frames::StartParent& start) {
  frames::ToSupervisor frame;
  *frame.mutable_start() = start;
  return frame;
}

frames::ToSupervisor Kill(const std::string& name, uint64_t incarnation) {
  frames::ToSupervisor frame;
  frame.mutable_kill()->set_name(name);
  frame.mutable_kill()->set_incarnation(incarnation);
  return frame;
}

frames::ToSupervisor Stop() {
  frames::ToSupervisor frame;
  frame.set_stop(true);
  return frame;
}

TEST(SupervisorTest, SaysWhoItIsAndGivesItsBell) {
  SupervisorProcess supervisor;
  AgentLink link(supervisor.socket_path());
  const frames::FromSupervisor answer = supervisor.Meet(&link, 1);
  EXPECT_EQ(answer.hello().protocol(), kProtocolVersion);
  EXPECT_EQ(answer.hello().incarnation(), 3u);
  EXPECT_EQ(answer.hello().pid(), supervisor.pid());
  EXPECT_EQ(answer.parents_size(), 0);
  struct stat socket {};
  ASSERT_EQ(::stat(supervisor.socket_path().c_str(), &socket), 0);
  EXPECT_EQ(socket.st_mode & 0777, 0600u);
}

TEST(SupervisorTest, NotesStartAndEndOfAParentWithItsTrueStatus) {
  SupervisorProcess supervisor;
  AgentLink link(supervisor.socket_path());
  supervisor.Meet(&link, 1);
  const int64_t before = BootTimeNanos();
  link.Say(Start(supervisor.StartOf("default", 4, "exit:42")));
  supervisor.WaitForNotes(2);
  const NoteSeen* const started = supervisor.FindNote(NoteKind::kParentStarted);
  ASSERT_NE(started, nullptr);
  EXPECT_EQ(started->text, "default");
  EXPECT_EQ(started->note.job_key, 4u);
  EXPECT_EQ(started->note.ppid, supervisor.pid());
  EXPECT_GE(started->note.start_ns, before);
  EXPECT_GE(started->note.boot_ns, started->note.start_ns);
  EXPECT_GT(started->note.wall_ns, 0);
  const NoteSeen* const ended = supervisor.FindNote(NoteKind::kParentEnded);
  ASSERT_NE(ended, nullptr);
  EXPECT_EQ(ended->text, "default");
  EXPECT_EQ(ended->note.job_key, 4u);
  EXPECT_EQ(ended->note.pid, started->note.pid);
  EXPECT_EQ(ended->note.code, CLD_EXITED);
  EXPECT_EQ(ended->note.status, 42);
  EXPECT_EQ(ended->note.flags & kHasUsage, kHasUsage);
  EXPECT_GT(ended->note.max_rss_bytes, 0u);
  // /proc counts in ticks of 10 ms, rounded down.
  EXPECT_NEAR(static_cast<double>(ended->note.start_ns),
              static_cast<double>(started->note.start_ns), 1e9);
}

TEST(SupervisorTest, NotesTheSignalThatEndedAParent) {
  SupervisorProcess supervisor;
  AgentLink link(supervisor.socket_path());
  supervisor.Meet(&link, 1);
  link.Say(Start(supervisor.StartOf("p", 1, "signal:15")));
  supervisor.WaitForNotes(2);
  const NoteSeen* const ended = supervisor.FindNote(NoteKind::kParentEnded);
  ASSERT_NE(ended, nullptr);
  EXPECT_EQ(ended->note.code, CLD_KILLED);
  EXPECT_EQ(ended->note.status, SIGTERM);
}

TEST(SupervisorTest, StartsAParentCleanly) {
  // What it must not hand on: a blocked and an ignored signal, a descriptor.
  SupervisorProcess supervisor;
  AgentLink link(supervisor.socket_path());
  supervisor.Meet(&link, 1);
  frames::StartParent start = supervisor.StartOf("p", 9, "exit:0");
  start.add_environment("WORD=a b");
  start.add_libraries("/lib/one.so");
  start.add_libraries("/lib/two.so");
  start.set_working_directory("/usr");
  link.Say(Start(start));
  supervisor.WaitForNotes(2);
  const std::string report = ReadFile(start.directory() + "/report");
  EXPECT_THAT(report,
              HasSubstr("arg --name\narg p\narg --incarnation\narg 9\narg --directory\narg " +
                        start.directory() + "\narg --socket\narg " + start.socket_path() +
                        "\narg --call-slots\narg 64\narg --library\narg /lib/one.so\n"
                        "arg --library\narg /lib/two.so\narg --go-fd\narg 0\n"));
  EXPECT_THAT(report, HasSubstr("\nenv ACT=exit:0\nenv WORD=a b\ncwd /usr\n"));
  EXPECT_THAT(report, HasSubstr("fd 0 socket:["));
  EXPECT_THAT(report, HasSubstr("fd 1 " + start.directory() + "/parent.log\n"));
  EXPECT_THAT(report, HasSubstr("fd 2 " + start.directory() + "/parent.log\n"));
  EXPECT_THAT(report, Not(HasSubstr("fd 3")));
  EXPECT_THAT(report, Not(HasSubstr("not-default")));
  EXPECT_THAT(report, Not(HasSubstr("blocked")));
  const std::string pid = std::to_string(supervisor.FindNote(NoteKind::kParentStarted)->note.pid);
  EXPECT_THAT(report, HasSubstr("pid " + pid + "\nsid " + pid + "\nppid " +
                                std::to_string(supervisor.pid()) + "\n"));
  const std::string log = ReadFile(start.directory() + "/parent.log");
  EXPECT_THAT(log, HasSubstr("a word on stdout\n"));
  EXPECT_THAT(log, HasSubstr("a word on stderr\n"));
}

TEST(SupervisorTest, AppendsToTheLogThatIsThere) {
  SupervisorProcess supervisor;
  AgentLink link(supervisor.socket_path());
  supervisor.Meet(&link, 1);
  link.Say(Start(supervisor.StartOf("p", 1, "exit:0")));
  supervisor.WaitForNotes(2);
  const frames::StartParent again = supervisor.StartOf("p", 1, "exit:0");
  link.Say(Start(again));
  supervisor.WaitForNotes(4);
  const std::string log = ReadFile(again.directory() + "/parent.log");
  EXPECT_GE(log.find("a word on stdout", log.find("a word on stdout") + 1), 1u);
  EXPECT_EQ(log.size(), 2 * std::string("a word on stdout\na word on stderr\n").size());
}

TEST(SupervisorTest, NamesTheStepAndTheErrnoOfAParentThatDidNotStart) {
  SupervisorProcess supervisor;
  AgentLink link(supervisor.socket_path());
  supervisor.Meet(&link, 1);
  frames::StartParent start = supervisor.StartOf("p", 1, "exit:0");
  start.set_working_directory("/nowhere");
  link.Say(Start(start));
  auto answer = link.Listen();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->failed().name(), "p");
  EXPECT_EQ(answer->failed().incarnation(), 1u);
  EXPECT_EQ(answer->failed().step(), "chdir");
  EXPECT_EQ(answer->failed().error_number(), ENOENT);

  start.clear_working_directory();
  start.set_directory("/nowhere");
  link.Say(Start(start));
  answer = link.Listen();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->failed().step(), "log");
  EXPECT_EQ(answer->failed().error_number(), ENOENT);

  // Too long for the kernel: the step is exec.
  start = supervisor.StartOf("p", 1, "exit:0");
  start.add_environment("LONG=" + std::string(200'000, 'x'));
  link.Say(Start(start));
  answer = link.Listen();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->failed().step(), "exec");
  EXPECT_EQ(answer->failed().error_number(), E2BIG);

  // Nothing of it ran: the same incarnation may be tried again.
  link.Say(Start(supervisor.StartOf("p", 1, "exit:5")));
  supervisor.WaitForNotes(2);
  EXPECT_EQ(supervisor.WaitForNotes(2).size(), 2u);
  EXPECT_EQ(supervisor.FindNote(NoteKind::kParentEnded)->note.status, 5);
}

TEST(SupervisorTest, TellsTheTrueStatusOfAnOrphanThatExits) {
  SupervisorProcess supervisor;
  AgentLink link(supervisor.socket_path());
  supervisor.Meet(&link, 1);
  link.Say(Start(supervisor.StartOf("p", 1, "orphan:exit:37")));
  supervisor.WaitForNotes(3);
  const NoteSeen* const ended = supervisor.FindNote(NoteKind::kParentEnded);
  const NoteSeen* const orphan = supervisor.FindNote(NoteKind::kOrphanExited);
  ASSERT_NE(ended, nullptr);
  ASSERT_NE(orphan, nullptr);
  EXPECT_NE(orphan->note.pid, ended->note.pid);
  EXPECT_EQ(orphan->note.code, CLD_EXITED);
  EXPECT_EQ(orphan->note.status, 37);
  EXPECT_EQ(orphan->note.flags & kHasUsage, kHasUsage);
  // Whole ticks of /proc.
  EXPECT_GT(orphan->note.start_ns, 0);
  EXPECT_EQ(orphan->note.start_ns % (1'000'000'000 / ::sysconf(_SC_CLK_TCK)), 0);
  EXPECT_LE(orphan->note.start_ns, orphan->note.boot_ns);
  EXPECT_EQ(orphan->text, "");
}

TEST(SupervisorTest, TellsTheTrueStatusOfAnOrphanThatIsKilled) {
  SupervisorProcess supervisor;
  AgentLink link(supervisor.socket_path());
  supervisor.Meet(&link, 1);
  link.Say(Start(supervisor.StartOf("p", 1, "orphan:signal:10")));
  supervisor.WaitForNotes(3);
  const NoteSeen* const orphan = supervisor.FindNote(NoteKind::kOrphanExited);
  ASSERT_NE(orphan, nullptr);
  EXPECT_EQ(orphan->note.code, CLD_KILLED);
  EXPECT_EQ(orphan->note.status, SIGUSR1);
}

TEST(SupervisorTest, LosesNoneOfManyOrphansThatEndAtOnce) {
  constexpr int kOrphans = 500;
  SupervisorProcess supervisor;
  AgentLink link(supervisor.socket_path());
  supervisor.Meet(&link, 1);
  link.Say(Start(supervisor.StartOf("p", 1, "orphans:" + std::to_string(kOrphans))));
  const auto& notes = supervisor.WaitForNotes(kOrphans + 2);
  std::set<int32_t> pids;
  std::vector<int> per_status(256);
  for (const NoteSeen& seen : notes) {
    if (seen.note.kind != NoteKind::kOrphanExited) continue;
    EXPECT_EQ(seen.note.code, CLD_EXITED);
    pids.insert(seen.note.pid);
    ++per_status[static_cast<size_t>(seen.note.status)];
  }
  EXPECT_EQ(pids.size(), size_t{kOrphans});
  for (size_t status = 0; status < 256; ++status) {
    EXPECT_EQ(per_status[status], status < kOrphans - 256 ? 2 : 1) << status;
  }
}

TEST(SupervisorTest, KillsTheParentItIsToldAndNoOther) {
  SupervisorProcess supervisor;
  AgentLink link(supervisor.socket_path());
  supervisor.Meet(&link, 1);
  link.Say(Start(supervisor.StartOf("p", 1, "wait")));
  link.Say(Start(supervisor.StartOf("q", 1, "wait")));
  supervisor.WaitForNotes(2);
  link.Say(Kill("p", 2));  // not that incarnation
  link.Say(Kill("q", 1));
  supervisor.WaitForNotes(3);
  const NoteSeen* const ended = supervisor.FindNote(NoteKind::kParentEnded);
  ASSERT_NE(ended, nullptr);
  EXPECT_EQ(ended->text, "q");
  EXPECT_EQ(ended->note.code, CLD_KILLED);
  EXPECT_EQ(ended->note.status, SIGKILL);
  // p lives: it is among the parents that the next agent hears of.
  AgentLink next(supervisor.socket_path());
  const frames::FromSupervisor answer = supervisor.Meet(&next, 2);
  ASSERT_EQ(answer.parents_size(), 1);
  EXPECT_EQ(answer.parents(0).name(), "p");
  EXPECT_EQ(answer.parents(0).incarnation(), 1u);
  EXPECT_GT(answer.parents(0).pid(), 0);
  EXPECT_THAT(answer.parents(0).socket_path(), HasSubstr("/p-1/socket"));
  EXPECT_THAT(answer.parents(0).directory(), HasSubstr("/p-1"));
}

TEST(SupervisorTest, FencesOffTheOlderAgent) {
  SupervisorProcess supervisor;
  AgentLink older(supervisor.socket_path());
  supervisor.Meet(&older, 4);
  AgentLink newer(supervisor.socket_path());
  supervisor.Meet(&newer, 5);
  EXPECT_FALSE(older.Listen().has_value()) << "the older connection must be closed";
  AgentLink late(supervisor.socket_path());
  late.SayHello(4, kProtocolVersion);
  EXPECT_FALSE(late.Listen().has_value()) << "an older agent must not be welcomed";
  newer.Say(Start(supervisor.StartOf("p", 1, "exit:0")));
  supervisor.WaitForNotes(2);
}

TEST(SupervisorTest, TellsAnAgentOfAnotherProtocolItsOwnAndHangsUp) {
  SupervisorProcess supervisor;
  AgentLink link(supervisor.socket_path());
  link.SayHello(1, kProtocolVersion + 7);
  const auto answer = link.Listen();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->hello().protocol(), kProtocolVersion);
  EXPECT_FALSE(link.TakeFd()) << "the bell is for agents of its own protocol";
  EXPECT_FALSE(link.Listen().has_value());
}

TEST(SupervisorTest, HangsUpOnWhoeverDoesNotSayHelloFirst) {
  SupervisorProcess supervisor;
  AgentLink link(supervisor.socket_path());
  link.Say(Start(supervisor.StartOf("p", 1, "exit:0")));
  EXPECT_FALSE(link.Listen().has_value());
  EXPECT_FALSE(std::filesystem::exists(supervisor.directory() + "/p-1/parent.log"));
}

TEST(SupervisorTest, SurvivesBrokenFramesAndManySilentConnections) {
  SupervisorProcess supervisor;
  {
    const UniqueFd raw = *ConnectUnix(supervisor.socket_path());
    const char broken[] = "\x05\x00\x00\x00\xff\xff\xff\xff\xff";
    ASSERT_EQ(::write(raw.get(), broken, 9), 9);
    ASSERT_TRUE(WaitReadable(raw.get()));
    char byte;
    EXPECT_EQ(::read(raw.get(), &byte, 1), 0);
  }
  {
    const UniqueFd raw = *ConnectUnix(supervisor.socket_path());
    const char huge[] = "\xff\xff\xff\x7f";
    ASSERT_EQ(::write(raw.get(), huge, 4), 4);
    ASSERT_TRUE(WaitReadable(raw.get()));
    char byte;
    EXPECT_EQ(::read(raw.get(), &byte, 1), 0);
  }
  std::vector<UniqueFd> silent;
  for (int i = 0; i < 100; ++i) silent.push_back(*ConnectUnix(supervisor.socket_path()));
  AgentLink link(supervisor.socket_path());
  supervisor.Meet(&link, 1);
  size_t open = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator("/proc/" + std::to_string(supervisor.pid()) + "/fd")) {
    (void)entry;
    ++open;
  }
  EXPECT_LT(open, 40u) << "silent connections must not cost it its descriptors";
  link.Say(Start(supervisor.StartOf("p", 1, "exit:0")));
  supervisor.WaitForNotes(2);
}

TEST(SupervisorTest, KeepsNoDescriptorOfTheParentsItStarts) {
  SupervisorProcess supervisor;
  AgentLink link(supervisor.socket_path());
  supervisor.Meet(&link, 1);
  const size_t before = supervisor.CountDescriptors();
  for (uint64_t i = 1; i <= 20; ++i) link.Say(Start(supervisor.StartOf("p", i, "exit:0")));
  frames::StartParent bad = supervisor.StartOf("p", 21, "exit:0");
  bad.set_working_directory("/nowhere");
  for (int i = 0; i < 20; ++i) {
    link.Say(Start(bad));
    ASSERT_TRUE(link.Listen());
  }
  supervisor.WaitForNotes(40);
  EXPECT_EQ(supervisor.CountDescriptors(), before);
}

TEST(SupervisorTest, WaitsForDescriptorsInsteadOfSpinning) {
  SupervisorProcess supervisor;
  rlimit limit{};
  ASSERT_EQ(::prlimit(supervisor.pid(), RLIMIT_NOFILE, nullptr, &limit), 0);
  rlimit none = limit;
  none.rlim_cur = 0;
  ASSERT_EQ(::prlimit(supervisor.pid(), RLIMIT_NOFILE, &none, nullptr), 0);
  AgentLink link(supervisor.socket_path());
  link.SayHello(1, kProtocolVersion);
  // It is let in once there are descriptors again.
  ASSERT_EQ(::prlimit(supervisor.pid(), RLIMIT_NOFILE, &limit, nullptr), 0);
  EXPECT_TRUE(link.Listen().has_value());
}

TEST(SupervisorTest, GoesOnWithoutAnAgentAndKeepsWhatItSawForTheNextOne) {
  SupervisorProcess supervisor;
  {
    AgentLink link(supervisor.socket_path());
    supervisor.Meet(&link, 1);
    link.Say(Start(supervisor.StartOf("p", 1, "orphan:exit:11")));
    // Its first note only: the agent goes while the rest is still to come.
    supervisor.WaitForNotes(1);
  }
  AgentLink next(supervisor.socket_path());
  supervisor.Meet(&next, 2);
  supervisor.WaitForNotes(3);
  ASSERT_NE(supervisor.FindNote(NoteKind::kOrphanExited), nullptr);
  EXPECT_EQ(supervisor.FindNote(NoteKind::kOrphanExited)->note.status, 11);
}

TEST(SupervisorTest, OutlivesTheAgentThatStartedIt) {
  SupervisorProcess supervisor(/*by_agent=*/true);
  AgentLink link(supervisor.socket_path());
  supervisor.Meet(&link, 2);
  link.Say(Start(supervisor.StartOf("p", 1, "orphan:exit:3")));
  supervisor.WaitForNotes(3);
  EXPECT_EQ(supervisor.FindNote(NoteKind::kOrphanExited)->note.status, 3);
  link.Say(Stop());
  EXPECT_EQ(supervisor.WaitForEnd(), 0);
}

TEST(SupervisorTest, LosesNothingWhileItsOutboxCannotGrow) {
  constexpr int kParents = 40;
  SupervisorProcess supervisor;
  AgentLink link(supervisor.socket_path());
  supervisor.Meet(&link, 1);
  // The next segment's name is taken: no note finds room once the first is full.
  const std::string obstacle = OutboxSegmentPath(supervisor.directory(), 2);
  ASSERT_TRUE(std::filesystem::create_directory(obstacle));
  // Long names fill a segment of 1 MiB by the starts alone.
  frames::StartParent start = supervisor.StartOf("p", 1, "exit:7");
  start.set_name(std::string(40'000, 'n'));
  for (int i = 0; i < kParents; ++i) {
    start.set_incarnation(static_cast<uint64_t>(i) + 1);
    link.Say(Start(start));
  }
  link.Say(Start(frames::StartParent()));
  ASSERT_TRUE(link.Listen()) << "all were started when this one is refused";
  ASSERT_LT(supervisor.WaitForNotes(0).size(), size_t{kParents});
  ASSERT_TRUE(std::filesystem::remove(obstacle));
  const auto& notes = supervisor.WaitForNotes(2 * kParents);
  std::set<uint64_t> ended;
  for (const NoteSeen& seen : notes) {
    if (seen.note.kind != NoteKind::kParentEnded) continue;
    EXPECT_EQ(seen.note.status, 7);
    ended.insert(seen.note.job_key);
  }
  EXPECT_EQ(ended.size(), size_t{kParents});
}

TEST(SupervisorTest, EndsWhenStoppedAndTakesItsSocketAway) {
  SupervisorProcess supervisor;
  AgentLink link(supervisor.socket_path());
  supervisor.Meet(&link, 1);
  link.Say(Start(supervisor.StartOf("p", 1, "wait")));
  supervisor.WaitForNotes(1);
  link.Say(Stop());
  link.Say(Start(supervisor.StartOf("q", 1, "wait")));
  const auto refused = link.Listen();
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->failed().step(), "stopping");
  link.Say(Kill("p", 1));
  EXPECT_EQ(supervisor.WaitForEnd(), 0);
  supervisor.WaitForNotes(2);
  EXPECT_NE(supervisor.FindNote(NoteKind::kParentEnded), nullptr);
  EXPECT_FALSE(std::filesystem::exists(supervisor.socket_path()));
}

TEST(SupervisorTest, TakesSigtermAsAStop) {
  SupervisorProcess supervisor;
  AgentLink link(supervisor.socket_path());
  supervisor.Meet(&link, 1);
  link.Say(Start(supervisor.StartOf("p", 1, "wait")));
  supervisor.WaitForNotes(1);
  ASSERT_EQ(::kill(supervisor.pid(), SIGTERM), 0);
  // It still waits for its parent, whose end it still notes.
  ASSERT_EQ(::kill(supervisor.FindNote(NoteKind::kParentStarted)->note.pid, SIGUSR1), 0);
  supervisor.WaitForNotes(2);
  EXPECT_EQ(supervisor.FindNote(NoteKind::kParentEnded)->note.status, SIGUSR1);
  EXPECT_EQ(supervisor.WaitForEnd(), 0);
}

TEST(SupervisorTest, ShrugsOffHangupInterruptAndQuit) {
  SupervisorProcess supervisor;
  for (const int signal : {SIGHUP, SIGINT, SIGQUIT}) {
    ASSERT_EQ(::kill(supervisor.pid(), signal), 0);
  }
  AgentLink link(supervisor.socket_path());
  supervisor.Meet(&link, 1);
}

TEST(SupervisorTest, RefusesAFolderThatIsNotThere) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::close(2);
    ::execl(SUPERVISOR, SUPERVISOR, "--directory", "/nowhere", "--socket", "/nowhere/s",
            "--incarnation", "1", nullptr);
    ::_exit(99);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(pid, &status, 0), pid);
  EXPECT_EQ(WEXITSTATUS(status), EXIT_FAILURE);
}

}  // namespace
}  // namespace brood::testing
