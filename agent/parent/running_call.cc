// SPDX-License-Identifier: Apache-2.0
#include "agent/parent/running_call.h"

#include <cxxabi.h>
#include <unistd.h>

#include <cerrno>
#include <exception>
#include <utility>

#include "agent/parent/limits.h"
#include "agent/parent/task_libraries.h"
#include "agent/parent/value.h"

namespace brood {

RunningCall::RunningCall(internal::v1::StartJob job, const brood_task* task, CellStore* cells)
    : job_(std::move(job)), task_(task), cells_(cells), mark_(cells->gate()) {}

Status RunningCall::Bind() {
  Result<std::vector<brood_value>> arguments = BindArguments(*task_, job_);
  if (!arguments) return arguments.error();
  arguments_ = *std::move(arguments);
  return Ok();
}

int RunningCall::Run() {
  try {
    const int ended =
        task_->run(TaskHost(), &handle_, arguments_.data(), arguments_.size(), task_->context);
    switch (ended) {
      case BROOD_TASK_RETURNED:
      case BROOD_TASK_STOPPED:
        return ended;
      case BROOD_TASK_THREW:
        if (thrown_.empty()) thrown_ = "the task did not say what it threw";
        return ended;
      default:
        SetThrown("the task ended with " + std::to_string(ended) +
                  ", which is none of BROOD_TASK_…");
        return BROOD_TASK_THREW;
    }
  } catch (const abi::__forced_unwind&) {
    throw;  // pthread_exit: must reach the thread's end.
  } catch (const std::exception& thrown) {
    SetThrown(thrown.what());
  } catch (...) {
    SetThrown("an exception that is no std::exception left the task");
  }
  return BROOD_TASK_THREW;
}

int RunningCall::SetReturned(const brood_value& value) {
  if (const int refused = CheckValue(value)) return refused;
  result_kind_ = value.type;
  result_ = ToValueBytes(value);
  return BROOD_OK;
}

void RunningCall::SetThrown(std::string_view text) { thrown_ = text.substr(0, kThrownBytesMax); }

int WriteAll(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written >= 0) {
      bytes.remove_prefix(static_cast<size_t>(written));
    } else if (errno != EINTR) {
      return BROOD_FAILED;
    }
  }
  return BROOD_OK;
}

}  // namespace brood
