// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "common/base/error.h"
#include "common/base/event_loop.h"
#include "common/base/unique_fd.h"

namespace brood {

enum class OutputStream : uint8_t { kStdout = 0, kStderr = 1 };

// Bytes kept of each stream of a job; what comes after is read, counted and
// thrown away, so that the job goes on. 64 MiB: a day of a chatty program.
inline constexpr uint64_t kSpoolStreamBytesMax = 64 << 20;
// An output mark is made at the latest after so many bytes or so long.
inline constexpr uint64_t kOutputMarkBytes = 64 << 10;
inline constexpr int64_t kOutputMarkNanos = 50'000'000;
// After the job's end, a stream that others hold open is closed when it was
// silent for so long (the CLI contract: 250 ms).
inline constexpr int64_t kOutputSilenceNanos = 250'000'000;

struct SpoolOptions {
  // Bytes kept of each stream.
  uint64_t stream_bytes_max = kSpoolStreamBytesMax;
};

// The kept output of a host's jobs: reads pipes into files, one per stream, made
// at the first byte. All calls in the loop's thread, but Read.
class Spool {
 public:
  struct Closed {
    uint64_t stdout_bytes = 0;
    uint64_t stderr_bytes = 0;
    uint64_t dropped_bytes = 0;
    bool held_open = false;
  };
  // Told, in the loop's thread: bytes [offset, offset + length) are in the file;
  // and, once per job, that nothing more will come. OnOutput must not call the
  // spool for the same job; OnOutputClosed may.
  class Listener {
   public:
    virtual ~Listener() = default;
    virtual void OnOutput(uint64_t job_key, OutputStream stream, uint64_t offset,
                          uint64_t length) = 0;
    virtual void OnOutputClosed(uint64_t job_key, const Closed& closed) = 0;
  };

  static Result<std::unique_ptr<Spool>> Open(const std::string& directory, EventLoop* loop,
                                             Listener* listener, SpoolOptions options = {});
  virtual ~Spool() = default;

  // The read ends of a job's pipes. They are not watched during the job's first
  // few milliseconds: a short job is read once, at its end.
  virtual void Attach(uint64_t job_key, UniqueFd out, UniqueFd err) = 0;
  // The job has ended: read to the end-of-file, or until others who hold the
  // pipes have been silent. OnOutputClosed follows, maybe within the call. A job
  // that was never attached closes with zeros.
  virtual void Finish(uint64_t job_key) = 0;

  // Up to `size` bytes from `offset`; empty at the end of what is kept. NOT_FOUND
  // if nothing of the stream is kept: it had no byte yet, or was removed (the
  // marks tell which). Thread-safe.
  virtual Result<std::string> Read(uint64_t job_key, OutputStream stream, uint64_t offset,
                                   size_t size) const = 0;
  // Deletes what is kept of the job. Thread-safe.
  virtual void Remove(uint64_t job_key) = 0;
};

}  // namespace brood
