// SPDX-License-Identifier: Apache-2.0
#include "controller/client/output_reader.h"

#include <utility>

#include "controller/client/resuming_read.h"

namespace brood {

struct OutputReader::Call {
  Call(Connection& connection, v1::ReadOutputRequest asked, ResumeOptions options)
      : request(std::move(asked)),
        read(connection, std::move(options), [this, &connection](grpc::ClientContext* context) {
          return connection.stubs().jobs.ReadOutput(context, request);
        }) {}
  v1::ReadOutputRequest request;  // with the offset of the next byte
  ResumingRead<v1::ReadOutputResponse> read;
};

OutputReader::OutputReader(Connection& connection, v1::ReadOutputRequest request,
                           ResumeOptions options)
    : call_(std::make_unique<Call>(connection, std::move(request), std::move(options))) {}

OutputReader::~OutputReader() = default;

bool OutputReader::Next(std::string* bytes) {
  v1::ReadOutputResponse response;
  if (!call_->read.Read(&response)) return false;
  *bytes = std::move(*response.mutable_bytes());
  call_->request.set_offset(response.offset() + bytes->size());
  return true;
}

uint64_t OutputReader::offset() const { return call_->request.offset(); }

void OutputReader::BreakOff() { call_->read.BreakOff(); }

Status OutputReader::Finish() { return call_->read.end(); }

}  // namespace brood
