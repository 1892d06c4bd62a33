// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "agent/core/core.h"
#include "agent/core/fact.h"
#include "agent/outbox/slot_file.h"
#include "common/base/clock.h"

namespace brood {

// What a forked call came to, if it came to its end, and the last progress it reported.
struct CallFacts {
  std::optional<CallResult> result;
  std::optional<CallProgress> progress;
};

// A slot of a parent's, and what stands in it.
struct SlotStart {
  uint32_t slot = 0;
  StartSlot start;
};

// One life of a parent, as an agent can reach it: what it noted, and what its jobs wrote into their
// slots. The loop's thread.
class Life {
 public:
  virtual ~Life() = default;
  virtual const ParentKey& key() const = 0;
  // Takes in what the parent noted so far.
  virtual void ReadNotes() = 0;
  // Of a parent that has ended: what its slots say, by slot. Who has not begun by now never will,
  // but for those that are known to have started.
  virtual std::vector<StartSlot> TakeStarts(
      const std::function<bool(uint64_t job_key)>& is_started) = 0;
  // What its jobs' processes wrote into their slots so far, by slot.
  virtual std::vector<StartSlot> ReadStarts() const = 0;
  virtual CallFacts ReadCall(uint64_t job_key, uint32_t slot) const = 0;
  // Whose thread made it end; 0: not known.
  virtual uint64_t CulpritJobKey() const = 0;
  // The kernel has killed a process of the job since its memory limit was reached.
  virtual bool WasOutOfMemory(uint64_t job_key) const = 0;
  // The parent has told this agent what it is: then its jobs' streams are here, all there were.
  // That a connection was made does not say that anybody read it.
  virtual bool has_answered() const = 0;
  // Takes in what was written to watched cells: by one job; by all.
  virtual void TakeWritesOf(uint64_t job_key) = 0;
  virtual void TakeAllWrites() = 0;
};

// The host, as far as lives of parents are concerned. The loop's thread.
class LifeHost {
 public:
  virtual ~LifeHost() = default;

  // One input of the core; a look at it.
  virtual void StepCore(absl::FunctionRef<void(Core&, Instant, Batch*)> step) = 0;
  virtual void LookAtCore(absl::FunctionRef<void(const Core&)> look) const = 0;
  virtual Instant Now() const = 0;
  // In this thread, not within this call.
  virtual void Later(std::function<void()> act) = 0;

  // The parent process of that process, also of a zombie; nothing: it is not there any more.
  virtual std::optional<int32_t> FindParentOf(int32_t pid, int64_t start_ns) const = 0;
  // Empty: nobody has that pid.
  virtual std::string NameOf(int32_t pid) const = 0;
  virtual int32_t supervisor_pid() const = 0;
  // Watches a process that is no child of ours nor of our supervisor's. False if it is not there
  // any more. Whom it watches already it does not watch again.
  virtual bool WatchStranger(int32_t pid, int64_t start_ns,
                             std::function<void(const WaitStatus&)> ended) = 0;

  // What the supervisor noted so far, or those before it: to Lives::OnSupervisorNote.
  virtual void ReadSupervisorNotes() = 0;
  virtual void ReadOlderSupervisorNotes() = 0;
  // What supervisors and parents have left here is of another boot of the host, whatever the
  // journal knows: a loss of power may have taken all events, and keys then come again.
  virtual bool HoldsOtherBoot() = 0;
  // Removes it, now.
  virtual void DropOtherBoot() = 0;

  // The lives that are held. Null if that one is not.
  virtual std::shared_ptr<Life> FindLife(const ParentKey& key) const = 0;
  virtual std::vector<std::shared_ptr<Life>> ListLives() const = 0;
  // Holds one that an earlier agent had started.
  virtual std::shared_ptr<Life> OpenLife(const ParentKey& key) = 0;
  // Connects to it as soon as it listens.
  virtual void ConnectLife(const ParentKey& key) = 0;
  // It has ended: nobody can connect any more.
  virtual void CloseLife(const ParentKey& key) = 0;
  // Lets go of it; its files go once the journal has what its notes said.
  virtual void DropLife(const ParentKey& key) = 0;
  // Nobody is between the job and the files of its output.
  virtual bool WritesItsFiles(uint64_t job_key) const = 0;
  // Takes the streams of another job out of its own process; false unless both were there.
  virtual bool ReopenStreams(uint64_t job_key, int32_t pid, const StartSlot& start) = 0;
};

}  // namespace brood
