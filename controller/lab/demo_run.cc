// SPDX-License-Identifier: Apache-2.0
#include "controller/lab/demo_run.h"

#include <linux/magic.h>
#include <stdlib.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "controller/client/each_host.h"

namespace brood {
namespace {

constexpr char kCell[] = "score";
// Nothing here takes longer than a second; this only keeps a broken host from hanging the demo.
constexpr int64_t kJobSeconds = 60;
// The longest folder below which a lab's sockets still fit into 107 bytes.
constexpr size_t kFolderMax = 48;

class HostDemo {
 public:
  HostDemo(Connection& connection, const std::string& text, DemoFacts* facts)
      : connection_(connection), text_(text), facts_(*facts) {}

  Status Run() {
    const std::string add = "demo.add";
    const v1::Mode thread = v1::MODE_THREAD;
    const v1::Mode fork = v1::MODE_FORK;
    Status failed;
    // A command says nothing about its mode: the choice is the agent's.
    (failed = Job("wc", CommandSpec({"wc", "-w", text_}), &facts_.wc)) ||
        (failed = Job("words-fork", CallSpec("demo.words", {text_}, fork), &facts_.words_fork)) ||
        (failed =
             Job("words-thread", CallSpec("demo.words", {text_}, thread), &facts_.words_thread)) ||
        (failed = Job("add-thread", CallSpec(add, {kCell, std::to_string(kThreadAdds)}, thread),
                      &facts_.add_thread)) ||
        (failed = Read(&facts_.after_thread)) ||
        (failed = Job("add-fork", CallSpec(add, {kCell, std::to_string(kForkAdds)}, fork),
                      &facts_.add_fork)) ||
        (failed = Read(&facts_.after_fork));
    return failed;
  }

 private:
  Status Job(const std::string& id, v1::JobSpec spec, RanJob* ran) {
    v1::JobSubmission submission;
    submission.set_job_id("demo-" + id);
    spec.set_run_id("demo");
    spec.mutable_timeout()->set_seconds(kJobSeconds);
    *submission.mutable_spec() = std::move(spec);
    Result<RanJob> result = RunOneJob(connection_, std::move(submission));
    if (!result) return result.error();
    *ran = std::move(*result);
    return Ok();
  }

  Status Read(ParentReading* reading) {
    v1::ReadMemoryRequest request;
    request.add_cells(kCell);
    const Result<v1::ReadMemoryResponse> answer = connection_.ReadMemory(request);
    if (!answer) return answer.error();
    reading->pid = answer->pid();
    for (const v1::Cell& cell : answer->cells()) {
      if (cell.name() != kCell) continue;
      reading->address = cell.address();
      if (cell.value().kind_case() == v1::Value::kIntValue)
        reading->value = cell.value().int_value();
    }
    return Ok();
  }

  Connection& connection_;
  const std::string& text_;
  DemoFacts& facts_;
};

bool OnTmpfs(const std::string& folder) {
  struct statfs about {};
  return ::statfs(folder.c_str(), &about) == 0 &&
         (about.f_type == TMPFS_MAGIC || about.f_type == RAMFS_MAGIC);
}

}  // namespace

std::string DemoText() {
  for (const char* path : {"/usr/share/common-licenses/GPL-3", "/usr/share/common-licenses/GPL-2",
                           "/etc/services", "/etc/passwd"}) {
    if (::access(path, R_OK) == 0) return path;
  }
  return "/etc/passwd";
}

Result<std::vector<DemoFacts>> RunDemo(const std::vector<HostAddress>& hosts,
                                       const std::string& text) {
  std::vector<DemoFacts> facts(hosts.size());
  const std::vector<Status> results =
      EachHost(hosts, [&](size_t index, Connection& connection) -> Status {
        facts[index].host = hosts[index].name;
        return HostDemo(connection, text, &facts[index]).Run();
      });
  for (size_t index = 0; index < results.size(); ++index) {
    if (!results[index]) continue;
    Error error = *results[index];
    error.message = hosts[index].name + ": " + error.message;
    return error;
  }
  return facts;
}

Result<std::string> MakeDemoFolder() {
  std::string tried;
  for (const char* variable : {"TMPDIR", "/var/tmp", "/tmp", "HOME"}) {
    const char* value = *variable == '/' ? variable : ::getenv(variable);
    if (value == nullptr || *value != '/') continue;
    std::string name = std::string(value) + "/brood-demo-XXXXXX";
    tried += (tried.empty() ? "" : ", ") + std::string(value);
    if (name.size() > kFolderMax || OnTmpfs(value)) continue;
    if (::mkdtemp(name.data()) != nullptr) return name;
  }
  return Error{
      ErrorCode::kFailedPrecondition, "NO_FOLDER",
      "there is no folder for the demo that is not on a tmpfs, has a short path and can be "
      "written to (looked at " +
          tried + "); set TMPDIR to one",
      "TMPDIR"};
}

}  // namespace brood
