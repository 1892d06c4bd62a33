// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "agent/spool/followed_jobs.h"
#include "agent/spool/spool.h"
#include "agent/spool/spool_files.h"
#include "agent/spool/spool_stream.h"

namespace brood {

// The spool on disk. All that is due at some time - to watch a young job, to mark bytes, to end a
// silence - stands in one agenda behind one timer of the loop.
class FileSpool final : public Spool {
 public:
  FileSpool(const std::string& directory, EventLoop* loop, Listener* listener, SpoolOptions options,
            UniqueFd null);
  ~FileSpool() override;

  Status Prepare(uint64_t job_key, const SpoolSettings& settings) override;
  std::string Path(uint64_t job_key, OutputStream stream) const override {
    return files_.Path(job_key, stream);
  }
  bool IsFile(uint64_t job_key) const override;
  bool can_free() const override { return can_free_; }
  void Attach(uint64_t job_key, UniqueFd out, UniqueFd err) override;
  void Follow(uint64_t job_key) override;
  void Settle(uint64_t job_key, uint64_t stdout_bytes, uint64_t stderr_bytes) override;
  void Finish(uint64_t job_key) override;
  Result<Piece> Read(uint64_t job_key, OutputStream stream, uint64_t offset,
                     size_t size) const override;
  void Remove(uint64_t job_key) override;
  void RemoveUnknown(const std::function<bool(uint64_t job_key)>& known) override;

 private:
  struct JobOutput {
    SpoolStream streams[2];
    bool finishing = false;
    bool limit_told = false;
    int64_t last_byte_ns = 0;
  };
  enum class Errand : uint8_t { kWatch, kMarkOut, kMarkErr, kSilence };
  using Entry = std::tuple<int64_t, uint64_t, Errand>;  // when, job, what

  void OnReadable(uint64_t job_key, size_t index);
  // Moves bytes and marks them; true if there were any.
  bool Take(uint64_t job_key, JobOutput* job, size_t index, size_t budget);
  void Watch(uint64_t job_key, JobOutput* job, size_t index);
  void Unwatch(SpoolStream* stream);
  void Mark(uint64_t job_key, SpoolStream* stream, size_t index, bool all);
  void EndSilence(uint64_t job_key, JobOutput* job);
  // If both streams have ended: tells so, and forgets the job.
  void CloseIfEnded(uint64_t job_key, JobOutput* job);
  void Close(uint64_t job_key, JobOutput* job, bool held_open);
  uint64_t KeptBefore(uint64_t job_key, OutputStream stream) const;
  void Schedule(int64_t when_ns, uint64_t job_key, Errand errand);
  void ArmTimer();
  void RunErrands();

  const SpoolFiles files_;
  EventLoop* const loop_;
  Listener* const listener_;
  const UniqueFd null_;
  const std::unique_ptr<char[]> buffer_;
  const SpoolContext context_;
  const bool can_free_;
  SettingsBook book_;
  FollowedJobs followed_;
  std::vector<uint64_t> earlier_;  // in order: the jobs of which an earlier spool kept something
  std::unordered_map<uint64_t, std::unique_ptr<JobOutput>> jobs_;
  std::set<Entry> agenda_;
  EventLoop::TimerId timer_ = 0;  // 0: none
  int64_t timer_ns_ = 0;
};

}  // namespace brood
