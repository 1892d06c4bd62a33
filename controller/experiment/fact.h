// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "brood/v1/event.pb.h"
#include "controller/experiment/observations.h"

namespace brood {

// A value that an expression came to.
struct Fact {
  // Not known, and why.
  struct Unknown {
    std::string why;
  };
  struct Nothing {};
  using List = std::vector<Fact>;
  // Things with fields of their own; they live in the observations.
  using Thing = std::variant<const ObservedJob*, const ObservedParent*, const ObservedReading*,
                             const v1::Event*, const google::protobuf::Message*>;

  std::variant<Unknown, Nothing, bool, int64_t, double, std::string, List, Thing> value;

  static Fact NotKnown(std::string why) { return Fact{Unknown{std::move(why)}}; }
  bool unknown() const { return std::holds_alternative<Unknown>(value); }
  const List* list() const { return std::get_if<List>(&value); }
};

// For people: "5", "\"text\"", "[1, 2]", "not known: …".
std::string FactText(const Fact& fact);

// What a path leads to. An index beyond a list's end, a field that is not there or not set, and
// whatever an event of evidence INFERRED says are unknown.
Fact FindFact(const Observations& seen, const std::vector<PathPart>& path);

// The fact of a message's field, by protobuf's own names; Value messages become plain values,
// durations seconds.
Fact FieldOf(const google::protobuf::Message& message, const std::string& name);

}  // namespace brood
