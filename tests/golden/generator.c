// The golden generator: weights and inputs from names alone.
#include <math.h>
#include <string.h>

#include "runtime/base/hash.h"
#include "runtime/base/text.h"
#include "tests/golden/golden.h"

static double uniform_at(uint64_t seed, int64_t i) {
  uint64_t z = seed + (uint64_t)(i + 1) * 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  z ^= z >> 31;
  return (double)(z >> 40) * 0x1p-24;
}

static uint64_t stream(const char *prefix, const char *name) {
  Text text = {0};
  text_printf(&text, "%s%s", prefix, name);
  uint64_t seed = hash_fnv64(text_get(&text));
  text_free(&text);
  return seed;
}

double golden_uniform(const char *prefix, const char *name, int64_t i) { return uniform_at(stream(prefix, name), i); }

void golden_weight(const char *prefix, const char *name, const char *kind, double scale, Shape shape, float *out) {
  uint64_t seed = stream(prefix, name);
  int64_t n = shape_elements(shape);
  double fan_in = shape.rank ? (double)n / (double)shape.dim[0] : 1;
  double bound = sqrt(6 / fan_in);
  for (int64_t i = 0; i < n; i++) {
    double u = uniform_at(seed, i), value = 0;
    if (!strcmp(kind, "weight")) value = (2 * u - 1) * bound;
    else if (!strcmp(kind, "bias") || !strcmp(kind, "norm_bias") || !strcmp(kind, "running_mean"))
      value = 0.1 * (2 * u - 1);
    else if (!strcmp(kind, "norm_weight")) value = 0.8 + 0.4 * u;
    else if (!strcmp(kind, "running_var")) value = 0.75 + 0.5 * u;
    else if (!strcmp(kind, "pos")) value = u;
    out[i] = (float)(scale * value);
  }
}

// 0.5 u + 0.5 u of a field 32 times coarser.
static double smooth(uint64_t fine, uint64_t coarse, Shape shape, int64_t i) {
  int64_t width = shape.dim[3], height = shape.dim[2], x = i % width, y = i / width % height,
          plane = i / (width * height);
  int64_t coarse_width = (width + 31) / 32, coarse_height = (height + 31) / 32;
  int64_t j = (plane * coarse_height + y / 32) * coarse_width + x / 32;
  return 0.5 * uniform_at(fine, i) + 0.5 * uniform_at(coarse, j);
}

bool golden_input(const char *prefix, const char *name, Shape shape, float *out) {
  static const double mean[3] = {0.485, 0.456, 0.406}, deviation[3] = {0.229, 0.224, 0.225};
  bool is_rgb = !strcmp(name, "rgb"), is_preds = !strcmp(name, "preds");
  if (!is_rgb && !is_preds && strcmp(name, "depth")) return false;
  Text coarse_name = {0};
  text_printf(&coarse_name, "%s_coarse", name);
  uint64_t fine = stream(prefix, name), coarse = stream(prefix, text_get(&coarse_name));
  uint64_t mask = stream(prefix, "depth_mask");
  text_free(&coarse_name);
  int64_t plane = shape.dim[2] * shape.dim[3];
  for (int64_t i = 0, n = shape_elements(shape); i < n; i++) {
    int c = (int)(i / plane % shape.dim[1]);
    double value;
    if (is_rgb) value = (smooth(fine, coarse, shape, i) - mean[c]) / deviation[c];
    else if (is_preds) value = 0.5 + 9 * smooth(fine, coarse, shape, i);
    else value = uniform_at(mask, i) < 0.1 ? 0 : 0.5 + 9 * uniform_at(fine, i);
    out[i] = (float)value;
  }
  return true;
}
