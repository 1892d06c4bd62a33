// SPDX-License-Identifier: Apache-2.0
#include "agent/rpc/memory_stream.h"

#include <utility>
#include <vector>

#include "agent/outbox/watch_file.h"
#include "agent/rpc/message_bytes.h"
#include "brood/v1/parent_service.pb.h"
#include "common/job/job_id.h"
#include "common/job/text.h"
#include "common/rpc/grpc_status.h"

namespace brood {
namespace {

constexpr int kCellsMax = 64;  // parent_service.proto

bool IsCellName(const std::string& name) {
  constexpr char kAllowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
  return !name.empty() && name.size() <= 64 &&
         name.find_first_not_of(kAllowed) == std::string::npos;
}

}  // namespace

MemoryStream* MemoryStream::Start(Agent* agent, StreamWatch* streams,
                                  grpc::CallbackServerContext* context,
                                  const grpc::ByteBuffer& buffer) {
  const std::shared_ptr<MemoryStream> stream(new MemoryStream(agent, context));
  stream->Keep(streams);
  stream->set_follow(true);
  v1::WatchMemoryRequest request;
  Status failed;
  if (!ParseBuffer(buffer, &request)) {
    failed = Error{ErrorCode::kInvalidArgument, "BAD_MESSAGE",
                   "the request is no WatchMemoryRequest", ""};
  } else {
    failed = stream->Check(request);
  }
  if (failed) {
    stream->End(ToGrpcStatus(*failed));
  } else {
    stream->Watch(request);
  }
  return stream.get();
}

Status MemoryStream::Check(const v1::WatchMemoryRequest& request) {
  if (!request.parent().empty()) {
    if (Status bad = ValidateJobId("parent", request.parent())) return bad;
  }
  if (request.cells_size() > kCellsMax) {
    return FieldError(
        "cells", std::to_string(request.cells_size()) + " cells; name at most 64, or none for all");
  }
  for (int i = 0; i < request.cells_size(); ++i) {
    if (!IsCellName(request.cells(i))) {
      return FieldError("cells[" + std::to_string(i) + "]",
                        Quoted(request.cells(i)) +
                            " is no name of a cell; those are 1 to 64 of A-Z a-z 0-9 . _ -");
    }
  }
  return request.resume_token().empty() ? Ok() : Resume(request.resume_token());
}

void MemoryStream::Watch(const v1::WatchMemoryRequest& request) {
  cells_ = {request.cells().begin(), request.cells().end()};
  const std::shared_ptr<JournalStream> self = shared_from_this();
  const bool resumed = !request.resume_token().empty();
  agent()->WatchMemory(request.parent().empty() ? kDefaultParent : request.parent(),
                       {request.cells().begin(), request.cells().end()},
                       [this, self, resumed](const Result<Agent::WatchedParent>& watched) {
                         OnReady(watched, resumed);
                       });
}

// In the loop's thread.
void MemoryStream::OnReady(const Result<Agent::WatchedParent>& watched, bool resumed) {
  if (!watched) return End(ToGrpcStatus(watched.error()));
  {
    const absl::MutexLock lock(&watch_mutex_);
    // The client did not wait for it.
    if (released_) return agent()->UnwatchMemory(*watched);
    watched_ = *watched;
    parent_ = watched->key;
    // Nothing was written that is not in the journal by now or comes later.
    if (!resumed) set_cursor(agent()->journal()->head());
    HoldForGreeting();
    // Under the lock: Release must find it there.
    agent()->feed()->AddForAll(shared_from_this());
  }
  v1::WatchMemoryResponse greeting;
  greeting.set_resume_token(TokenOf(cursor()));
  Greet(greeting.SerializeAsString());
}

bool MemoryStream::Wants(uint64_t, int field, std::string_view event) {
  const bool memory = field == v1::Event::kMemoryFieldNumber;
  if (!memory && field != v1::Event::kParentEndedFieldNumber) return false;
  v1::Event parsed;
  if (!parsed.ParseFromArray(event.data(), static_cast<int>(event.size()))) return false;
  if (parsed.unit().parent() != parent_.name ||
      parsed.incarnations().parent() != parent_.incarnation) {
    return false;
  }
  if (!memory) parent_ended_ = true;
  return memory && (cells_.empty() || cells_.count(parsed.memory().cell()) > 0);
}

void MemoryStream::Release() {
  {
    const absl::MutexLock lock(&watch_mutex_);
    released_ = true;
    if (watched_) agent()->UnwatchMemory(*watched_);
  }
  agent()->feed()->Remove(this, {});
}

}  // namespace brood
