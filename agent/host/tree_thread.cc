// SPDX-License-Identifier: Apache-2.0
#include "agent/host/tree_thread.h"

#include <pthread.h>

#include <optional>
#include <set>
#include <utility>

#include "agent/host/process_unit.h"
#include "agent/process/process_tree.h"
#include "agent/process/tree_kill.h"
#include "common/base/failpoint.h"

namespace brood {
TreeThread::TreeThread(std::string host, std::string journal,
                       std::function<std::vector<int>()> spared, Done done)
    : host_(std::move(host)),
      journal_(std::move(journal)),
      spared_(std::move(spared)),
      done_(std::move(done)) {
  if (Result<CgroupFolder> cgroups = CgroupFolder::Detect()) cgroups_ = *std::move(cgroups);
  thread_ = std::thread([this] { Run(); });
}

TreeThread::~TreeThread() {
  {
    const absl::MutexLock lock(&mutex_);
    stopped_ = true;
  }
  thread_.join();
}

void TreeThread::Add(TreeEffect request) {
  const absl::MutexLock lock(&mutex_);
  requests_.push_back(std::move(request));
}

bool TreeThread::AddLook(std::function<void()> look) {
  const absl::MutexLock lock(&mutex_);
  if (looks_.size() >= kLooksMax) return false;
  looks_.push_back(std::move(look));
  return true;
}

void TreeThread::End(const TreeEffect& request) {
  JobRoot root;
  root.pid = request.pid;
  root.start_ns = request.start_ns;
  root.job_id = request.job_id;
  root.host = host_;
  root.journal = journal_;
  const std::vector<int> spared = spared_();
  const std::set<pid_t> excluded(spared.begin(), spared.end());
  const std::vector<ProcessEntry> left =
      request.kill ? KillTree(root, excluded, cgroups_ ? &*cgroups_ : nullptr).survivors
                   : FindTree(root, excluded);
  std::vector<v1::Unit> units;
  for (const ProcessEntry& process : left) units.push_back(UnitOfProcess(process));
  Failpoint("tree.done");
  done_(request.job_key, std::move(units));
}

void TreeThread::Run() {
  ::pthread_setname_np(::pthread_self(), "trees");
  for (;;) {
    std::optional<TreeEffect> request;
    std::function<void()> look;
    {
      const absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(
          +[](TreeThread* self) ABSL_EXCLUSIVE_LOCKS_REQUIRED(self->mutex_) {
            return self->stopped_ || !self->requests_.empty() || !self->looks_.empty();
          },
          this));
      if (stopped_) return;
      if (!requests_.empty()) {
        request = std::move(requests_.front());
        requests_.pop_front();
      } else {
        look = std::move(looks_.front());
        looks_.pop_front();
      }
    }
    request ? End(*request) : look();
  }
}

}  // namespace brood
