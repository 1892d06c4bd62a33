// SPDX-License-Identifier: Apache-2.0
//
// What a running task can do: its cells, progress, output and stop token. All of
// it is for the job's own thread.
#pragma once

#include <atomic>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <exception>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>

#include "value.hpp"

#pragma GCC visibility push(hidden)  // as in value.hpp
namespace brood {
inline namespace sdk_v1 {

// Of Job::block: on huge pages, where the kernel gives them, so that a fork copies less.
inline constexpr uint32_t kHugePages = BROOD_BLOCK_HUGE_PAGES;

// Thrown out of a task that was asked to stop; it then counts as having stopped.
struct Stopped {};

namespace detail {

[[noreturn]] inline void ThrowHostError(int code, const std::string& what) {
  switch (code) {
    case BROOD_NO_SUCH_CELL:
      throw TaskError(what + " does not exist: a cell is made by its first write");
    case BROOD_WRONG_TYPE:
      throw TaskError(what + " holds another kind of value");
    case BROOD_TOO_LARGE:
      throw TaskError(what +
                      " is too large: a value has at most 48 KiB, a parent's blocks 64 GiB in all, "
                      "and a parent has a limit of cells");
    case BROOD_BAD_NAME:
      throw TaskError(what + " has a bad name: it must be 1 to 64 of A-Z a-z 0-9 . _ -");
    case BROOD_WRONG_KIND:
      throw TaskError(
          what + " is a block of memory: its bytes are written where they are, not as a value");
    case BROOD_STOPPED:
      throw Stopped();
    default:
      throw std::system_error(errno, std::generic_category(), what);
  }
}

// Whether the host that runs this library has that function: an older one ends before it.
template <typename Field>
bool HasField(const brood_host* host, Field brood_host::*field) {
  const auto* const begin = reinterpret_cast<const char*>(host);
  const auto* const end = reinterpret_cast<const char*>(&(host->*field)) + sizeof(Field);
  return static_cast<size_t>(end - begin) <= host->size;
}

template <typename T>
struct PlainOf {
  using Type = T;
};
template <typename T>
struct PlainOf<std::atomic<T>> {
  using Type = T;
};

// The type that a variable is shown as.
template <typename T>
constexpr uint32_t VariableType() {
  using Plain = typename PlainOf<std::remove_const_t<T>>::Type;
  static_assert(sizeof(T) == sizeof(Plain), "only what is stored as the plain value can be shown");
  if constexpr (std::is_same_v<Plain, bool>) return BROOD_BOOL;
  if constexpr (std::is_same_v<Plain, double>) return BROOD_FLOAT;
  if constexpr (std::is_integral_v<Plain> && !std::is_same_v<Plain, bool>) {
    static_assert(sizeof(Plain) == 8, "a whole number must have 64 bits to be shown");
    return BROOD_INT;
  }
}

}  // namespace detail

// A named value in the parent's memory: shared by its threads, copied into its
// forks. Made by the first write. T is one of value.hpp.
template <typename T>
class Cell {
 public:
  Cell(const brood_host* host, brood_job* job, std::string name)
      : host_(host), job_(job), name_(std::move(name)) {}

  const std::string& name() const { return name_; }

  // Throws TaskError if nobody has written it.
  T Read() const {
    brood_value value{};
    Must(ReadInto(&value));
    return detail::Kind<T>::Decode(value, What());
  }

  // Nothing if nobody has written it.
  std::optional<T> TryRead() const {
    brood_value value{};
    const int code = ReadInto(&value);
    if (code == BROOD_NO_SUCH_CELL) return std::nullopt;
    Must(code);
    return detail::Kind<T>::Decode(value, What());
  }

  void Write(const T& to) const {
    const brood_value value = detail::Kind<T>::Encode(to);
    brood_cell* const open = Open();
    Must(open != nullptr ? host_->open_cell_write(job_, open, &value)
                         : host_->cell_write(job_, name_.c_str(), &value));
  }

  // Adds in one step, from zero if it is new; the new value.
  T Add(T delta) const requires detail::Integer<T> {
    const int64_t by = detail::Kind<T>::Encode(delta).integer;
    int64_t now = 0;
    brood_cell* const open = Open();
    Must(open != nullptr ? host_->open_cell_add(job_, open, by, &now)
                         : host_->cell_add(job_, name_.c_str(), by, &now));
    brood_value value = detail::Empty(BROOD_INT);
    value.integer = now;
    return detail::Kind<T>::Decode(value, What());
  }

  // Reads, changes and writes in one step: `change(std::optional<T> before)` gives
  // what it shall hold. Nobody else can use the cell meanwhile, so `change` must be
  // short and must not use the job. If it throws, the cell stays as it is.
  template <typename Change>
  T Update(Change change) const {
    struct Context {
      Change& change;
      std::string what;
      std::optional<T> after;
      std::exception_ptr thrown;
    } context{change, What(), std::nullopt, nullptr};
    const brood_cell_change step = [](const brood_value* before, void* pointer) -> brood_value {
      Context& own = *static_cast<Context*>(pointer);
      try {
        std::optional<T> old;
        if (before->type != BROOD_NULL) old = detail::Kind<T>::Decode(*before, own.what);
        own.after = own.change(std::move(old));
        return detail::Kind<T>::Encode(*own.after);
      } catch (...) {
        own.thrown = std::current_exception();
        return *before;
      }
    };
    const int code = host_->cell_update(job_, name_.c_str(), step, &context, nullptr);
    if (context.thrown) std::rethrow_exception(context.thrown);
    Must(code);
    return *std::move(context.after);
  }

 private:
  std::string What() const { return "cell '" + name_ + "'"; }
  void Must(int code) const {
    if (code != BROOD_OK) detail::ThrowHostError(code, What());
  }

  // Looks for the name once, at the first change. Null: an older brood, which has no open cells.
  brood_cell* Open() const {
    if (open_ == nullptr && detail::HasField(host_, &brood_host::open_cell_add)) {
      Must(host_->cell_open(job_, name_.c_str(), &open_));
    }
    return open_;
  }

  // Opens nothing: reading must not make a cell.
  int ReadInto(brood_value* value) const {
    return open_ != nullptr ? host_->open_cell_read(job_, open_, value)
                            : host_->cell_read(job_, name_.c_str(), value);
  }

  const brood_host* host_;
  brood_job* job_;
  std::string name_;
  mutable brood_cell* open_ = nullptr;
};

// One of the job's two output streams. Held back until a line is whole, the task
// sleeps or ends, or Flush.
class Output {
 public:
  Output(const brood_host* host, brood_job* job, int stream)
      : host_(host), job_(job), stream_(stream) {}
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;

  Output& operator<<(std::string_view text) {
    held_.append(text);
    if (text.find('\n') != std::string_view::npos || held_.size() >= kHeldBytesMax) Flush();
    return *this;
  }
  Output& operator<<(const char* text) { return *this << std::string_view(text); }
  Output& operator<<(char one) { return *this << std::string_view(&one, 1); }
  Output& operator<<(bool truth) { return *this << (truth ? "true" : "false"); }
  template <typename Number>
  requires detail::Integer<Number> || std::floating_point<Number> Output& operator<<(
      Number number) {
    char digits[64];
    const auto [end, error] = std::to_chars(digits, digits + sizeof(digits), number);
    return *this << std::string_view(digits, static_cast<size_t>(end - digits));
  }

  // Writes all of it, after what is held. Throws std::system_error if that fails.
  void Write(std::string_view bytes) {
    Flush();
    Send(bytes);
  }

  void Flush() {
    const std::string bytes = std::exchange(held_, std::string());
    if (!bytes.empty()) Send(bytes);
  }

 private:
  static constexpr size_t kHeldBytesMax = 4096;  // one page: as stdio does it

  void Send(std::string_view bytes) {
    const int code = host_->write(job_, stream_, bytes.data(), bytes.size());
    if (code != BROOD_OK) detail::ThrowHostError(code, "the job's output");
  }

  const brood_host* host_;
  brood_job* job_;
  const int stream_;
  std::string held_;
};

// The job that runs this task.
class Job {
 public:
  Job(const brood_host* host, brood_job* job)
      : host_(host), job_(job), out_(host, job, 1), err_(host, job, 2) {}
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;

  std::string id() const { return host_->job_id(job_); }
  // True: a thread of the parent; false: a process of its own.
  bool is_thread() const { return host_->is_thread(job_) != 0; }

  template <typename T = int64_t>
  Cell<T> cell(std::string name) const {
    return Cell<T>(host_, job_, std::move(name));
  }

  // A cell that the parent and all its forks have in common; shared by this if nobody has.
  template <typename T = int64_t>
  Cell<T> shared_cell(std::string name) const {
    if (!detail::HasField(host_, &brood_host::cell_share)) {
      throw TaskError("this brood has no shared cells; run a newer one");
    }
    const int code = host_->cell_share(job_, name.c_str());
    if (code == BROOD_WRONG_KIND) {
      throw TaskError("cell '" + name +
                      "' is private: it was used before anybody shared it, and forks have copies "
                      "of it; share it before its first use");
    }
    if (code != BROOD_OK) detail::ThrowHostError(code, "cell '" + name + "'");
    return Cell<T>(host_, job_, std::move(name));
  }

  // A large block of the parent's memory, made of zeros where there is none of that name: in a
  // thread the parent's own, in a fork its copy. Asked for again it is the same one, with the same
  // size and pages. Who uses it beside others must see to that. It lives as long as the process.
  std::span<std::byte> block(const std::string& name, size_t bytes, uint32_t flags = 0) const {
    void* address = nullptr;
    if (!detail::HasField(host_, &brood_host::cell_block)) {
      throw TaskError("this brood has no blocks of memory; run a newer one");
    }
    const int code = host_->cell_block(job_, name.c_str(), bytes, flags, &address);
    const std::string what = "block '" + name + "' of " + std::to_string(bytes) + " bytes";
    if (code == BROOD_WRONG_KIND) {
      throw TaskError(what +
                      " cannot be made: the name is taken by a cell, or by a block of another size "
                      "or other pages; choose another name");
    }
    if (code != BROOD_OK) detail::ThrowHostError(code, what);
    return {static_cast<std::byte*>(address), bytes};
  }

  // Shows a variable under a name, to be read from outside like a cell; it must live as long as the
  // process. T is a bool, a 64-bit integer, a double, or an atomic of one.
  template <typename T>
  void Show(const std::string& name, const T& variable) const {
    if (!detail::HasField(host_, &brood_host::show_variable)) return;  // An older brood.
    const int code = host_->show_variable(job_, name.c_str(), detail::VariableType<T>(), &variable);
    if (code != BROOD_OK) detail::ThrowHostError(code, "variable '" + name + "'");
  }
  // The same; false where it cannot be shown.
  template <typename T>
  bool TryShow(const std::string& name, const T& variable) const {
    return detail::HasField(host_, &brood_host::show_variable) &&
           host_->show_variable(job_, name.c_str(), detail::VariableType<T>(), &variable) ==
               BROOD_OK;
  }

  // Makes a mutex known under a name: brood says who holds it when the parent is forked. It must
  // live as long as the process.
  void ShowMutex(const std::string& name, const pthread_mutex_t& mutex) const {
    if (!detail::HasField(host_, &brood_host::show_mutex)) return;  // An older brood.
    const int code = host_->show_mutex(job_, name.c_str(), &mutex);
    if (code != BROOD_OK) detail::ThrowHostError(code, "mutex '" + name + "'");
  }

  // How far it is: 0 to 1, and a few words. Cheap enough for every step.
  void Progress(double fraction, std::string_view text = {}) const {
    host_->progress(job_, fraction, text.data(), text.size());
  }

  Output& out() { return out_; }
  Output& err() { return err_; }

  // Whether it was asked to stop. A thread can be stopped in no other way.
  bool stop_requested() const { return host_->stop_requested(job_) != 0; }
  void ThrowIfStopped() const {
    if (stop_requested()) throw Stopped();
  }

  // Sleeps so long; false as soon as it is asked to stop.
  template <typename Rep, typename Period>
  bool sleep_for(std::chrono::duration<Rep, Period> duration) {
    out_.Flush();
    err_.Flush();
    const auto nanos = std::chrono::duration_cast<std::chrono::nanoseconds>(duration);
    return host_->sleep(job_, static_cast<int64_t>(nanos.count())) != BROOD_STOPPED;
  }

  const brood_host* host() const { return host_; }
  brood_job* handle() const { return job_; }

 private:
  const brood_host* const host_;
  brood_job* const job_;
  Output out_;
  Output err_;
};

}  // namespace sdk_v1
}  // namespace brood
#pragma GCC visibility pop
