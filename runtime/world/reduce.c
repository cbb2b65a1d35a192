// Reduce: each process adds up a piece of the vectors of all devices, and hands it to the others.
//
// Numbers are added in the order of the devices, ((d0 + d1) + d2) + ..., by whoever adds them: so neither the pieces
// nor the spread over processes changes a bit. Short vectors go to everybody at once, and everybody adds all of them:
// one trip instead of two.
#include "runtime/world/reduce.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/share.h"

enum {
  SHORT = 4096, // floats of a vector that goes to everybody
  BLOCK = 2048, // floats that are added up in the cache
};

struct Reducer {
  Transport *transport;
  int rank, processes, devices, size; // size: devices of all processes
  const int *devices_of;
  const ReducePart **parts;
  const float **source; // by device of all: where a piece of its vector lies
  Parcel *send, *receive;
  float *memory; // what comes in, and what goes out where it has to be brought together first
  int64_t capacity;
};

Reducer *reducer_new(Transport *transport, const int *devices_of, int devices) {
  Reducer *reducer = calloc(1, sizeof *reducer);
  if (!reducer) BUG("out of memory");
  *reducer = (Reducer){.transport = transport, .processes = 1, .devices = devices, .devices_of = devices_of};
  if (transport) {
    reducer->rank = transport->mesh->rank;
    reducer->processes = transport->mesh->size;
  }
  for (int r = 0; r < reducer->processes; r++) reducer->size += devices_of[r];
  reducer->parts = calloc((size_t)devices, sizeof *reducer->parts);
  reducer->source = calloc((size_t)reducer->size, sizeof *reducer->source);
  reducer->send = calloc((size_t)reducer->processes, sizeof *reducer->send);
  reducer->receive = calloc((size_t)reducer->processes, sizeof *reducer->receive);
  if (!reducer->parts || !reducer->source || !reducer->send || !reducer->receive) BUG("out of memory");
  return reducer;
}

void reducer_free(Reducer *reducer) {
  if (!reducer) return;
  free(reducer->parts);
  free(reducer->source);
  free(reducer->send);
  free(reducer->receive);
  free(reducer->memory);
  free(reducer);
}

const ReducePart **reducer_parts(Reducer *reducer) { return reducer->parts; }

static void combine(bool is_max, float *restrict sum, const float *restrict x, int64_t n) {
  if (!is_max) {
    for (int64_t i = 0; i < n; i++) sum[i] += x[i];
    return;
  }
  for (int64_t i = 0; i < n; i++) sum[i] = x[i] > sum[i] || isnan(x[i]) ? x[i] : sum[i]; // a NaN stays
}

// Combines source[0 .. size-1], n floats each, into to + `at` of every device of this process. What is read may be what
// is written: a block is finished before it is stored.
static void combine_sources(Reducer *reducer, int64_t at, int64_t n) {
  float block[BLOCK];
  bool is_max = reducer->parts[0]->is_max;
  for (int64_t i = 0; i < n; i += BLOCK) {
    int64_t count = n - i < BLOCK ? n - i : BLOCK;
    memcpy(block, reducer->source[0] + i, sizeof *block * (size_t)count);
    for (int d = 1; d < reducer->size; d++) combine(is_max, block, reducer->source[d] + i, count);
    for (int d = 0; d < reducer->devices; d++)
      memcpy(reducer->parts[d]->to + at + i, block, sizeof *block * (size_t)count);
  }
}

static void reserve(Reducer *reducer, int64_t floats) {
  if (floats <= reducer->capacity) return;
  free(reducer->memory);
  reducer->capacity = floats;
  reducer->memory = malloc(sizeof *reducer->memory * (size_t)floats);
  if (!reducer->memory) BUG("out of memory");
}

static Status exchange(Reducer *reducer) {
  return reducer->transport->table->exchange(reducer->transport, reducer->send, reducer->receive);
}

static Parcel parcel(const float *data, int64_t floats) {
  return (Parcel){(float *)data, sizeof *data * (size_t)floats};
}

// The pieces of process r of this process's vectors, one after another: in place where there is one device.
static const float *bring_together(Reducer *reducer, Share piece, float *room) {
  if (reducer->devices == 1) return reducer->parts[0]->from + piece.first;
  for (int d = 0; d < reducer->devices; d++)
    memcpy(room + d * piece.n, reducer->parts[d]->from + piece.first, sizeof *room * (size_t)piece.n);
  return room;
}

// Where each device's piece lies: those of other processes one after the other in what came in.
static void set_sources(Reducer *reducer, const float *incoming, Share own) {
  int device = 0;
  for (int r = 0; r < reducer->processes; r++) {
    for (int d = 0; d < reducer->devices_of[r]; d++) {
      if (r == reducer->rank) reducer->source[device++] = reducer->parts[d]->from + own.first;
      else reducer->source[device++] = incoming + d * own.n;
    }
    if (r != reducer->rank) incoming += reducer->devices_of[r] * own.n;
  }
}

// Everybody's vectors to everybody.
static Status run_short(Reducer *reducer, int64_t n) {
  Share whole = {0, n};
  reserve(reducer, (reducer->size + reducer->devices) * n);
  const float *out = bring_together(reducer, whole, reducer->memory + reducer->size * n);
  float *in = reducer->memory;
  for (int r = 0; r < reducer->processes; r++) {
    reducer->send[r] = parcel(out, reducer->devices * n);
    reducer->receive[r] = parcel(in, reducer->devices_of[r] * n);
    if (r != reducer->rank) in += reducer->devices_of[r] * n;
  }
  TRY(exchange(reducer));
  set_sources(reducer, reducer->memory, whole);
  combine_sources(reducer, 0, n);
  return STATUS_OK;
}

// Each process gets everybody's vectors of its own piece, and hands the sum of them back.
static Status run_long(Reducer *reducer, int64_t n) {
  Share own = share_of(n, reducer->processes, reducer->rank);
  reserve(reducer, reducer->size * own.n + (reducer->devices > 1 ? reducer->devices * n : 0));
  float *in = reducer->memory, *room = reducer->memory + reducer->size * own.n;
  for (int r = 0; r < reducer->processes; r++) {
    Share piece = share_of(n, reducer->processes, r);
    bool is_other = r != reducer->rank;
    reducer->send[r] =
        is_other ? parcel(bring_together(reducer, piece, room), reducer->devices * piece.n) : (Parcel){0};
    reducer->receive[r] = parcel(in, is_other ? reducer->devices_of[r] * own.n : 0);
    if (!is_other) continue;
    in += reducer->devices_of[r] * own.n;
    room += reducer->devices * piece.n;
  }
  TRY(exchange(reducer));
  set_sources(reducer, reducer->memory, own);
  combine_sources(reducer, own.first, own.n);
  float *result = reducer->parts[0]->to;
  for (int r = 0; r < reducer->processes; r++) {
    Share piece = share_of(n, reducer->processes, r);
    reducer->send[r] = parcel(result + own.first, own.n);
    reducer->receive[r] = parcel(result + piece.first, piece.n);
  }
  TRY(exchange(reducer));
  for (int r = 0; r < reducer->processes; r++) {
    Share piece = share_of(n, reducer->processes, r);
    for (int d = 1; d < reducer->devices && r != reducer->rank; d++)
      memcpy(reducer->parts[d]->to + piece.first, result + piece.first, sizeof *result * (size_t)piece.n);
  }
  return STATUS_OK;
}

Status reducer_run(Reducer *reducer) {
  int64_t n = reducer->parts[0]->n;
  if (reducer->transport && reducer->processes > 1) return n <= SHORT ? run_short(reducer, n) : run_long(reducer, n);
  for (int d = 0; d < reducer->devices; d++) reducer->source[d] = reducer->parts[d]->from;
  combine_sources(reducer, 0, n);
  return STATUS_OK;
}
