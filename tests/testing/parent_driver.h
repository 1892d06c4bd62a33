// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/outbox/note.h"
#include "agent/outbox/outbox_reader.h"
#include "agent/outbox/slot_file.h"
#include "brood/internal/v1/frames.pb.h"
#include "common/base/frame_socket.h"
#include "common/base/unique_fd.h"

namespace brood::testing {

struct SeenNote {
  Note note;
  std::string text;
};

struct ParentDriverOptions {
  uint32_t call_slots = 16;
  std::vector<std::string> libraries;
  std::vector<std::string> environment;  // NAME=VALUE, beside this process's
  std::string program;                   // default: brood-parent
};

// Starts a real brood-parent in a folder of its own and plays agent (and
// supervisor: it becomes a subreaper) to it. Its destructor leaves no process
// and no file: it reaps all children of this process, so one lives at a time.
// Every wait ends: false, or null, after some seconds.
class ParentDriver {
 public:
  explicit ParentDriver(ParentDriverOptions options = {});
  ~ParentDriver();
  ParentDriver(const ParentDriver&) = delete;
  ParentDriver& operator=(const ParentDriver&) = delete;

  // Opens both connections, waits for hello and tasks.
  bool Connect(uint64_t agent_incarnation = 1);
  void Disconnect();
  bool main_open() const { return main_ != nullptr; }
  bool commands_open() const { return commands_ != nullptr; }

  static internal::v1::StartJob Command(std::vector<std::string> argv);
  internal::v1::StartJob Call(const std::string& task, std::vector<internal::v1::Value> arguments,
                              bool thread);
  // Gives it the next key and sends it; the key.
  uint64_t Start(internal::v1::StartJob job);
  void Send(const internal::v1::ToParent& frame);
  void SendCommands(const internal::v1::ToParent& frame);
  void SignalJob(uint64_t job_key, int signal, bool whole_group);
  void Drain(uint64_t job_key);
  void StopCall(uint64_t job_key);
  void End(int how);
  std::optional<internal::v1::MemoryAnswer> ReadMemory(std::vector<std::string> cells,
                                                       uint32_t limit = 0);

  // Takes what comes until `done`.
  bool Wait(const std::function<bool()>& done);
  // The first note of this kind about the job, awaited; null if none comes.
  const SeenNote* Await(uint64_t job_key, NoteKind kind);
  // The first end of the job, of whatever kind, awaited.
  const SeenNote* AwaitEnd(uint64_t job_key);
  // Notes of this kind about the job so far.
  size_t Count(uint64_t job_key, NoteKind kind) const;
  // Output to its end (stdout, stderr), awaited.
  bool AwaitOutput(uint64_t job_key);

  // The wait status of the parent, awaited; nullopt if it does not end.
  std::optional<int> AwaitParentEnd();
  // Of any process that came to us as its subreaper.
  std::optional<int> AwaitOrphan(pid_t pid);

  struct Output {
    UniqueFd input;
    UniqueFd fds[2];
    std::string bytes[2];
    int announced = 0;
  };
  std::map<uint64_t, Output>& outputs() { return outputs_; }
  const std::deque<SeenNote>& notes() const { return notes_; }
  const std::vector<internal::v1::Signalled>& signalled() const { return signalled_; }
  // Jobs that it said it has never heard of.
  const std::vector<uint64_t>& unknown() const { return unknown_; }
  const internal::v1::Tasks& tasks() const { return tasks_; }
  const internal::v1::Hello& hello() const { return hello_; }
  const std::vector<uint32_t>& rings() const { return rings_; }
  SlotReader Slots() const { return SlotReader(directory_); }
  pid_t pid() const { return pid_; }
  const std::string& directory() const { return directory_; }
  std::string Log() const;
  // Whether the driver itself reads outputs (default) or leaves them in the pipes.
  void set_reads_output(bool reads) { reads_output_ = reads; }

 private:
  bool Round(int milliseconds);
  void ReceiveOn(std::unique_ptr<FrameSocket>* socket);
  void OnFrame(FrameSocket* socket, const internal::v1::FromParent& frame);
  void ReadOutputs(uint64_t job_key);
  void ReadNotes();

  std::string directory_;
  pid_t pid_ = -1;
  std::optional<int> parent_status_;
  uint64_t next_key_ = 1;
  bool reads_output_ = true;
  std::unique_ptr<FrameSocket> main_;
  std::unique_ptr<FrameSocket> commands_;
  std::unique_ptr<OutboxReader> outbox_;
  UniqueFd bell_;
  UniqueFd doorbell_;
  bool greeted_commands_ = false;
  internal::v1::Hello hello_;
  internal::v1::Tasks tasks_;
  bool has_tasks_ = false;
  std::deque<SeenNote> notes_;  // whose elements stay where they are
  std::vector<internal::v1::Signalled> signalled_;
  std::vector<internal::v1::MemoryAnswer> memory_;
  std::vector<uint32_t> rings_;
  std::vector<uint64_t> unknown_;
  std::map<uint64_t, Output> outputs_;
};

// Values for calls.
internal::v1::Value Int(int64_t value);
internal::v1::Value Text(const std::string& value);

}  // namespace brood::testing
