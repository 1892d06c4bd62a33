// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "common/base/error.h"
#include "common/base/event_loop.h"
#include "common/base/unique_fd.h"

namespace brood::cli {

// The lines of a file, a pipe or a terminal, one by one, without ever making the loop
// wait and with at most one read in memory. For the loop's thread.
class LineSource {
 public:
  // A line is a word of an argv: as many bytes as the kernel takes for one.
  static constexpr size_t kLineBytesMax = 131'071;

  // `path`, or `in_fd` for "-". `more` is called when Next has something again after it
  // said kLater. `loop` must outlive this; without one (null) Next waits instead.
  static Result<std::unique_ptr<LineSource>> Open(const std::string& path, int in_fd,
                                                  EventLoop* loop, std::function<void()> more);
  ~LineSource();
  LineSource(const LineSource&) = delete;
  LineSource& operator=(const LineSource&) = delete;

  enum class Got { kLine, kLater, kEnd, kError };
  // The next line without its end; the last one need not have one.
  Got Next(std::string* line);
  // After kError: why.
  const Error& error() const { return *error_; }

 private:
  LineSource(UniqueFd own, int fd, std::string name, EventLoop* loop, std::function<void()> more);
  Got Fail(Error error);
  bool ReadSome();

  const UniqueFd own_;
  const int fd_;
  const std::string name_;
  EventLoop* const loop_;
  const std::function<void()> more_;
  bool waiting_ = false;
  bool end_ = false;
  std::string buffer_;
  size_t at_ = 0;
  uint64_t lines_ = 0;
  Status error_;
};

}  // namespace brood::cli
