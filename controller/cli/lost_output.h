// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "brood/v1/event.pb.h"

namespace brood::cli {

// What of one stream could not be had, as its OUTPUT events come: told once for each stretch.
class LostOutput {
 public:
  // A sentence if a stretch has come to its end with this event's bytes; else "".
  std::string Add(const v1::Output& output);
  // The same once no more events come.
  std::string Finish();

 private:
  uint64_t begin_ = 0;  // a stretch that goes on; empty where the two are equal
  uint64_t end_ = 0;
  v1::Stream stream_ = v1::STREAM_STDOUT;
};

// The same of what was thrown away at the end of a job's output, as its last word has it.
std::string DroppedSentence(const v1::OutputClosed& closed);

}  // namespace brood::cli
