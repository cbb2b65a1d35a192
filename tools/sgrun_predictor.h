// sgrun_predictor: trained weights that turn pictures of any size into depth; one program for each input size.
#ifndef SG_TOOLS_SGRUN_PREDICTOR_H
#define SG_TOOLS_SGRUN_PREDICTOR_H

#include <pthread.h>

#include "tools/sgrun.h"

// The network at one input size, on the devices that have needed it.
typedef struct SizedNetwork {
  int width, height;
  Model model; // its own: what was elaborated for the size goes with it
  Runner *runner;
  int first;    // the runner that compiled the program, which the others share
  int n_users;  // predictors whose present network it is
  int64_t used; // when, counted in runs
} SizedNetwork;

// The programs of the input sizes used last are kept, so that pictures may come in any order: two, and up to eight
// while they all take less than a gigabyte; with several devices more, where each is at another size.
enum { PREDICTOR_SIZES = 8, PREDICTOR_SIZES_KEPT = 2 };

// One device with the weights. Several of a set may run at the same time, each by a thread of its own.
typedef struct Predictor {
  struct PredictorSet *set;
  int index; // in the set
  Device *device;
  SizedNetwork *present; // of the last run; NULL before it
} Predictor;

typedef struct PredictorSet {
  const Cli *cli;
  Model model;
  Preprocess preprocess;
  const char **base_names; // of a stack: what its model calls each channel of the output `preds`; else NULL
  int n;
  Predictor *predictor;
  pthread_mutex_t lock; // of what follows: compiling and loading are for one thread at a time
  int n_networks;
  SizedNetwork *network;
  int64_t runs;
} PredictorSet;

// Opens verified weights with the command's options, on the first `most` of the devices that these name; says what is
// wrong and returns the code. predictors_close ends it in every case.
ExitCode predictors_open(const Cli *cli, const char *path, int most, PredictorSet *out);
void predictors_close(PredictorSet *set);

// The input size for a picture: that which covers the trained area or, if is_native, the picture's own, both in the
// picture's proportions and rounded to what the network can take.
void predictor_size(const PredictorSet *set, bool is_native, const Image *picture, int *out_width, int *out_height);

// Runs the network on a picture scaled to width x height. *out_depth is the network's unclamped output of the size that
// it has, lent until the predictor's next run.
ExitCode predictor_run(Predictor *p, const Image *picture, int width, int height, const float **out_depth,
                       int *out_width, int *out_height);

// Any output of the last run, such as "W" [1,K,H,W] of a stack: row-major, its shape in *out_shape, lent until the next
// run. NULL before the first run and where the model has no output of that name.
const float *predictor_output(const Predictor *p, const char *name, Shape *out_shape);

#endif
