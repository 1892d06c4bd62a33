// SPDX-License-Identifier: Apache-2.0
#include "common/rpc/grpc_status.h"

#include <string>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace brood {
namespace {

constexpr char kDomain[] = "brood";
// What a full queue asks its clients to wait: long enough to empty some slots.
constexpr int kRetryNanos = 100'000'000;

}  // namespace

grpc::Status ToGrpcStatus(const Error& error, const std::map<std::string, std::string>& metadata) {
  google::rpc::Status rich;
  rich.set_code(static_cast<int>(error.code));
  rich.set_message(error.message);
  google::rpc::ErrorInfo reason;
  reason.set_reason(error.reason);
  reason.set_domain(kDomain);
  for (const auto& [key, value] : metadata) (*reason.mutable_metadata())[key] = value;
  rich.add_details()->PackFrom(reason);
  if (!error.field.empty()) {
    google::rpc::BadRequest request;
    auto* const violation = request.add_field_violations();
    violation->set_field(error.field);
    violation->set_description(error.message);
    rich.add_details()->PackFrom(request);
  }
  if (error.code == ErrorCode::kResourceExhausted) {
    google::rpc::RetryInfo retry;
    retry.mutable_retry_delay()->set_nanos(kRetryNanos);
    rich.add_details()->PackFrom(retry);
  }
  return grpc::Status(static_cast<grpc::StatusCode>(error.code), error.message,
                      rich.SerializeAsString());
}

grpc::Status ToGrpcStatus(const Status& status) {
  return status ? ToGrpcStatus(*status) : grpc::Status::OK;
}

std::string MetadataOf(const grpc::Status& status, const std::string& key) {
  google::rpc::Status rich;
  if (status.error_details().empty() || !rich.ParseFromString(status.error_details())) return "";
  for (const auto& detail : rich.details()) {
    google::rpc::ErrorInfo reason;
    if (!detail.UnpackTo(&reason)) continue;
    const auto found = reason.metadata().find(key);
    if (found != reason.metadata().end()) return found->second;
  }
  return "";
}

Error FromGrpcStatus(const grpc::Status& status) {
  Error error;
  error.code = static_cast<ErrorCode>(status.error_code());
  error.message = status.error_message();
  error.reason = ErrorCodeName(error.code);
  google::rpc::Status rich;
  if (status.error_details().empty() || !rich.ParseFromString(status.error_details())) return error;
  for (const auto& detail : rich.details()) {
    google::rpc::ErrorInfo reason;
    google::rpc::BadRequest request;
    if (detail.UnpackTo(&reason)) {
      error.reason = reason.reason();
    } else if (detail.UnpackTo(&request) && request.field_violations_size() > 0) {
      error.field = request.field_violations(0).field();
    }
  }
  return error;
}

}  // namespace brood
