// TCP: parcels over one connection to each peer, all driven by one poll loop.
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/world/transport.h"

// In front of each parcel: numbers that show when two processes are not at the same operation.
typedef struct Head {
  uint64_t sequence, size;
} Head;

// A parcel and its head under way, in one direction.
typedef struct Way {
  Head head;
  Parcel parcel;
  size_t done; // bytes, those of the head included
  bool is_open;
} Way;

typedef struct Tcp {
  Transport transport;
  uint64_t sequence;
  Way *out, *in; // by rank
  struct pollfd *fds;
} Tcp;

// The rest of what is to go next: of the head or of the parcel. 0 where all has gone.
static size_t rest_of(Way *way, char **at) {
  if (way->done < sizeof way->head) {
    *at = (char *)&way->head + way->done;
    return sizeof way->head - way->done;
  }
  *at = (char *)way->parcel.data + (way->done - sizeof way->head);
  return way->parcel.size - (way->done - sizeof way->head);
}

static bool would_block(void) { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

// Returns what is wrong, NULL where nothing is.
static const char *push(Way *way, int fd) {
  char *at;
  for (size_t n = rest_of(way, &at); n; n = rest_of(way, &at)) {
    ssize_t sent = send(fd, at, n, MSG_NOSIGNAL);
    if (sent < 0 && would_block()) return NULL;
    if (sent <= 0) return strerror(errno);
    way->done += (size_t)sent;
  }
  way->is_open = false;
  return NULL;
}

static const char *pull(Way *way, int fd, const Head *want) {
  char *at;
  for (size_t n = rest_of(way, &at); n; n = rest_of(way, &at)) {
    ssize_t got = recv(fd, at, n, 0);
    if (got < 0 && would_block()) return NULL;
    if (got <= 0) return got == 0 ? "its process ended" : strerror(errno);
    way->done += (size_t)got;
    if (way->done != sizeof way->head) continue;
    if (way->head.sequence != want->sequence || way->head.size != want->size)
      return "it is at another operation: the ranks do not run the same job";
  }
  way->is_open = false;
  return NULL;
}

// One that ends because another failed tells so first: its word, on the watch's connections, is waited for.
static void blame(Watch *watch, int rank, const char *what) {
  for (int i = 0; i < 30 && !watch_has_failed(watch); i++) usleep(10000);
  watch_blame(watch, rank, what);
}

static Status exchange(Transport *transport, const Parcel *send, const Parcel *receive) {
  Tcp *tcp = (Tcp *)transport;
  const Mesh *mesh = transport->mesh;
  int n = mesh->size, n_open = 0;
  tcp->sequence++;
  for (int r = 0; r < n; r++) {
    bool is_other = r != mesh->rank;
    tcp->out[r] = (Way){.head = {tcp->sequence, send[r].size}, .parcel = send[r], .is_open = is_other && send[r].size};
    tcp->in[r] = (Way){.parcel = receive[r], .is_open = is_other && receive[r].size};
  }
  for (;;) {
    n_open = 0;
    for (int r = 0; r < n; r++) {
      int fd = mesh->peers[r].data;
      const char *wrong = NULL; // reading knows better than writing why
      if (tcp->in[r].is_open) wrong = pull(&tcp->in[r], fd, &(Head){tcp->sequence, receive[r].size});
      if (tcp->out[r].is_open && !wrong) wrong = push(&tcp->out[r], fd);
      if (wrong) blame(transport->watch, r, wrong);
      short events = (short)((tcp->in[r].is_open ? POLLIN : 0) | (tcp->out[r].is_open ? POLLOUT : 0));
      tcp->fds[r] = (struct pollfd){.fd = events ? fd : -1, .events = events};
      n_open += events != 0;
    }
    if (watch_has_failed(transport->watch)) return watch_check(transport->watch);
    if (!n_open) return STATUS_OK;
    tcp->fds[n] = (struct pollfd){.fd = watch_fd(transport->watch), .events = POLLIN};
    poll(tcp->fds, (nfds_t)n + 1, 1000);
  }
}

static void close_tcp(Transport *transport) {
  Tcp *tcp = (Tcp *)transport;
  free(tcp->out);
  free(tcp->in);
  free(tcp->fds);
  free(tcp);
}

static const TransportTable table = {"tcp", exchange, close_tcp};

Status transport_open_tcp(const Mesh *mesh, Watch *watch, Transport **out) {
  Tcp *tcp = calloc(1, sizeof *tcp);
  size_t n = (size_t)mesh->size;
  if (!tcp) BUG("out of memory");
  *tcp = (Tcp){.transport = {&table, mesh, watch},
               .out = calloc(n, sizeof *tcp->out),
               .in = calloc(n, sizeof *tcp->in),
               .fds = calloc(n + 1, sizeof *tcp->fds)};
  if (!tcp->out || !tcp->in || !tcp->fds) BUG("out of memory");
  *out = &tcp->transport;
  return STATUS_OK;
}
