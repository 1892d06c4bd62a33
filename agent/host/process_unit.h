// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "agent/core/proto_time.h"
#include "agent/process/process_table.h"
#include "brood/v1/event.pb.h"

namespace brood {

// A process of a job, as an event names it.
inline v1::Unit UnitOfProcess(const ProcessEntry& process) {
  v1::Unit unit;
  unit.set_mode(v1::MODE_FORK);
  unit.set_pid(process.pid);
  unit.set_tid(process.pid);
  unit.set_ppid(process.ppid);
  unit.set_pgid(process.pgid);
  SetDuration(process.start_ns(), unit.mutable_start());
  return unit;
}

}  // namespace brood
