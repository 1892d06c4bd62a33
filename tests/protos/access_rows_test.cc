// SPDX-License-Identifier: Apache-2.0
#include "protos/access_rows.h"

#include <gmock/gmock.h>
#include <google/protobuf/descriptor.pb.h>
#include <gtest/gtest.h>

namespace brood {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// What is said of a service with one method of these options.
std::vector<std::string> FaultsOf(const google::protobuf::MethodOptions& options,
                                  std::vector<AccessRow>* rows) {
  google::protobuf::DescriptorPool pool(google::protobuf::DescriptorPool::generated_pool());
  google::protobuf::FileDescriptorProto file;
  file.set_name("x.proto");
  file.set_package("x");
  file.add_dependency("brood/v1/access.proto");
  file.add_message_type()->set_name("Empty");
  auto* const service = file.add_service();
  service->set_name("Service");
  auto* const method = service->add_method();
  method->set_name("Do");
  method->set_input_type("x.Empty");
  method->set_output_type("x.Empty");
  *method->mutable_options() = options;
  const google::protobuf::FileDescriptor* const built = pool.BuildFile(file);
  EXPECT_NE(built, nullptr);
  return built == nullptr ? std::vector<std::string>() : ReadAccessRows(*built, rows);
}

TEST(AccessRowsTest, AMethodThatSaysWhoMayCallItIsARow) {
  google::protobuf::MethodOptions options;
  options.MutableExtension(v1::access)->add_kinds(v1::PEER_KIND_USER);
  options.MutableExtension(v1::access)->set_least_role(v1::ROLE_OPERATOR);
  std::vector<AccessRow> rows;
  EXPECT_THAT(FaultsOf(options, &rows), IsEmpty());
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].path, "/x.Service/Do");
  EXPECT_TRUE(rows[0].users);
  EXPECT_FALSE(rows[0].agents);
  EXPECT_EQ(rows[0].least_role, v1::ROLE_OPERATOR);
}

TEST(AccessRowsTest, AMethodThatDoesNotSayIsAFault) {
  std::vector<AccessRow> rows;
  EXPECT_THAT(FaultsOf({}, &rows),
              ElementsAre(HasSubstr("x.proto: x.Service.Do does not say who may call it")));
  google::protobuf::MethodOptions nobody;
  nobody.MutableExtension(v1::access)->set_least_role(v1::ROLE_VIEWER);
  EXPECT_THAT(FaultsOf(nobody, &rows), ElementsAre(HasSubstr("open to nobody")));
  google::protobuf::MethodOptions no_role;
  no_role.MutableExtension(v1::access)->add_kinds(v1::PEER_KIND_USER);
  EXPECT_THAT(FaultsOf(no_role, &rows), ElementsAre(HasSubstr("users of no role")));
  google::protobuf::MethodOptions no_kind;
  no_kind.MutableExtension(v1::access)->add_kinds(v1::PEER_KIND_UNSPECIFIED);
  EXPECT_THAT(FaultsOf(no_kind, &rows), ElementsAre(HasSubstr("a kind that there is not")));
  EXPECT_THAT(rows, IsEmpty());
}

}  // namespace
}  // namespace brood
