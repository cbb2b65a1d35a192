// Team: threads that run the devices' programs, and what goes between the devices outside of programs.
#include "runtime/train/team.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

typedef struct Member {
  Team *team;
  int index;
  pthread_t thread;
  bool has_thread;
  Status status;
} Member;

struct Team {
  World *world;
  int n;
  Member *members; // the first is the caller
  pthread_mutex_t lock;
  pthread_cond_t work, done;
  Exec *const *execs; // of the run under way
  int64_t round;
  int n_starting, n_running; // but for the caller
  bool cannot_start;         // one of them
  bool is_stopping;
};

int team_devices(const Team *team) { return team->n; }
World *team_world(const Team *team) { return team->world; }
bool team_is_first(const Team *team) { return world_rank(team->world) == 0; }

Share team_share(const Team *team, int64_t batch, int i) {
  return share_of(batch, world_size(team->world), world_first(team->world) + i);
}

Share team_part(const Team *team, int64_t batch) {
  Share part = team_share(team, batch, 0), last = team_share(team, batch, team->n - 1);
  part.n = last.first + last.n - part.first;
  return part;
}

// ---- running --------------------------------------------------------------------------------------------------------

// The others wait for this one's sums: they are told that none will come.
static Status tell_others(Team *team, Status status) {
  if (status && team->world && status_code(status) != EXIT_PEER) world_fail(team->world, status_message(status));
  return status;
}

static void finish_member(Member *member, Exec *exec) {
  if (!member->status) member->status = tell_others(member->team, exec_finish(exec));
}

static void *drive(void *argument) {
  Member *member = argument;
  Team *team = member->team;
  int64_t round = 0;
  pthread_mutex_lock(&team->lock);
  for (;;) {
    while (team->round == round && !team->is_stopping) pthread_cond_wait(&team->work, &team->lock);
    if (team->is_stopping) break;
    round = team->round;
    Exec *exec = team->execs[member->index];
    pthread_mutex_unlock(&team->lock);
    member->status = tell_others(team, exec_start(exec));
    pthread_mutex_lock(&team->lock);
    team->cannot_start |= member->status != STATUS_OK;
    if (--team->n_starting == 0) pthread_cond_signal(&team->done);
    pthread_mutex_unlock(&team->lock);
    finish_member(member, exec);
    pthread_mutex_lock(&team->lock);
    if (--team->n_running == 0) pthread_cond_signal(&team->done);
  }
  pthread_mutex_unlock(&team->lock);
  return NULL;
}

// The error that explains the others: one of the device itself before one that says that a peer failed.
static Status take_status(Team *team) {
  Status status = STATUS_OK;
  for (int i = 0; i < team->n; i++) {
    Status own = team->members[i].status;
    team->members[i].status = STATUS_OK;
    bool is_better = own && (!status || (status_code(status) == EXIT_PEER && status_code(own) != EXIT_PEER));
    status_free(is_better ? status : own);
    if (is_better) status = own;
  }
  return status;
}

// Begins the run of every device: returns once all have begun, and the inputs may be written for the next run. False if
// one could not.
static bool start_all(Team *team, Exec *const *execs) {
  pthread_mutex_lock(&team->lock);
  team->execs = execs;
  team->n_starting = team->n_running = team->n - 1;
  team->cannot_start = false;
  team->round++;
  pthread_cond_broadcast(&team->work);
  pthread_mutex_unlock(&team->lock);
  team->members[0].status = tell_others(team, exec_start(execs[0]));
  pthread_mutex_lock(&team->lock);
  while (team->n_starting) pthread_cond_wait(&team->done, &team->lock);
  bool is_good = !team->cannot_start && !team->members[0].status;
  pthread_mutex_unlock(&team->lock);
  return is_good;
}

static Status finish_all(Team *team, Exec *const *execs) {
  finish_member(&team->members[0], execs[0]);
  pthread_mutex_lock(&team->lock);
  while (team->n_running) pthread_cond_wait(&team->done, &team->lock);
  pthread_mutex_unlock(&team->lock);
  return take_status(team);
}

Status team_run(Team *team, Exec *const *execs) {
  start_all(team, execs);
  return finish_all(team, execs);
}

bool team_overlaps(const Team *team, Exec *const *execs) {
  (void)team;
  return exec_overlaps(execs[0]); // all are of one kind
}

Status team_start(Team *team, Exec *const *execs) {
  if (!team_overlaps(team, execs) || start_all(team, execs)) return STATUS_OK;
  return finish_all(team, execs);
}

Status team_send(Team *team, Exec *const *execs) {
  for (int i = 0; i < team->n; i++) TRY(exec_send(execs[i]));
  return STATUS_OK;
}

Status team_finish(Team *team, Exec *const *execs) {
  return team_overlaps(team, execs) ? finish_all(team, execs) : team_run(team, execs);
}

Status team_open(World *world, int devices, Team **out) {
  Team *team = calloc(1, sizeof *team);
  if (!team) BUG("out of memory");
  *team = (Team){.world = world, .n = devices, .members = calloc((size_t)devices, sizeof *team->members)};
  if (!team->members) BUG("out of memory");
  pthread_mutex_init(&team->lock, NULL);
  pthread_cond_init(&team->work, NULL);
  pthread_cond_init(&team->done, NULL);
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, &before); // signals are for the thread that trains
  bool is_good = true;
  for (int i = 0; i < devices; i++) {
    Member *member = &team->members[i];
    *member = (Member){.team = team, .index = i};
    if (i && is_good) is_good = member->has_thread = !pthread_create(&member->thread, NULL, drive, member);
  }
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (!is_good) {
    team_close(team);
    return status_make(EXIT_DEVICE, "cannot start a thread for each device");
  }
  *out = team;
  return STATUS_OK;
}

void team_close(Team *team) {
  if (!team) return;
  pthread_mutex_lock(&team->lock);
  team->is_stopping = true;
  pthread_cond_broadcast(&team->work);
  pthread_mutex_unlock(&team->lock);
  for (int i = 0; i < team->n; i++) {
    if (team->members[i].has_thread) pthread_join(team->members[i].thread, NULL);
  }
  pthread_mutex_destroy(&team->lock);
  pthread_cond_destroy(&team->work);
  pthread_cond_destroy(&team->done);
  free(team->members);
  free(team);
}

// ---- what goes between devices --------------------------------------------------------------------------------------

Status team_spread(Team *team, Exec *const *execs) {
  const Program *program = exec_program(execs[0]);
  if (world_size(team->world) < 2) return STATUS_OK;
  Status status = STATUS_OK;
  for (int i = 0; i < program->n_buffers && !status; i++) {
    const Buffer *buffer = &program->buffers[i];
    if (buffer->kind != BUFFER_PARAM) continue;
    size_t size = (size_t)shape_elements(buffer->shape) * sizeof(float);
    float *values = malloc(size + 1);
    if (!values) BUG("out of memory");
    if (team_is_first(team)) status = exec_get(execs[0], buffer->name, values); // elsewhere it may be gone
    if (!status) status = world_broadcast(team->world, values, size);
    for (int d = team_is_first(team) ? 1 : 0; d < team->n && !status; d++)
      status = exec_set(execs[d], buffer->name, values);
    free(values);
  }
  return status;
}

// The rows of the device's samples; an input that the program does not have is left out.
static void feed(Exec *exec, const char *input, const float *values, int64_t first) {
  const Program *program = exec_program(exec);
  int i = program_find(program, BUFFER_INPUT, input);
  if (i < 0) return;
  const Buffer *buffer = &program->buffers[i];
  int64_t n = shape_elements(buffer->shape), each = n / buffer->shape.dim[0];
  memcpy(exec_input(exec, input), values + first * each, (size_t)n * sizeof *values);
}

Status team_feed(Team *team, Exec *const *execs, int64_t batch, Loader *loader, Batch *out) {
  Batch taken;
  TRY(loader_next(loader, &taken));
  Share part = team_part(team, batch);
  for (int i = 0; i < team->n; i++) {
    Share share = team_share(team, batch, i);
    float *first = exec_input(execs[i], PROGRAM_FIRST_SAMPLE);
    feed(execs[i], "rgb", taken.rgb, share.first - part.first);
    feed(execs[i], "gt", taken.depth, share.first - part.first);
    if (first) *first = (float)share.first;
  }
  if (out) *out = taken;
  return STATUS_OK;
}
