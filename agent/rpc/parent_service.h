// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "agent/host/agent.h"
#include "agent/rpc/write_watch.h"
#include "brood/v1/parent_service.grpc.pb.h"

namespace brood {

// WatchMemory is raw, as JobService's streams are.
using ParentServiceBase = v1::ParentService::WithCallbackMethod_StartParent<
    v1::ParentService::WithCallbackMethod_EndParent<
        v1::ParentService::WithCallbackMethod_ListParents<
            v1::ParentService::WithCallbackMethod_ReadMemory<
                v1::ParentService::WithRawCallbackMethod_WatchMemory<
                    v1::ParentService::WithCallbackMethod_ListTasks<
                        v1::ParentService::Service>>>>>>;

class ParentService final : public ParentServiceBase {
 public:
  ParentService(Agent* agent, StreamWatch* streams) : agent_(agent), streams_(streams) {}

  grpc::ServerUnaryReactor* StartParent(grpc::CallbackServerContext* context,
                                        const v1::StartParentRequest* request,
                                        v1::StartParentResponse* response) override;
  grpc::ServerUnaryReactor* EndParent(grpc::CallbackServerContext* context,
                                      const v1::EndParentRequest* request,
                                      v1::EndParentResponse* response) override;
  grpc::ServerUnaryReactor* ListParents(grpc::CallbackServerContext* context,
                                        const v1::ListParentsRequest* request,
                                        v1::ListParentsResponse* response) override;
  grpc::ServerUnaryReactor* ReadMemory(grpc::CallbackServerContext* context,
                                       const v1::ReadMemoryRequest* request,
                                       v1::ReadMemoryResponse* response) override;
  grpc::ServerWriteReactor<grpc::ByteBuffer>* WatchMemory(grpc::CallbackServerContext* context,
                                                          const grpc::ByteBuffer* request) override;
  grpc::ServerUnaryReactor* ListTasks(grpc::CallbackServerContext* context,
                                      const v1::ListTasksRequest* request,
                                      v1::ListTasksResponse* response) override;

 private:
  Agent* const agent_;
  StreamWatch* const streams_;
};

}  // namespace brood
