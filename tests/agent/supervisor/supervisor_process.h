// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/outbox/note.h"
#include "agent/outbox/outbox_reader.h"
#include "brood/internal/v1/frames.pb.h"
#include "common/base/frame_socket.h"
#include "common/base/unique_fd.h"

namespace brood::testing {

// How long a test waits for what must come.
inline constexpr int64_t kPatienceNanos = 20'000'000'000;

// Waits until `fd` has something to read or its end. False after the patience.
bool WaitReadable(int fd);

// One connection to a supervisor, as an agent has it.
class AgentLink {
 public:
  explicit AgentLink(const std::string& socket_path);
  void Say(const internal::v1::ToSupervisor& frame);
  void SayHello(uint64_t incarnation, uint32_t protocol);
  // The next frame; nothing if the supervisor closed the connection.
  std::optional<internal::v1::FromSupervisor> Listen();
  UniqueFd TakeFd() { return socket_.TakeFd(); }

 private:
  FrameSocket socket_;
  std::vector<std::string> received_;
  bool closed_ = false;
};

struct NoteSeen {
  Note note;
  std::string text;
};

// A supervisor with a folder of its own. Its end leaves nothing behind.
class SupervisorProcess {
 public:
  // `by_agent`: started by a process between us, which is killed before this returns.
  explicit SupervisorProcess(bool by_agent = false);
  ~SupervisorProcess();

  // Says hello as that agent and takes the bell.
  internal::v1::FromSupervisor Meet(AgentLink* link, uint64_t agent_incarnation);

  // A request for the stand-in, which acts as `act` says.
  internal::v1::StartParent StartOf(const std::string& name, uint64_t incarnation,
                                    const std::string& act);

  // Reads notes until `count` in all were seen. Needs the bell.
  const std::vector<NoteSeen>& WaitForNotes(size_t count);
  const NoteSeen* FindNote(NoteKind kind, pid_t pid = 0) const;

  size_t CountDescriptors() const;

  // Waits for its end: its wait status.
  int WaitForEnd();

  pid_t pid() const { return pid_; }
  const std::string& directory() const { return directory_; }
  const std::string& socket_path() const { return socket_path_; }

 private:
  std::string directory_;
  std::string socket_path_;
  pid_t pid_ = 0;
  UniqueFd pidfd_;
  UniqueFd bell_;
  std::unique_ptr<OutboxReader> reader_;
  std::vector<NoteSeen> notes_;
};

std::string ReadFile(const std::string& path);

}  // namespace brood::testing
