// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <csignal>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include "agent/spool/spool.h"
#include "common/base/event_loop.h"
#include "common/base/unique_fd.h"
#include "tests/testing/temp_directory.h"

namespace brood::testing {

struct Pipe {
  UniqueFd read;
  UniqueFd write;
};

inline Pipe MakePipe() {
  int fds[2] = {-1, -1};
  EXPECT_EQ(::pipe2(fds, O_CLOEXEC), 0);
  return {UniqueFd(fds[0]), UniqueFd(fds[1])};
}

// All of it, blocking; false if nobody reads any more.
inline bool WriteAll(int fd, const std::string& bytes) {
  for (size_t done = 0; done < bytes.size();) {
    const ssize_t written = ::write(fd, bytes.data() + done, bytes.size() - done);
    if (written <= 0) return false;
    done += static_cast<size_t>(written);
  }
  return true;
}

// Bytes of which none stands where another could.
inline std::string Pattern(size_t size) {
  std::string bytes(size, '\0');
  for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>((i * 131 + i / 251) & 0xFF);
  return bytes;
}

// A spool in a folder of its own, and the loop that it runs in.
class SpoolFixture : public ::testing::Test {
 protected:
  void TearDown() override { Stop(); }

  void Start(Spool::Listener* listener, SpoolOptions options = {}) {
    std::signal(SIGPIPE, SIG_IGN);
    Result<std::unique_ptr<EventLoop>> loop = EventLoop::Create();
    ASSERT_TRUE(loop.ok());
    loop_ = *std::move(loop);
    Open(listener, options);
    thread_ = std::thread([this] { loop_->Run(); });
  }
  void Stop() {
    if (thread_.joinable()) {
      loop_->Stop();
      thread_.join();
    }
    spool_.reset();
  }
  // The next agent's spool on the same folder, in the same loop.
  void Reopen(Spool::Listener* listener) {
    InLoop([&] {
      spool_.reset();
      Open(listener, SpoolOptions());
    });
  }
  // Runs `work` in the loop's thread and waits for it.
  void InLoop(const std::function<void()>& work) {
    std::mutex mutex;
    std::condition_variable done_now;
    bool done = false;
    loop_->Post([&] {
      work();
      const std::lock_guard lock(mutex);
      done = true;
      done_now.notify_all();
    });
    std::unique_lock lock(mutex);
    done_now.wait(lock, [&] { return done; });
  }

  const TempDirectory directory_;
  const std::string root_ = directory_.path() + "/spool";
  std::unique_ptr<EventLoop> loop_;
  std::unique_ptr<Spool> spool_;

 private:
  void Open(Spool::Listener* listener, const SpoolOptions& options) {
    Result<std::unique_ptr<Spool>> spool = Spool::Open(root_, loop_.get(), listener, options);
    ASSERT_TRUE(spool.ok());
    spool_ = *std::move(spool);
  }

  std::thread thread_;
};

}  // namespace brood::testing
