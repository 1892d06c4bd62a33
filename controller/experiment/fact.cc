// SPDX-License-Identifier: Apache-2.0
#include "controller/experiment/fact.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/duration.pb.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/timestamp.pb.h>

#include <cstdio>

#include "common/job/job_fold.h"
#include "common/job/text.h"
#include "common/job/value.h"

namespace brood {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

constexpr size_t kElementsShown = 6;

Fact Integer(int64_t value) { return Fact{value}; }

Fact OfThing(Fact::Thing thing) {
  Fact fact;
  fact.value = thing;
  return fact;
}

Fact OfValue(const v1::Value& value) {
  switch (value.kind_case()) {
    case v1::Value::kBoolValue:
      return Fact{value.bool_value()};
    case v1::Value::kIntValue:
      return Fact{value.int_value()};
    case v1::Value::kFloatValue:
      return Fact{value.float_value()};
    case v1::Value::kTextValue:
      return Fact{value.text_value()};
    case v1::Value::kBytesValue:
      return Fact{value.bytes_value()};
    case v1::Value::kJsonValue: {
      // A number, a text or a truth stands for itself; the rest is compared as it is written.
      google::protobuf::Value parsed;
      const std::string& text = value.json_value();
      int64_t integer = 0;
      if (std::sscanf(text.c_str(), "%ld", &integer) == 1 && std::to_string(integer) == text)
        return Fact{integer};
      if (text == "true" || text == "false") return Fact{text == "true"};
      if (text == "null") return Fact{Fact::Nothing{}};
      if (text.size() >= 2 && text.front() == '"' && text.find('\\') == std::string::npos)
        return Fact{text.substr(1, text.size() - 2)};
      return Fact{text};
    }
    case v1::Value::kNullValue:
      return Fact{Fact::Nothing{}};
    case v1::Value::KIND_NOT_SET:
      break;
  }
  return Fact::NotKnown("the value is not set");
}

Fact OfMessage(const Message& message) {
  if (const auto* value = dynamic_cast<const v1::Value*>(&message)) return OfValue(*value);
  if (const auto* time = dynamic_cast<const google::protobuf::Duration*>(&message))
    return Fact{static_cast<double>(time->seconds()) + time->nanos() * 1e-9};
  if (const auto* time = dynamic_cast<const google::protobuf::Timestamp*>(&message))
    return Fact{static_cast<double>(time->seconds()) + time->nanos() * 1e-9};
  if (const auto* returned = dynamic_cast<const v1::Returned*>(&message))
    return OfValue(returned->value());
  return OfThing(&message);
}

// "OWN" of PAGE_STATE_OWN: as JSON has it.
std::string ShortEnum(const FieldDescriptor& field, const std::string& name) {
  std::string prefix;
  for (const char c : field.enum_type()->name()) {
    if (c >= 'A' && c <= 'Z' && !prefix.empty()) prefix += '_';
    prefix += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  }
  prefix += '_';
  return name.rfind(prefix, 0) == 0 ? name.substr(prefix.size()) : name;
}

Fact OfField(const Message& message, const FieldDescriptor& field, int index) {
  const google::protobuf::Reflection& reflection = *message.GetReflection();
  const bool repeated = index >= 0;
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return Integer(repeated ? reflection.GetRepeatedInt32(message, &field, index)
                              : reflection.GetInt32(message, &field));
    case FieldDescriptor::CPPTYPE_UINT32:
      return Integer(repeated ? reflection.GetRepeatedUInt32(message, &field, index)
                              : reflection.GetUInt32(message, &field));
    case FieldDescriptor::CPPTYPE_INT64:
      return Integer(repeated ? reflection.GetRepeatedInt64(message, &field, index)
                              : reflection.GetInt64(message, &field));
    case FieldDescriptor::CPPTYPE_UINT64:
      return Integer(static_cast<int64_t>(repeated
                                              ? reflection.GetRepeatedUInt64(message, &field, index)
                                              : reflection.GetUInt64(message, &field)));
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return Fact{repeated ? reflection.GetRepeatedDouble(message, &field, index)
                           : reflection.GetDouble(message, &field)};
    case FieldDescriptor::CPPTYPE_BOOL:
      return Fact{repeated ? reflection.GetRepeatedBool(message, &field, index)
                           : reflection.GetBool(message, &field)};
    case FieldDescriptor::CPPTYPE_STRING:
      return Fact{repeated ? reflection.GetRepeatedString(message, &field, index)
                           : reflection.GetString(message, &field)};
    case FieldDescriptor::CPPTYPE_ENUM: {
      const auto* value = repeated ? reflection.GetRepeatedEnum(message, &field, index)
                                   : reflection.GetEnum(message, &field);
      return Fact{ShortEnum(field, value->name())};
    }
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return OfMessage(repeated ? reflection.GetRepeatedMessage(message, &field, index)
                                : reflection.GetMessage(message, &field));
    default:
      return Fact::NotKnown("the field '" + field.name() + "' is of an unknown type");
  }
}

Fact EventField(const v1::Event& event, const std::string& name) {
  const FieldDescriptor* const payload =
      event.GetReflection()->GetOneofFieldDescriptor(event, event.GetDescriptor()->oneof_decl(0));
  const bool envelope = name == "cursor" || name == "seq" || name == "evidence" ||
                        name == "observer" || name == "attempt";
  if (envelope) return FieldOf(event, name);
  if (event.evidence() == v1::EVIDENCE_INFERRED) {
    return Fact::NotKnown("it was only inferred, not seen");
  }
  if (name == "mono" || name == "wall" || name == "unit" || name == "incarnations" ||
      name == "host" || name == "boot_id") {
    return FieldOf(event, name);
  }
  if (payload == nullptr) return Fact::NotKnown("the event has no payload");
  return FieldOf(event.GetReflection()->GetMessage(event, payload), name);
}

// The events of that payload's name; "ended" is a job's end, whatever its kind.
Fact::List EventsNamed(const std::vector<v1::Event>& events, const std::string& name) {
  Fact::List found;
  const FieldDescriptor* const field = v1::Event::descriptor()->FindFieldByName(name);
  for (const v1::Event& event : events) {
    const bool wanted = name == "ended"
                            ? IsEnd(event)
                            : field != nullptr && field->number() == event.payload_case();
    if (wanted) found.push_back(OfThing(&event));
  }
  return found;
}

bool NamesEvent(const std::string& name) {
  if (name == "ended") return true;
  const FieldDescriptor* const field = v1::Event::descriptor()->FindFieldByName(name);
  return field != nullptr && field->containing_oneof() != nullptr;
}

Fact Choose(Fact::List list, const PathPart& part, bool first_by_default, const std::string& what) {
  if (part.all) return Fact{std::move(list)};
  if (!part.index && !first_by_default) return Fact{std::move(list)};
  const int64_t size = static_cast<int64_t>(list.size());
  const int64_t index = part.index ? (*part.index > 0 ? *part.index - 1 : size + *part.index) : 0;
  if (index < 0 || index >= size) {
    return Fact::NotKnown(size == 0 ? "there is no " + what
                                    : "there are only " + std::to_string(size) + " of " + what);
  }
  return std::move(list[static_cast<size_t>(index)]);
}

Fact JobField(const ObservedJob& job, const PathPart& part) {
  const std::string& name = part.name;
  if (NamesEvent(name)) {
    return Choose(EventsNamed(job.events, name), part, true, "event '" + name + "' of " + job.name);
  }
  if (name == "name") return Fact{job.name};
  if (name == "result") {
    for (const v1::Event& event : job.events) {
      if (event.has_exited() && event.exited().has_returned())
        return OfValue(event.exited().returned().value());
      if (event.has_thread_ended() && event.thread_ended().has_returned())
        return OfValue(event.thread_ended().returned().value());
    }
    return Fact::NotKnown(job.name + " returned nothing");
  }
  return FieldOf(job.job, name);
}

Fact ParentField(const ObservedParent& parent, const PathPart& part) {
  if (NamesEvent(part.name)) {
    return Choose(EventsNamed(parent.events, part.name), part, true,
                  "event '" + part.name + "' of " + parent.name);
  }
  return FieldOf(parent.parent, part.name);
}

Fact Follow(const Observations& seen, const Fact& from, const std::vector<PathPart>& path,
            size_t at);

// copies.NAME: the copy in that job's memory.
Fact CopyIn(const Observations& seen, const ObservedReading& reading,
            const std::vector<PathPart>& path, size_t at) {
  if (at >= path.size()) {
    return Fact::NotKnown("'copies' needs the name of a job: copies.NAME");
  }
  const auto jobs = seen.jobs.find(path[at].name);
  if (jobs == seen.jobs.end()) return Fact::NotKnown("there is no job '" + path[at].name + "'");
  Fact::List found;
  for (const ObservedJob& job : jobs->second) {
    Fact copy = Fact::NotKnown("it was not read in the memory of " + job.name);
    for (const v1::CellCopy& one : reading.cell.copies()) {
      if (one.job_id() == job.job.job_id()) copy = OfThing(&one);
    }
    found.push_back(std::move(copy));
  }
  const bool one = found.size() == 1;
  return Follow(seen, Choose(std::move(found), path[at], one, path[at].name), path, at + 1);
}

Fact Follow(const Observations& seen, const Fact& from, const std::vector<PathPart>& path,
            size_t at) {
  if (at == path.size() || from.unknown()) return from;
  if (const Fact::List* const list = from.list()) {
    Fact::List each;
    for (const Fact& one : *list) each.push_back(Follow(seen, one, path, at));
    return Fact{std::move(each)};
  }
  const PathPart& part = path[at];
  const auto* const thing = std::get_if<Fact::Thing>(&from.value);
  if (thing == nullptr) {
    return Fact::NotKnown("'" + part.name + "' is asked of a plain value");
  }
  Fact next;
  if (const auto* job = std::get_if<const ObservedJob*>(thing)) {
    next = JobField(**job, part);
    if (NamesEvent(part.name)) return Follow(seen, next, path, at + 1);
  } else if (const auto* parent = std::get_if<const ObservedParent*>(thing)) {
    next = ParentField(**parent, part);
    if (NamesEvent(part.name)) return Follow(seen, next, path, at + 1);
  } else if (const auto* reading = std::get_if<const ObservedReading*>(thing)) {
    if (part.name == "copies") return CopyIn(seen, **reading, path, at + 1);
    next = part.name == "pid" ? Integer((*reading)->pid) : FieldOf((*reading)->cell, part.name);
  } else if (const auto* event = std::get_if<const v1::Event*>(thing)) {
    next = EventField(**event, part.name);
  } else {
    next = FieldOf(*std::get<const Message*>(*thing), part.name);
  }
  if (next.list() != nullptr) {
    next = Choose(*next.list(), part, false, part.name);
  } else if ((part.index || part.all) && !next.unknown()) {
    return Fact::NotKnown("'" + part.name + "' is no list");
  }
  return Follow(seen, next, path, at + 1);
}

}  // namespace

Fact FieldOf(const Message& message, const std::string& name) {
  const FieldDescriptor* const field = message.GetDescriptor()->FindFieldByName(name);
  if (field == nullptr) {
    return Fact::NotKnown(message.GetDescriptor()->name() + " has no field '" + name + "'");
  }
  const google::protobuf::Reflection& reflection = *message.GetReflection();
  if (field->is_repeated()) {
    Fact::List list;
    for (int i = 0; i < reflection.FieldSize(message, field); ++i)
      list.push_back(OfField(message, *field, i));
    return Fact{std::move(list)};
  }
  if (field->has_presence() && !reflection.HasField(message, field)) {
    return Fact::NotKnown("'" + name + "' was not told");
  }
  return OfField(message, *field, -1);
}

std::string FactText(const Fact& fact) {
  struct Words {
    std::string operator()(const Fact::Unknown& unknown) const {
      return "not known: " + unknown.why;
    }
    std::string operator()(const Fact::Nothing&) const { return "nothing"; }
    std::string operator()(bool truth) const { return truth ? "true" : "false"; }
    std::string operator()(int64_t value) const { return std::to_string(value); }
    std::string operator()(double value) const {
      char text[32];
      std::snprintf(text, sizeof(text), "%.6g", value);
      return text;
    }
    std::string operator()(const std::string& text) const { return Quoted(text); }
    std::string operator()(const Fact::List& list) const {
      std::string text = "[";
      for (size_t i = 0; i < list.size() && i < kElementsShown; ++i)
        text += (i > 0 ? ", " : "") + FactText(list[i]);
      if (list.size() > kElementsShown) text += ", … " + std::to_string(list.size()) + " in all";
      return text + "]";
    }
    std::string operator()(const Fact::Thing& thing) const {
      if (const auto* job = std::get_if<const ObservedJob*>(&thing)) return (*job)->name;
      if (const auto* parent = std::get_if<const ObservedParent*>(&thing)) return (*parent)->name;
      if (const auto* reading = std::get_if<const ObservedReading*>(&thing))
        return (*reading)->name;
      if (const auto* event = std::get_if<const v1::Event*>(&thing))
        return "event " + std::to_string((*event)->cursor());
      return "something";
    }
  };
  return std::visit(Words(), fact.value);
}

Fact FindFact(const Observations& seen, const std::vector<PathPart>& path) {
  const PathPart& root = path.front();
  const auto not_run = seen.not_run.find(root.name);
  if (not_run != seen.not_run.end()) return Fact::NotKnown(not_run->second);
  if (const auto jobs = seen.jobs.find(root.name); jobs != seen.jobs.end()) {
    Fact::List list;
    for (const ObservedJob& job : jobs->second) list.push_back(OfThing(&job));
    const bool one = list.size() == 1;
    return Follow(seen, Choose(std::move(list), root, one, root.name), path, 1);
  }
  if (const auto parent = seen.parents.find(root.name); parent != seen.parents.end())
    return Follow(seen, OfThing(&parent->second), path, 1);
  if (const auto reading = seen.readings.find(root.name); reading != seen.readings.end())
    return Follow(seen, OfThing(&reading->second), path, 1);
  if (root.name == "host") {
    const Message& about = seen.about;
    return Follow(seen, OfThing(&about), path, 1);
  }
  return Fact::NotKnown("there is no '" + root.name + "'");
}

}  // namespace brood
