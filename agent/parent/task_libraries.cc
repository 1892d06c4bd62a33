// SPDX-License-Identifier: Apache-2.0
#include "agent/parent/task_libraries.h"

#include <dlfcn.h>
#include <unistd.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "agent/parent/limits.h"
#include "agent/parent/value.h"
#include "common/base/paths.h"

namespace brood {
namespace {

constexpr char kShippedName[] = "libbrood_demo.so";
constexpr size_t kLibraryNameBytesMax = 32;
constexpr size_t kTaskNameBytesMax = 128;
constexpr uint32_t kParametersMax = 64;

Error Refused(const std::string& path, const std::string& why) {
  return Error{ErrorCode::kFailedPrecondition, "BAD_TASK_LIBRARY",
               "the task library '" + path + "' " + why, ""};
}

bool IsLower(char c) { return c >= 'a' && c <= 'z'; }
bool IsWordByte(char c) { return IsLower(c) || (c >= '0' && c <= '9') || c == '_'; }

bool GoodLibraryName(const char* name) {
  if (name == nullptr) return false;
  const std::string_view text(name);
  return !text.empty() && text.size() <= kLibraryNameBytesMax && IsLower(text[0]) &&
         std::all_of(text.begin(), text.end(), IsWordByte);
}

bool GoodTaskName(const char* name) {
  if (name == nullptr) return false;
  const std::string_view text(name);
  return !text.empty() && text.size() <= kTaskNameBytesMax &&
         std::all_of(text.begin(), text.end(), [](char c) { return IsWordByte(c) || c == '.'; });
}

bool GoodType(uint32_t type) { return type >= BROOD_NULL && type <= BROOD_JSON; }

std::string Numbers(const char* what, uint64_t has, uint64_t wants) {
  return std::string("has ") + what + " " + std::to_string(has) + ", this brood takes " +
         std::to_string(wants) + "; build it against this brood's task.h";
}

// What is wrong with a task, as the end of a sentence; empty: nothing.
std::string FaultOf(const brood_task& task) {
  if (!GoodTaskName(task.name)) return "a name that is not [a-z0-9_.]{1,128}";
  if (task.run == nullptr) return "no function";
  if (!GoodType(task.result)) return "a result of no known type";
  if (task.parameter_count > kParametersMax) {
    return "more than " + std::to_string(kParametersMax) + " parameters";
  }
  if (task.parameter_count > 0 && task.parameters == nullptr) return "no list of its parameters";
  bool optional = false;
  for (uint32_t i = 0; i < task.parameter_count; ++i) {
    const brood_parameter& parameter = task.parameters[i];
    if (parameter.name == nullptr || *parameter.name == '\0') return "a parameter with no name";
    if (!GoodType(parameter.type)) return "a parameter of no known type";
    if (optional && parameter.optional == 0) return "a required parameter after an optional one";
    optional = parameter.optional != 0;
  }
  return std::string();
}

void Describe(const std::string& name, const brood_task& task, internal::v1::Task* described) {
  described->set_name(name);
  if (task.summary != nullptr) described->set_summary(task.summary);
  for (uint32_t i = 0; i < task.parameter_count; ++i) {
    internal::v1::TaskParameter* const parameter = described->add_parameters();
    parameter->set_name(task.parameters[i].name);
    parameter->set_type(static_cast<int32_t>(task.parameters[i].type));
    parameter->set_optional(task.parameters[i].optional != 0);
  }
  described->set_result(static_cast<int32_t>(task.result));
  described->set_isolated((task.flags & BROOD_TASK_ISOLATED) != 0);
  described->set_shares_memory((task.flags & BROOD_TASK_SHARES_MEMORY) != 0);
  described->set_method((task.flags & BROOD_TASK_METHOD) != 0);
  described->set_on_main_thread((task.flags & BROOD_TASK_ON_MAIN_THREAD) != 0);
}

}  // namespace

std::string FindShippedLibrary() {
  const std::string here = ProgramDirectory();
  for (const std::string& path :
       {here + "/" + kShippedName, here + "/../lib/brood/" + kShippedName}) {
    if (::access(path.c_str(), F_OK) == 0) return path;
  }
  return std::string();
}

void TaskLibraries::Load(const std::string& path) {
  internal::v1::Library* const described = description_.add_libraries();
  described->set_path(path);
  if (const Status failed = LoadInto(path, described)) {
    described->clear_tasks();
    described->set_error(failed->message);
  }
}

Status TaskLibraries::LoadInto(const std::string& path, internal::v1::Library* described) {
  if (path.empty() || path.front() != '/') {
    return Refused(path, "is not named by an absolute path; give one");
  }
  void* const handle = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    const char* const why = ::dlerror();
    return Refused(path, std::string("cannot be opened: ") + (why != nullptr ? why : "unknown") +
                             "; build it as a shared object for this machine");
  }
  using Export = const brood_library* (*)(void);
  const auto get = reinterpret_cast<Export>(::dlsym(handle, BROOD_TASK_LIBRARY_SYMBOL));
  if (get == nullptr) {
    return Refused(path, "exports no function " BROOD_TASK_LIBRARY_SYMBOL
                         "; declare it as task.h does, "
                         "with C linkage and default visibility");
  }
  const brood_library* library = nullptr;
  try {
    library = get();
  } catch (...) {
    return Refused(path, "threw from " BROOD_TASK_LIBRARY_SYMBOL "; it must catch what it throws");
  }
  if (library == nullptr) {
    return Refused(path, "does not want to be loaded (" BROOD_TASK_LIBRARY_SYMBOL
                         " answered null); see parent.log for what it said");
  }
  return Take(path, *library, described);
}

// All or nothing: half a library would be a riddle.
Status TaskLibraries::Take(const std::string& path, const brood_library& library,
                           internal::v1::Library* described) {
  if (library.abi_version != BROOD_TASK_ABI_VERSION) {
    return Refused(path, Numbers("task ABI version", library.abi_version, BROOD_TASK_ABI_VERSION));
  }
  if (library.size < BROOD_LIBRARY_FIRST_SIZE || library.size > sizeof(brood_library)) {
    return Refused(path, Numbers("a brood_library of size", library.size, sizeof(brood_library)));
  }
  if (library.task_size != sizeof(brood_task)) {
    return Refused(path, Numbers("a brood_task of size", library.task_size, sizeof(brood_task)));
  }
  if (!GoodLibraryName(library.name)) {
    return Refused(path, "has a name that is not [a-z][a-z0-9_]{0,31}; choose another one");
  }
  if (std::find(names_.begin(), names_.end(), library.name) != names_.end()) {
    return Refused(path, std::string("is called '") + library.name +
                             "', as one that is loaded already; load it once, or rename one");
  }
  if (library.task_count > kTasksPerLibraryMax) {
    return Refused(path, "has " + std::to_string(library.task_count) + " tasks; at most " +
                             std::to_string(kTasksPerLibraryMax) + " can be taken");
  }
  if (library.task_count > 0 && library.tasks == nullptr) {
    return Refused(path, "has no list of its tasks; set brood_library.tasks");
  }
  std::unordered_map<std::string, const brood_task*> taken;
  for (uint32_t i = 0; i < library.task_count; ++i) {
    const brood_task& task = library.tasks[i];
    const std::string fault = FaultOf(task);
    if (!fault.empty()) {
      return Refused(path, "has a task, number " + std::to_string(i + 1) + ", with " + fault +
                               "; correct its brood_task");
    }
    const std::string name = std::string(library.name) + "." + task.name;
    if (!taken.emplace(name, &task).second) {
      return Refused(path, "has two tasks called '" + name + "'; rename one");
    }
    Describe(name, task, described->add_tasks());
  }
  if (library.size >= BROOD_LIBRARY_SECOND_SIZE) {
    if (Status refused = TakeVariables(path, library)) return refused;
  }
  if (library.size >= sizeof(brood_library)) {
    if (Status refused = TakeMutexes(path, library)) return refused;
  }
  tasks_.merge(taken);
  names_.emplace_back(library.name);
  return Ok();
}

Status TaskLibraries::TakeVariables(const std::string& path, const brood_library& library) {
  if (library.variable_count == 0) return Ok();
  if (library.variable_size != sizeof(brood_variable)) {
    return Refused(
        path, Numbers("a brood_variable of size", library.variable_size, sizeof(brood_variable)));
  }
  if (library.variable_count > kVariablesPerLibraryMax || library.variables == nullptr) {
    return Refused(path, "shows " + std::to_string(library.variable_count) +
                             " variables; at most " + std::to_string(kVariablesPerLibraryMax) +
                             " can be taken, in a list that is there");
  }
  for (uint32_t i = 0; i < library.variable_count; ++i) {
    const brood_variable& variable = library.variables[i];
    const bool known =
        variable.type == BROOD_BOOL || variable.type == BROOD_INT || variable.type == BROOD_FLOAT;
    if (variable.name == nullptr || !known || variable.address == nullptr) {
      return Refused(path, "shows a variable, number " + std::to_string(i + 1) +
                               ", without a name, an address, or one of the types BOOL, INT and "
                               "FLOAT; correct its brood_variable");
    }
    variables_.emplace_back(std::string(library.name) + "." + variable.name, &variable);
  }
  return Ok();
}

Status TaskLibraries::TakeMutexes(const std::string& path, const brood_library& library) {
  if (library.mutex_count == 0) return Ok();
  if (library.mutex_size != sizeof(brood_mutex)) {
    return Refused(path, Numbers("a brood_mutex of size", library.mutex_size, sizeof(brood_mutex)));
  }
  if (library.mutex_count > kMutexesPerLibraryMax || library.mutexes == nullptr) {
    return Refused(path, "shows " + std::to_string(library.mutex_count) + " mutexes; at most " +
                             std::to_string(kMutexesPerLibraryMax) +
                             " can be taken, in a list that is there");
  }
  for (uint32_t i = 0; i < library.mutex_count; ++i) {
    const brood_mutex& mutex = library.mutexes[i];
    if (mutex.name == nullptr || mutex.mutex == nullptr) {
      return Refused(path, "shows a mutex, number " + std::to_string(i + 1) +
                               ", without a name or an address; correct its brood_mutex");
    }
    mutexes_.emplace_back(std::string(library.name) + "." + mutex.name, &mutex);
  }
  return Ok();
}

const brood_task* TaskLibraries::Find(const std::string& name) const {
  const auto found = tasks_.find(name);
  return found != tasks_.end() ? found->second : nullptr;
}

Result<std::vector<brood_value>> BindArguments(const brood_task& task,
                                               const internal::v1::StartJob& job) {
  const auto given = static_cast<uint32_t>(job.arguments_size());
  uint32_t required = 0;
  while (required < task.parameter_count && task.parameters[required].optional == 0) ++required;
  if (given < required || given > task.parameter_count) {
    const std::string takes =
        required == task.parameter_count
            ? std::to_string(required)
            : std::to_string(required) + " to " + std::to_string(task.parameter_count);
    return FieldError("arguments", "the task '" + job.task() + "' takes " + takes + ", not " +
                                       std::to_string(given) + " of them");
  }
  std::vector<brood_value> values;
  values.reserve(given);
  for (uint32_t i = 0; i < given; ++i) {
    const brood_parameter& parameter = task.parameters[i];
    brood_value value = FromProtoValue(job.arguments(static_cast<int>(i)));
    const uint32_t type = value.type;
    if (parameter.type == BROOD_FLOAT && type == BROOD_INT) {
      value.number = static_cast<double>(value.integer);
      value.type = BROOD_FLOAT;
    }
    const std::string field = "arguments[" + std::to_string(i) + "]";
    // JSON stands for every kind.
    if (value.type != parameter.type && parameter.type != BROOD_JSON) {
      return FieldError(field, "the parameter '" + std::string(parameter.name) + "' of '" +
                                   job.task() + "' is " + TypeWords(parameter.type) + ", not " +
                                   TypeWords(type));
    }
    if (CheckValue(value) != BROOD_OK) {
      return FieldError(field, "it is over 48 KiB; hand on the name of a file instead");
    }
    values.push_back(value);
  }
  return values;
}

}  // namespace brood
