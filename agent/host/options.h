// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "brood/v1/job.pb.h"
#include "common/base/error.h"
#include "common/tls/tls_files.h"

namespace brood {

// What the agent was told, checked and filled in.
struct AgentOptions {
  std::string name;             // of the host
  std::string state_directory;  // of this machine: STATE/<machine-id>
  std::string runtime_directory;
  std::string socket_path;
  // A TCP address to listen on too; empty: none.
  std::string listen_host;
  uint16_t listen_port = 0;
  // There in plaintext: only if it is loopback.
  bool insecure_loopback = false;
  // There with TLS, as the configuration's file and the command line say.
  TlsFiles tls;
  std::string configuration;
  uint32_t process_slots = 0;
  uint32_t thread_slots = 0;
  uint32_t queue_limit = 0;
  // A client that takes nothing of a stream for so long is cut off with what it goes on by.
  std::chrono::nanoseconds reader_patience{0};
  v1::Mode default_mode = v1::MODE_FORK;
  uint32_t ended_jobs = 0;       // that stay in memory
  uint64_t snapshot_events = 0;  // see kSnapshotEvents
  // Of the journal: events beyond so many bytes, or older than that (0: however old), go.
  uint64_t retain_bytes = 0;
  int64_t retain_ns = 0;
  uint64_t output_bytes_kept = 0;
  int ready_fd = -1;
  // Not to serve, but to check this journal's folder; empty: to serve.
  std::string check_journal;
};

// From the command line and the environment. The error's message is for people.
Result<AgentOptions> ParseAgentOptions(int argc, char** argv);

}  // namespace brood
