// sgrun_stack: views of a stack's outputs.
#include "tools/sgrun_stack.h"

#include <math.h>

ExitCode stack_view(const Predictor *p, const char *option, StackView *out) {
  Shape weights, depths, depth;
  *out = (StackView){.weights = predictor_output(p, "W", &weights),
                     .depths = predictor_output(p, "preds", &depths),
                     .depth = predictor_output(p, "depth", &depth),
                     .predictor = p};
  if (!out->weights || !out->depths || !shape_equal(weights, depths) || weights.rank != 4)
    return cli_fail(p->set->cli, EXIT_USAGE,
                    "--%s needs a stack of base learners: a model with outputs W and preds of one shape [N,K,H,W], "
                    "as models/stack.net has; %s has none",
                    option, p->set->model.info->name);
  if (depth.dim[2] != depths.dim[2] || depth.dim[3] != depths.dim[3])
    return cli_fail(p->set->cli, EXIT_MODEL, "the outputs depth and preds of %s have different sizes",
                    p->set->model.info->name);
  out->n_bases = (int)weights.dim[1];
  out->height = (int)weights.dim[2];
  out->width = (int)weights.dim[3];
  return EXIT_DONE;
}

const char *stack_base_name(const StackView *view, int base) { return view->predictor->set->base_names[base]; }

static double clamped(const Preprocess *range, float depth) {
  if (!(depth > range->depth_min)) return range->depth_min;
  return depth < range->depth_max ? depth : range->depth_max;
}

void stack_spread(const StackView *view, float *out) {
  const Preprocess *range = &view->predictor->set->preprocess;
  size_t n = (size_t)view->width * (size_t)view->height;
  for (size_t i = 0; i < n; i++) {
    double combined = clamped(range, view->depth[i]), sum = 0;
    for (int k = 0; k < view->n_bases; k++) {
      double distance = clamped(range, view->depths[(size_t)k * n + i]) - combined;
      sum += view->weights[(size_t)k * n + i] * distance * distance;
    }
    out[i] = (float)sqrt(sum);
  }
}
