// SPDX-License-Identifier: Apache-2.0
#include "controller/client/memory_stream.h"

#include <utility>

#include "controller/client/stubs.h"

namespace brood {

struct MemoryStream::Call {
  explicit Call(v1::WatchMemoryRequest asked) : request(std::move(asked)) {}
  const v1::WatchMemoryRequest request;
  grpc::ClientContext context;
  std::unique_ptr<grpc::ClientReader<v1::WatchMemoryResponse>> stream;
  Status end;
};

MemoryStream::MemoryStream(Connection& connection, v1::WatchMemoryRequest request)
    : connection_(connection), call_(std::make_unique<Call>(std::move(request))) {
  call_->stream = connection_.stubs().parents.WatchMemory(&call_->context, call_->request);
}

MemoryStream::~MemoryStream() {
  if (call_->stream == nullptr) return;
  BreakOff();
  call_->stream->Finish();
}

bool MemoryStream::NextBatch(v1::WatchMemoryResponse* batch) {
  if (call_->stream == nullptr) return false;
  if (call_->stream->Read(batch)) return true;
  const grpc::Status status = call_->stream->Finish();
  call_->stream.reset();
  call_->end = status.ok() ? Ok() : Status(CallError(connection_.address(), status));
  return false;
}

void MemoryStream::BreakOff() { call_->context.TryCancel(); }

Status MemoryStream::Finish() { return call_->end; }

}  // namespace brood
