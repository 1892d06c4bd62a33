// SPDX-License-Identifier: Apache-2.0
#include "controller/client/inventory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "controller/client/host_set_file.h"

namespace brood {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class InventoryTest : public ::testing::Test {
 protected:
  InventoryTest() {
    std::string name = std::filesystem::temp_directory_path() / "brood-inventory-XXXXXX";
    folder_ = ::mkdtemp(name.data());
    paths_ = {folder_ + "/state", folder_ + "/run", folder_ + "/config.toml",
              folder_ + "/hosts.toml"};
    std::filesystem::create_directories(paths_.state + "/lab");
  }
  ~InventoryTest() override { std::filesystem::remove_all(folder_); }

  void WriteHosts(const std::string& text) { std::ofstream(paths_.hosts) << text; }
  void WriteLab(const std::string& text) { std::ofstream(LabRegistryPath(paths_.state)) << text; }

  Inventory Load() {
    Result<Inventory> inventory = Inventory::Load(paths_);
    EXPECT_TRUE(inventory.ok()) << inventory.error().message;
    return inventory.ok() ? *inventory : Inventory();
  }
  std::string LoadRefusal() {
    Result<Inventory> inventory = Inventory::Load(paths_);
    EXPECT_FALSE(inventory.ok());
    return inventory.ok() ? "" : inventory.error().message;
  }

  static std::vector<std::string> SelectNames(const Inventory& inventory, const std::string& set) {
    const Result<std::vector<HostAddress>> hosts = inventory.Select(set);
    EXPECT_TRUE(hosts.ok()) << hosts.error().message;
    std::vector<std::string> names;
    for (const HostAddress& host : hosts ? *hosts : std::vector<HostAddress>())
      names.push_back(host.name);
    return names;
  }

  std::string folder_;
  Paths paths_;
};

TEST_F(InventoryTest, TakesAMissingFileForAnEmptyOne) { EXPECT_TRUE(Load().hosts().empty()); }

TEST_F(InventoryTest, KnowsTheAgentOfThisMachineWithoutAnyFile) {
  const Result<std::vector<HostAddress>> hosts = Load().Select("local");
  ASSERT_TRUE(hosts.ok());
  ASSERT_EQ(hosts->size(), 1u);
  EXPECT_EQ(hosts->front().target, "unix:" + folder_ + "/run/agent.sock");
}

TEST_F(InventoryTest, ReadsAddressesAndGroups) {
  WriteHosts(R"(
[hosts.n1]
address = "unix:/run/a.sock"
[hosts.n2]
address = "127.0.0.1:7431"
insecure = true
[groups]
pair = "n[1-2]"
)");
  const Result<std::vector<HostAddress>> hosts = Load().Select("@pair,n1");
  ASSERT_TRUE(hosts.ok()) << hosts.error().message;
  ASSERT_EQ(hosts->size(), 2u);
  EXPECT_EQ((*hosts)[0].name, "n1");
  EXPECT_EQ((*hosts)[0].target, "unix:/run/a.sock");
  EXPECT_FALSE((*hosts)[0].insecure);
  EXPECT_EQ((*hosts)[1].target, "127.0.0.1:7431");
  EXPECT_TRUE((*hosts)[1].insecure);
}

TEST_F(InventoryTest, ReadsTheLabsRegistryBesideTheHostsFile) {
  WriteHosts("[hosts.n1]\naddress = \"unix:/a\"\n");
  WriteLab("[hosts.host1]\naddress = \"unix:/b\"\n[groups]\nlab = \"host1\"\n");
  const Result<std::vector<HostAddress>> hosts = Load().Select("n1,@lab");
  ASSERT_TRUE(hosts.ok()) << hosts.error().message;
  EXPECT_EQ(hosts->size(), 2u);
}

TEST_F(InventoryTest, NamesAnUnknownHostAndThoseKnown) {
  WriteHosts("[hosts.n1]\naddress = \"unix:/a\"\n[groups]\ng = \"n1\"\n");
  for (const char* set : {"n7", "@n7"}) {
    const Result<std::vector<HostAddress>> hosts = Load().Select(set);
    ASSERT_FALSE(hosts.ok());
    EXPECT_EQ(hosts.error().code, ErrorCode::kNotFound);
    EXPECT_THAT(hosts.error().message, HasSubstr(set));
    EXPECT_THAT(hosts.error().message, HasSubstr("hosts known: n1; groups known: g"));
  }
}

TEST_F(InventoryTest, FoldsAllHostsThatAreUnknown) {
  WriteHosts("[hosts.n1]\naddress = \"unix:/a\"\n");
  const Result<std::vector<HostAddress>> hosts = Load().Select("n[1,07-09]");
  ASSERT_FALSE(hosts.ok());
  EXPECT_THAT(hosts.error().message, HasSubstr("no host 'n[07-09]'"));
}

TEST_F(InventoryTest, SelectsByLabelAndAllOfThem) {
  WriteHosts(R"(
[hosts.n1]
address = "unix:/a"
labels = {gpu = "a100", rack = "7"}
[hosts.n2]
address = "unix:/b"
labels = {gpu = "none"}
)");
  const Inventory inventory = Load();
  EXPECT_THAT(SelectNames(inventory, "@gpu=a100"), ElementsAre("n1"));
  EXPECT_THAT(SelectNames(inventory, "@all!@rack=7"), ElementsAre("n2"));
  const Result<std::vector<HostAddress>> hosts = inventory.Select("@gpu=h100");
  ASSERT_FALSE(hosts.ok());
  EXPECT_THAT(hosts.error().message, HasSubstr("no host with the label 'gpu=h100'"));
}

TEST_F(InventoryTest, RefusesTwoHostsWithOneAddressInOneSet) {
  WriteHosts("[hosts.n1]\naddress = \"unix:/a\"\n[hosts.n2]\naddress = \"unix:/a\"\n");
  const Inventory inventory = Load();
  EXPECT_TRUE(inventory.Select("n1").ok());
  const Result<std::vector<HostAddress>> hosts = inventory.Select("n[1-2]");
  ASSERT_FALSE(hosts.ok());
  EXPECT_THAT(hosts.error().message, HasSubstr("'n1' and 'n2' have one address, 'unix:/a'"));
  EXPECT_THAT(inventory.Check(), ElementsAre(HasSubstr("'n[1-2]' have one address")));
}

TEST_F(InventoryTest, RefusesASetOfNobody) {
  WriteHosts("[hosts.n1]\naddress = \"unix:/a\"\n");
  const Result<std::vector<HostAddress>> hosts = Load().Select("n1!n1");
  ASSERT_FALSE(hosts.ok());
  EXPECT_THAT(hosts.error().message, HasSubstr("stands for no host"));
}

TEST_F(InventoryTest, ChecksWhatIsOnlyFoundInUse) {
  WriteHosts(R"(
[hosts.n1]
address = "n1.lab:99999"
[hosts.n2]
address = "n2.lab:7431"
insecure = true
[hosts.with-tls]
address = "n5.lab:7431"
[hosts.other]
address = "unix:relative"
[groups]
web = "n[1-4]"
bad = "n["
)");
  EXPECT_THAT(Load().Check(),
              ElementsAre(HasSubstr("host 'n1' is 'n1.lab:99999'; write unix:/PATH"),
                          HasSubstr("'n2.lab:7431': TCP without TLS is for loopback only"),
                          HasSubstr("is 'unix:relative'; write"), HasSubstr("group 'bad'"),
                          HasSubstr("group 'web': no host is named 'n[3-4]'")));
}

// A nodeset of our own stands before the real one.
TEST_F(InventoryTest, AsksClusterShellForAGroupThatNoFileHas) {
  WriteHosts("[hosts.n1]\naddress = \"unix:/a\"\n[hosts.n2]\naddress = \"unix:/b\"\n");
  std::ofstream(folder_ + "/nodeset") << "#!/bin/sh\n"
                                         "[ \"$*\" = '-f -- @site:web' ] && echo 'n[1-2]'\n";
  std::filesystem::permissions(folder_ + "/nodeset", std::filesystem::perms::owner_all);
  const std::string path = ::getenv("PATH");
  ::setenv("PATH", (folder_ + ":" + path).c_str(), 1);
  const Inventory inventory = Load();
  EXPECT_THAT(SelectNames(inventory, "@site:web"), ElementsAre("n1", "n2"));
  const Result<std::vector<HostAddress>> hosts = inventory.Select("@site:db");
  EXPECT_FALSE(hosts.ok());
  ::setenv("PATH", path.c_str(), 1);
  EXPECT_THAT(hosts.error().message, HasSubstr("no group '@site:db'"));
}

TEST_F(InventoryTest, DoesNotWaitForAClusterShellThatDoesNotEnd) {
  WriteHosts("[hosts.n1]\naddress = \"unix:/a\"\n");
  std::ofstream(folder_ + "/nodeset") << "#!/bin/sh\necho n1\nexec sleep 600 >&-\n";
  std::filesystem::permissions(folder_ + "/nodeset", std::filesystem::perms::owner_all);
  const std::string path = ::getenv("PATH");
  ::setenv("PATH", (folder_ + ":" + path).c_str(), 1);
  const Result<std::vector<HostAddress>> hosts = Load().Select("@web");
  ::setenv("PATH", path.c_str(), 1);
  ASSERT_FALSE(hosts.ok());
  EXPECT_THAT(hosts.error().message, HasSubstr("no group '@web'"));
}

TEST_F(InventoryTest, ReadsASetOfAFileLineByLine) {
  const std::string path = folder_ + "/nodes";
  std::ofstream(path) << "# the lab\nn[1-3]!n2\n\n  n2 # again\n";
  const Result<std::string> set = ReadHostSetFile(path);
  ASSERT_TRUE(set.ok()) << set.error().message;
  EXPECT_EQ(*set, "(n[1-3]!n2),(n2)");
  std::ofstream(path, std::ios::trunc) << "# nobody\n";
  EXPECT_THAT(ReadHostSetFile(path).error().message, HasSubstr("it has no host"));
  EXPECT_THAT(ReadHostSetFile(folder_ + "/none").error().message, HasSubstr("No such file"));
}

TEST_F(InventoryTest, RefusesANameThatTwoFilesDefineOnlyWhenItIsUsed) {
  WriteHosts("[hosts.host1]\naddress = \"unix:/a\"\n[hosts.n1]\naddress = \"unix:/c\"\n");
  WriteLab("[hosts.host1]\naddress = \"unix:/b\"\n");
  const Inventory inventory = Load();
  EXPECT_TRUE(inventory.Select("n1").ok());
  const Result<std::vector<HostAddress>> hosts = inventory.Select("host1");
  ASSERT_FALSE(hosts.ok());
  EXPECT_THAT(hosts.error().message, HasSubstr("rename one"));
}

TEST_F(InventoryTest, NamesFileAndLineOfWhatIsWrong) {
  const std::pair<const char*, const char*> cases[] = {
      {"[hosts.n1\n", "line 1"},
      {"\n[hosts.n1]\nadress = \"unix:/a\"\n", "line 3: host 'n1' has 'adress'"},
      {"[hosts.n1]\n", "has no address"},
      {"[hosts.n1]\naddress = 7\n", "line 2"},
      {"[hosts.local]\naddress = \"unix:/a\"\n", "NAME not 'local'"},
      {"[hosts.\"../x\"]\naddress = \"unix:/a\"\n", "is no host"},
      {"[groups]\ng = 1\n", "line 2: group 'g' is no set"},
      {"[groups]\nall = \"n1\"\n", "always all hosts"},
      {"[hosts.n1]\nlabels = {a = 1}\n", "label 'a=' of host 'n1' is none"},
      {"[groups]\nlab = \"a\"\n", "taken by `brood lab`"},
      {"[host]\n", "'host' is not understood"},
      {"hosts = 1\n", "'hosts' is not understood"},
  };
  for (const auto& [text, expected] : cases) {
    WriteHosts(text);
    const std::string message = LoadRefusal();
    EXPECT_THAT(message, HasSubstr(paths_.hosts)) << text;
    EXPECT_THAT(message, HasSubstr(expected)) << text;
  }
}

TEST_F(InventoryTest, RefusesAFileThatIsTooLarge) {
  WriteHosts("#" + std::string(kHostsFileMax, 'x'));
  EXPECT_THAT(LoadRefusal(), HasSubstr("larger than"));
}

}  // namespace
}  // namespace brood
