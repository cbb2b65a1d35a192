// Reference evaluators of convolution by Winograd's tiles, in double. Dilation d cuts the picture into d x d grids of
// every d-th element; tiles lie on one of these.
#include "compiler/ops/rules.h"
#include "compiler/ops/winograd.h"

typedef double Tile[WINOGRAD_MAX][WINOGRAD_MAX];

// out = left * in * left', where left is rows x t.
static void both_sides(const double (*left)[WINOGRAD_MAX], int rows, int t, Tile in, Tile out) {
  Tile half;
  for (int i = 0; i < rows; i++) {
    for (int k = 0; k < t; k++) {
      half[i][k] = 0;
      for (int l = 0; l < t; l++) half[i][k] += left[i][l] * in[l][k];
    }
  }
  for (int i = 0; i < rows; i++) {
    for (int k = 0; k < rows; k++) {
      out[i][k] = 0;
      for (int l = 0; l < t; l++) out[i][k] += half[i][l] * left[k][l];
    }
  }
}

typedef struct Picture {
  const float *data;
  int64_t h, w, dilation;
} Picture;

// The elements of a tile from (y, x) on, 0 outside.
static void read_tile(const Picture *p, int64_t y, int64_t x, int t, Tile out) {
  for (int i = 0; i < t; i++) {
    for (int k = 0; k < t; k++) {
      int64_t iy = y + i * p->dilation, ix = x + k * p->dilation;
      out[i][k] = iy >= 0 && iy < p->h && ix >= 0 && ix < p->w ? p->data[iy * p->w + ix] : 0;
    }
  }
}

// Kernel i of a weight, transformed by `filter` where it is not yet.
static void read_weight(const float *weights, Shape shape, int64_t i, const double filter[WINOGRAD_MAX][3], Tile out) {
  int n = (int)shape.dim[2], t = winograd_m(shape) + 2;
  const float *weight = weights + i * n * n;
  for (int k = 0; k < t * t; k++) {
    double sum = n == t ? weight[k] : 0;
    for (int l = 0; l < 9 && n < t; l++) sum += filter[k / t][l / 3] * filter[k % t][l % 3] * weight[l];
    out[k / t][k % t] = sum;
  }
}

void ref_winograd_weight(const RefArgs *args) {
  Shape shape = args->node->shape;
  int64_t n = shape.dim[2] * shape.dim[3];
  for (int64_t i = 0; i < shape_elements(shape); i++) {
    double sum = 0;
    for (int k = 0; k < 9; k++) sum += (double)args->in[0][i / n * 9 + k] * args->in[1][k * n + i % n];
    args->out[i] = (float)sum;
  }
}

void ref_conv2d_winograd(const RefArgs *args) {
  const Node *node = args->node;
  const int64_t *xd = node->in[0]->shape.dim, *yd = node->shape.dim;
  int64_t channels = xd[1], padding = node_attr(node, "padding").i, dilation = node_attr(node, "dilation").i;
  int m = winograd_m(node->in[1]->shape), t = m + 2;
  double input[WINOGRAD_MAX][WINOGRAD_MAX], filter[WINOGRAD_MAX][3], output[4][WINOGRAD_MAX];
  winograd_matrices(m, input, filter, output);
  Arena *scratch = arena_new();
  Tile *tiles = ARENA_ARRAY(scratch, Tile, channels);
  // The first row and column of every tile; those of the grids 1 .. d - 1 follow d - 1 further.
  for (int64_t i = 0, n = xd[0] * yd[2] * yd[3]; i < n; i++) {
    int64_t image = i / (yd[2] * yd[3]), y = i / yd[3] % yd[2], x = i % yd[3];
    if (y / dilation % m || x / dilation % m) continue;
    for (int64_t c = 0; c < channels; c++) {
      Picture picture = {args->in[0] + (image * channels + c) * xd[2] * xd[3], xd[2], xd[3], dilation};
      Tile elements;
      read_tile(&picture, y - padding, x - padding, t, elements);
      both_sides(input, t, t, elements, tiles[c]);
    }
    for (int64_t o = 0; o < yd[1]; o++) {
      Tile sum = {{0}}, result;
      for (int64_t c = 0; c < channels; c++) {
        Tile weight;
        read_weight(args->in[1], node->in[1]->shape, o * channels + c, filter, weight);
        for (int k = 0; k < t * t; k++) sum[k / t][k % t] += tiles[c][k / t][k % t] * weight[k / t][k % t];
      }
      both_sides(output, m, t, sum, result);
      float *plane = args->out + (image * yd[1] + o) * yd[2] * yd[3];
      for (int k = 0; k < m * m; k++) {
        int64_t oy = y + k / m * dilation, ox = x + k % m * dilation;
        if (oy < yd[2] && ox < yd[3]) plane[oy * yd[3] + ox] = (float)result[k / m][k % m];
      }
    }
  }
  arena_free(scratch);
}

void ref_conv2d_dw_winograd(const RefArgs *args) {
  enum { M = 4, T = M + 2 };
  const Node *node = args->node;
  const int64_t *xd = node->in[0]->shape.dim, *gd = node->in[1]->shape.dim;
  int64_t padding = node_attr(node, "padding").i, dilation = node_attr(node, "dilation").i;
  double input[WINOGRAD_MAX][WINOGRAD_MAX], filter[WINOGRAD_MAX][3], output[4][WINOGRAD_MAX];
  double filter_turned[3][WINOGRAD_MAX], output_turned[WINOGRAD_MAX][WINOGRAD_MAX];
  winograd_matrices(M, input, filter, output);
  for (int i = 0; i < T; i++) {
    for (int k = 0; k < 3; k++) filter_turned[k][i] = filter[i][k];
    for (int k = 0; k < M; k++) output_turned[i][k] = output[k][i];
  }
  for (int64_t pair = 0; pair < gd[1] * xd[1]; pair++) {
    int64_t o = pair / xd[1], c = pair % xd[1];
    Tile sum = {{0}}, result;
    for (int64_t i = 0, n = xd[0] * gd[2] * gd[3]; i < n; i++) {
      int64_t image = i / (gd[2] * gd[3]), y = i / gd[3] % gd[2], x = i % gd[3];
      if (y / dilation % M || x / dilation % M) continue;
      Picture picture = {args->in[0] + (image * xd[1] + c) * xd[2] * xd[3], xd[2], xd[3], dilation};
      Picture gradient = {args->in[1] + (image * gd[1] + o) * gd[2] * gd[3], gd[2], gd[3], dilation};
      Tile d, g, left, right;
      read_tile(&picture, y - padding, x - padding, T, d);
      read_tile(&gradient, y, x, M, g);
      both_sides(input, T, T, d, left);
      both_sides(output_turned, T, M, g, right);
      for (int k = 0; k < T * T; k++) sum[k / T][k % T] += left[k / T][k % T] * right[k / T][k % T];
    }
    both_sides(filter_turned, 3, T, sum, result);
    for (int k = 0; k < 9; k++) args->out[pair * 9 + k] = (float)result[k / 3][k % 3];
  }
}
