// SPDX-License-Identifier: Apache-2.0
//
// A family of processes of the shape asked for. Each member says "PID\n" on
// standard output once it stands, then waits for ever, deaf to SIGTERM.
//   family one              itself
//   family children N       itself and N children
//   family chain N          N generations below itself
//   family left             a child in a session of its own; itself
//   family orphan           a grandchild in a session of its own; the rest ends
//   family bare-orphan      the same without an environment, in our session
//   family hop              forks and ends in the child, again and again; in the end it stands
//   family threads          its main thread ends, another one lives
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

[[noreturn]] void Stand() {
  char line[16];
  const int size = std::snprintf(line, sizeof(line), "%d\n", ::getpid());
  (void)!::write(1, line, static_cast<size_t>(size));
  for (;;) ::pause();
}

void* StandInThread(void*) { Stand(); }

}  // namespace

int main(int count, char** arguments) {
  ::signal(SIGTERM, SIG_IGN);
  const char* const shape = count > 1 ? arguments[1] : "one";
  const int number = count > 2 ? std::atoi(arguments[2]) : 0;
  if (std::strcmp(shape, "children") == 0) {
    for (int i = 0; i < number; ++i) {
      if (::fork() == 0) Stand();
    }
  } else if (std::strcmp(shape, "chain") == 0) {
    for (int i = 0; i < number; ++i) {
      if (::fork() != 0) break;
    }
  } else if (std::strcmp(shape, "left") == 0) {
    if (::fork() == 0) ::setsid();
  } else if (std::strcmp(shape, "orphan") == 0) {
    if (::fork() != 0) return 0;
    ::setsid();
    if (::fork() != 0) return 0;
    ::setsid();
  } else if (std::strcmp(shape, "bare-orphan") == 0) {
    if (::fork() != 0) return 0;
    char one[] = "one";
    char* const words[] = {arguments[0], one, nullptr};
    char* const nothing[] = {nullptr};
    ::execve("/proc/self/exe", words, nothing);
    return 99;
  } else if (std::strcmp(shape, "hop") == 0) {
    (void)!::write(1, "0\n", 2);
    // Each leaves a zombie to the test: thousands more would take the machine's last pid.
    constexpr int kHopsMax = 3'000;
    for (int hop = 0; hop < kHopsMax; ++hop) {
      if (::fork() > 0) ::_exit(0);
    }
    for (;;) ::pause();
  } else if (std::strcmp(shape, "threads") == 0) {
    pthread_t thread;
    pthread_create(&thread, nullptr, StandInThread, nullptr);
    pthread_exit(nullptr);
  }
  Stand();
}
