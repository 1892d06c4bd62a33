// SPDX-License-Identifier: Apache-2.0
#include "agent/rpc/host_service.h"

#include <sys/utsname.h>

#include <string>

#include "common/base/version.h"
#include "common/rpc/grpc_status.h"

namespace brood {

void HostService::Fill(v1::Host* host) const {
  agent_->FillHost(host);
  host->set_version(kVersion);
  utsname names{};
  if (::uname(&names) == 0) host->set_platform(std::string(names.machine) + " " + names.release);
}

grpc::ServerUnaryReactor* HostService::GetHost(grpc::CallbackServerContext* context,
                                               const v1::GetHostRequest*,
                                               v1::GetHostResponse* response) {
  Fill(response->mutable_host());
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  reactor->Finish(grpc::Status::OK);
  return reactor;
}

grpc::ServerUnaryReactor* HostService::ListProcesses(grpc::CallbackServerContext* context,
                                                     const v1::ListProcessesRequest* request,
                                                     v1::ListProcessesResponse* response) {
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  agent_->ListProcesses(request->threads(),
                        [reactor, response](Result<v1::ListProcessesResponse> listed) {
                          if (!listed) return reactor->Finish(ToGrpcStatus(listed.error()));
                          response->Swap(&*listed);
                          reactor->Finish(grpc::Status::OK);
                        });
  return reactor;
}

grpc::ServerUnaryReactor* HostService::Drain(grpc::CallbackServerContext* context,
                                             const v1::DrainRequest*, v1::DrainResponse* response) {
  agent_->sequencer()->Step(
      [](Core& core, Instant, Batch*) { core.SetState(v1::HOST_STATE_DRAINING); });
  Fill(response->mutable_host());
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  reactor->Finish(grpc::Status::OK);
  return reactor;
}

grpc::ServerUnaryReactor* HostService::Resume(grpc::CallbackServerContext* context,
                                              const v1::ResumeRequest*,
                                              v1::ResumeResponse* response) {
  agent_->sequencer()->Step(
      [](Core& core, Instant, Batch*) { core.SetState(v1::HOST_STATE_READY); });
  Fill(response->mutable_host());
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  reactor->Finish(grpc::Status::OK);
  return reactor;
}

grpc::ServerUnaryReactor* HostService::StopAgent(grpc::CallbackServerContext* context,
                                                 const v1::StopAgentRequest* request,
                                                 v1::StopAgentResponse* response) {
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  agent_->Stop(request->keep_jobs(), [this, reactor, response](uint32_t ended) {
    response->set_ended_jobs(ended);
    reactor->Finish(grpc::Status::OK);
    stop_();
  });
  return reactor;
}

}  // namespace brood
