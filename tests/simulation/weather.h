// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "tests/simulation/random.h"

namespace brood::simulation {

// What may go wrong in one run, and how often. Each seed has a part of it only: where all goes
// wrong at once, one fault hides the next.
struct Weather {
  explicit Weather(Random* random) {
    const auto maybe = [random](uint64_t most) {
      return random->Chance(450) ? static_cast<int>(1 + random->Below(most)) : 0;
    };
    agent_kills = maybe(8);
    parent_kills = maybe(4);
    supervisor_kills = maybe(3);
    pair_kills = maybe(3);
    all_kills = maybe(2);
    power_losses = random->Chance(120) ? static_cast<int>(1 + random->Below(2)) : 0;
    disk_full = maybe(2);
    parent_ends = maybe(3);
    cuts_in_thousand = random->Chance(500) ? static_cast<uint32_t>(random->Below(200)) : 0;
    crash_in_thousand = random->Chance(300) ? static_cast<uint32_t>(random->Below(120)) : 0;
    cancel_in_thousand = random->Chance(500) ? static_cast<uint32_t>(random->Below(300)) : 0;
    signal_in_thousand = random->Chance(300) ? static_cast<uint32_t>(random->Below(300)) : 0;
    timeout_in_thousand = random->Chance(300) ? static_cast<uint32_t>(random->Below(300)) : 0;
    daemon_in_thousand = random->Chance(300) ? static_cast<uint32_t>(random->Below(200)) : 0;
    exec_fails_in_thousand = random->Chance(300) ? static_cast<uint32_t>(random->Below(100)) : 0;
    durable_in_thousand = random->Chance(400) ? static_cast<uint32_t>(random->Below(800)) : 0;
    strangers = random->Chance(400);
    clock_jumps = random->Chance(200);
    kernel_tells_status = random->Chance(500);
    jobs = static_cast<int>(8 + random->Below(50));
    process_slots = static_cast<uint32_t>(1 + random->Below(5));
    thread_slots = static_cast<uint32_t>(1 + random->Below(4));
    call_slots = process_slots + static_cast<uint32_t>(random->Below(12));
    span_ns = random->Between(200'000'000, 3'000'000'000);
  }

  int agent_kills;
  int parent_kills;
  int supervisor_kills;
  int pair_kills;  // two of the three at once
  int all_kills;
  int power_losses;
  int disk_full;
  int parent_ends;            // a named parent is asked to end
  uint32_t cuts_in_thousand;  // of a client's messages are lost with their connection
  uint32_t crash_in_thousand;
  uint32_t cancel_in_thousand;
  uint32_t signal_in_thousand;
  uint32_t timeout_in_thousand;
  uint32_t daemon_in_thousand;      // jobs leave a process behind
  uint32_t exec_fails_in_thousand;  // jobs' programs are not there
  uint32_t durable_in_thousand;
  bool strangers;            // other programs come and go, and take pids
  bool clock_jumps;          // the wall clock does
  bool kernel_tells_status;  // of processes that somebody else has waited for (Linux 6.15)
  int jobs;
  uint32_t process_slots;
  uint32_t thread_slots;
  uint32_t call_slots;  // of a parent, at the most
  int64_t span_ns;      // in which jobs are submitted and things go wrong
};

}  // namespace brood::simulation
