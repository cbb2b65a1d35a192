// Kernel bundle: a kept shared object, or module of a GPU, that says which kernels it holds and whether it is whole.
//
// File: the object | key of each kernel | seal. The loader of shared objects does not look behind the object's end.
#ifndef SG_KERNEL_BUNDLE_H
#define SG_KERNEL_BUNDLE_H

#include <stdbool.h>

#include "runtime/base/arena.h"
#include "runtime/base/hash.h"
#include "runtime/base/status.h"
#include "runtime/base/text.h"

// Writes the object to `path`, with the keys and a seal. Errors of the place are EXIT_DATA.
Status bundle_write(const char *path, const void *object, size_t size, const Hash *keys, int n_keys);

// Appends the object of a bundle to `out`. False if it is damaged.
bool bundle_read(const char *path, Text *out);

// The keys that the file claims to hold, without a look at the rest of it; their number, or 0 if it is no bundle.
int bundle_keys(const char *path, Arena *arena, Hash **out_keys);

// Whether the file is as it was written.
bool bundle_is_whole(const char *path);

#endif
