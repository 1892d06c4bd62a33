// SPDX-License-Identifier: Apache-2.0
#include "agent/host/parent_link.h"

#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <set>
#include <utility>

#include "agent/core/spec_frame.h"
#include "agent/host/note_facts.h"
#include "agent/host/parent_notes.h"
#include "agent/outbox/doorbell.h"
#include "common/base/failpoint.h"
#include "common/base/protocol.h"
#include "common/base/unix_socket.h"
#include "spdlog/spdlog.h"

namespace brood {
namespace {

// Watched cells, before this note of its end. A fork writes in its own process: the parent does not
// know.
bool MayHaveWritten(const Note& note) {
  return note.kind == NoteKind::kExited || (note.flags & kHasWrites) != 0;
}

v1::Task TaskOfFrame(const internal::v1::Task& frame) {
  v1::Task task;
  task.set_name(frame.name());
  task.set_summary(frame.summary());
  for (const internal::v1::TaskParameter& parameter : frame.parameters()) {
    v1::TaskParameter* const out = task.add_parameters();
    out->set_name(parameter.name());
    out->set_type(static_cast<v1::ValueType>(parameter.type()));
    out->set_optional(parameter.optional());
  }
  task.set_result(static_cast<v1::ValueType>(frame.result()));
  task.set_isolated(frame.isolated());
  task.set_shares_memory(frame.shares_memory());
  task.set_method(frame.method());
  task.set_on_main_thread(frame.on_main_thread());
  return task;
}

}  // namespace

ParentLink::ParentLink(ParentKey key, std::string directory, std::string socket_path,
                       uint64_t agent_incarnation, EventLoop* loop, Sequencer* sequencer,
                       Spool* spool, JobInputs* inputs)
    : key_(std::move(key)),
      directory_(std::move(directory)),
      socket_path_(std::move(socket_path)),
      agent_incarnation_(agent_incarnation),
      loop_(loop),
      sequencer_(sequencer),
      spool_(spool),
      inputs_(inputs),
      watch_(key_, directory_, loop, sequencer,
             [this](internal::v1::WatchCells cells) {
               internal::v1::ToParent frame;
               *frame.mutable_watch_cells() = std::move(cells);
               Send(frame);
             }),
      outbox_(directory_) {}

ParentLink::~ParentLink() { Shut(); }

void ParentLink::Shut() {
  Close(&main_);
  Close(&commands_);
  if (bell_) loop_->Remove(bell_.get());
  bell_.reset();
  if (doorbell_) loop_->Remove(doorbell_.get());
  doorbell_.reset();
  watch_.Shut();
  if (streams_timer_ != 0) loop_->Cancel(streams_timer_);
  streams_timer_ = 0;
  for (const auto& request : std::exchange(memory_requests_, {})) {
    request.second(
        Error{ErrorCode::kUnavailable, "PARENT_ENDED", "parent '" + key_.name + "' ended", ""});
  }
}

bool ParentLink::TryConnect() {
  if (!Open(&main_, false)) return false;
  if (!Open(&commands_, true)) {
    Close(&main_);
    return false;
  }
  was_connected_ = true;
  return true;
}

bool ParentLink::Open(Channel* channel, bool commands) {
  if (FailsAt("parent.connect")) return false;
  Result<UniqueFd> fd = ConnectUnix(socket_path_);
  if (!fd) return false;
  const int number = fd->get();
  {
    const absl::MutexLock lock(&channel->mutex);
    channel->socket = std::make_unique<FrameSocket>(std::move(*fd));
    channel->receiver = channel->socket.get();
  }
  internal::v1::ToParent frame;
  frame.mutable_hello()->set_protocol(kProtocolVersion);
  frame.mutable_hello()->set_agent_incarnation(agent_incarnation_);
  frame.mutable_hello()->set_commands(commands);
  SendOn(channel, frame);
  loop_->Add(number, EPOLLIN, [this, channel](uint32_t events) {
    if ((events & EPOLLOUT) != 0) OnWritable(channel);
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) Receive(channel);
  });
  return true;
}

void ParentLink::Close(Channel* channel) {
  const absl::MutexLock lock(&channel->mutex);
  if (channel->socket == nullptr) return;
  loop_->Remove(channel->socket->fd());
  channel->socket.reset();
  channel->receiver = nullptr;
}

void ParentLink::SendOn(Channel* channel, const internal::v1::ToParent& frame) {
  const absl::MutexLock lock(&channel->mutex);
  if (channel->socket == nullptr) return;
  const bool waited = channel->socket->wants_write();
  if (const Status failed = channel->socket->Send(frame.SerializeAsString())) {
    spdlog::warn("parent {} {}: {}", key_.name, key_.incarnation, failed->message);
    return;
  }
  if (!waited && channel->socket->wants_write()) {
    loop_->Post([weak = weak_from_this(), channel] {
      if (const std::shared_ptr<ParentLink> link = weak.lock()) link->ArmWrite(channel);
    });
  }
}

void ParentLink::ArmWrite(Channel* channel) {
  const absl::MutexLock lock(&channel->mutex);
  if (channel->socket == nullptr || !channel->socket->wants_write()) return;
  loop_->Change(channel->socket->fd(), EPOLLIN | EPOLLOUT);
}

void ParentLink::OnWritable(Channel* channel) {
  const absl::MutexLock lock(&channel->mutex);
  if (channel->socket == nullptr) return;
  if (const Status failed = channel->socket->Flush())
    spdlog::warn("parent {}: {}", key_.name, failed->message);
  if (!channel->socket->wants_write()) loop_->Change(channel->socket->fd(), EPOLLIN);
}

void ParentLink::Send(const internal::v1::ToParent& frame) { SendOn(&main_, frame); }
void ParentLink::SendCommands(const internal::v1::ToParent& frame) { SendOn(&commands_, frame); }

void ParentLink::Receive(Channel* channel) {
  if (channel->receiver == nullptr) return;
  const Result<bool> open = channel->receiver->Receive([this, channel](std::string_view bytes) {
    internal::v1::FromParent frame;
    if (!frame.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
      spdlog::error("parent {}: a frame that is none", key_.name);
      return;
    }
    OnFrame(channel, frame);
  });
  // The end of a connection proves nothing: the supervisor tells of ends.
  if (!open || !*open) Close(channel);
}

void ParentLink::OnFrame(Channel* channel, const internal::v1::FromParent& frame) {
  if (frame.bells()) {
    bell_ = channel->receiver->TakeFd();
    doorbell_ = channel->receiver->TakeFd();
    if (bell_)
      loop_->Add(bell_.get(), EPOLLIN, [this](uint32_t) {
        uint64_t rings = 0;
        (void)!::read(bell_.get(), &rings, sizeof(rings));
        ReadNotes();
      });
    if (doorbell_) loop_->Add(doorbell_.get(), EPOLLIN, [this](uint32_t) { OnDoorbell(); });
  }
  if (frame.has_tasks()) {
    has_answered_ = true;  // The streams were sent before.
    std::vector<v1::Task> tasks;
    std::vector<std::string> libraries;
    for (const internal::v1::Library& library : frame.tasks().libraries()) {
      if (!library.error().empty()) {
        spdlog::error("parent {}: library {}: {}", key_.name, library.path(), library.error());
        library_error_ = library.error();
        continue;
      }
      libraries.push_back(library.path());
      for (const internal::v1::Task& task : library.tasks()) tasks.push_back(TaskOfFrame(task));
    }
    sequencer_->Step([&](Core& core, Instant now, Batch* batch) {
      core.OnParentReady(now, key_, std::move(tasks), std::move(libraries), batch);
    });
  }
  for (const internal::v1::Streams& streams : frame.streams())
    TakeStreams(channel->receiver, streams);
  for (const internal::v1::Signalled& signalled : frame.signalled()) {
    sequencer_->Step([&](Core& core, Instant now, Batch* batch) {
      core.OnSignalled(now,
                       SignalledFact{signalled.job_key(), signalled.signal(),
                                     signalled.whole_group(), signalled.error_number()},
                       batch);
    });
  }
  if (frame.unknown_size() > 0) {
    sequencer_->Step([&](Core& core, Instant now, Batch* batch) {
      core.OnUnknownToParent(now, key_, {frame.unknown().begin(), frame.unknown().end()}, batch);
    });
  }
  if (frame.watching() != 0) watch_.OnWatching(frame.watching());
  if (frame.has_memory()) {
    const auto request = memory_requests_.find(frame.memory().request());
    if (request == memory_requests_.end()) return;
    MemoryDone done = std::move(request->second);
    memory_requests_.erase(request);
    done(frame.memory());
  }
}

void ParentLink::ReadMemory(internal::v1::ReadMemory request, MemoryDone done) {
  internal::v1::ToParent frame;
  request.set_request(next_request_);
  *frame.mutable_read_memory() = std::move(request);
  memory_requests_[next_request_++] = std::move(done);
  Send(frame);
}

void ParentLink::ReadNotes() {
  if (slots_ == nullptr || slots_->slots() == 0) slots_ = std::make_unique<SlotReader>(directory_);
  outbox_.Read(
      [this](const Note& note, std::string_view text) { notes_.emplace_back(note, text); });
  if (outbox_.damaged() != damaged_notes_) {
    damaged_notes_ = outbox_.damaged();
    spdlog::error("parent {} {}: {} damaged notes were skipped", key_.name, key_.incarnation,
                  damaged_notes_);
  }
  // A job's streams are sent before the note of its end: whatever is noted by
  // now has its streams in the socket by now.
  Receive(&main_);
  if (!notes_.empty()) Failpoint("notes.read");
  for (const auto& [note, text] : notes_) {
    // What a job wrote comes before its end.
    if (MayHaveWritten(note)) watch_.TakeWritesOf(note.job_key);
    if (!MustWait(note, text)) OnNote(note, text);
  }
  notes_.clear();
}

void ParentLink::OnNote(const Note& note, std::string_view text) {
  sequencer_->Step(
      [&](Core& core, Instant, Batch* batch) { TakeParentNote(*this, note, text, &core, batch); });
}

void ParentLink::OnDoorbell() {
  // What one read takes; the pipe is level-triggered, so the rest comes next round.
  uint32_t rings[1024];
  const ssize_t got = ::read(doorbell_.get(), rings, sizeof(rings));
  if (got == 0) {
    // The parent and all its forks have ended: at its end a pipe is readable for ever.
    loop_->Remove(doorbell_.get());
    doorbell_.reset();
  }
  if (got <= 0 || slots_ == nullptr) return;
  const std::set<uint32_t> slots(rings, rings + static_cast<size_t>(got) / kDoorbellRingBytes);
  for (const uint32_t slot : slots) {
    CallArea area;
    if (!slots_->ReadArea(slot, &area)) continue;
    const std::optional<CallProgress> progress = ProgressOf(area);
    if (!progress) continue;
    sequencer_->Step([&](Core& core, Instant now, Batch* batch) {
      const CoreJob* const job = core.Find(area.job_key);
      if (job == nullptr || job->parent != key_ || job->is_thread()) return;
      core.OnProgress(now.wall, area.job_key, *progress, batch);
    });
  }
}

}  // namespace brood
