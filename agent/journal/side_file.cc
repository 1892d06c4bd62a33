// SPDX-License-Identifier: Apache-2.0
#include "agent/journal/side_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <optional>
#include <utility>

#include "common/base/unique_fd.h"

namespace brood {
namespace {

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

}  // namespace

Error SideDamage(const std::string& path, const std::string& what) {
  Error error;
  error.code = ErrorCode::kDataLoss;
  error.reason = "JOURNAL_DAMAGED";
  error.message = "'" + path + "' is damaged: " + what;
  return error;
}

Result<SideFile> ReadSideFile(const std::string& path, const char (&magic)[8],
                              std::string_view journal_id, uint64_t number) {
  Result<std::string> bytes = ReadWholeFile(path);
  if (!bytes) return std::move(bytes).error();
  SideFile file;
  file.bytes = *std::move(bytes);
  if (file.bytes.size() < sizeof(file.header))
    return SideDamage(path, "it is shorter than its header");
  std::memcpy(&file.header, file.bytes.data(), sizeof(file.header));
  if (const Status bad = CheckSideHeader(file.header, magic, journal_id))
    return SideDamage(path, bad->message);
  if (file.header.number != number)
    return SideDamage(path, "its name and its header state different numbers");
  return file;
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

}  // namespace brood
