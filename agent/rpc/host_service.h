// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>

#include "agent/host/agent.h"
#include "brood/v1/host_service.grpc.pb.h"

namespace brood {

class HostService final : public v1::HostService::CallbackService {
 public:
  // `stop` is called once a StopAgent has been answered.
  HostService(Agent* agent, std::function<void()> stop) : agent_(agent), stop_(std::move(stop)) {}

  grpc::ServerUnaryReactor* GetHost(grpc::CallbackServerContext* context,
                                    const v1::GetHostRequest* request,
                                    v1::GetHostResponse* response) override;
  grpc::ServerUnaryReactor* ListProcesses(grpc::CallbackServerContext* context,
                                          const v1::ListProcessesRequest* request,
                                          v1::ListProcessesResponse* response) override;
  grpc::ServerUnaryReactor* Drain(grpc::CallbackServerContext* context,
                                  const v1::DrainRequest* request,
                                  v1::DrainResponse* response) override;
  grpc::ServerUnaryReactor* Resume(grpc::CallbackServerContext* context,
                                   const v1::ResumeRequest* request,
                                   v1::ResumeResponse* response) override;
  grpc::ServerUnaryReactor* StopAgent(grpc::CallbackServerContext* context,
                                      const v1::StopAgentRequest* request,
                                      v1::StopAgentResponse* response) override;

 private:
  void Fill(v1::Host* host) const;

  Agent* const agent_;
  const std::function<void()> stop_;
};

}  // namespace brood
