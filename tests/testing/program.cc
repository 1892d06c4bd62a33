// SPDX-License-Identifier: Apache-2.0
#include "tests/testing/program.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "common/base/clock.h"

namespace brood::testing {
namespace {

constexpr int64_t kPatienceNanos = 20'000'000'000;

struct Ends {
  UniqueFd ours;
  UniqueFd childs;
};

Ends MakeOutput(bool terminal) {
  int fds[2] = {-1, -1};
  if (terminal) {
    termios raw;
    std::memset(&raw, 0, sizeof(raw));
    ::cfmakeraw(&raw);
    EXPECT_EQ(::openpty(&fds[0], &fds[1], nullptr, &raw, nullptr), 0);
    ::fcntl(fds[0], F_SETFD, FD_CLOEXEC);
    ::fcntl(fds[1], F_SETFD, FD_CLOEXEC);
  } else {
    EXPECT_EQ(::pipe2(fds, O_CLOEXEC), 0);
  }
  return {UniqueFd(fds[0]), UniqueFd(fds[1])};
}

std::vector<std::string> Environment(const std::map<std::string, std::string>& changes) {
  std::vector<std::string> variables;
  for (char** one = ::environ; *one != nullptr; ++one) {
    const std::string variable = *one;
    if (changes.count(variable.substr(0, variable.find('='))) == 0) variables.push_back(variable);
  }
  for (const auto& [name, value] : changes) {
    if (!value.empty()) variables.push_back(name + "=" + value);
  }
  return variables;
}

std::vector<char*> Pointers(std::vector<std::string>& words) {
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  return pointers;
}

}  // namespace

Program::Program(const ProgramSetup& setup) : give_up_(BootTimeNanos() + kPatienceNanos) {
  int in[2];
  EXPECT_EQ(::pipe2(in, O_CLOEXEC), 0);
  const UniqueFd childs_in(in[0]);
  in_.reset(in[1]);
  Ends out = MakeOutput(setup.out_is_terminal);
  Ends err = MakeOutput(setup.err_is_terminal);
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_adddup2(&files, childs_in.get(), 0);
  posix_spawn_file_actions_adddup2(&files, out.childs.get(), 1);
  posix_spawn_file_actions_adddup2(&files, err.childs.get(), 2);
  if (!setup.directory.empty()) {
    posix_spawn_file_actions_addchdir_np(&files, setup.directory.c_str());
  }
  std::vector<std::string> words = setup.argv;
  std::vector<std::string> variables = Environment(setup.environment);
  // A child that closes its input must not end the test; the child itself is started as usual.
  ::signal(SIGPIPE, SIG_IGN);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t usual;
  sigemptyset(&usual);
  sigaddset(&usual, SIGPIPE);
  posix_spawnattr_setsigdefault(&attributes, &usual);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
  const int error = ::posix_spawnp(&pid_, words[0].c_str(), &files, &attributes,
                                   Pointers(words).data(), Pointers(variables).data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&files);
  EXPECT_EQ(error, 0) << setup.argv[0] << ": " << std::strerror(error);
  if (error != 0) pid_ = -1;
  out_ = std::move(out.ours);
  err_ = std::move(err.ours);
}

Program::~Program() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

void Program::Write(const std::string& input) {
  size_t at = 0;
  while (at < input.size()) {
    const ssize_t size = ::write(in_.get(), input.data() + at, input.size() - at);
    if (size <= 0) return;
    at += static_cast<size_t>(size);
  }
}

void Program::Signal(int signal) const { EXPECT_EQ(::kill(pid_, signal), 0); }

// False when both streams have ended, or time is up.
bool Program::ReadSome() {
  if (!out_ && !err_) return false;
  pollfd waits[2] = {{out_ ? out_.get() : -1, POLLIN, 0}, {err_ ? err_.get() : -1, POLLIN, 0}};
  const int64_t left = give_up_ - BootTimeNanos();
  if (left <= 0 || ::poll(waits, 2, static_cast<int>(left / 1'000'000) + 1) == 0) {
    ADD_FAILURE() << "still waiting; stdout so far: " << out_text_ << "\nstderr: " << err_text_;
    return false;
  }
  for (int i = 0; i < 2; ++i) {
    if (waits[i].revents == 0) continue;
    char bytes[65536];
    const ssize_t size = ::read(waits[i].fd, bytes, sizeof(bytes));
    // A terminal whose other side is closed says EIO.
    if (size <= 0) {
      (i == 0 ? out_ : err_).reset();
    } else {
      (i == 0 ? out_text_ : err_text_).append(bytes, static_cast<size_t>(size));
    }
  }
  return true;
}

bool Program::Await(const std::string& text, const std::string& stream) {
  while (stream.find(text) == std::string::npos) {
    if (!ReadSome()) return false;
  }
  return true;
}

ProgramEnd Program::End() {
  in_.reset();
  ProgramEnd end;
  if (pid_ <= 0) return end;
  while (ReadSome()) {
  }
  if (BootTimeNanos() >= give_up_) ::kill(pid_, SIGKILL);
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
  if (WIFEXITED(status)) end.exit_code = WEXITSTATUS(status);
  if (WIFSIGNALED(status)) end.signal = WTERMSIG(status);
  end.out = out_text_;
  end.err = err_text_;
  return end;
}

ProgramEnd RunProgram(const ProgramSetup& setup, const std::string& input) {
  Program program(setup);
  program.Write(input);
  return program.End();
}

}  // namespace brood::testing
