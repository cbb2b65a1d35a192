// sgrun_sharing: a thread for each device, and taking in order.
#include "tools/sgrun_sharing.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

typedef struct Shared {
  const Sharing *sharing;
  pthread_mutex_t lock; // of what follows
  int64_t next, taken;
  bool *is_done; // by thing
  ExitCode code;
} Shared;

typedef struct Worker {
  Shared *shared;
  int device;
  pthread_t thread;
} Worker;

static bool is_over(const Shared *shared) {
  const Sharing *sharing = shared->sharing;
  return shared->next >= sharing->n || shared->code || (sharing->stop && *sharing->stop);
}

static void *work(void *argument) {
  const Worker *worker = argument;
  Shared *shared = worker->shared;
  const Sharing *sharing = shared->sharing;
  pthread_mutex_lock(&shared->lock);
  while (!is_over(shared)) {
    int64_t i = shared->next++;
    pthread_mutex_unlock(&shared->lock);
    sharing->work(sharing->context, worker->device, i);
    pthread_mutex_lock(&shared->lock);
    shared->is_done[i] = true;
    while (!shared->code && shared->taken < sharing->n && shared->is_done[shared->taken])
      shared->code = sharing->take(sharing->context, shared->taken++);
  }
  pthread_mutex_unlock(&shared->lock);
  return NULL;
}

ExitCode share_out(const Cli *cli, const Sharing *sharing, int devices) {
  Shared shared = {.sharing = sharing, .is_done = calloc((size_t)sharing->n + 1, sizeof *shared.is_done)};
  Worker *workers = calloc((size_t)devices, sizeof *workers);
  if (!shared.is_done || !workers) BUG("out of memory");
  pthread_mutex_init(&shared.lock, NULL);
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, &before); // signals are for the thread that called
  int n = 1;
  for (; n < devices; n++) {
    workers[n] = (Worker){.shared = &shared, .device = n};
    if (pthread_create(&workers[n].thread, NULL, work, &workers[n])) break;
  }
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (n < devices) shared.code = cli_fail(cli, EXIT_DEVICE, "cannot start a thread for each device");
  workers[0] = (Worker){.shared = &shared};
  work(&workers[0]);
  for (int i = 1; i < n; i++) pthread_join(workers[i].thread, NULL);
  pthread_mutex_destroy(&shared.lock);
  free(workers);
  free(shared.is_done);
  return shared.code;
}
