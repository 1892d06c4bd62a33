// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "brood/internal/v1/frames.pb.h"
#include "brood/v1/parent_service.pb.h"

namespace brood {

// A process to read cells in.
struct CellProcess {
  std::string job_id;  // empty: the parent itself
  int32_t pid = 0;
  int64_t start_ns = 0;
};

// Who wrote, in words: the job id of that key, or "" if it is not known.
using WriterName = std::function<std::string(uint64_t job_key)>;

// Adds to each cell of `response` what stands at its address in the parent, and in
// each of `copies`, read from outside. `cells` are the parent's answer, in the same
// order. At most kReadingsMax readings; copies beyond are left out and `truncated`
// is set.
void AddReadings(const std::vector<internal::v1::Cell>& cells, const CellProcess& parent,
                 const std::vector<CellProcess>& copies, const WriterName& writer,
                 v1::ReadMemoryResponse* response);

// One cell of one process, whose identity the caller has checked.
v1::OutsideReading ReadOutside(const internal::v1::Cell& cell, const CellProcess& process,
                               const WriterName& writer);

}  // namespace brood
