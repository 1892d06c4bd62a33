// SPDX-License-Identifier: Apache-2.0
#include "agent/journal/segment_writer.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <utility>

namespace brood {
namespace {

Error NoRoom(int error_number, const std::string& path) {
  Error error = ErrnoError(error_number, "write to '" + path + "'");
  // A file-size limit is the same to the caller as a full disk.
  if (error_number == EFBIG) error.code = ErrorCode::kResourceExhausted;
  if (error.code == ErrorCode::kResourceExhausted) {
    error.message += "; nothing was appended, make room on the disk";
  }
  return error;
}

// Reserves the space, so that a full disk is met here and not within a batch. The file's size stays
// the end of its records. File systems that cannot do it do without.
Status Reserve(int fd, size_t bytes, const std::string& path) {
  if (::fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, static_cast<off_t>(bytes)) == 0) return Ok();
  if (errno == ENOSPC || errno == EDQUOT || errno == EFBIG) return NoRoom(errno, path);
  return Ok();
}

}  // namespace

SegmentWriter::SegmentWriter(UniqueFd fd, std::string path, uint64_t end)
    : fd_(std::move(fd)), path_(std::move(path)), end_(end) {}

Result<std::unique_ptr<SegmentWriter>> SegmentWriter::Create(const std::string& directory,
                                                             const SegmentHeader& header,
                                                             size_t bytes) {
  const std::string path = directory + "/" + SegmentName(header.first_cursor);
  const std::string fresh = path + ".new";
  UniqueFd fd(::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!fd) return NoRoom(errno, fresh);
  Status bad = Reserve(fd.get(), bytes, fresh);
  if (!bad) {
    const ssize_t written = ::pwrite(fd.get(), &header, sizeof(header), 0);
    if (written != static_cast<ssize_t>(sizeof(header))) {
      bad = NoRoom(written < 0 ? errno : ENOSPC, fresh);
    } else if (::rename(fresh.c_str(), path.c_str()) != 0) {
      bad = NoRoom(errno, fresh);
    }
  }
  if (bad) {
    ::unlink(fresh.c_str());
    return *std::move(bad);
  }
  return std::unique_ptr<SegmentWriter>(new SegmentWriter(std::move(fd), path, sizeof(header)));
}

Result<std::unique_ptr<SegmentWriter>> SegmentWriter::Reopen(const std::string& path,
                                                             uint64_t end) {
  UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd) return ErrnoError(errno, "open '" + path + "'");
  std::unique_ptr<SegmentWriter> writer(new SegmentWriter(std::move(fd), path, end));
  if (Status bad = writer->CutToEnd()) return *std::move(bad);
  return writer;
}

Status SegmentWriter::CutToEnd() {
  if (::ftruncate(fd_.get(), static_cast<off_t>(end_)) != 0) {
    return ErrnoError(errno, "cut '" + path_ + "'");
  }
  ragged_ = false;
  return Ok();
}

Status SegmentWriter::Append(const char* bytes, size_t size) {
  if (ragged_) {
    if (Status bad = CutToEnd()) return bad;
  }
  size_t done = 0;
  while (done < size) {
    const ssize_t written =
        ::pwrite(fd_.get(), bytes + done, size - done, static_cast<off_t>(end_ + done));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) {
      const int error_number = written < 0 ? errno : ENOSPC;
      // Should the cut fail too, the next Append tries it first.
      ragged_ = true;
      (void)CutToEnd();
      return NoRoom(error_number, path_);
    }
    done += static_cast<size_t>(written);
  }
  end_ += size;
  return Ok();
}

}  // namespace brood
