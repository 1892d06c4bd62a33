// SPDX-License-Identifier: Apache-2.0
//
// The table of functions behind brood_host: each finds the call and asks it.
#include "agent/parent/running_call.h"
#include "agent/parent/value.h"

namespace brood {
namespace {

std::string_view View(const void* data, size_t size) {
  return size > 0 && data != nullptr ? std::string_view(static_cast<const char*>(data), size)
                                     : std::string_view();
}

int CellRead(brood_job* job, const char* name, brood_value* value) {
  RunningCall* const call = job->call;
  return call->cells()->Read(call->cell_user(), name, call->kept(), value);
}

int CellWrite(brood_job* job, const char* name, const brood_value* value) {
  RunningCall* const call = job->call;
  return call->cells()->Write(call->cell_user(), name, *value);
}

int CellAdd(brood_job* job, const char* name, int64_t delta, int64_t* now) {
  RunningCall* const call = job->call;
  return call->cells()->Add(call->cell_user(), name, delta, now);
}

int CellUpdate(brood_job* job, const char* name, brood_cell_change change, void* context,
               brood_value* after) {
  RunningCall* const call = job->call;
  return call->cells()->Update(call->cell_user(), name, change, context, call->kept(), after);
}

void Progress(brood_job* job, double fraction, const char* text, size_t size) {
  job->call->Progress(fraction, View(text, size));
}

int Write(brood_job* job, int stream, const void* data, size_t size) {
  return job->call->Write(stream, View(data, size));
}

int StopRequested(brood_job* job) { return job->call->StopRequested() ? 1 : 0; }

int Sleep(brood_job* job, int64_t nanoseconds) { return job->call->Sleep(nanoseconds); }

int ReturnValue(brood_job* job, const brood_value* value) { return job->call->SetReturned(*value); }

void ThrowText(brood_job* job, const char* text, size_t size) {
  job->call->SetThrown(View(text, size));
}

const char* JobId(brood_job* job) { return job->call->job().job_id().c_str(); }

int IsThread(brood_job* job) { return job->call->is_thread() ? 1 : 0; }

int CellShare(brood_job* job, const char* name) {
  RunningCall* const call = job->call;
  return call->cells()->Share(call->cell_user(), name);
}

int ShowVariable(brood_job* job, const char* name, uint32_t type, const void* address) {
  RunningCall* const call = job->call;
  return call->cells()->Show(call->cell_user(), name, type, address);
}

int ShowMutex(brood_job* job, const char* name, const pthread_mutex_t* mutex) {
  RunningCall* const call = job->call;
  return call->cells()->ShowMutex(call->cell_user(), name, mutex);
}

int CellOpen(brood_job* job, const char* name, brood_cell** cell) {
  RunningCall* const call = job->call;
  Cell* opened = nullptr;
  const int code = call->cells()->Open(call->cell_user(), name, &opened);
  *cell = reinterpret_cast<brood_cell*>(opened);
  return code;
}

int OpenCellRead(brood_job* job, brood_cell* cell, brood_value* value) {
  RunningCall* const call = job->call;
  return call->cells()->Read(call->cell_user(), reinterpret_cast<Cell*>(cell), call->kept(), value);
}

int OpenCellWrite(brood_job* job, brood_cell* cell, const brood_value* value) {
  RunningCall* const call = job->call;
  return call->cells()->Write(call->cell_user(), reinterpret_cast<Cell*>(cell), *value);
}

int OpenCellAdd(brood_job* job, brood_cell* cell, int64_t delta, int64_t* now) {
  RunningCall* const call = job->call;
  return call->cells()->Add(call->cell_user(), reinterpret_cast<Cell*>(cell), delta, now);
}

int CellBlock(brood_job* job, const char* name, size_t bytes, uint32_t flags, void** address) {
  RunningCall* const call = job->call;
  return call->cells()->Block(call->cell_user(), name, bytes, flags, address);
}

}  // namespace

const brood_host* TaskHost() {
  static constexpr brood_host kHost = {
      BROOD_TASK_ABI_VERSION,
      sizeof(brood_host),
      CellRead,
      CellWrite,
      CellAdd,
      CellUpdate,
      Progress,
      Write,
      StopRequested,
      Sleep,
      ReturnValue,
      ThrowText,
      JobId,
      IsThread,
      CellShare,
      ShowVariable,
      ShowMutex,
      CellOpen,
      OpenCellRead,
      OpenCellWrite,
      OpenCellAdd,
      CellBlock,
  };
  return &kHost;
}

}  // namespace brood
