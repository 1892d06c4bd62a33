// SPDX-License-Identifier: Apache-2.0
#include "agent/journal/snapshot_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>

#include "agent/journal/journal_format.h"
#include "common/base/unique_fd.h"

namespace brood {

Error SideDamage(const std::string& path, const std::string& what) {
  Error error;
  error.code = ErrorCode::kDataLoss;
  error.reason = "JOURNAL_DAMAGED";
  error.message = "'" + path + "' is damaged: " + what;
  return error;
}

Result<std::string> ReadWholeFile(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat status {};
  if (!fd || ::fstat(fd.get(), &status) != 0) return ErrnoError(errno, "open '" + path + "'");
  std::string bytes(static_cast<size_t>(status.st_size), '\0');
  size_t got = 0;
  while (got < bytes.size()) {
    const ssize_t some =
        ::pread(fd.get(), bytes.data() + got, bytes.size() - got, static_cast<off_t>(got));
    if (some < 0 && errno == EINTR) continue;
    if (some <= 0) return ErrnoError(some < 0 ? errno : EIO, "read '" + path + "'");
    got += static_cast<size_t>(some);
  }
  return bytes;
}

Result<std::vector<uint64_t>> ListNumbered(const std::string& directory, std::string_view suffix) {
  std::vector<uint64_t> numbers;
  std::error_code error;
  for (auto entry = std::filesystem::directory_iterator(directory, error);
       !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    const std::string name = entry->path().filename();
    if (const std::optional<uint64_t> number = NumberOfName(name, suffix))
      numbers.push_back(*number);
  }
  if (error) return ErrnoError(error.value(), "list '" + directory + "'");
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

Status WriteSnapshotFile(JournalFiles* files, const std::string& directory,
                         std::string_view journal_id, uint64_t epoch, uint64_t cursor,
                         const std::vector<std::string>& parts) {
  SideHeader header = MakeSideHeader(kSnapshotMagic, journal_id, epoch, cursor);
  size_t bytes = sizeof(header);
  for (const std::string& part : parts) {
    if (part.size() > kJournalPayloadBytesMax) {
      return Error{ErrorCode::kInvalidArgument, "INVALID_RECORD",
                   "a part of a snapshot has " + std::to_string(part.size()) +
                       " bytes; at most 1048576 are written",
                   ""};
    }
    bytes += RecordBytes(part.size());
  }
  header.records = parts.size();
  header.bytes = bytes;
  SealSideHeader(&header);
  std::string out(bytes, '\0');
  std::memcpy(out.data(), &header, sizeof(header));
  size_t at = sizeof(header);
  for (size_t i = 0; i < parts.size(); ++i) {
    EncodeRecord(i + 1, 0, parts[i], out.data() + at);
    at += RecordBytes(parts[i].size());
  }
  const std::string path = directory + "/" + NumberedName(cursor, kSnapshotSuffix);
  const std::string fresh = path + ".new";
  std::shared_ptr<JournalFile> file;
  size_t written = 0;
  int error = files->Open(fresh, JournalFiles::Make::kEmpty, &file);
  if (error == 0) error = file->Write(0, out.data(), out.size(), &written);
  if (error == 0) error = file->Sync();
  if (error == 0) error = files->Rename(fresh, path);
  if (error == 0) error = files->SyncDirectory(directory);
  if (error == 0) return Ok();
  ::unlink(fresh.c_str());
  return JournalError(error, "write", path);
}

Status ReadSnapshotFile(const std::string& directory, std::string_view journal_id, uint64_t cursor,
                        const std::function<void(std::string_view part)>& sink) {
  const std::string path = directory + "/" + NumberedName(cursor, kSnapshotSuffix);
  Result<std::string> bytes = ReadWholeFile(path);
  if (!bytes) return bytes.error();
  SideHeader header;
  if (bytes->size() < sizeof(header)) return SideDamage(path, "it is shorter than its header");
  std::memcpy(&header, bytes->data(), sizeof(header));
  if (const Status bad = CheckSideHeader(header, kSnapshotMagic, journal_id))
    return SideDamage(path, bad->message);
  if (header.number != cursor)
    return SideDamage(path, "its name and its header state different cursors");
  if (header.bytes != bytes->size()) {
    return SideDamage(path, "it has " + std::to_string(bytes->size()) + " bytes instead of " +
                                std::to_string(header.bytes));
  }
  std::vector<std::string_view> parts;
  for (size_t at = sizeof(header); at < bytes->size();) {
    RecordHeader record;
    if (!DecodeRecord(bytes->data() + at, bytes->size() - at, &record) ||
        record.cursor != parts.size() + 1) {
      return SideDamage(path, "no whole record stands at offset " + std::to_string(at));
    }
    const size_t size = record.length - kRecordLengthMin;
    parts.emplace_back(bytes->data() + at + sizeof(record), size);
    at += RecordBytes(size);
  }
  if (parts.size() != header.records)
    return SideDamage(path, "it has not as many records as its header says");
  if (sink) {
    for (const std::string_view part : parts) sink(part);
  }
  return Ok();
}

}  // namespace brood
