// sgrun_stack: what a stack of base learners gives besides its depth: each base's depth, their weights, their spread.
#ifndef SG_TOOLS_SGRUN_STACK_H
#define SG_TOOLS_SGRUN_STACK_H

#include "tools/sgrun_predictor.h"

// A stack's outputs of the last run, lent until the next one. All maps are of the network's size.
typedef struct StackView {
  int n_bases, width, height;
  const float *weights; // [n_bases][height][width], from output "W"
  const float *depths;  // [n_bases][height][width] metres, unclamped, from output "preds"
  const float *depth;   // [height][width] metres, unclamped: the combined one
  const Predictor *predictor;
} StackView;

// EXIT_USAGE, naming the option that wants it, where the model is no stack: it needs outputs `W` and `preds` of one
// shape [1,K,H,W].
ExitCode stack_view(const Predictor *p, const char *option, StackView *out);

// The base learner's name in the model's text ("adabins"), or "base1", ... where it has none. Lent by the predictor.
const char *stack_base_name(const StackView *view, int base);

// How far the bases disagree: sqrt(sum_k W_k (D_k - D)^2) of each pixel in metres, all depths clamped to the model's
// range first (not-a-number counts as the nearest). `out` has the network's size.
void stack_spread(const StackView *view, float *out);

#endif
