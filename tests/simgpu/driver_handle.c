#include "tests/simgpu/driver_handle.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { QUARANTINE = 4096 };

// Stands before each object. Live ones are found through a table hashed by address, with chains.
typedef struct Header {
  struct Header *next;
  HandleKind kind; // 0: retired
} Header;
enum { HEADER = 16, BUCKETS = 4096 };

static Header *buckets[BUCKETS];
static Header *quarantine[QUARANTINE];
static size_t quarantine_next;

static Header *header(const void *handle) { return (Header *)((char *)handle - HEADER); }

static Header **bucket(const Header *h) {
  return &buckets[((uintptr_t)h >> 4) * 0x9E3779B97F4A7C15u >> 52 & (BUCKETS - 1)];
}

// The link that leads to a live handle; NULL if it is none. The pointer is compared, never followed.
static Header **find(const void *handle) {
  if (!handle || (uintptr_t)handle < 4096) return NULL;
  Header *h = header(handle);
  for (Header **link = bucket(h); *link; link = &(*link)->next)
    if (*link == h) return link;
  return NULL;
}

void *handle_new(HandleKind kind, size_t bytes) {
  Header *h = calloc(1, HEADER + bytes);
  if (!h) abort();
  h->kind = kind;
  Header **at = bucket(h);
  h->next = *at;
  *at = h;
  return (char *)h + HEADER;
}

bool handle_is(const void *handle, HandleKind kind) {
  Header **link = find(handle);
  return link && (*link)->kind == kind;
}

void handle_retire(void *handle) {
  Header **link = find(handle);
  if (!link) return;
  Header *h = *link;
  *link = h->next;
  h->kind = 0;
}

void handle_free(void *handle) {
  handle_retire(handle);
  free(quarantine[quarantine_next]);
  quarantine[quarantine_next] = header(handle);
  quarantine_next = (quarantine_next + 1) % QUARANTINE;
}

void handle_each(HandleKind kind, void (*visit)(void *handle, void *user), void *user) {
  for (int k = 0; k < BUCKETS; k++)
    for (Header *h = buckets[k], *next; h; h = next) {
      next = h->next;
      if (h->kind == kind) visit((char *)h + HEADER, user);
    }
}
