// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "tests/chaos/failpoint_list.h"
#include "tests/testing/temp_directory.h"

namespace brood::chaos {

// The file of armed failpoints (common/base/failpoint_table.h): named to all that is started from
// here as long as this lives.
class ArmedFile {
 public:
  ArmedFile();
  ~ArmedFile();
  ArmedFile(const ArmedFile&) = delete;
  ArmedFile& operator=(const ArmedFile&) = delete;

  // At the nth time from now that the program comes there.
  void Arm(const FailpointRun& run, int32_t nth) { ArmPoint(0, run, nth); }
  // Beside it, so that something comes to it.
  void ArmFirst(const FailpointRun& run) { ArmPoint(1, run, 1); }
  // Whether it has been done.
  bool HasFired() const;

 private:
  void ArmPoint(size_t index, const FailpointRun& run, int32_t nth);
  const testing::TempDirectory folder_;
  FailpointTable* table_ = nullptr;
};

}  // namespace brood::chaos
