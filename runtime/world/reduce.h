// Reduce: sums and maxima over the devices of all processes, always in the order of the devices.
#ifndef SG_WORLD_REDUCE_H
#define SG_WORLD_REDUCE_H

#include <stdbool.h>
#include <stdint.h>

#include "runtime/world/transport.h"

// One device's side of an all-reduce.
typedef struct ReducePart {
  const float *from;
  float *to; // may be `from`
  int64_t n;
  bool is_max;
} ReducePart;

typedef struct Reducer Reducer;

// `transport` NULL: this process is alone. devices_of[rank] counts the devices of each process.
Reducer *reducer_new(Transport *transport, const int *devices_of, int devices);
void reducer_free(Reducer *reducer); // NULL is allowed
// Where the parts of this process's devices go, for reducer_run.
const ReducePart **reducer_parts(Reducer *reducer);
Status reducer_run(Reducer *reducer);

#endif
