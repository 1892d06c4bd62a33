// SPDX-License-Identifier: Apache-2.0
#include "common/job/value.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

namespace brood {
namespace {

v1::Value Read(std::string_view word, v1::ValueType type) {
  Result<v1::Value> value = ValueFromWord(word, type, "f");
  EXPECT_TRUE(value.ok()) << (value.ok() ? "" : value.error().message);
  return value.ok() ? *value : v1::Value();
}

std::string Refusal(std::string_view word, v1::ValueType type) {
  const Result<v1::Value> value = ValueFromWord(word, type, "f");
  return value.ok() ? "taken" : value.error().message;
}

v1::Value Float(double number) {
  v1::Value value;
  value.set_float_value(number);
  return value;
}

v1::Value JsonOf(std::string text) {
  v1::Value value;
  value.set_json_value(std::move(text));
  return value;
}

TEST(ValueTest, WritesEachKindAsJson) {
  EXPECT_EQ(ValueToJson(v1::Value()), "null");
  EXPECT_EQ(ValueToJson(Read("null", v1::VALUE_TYPE_NULL)), "null");
  EXPECT_EQ(ValueToJson(Read("true", v1::VALUE_TYPE_BOOL)), "true");
  EXPECT_EQ(ValueToJson(Read("5", v1::VALUE_TYPE_INT)), "5");
  EXPECT_EQ(ValueToJson(Read("2.5", v1::VALUE_TYPE_FLOAT)), "2.5");
  EXPECT_EQ(ValueToJson(Read("5", v1::VALUE_TYPE_FLOAT)), "5.0");
  EXPECT_EQ(ValueToJson(Read("a\"b\n", v1::VALUE_TYPE_TEXT)), "\"a\\\"b\\n\"");
  EXPECT_EQ(ValueToJson(Read("foo", v1::VALUE_TYPE_BYTES)), "\"Zm9v\"");
  EXPECT_EQ(ValueToJson(Read("{\"a\": [1]}", v1::VALUE_TYPE_JSON)), "{\"a\": [1]}");
}

TEST(ValueTest, WritesFloatsThatReadBackTheSame) {
  EXPECT_EQ(ValueToJson(Float(0.1)), "0.1");
  EXPECT_EQ(ValueToJson(Float(1e300)), "1e+300");
  EXPECT_EQ(ValueToJson(Float(-0.0)), "-0.0");
  EXPECT_EQ(ValueToJson(Float(std::nan(""))), "\"NaN\"");
  EXPECT_EQ(ValueToJson(Float(std::numeric_limits<double>::infinity())), "\"Infinity\"");
  EXPECT_EQ(ValueToJson(Float(-std::numeric_limits<double>::infinity())), "\"-Infinity\"");
}

TEST(ValueTest, KeepsAll64BitsOfAWholeNumber) {
  EXPECT_EQ(Read("9223372036854775807", v1::VALUE_TYPE_INT).int_value(), INT64_MAX);
  EXPECT_EQ(Read("-9223372036854775808", v1::VALUE_TYPE_INT).int_value(), INT64_MIN);
  EXPECT_EQ(ValueToJson(Read("9007199254740993", v1::VALUE_TYPE_INT)), "9007199254740993");
}

TEST(ValueTest, RefusesWordsThatAreNotOfTheType) {
  EXPECT_EQ(Refusal("5x", v1::VALUE_TYPE_INT),
            "f: '5x' is not a whole number; give digits, -9223372036854775808 to "
            "9223372036854775807");
  for (const char* word : {"", " 5", "5 ", "+5", "0x10", "5.0", "9223372036854775808"}) {
    EXPECT_NE(Refusal(word, v1::VALUE_TYPE_INT), "taken") << word;
  }
  for (const char* word : {"", "abc", "1.5.2", "1e999", "2,5"}) {
    EXPECT_NE(Refusal(word, v1::VALUE_TYPE_FLOAT), "taken") << word;
  }
  for (const char* word : {"", "True", "1", "yes"}) {
    EXPECT_NE(Refusal(word, v1::VALUE_TYPE_BOOL), "taken") << word;
  }
  EXPECT_NE(Refusal("nil", v1::VALUE_TYPE_NULL), "taken");
  EXPECT_NE(Refusal("\xFF", v1::VALUE_TYPE_TEXT), "taken");
  EXPECT_NE(Refusal("\xFF", v1::VALUE_TYPE_JSON), "taken");
  EXPECT_EQ(Refusal("\xFF", v1::VALUE_TYPE_BYTES), "taken");
  EXPECT_NE(Refusal("x", v1::VALUE_TYPE_UNSPECIFIED), "taken");
}

TEST(ValueTest, ATextStaysTextAndWhatIsNoJsonBecomesAJsonString) {
  EXPECT_EQ(Read("007", v1::VALUE_TYPE_TEXT).text_value(), "007");
  EXPECT_EQ(Read("007", v1::VALUE_TYPE_JSON).json_value(), "\"007\"");
  EXPECT_EQ(Read("7", v1::VALUE_TYPE_JSON).json_value(), "7");
  EXPECT_EQ(Read("hello", v1::VALUE_TYPE_JSON).json_value(), "\"hello\"");
}

TEST(ValueTest, ChecksSizeUtf8AndJson) {
  v1::Value value;
  EXPECT_EQ(CheckValue(value, "f")->field, "f");
  value.set_text_value(std::string(48 << 10, 'x'));
  EXPECT_FALSE(CheckValue(value, "f"));
  value.set_text_value(std::string((48 << 10) + 1, 'x'));
  EXPECT_TRUE(CheckValue(value, "f"));
  value.set_bytes_value("\xFF");
  EXPECT_FALSE(CheckValue(value, "f"));
  EXPECT_TRUE(CheckValue(JsonOf("{"), "f"));
  EXPECT_FALSE(CheckValue(JsonOf("[]"), "f"));
}

TEST(ValueTest, BecomesProtobufsValue) {
  EXPECT_EQ(ToProtobufValue(Read("5", v1::VALUE_TYPE_INT)).number_value(), 5);
  EXPECT_EQ(ToProtobufValue(Read("foo", v1::VALUE_TYPE_BYTES)).string_value(), "Zm9v");
  EXPECT_EQ(ToProtobufValue(Float(std::nan(""))).string_value(), "NaN");
  const google::protobuf::Value value =
      ToProtobufValue(JsonOf(R"({"a": [1, "x", null, true], "b": {}, "c": []})"));
  const auto& fields = value.struct_value().fields();
  EXPECT_EQ(fields.at("a").list_value().values_size(), 4);
  EXPECT_EQ(fields.at("a").list_value().values(0).number_value(), 1);
  EXPECT_TRUE(fields.at("b").has_struct_value());
  EXPECT_TRUE(fields.at("c").has_list_value());
}

TEST(ValueTest, HandsJsonThatReadersCouldNotTakeOnAsText) {
  const auto nested = [](size_t depth) {
    std::string text;
    for (size_t i = 0; i < depth; ++i) text += R"({"[{":)";
    return text + "1" + std::string(depth, '}');
  };
  const google::protobuf::Value deepest = ToProtobufValue(JsonOf(nested(kJsonDepthMax)));
  EXPECT_TRUE(deepest.has_struct_value());
  google::protobuf::Value read;
  EXPECT_TRUE(read.ParseFromString(deepest.SerializeAsString()));
  const std::string deep = nested(kJsonDepthMax + 1);
  EXPECT_EQ(ToProtobufValue(JsonOf(deep)).string_value(), deep);
  const std::string very_deep(20'000, '[');
  EXPECT_EQ(ToProtobufValue(JsonOf(very_deep + std::string(20'000, ']'))).string_value().size(),
            40'000U);
}

}  // namespace
}  // namespace brood
