// SPDX-License-Identifier: Apache-2.0
//
// task_driver LIBRARY.so              says name, ABI and tasks
// task_driver LIBRARY.so TASK ARG…    runs a task: integers as such, else text
#include <dlfcn.h>

#include <charconv>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "tests/agent/sdk/fake_host.h"

namespace {

using brood::testing::OwnedValue;

OwnedValue ArgumentOf(const std::string& word) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
  if (error == std::errc() && end == word.data() + word.size()) {
    return brood::testing::Integer(number);
  }
  return brood::testing::Text(word);
}

void Print(const OwnedValue& value) {
  switch (value.type) {
    case BROOD_NULL:
      std::printf("null\n");
      break;
    case BROOD_BOOL:
    case BROOD_INT:
      std::printf("%lld\n", static_cast<long long>(value.integer));
      break;
    case BROOD_FLOAT:
      std::printf("%.17g\n", value.number);
      break;
    default:
      std::printf("%s\n", value.data.c_str());
  }
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 2) return 2;
  void* const object = ::dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
  if (object == nullptr) {
    std::fprintf(stderr, "%s\n", ::dlerror());
    return 3;
  }
  const auto entry =
      reinterpret_cast<const brood_library* (*)()>(::dlsym(object, BROOD_TASK_LIBRARY_SYMBOL));
  if (entry == nullptr) {
    std::fprintf(stderr, "%s\n", ::dlerror());
    return 4;
  }
  const brood_library* const library = entry();
  if (library == nullptr) return 5;
  if (library->abi_version != BROOD_TASK_ABI_VERSION || library->size != sizeof(brood_library) ||
      library->task_size != sizeof(brood_task)) {
    std::fprintf(stderr, "ABI %u\n", library->abi_version);
    return 6;
  }
  if (count == 2) {
    std::printf("library %s ABI %u\n", library->name, library->abi_version);
    for (uint32_t i = 0; i < library->task_count; ++i) {
      const brood_task& task = library->tasks[i];
      std::printf("task %s result %u flags %u", task.name, task.result, task.flags);
      for (uint32_t j = 0; j < task.parameter_count; ++j) {
        const brood_parameter& parameter = task.parameters[j];
        std::printf(" %s:%u%s", parameter.name, parameter.type, parameter.optional != 0 ? "?" : "");
      }
      std::printf("\n");
    }
    return 0;
  }
  if (brood::testing::FindTask(library, arguments[2]) == nullptr) return 7;
  std::vector<OwnedValue> values;
  for (int i = 3; i < count; ++i) values.push_back(ArgumentOf(arguments[i]));
  brood::testing::FakeParent parent;
  brood::testing::FakeJob job(&parent);
  const int how = job.Run(library, arguments[2], values);
  std::fwrite(job.out.data(), 1, job.out.size(), stdout);
  if (how == BROOD_TASK_THREW) {
    std::printf("threw %s\n", job.thrown.c_str());
  } else {
    Print(job.result);
  }
  return how == BROOD_TASK_RETURNED ? 0 : 1;
}
