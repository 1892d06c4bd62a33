// SPDX-License-Identifier: Apache-2.0
//
// A library: its tasks, from C++ callables to the tables of task.h.
#pragma once

#include <cxxabi.h>
#include <unistd.h>

#include <deque>
#include <functional>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "job.hpp"
#include "objects.hpp"

#pragma GCC visibility push(hidden)  // as in value.hpp
namespace brood {
inline namespace sdk_v1 {

// Flags of a task; the first two are preferences for the mode AUTO.
inline constexpr uint32_t kIsolated = BROOD_TASK_ISOLATED;
inline constexpr uint32_t kSharesMemory = BROOD_TASK_SHARES_MEMORY;
// A thread call runs on the parent's main thread, which does nothing else meanwhile: see task.h.
inline constexpr uint32_t kOnMainThread = BROOD_TASK_ON_MAIN_THREAD;

namespace detail {

// The call's arguments, and the names of the parameters for messages.
struct Arguments {
  const brood_value* values;
  size_t count;
  const std::vector<std::string>& names;
};

template <typename Result, typename... Parameters>
struct Signature {
  // The first one is the job itself, if the callable asks for it.
  template <typename... All>
  struct Split {
    static constexpr bool wants_job = false;
    using Own = std::tuple<std::remove_cvref_t<All>...>;
  };
  template <typename... Rest>
  struct Split<Job&, Rest...> {
    static constexpr bool wants_job = true;
    using Own = std::tuple<std::remove_cvref_t<Rest>...>;
  };
  static constexpr bool wants_job = Split<Parameters...>::wants_job;
  using Own = typename Split<Parameters...>::Own;
  static constexpr size_t count = std::tuple_size_v<Own>;

  static constexpr uint32_t ResultType() {
    if constexpr (std::is_void_v<Result>) {
      return BROOD_NULL;
    } else if constexpr (kIsOptional<Result>) {
      return BROOD_JSON;  // one of two kinds
    } else if constexpr (std::is_convertible_v<Result, const char*>) {
      return BROOD_TEXT;
    } else {
      return Kind<std::remove_cvref_t<Result>>::type;
    }
  }

  static std::vector<brood_parameter> DescribeParameters(const std::vector<std::string>& names) {
    return [&]<size_t... I>(std::index_sequence<I...>) {
      return std::vector<brood_parameter>{
          brood_parameter{names[I].c_str(), Kind<std::tuple_element_t<I, Own>>::type,
                          kIsOptional<std::tuple_element_t<I, Own>> ? 1u : 0u}...};
    }
    (std::make_index_sequence<count>());
  }

  static constexpr size_t Required() {
    constexpr size_t required = []<size_t... I>(std::index_sequence<I...>) {
      return (size_t{0} + ... + (kIsOptional<std::tuple_element_t<I, Own>> ? 0 : 1));
    }
    (std::make_index_sequence<count>());
    constexpr bool last = []<size_t... I>(std::index_sequence<I...>) {
      return (... && (kIsOptional<std::tuple_element_t<I, Own>> == (I >= required)));
    }
    (std::make_index_sequence<count>());
    static_assert(last, "a parameter that may be left out must come after those that may not");
    return required;
  }

  template <size_t I>
  static std::tuple_element_t<I, Own> Take(const Arguments& arguments) {
    using T = std::tuple_element_t<I, Own>;
    if constexpr (kIsOptional<T>) {
      if (I >= arguments.count) return std::nullopt;
    }
    return Kind<T>::Decode(arguments.values[I], "argument '" + arguments.names[I] + "'");
  }

  template <typename Callable>
  static void Call(Callable& callable, Job& job, const Arguments& arguments) {
    if (arguments.count < Required() || arguments.count > count) {
      throw TaskError("the task takes " + std::to_string(Required()) + " to " +
                      std::to_string(count) + " arguments, not " + std::to_string(arguments.count));
    }
    [&]<size_t... I>(std::index_sequence<I...>) {
      Own own{Take<I>(arguments)...};
      const auto invoke = [&]() -> Result {
        if constexpr (wants_job) {
          return callable(job, std::get<I>(std::move(own))...);
        } else {
          return callable(std::get<I>(std::move(own))...);
        }
      };
      if constexpr (std::is_void_v<Result>) {
        invoke();
      } else {
        Return(job, invoke());
      }
    }
    (std::make_index_sequence<count>());
  }

 private:
  template <typename T>
  static void Return(Job& job, T&& result) {
    using Held = std::conditional_t<std::is_convertible_v<T, const char*>, std::string_view,
                                    std::remove_cvref_t<T>>;
    const brood_value value = Kind<Held>::Encode(result);
    const int code = job.host()->return_value(job.handle(), &value);
    if (code != BROOD_OK) ThrowHostError(code, "what the task returned");
  }
};

template <typename Result, typename... Parameters>
Signature<Result, Parameters...> Deduce(Result (*)(Parameters...));
template <typename T, typename Result, typename... Parameters>
Signature<Result, Parameters...> Deduce(Result (T::*)(Parameters...));
template <typename T, typename Result, typename... Parameters>
Signature<Result, Parameters...> Deduce(Result (T::*)(Parameters...) const);

template <typename Callable>
struct SignatureOf {
  using Type = decltype(Deduce(&Callable::operator()));
};
template <typename Function>
struct SignatureOf<Function*> {
  using Type = decltype(Deduce(static_cast<Function*>(nullptr)));
};

// A task in the making, and what its `context` points to.
struct Task {
  std::string name;
  std::string summary;
  std::vector<std::string> parameter_names;
  std::vector<brood_parameter> parameters;
  uint32_t result = BROOD_NULL;
  uint32_t flags = 0;
  std::function<void(Job&, const Arguments&)> call;
};

inline int Throw(const brood_host* host, brood_job* job, std::string_view text) {
  host->throw_text(job, text.data(), text.size());
  return BROOD_TASK_THREW;
}

// Where brood comes in. No exception gets out, but for the unwinding of
// pthread_exit, which must.
inline int RunTask(const brood_host* host, brood_job* handle, const brood_value* values,
                   size_t count, void* context) {
  const Task& task = *static_cast<const Task*>(context);
  try {
    Job job(host, handle);
    int how = BROOD_TASK_RETURNED;
    try {
      task.call(job, Arguments{values, count, task.parameter_names});
    } catch (const Stopped&) {
      how = BROOD_TASK_STOPPED;
    } catch (const std::exception& thrown) {
      how = Throw(host, handle, thrown.what());
    }
    job.out().Flush();
    job.err().Flush();
    return how;
  } catch (const Stopped&) {
    return BROOD_TASK_STOPPED;
  } catch (const std::exception& thrown) {
    return Throw(host, handle, thrown.what());
  } catch (const abi::__forced_unwind&) {
    throw;
  } catch (...) {
    return Throw(host, handle, "something that is no std::exception");
  }
}

}  // namespace detail

// The tasks of one library. Made once, in the parent's main thread, and never
// destroyed: its threads may run until the process is gone.
class Library {
 public:
  explicit Library(std::string name) : name_(std::move(name)) {}
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;

  // Adds a task: a function, a lambda, Bind(…) or Unbound(…). `parameters` names
  // each argument, in order; the job, if the callable takes one (`Job&`, first),
  // is none. Calls may come from several threads at once.
  template <typename Callable>
  Library& Add(std::string name, std::string summary, std::initializer_list<const char*> parameters,
               Callable callable, uint32_t flags = 0) {
    using Signature = typename detail::SignatureOf<std::decay_t<Callable>>::Type;
    static_cast<void>(Signature::Required());
    if (parameters.size() != Signature::count) {
      throw TaskError("task '" + name + "' has " + std::to_string(Signature::count) +
                      " parameters, but names for " + std::to_string(parameters.size()));
    }
    if (!names_.insert(name).second) throw TaskError("there are two tasks '" + name + "'");
    detail::Task& task = tasks_.emplace_back();
    task.name = std::move(name);
    task.summary = std::move(summary);
    task.parameter_names.assign(parameters.begin(), parameters.end());
    task.parameters = Signature::DescribeParameters(task.parameter_names);
    task.result = Signature::ResultType();
    task.flags = flags;
    if constexpr (detail::kIsMethod<Callable>) task.flags |= BROOD_TASK_METHOD;
    task.call = [callable = std::move(callable)](Job& job,
                                                 const detail::Arguments& arguments) mutable {
      Signature::Call(callable, job, arguments);
    };
    return *this;
  }

  // Shows a variable of the library's own as LIBRARY.NAME, to be read from outside like a cell: a
  // bool, a 64-bit integer, a double, or an atomic of one, that lives as long as the library.
  template <typename T>
  Library& Show(std::string name, const T& variable) {
    brood_variable& entry = variables_.emplace_back();
    entry.name = shown_names_.emplace_back(std::move(name)).c_str();
    entry.type = detail::VariableType<T>();
    entry.address = &variable;
    return *this;
  }

  // Makes a mutex of the library's own known as LIBRARY.NAME: brood says who holds it when the
  // parent is forked, since nobody will ever unlock the copy in the child. It must live as long
  // as the library.
  Library& ShowMutex(std::string name, const pthread_mutex_t& mutex) {
    brood_mutex& entry = mutexes_.emplace_back();
    entry.name = shown_names_.emplace_back(std::move(name)).c_str();
    entry.mutex = &mutex;
    return *this;
  }
  Library& ShowMutex(std::string name, std::mutex& mutex) {
    return ShowMutex(std::move(name), *mutex.native_handle());
  }

  // The tables for brood; once, when all tasks are there.
  const brood_library* Finish() {
    for (detail::Task& task : tasks_) {
      brood_task& entry = table_.emplace_back();
      entry.name = task.name.c_str();
      entry.summary = task.summary.c_str();
      entry.parameters = task.parameters.data();
      entry.parameter_count = static_cast<uint32_t>(task.parameters.size());
      entry.result = task.result;
      entry.flags = task.flags;
      entry.run = detail::RunTask;
      entry.context = &task;
    }
    library_.abi_version = BROOD_TASK_ABI_VERSION;
    library_.size = sizeof(brood_library);
    library_.name = name_.c_str();
    library_.tasks = table_.data();
    library_.task_count = static_cast<uint32_t>(table_.size());
    library_.task_size = sizeof(brood_task);
    library_.variables = variables_.data();
    library_.variable_count = static_cast<uint32_t>(variables_.size());
    library_.variable_size = sizeof(brood_variable);
    library_.mutexes = mutexes_.data();
    library_.mutex_count = static_cast<uint32_t>(mutexes_.size());
    library_.mutex_size = sizeof(brood_mutex);
    return &library_;
  }

 private:
  const std::string name_;
  std::set<std::string> names_;
  std::deque<detail::Task> tasks_;  // a deque: `context` points into it
  std::vector<brood_task> table_;
  std::deque<std::string> shown_names_;  // a deque: the tables below point into it
  std::vector<brood_variable> variables_;
  std::vector<brood_mutex> mutexes_;
  brood_library library_{};
};

namespace detail {

// Null, with a sentence on standard error, if the library's own code throws.
inline const brood_library* MakeLibrary(const char* name, void (*fill)(Library&)) {
  try {
    auto library = std::make_unique<Library>(name);
    fill(*library);
    return library.release()->Finish();  // never deleted, see Library
  } catch (const std::exception& thrown) {
    const std::string line =
        std::string("task library '") + name + "' is not loaded: " + thrown.what() + "\n";
    static_cast<void>(!::write(2, line.data(), line.size()));
    return nullptr;
  }
}

}  // namespace detail
}  // namespace sdk_v1
}  // namespace brood
#pragma GCC visibility pop
