// SPDX-License-Identifier: Apache-2.0
#include "common/job/mode_choice.h"

namespace brood {
namespace {

// What of the spec only a process can give; null if nothing is.
const char* NeedsProcess(const v1::JobSpec& spec) {
  if (spec.limits_size() > 0) return "a resource limit";
  if (spec.has_umask()) return "a umask";
  if (!spec.working_directory().empty()) return "a working directory";
  const v1::Environment& environment = spec.environment();
  if (environment.clear() || environment.unset_size() > 0 || environment.set_size() > 0) {
    return "an environment";
  }
  if (spec.stdin_stream()) return "a standard input";
  if (spec.output().ByteSizeLong() > 0) return "an output";
  if (spec.has_memory_meter()) return "page meters";
  if (spec.refuse_if_hazard() || spec.has_kill_if_stuck()) return "a copy of the memory";
  return nullptr;
}

}  // namespace

std::string LibraryOf(const std::string& task) { return task.substr(0, task.find('.')); }

ModeChoice ChooseMode(const v1::JobSpec& spec, const TaskTraits& task, bool library_crashed_before,
                      v1::Mode default_mode) {
  if (spec.mode() == v1::MODE_FORK || spec.mode() == v1::MODE_THREAD) {
    return {spec.mode(), "asked for"};
  }
  if (spec.has_command()) return {v1::MODE_FORK, "a command is a program of its own"};
  if (const char* need = NeedsProcess(spec)) {
    return {v1::MODE_FORK, std::string("only a process can have ") + need + " of its own"};
  }
  if (task.isolated) return {v1::MODE_FORK, "the task asks for a process of its own"};
  if (task.shares_memory) return {v1::MODE_THREAD, "the task is made to share the parent's memory"};
  if (library_crashed_before) {
    return {v1::MODE_FORK, "a task of this library has crashed its parent before"};
  }
  if (default_mode == v1::MODE_THREAD) {
    return {v1::MODE_THREAD, "nothing asks for a process; the agent's default is a thread"};
  }
  return {v1::MODE_FORK, "nothing asks for a thread; the agent's default is a fork"};
}

}  // namespace brood
