// SPDX-License-Identifier: Apache-2.0
#include "agent/spool/file_spool.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "common/base/clock.h"
#include "common/base/failpoint.h"
#include "common/base/paths.h"
#include "common/base/planted_bug.h"

namespace brood {
namespace {

// Most jobs are over by then, and are read once, at their end, without epoll.
constexpr int64_t kYoungNanos = 5'000'000;
// What one wake moves of one stream: enough to keep up with a flood, little enough that the others
// get their turn within a fraction of a millisecond.
constexpr size_t kBytesPerWake = 256 << 10;
// What the end of a job moves within the call: more than its pipe can hold unless it was enlarged.
// The rest, which somebody else is writing, comes by wakes.
constexpr size_t kBytesAtFinish = 1 << 20;
// Long before the machine booted, and far from overflow.
constexpr int64_t kNeverNanos = INT64_MIN / 2;

}  // namespace

Result<std::unique_ptr<Spool>> Spool::Open(const std::string& directory, EventLoop* loop,
                                           Listener* listener, SpoolOptions options) {
  if (Status bad = MakePrivateDirectory(directory)) return *std::move(bad);
  UniqueFd null(::open("/dev/null", O_WRONLY | O_CLOEXEC));
  if (!null) return ErrnoError(errno, "open '/dev/null'");
  return std::unique_ptr<Spool>(
      std::make_unique<FileSpool>(directory, loop, listener, options, std::move(null)));
}

FileSpool::FileSpool(const std::string& directory, EventLoop* loop, Listener* listener,
                     SpoolOptions options, UniqueFd null)
    : files_(directory),
      loop_(loop),
      listener_(listener),
      null_(std::move(null)),
      buffer_(new char[kSpoolBufferBytes]),
      context_{&files_, options.stream_bytes_max, null_.get(), buffer_.get()},
      can_free_(files_.CanFree()),
      followed_(loop, listener, &files_, &book_) {
  for (const auto& [job_key, settings] : files_.List()) {
    earlier_.push_back(job_key);
    if (settings) book_.Set(job_key, *settings);
  }
}

FileSpool::~FileSpool() {
  for (auto& [key, job] : jobs_) {
    for (SpoolStream& stream : job->streams) Unwatch(&stream);
  }
  if (timer_ != 0) loop_->Cancel(timer_);
}

Status FileSpool::Prepare(uint64_t job_key, const SpoolSettings& settings) {
  if (Status failed = files_.KeepSettings(job_key, settings)) return failed;
  if (settings.is_file()) {
    for (const OutputStream stream : {OutputStream::kStdout, OutputStream::kStderr}) {
      const Result<UniqueFd> made = files_.Create(job_key, stream);
      if (!made) return made.error();
    }
  }
  book_.Set(job_key, settings);
  return Ok();
}

bool FileSpool::IsFile(uint64_t job_key) const {
  const std::optional<SpoolSettings> settings = book_.Find(job_key);
  return settings && settings->is_file();
}

void FileSpool::Follow(uint64_t job_key) {
  const std::optional<SpoolSettings> settings = book_.Find(job_key);
  if (settings && settings->is_file()) followed_.Follow(job_key, *settings);
}

void FileSpool::Settle(uint64_t job_key, uint64_t stdout_bytes, uint64_t stderr_bytes) {
  const std::optional<SpoolSettings> settings = book_.Find(job_key);
  if (settings && settings->is_file())
    followed_.CutBehind(job_key, *settings, {stdout_bytes, stderr_bytes});
}

void FileSpool::Attach(uint64_t job_key, UniqueFd out, UniqueFd err) {
  std::unique_ptr<JobOutput>& job = jobs_[job_key];
  if (job != nullptr) {
    // An earlier attempt that ran nothing.
    for (SpoolStream& stream : job->streams) Unwatch(&stream);
  }
  job = std::make_unique<JobOutput>();
  job->streams[0].Attach(std::move(out), KeptBefore(job_key, OutputStream::kStdout));
  job->streams[1].Attach(std::move(err), KeptBefore(job_key, OutputStream::kStderr));
  const std::optional<SpoolSettings> settings = book_.Find(job_key);
  for (size_t i = 0; i < 2; ++i) {
    SpoolStream& stream = job->streams[i];
    if (settings) stream.Use(*settings);
    stream.last_mark_ns = kNeverNanos;
    // What an earlier spool kept may not have been told of.
    stream.marked = stream.kept();
    if (stream.kept() > 0)
      listener_->OnOutput(job_key, static_cast<OutputStream>(i), 0, stream.kept());
  }
  Schedule(BootTimeNanos() + kYoungNanos, job_key, Errand::kWatch);
}

void FileSpool::Finish(uint64_t job_key) {
  if (IsFile(job_key)) {
    Follow(job_key);
    return followed_.Finish(job_key);
  }
  auto found = jobs_.find(job_key);
  if (found == jobs_.end()) {
    if (KeptBefore(job_key, OutputStream::kStdout) + KeptBefore(job_key, OutputStream::kStderr) ==
        0) {
      listener_->OnOutputClosed(job_key, {});
      return;
    }
    // Its pipes are gone with whoever held them; what was kept is told.
    Attach(job_key, UniqueFd(), UniqueFd());
    found = jobs_.find(job_key);
  }
  JobOutput* job = found->second.get();
  if (job->finishing) return;
  job->finishing = true;
  job->last_byte_ns = BootTimeNanos();
  for (size_t i = 0; i < 2; ++i) Take(job_key, job, i, kBytesAtFinish);
  const bool held = job->streams[0].state() == SpoolStream::State::kOpen ||
                    job->streams[1].state() == SpoolStream::State::kOpen;
  if (held && Planted(Bug::kFixedDrain)) return Close(job_key, job, true);
  if (held) {
    for (size_t i = 0; i < 2; ++i) Watch(job_key, job, i);
    Schedule(job->last_byte_ns + kOutputSilenceNanos, job_key, Errand::kSilence);
  }
  CloseIfEnded(job_key, job);
}

void FileSpool::OnReadable(uint64_t job_key, size_t index) {
  const auto found = jobs_.find(job_key);
  if (found == jobs_.end()) return;
  JobOutput* job = found->second.get();
  if (Take(job_key, job, index, kBytesPerWake)) job->last_byte_ns = BootTimeNanos();
  if (job->finishing) CloseIfEnded(job_key, job);
}

bool FileSpool::Take(uint64_t job_key, JobOutput* job, size_t index, size_t budget) {
  SpoolStream* stream = &job->streams[index];
  const bool any = stream->Drain(context_, job_key, static_cast<OutputStream>(index), budget) > 0;
  if (stream->at_end()) {
    Unwatch(stream);
    stream->ClosePipe();
  }
  if (any) Mark(job_key, stream, index, false);
  if (stream->over_limit() && !std::exchange(job->limit_told, true))
    listener_->OnOutputLimit(job_key, static_cast<OutputStream>(index));
  return any;
}

void FileSpool::Watch(uint64_t job_key, JobOutput* job, size_t index) {
  SpoolStream* stream = &job->streams[index];
  if (stream->watched || stream->state() == SpoolStream::State::kEnded) return;
  stream->watched = !loop_->Add(stream->pipe_fd(), EPOLLIN,
                                [this, job_key, index](uint32_t) { OnReadable(job_key, index); });
  // The kernel has no room for one more now: ask again, or a full pipe would hold the job for ever.
  if (!stream->watched) Schedule(BootTimeNanos() + kOutputMarkNanos, job_key, Errand::kWatch);
}

void FileSpool::Unwatch(SpoolStream* stream) {
  if (stream->watched) loop_->Remove(stream->pipe_fd());
  stream->watched = false;
}

void FileSpool::Mark(uint64_t job_key, SpoolStream* stream, size_t index, bool all) {
  const int64_t now = BootTimeNanos();
  const bool at_once = all || now - stream->last_mark_ns >= kOutputMarkNanos;
  while (stream->marked < stream->kept()) {
    // A ring's bytes may be gone before somebody reads them: not worth a mark for each few of them.
    const uint64_t most = stream->is_ring() ? UINT64_MAX : kOutputMarkBytes;
    const uint64_t length = std::min(stream->kept() - stream->marked, most);
    const bool whole = !stream->is_ring() && length == kOutputMarkBytes;
    if (!whole && !at_once) {
      const Errand errand = index == 0 ? Errand::kMarkOut : Errand::kMarkErr;
      Schedule(stream->last_mark_ns + kOutputMarkNanos, job_key, errand);
      return;
    }
    const uint64_t offset = stream->marked;
    stream->marked += length;
    stream->last_mark_ns = now;
    listener_->OnOutput(job_key, static_cast<OutputStream>(index), offset, length);
  }
}

void FileSpool::EndSilence(uint64_t job_key, JobOutput* job) {
  // Bytes may have come since the loop last looked.
  for (size_t i = 0; i < 2; ++i) {
    if (Take(job_key, job, i, kBytesPerWake)) job->last_byte_ns = BootTimeNanos();
  }
  const int64_t due = job->last_byte_ns + kOutputSilenceNanos;
  if (BootTimeNanos() < due) {
    Schedule(due, job_key, Errand::kSilence);
    CloseIfEnded(job_key, job);
    return;
  }
  const bool held = job->streams[0].state() == SpoolStream::State::kOpen ||
                    job->streams[1].state() == SpoolStream::State::kOpen;
  Close(job_key, job, held);
}

void FileSpool::CloseIfEnded(uint64_t job_key, JobOutput* job) {
  for (const SpoolStream& stream : job->streams) {
    if (stream.state() == SpoolStream::State::kOpen) return;
  }
  Close(job_key, job, false);
}

void FileSpool::Close(uint64_t job_key, JobOutput* job, bool held_open) {
  Closed closed;
  for (size_t i = 0; i < 2; ++i) {
    SpoolStream& stream = job->streams[i];
    Mark(job_key, &stream, i, true);
    Unwatch(&stream);
    closed.dropped_bytes += stream.dropped();
  }
  closed.stdout_bytes = job->streams[0].kept();
  closed.stderr_bytes = job->streams[1].kept();
  closed.stdout_begin = job->streams[0].begin();
  closed.stderr_begin = job->streams[1].begin();
  closed.held_open = held_open;
  Failpoint("output.close");
  // Errands of this job that are still due find nothing.
  jobs_.erase(job_key);
  listener_->OnOutputClosed(job_key, closed);
}

uint64_t FileSpool::KeptBefore(uint64_t job_key, OutputStream stream) const {
  const bool earlier = std::binary_search(earlier_.begin(), earlier_.end(), job_key);
  return earlier ? files_.Size(job_key, stream) : 0;
}

void FileSpool::Schedule(int64_t when_ns, uint64_t job_key, Errand errand) {
  agenda_.emplace(when_ns, job_key, errand);
  ArmTimer();
}

void FileSpool::ArmTimer() {
  if (agenda_.empty()) return;
  const int64_t next = std::get<0>(*agenda_.begin());
  if (timer_ != 0) {
    if (timer_ns_ <= next) return;
    loop_->Cancel(timer_);
  }
  timer_ns_ = next;
  timer_ = loop_->At({next}, [this] {
    timer_ = 0;
    RunErrands();
    ArmTimer();
  });
}

void FileSpool::RunErrands() {
  const int64_t now = BootTimeNanos();
  while (!agenda_.empty() && std::get<0>(*agenda_.begin()) <= now) {
    const auto [when, job_key, errand] = *agenda_.begin();
    agenda_.erase(agenda_.begin());
    const auto found = jobs_.find(job_key);
    if (found == jobs_.end()) continue;
    JobOutput* job = found->second.get();
    switch (errand) {
      case Errand::kWatch:
        for (size_t i = 0; i < 2; ++i) Watch(job_key, job, i);
        break;
      case Errand::kMarkOut:
        Mark(job_key, &job->streams[0], 0, false);
        break;
      case Errand::kMarkErr:
        Mark(job_key, &job->streams[1], 1, false);
        break;
      case Errand::kSilence:
        // Not one of an earlier job of the same key.
        if (job->finishing) EndSilence(job_key, job);
        break;
    }
  }
}

Result<Spool::Piece> FileSpool::Read(uint64_t job_key, OutputStream stream, uint64_t offset,
                                     size_t size) const {
  Result<UniqueFd> file = files_.Open(job_key, stream);
  if (!file) return std::move(file).error();
  const std::optional<SpoolSettings> settings = book_.Find(job_key);
  const uint64_t end = settings ? book_.End(job_key, static_cast<size_t>(stream)) : UINT64_MAX;
  const uint64_t last = settings ? std::min(end, settings->LastKept(UINT64_MAX)) : UINT64_MAX;
  Piece piece{offset, std::string(std::min<uint64_t>(size, last - std::min(last, offset)), '\0')};
  std::string& bytes = piece.bytes;
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t got = ::pread(file->get(), bytes.data() + done, bytes.size() - done,
                                static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoError(errno, "read the output of job " + std::to_string(job_key));
    if (got == 0) break;
    done += static_cast<size_t>(got);
  }
  bytes.resize(done);
  if (!settings || !settings->is_ring()) return piece;
  // After the read: what may have been freed meanwhile is not believed.
  struct stat status {};
  if (::fstat(file->get(), &status) != 0)
    return ErrnoError(errno, "look at the output of job " + std::to_string(job_key));
  const uint64_t begin = settings->FirstKept(std::min(end, static_cast<uint64_t>(status.st_size)));
  if (begin <= offset) return piece;
  bytes.erase(0, std::min<uint64_t>(bytes.size(), begin - offset));
  piece.offset = begin;
  return piece;
}

void FileSpool::Remove(uint64_t job_key) {
  book_.Forget(job_key);
  files_.Remove(job_key);
}

void FileSpool::RemoveUnknown(const std::function<bool(uint64_t job_key)>& known) {
  std::erase_if(earlier_, [&](uint64_t job_key) {
    if (known(job_key)) return false;
    Remove(job_key);
    return true;
  });
}

}  // namespace brood
