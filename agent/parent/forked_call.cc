// SPDX-License-Identifier: Apache-2.0
#include "agent/parent/forked_call.h"

#include <fcntl.h>
#include <stdio_ext.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <memory>
#include <string>
#include <utility>

#include "agent/outbox/doorbell.h"
#include "agent/parent/limits.h"
#include "common/base/checksum.h"
#include "common/base/clock.h"
#include "common/base/failpoint.h"

namespace brood {
namespace {

constexpr int kChildDoorbell = 3;  // The first one after the streams.

// What the parent had not written out, or not taken in, yet is the parent's. Looking costs nothing
// here, purging a copy of the stream's page.
void PurgeInherited(FILE* stream) {
  const bool unread = stream->_IO_read_ptr != stream->_IO_read_end;
  const bool unwritten = stream->_IO_write_ptr != stream->_IO_write_base;
  if (unread || unwritten) __fpurge(stream);
}

// Not by the vDSO: its pages, and libc's on the way to it, are not mapped yet in a young child.
int64_t BootTimeNanosInChild() {
  timespec now{};
  ::syscall(SYS_clock_gettime, CLOCK_BOOTTIME, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

}  // namespace

ForkedCall::ForkedCall(internal::v1::StartJob job, const brood_task* task, CellStore* cells,
                       const rlimit& files, size_t environment_size)
    : RunningCall(std::move(job), task, cells),
      limits_(ChildLimits(this->job(), files)),
      groups_(ChildGroups(this->job())),
      environment_(this->job(), environment_size) {}

void ForkedCall::SetSlot(const SlotFile& slots, uint32_t slot) {
  slot_ = slot;
  start_ = slots.start(slot);
  area_ = slots.area(slot);
  value_ = slots.value(slot);
}

void ForkedCall::RunInChild(const Inherited& inherited) {
  const int doorbell = inherited.doorbell;
  ChildSetup setup;
  setup.slot = start_;
  setup.signals = inherited.signals;
  setup.input = pipes_.input_read ? pipes_.input_read.get() : inherited.null_input;
  setup.output = pipes_.output_write.get();
  setup.error = pipes_.error_write.get();
  if (!job().working_directory().empty()) setup.directory = job().working_directory().c_str();
  setup.sets_umask = job().has_umask();
  setup.umask = static_cast<mode_t>(job().umask());
  setup.limits = limits_.data();
  setup.limit_count = limits_.size();
  setup.groups = groups_.data();
  setup.group_count = groups_.size();
  if (!SetUpChild(setup)) ::_exit(127);
  inherited.gate->OpenInChild();
  inherited.watch->BecomeFork(slot_);
  PurgeInherited(stdin);
  PurgeInherited(stdout);
  PurgeInherited(stderr);
  if (doorbell != kChildDoorbell) ::dup2(doorbell, kChildDoorbell);
  ::close_range(kChildDoorbell + 1, ~0u, 0);
  ::fcntl(kChildDoorbell, F_SETFD, FD_CLOEXEC);
  doorbell_ = kChildDoorbell;
  // The parent's environment of this instant, whatever its threads have made of it.
  environment_.Start(environ);
  environ = environment_.pointers();

  const pid_t self = start_->pid;
  const int ended = Run();
  // A child that the task forked and that came back here is not the job.
  if (::getpid() == self) WriteResult(ended);
  std::fflush(nullptr);
  ::_exit(ended == BROOD_TASK_THREW ? 1 : 0);
}

void ForkedCall::WriteResult(int ended) {
  uint32_t result = kCallStopped;
  std::string_view bytes;
  if (ended == BROOD_TASK_RETURNED) {
    result = kCallReturned;
    area_->value_kind = result_kind();
    bytes = result_bytes();
  } else if (ended == BROOD_TASK_THREW) {
    result = kCallThrew;
    bytes = thrown();
  }
  if (!bytes.empty()) std::memcpy(value_, bytes.data(), bytes.size());
  area_->value_size = static_cast<uint32_t>(bytes.size());
  area_->value_crc = Crc32c(bytes.data(), bytes.size());
  area_->result_boot_ns = BootTimeNanosInChild();
  FailpointInChild("fork.writes_result");
  std::atomic_ref<uint32_t>(area_->result).store(result, std::memory_order_release);
  FailpointInChild("fork.returned");
}

void ForkedCall::RingDoorbell() { (void)!::write(doorbell_, &slot_, kDoorbellRingBytes); }

void ForkedCall::Progress(double fraction, std::string_view text) {
  const int64_t now = BootTimeNanos();
  const size_t size = std::min(text.size(), kProgressTextBytes);
  std::atomic_ref<uint32_t> version(area_->progress_version);
  const uint32_t before = version.load(std::memory_order_relaxed);
  version.store(before + 1, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_release);
  area_->progress_fraction = fraction;
  area_->progress_boot_ns = now;
  area_->progress_text_size = static_cast<uint32_t>(size);
  if (size > 0) std::memcpy(area_->progress_text, text.data(), size);
  version.store(before + 2, std::memory_order_release);
  // The last one is read at the end, as the result is, without a ring.
  if (now - rung_ns_ < kProgressPeriodNanos) return;
  rung_ns_ = now;
  RingDoorbell();
}

int ForkedCall::Write(int stream, std::string_view bytes) {
  if (stream != STDOUT_FILENO && stream != STDERR_FILENO) {
    errno = EBADF;
    return BROOD_FAILED;
  }
  return WriteAll(stream, bytes);
}

int ForkedCall::Sleep(int64_t nanoseconds) {
  if (nanoseconds <= 0) return BROOD_OK;
  timespec left{nanoseconds / 1'000'000'000, nanoseconds % 1'000'000'000};
  while (::clock_nanosleep(CLOCK_MONOTONIC, 0, &left, &left) == EINTR) {
  }
  return BROOD_OK;
}

}  // namespace brood
