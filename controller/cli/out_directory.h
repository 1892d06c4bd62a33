// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/error.h"
#include "common/base/unique_fd.h"

namespace brood::cli {

// `run --outdir`: a file for each host and stream, NAME.out and NAME.err. For one thread.
class OutDirectory {
 public:
  // Makes the folder if there is none (not those above it) and every host's two files, empty: what
  // an earlier run left there is not taken for this one's. INVALID_ARGUMENT, naming path, what is
  // wrong and the cure.
  static Result<std::unique_ptr<OutDirectory>> Create(const std::string& path,
                                                      std::vector<std::string> hosts);

  // Adds to a file. After an error, which names the file, nothing more is written to that file,
  // and Write returns no more errors of it.
  Status Write(size_t host, bool standard_out, std::string_view bytes);
  // No more comes from that host.
  void Close(size_t host);

  const std::string& path() const { return path_; }

 private:
  struct File {
    UniqueFd fd;  // open from the first byte on: there may be more hosts than descriptors
    bool failed = false;
  };
  OutDirectory(std::string path, std::vector<std::string> hosts)
      : path_(std::move(path)), hosts_(std::move(hosts)), files_(hosts_.size() * 2) {}
  std::string FilePath(size_t host, bool standard_out) const;

  const std::string path_;
  const std::vector<std::string> hosts_;
  std::vector<File> files_;
};

}  // namespace brood::cli
