// sgrun_results: the files that a prediction leaves: depth maps, coloured pictures, a point cloud, a stack's maps.
#ifndef SG_TOOLS_SGRUN_RESULTS_H
#define SG_TOOLS_SGRUN_RESULTS_H

#include "tools/sgrun_predictor.h"

// What the options ask for.
typedef struct ResultOptions {
  const Cli *cli;
  const char *directory;
  bool png, npy, pfm; // of depth maps
  bool colour, ply, spread, weights, bases;
  double range, spread_range; // far ends of the colours, metres; range 0 = the model's largest depth
  bool is_listed;             // name each file
} ResultOptions;

// EXIT_USAGE after saying which value is wrong.
ExitCode result_options(const Cli *cli, ResultOptions *out);

// Writes what the options ask for of the predictor's last run, below the directory as `stem` says: its folders are
// made. What was written is named in `listed`, each on a line, if the options want that.
ExitCode results_write(const ResultOptions *options, const Predictor *p, const char *stem, const Image *picture,
                       const DepthMap *depth, Text *listed);

#endif
