// SPDX-License-Identifier: Apache-2.0
#include "tests/chaos/armed_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <string>

#include "common/base/unique_fd.h"

namespace brood::chaos {

ArmedFile::ArmedFile() {
  const std::string path = folder_.path() + "/armed";
  const UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  void* mapped = MAP_FAILED;
  if (fd && ::ftruncate(fd.get(), sizeof(FailpointTable)) == 0) {
    mapped =
        ::mmap(nullptr, sizeof(FailpointTable), PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  }
  if (mapped == MAP_FAILED) {
    ADD_FAILURE() << "no file of armed failpoints at " << path;
    std::abort();
  }
  table_ = static_cast<FailpointTable*>(mapped);
  ::setenv("BROOD_FAILPOINTS", path.c_str(), 1);
}

ArmedFile::~ArmedFile() {
  ::unsetenv("BROOD_FAILPOINTS");
  ::munmap(table_, sizeof(FailpointTable));
}

void ArmedFile::ArmPoint(size_t index, const FailpointRun& run, int32_t nth) {
  ArmedFailpoint& point = table_->points[index];
  std::strncpy(point.name, run.point.c_str(), sizeof(point.name) - 1);
  std::strncpy(point.program, run.program.c_str(), sizeof(point.program) - 1);
  point.action = run.action;
  point.argument = run.argument;
  __atomic_store_n(&point.hits_left, nth, __ATOMIC_RELEASE);
}

bool ArmedFile::HasFired() const {
  const ArmedFailpoint& point = table_->points[0];
  // A torn write is one with the death that follows it.
  return __atomic_load_n(&point.fired, __ATOMIC_ACQUIRE) > 0 &&
         __atomic_load_n(&point.hits_left, __ATOMIC_ACQUIRE) <= 0;
}

}  // namespace brood::chaos
