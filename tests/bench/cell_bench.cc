// SPDX-License-Identifier: Apache-2.0
//
// What cells cost: `cell_bench [REPETITIONS]` prints a write that nobody watches beside an
// uncontended lock and store, and forks of a process with a large block on huge pages beside the
// same on ordinary ones. Each pair in turn, the ratio taken pair by pair.
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "agent/parent/cell_store.h"
#include "agent/parent/gate.h"
#include "agent/parent/running_call.h"
#include "agent/parent/shared_cells.h"
#include "tests/bench/baseline.h"
#include "tests/bench/cell_writes.h"
#include "tests/testing/temp_directory.h"

namespace brood::bench {
namespace {

constexpr int kWrites = 2'000'000;
constexpr size_t kBlockBytes = size_t{256} << 20;
constexpr int kForks = 40;

// A call that does nothing but use cells.
class BenchCall final : public RunningCall {
 public:
  explicit BenchCall(CellStore* cells) : RunningCall(MakeJob(), nullptr, cells) {}
  void Progress(double, std::string_view) override {}
  int Write(int, std::string_view) override { return BROOD_OK; }
  bool StopRequested() const override { return false; }
  int Sleep(int64_t) override { return BROOD_OK; }
  bool is_thread() const override { return true; }

 private:
  static internal::v1::StartJob MakeJob() {
    internal::v1::StartJob job;
    job.set_job_key(1);
    return job;
  }
};

// Forks per second of a process of its own, that has such a block and has touched all of it; 0 if
// that failed. `huge_bytes`: how much of it lies on huge pages.
double ForksWithBlock(uint32_t flags, size_t* huge_bytes) {
  int ends[2];
  if (::pipe(ends) != 0) return 0;
  struct Answer {
    double rate = 0;
    size_t huge_bytes = 0;
  } answer;
  const pid_t pid = ::fork();
  if (pid == 0) {
    Gate gate;
    CellStore cells(&gate);
    void* block = nullptr;
    if (cells.Block(CellUser(), "block", kBlockBytes, flags, &block) == BROOD_OK) {
      std::memset(block, 1, kBlockBytes);
      std::ifstream rollup("/proc/self/smaps_rollup");
      std::string word;
      size_t kibibytes = 0;
      while (rollup >> word) {
        if (word == "AnonHugePages:" && rollup >> kibibytes) answer.huge_bytes = kibibytes * 1024;
      }
      answer.rate = ForkLoop(kForks, 1);
    }
    ::_exit(::write(ends[1], &answer, sizeof(answer)) == sizeof(answer) ? 0 : 1);
  }
  ::close(ends[1]);
  if (pid < 0 || ::read(ends[0], &answer, sizeof(answer)) != sizeof(answer)) answer = Answer();
  ::close(ends[0]);
  if (pid > 0) ::waitpid(pid, nullptr, 0);
  *huge_bytes = answer.huge_bytes;
  return answer.rate;
}

void Print(const char* name, const char* unit, const std::vector<double>& ours,
           const std::vector<double>& theirs) {
  std::vector<double> ratios;
  for (size_t i = 0; i < ours.size(); ++i)
    ratios.push_back(theirs[i] > 0 ? ours[i] / theirs[i] : 0);
  std::printf("%-52s %10.1f %10.1f %-4s %6.2f [%.2f-%.2f]\n", name, Percentile(ours, 0.5),
              Percentile(theirs, 0.5), unit, Percentile(ratios, 0.5), Percentile(ratios, 0),
              Percentile(ratios, 1));
}

int Main(int repetitions) {
  std::printf("%-52s %10s %10s %-4s %6s\n", "", "brood", "beside", "", "ratio");
  {
    const testing::TempDirectory directory;
    Result<std::unique_ptr<SharedCells>> shared = SharedCells::Create();
    Result<std::unique_ptr<WatchWriter>> watch = WatchWriter::Create(directory.path(), 1);
    if (!shared || !watch) return 1;
    Gate gate;
    CellStore cells(&gate, shared->get(), watch->get());
    BenchCall call(&cells);
    brood_job job{&call};
    std::vector<double> ours;
    std::vector<double> theirs;
    // On a thread: a process with only one has cheaper locks.
    std::thread([&] {
      CellWriteNanos(TaskHost(), &job, kWrites);
      for (int i = 0; i < repetitions; ++i) {
        ours.push_back(CellWriteNanos(TaskHost(), &job, kWrites));
        theirs.push_back(LockedStoreNanos(kWrites));
      }
    }).join();
    Print("unwatched cell write / lock, store, unlock", "ns", ours, theirs);
    std::vector<double> watched;
    (*watch)->Select(1, true, {});
    std::thread([&] {
      for (int i = 0; i < repetitions; ++i) {
        watched.push_back(CellWriteNanos(TaskHost(), &job, kWrites / 10));
      }
    }).join();
    Print("the same, watched / unwatched", "ns", watched, ours);
  }
  std::vector<double> on_huge;
  std::vector<double> on_ordinary;
  size_t huge_bytes = 0;
  size_t none = 0;
  for (int i = 0; i < repetitions; ++i) {
    on_huge.push_back(ForksWithBlock(BROOD_BLOCK_HUGE_PAGES, &huge_bytes));
    on_ordinary.push_back(ForksWithBlock(0, &none));
  }
  Print("forks, 256 MiB block: huge pages / ordinary ones", "1/s", on_huge, on_ordinary);
  std::ifstream file("/sys/kernel/mm/transparent_hugepage/enabled");
  std::string setting;
  std::getline(file, setting);
  std::printf("of the block, %zu and %zu MiB were on huge pages; transparent_hugepage is %s\n",
              huge_bytes >> 20, none >> 20, setting.empty() ? "unknown" : setting.c_str());
  return 0;
}

}  // namespace
}  // namespace brood::bench

int main(int argc, char** argv) { return brood::bench::Main(argc > 1 ? std::atoi(argv[1]) : 5); }
