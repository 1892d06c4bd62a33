// SPDX-License-Identifier: Apache-2.0
#include "tests/testing/fault_proxy.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <list>
#include <mutex>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "common/base/clock.h"
#include "common/base/unique_fd.h"

namespace brood::testing {
namespace {

constexpr int64_t kMillisecond = 1'000'000;
// From a silence or a half-close to the RST: long enough that both sides are stuck in it.
constexpr int64_t kMoment = 100 * kMillisecond;
constexpr int64_t kForever = INT64_MAX;
constexpr size_t kPiece = 16 << 10;

// TCP tells the peer with RST that there is no more; unix sockets just close.
void Reset(UniqueFd* fd) {
  const linger at_once{1, 0};
  ::setsockopt(fd->get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
  fd->reset();
}

UniqueFd ConnectTo(const std::string& target) {
  if (target.rfind("unix:", 0) == 0) {
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, target.c_str() + 5, sizeof(address.sun_path) - 1);
    if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) return {};
    return fd;
  }
  UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(std::stoi(target.substr(target.rfind(':') + 1))));
  if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) return {};
  return fd;
}

// One direction of a connection.
struct Direction {
  UniqueFd* from = nullptr;
  UniqueFd* to = nullptr;
  std::string bytes;     // read and not written
  int64_t due_ns = 0;    // not to be written before
  bool stalled = false;  // nothing is read
  bool ended = false;    // its source is at its end
};

struct Link {
  UniqueFd client;
  UniqueFd agent;
  Direction to_client;
  Direction to_agent;
  Fault fault = Fault::kNone;
  uint64_t bytes_left = 0;  // until it strikes
  bool struck = false;
  int64_t end_ns = kForever;  // then both sides are reset
  bool over = false;
};

}  // namespace

struct FaultProxy::State {
  std::mutex mutex;
  std::condition_variable changed;
  std::string target;
  size_t struck = 0;
  size_t connections = 0;
  size_t closed_by_client = 0;
  size_t closed_by_agent = 0;
  bool reset_all = false;
  bool stall_all = false;
  bool over = false;
};

class FaultProxy::Loop {
 public:
  Loop(const Options& options, std::shared_ptr<State> state, UniqueFd listener)
      : options_(options),
        state_(std::move(state)),
        listener_(std::move(listener)),
        wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
        random_(options.seed),
        thread_([this] { Run(); }) {}
  ~Loop() {
    Wake();
    thread_.join();
  }
  void Wake() {
    const uint64_t one = 1;
    (void)!::write(wake_.get(), &one, sizeof(one));
  }

 private:
  uint64_t Pick(uint64_t below) { return random_() % below; }

  void Run() {
    for (;;) {
      bool stall = false;
      {
        const std::lock_guard lock(state_->mutex);
        if (state_->over) break;
        stall = std::exchange(state_->stall_all, false);
        if (std::exchange(state_->reset_all, false)) {
          for (Link& link : links_) End(&link);
        }
      }
      for (Link& link : links_) {
        if (stall) link.to_client.stalled = link.to_agent.stalled = link.struck = true;
      }
      Round();
      links_.remove_if([](const Link& link) { return link.over; });
    }
    for (Link& link : links_) End(&link);
  }

  void Round() {
    std::vector<pollfd> waits = {{wake_.get(), POLLIN, 0}, {listener_.get(), POLLIN, 0}};
    int64_t next_ns = kForever;
    const int64_t before = BootTimeNanos();
    for (Link& link : links_) {
      next_ns = std::min(next_ns, link.end_ns);
      for (const Direction* one : {&link.to_client, &link.to_agent}) {
        const bool reads = !one->ended && one->bytes.empty() && !one->stalled;
        // One that is stalled is still watched for its peer going away.
        waits.push_back({one->from->get(), static_cast<short>(reads ? POLLIN : POLLRDHUP), 0});
        const bool writes = !one->bytes.empty() && !one->stalled && one->due_ns <= before;
        waits.push_back({writes ? one->to->get() : -1, POLLOUT, 0});
        if (!one->bytes.empty() && !one->stalled && !writes)
          next_ns = std::min(next_ns, one->due_ns);
      }
    }
    int timeout = 1'000;
    if (next_ns != kForever) {
      timeout = static_cast<int>(
          std::clamp<int64_t>((next_ns - before + kMillisecond - 1) / kMillisecond, 0, 1'000));
    }
    ::poll(waits.data(), waits.size(), timeout);
    uint64_t rung = 0;
    (void)!::read(wake_.get(), &rung, sizeof(rung));
    size_t at = 2;
    const int64_t now = BootTimeNanos();
    for (Link& link : links_) {
      for (Direction* one : {&link.to_client, &link.to_agent}) {
        const short readable = waits[at++].revents;
        const short writable = waits[at++].revents;
        if (!link.over && readable != 0) OnReadable(&link, one, readable, now);
        if (!link.over && writable != 0) OnWritable(&link, one, now);
      }
      if (!link.over && link.end_ns <= now) End(&link);
    }
    if (waits[1].revents != 0) Accept(now);
  }

  void Accept(int64_t now) {
    UniqueFd client(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!client) return;
    std::string target;
    size_t number = 0;
    {
      const std::lock_guard lock(state_->mutex);
      target = state_->target;
      number = state_->connections;
    }
    UniqueFd agent;
    if (now >= refuse_until_ns_) agent = ConnectTo(target);
    if (!agent) return Reset(&client);
    ::fcntl(agent.get(), F_SETFL, O_NONBLOCK);
    links_.emplace_back();
    Link& link = links_.back();
    link.client = std::move(client);
    link.agent = std::move(agent);
    link.to_client = {&link.agent, &link.client, {}, 0, false, false};
    link.to_agent = {&link.client, &link.agent, {}, 0, false, false};
    if (number < options_.faults) {
      link.fault = options_.only != Fault::kNone
                       ? options_.only
                       : static_cast<Fault>(1 + (order_ + number) % (kFaults - 1));
      // The first bytes are the transports' greetings: some faults are to strike there, too.
      link.bytes_left = 1 + Pick(Pick(4) == 0 ? 200 : options_.bytes_max);
      if (link.fault == Fault::kTrickle) link.bytes_left = 1 + link.bytes_left % 3'000;
    }
    const std::lock_guard lock(state_->mutex);
    ++state_->connections;
    state_->changed.notify_all();
  }

  void OnReadable(Link* link, Direction* one, short events, int64_t now) {
    if (one->stalled || !one->bytes.empty()) {
      if ((events & (POLLRDHUP | POLLHUP | POLLERR)) != 0 && one->stalled) ClosedBy(link, one);
      return;
    }
    char bytes[kPiece];
    const size_t want = link->fault == Fault::kTrickle ? 1 + Pick(200) : sizeof(bytes);
    const ssize_t size = ::read(one->from->get(), bytes, want);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
    // One that has closed its side has closed it for us: nothing here half-closes for long.
    if (size <= 0) return ClosedBy(link, one);
    one->bytes.assign(bytes, static_cast<size_t>(size));
    one->due_ns = now;
    if (link->fault == Fault::kDelay)
      one->due_ns += static_cast<int64_t>(1 + Pick(20)) * kMillisecond;
    if (link->fault == Fault::kTrickle) one->due_ns += kMillisecond;
    OnWritable(link, one, now);
  }

  void OnWritable(Link* link, Direction* one, int64_t now) {
    if (one->bytes.empty() || one->due_ns > now) return;
    const bool strikes =
        link->fault != Fault::kNone && !link->struck && one->bytes.size() >= link->bytes_left;
    // What is not sent before it strikes is not lost: this direction may go on.
    const size_t part =
        strikes && link->fault != Fault::kCut ? link->bytes_left : one->bytes.size();
    const ssize_t size = ::send(one->to->get(), one->bytes.data(), part, MSG_NOSIGNAL);
    if (size < 0 && errno != EAGAIN && errno != EINTR) return End(link);
    if (size <= 0) return;
    link->bytes_left -= std::min(link->bytes_left, static_cast<uint64_t>(size));
    one->bytes.erase(0, static_cast<size_t>(size));
    if (strikes && static_cast<size_t>(size) == part) Strike(link, now);
  }

  void ClosedBy(Link* link, const Direction* one) {
    {
      const std::lock_guard lock(state_->mutex);
      ++(one->from == &link->client ? state_->closed_by_client : state_->closed_by_agent);
      state_->changed.notify_all();
    }
    // Of a silent link each side finds out by itself.
    if (link->struck && one->stalled && link->end_ns == kForever) {
      one->from == &link->client ? link->client.reset() : link->agent.reset();
      link->over = !link->client && !link->agent;
      return;
    }
    link->client.reset();
    link->agent.reset();
    link->over = true;
  }

  void Strike(Link* link, int64_t now) {
    link->struck = true;
    {
      const std::lock_guard lock(state_->mutex);
      ++state_->struck;
      state_->changed.notify_all();
    }
    const auto silent = [link, now](bool to_client, bool to_agent) {
      link->to_client.stalled = to_client;
      link->to_agent.stalled = to_agent;
      link->end_ns = now + kMoment;
    };
    switch (link->fault) {
      case Fault::kHalfCloseClient:
        ::shutdown(link->client.get(), SHUT_WR);
        return silent(true, false);
      case Fault::kHalfCloseAgent:
        ::shutdown(link->agent.get(), SHUT_WR);
        return silent(false, true);
      case Fault::kStall:
        return silent(true, true);
      case Fault::kStallToClient:
        return silent(true, false);
      case Fault::kStallToAgent:
        return silent(false, true);
      case Fault::kReset:
        return End(link);
      case Fault::kResetClient:
        Reset(&link->client);
        break;
      case Fault::kResetAgent:
        Reset(&link->agent);
        break;
      case Fault::kRefuse:
        refuse_until_ns_ = now + kMoment;
        break;
      default:
        break;
    }
    link->client.reset();
    link->agent.reset();
    link->over = true;
  }

  static void End(Link* link) {
    if (link->client) Reset(&link->client);
    if (link->agent) Reset(&link->agent);
    link->over = true;
  }

  const Options options_;
  const std::shared_ptr<State> state_;
  const UniqueFd listener_;
  const UniqueFd wake_;
  // The loop's thread alone.
  std::mt19937_64 random_;
  const uint64_t order_ = random_() % kFaults;
  std::list<Link> links_;
  int64_t refuse_until_ns_ = 0;
  std::thread thread_;
};

FaultProxy::FaultProxy(Options options) : state_(std::make_shared<State>()) {
  state_->target = options.target;
  UniqueFd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  ::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), size);
  ::listen(listener.get(), SOMAXCONN);
  ::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size);
  address_ = "127.0.0.1:" + std::to_string(ntohs(address.sin_port));
  loop_ = std::make_unique<Loop>(options, state_, std::move(listener));
}

FaultProxy::~FaultProxy() {
  const std::lock_guard lock(state_->mutex);
  state_->over = true;
}

void FaultProxy::ResetAll() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->reset_all = true;
  }
  loop_->Wake();
}

void FaultProxy::StallAll() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->stall_all = true;
  }
  loop_->Wake();
}

size_t FaultProxy::struck() const {
  const std::lock_guard lock(state_->mutex);
  return state_->struck;
}

size_t FaultProxy::connections() const {
  const std::lock_guard lock(state_->mutex);
  return state_->connections;
}

bool FaultProxy::AwaitClosedByClient(size_t count, int seconds) {
  std::unique_lock lock(state_->mutex);
  return state_->changed.wait_for(lock, std::chrono::seconds(seconds),
                                  [&] { return state_->closed_by_client >= count; });
}

bool FaultProxy::AwaitClosedByAgent(size_t count, int seconds) {
  std::unique_lock lock(state_->mutex);
  return state_->changed.wait_for(lock, std::chrono::seconds(seconds),
                                  [&] { return state_->closed_by_agent >= count; });
}

}  // namespace brood::testing
