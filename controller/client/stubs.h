// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <absl/synchronization/mutex.h>
#include <grpcpp/grpcpp.h>

#include <memory>

#include "brood/v1/host_service.grpc.pb.h"
#include "brood/v1/job_service.grpc.pb.h"
#include "brood/v1/parent_service.grpc.pb.h"
#include "controller/client/connection.h"

namespace brood {

// What a connection is made of; seen by the sources of this folder only.
struct Connection::Stubs {
  explicit Stubs(const std::shared_ptr<grpc::Channel>& to)
      : channel(to), jobs(to), parents(to), hosts(to) {}
  const std::shared_ptr<grpc::Channel> channel;
  v1::JobService::Stub jobs;
  v1::ParentService::Stub parents;
  v1::HostService::Stub hosts;

  absl::Mutex mutex;
  // Why the last PrepareRetry could not bring a local agent back.
  Status not_back ABSL_GUARDED_BY(mutex);
};

// The call's status as an error that names the host where the transport has only
// said that it could not reach it.
Error CallError(const HostAddress& address, const grpc::Status& status);
// The same; where the agent could not be brought back, the error says why.
Error CallError(Connection& connection, const grpc::Status& status);

// Before a call that is made again: brings a local agent back, and has the transport connect.
// Blocks up to half a second, and while an agent starts.
void PrepareRetry(Connection& connection);

}  // namespace brood
