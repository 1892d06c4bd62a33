// SPDX-License-Identifier: Apache-2.0
#include "agent/spool/spool_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <filesystem>
#include <fstream>

#include "common/base/failpoint.h"

namespace brood {
namespace {

constexpr uint64_t kJobsPerFolder = 1000;
constexpr char kSettingsEnding[] = ".settings";
// Of the common file systems.
constexpr off_t kBlockBytes = 4096;

}  // namespace

std::string SpoolFiles::Folder(uint64_t job_key) const {
  return directory_ + "/" + std::to_string(job_key / kJobsPerFolder);
}

std::string SpoolFiles::Path(uint64_t job_key, OutputStream stream) const {
  return Folder(job_key) + "/" + std::to_string(job_key) +
         (stream == OutputStream::kStdout ? ".out" : ".err");
}

std::string SpoolFiles::SettingsPath(uint64_t job_key) const {
  return Folder(job_key) + "/" + std::to_string(job_key) + kSettingsEnding;
}

Result<UniqueFd> SpoolFiles::CreateAt(uint64_t job_key, const std::string& path, int flags) const {
  // Twice again, since Remove may take the folder away in between.
  for (int attempt = 0;; ++attempt) {
    UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0600));
    if (fd) return fd;
    if (errno != ENOENT || attempt == 2) return ErrnoError(errno, "create '" + path + "'");
    ::mkdir(Folder(job_key).c_str(), 0700);
  }
}

Result<UniqueFd> SpoolFiles::Create(uint64_t job_key, OutputStream stream) const {
  // Not O_APPEND: splice refuses it.
  const std::string path = Path(job_key, stream);
  if (FailsAt("output.create")) return ErrnoError(errno, "create '" + path + "'");
  return CreateAt(job_key, path, 0);
}

Status SpoolFiles::KeepSettings(uint64_t job_key, const SpoolSettings& settings) const {
  const std::string path = SettingsPath(job_key);
  Result<UniqueFd> file = CreateAt(job_key, path, O_TRUNC);
  if (!file) return std::move(file).error();
  const std::string text = ToText(settings);
  const ssize_t written = ::write(file->get(), text.data(), text.size());
  if (written == static_cast<ssize_t>(text.size())) return Ok();
  return ErrnoError(written < 0 ? errno : ENOSPC, "write '" + path + "'");
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

std::map<uint64_t, std::optional<SpoolSettings>> SpoolFiles::List() const {
  std::map<uint64_t, std::optional<SpoolSettings>> jobs;
  std::error_code error;
  namespace fs = std::filesystem;
  for (auto folder = fs::directory_iterator(directory_, error);
       !error && folder != fs::directory_iterator(); folder.increment(error)) {
    std::error_code ignored;
    for (auto file = fs::directory_iterator(folder->path(), ignored);
         !ignored && file != fs::directory_iterator(); file.increment(ignored)) {
      const std::string name = file->path().stem();
      uint64_t key = 0;
      const auto [rest, bad] = std::from_chars(name.data(), name.data() + name.size(), key);
      if (bad != std::errc() || rest != name.data() + name.size()) continue;
      std::optional<SpoolSettings>& settings = jobs[key];
      if (file->path().extension() != kSettingsEnding) continue;
      std::ifstream in(file->path());
      std::string text;
      if (std::getline(in, text) && !in.eof()) settings = ParseSpoolSettings(text + "\n");
    }
  }
  return jobs;
}

bool SpoolFiles::CanFree() const {
  const UniqueFd probe(::open(directory_.c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600));
  return probe && ::ftruncate(probe.get(), 2 * kBlockBytes) == 0 &&
         ::fallocate(probe.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, kBlockBytes) == 0;
}

void SpoolFiles::Remove(uint64_t job_key) const {
  const int out = ::unlink(Path(job_key, OutputStream::kStdout).c_str());
  const int err = ::unlink(Path(job_key, OutputStream::kStderr).c_str());
  const int settings = ::unlink(SettingsPath(job_key).c_str());
  if (out == 0 || err == 0 || settings == 0) ::rmdir(Folder(job_key).c_str());
}

void FreeBytes(int fd, uint64_t from, uint64_t to) {
  const uint64_t first = (from + kBlockBytes - 1) / kBlockBytes * kBlockBytes;
  const uint64_t end = to / kBlockBytes * kBlockBytes;
  if (first >= end) return;
  // Should it fail, more is kept than has to be.
  (void)::fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(first),
                    static_cast<off_t>(end - first));
}

}  // namespace brood
