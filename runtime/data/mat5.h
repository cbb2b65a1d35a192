// MAT 5: numbers from MATLAB files of the format before HDF5, such as the list of NYU's splits.
#ifndef SG_DATA_MAT5_H
#define SG_DATA_MAT5_H

#include <stdbool.h>
#include <stdint.h>

#include "runtime/base/status.h"

// True if the bytes begin as a MAT 5 file does.
bool mat5_is(const void *bytes, size_t size);

// Reads the real numeric array called `variable`, of any numeric class, in MATLAB's order (columns first), as double.
// Little-endian files, compressed or not (MATLAB, "MAT-File Format", level 5). *out belongs to the caller (free).
// EXIT_DATA if the file is damaged or has no such array; `name` is what messages call it.
Status mat5_read(const char *name, const void *bytes, size_t size, const char *variable, double **out, int64_t *out_n);

#endif
