// SPDX-License-Identifier: Apache-2.0
//
// Sockets with names, folders, checksums, errors.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "common/base/checksum.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/paths.h"
#include "common/base/unix_socket.h"
#include "tests/testing/temp_directory.h"

namespace brood {
namespace {

using testing::TempDirectory;

mode_t ModeOf(const std::string& path) {
  struct stat seen {};
  EXPECT_EQ(::lstat(path.c_str(), &seen), 0) << path;
  return seen.st_mode & 0777;
}

TEST(UnixSocketTest, ListensForItsOwnerOnlyAndConnects) {
  const TempDirectory folder;
  const std::string path = folder.path() + "/s";
  const Result<UniqueFd> listener = ListenUnix(path);
  ASSERT_TRUE(listener.ok());
  EXPECT_EQ(ModeOf(path), 0600u);
  const Result<UniqueFd> near = ConnectUnix(path);
  ASSERT_TRUE(near.ok());
  const UniqueFd far(::accept(listener->get(), nullptr, nullptr));
  ASSERT_TRUE(far);
  const Result<PeerCredentials> peer = ReadPeerCredentials(far.get());
  ASSERT_TRUE(peer.ok());
  EXPECT_EQ(peer->pid, ::getpid());
  EXPECT_EQ(peer->uid, ::getuid());
}

TEST(UnixSocketTest, TakesThePlaceOfAnOldFile) {
  const TempDirectory folder;
  const std::string path = folder.path() + "/s";
  { ASSERT_TRUE(ListenUnix(path).ok()); }
  EXPECT_FALSE(ConnectUnix(path).ok()) << "nobody listens any more";
  EXPECT_TRUE(ListenUnix(path).ok());
}

TEST(UnixSocketTest, SaysWhatToDoAboutALongPath) {
  const std::string path = "/tmp/" + std::string(120, 'p');
  for (const Error& error : {ListenUnix(path).error(), ConnectUnix(path).error()}) {
    EXPECT_EQ(error.code, ErrorCode::kInvalidArgument);
    EXPECT_NE(error.message.find("BROOD_RUNTIME_DIR"), std::string::npos);
    EXPECT_NE(error.message.find(path), std::string::npos);
  }
}

TEST(UnixSocketTest, NamesThePathThatNobodyListensOn) {
  const Result<UniqueFd> nobody = ConnectUnix("/no/such/socket");
  ASSERT_FALSE(nobody.ok());
  EXPECT_EQ(nobody.error().code, ErrorCode::kNotFound);
  EXPECT_NE(nobody.error().message.find("/no/such/socket"), std::string::npos);
}

using Values = std::map<std::string, std::string>;

// Sets variables for its lifetime, and unsets all others that paths come from.
class Variables {
 public:
  explicit Variables(const Values& set) {
    for (const char* const name :
         {"BROOD_STATE_DIR", "BROOD_RUNTIME_DIR", "BROOD_CONFIG", "BROOD_HOSTS", "XDG_STATE_HOME",
          "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "HOME"}) {
      const char* const old = std::getenv(name);
      if (old != nullptr) old_[name] = old;
      ::unsetenv(name);
      names_.push_back(name);
    }
    for (const auto& [name, value] : set) ::setenv(name.c_str(), value.c_str(), 1);
  }
  ~Variables() {
    for (const std::string& name : names_) {
      const auto old = old_.find(name);
      old != old_.end() ? ::setenv(name.c_str(), old->second.c_str(), 1) : ::unsetenv(name.c_str());
    }
  }
  Variables(const Variables&) = delete;
  Variables& operator=(const Variables&) = delete;

 private:
  Values old_;
  std::vector<std::string> names_;
};

TEST(PathsTest, TakesBroodsOwnVariablesFirst) {
  const Variables variables(Values{{"BROOD_STATE_DIR", "/a"},
                                   {"BROOD_RUNTIME_DIR", "/b"},
                                   {"BROOD_CONFIG", "/c/file"},
                                   {"BROOD_HOSTS", "/d"},
                                   {"XDG_STATE_HOME", "/wrong"},
                                   {"HOME", "/wrong"}});
  const Result<Paths> paths = PathsFromEnvironment();
  ASSERT_TRUE(paths.ok());
  EXPECT_EQ(paths->state, "/a");
  EXPECT_EQ(paths->runtime, "/b");
  EXPECT_EQ(paths->config, "/c/file");
  EXPECT_EQ(paths->hosts, "/d");
}

TEST(PathsTest, FollowsXdgAndThenTheHome) {
  {
    const Variables variables(
        Values{{"XDG_STATE_HOME", "/s"}, {"XDG_RUNTIME_DIR", "/r"}, {"XDG_CONFIG_HOME", "/c"}});
    const Result<Paths> paths = PathsFromEnvironment();
    ASSERT_TRUE(paths.ok());
    EXPECT_EQ(paths->state, "/s/brood");
    EXPECT_EQ(paths->runtime, "/r/brood");
    EXPECT_EQ(paths->config, "/c/brood/config.toml");
    EXPECT_EQ(paths->hosts, "/c/brood/hosts.toml");
  }
  const Variables variables(Values{{"HOME", "/home/me"}});
  const Result<Paths> paths = PathsFromEnvironment();
  ASSERT_TRUE(paths.ok());
  EXPECT_EQ(paths->state, "/home/me/.local/state/brood");
  EXPECT_EQ(paths->runtime, "/tmp/brood-" + std::to_string(::getuid()));
  EXPECT_EQ(paths->config, "/home/me/.config/brood/config.toml");
  EXPECT_EQ(AgentSocketPath(paths->runtime), paths->runtime + "/agent.sock");
}

TEST(PathsTest, RefusesARelativePathByItsVariable) {
  const Variables variables(Values{{"BROOD_STATE_DIR", "state"}});
  const Result<Paths> paths = PathsFromEnvironment();
  ASSERT_FALSE(paths.ok());
  EXPECT_EQ(paths.error().field, "BROOD_STATE_DIR");
}

TEST(PathsTest, GivesEachMachineAFolderOfItsOwn) {
  const std::string folder = MachineStateDirectory("/state");
  EXPECT_EQ(folder.rfind("/state/", 0), 0u);
  EXPECT_GT(folder.size(), std::string("/state/").size());
  EXPECT_EQ(folder.find('\n'), std::string::npos);
}

TEST(PathsTest, MakesFoldersThatAreItsOwnersOnly) {
  const TempDirectory folder;
  const std::string path = folder.path() + "/a/b/c";
  EXPECT_FALSE(MakePrivateDirectory(path));
  EXPECT_FALSE(MakePrivateDirectory(path)) << "there already";
  EXPECT_EQ(ModeOf(path), 0700u);
  EXPECT_EQ(ModeOf(folder.path() + "/a"), 0700u);
}

TEST(PathsTest, RefusesAFolderThatOthersCanWriteToOrThatIsNone) {
  const TempDirectory folder;
  const std::string open = folder.path() + "/open";
  ASSERT_EQ(::mkdir(open.c_str(), 0700), 0);
  ASSERT_EQ(::chmod(open.c_str(), 0777), 0);
  Status refused = MakePrivateDirectory(open);
  ASSERT_TRUE(refused.has_value());
  EXPECT_EQ(refused->code, ErrorCode::kPermissionDenied);
  EXPECT_NE(refused->message.find(open), std::string::npos);
  const std::string link = folder.path() + "/link";
  ASSERT_EQ(::symlink("/tmp", link.c_str()), 0);
  refused = MakePrivateDirectory(link);
  ASSERT_TRUE(refused.has_value());
  EXPECT_EQ(refused->reason, "UNSAFE_DIRECTORY");
  std::ofstream(folder.path() + "/file") << "x";
  EXPECT_TRUE(MakePrivateDirectory(folder.path() + "/file").has_value());
  EXPECT_TRUE(MakePrivateDirectory(folder.path() + "/file/below").has_value());
}

TEST(PathsTest, KnowsWhereTheProgramIs) {
  EXPECT_EQ(::access((ProgramDirectory() + "/base_files_test").c_str(), X_OK), 0);
}

TEST(ChecksumTest, IsCastagnolis) {
  EXPECT_EQ(Crc32c("123456789", 9), 0xE3069283u);
  EXPECT_EQ(Crc32c("", 0), 0u);
  EXPECT_EQ(Crc64("123456789", 9), 0x995DC9BBDF1939FAu);
  const std::string zeros(32, '\0');
  EXPECT_EQ(Crc32c(zeros.data(), zeros.size()), 0x8A9136AAu) << "RFC 3720, B.4";
}

TEST(ChecksumTest, GoesOnWhereItStopped) {
  const std::string text = "the quick brown fox jumps over the lazy dog";
  const uint32_t whole = Crc32c(text.data(), text.size());
  for (size_t cut = 0; cut <= text.size(); ++cut) {
    const uint32_t first = Crc32c(text.data(), cut);
    EXPECT_EQ(Crc32c(text.data() + cut, text.size() - cut, first), whole);
  }
}

TEST(ErrorTest, SaysTheErrnoInWordsAndByName) {
  const Error error = ErrnoError(ENOENT, "open '/x'");
  EXPECT_EQ(error.message, "open '/x': No such file or directory (ENOENT)");
  EXPECT_EQ(error.reason, "ENOENT");
  EXPECT_EQ(error.code, ErrorCode::kNotFound);
  EXPECT_EQ(ErrnoError(99999, "x").reason, "ERRNO_99999");
  EXPECT_STREQ(ErrorCodeName(ErrorCode::kDataLoss), "DATA_LOSS");
}

TEST(ClockTest, GoesForwardAndCountsSinceBoot) {
  const int64_t first = BootTimeNanos();
  const Instant now = RealClock().Now();
  EXPECT_GE(now.boot.ns, first);
  EXPECT_GT(now.wall.ns, 1'600'000'000'000'000'000);
  EXPECT_FALSE(ReadBootId().empty());
}

}  // namespace
}  // namespace brood
