// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/error.h"

namespace brood {

// Most names that one set may stand for: ten times the largest fleet that one
// controller is measured with, and still only a few MiB.
inline constexpr size_t kHostSetMax = 10'000;
// Most bytes of one host name (that of DNS), and of a set's text: all names that it may stand for.
inline constexpr size_t kHostNameMax = 253;
inline constexpr size_t kHostSetTextMax = kHostSetMax * (kHostNameMax + 1);
// Most names that are looked at, again and again, to find what a set stands for: each of a full
// fleet two hundred times, about a second.
inline constexpr size_t kHostSetWorkMax = 200 * kHostSetMax;
// How deep groups may stand in groups: each costs stack.
inline constexpr int kGroupDepthMax = 64;
// How deep (…) may stand in (…): nobody writes that, and each costs stack.
inline constexpr int kHostSetDepthMax = 16;

// The set that a group's name stands for; an error that names those known, if there is none.
using GroupLookup = std::function<Result<std::string>(const std::string& group)>;

// The names that a set stands for, each once, where it stood first. The language is ClusterShell's:
//
//   a,b            these
//
//   name[1-3,07]   name1 name2 name3 name07; zeros in front are kept: n[08-10]
//
//   n[1-9/2]       every second one: n1 n3 n5 n7 n9
//
//   r[1-2]n[1-2]   every combination, the last bracket fastest
//
//   @group         what the group stands for; @web[1-2] is two groups
//
//   a!b, a&b, a^b  those of a that are not in b; in both; in one of them
//
// Operators go from left to right, the comma like the others, and (…) first.
//
// It may stand for no name, as n[1-3]!n[1-3] does. INVALID_ARGUMENT (field "hosts") names the text,
// the position from 1 and the cure; RESOURCE_EXHAUSTED if it stands for more than kHostSetMax
// names, or takes more than kHostSetWorkMax to find out.
Result<std::vector<std::string>> ExpandHostSet(std::string_view text, const GroupLookup& groups);

// True for a name that a host may have: letters, digits, '.', '_' and '-', the first
// a letter or a digit, at most kHostNameMax bytes.
bool IsHostName(std::string_view name);

}  // namespace brood
