// SPDX-License-Identifier: Apache-2.0
#include "controller/cli/out_directory.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "common/job/text.h"

namespace brood::cli {
namespace {

Error BadFolder(const std::string& path, int error_number) {
  std::string what = "'" + path + "' ";
  switch (error_number) {
    case ENOTDIR:
    case EEXIST:
      what += "is a file, or a part of it is";
      break;
    case ENOENT:
      what += "cannot be made: the folder above it is not there";
      break;
    default:
      what += "cannot be written to: " + ErrnoSentence(error_number);
  }
  return Error{ErrorCode::kInvalidArgument, "BAD_OUTDIR",
               "--outdir: " + what + "; name a folder that you may write to", "outdir"};
}

int OpenFile(const std::string& path, int flags) {
  constexpr mode_t kReadableByAll = 0666;
  return ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY | flags, kReadableByAll);
}

}  // namespace

Result<std::unique_ptr<OutDirectory>> OutDirectory::Create(const std::string& path,
                                                           std::vector<std::string> hosts) {
  constexpr mode_t kFolderOfAll = 0777;
  if (::mkdir(path.c_str(), kFolderOfAll) != 0 && errno != EEXIST) return BadFolder(path, errno);
  struct stat status = {};
  if (::stat(path.c_str(), &status) != 0) return BadFolder(path, errno);
  if (!S_ISDIR(status.st_mode)) return BadFolder(path, ENOTDIR);
  std::unique_ptr<OutDirectory> folder(new OutDirectory(path, std::move(hosts)));
  for (size_t i = 0; i < folder->hosts_.size(); ++i) {
    for (const bool standard_out : {true, false}) {
      const std::string file = folder->FilePath(i, standard_out);
      if (!UniqueFd(OpenFile(file, O_TRUNC))) {
        return errno == EACCES || errno == EROFS ? BadFolder(path, errno) : BadFolder(file, errno);
      }
    }
  }
  return folder;
}

std::string OutDirectory::FilePath(size_t host, bool standard_out) const {
  return path_ + "/" + hosts_[host] + (standard_out ? ".out" : ".err");
}

Status OutDirectory::Write(size_t host, bool standard_out, std::string_view bytes) {
  File& file = files_[host * 2 + (standard_out ? 0 : 1)];
  if (file.failed) return Ok();
  if (!file.fd) file.fd.reset(OpenFile(FilePath(host, standard_out), O_APPEND));
  int error = file.fd ? 0 : errno;
  while (error == 0 && !bytes.empty()) {
    const ssize_t size = ::write(file.fd.get(), bytes.data(), bytes.size());
    if (size >= 0) {
      bytes.remove_prefix(static_cast<size_t>(size));
    } else if (errno != EINTR) {
      error = errno;
    }
  }
  if (error == 0) return Ok();
  file.failed = true;
  file.fd.reset();
  return Error{ErrorCode::kUnknown, "OUTDIR_FAILED",
               "cannot write to '" + FilePath(host, standard_out) + "': " + ErrnoSentence(error) +
                   "; what is there is not all",
               ""};
}

void OutDirectory::Close(size_t host) {
  files_[host * 2].fd.reset();
  files_[host * 2 + 1].fd.reset();
}

}  // namespace brood::cli
