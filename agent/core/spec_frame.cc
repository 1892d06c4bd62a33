// SPDX-License-Identifier: Apache-2.0
#include "agent/core/spec_frame.h"

#include <cstring>
#include <string_view>
#include <utility>

#include "common/job/text.h"

namespace brood {
namespace {

void FillEnvironment(const v1::Environment& from, internal::v1::EnvironmentChange* to) {
  to->set_clear(from.clear());
  for (const std::string& name : from.unset()) to->add_unset(name);
  for (const v1::EnvironmentVariable& variable : from.set()) {
    to->add_set(variable.name() + "=" + variable.value());
  }
}

}  // namespace

void FillStartFrame(const CoreJob& job, const std::string& host, const std::string& journal,
                    internal::v1::StartJob* frame) {
  const v1::JobSpec& spec = job.view.spec();
  frame->set_job_key(job.key);
  frame->set_attempt(job.view.attempt());
  if (spec.has_command()) {
    *frame->mutable_argv() = spec.command().argv();
  } else {
    frame->set_task(spec.call().task());
    for (const v1::Value& value : job.arguments) FillFrameValue(value, frame->add_arguments());
  }
  frame->set_thread(job.is_thread());
  FillEnvironment(job.environment, frame->mutable_environment());
  frame->set_working_directory(spec.working_directory());
  if (spec.has_umask()) frame->set_umask(spec.umask());
  frame->set_stdin_stream(spec.stdin_stream());
  frame->set_refuse_if_hazard(spec.refuse_if_hazard());
  frame->set_host(host);
  frame->set_job_id(job.view.job_id());
  frame->set_run_id(spec.run_id());
  frame->set_journal(journal);
}

void FillFrameValue(const v1::Value& value, internal::v1::Value* frame) {
  switch (value.kind_case()) {
    case v1::Value::kBoolValue:
      return frame->set_bool_value(value.bool_value());
    case v1::Value::kIntValue:
      return frame->set_int_value(value.int_value());
    case v1::Value::kFloatValue:
      return frame->set_float_value(value.float_value());
    case v1::Value::kTextValue:
      return frame->set_text_value(value.text_value());
    case v1::Value::kBytesValue:
      return frame->set_bytes_value(value.bytes_value());
    case v1::Value::kJsonValue:
      return frame->set_json_value(value.json_value());
    case v1::Value::kNullValue:
    case v1::Value::KIND_NOT_SET:
      return frame->set_null_value(true);
  }
}

v1::Value ValueOfFrame(const internal::v1::Value& frame) {
  v1::Value value;
  switch (frame.kind_case()) {
    case internal::v1::Value::kBoolValue:
      value.set_bool_value(frame.bool_value());
      break;
    case internal::v1::Value::kIntValue:
      value.set_int_value(frame.int_value());
      break;
    case internal::v1::Value::kFloatValue:
      value.set_float_value(frame.float_value());
      break;
    case internal::v1::Value::kTextValue:
      value.set_text_value(frame.text_value());
      break;
    case internal::v1::Value::kBytesValue:
      value.set_bytes_value(frame.bytes_value());
      break;
    case internal::v1::Value::kJsonValue:
      value.set_json_value(frame.json_value());
      break;
    case internal::v1::Value::kNullValue:
    case internal::v1::Value::KIND_NOT_SET:
      value.set_null_value(google::protobuf::NULL_VALUE);
      break;
  }
  return value;
}

v1::Value ValueOfBytes(uint32_t kind, std::string_view bytes) {
  v1::Value value;
  value.set_null_value(google::protobuf::NULL_VALUE);
  int64_t integer = 0;
  double number = 0;
  const bool eight = bytes.size() == sizeof(integer);
  if (eight) {
    std::memcpy(&integer, bytes.data(), sizeof(integer));
    std::memcpy(&number, bytes.data(), sizeof(number));
  }
  switch (kind) {
    case v1::VALUE_TYPE_BOOL:
      if (bytes.size() == 1) value.set_bool_value(bytes[0] != 0);
      break;
    case v1::VALUE_TYPE_INT:
      if (eight) value.set_int_value(integer);
      break;
    case v1::VALUE_TYPE_FLOAT:
      if (eight) value.set_float_value(number);
      break;
    case v1::VALUE_TYPE_TEXT:
      value.set_text_value(ToUtf8(bytes));
      break;
    case v1::VALUE_TYPE_BYTES:
      value.set_bytes_value(std::string(bytes));
      break;
    case v1::VALUE_TYPE_JSON:
      value.set_json_value(ToUtf8(bytes));
      break;
    default:
      break;
  }
  return value;
}

}  // namespace brood
