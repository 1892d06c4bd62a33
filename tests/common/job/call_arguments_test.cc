// SPDX-License-Identifier: Apache-2.0
#include "common/job/call_arguments.h"

#include <gtest/gtest.h>

#include "common/job/value.h"

namespace brood {
namespace {

v1::Task Task() {
  v1::Task task;
  task.set_name("demo.add");
  const auto parameter = [&](const char* name, v1::ValueType type, bool optional) {
    v1::TaskParameter* out = task.add_parameters();
    out->set_name(name);
    out->set_type(type);
    out->set_optional(optional);
  };
  parameter("cell", v1::VALUE_TYPE_TEXT, false);
  parameter("amount", v1::VALUE_TYPE_INT, false);
  parameter("factor", v1::VALUE_TYPE_FLOAT, true);
  parameter("note", v1::VALUE_TYPE_JSON, true);
  return task;
}

v1::Call Words(std::initializer_list<const char*> words) {
  v1::Call call;
  call.set_task("demo.add");
  for (const char* word : words) call.add_arguments()->set_word(word);
  return call;
}

TEST(CallArgumentsTest, ReadsWordsAsTheTaskDeclaresThem) {
  const auto values = BindArguments(Task(), Words({"007", "-3", "2", "x"}));
  ASSERT_TRUE(values.ok());
  ASSERT_EQ(values->size(), 4U);
  EXPECT_EQ((*values)[0].text_value(), "007");
  EXPECT_EQ((*values)[1].int_value(), -3);
  EXPECT_EQ((*values)[2].float_value(), 2.0);
  EXPECT_EQ((*values)[3].json_value(), "\"x\"");
}

TEST(CallArgumentsTest, OptionalParametersMayBeLeftOut) {
  EXPECT_EQ(BindArguments(Task(), Words({"a", "1"}))->size(), 2U);
  EXPECT_EQ(BindArguments(Task(), Words({"a", "1", "2.5"}))->size(), 3U);
}

TEST(CallArgumentsTest, NamesAMissingArgumentAndTheSignature) {
  const auto values = BindArguments(Task(), Words({"a"}));
  ASSERT_FALSE(values.ok());
  EXPECT_EQ(values.error().field, "spec.call.arguments");
  EXPECT_EQ(
      values.error().message,
      "spec.call.arguments: 'amount' is missing; the task is demo.add(cell: a text, amount: a "
      "whole number, factor: a number, optional, note: JSON, optional)");
}

TEST(CallArgumentsTest, NamesTheFirstArgumentThatIsTooMany) {
  const auto values = BindArguments(Task(), Words({"a", "1", "2", "3", "4", "5"}));
  ASSERT_FALSE(values.ok());
  EXPECT_EQ(values.error().field, "spec.call.arguments[4]");
}

TEST(CallArgumentsTest, NamesParameterTypeAndValueOfAWrongWord) {
  const auto values = BindArguments(Task(), Words({"a", "many"}));
  ASSERT_FALSE(values.ok());
  EXPECT_EQ(values.error().field, "spec.call.arguments[1]");
  EXPECT_EQ(values.error().message.find("spec.call.arguments[1]: parameter 'amount': 'many' is not "
                                        "a whole number; give "),
            0U)
      << values.error().message;
}

TEST(CallArgumentsTest, TypedValuesMustBeOfTheTypeButAWholeNumberIsANumber) {
  v1::Call call;
  call.add_arguments()->mutable_value()->set_text_value("a");
  call.add_arguments()->mutable_value()->set_int_value(1);
  call.add_arguments()->mutable_value()->set_int_value(2);
  call.add_arguments()->mutable_value()->set_bool_value(true);
  const auto values = BindArguments(Task(), call);
  ASSERT_TRUE(values.ok());
  EXPECT_EQ((*values)[2].float_value(), 2.0);
  EXPECT_EQ((*values)[3].json_value(), "true");

  call.mutable_arguments(1)->mutable_value()->set_text_value("1");
  const auto refused = BindArguments(Task(), call);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().message,
            "spec.call.arguments[1]: parameter 'amount': '\"1\"' is a text; give a whole number");
}

}  // namespace
}  // namespace brood
