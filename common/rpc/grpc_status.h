// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <grpcpp/support/status.h>

#include <map>
#include <string>

#include "common/base/error.h"

namespace brood {

// The only place where errors of ours become gRPC's and back. The details are a
// google.rpc.Status with ErrorInfo {reason, domain "brood"}, a BadRequest where
// a field is at fault, and a RetryInfo where trying again later may help.
// `metadata` goes into the ErrorInfo.
grpc::Status ToGrpcStatus(const Error& error,
                          const std::map<std::string, std::string>& metadata = {});
grpc::Status ToGrpcStatus(const Status& status);

// A value of the ErrorInfo's metadata; empty if there is none.
std::string MetadataOf(const grpc::Status& status, const std::string& key);

// Reason and field are empty where the peer sent no details.
Error FromGrpcStatus(const grpc::Status& status);

}  // namespace brood
