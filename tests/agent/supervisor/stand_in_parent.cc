// SPDX-License-Identifier: Apache-2.0
//
// Stands in for brood-parent: says in DIRECTORY/report how it was started, then
// does what the variable ACT asks:
//   exit:N | signal:N | wait | orphan:exit:N | orphan:signal:N | orphans:COUNT
// An orphan waits until this program has ended, then ends as said.
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

extern char** environ;

namespace {

void Report(const std::string& directory, int count, char** arguments) {
  const std::string path = directory + "/report";
  FILE* const file = std::fopen((path + ".new").c_str(), "w");
  for (int i = 1; i < count; ++i) std::fprintf(file, "arg %s\n", arguments[i]);
  for (char** one = environ; *one != nullptr; ++one) std::fprintf(file, "env %s\n", *one);
  char directory_name[4096];
  std::fprintf(file, "cwd %s\n", ::getcwd(directory_name, sizeof(directory_name)));
  std::fprintf(file, "pid %d\nsid %d\nppid %d\n", ::getpid(), ::getsid(0), ::getppid());
  for (int signal = 1; signal < 32; ++signal) {
    struct sigaction action {};
    if (::sigaction(signal, nullptr, &action) == 0 && action.sa_handler != SIG_DFL) {
      std::fprintf(file, "not-default %d\n", signal);
    }
  }
  sigset_t blocked;
  ::sigprocmask(SIG_SETMASK, nullptr, &blocked);
  for (int signal = 1; signal < 32; ++signal) {
    if (sigismember(&blocked, signal) == 1) std::fprintf(file, "blocked %d\n", signal);
  }
  DIR* const folder = ::opendir("/proc/self/fd");
  while (const dirent* entry = ::readdir(folder)) {
    const int fd = std::atoi(entry->d_name);
    if (entry->d_name[0] == '.' || fd == ::dirfd(folder) || fd == ::fileno(file)) continue;
    char target[4096] = {};
    const std::string link = std::string("/proc/self/fd/") + entry->d_name;
    (void)!::readlink(link.c_str(), target, sizeof(target) - 1);
    std::fprintf(file, "fd %d %s\n", fd, target);
  }
  ::closedir(folder);
  std::fclose(file);
  ::rename((path + ".new").c_str(), path.c_str());
}

[[noreturn]] void EndAs(const std::string& how) {
  const size_t colon = how.find(':');
  const int number = std::atoi(how.c_str() + colon + 1);
  if (how.compare(0, colon, "signal") == 0) {
    ::kill(::getpid(), number);
    for (;;) ::pause();
  }
  ::_exit(number);
}

// Its end of the pipe says when this program is gone.
void MakeOrphan(const std::string& how) {
  int ends[2];
  if (::pipe(ends) != 0) ::_exit(99);
  if (::fork() != 0) {
    ::close(ends[0]);
    return;  // The write end stays open until we end.
  }
  ::close(ends[1]);
  char byte;
  (void)!::read(ends[0], &byte, 1);
  EndAs(how);
}

}  // namespace

int main(int count, char** arguments) {
  std::string directory;
  for (int i = 1; i + 1 < count; ++i) {
    if (std::strcmp(arguments[i], "--directory") == 0) directory = arguments[i + 1];
  }
  Report(directory, count, arguments);
  std::printf("a word on stdout\n");
  std::fprintf(stderr, "a word on stderr\n");
  std::fflush(stdout);
  const char* const act = std::getenv("ACT");
  const std::string how = act == nullptr ? "exit:0" : act;
  if (how == "wait") {
    for (;;) ::pause();
  }
  if (how.rfind("orphan:", 0) == 0) {
    MakeOrphan(how.substr(7));
    return 0;
  }
  if (how.rfind("orphans:", 0) == 0) {
    const int orphans = std::atoi(how.c_str() + 8);
    for (int i = 0; i < orphans; ++i) {
      // All but the last inherit write ends of earlier pipes, so they end in a
      // burst, the first one last.
      MakeOrphan("exit:" + std::to_string(i % 256));
    }
    return 0;
  }
  EndAs(how);
}
