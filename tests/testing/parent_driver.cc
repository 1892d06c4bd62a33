// SPDX-License-Identifier: Apache-2.0
#include "tests/testing/parent_driver.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <utility>

#include "common/base/protocol.h"
#include "common/base/unix_socket.h"

namespace brood::testing {
namespace {

using Clock = std::chrono::steady_clock;

// For what takes milliseconds: a machine must be very busy to be later than this.
constexpr std::chrono::seconds kPatience{20};

std::string ProgramPath() {
  const char* const folder = std::getenv("BROOD_BIN_DIR");
  return std::string(folder != nullptr ? folder : ".") + "/brood-parent";
}

std::string MakeDirectory() {
  char path[] = "/tmp/brood-parent-test-XXXXXX";
  return ::mkdtemp(path) != nullptr ? path : "";
}

}  // namespace

ParentDriver::ParentDriver(ParentDriverOptions options) : directory_(MakeDirectory()) {
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  std::vector<std::string> arguments = {
      options.program.empty() ? ProgramPath() : options.program,
      "--name",
      "test",
      "--incarnation",
      "7",
      "--directory",
      directory_,
      "--socket",
      directory_ + "/s",
      "--call-slots",
      std::to_string(options.call_slots),
  };
  for (const std::string& library : options.libraries) {
    arguments.push_back("--library");
    arguments.push_back(library);
  }
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  std::vector<char*> environment;
  for (char** entry = environ; *entry != nullptr; ++entry) environment.push_back(*entry);
  for (std::string& entry : options.environment) environment.push_back(entry.data());
  environment.push_back(nullptr);

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  const std::string log = directory_ + "/parent.log";
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  posix_spawn_file_actions_adddup2(&actions, 1, 2);
  posix_spawn_file_actions_addclosefrom_np(&actions, 3);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID);
  if (::posix_spawn(&pid_, argv[0], &actions, &attributes, argv.data(), environment.data()) != 0) {
    pid_ = -1;
  }
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  outbox_ = std::make_unique<OutboxReader>(directory_);
}

ParentDriver::~ParentDriver() {
  Disconnect();
  if (pid_ > 0 && !parent_status_) {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  ReadNotes();
  // Whatever it left behind is ours now, and known by its notes.
  for (const SeenNote& seen : notes_) {
    if (seen.note.kind == NoteKind::kStarted && seen.note.pid != pid_) {
      // Only if it is our child: the number may be somebody else's by now.
      siginfo_t child{};
      if (::waitid(P_PID, static_cast<id_t>(seen.note.pid), &child, WEXITED | WNOHANG | WNOWAIT) ==
          0) {
        ::kill(-seen.note.pid, SIGKILL);
      }
    }
  }
  while (::waitpid(-1, nullptr, 0) > 0) {
  }
  const std::string log = Log();
  if (log.find("WARNING: ThreadSanitizer") != std::string::npos ||
      log.find("runtime error") != std::string::npos) {
    ADD_FAILURE() << log;
  }
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
}

bool ParentDriver::Connect(uint64_t agent_incarnation) {
  greeted_commands_ = false;
  has_tasks_ = false;
  // Its socket is there when its libraries are loaded; until then there is nothing to wait on.
  const auto until = Clock::now() + kPatience;
  Result<UniqueFd> fd = ConnectUnix(directory_ + "/s");
  while (!fd && Clock::now() < until && ::waitpid(pid_, nullptr, WNOHANG) == 0) {
    ::poll(nullptr, 0, 1);
    fd = ConnectUnix(directory_ + "/s");
  }
  if (!fd) return false;
  main_ = std::make_unique<FrameSocket>(*std::move(fd));
  internal::v1::ToParent frame;
  frame.mutable_hello()->set_protocol(kProtocolVersion);
  frame.mutable_hello()->set_agent_incarnation(agent_incarnation);
  Send(frame);
  Result<UniqueFd> second = ConnectUnix(directory_ + "/s");
  if (!second) return false;
  commands_ = std::make_unique<FrameSocket>(*std::move(second));
  frame.mutable_hello()->set_commands(true);
  SendCommands(frame);
  return Wait([this] { return (greeted_commands_ && has_tasks_) || !main_ || !commands_; }) &&
         main_ && commands_;
}

void ParentDriver::Disconnect() {
  main_.reset();
  commands_.reset();
}

internal::v1::StartJob ParentDriver::Command(std::vector<std::string> argv) {
  internal::v1::StartJob job;
  for (std::string& argument : argv) job.add_argv(std::move(argument));
  return job;
}

internal::v1::StartJob ParentDriver::Call(const std::string& task,
                                          std::vector<internal::v1::Value> arguments, bool thread) {
  internal::v1::StartJob job;
  job.set_task(task);
  for (internal::v1::Value& argument : arguments) *job.add_arguments() = std::move(argument);
  job.set_thread(thread);
  return job;
}

uint64_t ParentDriver::Start(internal::v1::StartJob job) {
  if (job.job_key() == 0) job.set_job_key(next_key_++);
  if (job.attempt() == 0) job.set_attempt(1);
  if (job.job_id().empty()) job.set_job_id("job-" + std::to_string(job.job_key()));
  const uint64_t job_key = job.job_key();
  internal::v1::ToParent frame;
  const bool command = job.argv_size() > 0;
  *frame.mutable_start()->add_jobs() = std::move(job);
  command ? SendCommands(frame) : Send(frame);
  return job_key;
}

void ParentDriver::Send(const internal::v1::ToParent& frame) {
  if (main_) (void)main_->Send(frame.SerializeAsString());
}

void ParentDriver::SendCommands(const internal::v1::ToParent& frame) {
  if (commands_) (void)commands_->Send(frame.SerializeAsString());
}

void ParentDriver::SignalJob(uint64_t job_key, int signal, bool whole_group) {
  internal::v1::ToParent frame;
  internal::v1::SignalJob* const sent = frame.add_signals();
  sent->set_job_key(job_key);
  sent->set_signal(signal);
  sent->set_whole_group(whole_group);
  Send(frame);
}

void ParentDriver::Drain(uint64_t job_key) {
  internal::v1::ToParent frame;
  frame.add_drained(job_key);
  Send(frame);
}

void ParentDriver::StopCall(uint64_t job_key) {
  internal::v1::ToParent frame;
  frame.add_stop_calls(job_key);
  Send(frame);
}

void ParentDriver::End(int how) {
  internal::v1::ToParent frame;
  frame.mutable_end()->set_how(how);
  Send(frame);
}

std::optional<internal::v1::MemoryAnswer> ParentDriver::ReadMemory(std::vector<std::string> cells,
                                                                   uint32_t limit) {
  internal::v1::ToParent frame;
  const uint64_t request = memory_.size() + 1;
  frame.mutable_read_memory()->set_request(request);
  frame.mutable_read_memory()->set_limit(limit);
  for (std::string& cell : cells) frame.mutable_read_memory()->add_cells(std::move(cell));
  Send(frame);
  if (!Wait([&] { return memory_.size() >= request; })) return std::nullopt;
  return memory_.back();
}

bool ParentDriver::Wait(const std::function<bool()>& done) {
  const auto until = Clock::now() + kPatience;
  ReadNotes();
  while (!done()) {
    if (Clock::now() >= until) return false;
    Round(100);
  }
  return true;
}

const SeenNote* ParentDriver::Await(uint64_t job_key, NoteKind kind) {
  const SeenNote* found = nullptr;
  Wait([&] {
    for (const SeenNote& seen : notes_) {
      if (found == nullptr && seen.note.job_key == job_key && seen.note.kind == kind) found = &seen;
    }
    return found != nullptr;
  });
  return found;
}

const SeenNote* ParentDriver::AwaitEnd(uint64_t job_key) {
  const SeenNote* found = nullptr;
  Wait([&] {
    for (const SeenNote& seen : notes_) {
      if (found != nullptr || seen.note.job_key != job_key) continue;
      switch (seen.note.kind) {
        case NoteKind::kExited:
        case NoteKind::kFailedToStart:
        case NoteKind::kReturned:
        case NoteKind::kThrew:
        case NoteKind::kStopHonoured:
          found = &seen;
          break;
        default:
          break;
      }
    }
    return found != nullptr;
  });
  return found;
}

size_t ParentDriver::Count(uint64_t job_key, NoteKind kind) const {
  size_t count = 0;
  for (const SeenNote& seen : notes_) {
    count += seen.note.job_key == job_key && seen.note.kind == kind;
  }
  return count;
}

bool ParentDriver::AwaitOutput(uint64_t job_key) {
  return Wait([&] {
    const auto found = outputs_.find(job_key);
    return found != outputs_.end() && found->second.announced > 0 && !found->second.fds[0] &&
           !found->second.fds[1];
  });
}

std::optional<int> ParentDriver::AwaitParentEnd() {
  Wait([this] {
    int status = 0;
    if (!parent_status_ && ::waitpid(pid_, &status, WNOHANG) == pid_) parent_status_ = status;
    return parent_status_.has_value();
  });
  ReadNotes();
  return parent_status_;
}

std::optional<int> ParentDriver::AwaitOrphan(pid_t pid) {
  std::optional<int> ended;
  Wait([&] {
    int status = 0;
    if (::waitpid(pid, &status, WNOHANG) == pid) ended = status;
    return ended.has_value();
  });
  return ended;
}

std::string ParentDriver::Log() const {
  std::ostringstream text;
  text << std::ifstream(directory_ + "/parent.log").rdbuf();
  return text.str();
}

// One poll, and what it brought.
bool ParentDriver::Round(int milliseconds) {
  std::vector<pollfd> polled;
  std::vector<uint64_t> jobs;
  const auto add = [&polled](int fd) { polled.push_back(pollfd{fd, POLLIN, 0}); };
  add(main_ ? main_->fd() : -1);
  add(commands_ ? commands_->fd() : -1);
  add(bell_ ? bell_.get() : -1);
  add(doorbell_ ? doorbell_.get() : -1);
  if (reads_output_) {
    for (auto& [job_key, output] : outputs_) {
      for (const UniqueFd& fd : output.fds) {
        if (!fd) continue;
        add(fd.get());
        jobs.push_back(job_key);
      }
    }
  }
  if (::poll(polled.data(), polled.size(), milliseconds) <= 0) return false;
  if (polled[2].revents != 0) {
    uint64_t rung = 0;
    (void)!::read(bell_.get(), &rung, sizeof(rung));
    ReadNotes();
  }
  if (polled[3].revents != 0) {
    uint32_t slot = 0;
    while (::read(doorbell_.get(), &slot, sizeof(slot)) == sizeof(slot)) rings_.push_back(slot);
  }
  for (size_t i = 4; i < polled.size(); ++i) {
    if (polled[i].revents != 0) ReadOutputs(jobs[i - 4]);
  }
  if (polled[0].revents != 0) ReceiveOn(&main_);
  if (polled[1].revents != 0) ReceiveOn(&commands_);
  return true;
}

void ParentDriver::ReceiveOn(std::unique_ptr<FrameSocket>* socket) {
  const Result<bool> open = (*socket)->Receive([&](std::string_view payload) {
    internal::v1::FromParent frame;
    if (frame.ParseFromArray(payload.data(), static_cast<int>(payload.size()))) {
      OnFrame(socket->get(), frame);
    }
  });
  if (!open || !*open) socket->reset();
}

void ParentDriver::OnFrame(FrameSocket* socket, const internal::v1::FromParent& frame) {
  if (frame.has_hello()) {
    hello_ = frame.hello();
    if (socket == commands_.get()) greeted_commands_ = true;
  }
  if (frame.bells()) {
    bell_ = socket->TakeFd();
    doorbell_ = socket->TakeFd();
  }
  if (frame.has_tasks()) {
    tasks_ = frame.tasks();
    has_tasks_ = true;
  }
  for (const internal::v1::Streams& streams : frame.streams()) {
    Output& output = outputs_[streams.job_key()];
    ++output.announced;
    if (streams.input()) output.input = socket->TakeFd();
    if (streams.output()) {
      for (UniqueFd& fd : output.fds) {
        fd = socket->TakeFd();
        ::fcntl(fd.get(), F_SETFL, O_NONBLOCK);
      }
    }
  }
  for (const internal::v1::Signalled& signalled : frame.signalled())
    signalled_.push_back(signalled);
  if (frame.has_memory()) memory_.push_back(frame.memory());
  unknown_.insert(unknown_.end(), frame.unknown().begin(), frame.unknown().end());
}

void ParentDriver::ReadOutputs(uint64_t job_key) {
  Output& output = outputs_[job_key];
  for (int stream = 0; stream < 2; ++stream) {
    char bytes[64 * 1024];
    ssize_t got = 1;
    while (output.fds[stream] && got > 0) {
      got = ::read(output.fds[stream].get(), bytes, sizeof(bytes));
      if (got > 0) output.bytes[stream].append(bytes, static_cast<size_t>(got));
      if (got == 0) output.fds[stream].reset();
    }
  }
}

void ParentDriver::ReadNotes() {
  if (outbox_ == nullptr) return;
  outbox_->Read([this](const Note& note, std::string_view text) {
    notes_.push_back(SeenNote{note, std::string(text)});
  });
}

internal::v1::Value Int(int64_t value) {
  internal::v1::Value result;
  result.set_int_value(value);
  return result;
}

internal::v1::Value Text(const std::string& value) {
  internal::v1::Value result;
  result.set_text_value(value);
  return result;
}

}  // namespace brood::testing
