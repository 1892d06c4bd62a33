// SPDX-License-Identifier: Apache-2.0
#include "controller/client/connection.h"

#include <grpc/grpc.h>
#include <grpc/support/log.h>

#include <cstdlib>
#include <string>
#include <utility>

#include "common/rpc/grpc_status.h"
#include "controller/client/stubs.h"
#include "controller/client/tls_channel.h"
#include "controller/client/tls_diagnosis.h"

namespace brood {
namespace {

// The other side allows a ping every 5 s, so that 10 s is polite; one that is not answered within
// 5 s shows a dead host. Streams go on over a link that was given up too early.
constexpr int kKeepaliveMilliseconds = 10'000;
constexpr int kKeepaliveTimeoutMilliseconds = 5'000;
// A host that does not answer the connect within that is taken as down.
constexpr int kConnectMilliseconds = 5'000;
// And so long one try to reach a lost host again takes: then it counts as failed.
constexpr std::chrono::milliseconds kReconnectWait{500};
// Answers are at most 1 MiB; the rest is room for the headers of old agents.
constexpr int kReceiveBytesMax = 4 << 20;

// Nobody listens there, as far as the transport can tell.
constexpr char kUnreachable[] = "UNREACHABLE";

// Calls that do nothing when they are repeated. SubmitJobs and CancelJobs are among
// them because jobs have the client's own ids.
constexpr char kServiceConfig[] = R"({"methodConfig": [{
  "name": [
    {"service": "brood.v1.JobService", "method": "SubmitJobs"},
    {"service": "brood.v1.JobService", "method": "GetJob"},
    {"service": "brood.v1.JobService", "method": "ListJobs"},
    {"service": "brood.v1.JobService", "method": "CancelJobs"},
    {"service": "brood.v1.ParentService", "method": "ListParents"},
    {"service": "brood.v1.ParentService", "method": "ReadMemory"},
    {"service": "brood.v1.ParentService", "method": "ListTasks"},
    {"service": "brood.v1.HostService", "method": "GetHost"},
    {"service": "brood.v1.HostService", "method": "ListProcesses"}
  ],
  "retryPolicy": {
    "maxAttempts": 3, "initialBackoff": "0.05s", "maxBackoff": "0.5s", "backoffMultiplier": 3,
    "retryableStatusCodes": ["UNAVAILABLE"]
  }}]})";

// Unix sockets know their users; loopback was asked for by name.
Result<std::shared_ptr<grpc::ChannelCredentials>> MakeCredentials(const HostAddress& address) {
  if (address.insecure || address.target.rfind("unix:", 0) == 0) {
    return grpc::InsecureChannelCredentials();
  }
  Result<std::shared_ptr<grpc::ChannelCredentials>> tls = MakeTlsChannelCredentials(address);
  if (tls) return tls;
  return Error{ErrorCode::kFailedPrecondition, tls.error().reason,
               "host '" + address.name + "' is at '" + address.target +
                   "', which takes TLS: " + tls.error().message,
               "address"};
}

std::shared_ptr<grpc::Channel> MakeChannel(
    const std::string& target, const std::shared_ptr<grpc::ChannelCredentials>& credentials) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMilliseconds);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMilliseconds);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kConnectMilliseconds);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kConnectMilliseconds);
  arguments.SetMaxReceiveMessageSize(kReceiveBytesMax);
  arguments.SetServiceConfigJSON(kServiceConfig);
  // A proxy for the web has no business between controller and agents.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  // Connections of one process to one host are told apart, as their owners are.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  // A unix socket's path makes no authority; agents do not look at it.
  if (target.rfind("unix:", 0) == 0) arguments.SetString(GRPC_ARG_DEFAULT_AUTHORITY, "localhost");
  return grpc::CreateCustomChannel(target, credentials, arguments);
}

bool SpeaksTls(const HostAddress& address) {
  return address.tls != nullptr && !address.insecure && address.target.rfind("unix:", 0) != 0;
}

// The transport has got no connection of TCP, so that TLS is not to blame.
bool IsUnreached(const std::string& message) {
  for (const char* sign : {"refused", "No route", "nreachable", "imed out", "imeout"}) {
    if (message.find(sign) != std::string::npos) return true;
  }
  return false;
}

template <typename Stub, typename Request, typename Response>
Result<Response> Unary(const HostAddress& address, Stub& stub,
                       grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                                    Response*),
                       const Request& request, const CallOptions& options) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + options.deadline);
  Response response;
  const grpc::Status status = (stub.*method)(&context, request, &response);
  if (!status.ok()) return CallError(address, status);
  return response;
}

}  // namespace

void QuietTransport() {
  if (std::getenv("GRPC_VERBOSITY") == nullptr) ::gpr_set_log_function([](gpr_log_func_args*) {});
}

Error CallError(const HostAddress& address, const grpc::Status& status) {
  Error error = FromGrpcStatus(status);
  // No details: the status is the transport's own, not the agent's.
  const bool transports_own = status.error_details().empty();
  if (transports_own && error.code == ErrorCode::kUnavailable) {
    if (SpeaksTls(address) && !IsUnreached(error.message)) {
      if (Status why = DiagnoseTls(address)) return *why;
    }
    error.reason = kUnreachable;
    error.message = "the agent at '" + address.target +
                    "' cannot be reached: " + status.error_message() +
                    "; see that brood-agent runs there";
  } else if (transports_own && error.code == ErrorCode::kDeadlineExceeded) {
    error.reason = "NO_ANSWER";
    error.message = "the agent at '" + address.target + "' did not answer in time";
  }
  return error;
}

Error CallError(Connection& connection, const grpc::Status& status) {
  Error error = CallError(connection.address(), status);
  Connection::Stubs& stubs = connection.stubs();
  const absl::MutexLock lock(&stubs.mutex);
  if (error.reason == kUnreachable && stubs.not_back) {
    error.reason = stubs.not_back->reason;
    error.message = stubs.not_back->message;
  }
  return error;
}

void PrepareRetry(Connection& connection) {
  if (connection.address().bring_back) {
    Status not_back = connection.address().bring_back();
    Connection::Stubs& stubs = connection.stubs();
    const absl::MutexLock lock(&stubs.mutex);
    stubs.not_back = std::move(not_back);
  }
  const std::shared_ptr<grpc::Channel>& channel = connection.stubs().channel;
  grpc::experimental::ChannelResetConnectionBackoff(channel.get());
  // The transport connects while somebody waits for it: a call made meanwhile would fail at once,
  // and leave the connecting to a look that it takes every 5 s.
  channel->WaitForConnected(std::chrono::system_clock::now() + kReconnectWait);
}

Result<std::unique_ptr<Connection>> Connection::Open(HostAddress address) {
  if (Status status = CheckAddress(address)) return *status;
  // Never undone: the library's own shutdown, with the last channel, waits for its
  // threads, now and then for 10 s.
  ::grpc_init();
  const Result<std::shared_ptr<grpc::ChannelCredentials>> credentials = MakeCredentials(address);
  if (!credentials) return credentials.error();
  auto stubs = std::make_unique<Stubs>(MakeChannel(address.target, *credentials));
  return std::unique_ptr<Connection>(new Connection(std::move(address), std::move(stubs)));
}

Connection::Connection(HostAddress address, std::unique_ptr<Stubs> stubs)
    : address_(std::move(address)), stubs_(std::move(stubs)) {}
Connection::~Connection() = default;

// One line per method: the signature is the promise, the rest is always the same.
#define BROOD_UNARY(service, Service, Method)                                              \
  Result<v1::Method##Response> Connection::Method(const v1::Method##Request& request,      \
                                                  CallOptions options) {                   \
    return Unary(address_, stubs_->service, &v1::Service::Stub::Method, request, options); \
  }
BROOD_UNARY(jobs, JobService, SubmitJobs)
BROOD_UNARY(jobs, JobService, GetJob)
BROOD_UNARY(jobs, JobService, ListJobs)
BROOD_UNARY(jobs, JobService, CancelJobs)
BROOD_UNARY(jobs, JobService, SignalJobs)
BROOD_UNARY(parents, ParentService, StartParent)
BROOD_UNARY(parents, ParentService, EndParent)
BROOD_UNARY(parents, ParentService, ListParents)
BROOD_UNARY(parents, ParentService, ReadMemory)
BROOD_UNARY(parents, ParentService, ListTasks)
BROOD_UNARY(hosts, HostService, GetHost)
BROOD_UNARY(hosts, HostService, ListProcesses)
BROOD_UNARY(hosts, HostService, Drain)
BROOD_UNARY(hosts, HostService, Resume)
BROOD_UNARY(hosts, HostService, StopAgent)
#undef BROOD_UNARY

void Connection::StartCancelJobs(const v1::CancelJobsRequest& request, CancelDone done,
                                 CallOptions options) {
  struct Call {
    grpc::ClientContext context;
    v1::CancelJobsRequest request;
    v1::CancelJobsResponse response;
    CancelDone done;
    HostAddress address;
  };
  auto call = std::make_shared<Call>();
  call->context.set_deadline(std::chrono::system_clock::now() + options.deadline);
  call->request = request;
  call->done = std::move(done);
  call->address = address_;
  stubs_->jobs.async()->CancelJobs(&call->context, &call->request, &call->response,
                                   [call](const grpc::Status& status) {
                                     if (status.ok()) {
                                       call->done(std::move(call->response));
                                     } else {
                                       call->done(CallError(call->address, status));
                                     }
                                   });
}

}  // namespace brood
