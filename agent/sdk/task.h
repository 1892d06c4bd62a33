/* SPDX-License-Identifier: Apache-2.0
 *
 * The C interface between brood and a task library: a shared object that
 * exports one function, brood_task_library. Any language that can make a shared
 * object with C linkage can take part; C++ has task.hpp on top of this.
 *
 * Rules. Nothing here throws; no exception may leave a task. Pointers that brood
 * hands out live as said; pointers that a task hands in are copied before the
 * call returns. All functions of brood_host may be called from the job's own
 * thread only, in the parent (thread mode) or in the forked child (fork mode).
 */
#ifndef BROOD_TASK_H
#define BROOD_TASK_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A library with another number is refused, with both numbers in the message. */
#define BROOD_TASK_ABI_VERSION 1u

/* The kinds of a value; the numbers of brood.v1.ValueType. */
enum {
  BROOD_NULL = 1,
  BROOD_BOOL = 2,  /* integer: 0 or 1 */
  BROOD_INT = 3,   /* integer */
  BROOD_FLOAT = 4, /* number */
  BROOD_TEXT = 5,  /* data, size: UTF-8, no terminating NUL */
  BROOD_BYTES = 6, /* data, size */
  BROOD_JSON = 7   /* data, size: JSON text in UTF-8 */
};

/* One value; which fields mean something follows from `type`. At most 48 KiB. */
typedef struct brood_value {
  uint32_t type;
  uint32_t reserved; /* 0 */
  int64_t integer;
  double number;
  const char* data;
  size_t size;
} brood_value;

/* One running job; opaque. */
typedef struct brood_job brood_job;

/* What a function of brood_host answers. */
enum {
  BROOD_OK = 0,
  BROOD_NO_SUCH_CELL = 1,
  BROOD_WRONG_TYPE = 2, /* the cell holds another kind of value */
  BROOD_TOO_LARGE = 3,  /* value over 48 KiB, name over 64 bytes, too many cells */
  BROOD_BAD_NAME = 4,   /* not [A-Za-z0-9._-]{1,64} */
  BROOD_STOPPED = 5,    /* the stop token is set */
  BROOD_FAILED = 6,     /* errno says why */
  BROOD_WRONG_KIND = 7  /* the name is taken by a cell of another kind: a private one cannot be
                           shared any more, a block cannot be written as a value */
};

/* Changes a cell's value: `before` is what it holds (BROOD_NULL if it is new);
 * the answer is what it shall hold. Runs while the cell is locked: it must be
 * short and must not call brood_host. `context` is the caller's. */
typedef brood_value (*brood_cell_change)(const brood_value* before, void* context);

/* An open cell; opaque. */
typedef struct brood_cell brood_cell;

/* Flags of cell_block. */
enum {
  BROOD_BLOCK_HUGE_PAGES = 1 /* on huge pages, where the kernel gives them: forks copy less */
};

/* What brood offers to a running task. `size` is sizeof in the host: a field
 * beyond it is not there. */
typedef struct brood_host {
  uint32_t abi_version;
  uint32_t size;

  /* Cells: named values in the parent's memory. A thread works on the parent's
   * own; a forked call on its copy. Made by the first write. Thread-safe.
   * Data read stays valid until the job's next cell call. */
  int (*cell_read)(brood_job* job, const char* name, brood_value* value);
  int (*cell_write)(brood_job* job, const char* name, const brood_value* value);
  /* Adds to a BROOD_INT cell, from zero if it is new; stores the new value. */
  int (*cell_add)(brood_job* job, const char* name, int64_t delta, int64_t* now);
  /* Reads, changes and writes in one step; stores the new value if `after` is not null. */
  int (*cell_update)(brood_job* job, const char* name, brood_cell_change change, void* context,
                     brood_value* after);

  /* Says how far it is: 0 to 1, and a few words (at most 128 bytes are kept).
   * Cheap: at most ten a second become events, and the last one always does. */
  void (*progress)(brood_job* job, double fraction, const char* text, size_t size);

  /* Writes to the job's standard output (1) or standard error (2), all of it. */
  int (*write)(brood_job* job, int stream, const void* data, size_t size);

  /* Whether the job was asked to stop: 0 or 1. */
  int (*stop_requested)(brood_job* job);
  /* Sleeps so long; BROOD_STOPPED as soon as the job is asked to stop. */
  int (*sleep)(brood_job* job, int64_t nanoseconds);

  /* Sets what the call returns; BROOD_NULL if never called. */
  int (*return_value)(brood_job* job, const brood_value* value);
  /* Sets what the call threw; the task then returns BROOD_TASK_THREW. At most 1 KiB is kept. */
  void (*throw_text)(brood_job* job, const char* text, size_t size);

  /* The job's id, and 1 if it is a thread of the parent, 0 if a process of its own. */
  const char* (*job_id)(brood_job* job);
  int (*is_thread)(brood_job* job);

  /* From here on: fields that came later. */

  /* Makes a cell that the parent and all its forks have in common, where none is: from then on all
   * of them read and write the same one by the functions above, and nobody has a copy. Nothing if
   * it is shared already. A parent has at most 256. */
  int (*cell_share)(brood_job* job, const char* name);
  /* Shows a variable (BROOD_BOOL: one byte, BROOD_INT or BROOD_FLOAT: eight, aligned) under a name,
   * read like a cell from inside and outside, until the process ends. It must live as long. */
  int (*show_variable)(brood_job* job, const char* name, uint32_t type, const void* address);
  /* Makes a mutex known under a name, so that brood can say who holds it when the parent is forked:
   * the copy in the child would be held for ever. It must live as long as the process. */
  int (*show_mutex)(brood_job* job, const char* name, const pthread_mutex_t* mutex);

  /* Opens a cell, so that its name need not be looked up each time: made where none is, but not
   * written. Open cells are never closed; one is for this process only. */
  int (*cell_open)(brood_job* job, const char* name, brood_cell** cell);
  /* As cell_read, cell_write and cell_add. */
  int (*open_cell_read)(brood_job* job, brood_cell* cell, brood_value* value);
  int (*open_cell_write)(brood_job* job, brood_cell* cell, const brood_value* value);
  int (*open_cell_add)(brood_job* job, brood_cell* cell, int64_t delta, int64_t* now);

  /* Gives a large block of the parent's memory, made of zeros where there is none of that name: its
   * address, in the parent as in its forks, which have a copy of it. Asked for again it is the same
   * one, if size and flags are. At most 64 GiB in all; untouched pages cost nothing. Whoever uses
   * it at the same time as others must see to that; its value as a cell is its first 64 bytes. */
  int (*cell_block)(brood_job* job, const char* name, size_t bytes, uint32_t flags, void** address);
} brood_host;

/* How a task ended. */
enum {
  BROOD_TASK_RETURNED = 0,
  BROOD_TASK_THREW = 1,
  BROOD_TASK_STOPPED = 2 /* it stopped because it was asked to */
};

/* One parameter of a task. */
typedef struct brood_parameter {
  const char* name;
  uint32_t type;     /* BROOD_… */
  uint32_t optional; /* 1: may be left out, with all that follow */
} brood_parameter;

/* Flags of a task. The first two are preferences for the mode AUTO, never orders. */
enum {
  BROOD_TASK_ISOLATED = 1,      /* better in a process of its own */
  BROOD_TASK_SHARES_MEMORY = 2, /* made to share memory */
  BROOD_TASK_METHOD = 4,        /* its first parameter names the object */
  /* A thread call of it gets no thread of its own: it runs on the parent's main thread, which does
   * nothing else until it is over. No call starts meanwhile, no child's end is noted, no cell is
   * read for others, and no stop is heard, its own neither. It must not leave by pthread_exit. A
   * fork has but one thread: there it changes nothing. A brood that does not know the flag gives
   * it a thread. */
  BROOD_TASK_ON_MAIN_THREAD = 8
};

/* One task. All pointers stay valid as long as the library is loaded. */
typedef struct brood_task {
  const char* name;    /* without the library's: "add" or "counter.add"; [a-z0-9_.]{1,128} */
  const char* summary; /* one line */
  const brood_parameter* parameters;
  uint32_t parameter_count;
  uint32_t result; /* BROOD_… */
  uint32_t flags;
  uint32_t reserved; /* 0 */
  /* Runs it. The arguments match the parameters in number (less the optional
   * ones left out) and type. Returns BROOD_TASK_…. */
  int (*run)(const brood_host* host, brood_job* job, const brood_value* arguments,
             size_t argument_count, void* context);
  void* context; /* handed to `run` */
} brood_task;

/* A variable of a library's own, shown as LIBRARY.NAME from its loading on; see show_variable. */
typedef struct brood_variable {
  const char* name; /* [A-Za-z0-9._-]{1,31} */
  uint32_t type;
  uint32_t reserved; /* 0 */
  const void* address;
} brood_variable;

/* A mutex of a library's own, known as LIBRARY.NAME from its loading on; see show_mutex. */
typedef struct brood_mutex {
  const char* name; /* [A-Za-z0-9._-]{1,31} */
  const pthread_mutex_t* mutex;
} brood_mutex;

/* A library. */
typedef struct brood_library {
  uint32_t abi_version; /* BROOD_TASK_ABI_VERSION */
  uint32_t size;        /* sizeof(brood_library) */
  const char* name;     /* [a-z][a-z0-9_]{0,31} */
  const brood_task* tasks;
  uint32_t task_count; /* at most 1,024 */
  uint32_t task_size;  /* sizeof(brood_task) */

  /* From here on: fields that came later; `size` says whether they are there. */

  const brood_variable* variables;
  uint32_t variable_count; /* at most 256 */
  uint32_t variable_size;  /* sizeof(brood_variable) */

  const brood_mutex* mutexes;
  uint32_t mutex_count; /* at most 256 */
  uint32_t mutex_size;  /* sizeof(brood_mutex) */
} brood_library;

/* The size of a brood_library that ends where the first version of this file ended. */
#define BROOD_LIBRARY_FIRST_SIZE (offsetof(brood_library, variables))
/* And one that has variables, but no mutexes. */
#define BROOD_LIBRARY_SECOND_SIZE (offsetof(brood_library, mutexes))

/* The one symbol a task library exports. Called once, in the parent's main
 * thread, before any job; objects that live in the parent may be made here.
 * Null means that the library does not want to be loaded. */
const brood_library* brood_task_library(void);
#define BROOD_TASK_LIBRARY_SYMBOL "brood_task_library"

#ifdef __cplusplus
}
#endif

#endif /* BROOD_TASK_H */
