// SPDX-License-Identifier: Apache-2.0
//
// A task that keeps the ledger.
#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <string>

#include "agent/sdk/task.hpp"

namespace {

void Append(const std::string& path, const std::string& line) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  const bool written = ::write(fd, line.data(), line.size()) == static_cast<ssize_t>(line.size());
  ::close(fd);
  if (!written) throw brood::TaskError("cannot write the ledger");
}

}  // namespace

BROOD_TASK_LIBRARY("chaos", library) {
  library.Add("work",
              "writes to LEDGER that it begins, prints TEXT, works, writes that it ends, returns "
              "VALUE",
              {"ledger", "milliseconds", "text", "value"},
              [](brood::Job& job, std::string ledger, int64_t milliseconds, std::string text,
                 int64_t value) {
                Append(ledger, "B " + job.id() + "\n");
                job.out() << text;
                if (!job.sleep_for(std::chrono::milliseconds(milliseconds))) throw brood::Stopped();
                Append(ledger, "E " + job.id() + "\n");
                return value;
              });
}
