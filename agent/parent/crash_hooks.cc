// SPDX-License-Identifier: Apache-2.0
#include "agent/parent/crash_hooks.h"

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>

namespace brood {
namespace {

// A signal's function gets no argument of ours: what it needs has to be here.
LastWords* g_words = nullptr;
pid_t g_owner = 0;
thread_local uint64_t t_job_key = 0;

void Say(int signal) {
  std::atomic_ref<uint32_t> committed(g_words->committed);
  if (committed.load() != 0) return;  // The first one is the cause.
  g_words->signal = signal;
  g_words->culprit_job_key = t_job_key;
  committed.store(1, std::memory_order_release);
}

void OnCrash(int number) {
  if (::getpid() == g_owner) Say(number);
  // SA_RESETHAND has restored the default action; the signal is blocked until we return, and
  // then ends the process whether it came from a fault or from another process.
  ::raise(number);
}

void OnExit(int status, void* /*unused*/) {
  if (::getpid() != g_owner) {
    std::fflush(nullptr);
    ::_exit(status);
  }
  if (t_job_key != 0) Say(0);
}

}  // namespace

void CrashHooks::Install(LastWords* words) {
  g_words = words;
  g_owner = ::getpid();
  struct sigaction action {};
  action.sa_handler = OnCrash;
  action.sa_flags = static_cast<int>(SA_ONSTACK | SA_RESETHAND);
  sigemptyset(&action.sa_mask);
  for (const int number : {SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGILL}) {
    ::sigaction(number, &action, nullptr);
  }
  ::on_exit(OnExit, nullptr);
}

CrashHooks::JobThread::JobThread(uint64_t job_key, void* stack, size_t size) {
  t_job_key = job_key;
  stack_t alternate{};
  alternate.ss_sp = stack;
  alternate.ss_size = size;
  ::sigaltstack(&alternate, &before_);
}

CrashHooks::JobThread::~JobThread() {
  t_job_key = 0;
  ::sigaltstack(&before_, nullptr);
}

}  // namespace brood
