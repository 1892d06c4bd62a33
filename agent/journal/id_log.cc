// SPDX-License-Identifier: Apache-2.0
#include "agent/journal/id_log.h"

#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "agent/journal/journal_format.h"
#include "agent/journal/snapshot_file.h"

namespace brood {
namespace {

// A record has at most a MiB.
constexpr size_t kEntriesPerRecord = 16'384;

constexpr char kCure[] =
    "; restore it from a copy, or remove all .ids files and lose what is known of old ids";

}  // namespace

IdLog::IdLog(JournalFiles* files, std::string directory, std::string journal_id, Options options)
    : files_(files),
      directory_(std::move(directory)),
      journal_id_(std::move(journal_id)),
      options_(options) {}

std::string IdLog::PathOf(uint64_t first) const {
  return directory_ + "/" + NumberedName(first, kIdsSuffix);
}

Result<std::unique_ptr<IdLog>> IdLog::Open(JournalFiles* files, std::string directory,
                                           std::string journal_id, uint64_t total,
                                           Options options) {
  std::unique_ptr<IdLog> log(
      new IdLog(files, std::move(directory), std::move(journal_id), options));
  if (Status bad = log->Load(total)) {
    bad->message += kCure;
    return *std::move(bad);
  }
  return log;
}

Status IdLog::Load(uint64_t total) {
  Result<std::vector<uint64_t>> firsts = ListNumbered(directory_, kIdsSuffix);
  if (!firsts) return firsts.error();
  while (!firsts->empty() && firsts->back() >= total) {
    ::unlink(PathOf(firsts->back()).c_str());
    firsts->pop_back();
  }
  total_ = total;
  if (firsts->empty()) {
    gave_up_ = total > 0 && total != kAll;
    total_ = base_ = total == kAll ? 0 : total;
    return Ok();
  }
  total_ = firsts->front();
  for (const uint64_t first : *firsts) {
    if (first != total_) {
      return SideDamage(PathOf(first), "it begins at entry " + std::to_string(first) +
                                           ", but the one before ends at " +
                                           std::to_string(total_));
    }
    if (Status bad = LoadFile(first, total, first == firsts->back())) return bad;
  }
  // The oldest may have been removed for their age, when there were more than are kept.
  const bool from_the_start = firsts->front() <= base_;
  if (!from_the_start && total_ <= options_.kept) {
    return SideDamage(PathOf(base_), "entries " + std::to_string(base_) + " to " +
                                         std::to_string(firsts->front() - 1) + " are not there");
  }
  if (total_ < total && total != kAll) {
    return SideDamage(PathOf(first_), "it ends before entry " + std::to_string(total_) + ", and " +
                                          std::to_string(total) + " are needed");
  }
  const uint64_t there = entries_.size() / kEntryBytes;
  if (there > options_.kept) entries_.erase(0, (there - options_.kept) * kEntryBytes);
  return Ok();
}

Status IdLog::LoadFile(uint64_t first, uint64_t total, bool last) {
  const std::string path = PathOf(first);
  Result<std::string> bytes = ReadWholeFile(path);
  if (!bytes) return bytes.error();
  SideHeader header;
  if (bytes->size() < sizeof(header)) return SideDamage(path, "it is shorter than its header");
  std::memcpy(&header, bytes->data(), sizeof(header));
  if (const Status bad = CheckSideHeader(header, kIdsMagic, journal_id_))
    return SideDamage(path, bad->message);
  if (header.number != first)
    return SideDamage(path, "its name and its header state different numbers");
  base_ = header.records;
  size_t at = sizeof(header);
  while (at < bytes->size() && total_ < total) {
    RecordHeader record;
    const bool whole = DecodeRecord(bytes->data() + at, bytes->size() - at, &record);
    if (!whole && last && total == kAll) break;
    const size_t size = whole ? record.length - kRecordLengthMin : 0;
    if (!whole || record.cursor != total_ || size == 0 || size % kEntryBytes != 0 ||
        total_ + size / kEntryBytes > total) {
      return SideDamage(path, "no whole record of entry " + std::to_string(total_) +
                                  " stands at offset " + std::to_string(at));
    }
    entries_.append(*bytes, at + sizeof(record), size);
    total_ += size / kEntryBytes;
    at += RecordBytes(size);
  }
  std::shared_ptr<JournalFile> file;
  if (const int error = files_->Open(path, JournalFiles::Make::kNo, &file))
    return JournalError(error, "open", path);
  if (at < bytes->size()) {
    if (const int error = file->Truncate(at)) return JournalError(error, "cut", path);
  }
  file_ = std::move(file);
  first_ = first;
  end_ = at;
  return Ok();
}

Status ReadIdFile(const std::string& path, std::string_view journal_id, uint64_t first,
                  uint64_t* count, bool* torn) {
  Result<std::string> bytes = ReadWholeFile(path);
  if (!bytes) return bytes.error();
  SideHeader header;
  if (bytes->size() < sizeof(header)) return SideDamage(path, "it is shorter than its header");
  std::memcpy(&header, bytes->data(), sizeof(header));
  if (const Status bad = CheckSideHeader(header, kIdsMagic, journal_id))
    return SideDamage(path, bad->message);
  if (header.number != first)
    return SideDamage(path, "its name and its header state different numbers");
  size_t at = sizeof(header);
  RecordHeader record;
  while (at < bytes->size() && DecodeRecord(bytes->data() + at, bytes->size() - at, &record) &&
         record.cursor == first + *count) {
    *count += (record.length - kRecordLengthMin) / IdLog::kEntryBytes;
    at += RecordBytes(record.length - kRecordLengthMin);
  }
  *torn = at < bytes->size();
  return Ok();
}

Status IdLog::BeginFile() {
  SideHeader header = MakeSideHeader(kIdsMagic, journal_id_, 0, total_);
  header.records = base_;
  SealSideHeader(&header);
  const std::string path = PathOf(total_);
  const std::string fresh = path + ".new";
  std::shared_ptr<JournalFile> file;
  size_t written = 0;
  int error = files_->Open(fresh, JournalFiles::Make::kEmpty, &file);
  if (error == 0) {
    error = file->Write(0, reinterpret_cast<const char*>(&header), sizeof(header), &written);
  }
  if (error == 0) error = file->Sync();
  if (error == 0) error = files_->Rename(fresh, path);
  if (error == 0) error = files_->SyncDirectory(directory_);
  if (error != 0) return JournalError(error, "make", path);
  file_ = std::move(file);
  first_ = total_;
  end_ = sizeof(header);
  return Ok();
}

Status IdLog::Append(std::string_view entries) {
  if (entries.empty()) return Ok();
  if (file_ == nullptr || total_ - first_ >= options_.file_entries) {
    if (Status bad = BeginFile()) return bad;
  }
  std::string out;
  uint64_t total = total_;
  while (!entries.empty()) {
    const std::string_view part = entries.substr(0, kEntriesPerRecord * kEntryBytes);
    const size_t at = out.size();
    out.resize(at + RecordBytes(part.size()));
    EncodeRecord(total, 0, part, out.data() + at);
    total += part.size() / kEntryBytes;
    entries.remove_prefix(part.size());
  }
  // What is written of it before an error the next one overwrites.
  size_t written = 0;
  int error = file_->Write(end_, out.data(), out.size(), &written);
  if (error == 0) error = file_->Sync();
  if (error != 0) return JournalError(error, "write to", PathOf(first_));
  end_ += out.size();
  total_ = total;
  DropOld();
  return Ok();
}

void IdLog::DropOld() {
  if (total_ <= options_.kept) return;
  Result<std::vector<uint64_t>> firsts = ListNumbered(directory_, kIdsSuffix);
  if (!firsts) return;
  for (size_t i = 0; i + 1 < firsts->size() && (*firsts)[i + 1] <= total_ - options_.kept; ++i)
    ::unlink(PathOf((*firsts)[i]).c_str());
}

}  // namespace brood
