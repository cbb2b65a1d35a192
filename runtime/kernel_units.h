// Kernel units: the kernels of a source, each known by its content, and which of them the cache holds.
//
// Each kernel is known by a hash of its text (but for lines of comment), of what stands before the first one, and of
// what it is compiled with.
#ifndef SG_KERNEL_UNITS_H
#define SG_KERNEL_UNITS_H

#include <stdbool.h>

#include "runtime/base/arena.h"
#include "runtime/base/hash.h"
#include "runtime/base/status.h"
#include "runtime/base/text.h"

typedef struct KernelUnit {
  const char *text; // from its mark on
  size_t size;
  const char *symbol;
  Hash key;
  bool is_loaded;
} KernelUnit;

typedef struct KernelUnits {
  Arena *arena;
  const char *source;
  size_t preamble; // bytes before the first kernel
  Hash context;    // of what all of them are compiled with, the preamble included
  KernelUnit *unit;
  int n, capacity;
} KernelUnits;

// Finds the kernels of the source, which is lent. `about` says what they are compiled with, and by what.
void kernel_units_find(KernelUnits *units, Arena *arena, const char *source, const Text *about);
// How many are not loaded, and their numbers where `out` is not NULL.
int kernel_units_missing(const KernelUnits *units, int *out);
// Appends what stands before the first kernel and the listed ones; their keys to `keys` where it is not NULL.
void kernel_units_source(const KernelUnits *units, const int *list, int n, Text *out, Hash *keys);
// The comments that begin the unit's text on one line: "conv2d [..], relu [..], net/unet.net:12".
void kernel_units_about(const KernelUnit *unit, Text *out);

// Takes the listed units that are not loaded yet from a kept file, which is whole, and marks them as loaded. An error
// leaves them to others.
typedef Status KernelTake(void *context, const char *path, const int *list, int n);
// Offers `take` the kept files whose names have that end, those that hold most of what is missing first.
void kernel_units_load_kept(KernelUnits *units, const char *directory, const char *end, KernelTake *take,
                            void *context);

#endif
