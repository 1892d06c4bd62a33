// SPDX-License-Identifier: Apache-2.0
#include "agent/host/cell_readings.h"

#include "agent/core/spec_frame.h"
#include "agent/outbox/value_bytes.h"
#include "agent/process/memory_reader.h"
#include "agent/process/process_table.h"

namespace brood {
namespace {

// A reading takes some microseconds, so all of them some tens of milliseconds.
constexpr size_t kReadingsMax = 4'096;
// Copies of one cell: what the message's field promises.
constexpr int kCopiesMax = 1'024;

v1::PageState PageBeside(const CellProcess& parent, const CellProcess& copy, uint64_t address) {
  switch (ComparePages(parent.pid, copy.pid, address)) {
    case SamePage::kSame:
      return v1::PAGE_STATE_SAME;
    case SamePage::kOther:
      return v1::PAGE_STATE_OWN;
    case SamePage::kUnknown:
      break;
  }
  return v1::PAGE_STATE_UNKNOWN;
}

std::string ScalarOf(const CellImage& image) {
  if (image.value_kind == static_cast<uint32_t>(ValueKind::kBool))
    return std::string(ScalarBytes(image.scalar != 0).view());
  return std::string(ScalarBytes(image.scalar).view());
}

v1::OutsideReading ReadVariable(const internal::v1::Cell& cell, const CellProcess& process) {
  v1::OutsideReading reading;
  const auto type = static_cast<uint32_t>(cell.variable_type());
  const size_t size =
      type == static_cast<uint32_t>(ValueKind::kBool) ? sizeof(bool) : sizeof(int64_t);
  const Result<std::string> bytes = ReadMemoryBytes(process.pid, cell.address(), size);
  if (bytes) {
    *reading.mutable_value() = ValueOfBytes(type, *bytes);
  } else {
    reading.set_error(bytes.error().message);
  }
  return reading;
}

}  // namespace

v1::OutsideReading ReadOutside(const internal::v1::Cell& cell, const CellProcess& process,
                               const WriterName& writer) {
  if (cell.kind() == v1::CELL_KIND_VARIABLE) return ReadVariable(cell, process);
  v1::OutsideReading reading;
  const Result<MemoryCell> found = ReadMemoryCell(process.pid, cell.image_address());
  if (!found) {
    // It was looked at, and is not there: a cell that the other made after the fork.
    const std::string& reason = found.error().reason;
    if (reason != "NO_CELL" && reason != "NO_SUCH_MEMORY") reading.set_error(found.error().message);
    return reading;
  }
  const CellImage& image = found->image;
  reading.set_version(image.version);
  // Nobody has written it there: a fork made before the first write.
  if (image.value_kind == 0) return reading;
  *reading.mutable_value() =
      ValueOfBytes(image.value_kind, HasBytes(image.value_kind) ? found->bytes : ScalarOf(image));
  reading.set_writer(writer(image.writer));
  return reading;
}

void AddReadings(const std::vector<internal::v1::Cell>& cells, const CellProcess& parent,
                 const std::vector<CellProcess>& copies, const WriterName& writer,
                 v1::ReadMemoryResponse* response) {
  const std::string gone = "the process has ended";
  const bool parent_lives = IsSameProcess(parent.pid, parent.start_ns);
  size_t readings = 0;
  for (size_t i = 0; i < cells.size(); ++i) {
    v1::OutsideReading* const outside =
        response->mutable_cells(static_cast<int>(i))->mutable_outside();
    if (parent_lives) {
      *outside = ReadOutside(cells[i], parent, writer);
    } else {
      outside->set_error(gone);
    }
    ++readings;
  }
  for (const CellProcess& copy : copies) {
    if (!IsSameProcess(copy.pid, copy.start_ns)) continue;
    for (size_t i = 0; i < cells.size(); ++i) {
      v1::Cell* const cell = response->mutable_cells(static_cast<int>(i));
      if (++readings > kReadingsMax || cell->copies_size() >= kCopiesMax) {
        response->set_truncated(true);
        return;
      }
      v1::CellCopy* const out = cell->add_copies();
      out->set_job_id(copy.job_id);
      out->set_pid(copy.pid);
      *out->mutable_outside() = ReadOutside(cells[i], copy, writer);
      out->set_page(PageBeside(parent, copy, cell->address()));
    }
  }
}

}  // namespace brood
