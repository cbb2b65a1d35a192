// sgrun_predictor: trained weights that turn pictures of any size into depth; one program for each input size.
#ifndef SG_TOOLS_SGRUN_PREDICTOR_H
#define SG_TOOLS_SGRUN_PREDICTOR_H

#include "tools/sgrun.h"

// The network at one input size.
typedef struct SizedNetwork {
  int width, height;
  Model model; // its own: what was elaborated for the size goes with it
  Runner runner;
  int64_t used; // when, counted in runs
} SizedNetwork;

// The programs of the input sizes used last are kept, so that pictures may come in any order: two, and up to eight
// while they all take less than a gigabyte.
enum { PREDICTOR_SIZES = 8, PREDICTOR_SIZES_KEPT = 2 };

typedef struct Predictor {
  const Cli *cli;
  Model model;
  Device *device;
  Preprocess preprocess;
  SizedNetwork network[PREDICTOR_SIZES];
  SizedNetwork *present; // of the last run; NULL before it
  int64_t runs;
  const char **base_names; // of a stack: what its model calls each channel of the output `preds`; else NULL
} Predictor;

// Opens verified weights with the command's options; says what is wrong and returns the code. predictor_close ends it
// in every case.
ExitCode predictor_open(const Cli *cli, const char *path, Predictor *out);
void predictor_close(Predictor *p);

// The input size for a picture: that which covers the trained area or, if is_native, the picture's own, both in the
// picture's proportions and rounded to what the network can take.
void predictor_size(const Predictor *p, bool is_native, const Image *picture, int *out_width, int *out_height);

// Runs the network on a picture scaled to width x height. *out_depth is the network's unclamped output of the size that
// it has, lent until the next run.
ExitCode predictor_run(Predictor *p, const Image *picture, int width, int height, const float **out_depth,
                       int *out_width, int *out_height);

// Any output of the last run, such as "W" [1,K,H,W] of a stack: row-major, its shape in *out_shape, lent until the next
// run. NULL before the first run and where the model has no output of that name.
const float *predictor_output(const Predictor *p, const char *name, Shape *out_shape);

#endif
