// Kernel bundle: a kept shared object that says which kernels it holds and whether it is whole.
//
// File: the shared object | key of each kernel | seal. The loader does not look behind the object's end.
#ifndef SG_KERNEL_BUNDLE_H
#define SG_KERNEL_BUNDLE_H

#include <stdbool.h>

#include "runtime/base/arena.h"
#include "runtime/base/hash.h"
#include "runtime/base/status.h"

// Copies the shared object `built` to `path`, with the keys and a seal. Errors of the place are EXIT_DATA.
Status bundle_keep(const char *built, const char *path, const Hash *keys, int n_keys);

// The keys that the file claims to hold, without a look at the rest of it; their number, or 0 if it is no bundle.
int bundle_keys(const char *path, Arena *arena, Hash **out_keys);

// Whether the file is as it was written.
bool bundle_is_whole(const char *path);

#endif
