// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "agent/host/agent.h"
#include "agent/rpc/write_watch.h"
#include "brood/v1/job_service.grpc.pb.h"

namespace brood {

// RunJobs and WatchEvents are raw: the journal holds events in wire form, and
// they go out without being built again.
using JobServiceBase = v1::JobService::WithRawCallbackMethod_RunJobs<
    v1::JobService::WithCallbackMethod_SubmitJobs<v1::JobService::WithRawCallbackMethod_WatchEvents<
        v1::JobService::WithCallbackMethod_GetJob<v1::JobService::WithCallbackMethod_ListJobs<
            v1::JobService::WithCallbackMethod_CancelJobs<
                v1::JobService::WithCallbackMethod_SignalJobs<
                    v1::JobService::WithCallbackMethod_WriteInput<
                        v1::JobService::WithCallbackMethod_ReadOutput<
                            v1::JobService::Service>>>>>>>>>;

// Translates between gRPC and the agent; decides nothing.
class JobService final : public JobServiceBase {
 public:
  JobService(Agent* agent, StreamWatch* streams) : agent_(agent), streams_(streams) {}

  grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* RunJobs(
      grpc::CallbackServerContext* context) override;
  grpc::ServerUnaryReactor* SubmitJobs(grpc::CallbackServerContext* context,
                                       const v1::SubmitJobsRequest* request,
                                       v1::SubmitJobsResponse* response) override;
  grpc::ServerWriteReactor<grpc::ByteBuffer>* WatchEvents(grpc::CallbackServerContext* context,
                                                          const grpc::ByteBuffer* request) override;
  grpc::ServerUnaryReactor* GetJob(grpc::CallbackServerContext* context,
                                   const v1::GetJobRequest* request,
                                   v1::GetJobResponse* response) override;
  grpc::ServerUnaryReactor* ListJobs(grpc::CallbackServerContext* context,
                                     const v1::ListJobsRequest* request,
                                     v1::ListJobsResponse* response) override;
  grpc::ServerUnaryReactor* CancelJobs(grpc::CallbackServerContext* context,
                                       const v1::CancelJobsRequest* request,
                                       v1::CancelJobsResponse* response) override;
  grpc::ServerUnaryReactor* SignalJobs(grpc::CallbackServerContext* context,
                                       const v1::SignalJobsRequest* request,
                                       v1::SignalJobsResponse* response) override;
  grpc::ServerReadReactor<v1::WriteInputRequest>* WriteInput(
      grpc::CallbackServerContext* context, v1::WriteInputResponse* response) override;
  grpc::ServerWriteReactor<v1::ReadOutputResponse>* ReadOutput(
      grpc::CallbackServerContext* context, const v1::ReadOutputRequest* request) override;

 private:
  Agent* const agent_;
  StreamWatch* const streams_;
};

}  // namespace brood
