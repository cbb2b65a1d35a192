// Report: what a data set holds, found by decoding all of it once.
#ifndef SG_DATA_REPORT_H
#define SG_DATA_REPORT_H

#include "runtime/data/pairs.h"

enum { REPORT_SIZES = 8, REPORT_METRES = 11, REPORT_MESSAGES = 20 };

// Zero-initialise it; report_free ends it.
typedef struct DataReport {
  int64_t n_pairs;   // that were looked at
  int64_t n_broken;  // missing, unreadable, of unknown unit, or of two sizes
  int64_t n_changed; // readable, but not what the manifest's hash says
  int64_t n_hashed;  // pairs whose hashes the manifest gives
  int64_t n_empty;   // readable, but no pixel has a depth
  int64_t n_pixels, n_invalid;
  int n_sizes; // kinds of size, of which the first REPORT_SIZES are kept
  struct {
    int width, height;
    int64_t n;
  } size[REPORT_SIZES];
  int64_t histogram[REPORT_METRES]; // valid pixels with a depth in [i, i+1) metres; the last holds all beyond
  double least, median, most;     // metres, of the valid pixels; the median to 1 cm, at most 100; NaN if there are none
  char *message[REPORT_MESSAGES]; // what is wrong with the first pairs that are broken or changed
  int n_messages;
} DataReport;

// Decodes every pair with `threads` threads (0 = as many as the process may use). The result does not depend on them.
Status report_run(const Pairs *pairs, int threads, DataReport *out);
void report_free(DataReport *report);

// What a reader would guess about the unit from the median depth: NULL if it is plausible for rooms.
const char *report_unit_doubt(const DataReport *report);

#endif
