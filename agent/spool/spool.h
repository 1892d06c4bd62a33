// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "agent/spool/spool_settings.h"
#include "common/base/error.h"
#include "common/base/event_loop.h"
#include "common/base/unique_fd.h"

namespace brood {

enum class OutputStream : uint8_t { kStdout = 0, kStderr = 1 };

// Bytes kept of each stream of a job that does not say; what comes after is read,
// counted and thrown away, so that the job goes on. 64 MiB: a day of a chatty program.
inline constexpr uint64_t kSpoolStreamBytesMax = 64 << 20;
// An output mark is made at the latest after so many bytes (of a ring: with the next) or so long.
inline constexpr uint64_t kOutputMarkBytes = 64 << 10;
inline constexpr int64_t kOutputMarkNanos = 50'000'000;
// After the job's end, a stream that others hold open is closed when it was
// silent for so long (the CLI contract: 250 ms).
inline constexpr int64_t kOutputSilenceNanos = 250'000'000;

struct SpoolOptions {
  // Bytes kept of each stream of a job that has no settings of its own.
  uint64_t stream_bytes_max = kSpoolStreamBytesMax;
};

// The kept output of a host's jobs, a file per stream: reads pipes into files made at the first
// byte, or follows files that jobs write themselves. All calls in the loop's thread, but where it
// says that they are thread-safe.
class Spool {
 public:
  struct Closed {
    uint64_t stdout_bytes = 0;  // of a ring: the position behind the last
    uint64_t stderr_bytes = 0;
    uint64_t stdout_begin = 0;  // of the first byte kept
    uint64_t stderr_begin = 0;
    uint64_t dropped_bytes = 0;
    bool held_open = false;
    bool held_open_unknown = false;
    bool truncated = false;  // somebody did that to a file that was told of already
  };
  // Told, in the loop's thread: bytes [offset, offset + length) are in the file, or
  // have gone from a ring again; and, once per job, that nothing more will come.
  // OnOutput and OnOutputLimit must not call the spool for the same job;
  // OnOutputClosed may.
  class Listener {
   public:
    virtual ~Listener() = default;
    virtual void OnOutput(uint64_t job_key, OutputStream stream, uint64_t offset,
                          uint64_t length) = 0;
    // The stream went past the limit at which the job is to be ended. Maybe said again.
    virtual void OnOutputLimit(uint64_t /*job_key*/, OutputStream /*stream*/) {}
    virtual void OnOutputClosed(uint64_t job_key, const Closed& closed) = 0;
  };

  static Result<std::unique_ptr<Spool>> Open(const std::string& directory, EventLoop* loop,
                                             Listener* listener, SpoolOptions options = {});
  virtual ~Spool() = default;

  // Before a job with settings of its own is started: keeps them, for the next spool too, and makes
  // the files that it is to write itself. Thread-safe.
  virtual Status Prepare(uint64_t job_key, const SpoolSettings& settings) = 0;
  // The file of a stream, there or not. Thread-safe.
  virtual std::string Path(uint64_t job_key, OutputStream stream) const = 0;
  // Whether the job was prepared to write its files itself. Thread-safe.
  virtual bool IsFile(uint64_t job_key) const = 0;
  // Whether the file system can free a part of a file: without, there are no rings, and what a job
  // writes itself past its limit cannot be thrown away while it lives. Thread-safe.
  virtual bool can_free() const = 0;

  // The read ends of a job's pipes. They are not watched during the job's first
  // few milliseconds: a short job is read once, at its end.
  virtual void Attach(uint64_t job_key, UniqueFd out, UniqueFd err) = 0;
  // The same for a job that writes its files itself, which has or may have started; nothing for
  // others.
  virtual void Follow(uint64_t job_key) = 0;
  // Of such a job that an earlier spool has closed at these ends: what is written behind them is
  // thrown away.
  virtual void Settle(uint64_t job_key, uint64_t stdout_bytes, uint64_t stderr_bytes) = 0;
  // The job has ended: read to the end-of-file, or until others who hold the
  // streams have been silent. OnOutputClosed follows, maybe within the call. A job
  // that was never attached closes with zeros.
  virtual void Finish(uint64_t job_key) = 0;

  // What is kept of the `size` bytes from `offset` on. Empty at the end; `offset` is greater than
  // asked where a ring has lost the first ones, perhaps all that were asked for.
  struct Piece {
    uint64_t offset = 0;
    std::string bytes;
  };
  // NOT_FOUND if nothing of the stream is kept: it had no byte yet, or was removed (the
  // marks tell which). Thread-safe.
  virtual Result<Piece> Read(uint64_t job_key, OutputStream stream, uint64_t offset,
                             size_t size) const = 0;
  // Deletes what is kept of the job. Thread-safe.
  virtual void Remove(uint64_t job_key) = 0;
  // Deletes what is kept of all jobs that `known` does not know. Before the loop runs.
  virtual void RemoveUnknown(const std::function<bool(uint64_t job_key)>& known) = 0;
};

}  // namespace brood
