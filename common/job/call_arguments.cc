// SPDX-License-Identifier: Apache-2.0
#include "common/job/call_arguments.h"

#include <string>
#include <utility>

#include "common/job/text.h"
#include "common/job/value.h"

namespace brood {
namespace {

// "demo.add(cell: a text, amount: a whole number)".
std::string Signature(const v1::Task& task) {
  std::string out = task.name() + "(";
  for (int i = 0; i < task.parameters_size(); ++i) {
    const v1::TaskParameter& parameter = task.parameters(i);
    if (i > 0) out += ", ";
    out += parameter.name() + ": " + TypePhrase(parameter.type());
    if (parameter.optional()) out += ", optional";
  }
  return out + ")";
}

// What a typed value has to be to be taken as `type`; false if it cannot.
bool Adapt(v1::ValueType type, v1::Value* value) {
  const v1::ValueType given = TypeOf(*value);
  if (given == type) return true;
  if (type == v1::VALUE_TYPE_FLOAT && given == v1::VALUE_TYPE_INT) {
    value->set_float_value(static_cast<double>(value->int_value()));
    return true;
  }
  if (type == v1::VALUE_TYPE_JSON) {
    value->set_json_value(ValueToJson(*value));
    return true;
  }
  return false;
}

// "spec.call.arguments[1]: 'amount' …": the parameter's name before the sentence.
Error Named(const std::string& field, const v1::TaskParameter& parameter, std::string message) {
  const std::string prefix = field + ": ";
  if (message.starts_with(prefix)) message.erase(0, prefix.size());
  return FieldError(field, "parameter '" + parameter.name() + "': " + std::move(message));
}

}  // namespace

Result<std::vector<v1::Value>> BindArguments(const v1::Task& task, const v1::Call& call) {
  const std::string base = "spec.call.arguments";
  if (call.arguments_size() > task.parameters_size()) {
    return FieldError(base + "[" + std::to_string(task.parameters_size()) + "]",
                      "is one too many; the task is " + Signature(task));
  }
  if (call.arguments_size() < task.parameters_size() &&
      !task.parameters(call.arguments_size()).optional()) {
    const v1::TaskParameter& missing = task.parameters(call.arguments_size());
    return FieldError(base, "'" + missing.name() + "' is missing; the task is " + Signature(task));
  }
  std::vector<v1::Value> values;
  for (int i = 0; i < call.arguments_size(); ++i) {
    const v1::TaskParameter& parameter = task.parameters(i);
    const v1::Argument& argument = call.arguments(i);
    const std::string field = base + "[" + std::to_string(i) + "]";
    if (argument.kind_case() == v1::Argument::kWord) {
      Result<v1::Value> value = ValueFromWord(argument.word(), parameter.type(), field);
      if (!value) return Named(field, parameter, value.error().message);
      values.push_back(*std::move(value));
      continue;
    }
    v1::Value value = argument.value();
    if (Status bad = CheckValue(value, field)) return Named(field, parameter, bad->message);
    const std::string given = ValueToJson(value);
    const v1::ValueType given_type = TypeOf(value);
    if (!Adapt(parameter.type(), &value)) {
      return Named(field, parameter,
                   Quoted(given) + " is " + TypePhrase(given_type) + "; give " +
                       TypePhrase(parameter.type()));
    }
    if (Status bad = CheckValue(value, field)) return Named(field, parameter, bad->message);
    values.push_back(std::move(value));
  }
  return values;
}

}  // namespace brood
