// SPDX-License-Identifier: Apache-2.0
#include "agent/spool/spool_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <filesystem>

namespace brood {
namespace {

constexpr uint64_t kJobsPerFolder = 1000;

}  // namespace

std::string SpoolFiles::Folder(uint64_t job_key) const {
  return directory_ + "/" + std::to_string(job_key / kJobsPerFolder);
}

std::string SpoolFiles::Path(uint64_t job_key, OutputStream stream) const {
  return Folder(job_key) + "/" + std::to_string(job_key) +
         (stream == OutputStream::kStdout ? ".out" : ".err");
}

Result<UniqueFd> SpoolFiles::Create(uint64_t job_key, OutputStream stream) const {
  const std::string path = Path(job_key, stream);
  // Not O_APPEND: splice refuses it. Twice again, since Remove may take the folder away in between.
  for (int attempt = 0;; ++attempt) {
    UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    if (fd) return fd;
    if (errno != ENOENT || attempt == 2) return ErrnoError(errno, "create '" + path + "'");
    ::mkdir(Folder(job_key).c_str(), 0700);
  }
}

Result<UniqueFd> SpoolFiles::Open(uint64_t job_key, OutputStream stream) const {
  const std::string path = Path(job_key, stream);
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return ErrnoError(errno, "open '" + path + "'");
  return fd;
}

uint64_t SpoolFiles::Size(uint64_t job_key, OutputStream stream) const {
  struct stat status {};
  if (::stat(Path(job_key, stream).c_str(), &status) != 0) return 0;
  return static_cast<uint64_t>(status.st_size);
}

uint64_t SpoolFiles::EndOfKeys() const {
  uint64_t end = 0;
  std::error_code error;
  for (auto entry = std::filesystem::directory_iterator(directory_, error);
       !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    const std::string name = entry->path().filename();
    uint64_t folder = 0;
    const auto [rest, bad] = std::from_chars(name.data(), name.data() + name.size(), folder);
    if (bad == std::errc() && rest == name.data() + name.size())
      end = std::max(end, (folder + 1) * kJobsPerFolder);
  }
  return end;
}

void SpoolFiles::Remove(uint64_t job_key) const {
  const int out = ::unlink(Path(job_key, OutputStream::kStdout).c_str());
  const int err = ::unlink(Path(job_key, OutputStream::kStderr).c_str());
  if (out == 0 || err == 0) ::rmdir(Folder(job_key).c_str());
}

}  // namespace brood
