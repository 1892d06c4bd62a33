// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "brood/v1/job_service.pb.h"
#include "common/base/error.h"
#include "controller/client/connection.h"
#include "controller/client/resume_options.h"

namespace brood {

// Reads the bytes of one output stream of a job: ReadOutput. When the call breaks it is made again
// from the next byte (resume_options.h): none is skipped or repeated. For one thread.
class OutputReader {
 public:
  OutputReader(Connection& connection, v1::ReadOutputRequest request, ResumeOptions options = {});
  ~OutputReader();
  OutputReader(const OutputReader&) = delete;
  OutputReader& operator=(const OutputReader&) = delete;

  // Blocks for the next bytes, at most 64 KiB; false at the end.
  bool Next(std::string* bytes);
  // Where the next byte stands in the job's output.
  uint64_t offset() const;

  // Any thread, any time: makes Next return false.
  void BreakOff();
  // Once Next has returned false: why. CANCELLED after BreakOff.
  Status Finish();

 private:
  struct Call;
  const std::unique_ptr<Call> call_;
};

}  // namespace brood
