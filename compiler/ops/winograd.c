#include "compiler/ops/winograd.h"

#include <math.h>
#include <stddef.h>

int64_t winograd_tiles(int64_t extent, int64_t dilation, int64_t m) {
  int64_t grid = ceil_div(extent, dilation);
  return ceil_div(grid, m);
}

int64_t winograd_count_tiles(Shape picture, int64_t dilation, int64_t m) {
  int64_t tiles = picture.dim[0];
  for (int i = 2; i < 4; i++) tiles *= winograd_tiles(picture.dim[i], dilation, m) * dilation;
  return tiles;
}

// Multiplies the polynomial (lowest power first) by x - root.
static void times(double *polynomial, int degree, double root) {
  polynomial[degree + 1] = 0;
  for (int i = degree + 1; i > 0; i--) polynomial[i] = polynomial[i - 1] - root * polynomial[i];
  polynomial[0] *= -root;
}

int winograd_m(Shape weight) { return weight.dim[2] == 3 ? 4 : (int)weight.dim[2] - 2; }

void winograd_matrices(int m, double input[WINOGRAD_MAX][WINOGRAD_MAX], double filter[WINOGRAD_MAX][3],
                       double output[4][WINOGRAD_MAX]) {
  const double half = sqrt(0.5), two = sqrt(2);
  const double point[2][WINOGRAD_MAX - 1] = {{0, 1, -1}, {0, half, -half, two, -two}};
  const double *p = point[m == 4];
  int t = m + 2, n = t - 1; // n points, and infinity
  for (int i = 0; i <= n; i++) {
    double product[WINOGRAD_MAX + 1] = {1}, scale = 1;
    int degree = 0;
    for (int k = 0; k < n; k++) {
      if (k == i) continue;
      times(product, degree++, p[k]);
      if (i < n) scale *= p[i] - p[k];
    }
    for (int k = 0; input && k < t; k++) input[i][k] = k <= degree ? product[k] : 0;
    for (int k = 0; filter && k < 3; k++) filter[i][k] = i < n ? pow(p[i], k) / scale : k == 2;
    for (int k = 0; output && k < m; k++) output[k][i] = i < n ? pow(p[i], k) : k == m - 1;
  }
}

int64_t winograd_flops(int m, WinogradTransform transform) {
  // Of a line, and lines: those of one axis, then those of the other.
  static const int64_t of_4[4][2] = {{20, 6 + 6}, {16, 6 + 4}, {14, 4 + 6}, {15, 6 + 3}};
  static const int64_t of_2[2][2] = {{4, 4 + 4}, {4, 4 + 2}};
  const int64_t *n = m == 4 ? of_4[transform] : of_2[transform];
  return n[0] * n[1];
}
