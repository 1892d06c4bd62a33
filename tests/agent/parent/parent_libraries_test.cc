// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "agent/sdk/task.h"
#include "tests/testing/parent_driver.h"

namespace brood::testing {
namespace {

using internal::v1::Library;

// The one under test; the shipped library may stand before it.
Library LibraryOf(const ParentDriver& driver, const std::string& path) {
  for (const Library& library : driver.tasks().libraries()) {
    if (library.path() == path) return library;
  }
  return Library();
}

TEST(ParentLibrariesTest, DescribesItsTasks) {
  ParentDriver driver(ParentDriverOptions{4, {TEST_TASKS}, {}, ""});
  ASSERT_TRUE(driver.Connect()) << driver.Log();
  const Library library = LibraryOf(driver, TEST_TASKS);
  EXPECT_EQ(library.error(), "");
  ASSERT_GT(library.tasks_size(), 2);
  const internal::v1::Task& add = library.tasks(0);
  EXPECT_EQ(add.name(), "test.add");
  EXPECT_EQ(add.summary(), "adds to a cell");
  ASSERT_EQ(add.parameters_size(), 2);
  EXPECT_EQ(add.parameters(0).name(), "cell");
  EXPECT_EQ(add.parameters(1).type(), BROOD_INT);
  EXPECT_EQ(add.result(), BROOD_INT);
  EXPECT_TRUE(add.shares_memory());
  EXPECT_FALSE(add.isolated());
}

struct Fault {
  const char* name;
  const char* said;
};

class BadLibraryTest : public ::testing::TestWithParam<Fault> {};

INSTANTIATE_TEST_SUITE_P(
    Faults, BadLibraryTest,
    ::testing::Values(
        Fault{"null", "does not want to be loaded"}, Fault{"throws", "threw"},
        Fault{"version", "has task ABI version 99, this brood takes 1"},
        Fault{"size", "a brood_library of size 3"}, Fault{"task_size", "a brood_task of size 8"},
        Fault{"name", "a name that is not [a-z][a-z0-9_]{0,31}"}, Fault{"count", "has 1025 tasks"},
        Fault{"task_name", "number 2, with a name that is not"},
        Fault{"duplicate", "two tasks called 'test.add'"},
        Fault{"function", "number 2, with no function"}, Fault{"type", "a result of no known type"},
        Fault{"mutexes", "a brood_mutex of size 0"}),
    [](const auto& fault) { return std::string(fault.param.name); });

TEST_P(BadLibraryTest, IsRefusedInASentenceAndTheParentGoesOn) {
  ParentDriver driver(ParentDriverOptions{
      4, {TEST_TASKS}, {std::string("BROOD_TEST_FAULT=") + GetParam().name}, ""});
  ASSERT_TRUE(driver.Connect()) << driver.Log();
  const Library library = LibraryOf(driver, TEST_TASKS);
  EXPECT_NE(library.error().find(GetParam().said), std::string::npos) << library.error();
  EXPECT_NE(library.error().find(TEST_TASKS), std::string::npos);
  EXPECT_EQ(library.tasks_size(), 0);
  const SeenNote* const ended = driver.AwaitEnd(driver.Start(driver.Command({"true"})));
  ASSERT_NE(ended, nullptr);
  EXPECT_EQ(ended->note.kind, NoteKind::kExited);
}

class OlderLibraryTest : public ::testing::TestWithParam<const char*> {};

INSTANTIATE_TEST_SUITE_P(Headers, OlderLibraryTest,
                         ::testing::Values("first_header", "second_header"),
                         [](const auto& header) { return std::string(header.param); });

TEST_P(OlderLibraryTest, IsLoadedAndItsTasksRun) {
  ParentDriver driver(
      ParentDriverOptions{4, {TEST_TASKS}, {std::string("BROOD_TEST_FAULT=") + GetParam()}, ""});
  ASSERT_TRUE(driver.Connect()) << driver.Log();
  EXPECT_EQ(LibraryOf(driver, TEST_TASKS).error(), "");
  const SeenNote* const ended =
      driver.AwaitEnd(driver.Start(driver.Call("test.nothing", {}, true)));
  ASSERT_NE(ended, nullptr);
  EXPECT_EQ(ended->note.kind, NoteKind::kReturned);
}

TEST(ParentLibrariesTest, RefusesFilesThatAreNone) {
  ParentDriver driver(ParentDriverOptions{
      4, {"/no/such/file.so", "/etc/passwd", "relative.so", TEST_TASKS, TEST_TASKS}, {}, ""});
  ASSERT_TRUE(driver.Connect()) << driver.Log();
  EXPECT_NE(LibraryOf(driver, "/no/such/file.so").error().find("cannot be opened"),
            std::string::npos);
  EXPECT_NE(LibraryOf(driver, "/etc/passwd").error().find("cannot be opened"), std::string::npos);
  EXPECT_NE(LibraryOf(driver, "relative.so").error().find("absolute path"), std::string::npos);
  const Library& twice = driver.tasks().libraries(driver.tasks().libraries_size() - 1);
  EXPECT_NE(twice.error().find("is called 'test', as one that is loaded"), std::string::npos);
}

TEST(ParentLibrariesTest, RefusesASharedObjectWithoutTheSymbol) {
  // Any library that every Debian has.
  std::string path;
  for (const char* const folder : {"/lib/x86_64-linux-gnu", "/lib/aarch64-linux-gnu", "/lib64"}) {
    if (std::filesystem::exists(std::string(folder) + "/libm.so.6")) {
      path = std::string(folder) + "/libm.so.6";
      break;
    }
  }
  ASSERT_NE(path, "");
  ParentDriver driver(ParentDriverOptions{4, {path}, {}, ""});
  ASSERT_TRUE(driver.Connect()) << driver.Log();
  EXPECT_NE(LibraryOf(driver, path).error().find("exports no function brood_task_library"),
            std::string::npos);
}

}  // namespace
}  // namespace brood::testing
