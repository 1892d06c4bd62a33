// SPDX-License-Identifier: Apache-2.0
#include <brood/task.hpp>

namespace {

class Greeter {
 public:
  std::string Greet(brood::Job& job, std::string name) {
    job.out() << "greeting number " << ++greeted_ << "\n";
    return "Hello, " + name + "!";
  }

 private:
  std::atomic<int> greeted_{0};
};

Greeter greeter;

}  // namespace

BROOD_TASK_LIBRARY("sample", library) {
  library.Add("greet", "greets NAME", {"name"}, brood::Bind(greeter, &Greeter::Greet));
  library.Add(
      "add", "adds N to CELL", {"cell", "n"},
      [](brood::Job& job, std::string cell, int64_t n) { return job.cell(cell).Add(n); },
      brood::kSharesMemory);
}
