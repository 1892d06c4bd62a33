// SPDX-License-Identifier: Apache-2.0
//
// Objects that live in the parent, and their methods as tasks.
//
//   library.Add("total.add", "…", {"n"}, brood::Bind(total, &Counter::Add));
//   library.Add("counter.add", "…", {"object", "n"}, brood::Unbound(counters, &Counter::Add));
//
// A thread acts on the very object; a fork on its copy.
#pragma once

#include <atomic>
#include <concepts>
#include <memory>
#include <string>
#include <utility>

#include "job.hpp"

#pragma GCC visibility push(hidden)  // as in value.hpp
namespace brood {
inline namespace sdk_v1 {

// More than this many objects of one class are made by mistake: they are never
// taken away.
inline constexpr size_t kObjectsMax = 4096;

// Named objects of one class, each made by its first use and never destroyed.
// Thread-safe without a lock, so that no fork inherits a held one.
template <typename T>
class Objects {
 public:
  // How a new one is made; without it, by its default constructor. A plain
  // function, so that Objects itself has nothing to destroy when a process ends.
  using Maker = std::unique_ptr<T> (*)(const std::string& name);
  constexpr Objects() requires std::default_initializable<T>
      : maker_([](const std::string&) { return std::make_unique<T>(); }) {}
  constexpr explicit Objects(Maker maker) : maker_(maker) {}
  // Made by their default constructor, and shown: what `T::shown() const` gives, which is what
  // Job::Show takes, can be read from outside as PREFIX.NAME once a job has used the object through
  // Unbound(…), if that can be the name of a cell.
  constexpr explicit Objects(const char* prefix) requires std::default_initializable<T>
      : Objects() {
    prefix_ = prefix;
  }
  Objects(const Objects&) = delete;
  Objects& operator=(const Objects&) = delete;

  // The object of that name, the same one for all who ask.
  T& Get(const std::string& name) { return *GetNode(name).object; }

  // The same for a job, which shows it where objects of this class are shown.
  T& Get(const Job& job, const std::string& name) {
    Node& node = GetNode(name);
    if constexpr (requires(const T& object) { object.shown(); }) {
      if (prefix_ != nullptr && !node.shown.exchange(true, std::memory_order_relaxed)) {
        job.TryShow(prefix_ + ("." + name), std::as_const(*node.object).shown());
      }
    }
    return *node.object;
  }

 private:
  struct Node {
    std::string name;
    std::unique_ptr<T> object;
    Node* next = nullptr;
    size_t number = 0;
    std::atomic<bool> shown{false};
  };

  Node& GetNode(const std::string& name) {
    Node* seen = first_.load(std::memory_order_acquire);
    if (Node* const found = Find(seen, nullptr, name)) return *found;
    if (name.empty()) throw TaskError("an object needs a name");
    if (seen != nullptr && seen->number >= kObjectsMax) {
      throw TaskError("object '" + name + "' cannot be made: there are " +
                      std::to_string(kObjectsMax) + " already");
    }
    auto node = std::make_unique<Node>();
    node->name = name;
    node->object = maker_(name);
    for (;;) {
      node->next = seen;
      node->number = seen == nullptr ? 1 : seen->number + 1;
      Node* now = seen;
      if (first_.compare_exchange_strong(now, node.get(), std::memory_order_acq_rel)) {
        return *node.release();
      }
      // Others came first; perhaps with this name.
      if (Node* const found = Find(now, seen, name)) return *found;
      seen = now;
    }
  }

  static Node* Find(Node* from, const Node* end, const std::string& name) {
    for (Node* node = from; node != end; node = node->next) {
      if (node->name == name) return node;
    }
    return nullptr;
  }

  const Maker maker_;
  const char* prefix_ = nullptr;  // null: not shown
  std::atomic<Node*> first_{nullptr};
};

// A method with its object: the task's arguments are the method's. The object
// must live as long as the library.
template <typename T, typename Result, typename... Arguments>
auto Bind(T& object, Result (T::*method)(Arguments...)) {
  return [&object, method](Arguments... arguments) -> Result {
    return (object.*method)(std::forward<Arguments>(arguments)...);
  };
}
template <typename T, typename Result, typename... Arguments>
auto Bind(const T& object, Result (T::*method)(Arguments...) const) {
  return [&object, method](Arguments... arguments) -> Result {
    return (object.*method)(std::forward<Arguments>(arguments)...);
  };
}

namespace detail {

// Marks a callable whose first argument names the object.
template <typename Callable>
struct Method : Callable {
  using Callable::operator();
};
template <typename Callable>
Method(Callable) -> Method<Callable>;

template <typename T>
inline constexpr bool kIsMethod = false;
template <typename T>
inline constexpr bool kIsMethod<Method<T>> = true;

template <typename T, typename Pointer, typename Result, typename... Arguments>
auto MakeMethod(Objects<T>& objects, Pointer method, Result (*)(Job&, Arguments...)) {
  return Method{[&objects, method](Job& job, std::string object, Arguments... arguments) -> Result {
    return (objects.Get(job, object).*method)(job, std::forward<Arguments>(arguments)...);
  }};
}
template <typename T, typename Pointer, typename Result, typename... Arguments>
auto MakeMethod(Objects<T>& objects, Pointer method, Result (*)(Arguments...)) {
  return Method{[&objects, method](Job& job, std::string object, Arguments... arguments) -> Result {
    return (objects.Get(job, object).*method)(std::forward<Arguments>(arguments)...);
  }};
}

}  // namespace detail

// A method without its object: the task's first argument names it, the others
// are the method's. The objects must live as long as the library.
template <typename T, typename Result, typename... Arguments>
auto Unbound(Objects<T>& objects, Result (T::*method)(Arguments...)) {
  return detail::MakeMethod(objects, method, static_cast<Result (*)(Arguments...)>(nullptr));
}
template <typename T, typename Result, typename... Arguments>
auto Unbound(Objects<T>& objects, Result (T::*method)(Arguments...) const) {
  return detail::MakeMethod(objects, method, static_cast<Result (*)(Arguments...)>(nullptr));
}

}  // namespace sdk_v1
}  // namespace brood
#pragma GCC visibility pop
