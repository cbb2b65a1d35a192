// Kernel shelf: the directory of the kernel cache and the bundles in it.
#ifndef SG_KERNEL_SHELF_H
#define SG_KERNEL_SHELF_H

#include "runtime/base/arena.h"
#include "runtime/base/hash.h"
#include "runtime/base/text.h"

// What the name of a directory begins with in which kernels are built.
#define SHELF_BUILD "build."

// What the names of bundles end in: shared objects of the CPU, modules of CUDA, and what was measured of products.
#define SHELF_CPU    ".kernels.so"
#define SHELF_CUDA   ".kernels.cuda"
#define SHELF_CHOICE ".kernels.gemm"

// Where a bundle of kernels of that context (what they were compiled with) belongs; `end` is one of the above.
void shelf_path(const char *directory, Hash context, Hash content, const char *end, Text *out);

// Removes builds and bundles that nobody finished, and the bundles not used for longest while they fill more than a gigabyte.
void shelf_tidy(const char *directory);

typedef struct ShelfBundle {
  char *path;
  Hash *keys; // as the file claims
  int n_keys;
} ShelfBundle;

// The bundles of a context and end, in the order of their names. Returns how many; everything lives in `arena`.
int shelf_list(const char *directory, Hash context, const char *end, Arena *arena, ShelfBundle **out);

#endif
