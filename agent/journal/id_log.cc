// SPDX-License-Identifier: Apache-2.0
#include "agent/journal/id_log.h"

#include <unistd.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "agent/journal/journal_format.h"
#include "agent/journal/side_file.h"

namespace brood {
namespace {

// A record has at most a MiB.
constexpr size_t kEntriesPerRecord = 16'384;

constexpr char kCure[] =
    "; restore it from a copy, or remove all .ids files and lose what is known of old ids";

enum class Record { kWhole, kTorn, kOther };

// The entries of the record at the beginning of `bytes`, the first of which must be number `next`.
Record ReadRecord(std::string_view bytes, uint64_t next, std::string_view* entries) {
  RecordHeader record;
  if (!DecodeRecord(bytes.data(), bytes.size(), &record)) return Record::kTorn;
  const size_t size = record.length - kRecordLengthMin;
  if (record.cursor != next || size == 0 || size % IdLog::kEntryBytes != 0) return Record::kOther;
  *entries = bytes.substr(sizeof(record), size);
  return Record::kWhole;
}

Error NoRecord(const std::string& path, uint64_t entry, size_t offset) {
  return SideDamage(path, "no whole record of entry " + std::to_string(entry) +
                              " stands at offset " + std::to_string(offset));
}

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
  const Result<SideFile> read = ReadSideFile(path, kIdsMagic, journal_id_, first);
  if (!read) return read.error();
  const std::string_view bytes = read->bytes;
  base_ = read->header.records;
  size_t at = sizeof(SideHeader);
  while (at < bytes.size() && total_ < total) {
    std::string_view entries;
    const Record record = ReadRecord(bytes.substr(at), total_, &entries);
    if (record == Record::kTorn && last && total == kAll) break;
    const uint64_t count = entries.size() / kEntryBytes;
    if (record != Record::kWhole || count > total - total_) return NoRecord(path, total_, at);
    entries_.append(entries);
    total_ += count;
    at += RecordBytes(entries.size());
  }
  std::shared_ptr<JournalFile> file;
  if (const int error = files_->Open(path, JournalFiles::Make::kNo, &file))
    return JournalError(error, "open", path);
  if (at < bytes.size()) {
    if (const int error = file->Truncate(at)) return JournalError(error, "cut", path);
  }
  file_ = std::move(file);
  first_ = first;
  end_ = at;
  return Ok();
}

Status ReadIdFile(const std::string& path, std::string_view journal_id, uint64_t first,
                  uint64_t* count, bool* torn) {
  const Result<SideFile> read = ReadSideFile(path, kIdsMagic, journal_id, first);
  if (!read) return read.error();
  const std::string_view bytes = read->bytes;
  *count = 0;
  *torn = false;
  for (size_t at = sizeof(SideHeader); at < bytes.size() && !*torn;) {
    std::string_view entries;
    const Record record = ReadRecord(bytes.substr(at), first + *count, &entries);
    if (record == Record::kOther) return NoRecord(path, first + *count, at);
    *torn = record == Record::kTorn;
    *count += entries.size() / IdLog::kEntryBytes;
    at += RecordBytes(entries.size());
  }
  return Ok();
}

Status IdLog::BeginFile() {
  SideHeader header = MakeSideHeader(kIdsMagic, journal_id_, 0, total_);
  header.records = base_;
  SealSideHeader(&header);
  const std::string path = PathOf(total_);
  std::shared_ptr<JournalFile> file;
  const std::string_view bytes(reinterpret_cast<const char*>(&header), sizeof(header));
  if (const int error = ReplaceFile(files_, path, bytes, &file))
    return JournalError(error, "make", path);
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
