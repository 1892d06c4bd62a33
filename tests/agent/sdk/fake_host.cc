// SPDX-License-Identifier: Apache-2.0
#include "tests/agent/sdk/fake_host.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace brood::testing {
namespace {

constexpr size_t kValueBytesMax = 48 * 1024;

bool GoodName(const char* name) {
  const size_t size = std::strlen(name);
  constexpr char kAllowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
  return size >= 1 && size <= 64 && std::strspn(name, kAllowed) == size;
}

OwnedValue Make(uint32_t type) {
  OwnedValue value;
  value.type = type;
  return value;
}

OwnedValue Make(uint32_t type, std::string data) {
  OwnedValue value = Make(type);
  value.data = std::move(data);
  return value;
}

}  // namespace

OwnedValue OwnedValue::Copy(const brood_value& value) {
  OwnedValue copy = Make(value.type);
  copy.integer = value.integer;
  copy.number = value.number;
  if (value.size > 0) copy.data.assign(value.data, value.size);
  return copy;
}

brood_value OwnedValue::view() const {
  brood_value value{};
  value.type = type;
  value.integer = integer;
  value.number = number;
  value.data = data.data();
  value.size = data.size();
  return value;
}

OwnedValue Nothing() { return Make(BROOD_NULL); }
OwnedValue Truth(bool value) {
  OwnedValue owned = Make(BROOD_BOOL);
  owned.integer = value ? 1 : 0;
  return owned;
}
OwnedValue Integer(int64_t value) {
  OwnedValue owned = Make(BROOD_INT);
  owned.integer = value;
  return owned;
}
OwnedValue Number(double value) {
  OwnedValue owned = Make(BROOD_FLOAT);
  owned.number = value;
  return owned;
}
OwnedValue Text(std::string value) { return Make(BROOD_TEXT, std::move(value)); }
OwnedValue Binary(std::string value) { return Make(BROOD_BYTES, std::move(value)); }
OwnedValue JsonText(std::string value) { return Make(BROOD_JSON, std::move(value)); }

std::optional<OwnedValue> FakeParent::Find(const std::string& name) {
  const std::lock_guard lock(mutex_);
  const auto found = cells_.find(name);
  if (found == cells_.end()) return std::nullopt;
  return found->second;
}

FakeJob::FakeJob(FakeParent* parent) : parent_(parent) {}

const brood_task* FindTask(const brood_library* library, const std::string& name) {
  for (uint32_t i = 0; i < library->task_count; ++i) {
    if (name == library->tasks[i].name) return &library->tasks[i];
  }
  return nullptr;
}

int FakeJob::Run(const brood_library* library, const std::string& task,
                 const std::vector<OwnedValue>& arguments) {
  const brood_task* const found = FindTask(library, task);
  if (found == nullptr) {
    std::fprintf(stderr, "there is no task '%s'\n", task.c_str());
    std::abort();
  }
  result = Nothing();
  thrown.clear();
  std::vector<brood_value> views;
  for (const OwnedValue& argument : arguments) views.push_back(argument.view());
  return found->run(host(), reinterpret_cast<brood_job*>(this), views.data(), views.size(),
                    found->context);
}

int FakeJob::CellRead(brood_job* job, const char* name, brood_value* value) {
  if (!GoodName(name)) return BROOD_BAD_NAME;
  const auto found = Of(job)->parent_->Find(name);
  if (!found) return BROOD_NO_SUCH_CELL;
  Of(job)->last_read_ = *found;
  *value = Of(job)->last_read_.view();
  return BROOD_OK;
}

int FakeJob::CellWrite(brood_job* job, const char* name, const brood_value* value) {
  if (!GoodName(name)) return BROOD_BAD_NAME;
  if (value->size > kValueBytesMax) return BROOD_TOO_LARGE;
  const std::lock_guard lock(Of(job)->parent_->mutex_);
  Of(job)->parent_->cells_[name] = OwnedValue::Copy(*value);
  return BROOD_OK;
}

int FakeJob::CellAdd(brood_job* job, const char* name, int64_t delta, int64_t* now) {
  if (!GoodName(name)) return BROOD_BAD_NAME;
  const std::lock_guard lock(Of(job)->parent_->mutex_);
  OwnedValue& cell = Of(job)->parent_->cells_.try_emplace(name, Integer(0)).first->second;
  if (cell.type != BROOD_INT) return BROOD_WRONG_TYPE;
  *now = cell.integer += delta;
  return BROOD_OK;
}

int FakeJob::CellUpdate(brood_job* job, const char* name, brood_cell_change change, void* context,
                        brood_value* after) {
  if (!GoodName(name)) return BROOD_BAD_NAME;
  const std::lock_guard lock(Of(job)->parent_->mutex_);
  auto& cells = Of(job)->parent_->cells_;
  const auto found = cells.find(name);
  const OwnedValue before = found == cells.end() ? Nothing() : found->second;
  const brood_value view = before.view();
  const brood_value changed = change(&view, context);
  if (changed.size > kValueBytesMax) return BROOD_TOO_LARGE;
  Of(job)->last_read_ = OwnedValue::Copy(changed);
  // A change that leaves "nothing" makes no cell.
  if (found != cells.end() || changed.type != BROOD_NULL) cells[name] = Of(job)->last_read_;
  if (after != nullptr) *after = Of(job)->last_read_.view();
  return BROOD_OK;
}

void FakeJob::Progress(brood_job* job, double fraction, const char* text, size_t size) {
  Of(job)->progress.emplace_back(fraction, size == 0 ? std::string() : std::string(text, size));
}

int FakeJob::Write(brood_job* job, int stream, const void* data, size_t size) {
  FakeJob* const own = Of(job);
  if (own->write_answer != BROOD_OK) {
    errno = EIO;
    return own->write_answer;
  }
  (stream == 1 ? own->out : own->err).append(static_cast<const char*>(data), size);
  ++own->writes;
  return BROOD_OK;
}

int FakeJob::StopRequested(brood_job* job) { return Of(job)->stop ? 1 : 0; }

int FakeJob::Sleep(brood_job* job, int64_t nanoseconds) {
  FakeJob* const own = Of(job);
  if (own->on_sleep != nullptr) own->on_sleep(own, nanoseconds);
  return own->stop ? BROOD_STOPPED : BROOD_OK;
}

int FakeJob::ReturnValue(brood_job* job, const brood_value* value) {
  if (value->size > kValueBytesMax) return BROOD_TOO_LARGE;
  Of(job)->result = OwnedValue::Copy(*value);
  return BROOD_OK;
}

void FakeJob::ThrowText(brood_job* job, const char* text, size_t size) {
  Of(job)->thrown.assign(text, size);
}

const char* FakeJob::JobId(brood_job*) { return "here/7"; }
int FakeJob::IsThread(brood_job* job) { return Of(job)->is_thread ? 1 : 0; }

// All cells are the one process's own: whether they are shared makes no difference here.
int FakeJob::CellShare(brood_job*, const char* name) {
  return GoodName(name) ? BROOD_OK : BROOD_BAD_NAME;
}

int FakeJob::ShowVariable(brood_job*, const char* name, uint32_t, const void* address) {
  if (!GoodName(name)) return BROOD_BAD_NAME;
  return address != nullptr ? BROOD_OK : BROOD_WRONG_TYPE;
}

int FakeJob::ShowMutex(brood_job*, const char* name, const pthread_mutex_t* mutex) {
  if (!GoodName(name)) return BROOD_BAD_NAME;
  return mutex != nullptr ? BROOD_OK : BROOD_WRONG_TYPE;
}

// An open cell is its name.
int FakeJob::CellOpen(brood_job* job, const char* name, brood_cell** cell) {
  if (!GoodName(name)) return BROOD_BAD_NAME;
  const std::lock_guard lock(Of(job)->parent_->mutex_);
  const auto& opened = *Of(job)->parent_->opened_.insert(name).first;
  *cell = reinterpret_cast<brood_cell*>(const_cast<char*>(opened.c_str()));
  return BROOD_OK;
}

int FakeJob::OpenCellRead(brood_job* job, brood_cell* cell, brood_value* value) {
  return CellRead(job, reinterpret_cast<const char*>(cell), value);
}

int FakeJob::OpenCellWrite(brood_job* job, brood_cell* cell, const brood_value* value) {
  return CellWrite(job, reinterpret_cast<const char*>(cell), value);
}

int FakeJob::OpenCellAdd(brood_job* job, brood_cell* cell, int64_t delta, int64_t* now) {
  return CellAdd(job, reinterpret_cast<const char*>(cell), delta, now);
}

int FakeJob::CellBlock(brood_job* job, const char* name, size_t bytes, uint32_t, void** address) {
  if (!GoodName(name)) return BROOD_BAD_NAME;
  const std::lock_guard lock(Of(job)->parent_->mutex_);
  std::vector<char>& block = Of(job)->parent_->blocks_[name];
  if (!block.empty() && block.size() != bytes) return BROOD_WRONG_KIND;
  block.resize(bytes);
  *address = block.data();
  return BROOD_OK;
}

const brood_host* FakeJob::host() {
  static const brood_host table = {BROOD_TASK_ABI_VERSION,
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
                                   CellBlock};
  return &table;
}

}  // namespace brood::testing
