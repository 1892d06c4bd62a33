// SPDX-License-Identifier: Apache-2.0
#include "controller/client/output_stream.h"

#include <utility>

#include "controller/client/resuming_read.h"

namespace brood {

struct OutputStream::Call {
  Call(Connection& connection, v1::ReadOutputRequest asked, ResumeOptions options)
      : request(std::move(asked)),
        read(connection, std::move(options), [this, &connection](grpc::ClientContext* context) {
          return connection.stubs().jobs.ReadOutput(context, request);
        }) {}
  v1::ReadOutputRequest request;  // with the offset of the next byte
  ResumingRead<v1::ReadOutputResponse> read;
};

OutputStream::OutputStream(Connection& connection, v1::ReadOutputRequest request,
                           ResumeOptions options)
    : call_(std::make_unique<Call>(connection, std::move(request), std::move(options))) {}

OutputStream::~OutputStream() = default;

bool OutputStream::Next(std::string* bytes) {
  v1::ReadOutputResponse response;
  if (!call_->read.Read(&response)) return false;
  *bytes = std::move(*response.mutable_bytes());
  call_->request.set_offset(response.offset() + bytes->size());
  return true;
}

uint64_t OutputStream::offset() const { return call_->request.offset(); }

void OutputStream::BreakOff() { call_->read.BreakOff(); }

Status OutputStream::Finish() { return call_->read.end(); }

}  // namespace brood
