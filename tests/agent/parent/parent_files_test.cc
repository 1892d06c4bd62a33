// SPDX-License-Identifier: Apache-2.0
//
// Jobs whose output goes to files instead of pipes.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <sstream>
#include <string>

#include "tests/agent/parent/calls_fixture.h"
#include "tests/testing/temp_directory.h"

namespace brood::testing {
namespace {

std::string Contents(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

class ParentFilesTest : public CallsFixture {
 protected:
  void SetUp() override {
    CallsFixture::SetUp();
    std::ofstream(out_) << "before ";
    std::ofstream(err_).close();
  }
  uint64_t StartToFiles(internal::v1::StartJob job) {
    job.set_output_file(out_);
    job.set_error_file(err_);
    return driver_.Start(std::move(job));
  }
  // The kernel gives a lease to read only if nobody has the file open to write.
  bool NobodyHas(const std::string& path) {
    const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    return ::fcntl(file.get(), F_SETLEASE, F_RDLCK) == 0;
  }

  const TempDirectory directory_;
  const std::string out_ = directory_.path() + "/out";
  const std::string err_ = directory_.path() + "/err";
};

TEST_F(ParentFilesTest, ACommandAppendsToThem) {
  const uint64_t job = StartToFiles(driver_.Command(
      {"sh", "-c", "echo one; echo bad >&2; (echo two); readlink /proc/self/fd/1"}));
  ASSERT_NE(driver_.AwaitEnd(job), nullptr);
  EXPECT_EQ(Contents(out_), "before one\ntwo\n" + out_ + "\n");
  EXPECT_EQ(Contents(err_), "bad\n");
  EXPECT_EQ(driver_.outputs()[job].announced, 0) << "there are no streams to hand on";
}

TEST_F(ParentFilesTest, AForkedCallAppendsToThem) {
  const uint64_t job = StartToFiles(driver_.Call("test.print", {Text("said"), Int(2)}, kFork));
  ASSERT_NE(driver_.AwaitEnd(job), nullptr);
  EXPECT_EQ(Contents(out_), "before ");
  EXPECT_EQ(Contents(err_), "said");
}

TEST_F(ParentFilesTest, TheInputIsStillHandedOn) {
  internal::v1::StartJob command = driver_.Command({"cat"});
  command.set_stdin_stream(true);
  const uint64_t job = StartToFiles(std::move(command));
  ASSERT_TRUE(driver_.Wait([&] { return static_cast<bool>(driver_.outputs()[job].input); }));
  UniqueFd input = std::move(driver_.outputs()[job].input);
  ASSERT_EQ(::write(input.get(), "typed", 5), 5);
  input.reset();
  ASSERT_NE(driver_.AwaitEnd(job), nullptr);
  EXPECT_EQ(Contents(out_), "before typed");
}

TEST_F(ParentFilesTest, TheParentKeepsNoneOfThemOpen) {
  const uint64_t job = StartToFiles(driver_.Command({"true"}));
  ASSERT_NE(driver_.AwaitEnd(job), nullptr);
  EXPECT_TRUE(driver_.Wait([&] { return NobodyHas(out_) && NobodyHas(err_); }));
}

TEST_F(ParentFilesTest, AFileThatIsNotThereIsNotMade) {
  internal::v1::StartJob command = driver_.Command({"true"});
  command.set_output_file(out_ + ".other");
  command.set_error_file(err_);
  const uint64_t job = driver_.Start(std::move(command));
  const SeenNote* const failed = driver_.Await(job, NoteKind::kFailedToStart);
  ASSERT_NE(failed, nullptr);
  EXPECT_NE(failed->text.find(out_ + ".other"), std::string::npos);
  EXPECT_NE(::access((out_ + ".other").c_str(), F_OK), 0);
}

}  // namespace
}  // namespace brood::testing
