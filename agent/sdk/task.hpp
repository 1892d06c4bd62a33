// SPDX-License-Identifier: Apache-2.0
//
// Task libraries in C++. All of a library:
//
//   #include <brood/task.hpp>
//
//   BROOD_TASK_LIBRARY("hello", library) {
//     library.Add("greet", "greets NAME", {"name"},
//                 [](std::string name) { return "Hello, " + name; });
//   }
//
// A task is a function, a lambda, a method bound to an object that lives in the
// parent, or an unbound one whose first argument names the object (objects.hpp).
// Its parameters and result are typed (value.hpp); it may take the job that runs
// it first (job.hpp). What it throws is reported in the exception's own words.
// Header-only; C++20; nothing but task.h and the standard library.
#pragma once

#include "job.hpp"
#include "library.hpp"
#include "objects.hpp"
#include "value.hpp"

// Defines the one function that a task library exports; the block that follows
// adds the tasks to `library`. Once per shared object.
#define BROOD_TASK_LIBRARY(name, library)                                                    \
  static void BroodFillLibrary(::brood::Library& library);                                   \
  extern "C" __attribute__((visibility("default"))) const brood_library* brood_task_library( \
      void) {                                                                                \
    static const brood_library* const made =                                                 \
        ::brood::detail::MakeLibrary(name, &BroodFillLibrary);                               \
    return made;                                                                             \
  }                                                                                          \
  static void BroodFillLibrary(::brood::Library& library)
