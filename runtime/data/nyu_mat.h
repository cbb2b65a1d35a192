// NYU .mat: the labelled part of NYU Depth v2, an HDF5 file, unpacked into pictures and depth maps.
#ifndef SG_DATA_NYU_MAT_H
#define SG_DATA_NYU_MAT_H

#include <stdbool.h>
#include <stdint.h>

#include "runtime/base/status.h"

typedef struct NyuImport {
  const char *file;      // nyu_depth_v2_labeled.mat
  const char *directory; // where rgb/, depth/ and dataset.json go
  const char *splits;    // splits.mat with trainNdxs and testNdxs; NULL = the pairs get no split
  bool is_filled;        // `depths`, whose holes are painted in, instead of `rawDepths`
  bool is_blackened;     // the picture's border, which the sensor does not see, is black as in the official test lists:
                         // only rows 7..473 and columns 7..631 stay
  int64_t limit;         // at most so many pairs; 0 = all
  int threads;           // for the hashes of the manifest; 0 = as many as the process may use
  void (*progress)(void *context, int64_t done, int64_t total); // may be NULL
  void *context;
} NyuImport;

typedef struct NyuImported {
  int64_t n_pairs, n_written; // pairs there are now, and of them those that this run wrote
} NyuImported;

// Unpacks pair i (from 0) to rgb/i.png (8 bits) and depth/i.png (16 bits, millimetres, 0 = missing) with five digits.
// MATLAB keeps columns first: HDF5 shows images as [n][3][width][height] and depths as [n][width][height], and both are
// turned. Files appear whole or not at all; pairs that an earlier run wrote with the same choices are kept, and with
// other choices refused (EXIT_USAGE). At the end dataset.json states unit, hashes, split and the scene of every pair,
// the latter from the array `scenes` if the file has it. EXIT_DATA for what is not such a file.
Status nyu_import(const NyuImport *import, NyuImported *out);

#endif
