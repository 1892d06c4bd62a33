// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace brood::testing {

// What happens to one connection. All but kNone end it in the end, so that a client has to come
// again.
enum class Fault {
  kNone,
  kDelay,            // each piece some milliseconds late; then cut
  kTrickle,          // a few bytes at a time; then cut
  kCut,              // both sides closed, between two pieces
  kCutMidMessage,    // both sides closed, after a part of a piece
  kHalfCloseClient,  // end-of-file towards the client, the other direction goes on for a moment
  kHalfCloseAgent,
  kReset,  // RST to both sides
  kResetClient,
  kResetAgent,
  kStall,  // both directions silent, sockets open; RST after a moment
  kStallToClient,
  kStallToAgent,
  kRefuse,  // cut, and the next connections are reset for a moment
};
inline constexpr size_t kFaults = static_cast<size_t>(Fault::kRefuse) + 1;

// A TCP proxy on loopback between a client and an agent that does harm, said by a seed: which fault
// each connection gets, and after how many bytes. A thread of its own; all calls from any thread.
class FaultProxy {
 public:
  struct Options {
    std::string target;  // "unix:/PATH" or "127.0.0.1:PORT"
    uint64_t seed = 1;
    // So many connections get a fault; those after them are clean.
    size_t faults = 0;
    // The kind; kNone: all kinds in turns, from one that the seed picks.
    Fault only = Fault::kNone;
    // The most bytes before a fault strikes.
    uint64_t bytes_max = 64 << 10;
  };
  explicit FaultProxy(Options options);
  // Resets what is open.
  ~FaultProxy();
  FaultProxy(const FaultProxy&) = delete;
  FaultProxy& operator=(const FaultProxy&) = delete;

  // "127.0.0.1:PORT".
  const std::string& address() const { return address_; }

  // All connections, now: RST to both sides.
  void ResetAll();
  // All connections fall silent, in both directions, and stay open until one of the sides closes.
  void StallAll();

  // How many faults have struck.
  size_t struck() const;
  size_t connections() const;
  // Waits until so many stalled connections were closed by that side; false if they were not in
  // time.
  bool AwaitClosedByClient(size_t count, int seconds);
  bool AwaitClosedByAgent(size_t count, int seconds);

 private:
  struct State;
  class Loop;
  const std::shared_ptr<State> state_;
  std::string address_;
  std::unique_ptr<Loop> loop_;
};

}  // namespace brood::testing
