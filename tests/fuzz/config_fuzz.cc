// SPDX-License-Identifier: Apache-2.0
//
// Any text as a hosts file, and as a host set: what a set stands for is what its folded text does.
#include <algorithm>

#include "controller/client/host_fold.h"
#include "controller/client/host_set.h"
#include "controller/client/inventory.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace brood;
  const std::string_view text = fuzz::TextOf(data, size);
  Inventory inventory;
  (void)inventory.Add(text, "hosts.toml");
  const GroupLookup groups = [&](const std::string& name) -> Result<std::string> {
    const auto found = inventory.groups().find(name);
    if (found != inventory.groups().end()) return found->second;
    return Error{ErrorCode::kNotFound, "UNKNOWN_HOST", "no group " + name, "hosts"};
  };
  for (const auto& [name, set] : inventory.groups()) (void)ExpandHostSet(set, groups);
  Result<std::vector<std::string>> names = ExpandHostSet(text, groups);
  if (!names || names->empty()) return 0;
  const std::string folded = FoldHosts(*names);
  // Ten thousand numbers with no step in them do not get shorter.
  if (folded.size() > kHostSetTextMax) return 0;
  Result<std::vector<std::string>> again = ExpandHostSet(folded, groups);
  fuzz::Require(again.ok(), "a folded set can be read");
  std::sort(names->begin(), names->end());
  std::sort(again->begin(), again->end());
  fuzz::Require(*names == *again, "and stands for the same hosts");
  return 0;
}
