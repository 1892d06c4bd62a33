// SPDX-License-Identifier: Apache-2.0
#include "agent/journal/snapshot_file.h"

#include <cstring>

#include "agent/journal/journal_format.h"
#include "agent/journal/side_file.h"

namespace brood {

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
  if (const int error = ReplaceFile(files, path, out)) return JournalError(error, "write", path);
  return Ok();
}

Status ReadSnapshotFile(const std::string& directory, std::string_view journal_id, uint64_t cursor,
                        const std::function<void(std::string_view part)>& sink) {
  const std::string path = directory + "/" + NumberedName(cursor, kSnapshotSuffix);
  const Result<SideFile> file = ReadSideFile(path, kSnapshotMagic, journal_id, cursor);
  if (!file) return file.error();
  const std::string_view bytes = file->bytes;
  if (file->header.bytes != bytes.size()) {
    return SideDamage(path, "it has " + std::to_string(bytes.size()) + " bytes instead of " +
                                std::to_string(file->header.bytes));
  }
  std::vector<std::string_view> parts;
  for (size_t at = sizeof(SideHeader); at < bytes.size();) {
    RecordHeader record;
    if (!DecodeRecord(bytes.data() + at, bytes.size() - at, &record) ||
        record.cursor != parts.size() + 1) {
      return SideDamage(path, "no whole record stands at offset " + std::to_string(at));
    }
    const size_t size = record.length - kRecordLengthMin;
    parts.push_back(bytes.substr(at + sizeof(record), size));
    at += RecordBytes(size);
  }
  if (parts.size() != file->header.records)
    return SideDamage(path, "it has not as many records as its header says");
  if (sink) {
    for (const std::string_view part : parts) sink(part);
  }
  return Ok();
}

}  // namespace brood
