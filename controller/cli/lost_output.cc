// SPDX-License-Identifier: Apache-2.0
#include "controller/cli/lost_output.h"

#include <algorithm>

namespace brood::cli {

std::string LostOutput::Add(const v1::Output& output) {
  stream_ = output.stream();
  const uint64_t end = output.offset() + output.length();
  const uint64_t size = output.bytes().size();
  const uint64_t first = size == 0 ? end : std::max(output.offset(), output.bytes_offset());
  if (first > output.offset()) {
    if (begin_ == end_) begin_ = output.offset();
    end_ = first;
  }
  if (size == 0) return "";
  std::string sentence = Finish();
  if (first + size < end) {
    begin_ = first + size;
    end_ = end;
  }
  return sentence;
}

std::string LostOutput::Finish() {
  if (begin_ == end_) return "";
  const std::string count = std::to_string(end_ - begin_);
  const std::string at = std::to_string(begin_);
  begin_ = end_;
  return count + (stream_ == v1::STREAM_STDERR ? " bytes of its stderr" : " bytes of its stdout") +
         " are no longer kept, from byte " + at + " on";
}

std::string DroppedSentence(const v1::OutputClosed& closed) {
  // What a ring has lost is told of by its marks, or came here all the same.
  if (closed.stdout_begin() + closed.stderr_begin() > 0 || closed.dropped_bytes() == 0) return "";
  return "the last " + std::to_string(closed.dropped_bytes()) +
         " bytes of output were not kept: they went past the limit of a stream (--output-max), or "
         "the host's disk was full";
}

}  // namespace brood::cli
