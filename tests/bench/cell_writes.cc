// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/cell_writes.h"

#include <mutex>

#include "agent/sdk/job.hpp"
#include "tests/bench/baseline.h"

namespace brood::bench {
namespace {

constexpr double kNanos = 1e9;

struct Guarded {
  std::mutex mutex;
  int64_t value = 0;
};

}  // namespace

double CellWriteNanos(const brood_host* host, brood_job* job, int count) {
  const Job task(host, job);
  const auto cell = task.cell<int64_t>("bench");
  const double begin = Seconds();
  for (int64_t i = 0; i < count; ++i) cell.Write(i);
  return (Seconds() - begin) / count * kNanos;
}

double LockedStoreNanos(int count) {
  Guarded guarded;
  // Not known to the optimiser, as a cell is not.
  Guarded* volatile place = &guarded;
  const double begin = Seconds();
  for (int64_t i = 0; i < count; ++i) {
    Guarded* const one = place;
    const std::lock_guard lock(one->mutex);
    one->value = i;
  }
  return (Seconds() - begin) / count * kNanos;
}

}  // namespace brood::bench
