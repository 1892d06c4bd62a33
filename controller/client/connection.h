// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <functional>
#include <memory>

#include "brood/v1/host_service.pb.h"
#include "brood/v1/job_service.pb.h"
#include "brood/v1/parent_service.pb.h"
#include "common/base/error.h"
#include "controller/client/host_address.h"

namespace brood {

// How one call is made.
struct CallOptions {
  // An answer that is not there by then is DEADLINE_EXCEEDED.
  std::chrono::milliseconds deadline = std::chrono::seconds(10);
};

// Keeps the transport's own log lines off stderr, unless the variable GRPC_VERBOSITY is
// set: for programs whose stderr is for people. Before the first connection.
void QuietTransport();

// One host. Opening it does not connect yet: the first call does. Thread-safe;
// any number of calls and streams share it and must end before it does.
//
// Errors are those of the agent, with `reason` and `field` as it sent them, or
// UNAVAILABLE with reason UNREACHABLE, naming host and target. Calls that may be
// repeated safely are repeated by the transport while a host is UNAVAILABLE.
class Connection {
 public:
  // An error if that host may not be connected to (CheckAddress); FAILED_PRECONDITION for TCP with
  // TLS without files that fit.
  static Result<std::unique_ptr<Connection>> Open(HostAddress address);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  const HostAddress& address() const { return address_; }

  // JobService.
  Result<v1::SubmitJobsResponse> SubmitJobs(const v1::SubmitJobsRequest& request,
                                            CallOptions options = {});
  Result<v1::GetJobResponse> GetJob(const v1::GetJobRequest& request, CallOptions options = {});
  Result<v1::ListJobsResponse> ListJobs(const v1::ListJobsRequest& request,
                                        CallOptions options = {});
  Result<v1::CancelJobsResponse> CancelJobs(const v1::CancelJobsRequest& request,
                                            CallOptions options = {});
  Result<v1::SignalJobsResponse> SignalJobs(const v1::SignalJobsRequest& request,
                                            CallOptions options = {});

  // ParentService.
  Result<v1::StartParentResponse> StartParent(const v1::StartParentRequest& request,
                                              CallOptions options = {});
  Result<v1::EndParentResponse> EndParent(const v1::EndParentRequest& request,
                                          CallOptions options = {});
  Result<v1::ListParentsResponse> ListParents(const v1::ListParentsRequest& request,
                                              CallOptions options = {});
  Result<v1::ReadMemoryResponse> ReadMemory(const v1::ReadMemoryRequest& request,
                                            CallOptions options = {});
  Result<v1::ListTasksResponse> ListTasks(const v1::ListTasksRequest& request,
                                          CallOptions options = {});

  // HostService.
  Result<v1::GetHostResponse> GetHost(const v1::GetHostRequest& request, CallOptions options = {});
  Result<v1::ListProcessesResponse> ListProcesses(const v1::ListProcessesRequest& request,
                                                  CallOptions options = {});
  Result<v1::DrainResponse> Drain(const v1::DrainRequest& request, CallOptions options = {});
  Result<v1::ResumeResponse> Resume(const v1::ResumeRequest& request, CallOptions options = {});
  Result<v1::StopAgentResponse> StopAgent(const v1::StopAgentRequest& request,
                                          CallOptions options = {});

  // Like CancelJobs, without waiting: `done` is called once, in a thread of the transport.
  using CancelDone = std::function<void(Result<v1::CancelJobsResponse>)>;
  void StartCancelJobs(const v1::CancelJobsRequest& request, CancelDone done,
                       CallOptions options = {});

  // The generated stubs, for the streams of this library.
  struct Stubs;
  Stubs& stubs() { return *stubs_; }

 private:
  Connection(HostAddress address, std::unique_ptr<Stubs> stubs);

  const HostAddress address_;
  const std::unique_ptr<Stubs> stubs_;
};

}  // namespace brood
