/* SPDX-License-Identifier: Apache-2.0
 *
 * A task library in plain C: nothing but task.h.
 */
#include <stdio.h>
#include <string.h>

#include "agent/sdk/task.h"

static int Sum(const brood_host* host, brood_job* job, const brood_value* arguments, size_t count,
               void* context) {
  brood_value sum;
  (void)context;
  memset(&sum, 0, sizeof sum);
  sum.type = BROOD_INT;
  sum.integer = arguments[0].integer + (count > 1 ? arguments[1].integer : 0);
  host->progress(job, 1.0, "summed", 6);
  return host->return_value(job, &sum) == BROOD_OK ? BROOD_TASK_RETURNED : BROOD_TASK_THREW;
}

static brood_value Twice(const brood_value* before, void* context) {
  brood_value after = *before;
  (void)context;
  after.type = BROOD_INT;
  after.integer = before->type == BROOD_INT ? 2 * before->integer : 1;
  return after;
}

static int Double(const brood_host* host, brood_job* job, const brood_value* arguments,
                  size_t count, void* context) {
  char name[65];
  brood_value after;
  (void)count;
  (void)context;
  if (arguments[0].size >= sizeof name) {
    host->throw_text(job, "the name is too long", 20);
    return BROOD_TASK_THREW;
  }
  memcpy(name, arguments[0].data, arguments[0].size);
  name[arguments[0].size] = '\0';
  if (host->cell_update(job, name, Twice, NULL, &after) != BROOD_OK) return BROOD_TASK_THREW;
  if (host->cell_update(job, name, Twice, NULL, &after) != BROOD_OK) return BROOD_TASK_THREW;
  host->write(job, 1, "doubled\n", 8);
  host->return_value(job, &after);
  return BROOD_TASK_RETURNED;
}

static int Refuse(const brood_host* host, brood_job* job, const brood_value* arguments,
                  size_t count, void* context) {
  const char* const why = context;
  (void)arguments;
  (void)count;
  host->throw_text(job, why, strlen(why));
  return BROOD_TASK_THREW;
}

static const brood_parameter kNumbers[] = {{"a", BROOD_INT, 0}, {"b", BROOD_INT, 1}};
static const brood_parameter kCell[] = {{"cell", BROOD_TEXT, 0}};
static char why[] = "not in C";

static const brood_task kTasks[] = {
    {"sum", "adds A and B", kNumbers, 2, BROOD_INT, 0, 0, Sum, NULL},
    {"double", "doubles CELL twice", kCell, 1, BROOD_INT, BROOD_TASK_SHARES_MEMORY, 0, Double,
     NULL},
    {"refuse", "throws", NULL, 0, BROOD_NULL, BROOD_TASK_ISOLATED, 0, Refuse, why},
};

static const int64_t answer = 42;
static const brood_variable kVariables[] = {{"answer", BROOD_INT, 0, &answer}};

static pthread_mutex_t guard = PTHREAD_MUTEX_INITIALIZER;
static const brood_mutex kMutexes[] = {{"guard", &guard}};

static const brood_library kLibrary = {BROOD_TASK_ABI_VERSION,
                                       sizeof(brood_library),
                                       "plain",
                                       kTasks,
                                       sizeof kTasks / sizeof kTasks[0],
                                       sizeof(brood_task),
                                       kVariables,
                                       1,
                                       sizeof(brood_variable),
                                       kMutexes,
                                       1,
                                       sizeof(brood_mutex)};

const brood_library* brood_task_library(void) { return &kLibrary; }
