// Reference evaluators of interpolation and its gradient.
#include "compiler/ops/build.h"
#include "compiler/ops/rules.h"

// The taps of both axes for resizing a small or large map `from` to `to`.
typedef struct Grid {
  int64_t planes, in_h, in_w, out_h, out_w;
  ResizeTap *y, *x;
} Grid;

static Grid grid_new(Arena *arena, const Node *node, Shape from, Shape to) {
  bool is_nearest = resize_is_nearest(node), is_aligned = node_attr(node, "align_corners").i == 1;
  Grid grid = {
      .planes = from.dim[0] * from.dim[1],
      .in_h = from.dim[2],
      .in_w = from.dim[3],
      .out_h = to.dim[2],
      .out_w = to.dim[3],
      .y = ARENA_ARRAY(arena, ResizeTap, to.dim[2]),
      .x = ARENA_ARRAY(arena, ResizeTap, to.dim[3]),
  };
  for (int64_t i = 0; i < grid.out_h; i++) grid.y[i] = resize_tap(is_nearest, is_aligned, grid.in_h, grid.out_h, i);
  for (int64_t i = 0; i < grid.out_w; i++) grid.x[i] = resize_tap(is_nearest, is_aligned, grid.in_w, grid.out_w, i);
  return grid;
}

void ref_resize(const RefArgs *args) {
  Arena *scratch = arena_new();
  Grid grid = grid_new(scratch, args->node, args->node->in[0]->shape, args->node->shape);
  float *out = args->out;
  for (int64_t plane = 0; plane < grid.planes; plane++) {
    const float *in = args->in[0] + plane * grid.in_h * grid.in_w;
    for (int64_t i = 0; i < grid.out_h; i++) {
      ResizeTap y = grid.y[i];
      const float *low = in + y.low * grid.in_w, *high = in + y.high * grid.in_w;
      for (int64_t j = 0; j < grid.out_w; j++) {
        ResizeTap x = grid.x[j];
        double a = (1 - x.weight) * low[x.low] + x.weight * low[x.high];
        double b = (1 - x.weight) * high[x.low] + x.weight * high[x.high];
        *out++ = (float)((1 - y.weight) * a + y.weight * b);
      }
    }
  }
  arena_free(scratch);
}

void ref_resize_grad(const RefArgs *args) {
  Arena *scratch = arena_new();
  // The node's result is the gradient of what was resized, its operand that of the resized map.
  Grid grid = grid_new(scratch, args->node, args->node->shape, args->node->in[0]->shape);
  double *acc = ARENA_ARRAY(scratch, double, grid.in_h *grid.in_w);
  const float *gout = args->in[0];
  for (int64_t plane = 0; plane < grid.planes; plane++) {
    for (int64_t i = 0; i < grid.in_h * grid.in_w; i++) acc[i] = 0;
    for (int64_t i = 0; i < grid.out_h; i++) {
      ResizeTap y = grid.y[i];
      double *low = acc + y.low * grid.in_w, *high = acc + y.high * grid.in_w;
      for (int64_t j = 0; j < grid.out_w; j++) {
        ResizeTap x = grid.x[j];
        double g = *gout++;
        low[x.low] += (1 - y.weight) * (1 - x.weight) * g;
        low[x.high] += (1 - y.weight) * x.weight * g;
        high[x.low] += y.weight * (1 - x.weight) * g;
        high[x.high] += y.weight * x.weight * g;
      }
    }
    float *out = args->out + plane * grid.in_h * grid.in_w;
    for (int64_t i = 0; i < grid.in_h * grid.in_w; i++) out[i] = (float)acc[i];
  }
  arena_free(scratch);
}
