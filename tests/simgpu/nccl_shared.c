// Counters in shared memory and buffers in files beside them.
#include "tests/simgpu/nccl_shared.h"
#include "tests/simgpu/memory.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

typedef struct RankState {
  _Atomic int64_t process; // 0: not there yet
  _Atomic int device, error;
  _Atomic uint64_t posted, done;                             // collectives
  _Atomic uint64_t sent[SIM_DEVICES], received[SIM_DEVICES]; // messages to and from each rank
} RankState;

typedef struct State {
  _Atomic uint32_t events; // a futex: raised with everything that happens
  _Atomic int n_ranks, n_left;
  RankState rank[SIM_DEVICES];
} State;

struct NcclShared {
  State *state;
  char directory[96];
  void (*changed)(void);
  uint64_t n_removed[SIM_DEVICES]; // own buffers of collectives that are gone, by rank
};

static const char *const roots[] = {"/dev/shm", "/tmp"};
static const char prefix[] = "simgpu-nccl-";

// ---- directories

static void name_of(char *out, size_t n, const char *root, int64_t process, uint64_t number) {
  snprintf(out, n, "%s/%s%lld-%llu", root, prefix, (long long)process, (unsigned long long)number);
}

static void remove_directory(const char *path) {
  DIR *directory = opendir(path);
  for (struct dirent *entry; directory && (entry = readdir(directory));)
    if (entry->d_name[0] != '.') unlinkat(dirfd(directory), entry->d_name, 0);
  if (directory) closedir(directory);
  rmdir(path);
}

// Those of processes that were killed.
static void remove_stale(const char *root) {
  DIR *directory = opendir(root);
  for (struct dirent *entry; directory && (entry = readdir(directory));) {
    long long process;
    char path[PATH_MAX];
    if (strncmp(entry->d_name, prefix, sizeof prefix - 1)) continue;
    if (sscanf(entry->d_name + sizeof prefix - 1, "%lld-", &process) != 1) continue;
    if (!kill((pid_t)process, 0) || errno != ESRCH) continue;
    snprintf(path, sizeof path, "%s/%s", root, entry->d_name);
    remove_directory(path);
  }
  if (directory) closedir(directory);
}

static int open_state(const char *directory, int flags) {
  char path[128];
  snprintf(path, sizeof path, "%s/state", directory);
  return open(path, O_RDWR | O_CLOEXEC | flags, 0600);
}

bool nccl_shared_make(int64_t process, uint64_t number) {
  for (size_t k = 0; k < sizeof roots / sizeof *roots; k++) {
    char path[96];
    name_of(path, sizeof path, roots[k], process, number);
    remove_stale(roots[k]);
    if (mkdir(path, 0700)) continue;
    int file = open_state(path, O_CREAT | O_EXCL);
    bool is_made = file >= 0 && !ftruncate(file, sizeof(State));
    if (file >= 0) close(file);
    if (is_made) return true;
    remove_directory(path);
  }
  return false;
}

// ---- what happens elsewhere

static void *watch(void *context) {
  NcclShared *shared = context;
  uint32_t seen = atomic_load(&shared->state->events);
  for (;;) {
    syscall(SYS_futex, &shared->state->events, FUTEX_WAIT, seen, NULL, NULL, 0);
    uint32_t now = atomic_load(&shared->state->events);
    if (now != seen) shared->changed();
    seen = now;
  }
  return NULL;
}

static void happened(NcclShared *shared) {
  atomic_fetch_add(&shared->state->events, 1);
  syscall(SYS_futex, &shared->state->events, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

NcclShared *nccl_shared_open(int64_t process, uint64_t number, void (*changed)(void)) {
  NcclShared *shared = calloc(1, sizeof *shared);
  if (!shared) abort();
  int file = -1;
  for (size_t k = 0; k < sizeof roots / sizeof *roots && file < 0; k++) {
    name_of(shared->directory, sizeof shared->directory, roots[k], process, number);
    file = open_state(shared->directory, 0);
  }
  void *state = file < 0 ? MAP_FAILED : mmap(NULL, sizeof(State), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (file >= 0) close(file);
  shared->state = state;
  shared->changed = changed;
  pthread_t thread;
  if (state == MAP_FAILED || pthread_create(&thread, NULL, watch, shared)) {
    free(shared);
    return NULL;
  }
  pthread_detach(thread);
  return shared;
}

void nccl_shared_remove(NcclShared *shared) { remove_directory(shared->directory); }

// ---- ranks

bool nccl_shared_join(NcclShared *shared, int rank, int n_ranks, int device, int *out_other) {
  State *state = shared->state;
  int none = 0;
  int64_t nobody = 0;
  *out_other = -1;
  atomic_compare_exchange_strong(&state->n_ranks, &none, n_ranks);
  if (!atomic_compare_exchange_strong(&state->rank[rank].process, &nobody, (int64_t)getpid())) return false;
  atomic_store(&state->rank[rank].device, device + 1);
  for (int r = 0; r < SIM_DEVICES; r++)
    if (r != rank && atomic_load(&state->rank[r].device) == device + 1) *out_other = r;
  if (*out_other >= 0) {
    atomic_store(&state->rank[rank].device, 0);
    atomic_store(&state->rank[rank].process, 0);
  }
  happened(shared);
  return *out_other < 0;
}

bool nccl_shared_has(const NcclShared *shared, int rank) { return atomic_load(&shared->state->rank[rank].device) != 0; }

int nccl_shared_ranks(const NcclShared *shared) { return atomic_load(&shared->state->n_ranks); }

bool nccl_shared_is_other(const NcclShared *shared, int rank) {
  return atomic_load(&shared->state->rank[rank].process) != getpid();
}

bool nccl_shared_is_alive(const NcclShared *shared, int rank) {
  int64_t process = atomic_load(&shared->state->rank[rank].process);
  return process && !kill((pid_t)process, 0);
}

bool nccl_shared_leave(NcclShared *shared) {
  return atomic_fetch_add(&shared->state->n_left, 1) + 1 == nccl_shared_ranks(shared);
}

void nccl_shared_set_error(NcclShared *shared, int rank, int error) {
  atomic_store(&shared->state->rank[rank].error, error);
  happened(shared);
}

int nccl_shared_error(const NcclShared *shared, int rank) { return atomic_load(&shared->state->rank[rank].error); }

// ---- buffers

static void file_of(const NcclShared *shared, NcclPlace place, char out[192]) {
  if (place.to < 0)
    snprintf(out, 192, "%s/collective-%llu-of-%d", shared->directory, (unsigned long long)place.number, place.from);
  else
    snprintf(out, 192, "%s/message-%llu-of-%d-to-%d", shared->directory, (unsigned long long)place.number, place.from,
             place.to);
}

static bool write_all(int file, const char *data, size_t n) {
  while (n) {
    ssize_t some = write(file, data, n);
    if (some < 0 && errno == EINTR) continue;
    if (some <= 0) return false;
    data += some;
    n -= (size_t)some;
  }
  return true;
}

static _Atomic uint64_t *counter_of(const NcclShared *shared, NcclPlace place) {
  RankState *rank = &shared->state->rank[place.from];
  return place.to < 0 ? &rank->posted : &rank->sent[place.to];
}

bool nccl_shared_post(NcclShared *shared, NcclPlace place, const void *head, size_t n_head, const void *data,
                      size_t n_data) {
  char path[192];
  file_of(shared, place, path);
  int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  bool is_good = file >= 0 && write_all(file, head, n_head) && write_all(file, data, n_data);
  if (file >= 0) close(file);
  if (!is_good) return false;
  atomic_store(counter_of(shared, place), place.number + 1);
  happened(shared);
  return true;
}

bool nccl_shared_is_posted(const NcclShared *shared, NcclPlace place) {
  return atomic_load(counter_of(shared, place)) > place.number;
}

bool nccl_shared_read(const NcclShared *shared, NcclPlace place, void *head, size_t n_head, void **out_data,
                      size_t *out_n) {
  char path[192];
  struct stat about;
  file_of(shared, place, path);
  int file = open(path, O_RDONLY | O_CLOEXEC);
  bool is_good = file >= 0 && !fstat(file, &about) && (size_t)about.st_size >= n_head &&
                 read(file, head, n_head) == (ssize_t)n_head;
  size_t n = is_good ? (size_t)about.st_size - n_head : 0, got = 0;
  char *data = is_good ? malloc(n + 1) : NULL;
  while (data && got < n) {
    ssize_t some = read(file, data + got, n - got);
    if (some <= 0) break;
    got += (size_t)some;
  }
  if (file >= 0) close(file);
  *out_data = data;
  *out_n = n;
  if (data && got == n) return true;
  free(data);
  return false;
}

void nccl_shared_done(NcclShared *shared, NcclPlace place, int rank, int n_ranks) {
  char path[192];
  State *state = shared->state;
  if (place.to >= 0) {
    file_of(shared, place, path);
    unlink(path);
    atomic_store(&state->rank[place.to].received[place.from], place.number + 1);
    happened(shared);
    return;
  }
  atomic_store(&state->rank[rank].done, place.number + 1);
  uint64_t least = place.number + 1;
  for (int r = 0; r < n_ranks; r++) {
    uint64_t done = atomic_load(&state->rank[r].done);
    if (done < least) least = done;
  }
  for (; shared->n_removed[rank] < least; shared->n_removed[rank]++) {
    file_of(shared, (NcclPlace){rank, -1, shared->n_removed[rank]}, path);
    unlink(path);
  }
}

bool nccl_shared_is_taken(const NcclShared *shared, NcclPlace place) {
  return atomic_load(&shared->state->rank[place.to].received[place.from]) > place.number;
}
