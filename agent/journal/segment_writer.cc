// SPDX-License-Identifier: Apache-2.0
#include "agent/journal/segment_writer.h"

#include <cerrno>
#include <utility>

#include "common/base/failpoint.h"
#include "common/base/planted_bug.h"

namespace brood {
namespace {

// No segment's name, so that nobody takes it for one.
std::string SparePath(const std::string& directory) { return directory + "/spare"; }

Status Make(JournalFiles* files, const std::string& path, size_t bytes,
            std::shared_ptr<JournalFile>* file) {
  if (const int error = files->Open(path, JournalFiles::Make::kIfMissing, file))
    return JournalError(error, "create", path);
  if (bytes == 0) return Ok();
  if (const int error = (*file)->Preallocate(bytes))
    return JournalError(error, "reserve room in", path);
  return Ok();
}

}  // namespace

Status SegmentWriter::MakeSpare(JournalFiles* files, const std::string& directory, size_t bytes) {
  std::shared_ptr<JournalFile> file;
  return Make(files, SparePath(directory), bytes, &file);
}

SegmentWriter::SegmentWriter(std::shared_ptr<JournalFile> file, std::string path, uint64_t end,
                             size_t bytes, bool ragged)
    : file_(std::move(file)), path_(std::move(path)), end_(end), bytes_(bytes), ragged_(ragged) {}

Result<std::unique_ptr<SegmentWriter>> SegmentWriter::Create(JournalFiles* files,
                                                             const std::string& directory,
                                                             const SegmentHeader& header,
                                                             size_t bytes, bool has_spare) {
  const std::string path = directory + "/" + SegmentName(header.first_cursor);
  const std::string spare = SparePath(directory);
  std::shared_ptr<JournalFile> file;
  // What is reserved already is not asked for again: the disk may be full by now.
  if (Status bad = Make(files, spare, has_spare ? 0 : bytes, &file)) return *std::move(bad);
  size_t written = 0;
  // An attempt that failed may have left its header there: the same bytes, of the same cursor.
  int error = file->Write(0, reinterpret_cast<const char*>(&header), sizeof(header), &written);
  if (error == 0) error = file->Sync();
  if (error != 0) return JournalError(error, "write the header of", spare);
  error = files->Rename(spare, path);
  if (error == 0) error = files->SyncDirectory(directory);
  if (error != 0) return JournalError(error, "name the segment", path);
  return std::unique_ptr<SegmentWriter>(
      new SegmentWriter(std::move(file), path, sizeof(header), bytes, false));
}

Result<std::unique_ptr<SegmentWriter>> SegmentWriter::Reopen(JournalFiles* files,
                                                             const std::string& path, uint64_t end,
                                                             uint64_t size, size_t bytes) {
  std::shared_ptr<JournalFile> file;
  if (const int error = files->Open(path, JournalFiles::Make::kNo, &file))
    return JournalError(error, "open", path);
  std::unique_ptr<SegmentWriter> writer(
      new SegmentWriter(std::move(file), path, end, bytes, size > end));
  // A disk that is full now must not keep an agent from its journal.
  (void)writer->Recover();
  return writer;
}

Status SegmentWriter::Cut() {
  if (ragged_ && !Planted(Bug::kNoTornTailCut)) {
    if (const int error = file_->Truncate(end_)) return JournalError(error, "cut", path_);
  }
  ragged_ = false;
  return Ok();
}

// A cut lets go of the room behind it, so that is reserved again.
Status SegmentWriter::Recover() {
  trouble_ = Cut();
  if (trouble_) return trouble_;
  if (const int error = file_->Preallocate(bytes_))
    trouble_ = JournalError(error, "reserve room in", path_);
  return trouble_;
}

Status SegmentWriter::Append(const char* bytes, size_t size) {
  if (ragged_) {
    // Room that cannot be had is no reason: the disk may have it all the same.
    if (Status bad = Recover(); ragged_) return bad;
  }
  size_t written = 0;
  const int error = file_->Write(end_, bytes, size, &written);
  if (error != 0) {
    // Should the cut fail too, the next Append tries it first.
    ragged_ = true;
    (void)Recover();
    return JournalError(error, "write to", path_);
  }
  Failpoint("journal.appended");
  end_ += size;
  return Ok();
}

Status SegmentWriter::Rewrite(uint64_t offset, const char* bytes, size_t size) {
  size_t written = 0;
  if (const int error = file_->Write(offset, bytes, size, &written))
    return JournalError(error, "write again to", path_);
  return Ok();
}

}  // namespace brood
