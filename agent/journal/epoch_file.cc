// SPDX-License-Identifier: Apache-2.0
#include "agent/journal/epoch_file.h"

#include <fcntl.h>
#include <sys/random.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <sstream>

#include "agent/journal/journal_format.h"
#include "common/base/unique_fd.h"

namespace brood {
namespace {

// Four short lines, and two numbers for each epoch that is remembered.
constexpr size_t kEpochFileBytesMax = 4'096;

Error Damaged(const std::string& path) {
  Error error;
  error.code = ErrorCode::kDataLoss;
  error.reason = "JOURNAL_DAMAGED";
  error.message =
      "'" + path + "' is not a journal's epoch file; restore it, or move the folder away";
  return error;
}

bool IsJournalId(const std::string& id) {
  return id.size() == kJournalIdBytes &&
         id.find_first_not_of("0123456789abcdef") == std::string::npos;
}

}  // namespace

Result<EpochFile> ReadEpochFile(const std::string& directory) {
  const std::string path = directory + "/epoch";
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return ErrnoError(errno, "open '" + path + "'");
  char bytes[kEpochFileBytesMax];
  const ssize_t size = ::pread(fd.get(), bytes, sizeof(bytes), 0);
  if (size < 0) return ErrnoError(errno, "read '" + path + "'");
  std::istringstream text(std::string(bytes, static_cast<size_t>(size)));
  EpochFile file;
  std::string title, id_word, epoch_word, boot_word;
  uint32_t version = 0;
  uint64_t epoch = 0;
  text >> title >> version >> id_word >> file.journal_id >> epoch_word >> epoch >> boot_word >>
      file.boot_id;
  if (!text || title != "brood-journal" || version != kJournalFormatVersion || id_word != "id" ||
      epoch_word != "epoch" || boot_word != "boot" || !IsJournalId(file.journal_id) || epoch == 0) {
    return Damaged(path);
  }
  std::string word;
  while (text >> word) {
    Epochs::Begin begin;
    text >> begin.epoch >> begin.after;
    if (!text || word != "began" || begin.epoch > epoch) return Damaged(path);
    file.epochs.Restore(begin);
  }
  file.epochs.set_present(epoch);
  return file;
}

Status WriteEpochFile(JournalFiles* files, const std::string& directory, const EpochFile& file) {
  const std::string path = directory + "/epoch";
  std::string text = "brood-journal " + std::to_string(kJournalFormatVersion) + "\nid " +
                     file.journal_id + "\nepoch " + std::to_string(file.epochs.present()) +
                     "\nboot " + file.boot_id + "\n";
  for (const Epochs::Begin& begin : file.epochs.begins())
    text += "began " + std::to_string(begin.epoch) + " " + std::to_string(begin.after) + "\n";
  if (const int error = ReplaceFile(files, path, text)) return JournalError(error, "write", path);
  return Ok();
}

Result<std::string> MakeJournalId() {
  unsigned char bytes[kJournalIdBytes / 2];
  if (::getrandom(bytes, sizeof(bytes), 0) != static_cast<ssize_t>(sizeof(bytes))) {
    return ErrnoError(errno, "getrandom");
  }
  std::string id;
  for (const unsigned char byte : bytes) {
    id += "0123456789abcdef"[byte >> 4];
    id += "0123456789abcdef"[byte & 15];
  }
  return id;
}

}  // namespace brood
