// Mesh: meeting at rank 0, then a connection between every two.
#include "runtime/world/mesh.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "runtime/base/text.h"

typedef enum HelloKind { HELLO_MEET = 1, HELLO_CONTROL, HELLO_DATA } HelloKind;
enum { HELLO_MAGIC = 0x53475032 };

// The first words on every connection.
typedef struct Hello {
  uint32_t magic, kind;
  uint64_t job;
  int32_t rank, size, port, process, devices, padding;
  char host[SOCKET_HOST];
} Hello;

// What rank 0 tells of each.
typedef struct Entry {
  char host[SOCKET_HOST], address[SOCKET_HOST];
  int32_t port, process, devices, padding;
} Entry;

typedef struct Opener {
  const MeshOptions *options;
  Mesh *mesh;
  int listener, port; // this process's own
  double deadline;
} Opener;

static Hello hello_of(const Opener *opener, HelloKind kind) {
  const MeshOptions *o = opener->options;
  Hello hello = {.magic = HELLO_MAGIC,
                 .kind = kind,
                 .job = o->job,
                 .rank = o->rank,
                 .size = o->size,
                 .port = opener->port,
                 .process = (int32_t)getpid(),
                 .devices = o->devices};
  gethostname(hello.host, sizeof hello.host - 1);
  return hello;
}

// Takes connections until one of this job says a hello of the right kind; strangers are dropped.
static Status take(const Opener *opener, unsigned kinds, Hello *hello, int *out_fd) {
  for (;;) {
    TRY(socket_accept(opener->listener, opener->deadline, out_fd));
    double soon = clock_seconds() + 5;
    Status status = socket_receive(*out_fd, hello, sizeof *hello, soon < opener->deadline ? soon : opener->deadline);
    bool is_ours = !status && hello->magic == HELLO_MAGIC && hello->job == opener->options->job &&
                   hello->size == opener->mesh->size && hello->rank >= 0 && hello->rank < hello->size &&
                   hello->rank != opener->options->rank && hello->kind <= HELLO_DATA && (kinds >> hello->kind & 1);
    status_free(status);
    if (is_ours) {
      hello->host[SOCKET_HOST - 1] = 0;
      return STATUS_OK;
    }
    socket_close(*out_fd);
  }
}

static void close_all(int *fd, int n) {
  for (int i = 0; i < n; i++) socket_close(fd[i]);
  free(fd);
}

static Status name_missing(Status status, const int *fd, int n) {
  Text text = {0};
  for (int i = 1, said = 0; i < n; i++) {
    if (fd[i] < 0 && said++ < 8) text_printf(&text, "%s%d", said > 1 ? ", " : "", i);
  }
  status_free(status);
  status = status_make(EXIT_PEER, "these ranks of %d never came: %s", n, text_get(&text));
  text_free(&text);
  return status;
}

// Rank 0: who is there, then the table to all.
static Status gather(Opener *opener) {
  int n = opener->mesh->size;
  MeshPeer *peers = opener->mesh->peers;
  int *fd = malloc(sizeof *fd * (size_t)n);
  Entry *table = calloc((size_t)n, sizeof *table);
  if (!fd || !table) BUG("out of memory");
  for (int i = 0; i < n; i++) fd[i] = -1;
  Status status = STATUS_OK;
  for (int come = 1; come < n && !status;) {
    Hello hello;
    int one = -1;
    status = take(opener, 1 << HELLO_MEET, &hello, &one);
    if (status) break;
    come += fd[hello.rank] < 0;
    socket_close(fd[hello.rank]); // one that was started anew comes twice
    fd[hello.rank] = one;
    MeshPeer *peer = &peers[hello.rank];
    peer->port = hello.port;
    peer->process = hello.process;
    peer->devices = hello.devices;
    memcpy(peer->host, hello.host, sizeof peer->host);
    socket_address(one, peer->address);
  }
  if (status && status_code(status) == EXIT_PEER) status = name_missing(status, fd, n);
  for (int i = 0; i < n; i++) {
    memcpy(table[i].host, peers[i].host, SOCKET_HOST);
    memcpy(table[i].address, peers[i].address, SOCKET_HOST);
    table[i].port = peers[i].port;
    table[i].process = peers[i].process;
    table[i].devices = peers[i].devices;
  }
  for (int i = 1; i < n && !status; i++) {
    char name[160];
    mesh_name(opener->mesh, i, name, sizeof name);
    status = status_context(socket_send(fd[i], table, sizeof *table * (size_t)n, opener->deadline), "%s", name);
  }
  close_all(fd, n);
  free(table);
  return status;
}

// Everybody else: tells rank 0, and learns where the others are.
static Status report(Opener *opener) {
  int n = opener->mesh->size;
  const MeshOptions *o = opener->options;
  char *meet = strdup(o->meet ? o->meet : ""), *save = NULL, address[SOCKET_HOST] = "";
  Entry *table = calloc((size_t)n, sizeof *table);
  if (!table || !meet) BUG("out of memory");
  Status status = status_make(EXIT_PEER, "rank 0 has no address");
  int lines = 0;
  for (const char *c = meet; *c; c++) lines += *c == '\n';
  for (char *host = strtok_r(meet, "\n", &save); host && status; host = strtok_r(NULL, "\n", &save)) {
    // of several addresses some may lead nowhere
    double until = lines > 1 ? clock_seconds() + 10 : opener->deadline;
    int fd = -1;
    Hello hello = hello_of(opener, HELLO_MEET);
    status_free(status);
    status = socket_connect(host, o->port, until, &fd);
    if (!status) status = socket_send(fd, &hello, sizeof hello, opener->deadline);
    if (!status) status = socket_receive(fd, table, sizeof *table * (size_t)n, opener->deadline);
    socket_close(fd);
    snprintf(address, sizeof address, "%s", host);
  }
  for (int i = 0; i < n && !status; i++) {
    MeshPeer *peer = &opener->mesh->peers[i];
    table[i].host[SOCKET_HOST - 1] = table[i].address[SOCKET_HOST - 1] = 0;
    memcpy(peer->host, table[i].host, SOCKET_HOST);
    memcpy(peer->address, table[i].address, SOCKET_HOST);
    peer->port = table[i].port;
    peer->process = table[i].process;
    peer->devices = table[i].devices;
    if (i == 0) memcpy(peer->address, address, sizeof address);
  }
  free(meet);
  free(table);
  return status_context(status, "rank 0, at %s port %d", address, o->port);
}

static int *slot(const Opener *opener, int rank, HelloKind kind) {
  MeshPeer *peer = &opener->mesh->peers[rank];
  return kind == HELLO_DATA ? &peer->data : &peer->control;
}

static Status connect_to(const Opener *opener, int rank, HelloKind kind) {
  const MeshPeer *peer = &opener->mesh->peers[rank];
  Hello hello = hello_of(opener, kind);
  char name[160];
  mesh_name(opener->mesh, rank, name, sizeof name);
  Status status = socket_connect(peer->address, peer->port, opener->deadline, slot(opener, rank, kind));
  if (!status) status = socket_send(*slot(opener, rank, kind), &hello, sizeof hello, opener->deadline);
  return status_context(status, "%s", name);
}

// To those of lower rank; those of higher rank come by themselves.
static Status connect_all(const Opener *opener) {
  int kinds = opener->options->with_data ? 2 : 1, rank = opener->options->rank;
  for (int i = 0; i < rank; i++) {
    TRY(connect_to(opener, i, HELLO_CONTROL));
    if (kinds == 2) TRY(connect_to(opener, i, HELLO_DATA));
  }
  for (int left = kinds * (opener->mesh->size - 1 - rank); left > 0;) {
    Hello hello;
    int fd = -1;
    TRY(status_context(take(opener, 1 << HELLO_CONTROL | 1 << HELLO_DATA, &hello, &fd),
                       "%d connections from higher ranks are missing", left));
    int *place = slot(opener, hello.rank, (HelloKind)hello.kind);
    left -= *place < 0;
    socket_close(*place);
    *place = fd;
  }
  return STATUS_OK;
}

static Status listen_here(Opener *opener) {
  const MeshOptions *o = opener->options;
  opener->listener = o->listener;
  opener->port = o->port;
  if (o->listener >= 0) return STATUS_OK;
  const char *loop = o->meet && !strncmp(o->meet, "127.", 4) ? "127.0.0.1" : NULL; // a job of one machine
  return socket_listen(loop, o->rank == 0 ? o->port : 0, &opener->listener, &opener->port);
}

Status mesh_open(const MeshOptions *options, Mesh *out) {
  Opener opener = {.options = options, .mesh = out, .listener = -1, .deadline = clock_seconds() + options->patience};
  *out = (Mesh){options->rank, options->size, calloc((size_t)options->size, sizeof *out->peers)};
  if (!out->peers) BUG("out of memory");
  for (int i = 0; i < out->size; i++) out->peers[i].control = out->peers[i].data = -1;
  Hello self = hello_of(&opener, HELLO_MEET);
  MeshPeer *own = &out->peers[options->rank];
  memcpy(own->host, self.host, SOCKET_HOST);
  own->process = self.process;
  own->devices = self.devices;
  Status status = listen_here(&opener);
  own->port = opener.port;
  if (!status && out->size > 1) status = options->rank == 0 ? gather(&opener) : report(&opener);
  if (!status) status = connect_all(&opener);
  if (opener.listener != options->listener) socket_close(opener.listener);
  if (status) mesh_close(out);
  return status;
}

void mesh_close(Mesh *mesh) {
  for (int i = 0; mesh->peers && i < mesh->size; i++) {
    socket_close(mesh->peers[i].control);
    socket_close(mesh->peers[i].data);
  }
  free(mesh->peers);
  *mesh = (Mesh){0};
}

void mesh_name(const Mesh *mesh, int rank, char *out, size_t size) {
  const MeshPeer *peer = &mesh->peers[rank];
  snprintf(out, size, "rank %d (host %s, process %d)", rank, peer->host[0] ? peer->host : "unknown", peer->process);
}
