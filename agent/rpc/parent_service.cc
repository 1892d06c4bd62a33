// SPDX-License-Identifier: Apache-2.0
#include "agent/rpc/parent_service.h"

#include <string>
#include <utility>
#include <vector>

#include "agent/rpc/limits.h"
#include "agent/rpc/memory_stream.h"
#include "common/job/job_id.h"
#include "common/job/text.h"
#include "common/rpc/grpc_status.h"

namespace brood {
namespace {

constexpr int kLibrariesMax = 16;
constexpr int kCellsMax = 1'024;
constexpr size_t kPathBytesMax = 4'095;

std::string NameOrDefault(const std::string& name) { return name.empty() ? kDefaultParent : name; }

grpc::ServerUnaryReactor* Answer(grpc::CallbackServerContext* context, const Status& status) {
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  reactor->Finish(ToGrpcStatus(status));
  return reactor;
}

Status CheckLibraries(const v1::StartParentRequest& request) {
  if (request.libraries_size() > kLibrariesMax) return FieldError("libraries", "more than 16");
  for (int i = 0; i < request.libraries_size(); ++i) {
    const std::string& path = request.libraries(i);
    if (path.empty() || path.front() != '/' || path.size() > kPathBytesMax ||
        path.find('\0') != std::string::npos) {
      return FieldError("libraries[" + std::to_string(i) + "]",
                        Quoted(path) + " is no absolute path of a shared object");
    }
  }
  return Ok();
}

}  // namespace

grpc::ServerUnaryReactor* ParentService::StartParent(grpc::CallbackServerContext* context,
                                                     const v1::StartParentRequest* request,
                                                     v1::StartParentResponse* response) {
  Status bad = ValidateJobId("name", request->name());
  if (!bad) bad = CheckLibraries(*request);
  if (bad) return Answer(context, bad);
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  agent_->StartParent(request->name(), {request->libraries().begin(), request->libraries().end()},
                      [reactor, response](Result<v1::Parent> parent) {
                        if (!parent) return reactor->Finish(ToGrpcStatus(parent.error()));
                        *response->mutable_parent() = std::move(*parent);
                        reactor->Finish(grpc::Status::OK);
                      });
  return reactor;
}

grpc::ServerUnaryReactor* ParentService::EndParent(grpc::CallbackServerContext* context,
                                                   const v1::EndParentRequest* request,
                                                   v1::EndParentResponse* response) {
  Status bad = ValidateJobId("name", request->name());
  if (!bad && !v1::ParentEnd_IsValid(request->how())) bad = FieldError("how", "unknown way to end");
  if (bad) return Answer(context, bad);
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  agent_->EndParent(request->name(), request->how(),
                    [reactor, response](Result<v1::Parent> parent) {
                      if (!parent) return reactor->Finish(ToGrpcStatus(parent.error()));
                      *response->mutable_parent() = std::move(*parent);
                      reactor->Finish(grpc::Status::OK);
                    });
  return reactor;
}

grpc::ServerUnaryReactor* ParentService::ListParents(grpc::CallbackServerContext* context,
                                                     const v1::ListParentsRequest*,
                                                     v1::ListParentsResponse* response) {
  agent_->sequencer()->Look([&](const Core& core) {
    for (const v1::Parent& parent : core.ended_parents()) *response->add_parents() = parent;
    for (const auto& entry : core.parents()) {
      if (entry.second.state != v1::PARENT_STATE_ENDED)
        *response->add_parents() = core.ViewParent(entry.second);
    }
  });
  return Answer(context, Ok());
}

grpc::ServerUnaryReactor* ParentService::ReadMemory(grpc::CallbackServerContext* context,
                                                    const v1::ReadMemoryRequest* request,
                                                    v1::ReadMemoryResponse* response) {
  const std::string name = NameOrDefault(request->parent());
  Status bad = ValidateJobId("parent", name);
  if (!bad && request->cells_size() > kCellsMax) bad = FieldError("cells", "more than 1024");
  if (bad) return Answer(context, bad);
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  v1::ReadMemoryRequest asked = *request;
  asked.set_parent(name);
  agent_->ReadMemory(asked, [reactor, response](Result<v1::ReadMemoryResponse> read) {
    if (!read) return reactor->Finish(ToGrpcStatus(read.error()));
    *response = std::move(*read);
    reactor->Finish(grpc::Status::OK);
  });
  return reactor;
}

grpc::ServerWriteReactor<grpc::ByteBuffer>* ParentService::WatchMemory(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* request) {
  return MemoryStream::Start(agent_, streams_, context, *request);
}

grpc::ServerUnaryReactor* ParentService::ListTasks(grpc::CallbackServerContext* context,
                                                   const v1::ListTasksRequest* request,
                                                   v1::ListTasksResponse* response) {
  const std::string name = NameOrDefault(request->parent());
  if (const Status bad = ValidateJobId("parent", name)) return Answer(context, bad);
  const bool found = agent_->sequencer()->Look([&](const Core& core) {
    const auto parent = core.parents().find(name);
    if (parent == core.parents().end()) return false;
    for (const auto& entry : parent->second.tasks) *response->add_tasks() = entry.second;
    return true;
  });
  if (found) return Answer(context, Ok());
  return Answer(context, Error{ErrorCode::kNotFound, "NO_SUCH_PARENT",
                               "no parent '" + name + "' on host '" + agent_->options().name + "'",
                               "parent"});
}

}  // namespace brood
