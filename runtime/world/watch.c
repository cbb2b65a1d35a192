// Watch: heartbeats.
#include "runtime/world/watch.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/base/clock.h"

typedef enum MessageKind { SIGN_OF_LIFE = 1, LOST, FAILED, GOODBYE } MessageKind;

enum { REASON = 232 };

// Of fixed size. LOST: `rank` was lost for that reason. FAILED: it gave up for that reason, by its own account.
typedef struct Message {
  uint32_t kind;
  int32_t rank;
  int64_t progress;
  char reason[REASON];
} Message;

typedef struct Peer {
  double heard;
  int64_t progress;
  bool is_gone; // said goodbye, or lost
  char in[sizeof(Message)];
  size_t n_in;
  char out[sizeof(Message)]; // what the connection did not take yet
  size_t n_out;
} Peer;

struct Watch {
  const Mesh *mesh;
  double timeout;
  Peer *peers;
  pthread_t thread;
  pthread_mutex_t lock; // of what follows
  char failure[512];    // what watch_check says; "" before
  int blamed;           // rank that was lost; -1 = none
  char reason[REASON];
  MessageKind kind; // LOST or FAILED
  bool is_told;     // whether the others know
  atomic_bool has_failed, is_stopping;
  _Atomic int64_t progress;
  int failed_fd, wake_fd;
};

static void signal_fd(int fd) {
  uint64_t one = 1;
  ssize_t n = write(fd, &one, sizeof one);
  (void)n; // full: it is readable already
}

// Called with the lock held: only the first failure counts, what follows is its consequence.
static void set_failure(Watch *watch, MessageKind kind, int rank, const char *reason) {
  if (watch->failure[0]) return;
  char name[160];
  mesh_name(watch->mesh, rank, name, sizeof name);
  bool is_self = kind == LOST && rank == watch->mesh->rank;
  if (is_self) snprintf(watch->failure, sizeof watch->failure, "the other ranks have given this one up: %s", reason);
  else if (kind == LOST) snprintf(watch->failure, sizeof watch->failure, "lost %s: %s", name, reason);
  else snprintf(watch->failure, sizeof watch->failure, "%s failed: %s", name, reason);
  watch->kind = kind;
  watch->blamed = rank;
  snprintf(watch->reason, sizeof watch->reason, "%s", reason);
  atomic_store(&watch->has_failed, true);
  signal_fd(watch->failed_fd);
  signal_fd(watch->wake_fd);
}

void watch_blame(Watch *watch, int rank, const char *what) {
  pthread_mutex_lock(&watch->lock);
  set_failure(watch, LOST, rank, what);
  pthread_mutex_unlock(&watch->lock);
}

void watch_fail(Watch *watch, const char *why) {
  pthread_mutex_lock(&watch->lock);
  set_failure(watch, FAILED, watch->mesh->rank, why);
  pthread_mutex_unlock(&watch->lock);
  // the thread tells the others; they should know before this process ends
  for (int i = 0; i < 100; i++) {
    pthread_mutex_lock(&watch->lock);
    bool is_told = watch->is_told;
    pthread_mutex_unlock(&watch->lock);
    if (is_told) break;
    usleep(10000);
  }
}

Status watch_check(Watch *watch) {
  if (!atomic_load(&watch->has_failed)) return STATUS_OK;
  pthread_mutex_lock(&watch->lock);
  Status status = status_make(EXIT_PEER, "%s", watch->failure);
  pthread_mutex_unlock(&watch->lock);
  return status;
}

bool watch_has_failed(const Watch *watch) { return atomic_load(&watch->has_failed); }

int watch_fd(const Watch *watch) { return watch->failed_fd; }

void watch_progress(Watch *watch, int64_t n) { atomic_store(&watch->progress, n); }

int watch_behind(Watch *watch, int64_t n) {
  int behind = -1;
  pthread_mutex_lock(&watch->lock);
  for (int i = 0; i < watch->mesh->size; i++) {
    if (i == watch->mesh->rank || watch->peers[i].progress >= n) continue;
    behind = i;
    n = watch->peers[i].progress;
  }
  pthread_mutex_unlock(&watch->lock);
  return behind;
}

// ---- the thread -----------------------------------------------------------------------------------------------------

static void flush(Peer *peer, int fd) {
  while (peer->n_out) {
    const char *at = peer->out + sizeof peer->out - peer->n_out;
    ssize_t n = send(fd, at, peer->n_out, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n <= 0) return; // full, or broken: the reading side finds out
    peer->n_out -= (size_t)n;
  }
}

// Sends what fits. A message that finds the last one still waiting is left out: who takes nothing is as good as lost.
static void send_to(Watch *watch, int rank, const Message *message) {
  Peer *peer = &watch->peers[rank];
  int fd = watch->mesh->peers[rank].control;
  if (peer->is_gone || fd < 0) return;
  flush(peer, fd);
  if (peer->n_out) return;
  memcpy(peer->out, message, sizeof *message);
  peer->n_out = sizeof *message;
  flush(peer, fd);
}

static void send_all(Watch *watch, MessageKind kind, int rank, const char *reason) {
  Message message = {.kind = kind, .rank = rank, .progress = atomic_load(&watch->progress)};
  snprintf(message.reason, sizeof message.reason, "%s", reason);
  for (int i = 0; i < watch->mesh->size; i++) {
    if (i != watch->mesh->rank) send_to(watch, i, &message);
  }
}

// Called with the lock held.
static void take_message(Watch *watch, int rank, Message *message) {
  Peer *peer = &watch->peers[rank];
  message->reason[REASON - 1] = 0;
  if (message->progress > peer->progress) peer->progress = message->progress;
  switch (message->kind) {
  case GOODBYE: peer->is_gone = true; return;
  case LOST:
  case FAILED:
    if (message->rank < 0 || message->rank >= watch->mesh->size) return;
    set_failure(watch, (MessageKind)message->kind, message->rank, message->reason);
    return;
  default: return;
  }
}

// Called with the lock held.
static void receive_from(Watch *watch, int rank) {
  Peer *peer = &watch->peers[rank];
  int fd = watch->mesh->peers[rank].control;
  while (!peer->is_gone) {
    ssize_t n = recv(fd, peer->in + peer->n_in, sizeof peer->in - peer->n_in, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n <= 0) {
      set_failure(watch, LOST, rank, n == 0 ? "its process ended" : strerror(errno));
      peer->is_gone = true;
      return;
    }
    peer->heard = clock_seconds();
    peer->n_in += (size_t)n;
    if (peer->n_in < sizeof peer->in) continue;
    Message message;
    memcpy(&message, peer->in, sizeof message);
    peer->n_in = 0;
    take_message(watch, rank, &message);
  }
}

// Called with the lock held.
static void find_silent(Watch *watch, double now) {
  for (int i = 0; i < watch->mesh->size; i++) {
    Peer *peer = &watch->peers[i];
    if (i == watch->mesh->rank || peer->is_gone || now - peer->heard <= watch->timeout) continue;
    char reason[REASON];
    snprintf(reason, sizeof reason, "no sign of life for %.3g s: it is stopped, or the network to it is cut",
             watch->timeout);
    set_failure(watch, LOST, i, reason);
    peer->is_gone = true;
  }
}

// Called with the lock held.
static void tell_failure(Watch *watch) {
  if (!watch->failure[0] || watch->is_told) return;
  watch->is_told = true;
  send_all(watch, watch->kind, watch->blamed, watch->reason);
}

static void wait_for_news(Watch *watch, struct pollfd *fds, double seconds) {
  int n = watch->mesh->size;
  for (int i = 0; i < n; i++) {
    bool is_open = i != watch->mesh->rank && !watch->peers[i].is_gone;
    fds[i] = (struct pollfd){.fd = is_open ? watch->mesh->peers[i].control : -1, .events = POLLIN};
  }
  fds[n] = (struct pollfd){.fd = watch->wake_fd, .events = POLLIN};
  poll(fds, (nfds_t)n + 1, seconds > 0 ? (int)(1e3 * seconds) + 1 : 0);
  uint64_t count;
  if (fds[n].revents && read(watch->wake_fd, &count, sizeof count) < 0) return;
}

static void *run(void *argument) {
  Watch *watch = argument;
  int n = watch->mesh->size;
  struct pollfd *fds = calloc((size_t)n + 1, sizeof *fds);
  if (!fds) BUG("out of memory");
  double every = watch->timeout / 5, next = 0, last = clock_seconds();
  while (!atomic_load(&watch->is_stopping)) {
    double now = clock_seconds();
    if (now >= next) {
      send_all(watch, SIGN_OF_LIFE, 0, "");
      next = now + every;
    }
    wait_for_news(watch, fds, next - now);
    now = clock_seconds();
    pthread_mutex_lock(&watch->lock);
    for (int i = 0; i < n; i++) {
      if (i != watch->mesh->rank && fds[i].fd >= 0) receive_from(watch, i);
      // stopped itself, it cannot know what the others did meanwhile: what they sent stands in the buffers
      if (now - last > watch->timeout / 2) watch->peers[i].heard = now;
    }
    find_silent(watch, now);
    tell_failure(watch);
    pthread_mutex_unlock(&watch->lock);
    last = now;
  }
  free(fds);
  return NULL;
}

Status watch_open(const Mesh *mesh, double timeout, Watch **out) {
  Watch *watch = calloc(1, sizeof *watch);
  if (!watch) BUG("out of memory");
  watch->mesh = mesh;
  watch->timeout = timeout;
  watch->blamed = -1;
  watch->peers = calloc((size_t)mesh->size, sizeof *watch->peers);
  if (!watch->peers) BUG("out of memory");
  for (int i = 0; i < mesh->size; i++) watch->peers[i].heard = clock_seconds();
  watch->failed_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  watch->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  pthread_mutex_init(&watch->lock, NULL);
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, &before); // signals are for the thread that trains
  bool is_good = watch->failed_fd >= 0 && watch->wake_fd >= 0 && pthread_create(&watch->thread, NULL, run, watch) == 0;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (!is_good) {
    socket_close(watch->failed_fd);
    socket_close(watch->wake_fd);
    free(watch->peers);
    free(watch);
    return status_make(EXIT_DEVICE, "cannot start the thread that watches the other ranks");
  }
  *out = watch;
  return STATUS_OK;
}

// Reads for a moment what the others still send: closing a connection with unread bytes would destroy the goodbye.
static void part(Watch *watch) {
  int n = watch->mesh->size;
  struct pollfd *fds = calloc((size_t)n + 1, sizeof *fds);
  if (!fds) BUG("out of memory");
  send_all(watch, GOODBYE, watch->mesh->rank, "");
  for (int i = 0; i < n; i++) {
    if (i != watch->mesh->rank) shutdown(watch->mesh->peers[i].control, SHUT_WR);
  }
  for (double end = clock_seconds() + 0.3; clock_seconds() < end;) {
    bool is_open = false;
    for (int i = 0; i < n; i++) is_open |= i != watch->mesh->rank && !watch->peers[i].is_gone;
    if (!is_open) break;
    wait_for_news(watch, fds, 0.05);
    for (int i = 0; i < n; i++) {
      if (fds[i].revents) receive_from(watch, i);
    }
  }
  free(fds);
}

void watch_close(Watch *watch) {
  if (!watch) return;
  atomic_store(&watch->is_stopping, true);
  signal_fd(watch->wake_fd);
  pthread_join(watch->thread, NULL);
  if (!watch->failure[0]) part(watch);
  pthread_mutex_destroy(&watch->lock);
  close(watch->failed_fd);
  close(watch->wake_fd);
  free(watch->peers);
  free(watch);
}
