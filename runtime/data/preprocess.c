// Preprocess: any picture to the network's input, and its result back to the picture's size.
#include "runtime/data/preprocess.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

const float imagenet_mean[3] = {0.485f, 0.456f, 0.406f};
const float imagenet_deviation[3] = {0.229f, 0.224f, 0.225f};

Preprocess preprocess_make(int width, int height) {
  Preprocess preprocess = {.width = width, .height = height, .divisor = 32, .depth_min = 1e-3f, .depth_max = 10};
  memcpy(preprocess.mean, imagenet_mean, sizeof preprocess.mean);
  memcpy(preprocess.deviation, imagenet_deviation, sizeof preprocess.deviation);
  return preprocess;
}

void preprocess_format(const Preprocess *p, Text *out) {
  text_printf(out,
              "{\"fit\":\"resize\",\"width\":%d,\"height\":%d,\"divisor\":%d,\"mean\":[%.9g,%.9g,%.9g],"
              "\"deviation\":[%.9g,%.9g,%.9g],\"depth_range\":[%.9g,%.9g]}",
              p->width, p->height, p->divisor, p->mean[0], p->mean[1], p->mean[2], p->deviation[0], p->deviation[1],
              p->deviation[2], p->depth_min, p->depth_max);
}

// The number at `key`; false if it is missing or outside [low, high].
static bool get_number(const cJSON *object, const char *key, double low, double high, double *out) {
  const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
  if (!cJSON_IsNumber(item) || !(item->valuedouble >= low && item->valuedouble <= high)) return false;
  *out = item->valuedouble;
  return true;
}

static bool get_array(const cJSON *object, const char *key, int n, double low, double high, float *out) {
  const cJSON *array = cJSON_GetObjectItemCaseSensitive(object, key);
  if (!cJSON_IsArray(array) || cJSON_GetArraySize(array) != n) return false;
  for (int i = 0; i < n; i++) {
    const cJSON *item = cJSON_GetArrayItem(array, i);
    if (!cJSON_IsNumber(item) || !(item->valuedouble >= low && item->valuedouble <= high)) return false;
    out[i] = (float)item->valuedouble;
  }
  return true;
}

static const char *parse_fields(const cJSON *root, Preprocess *out) {
  const cJSON *fit = cJSON_GetObjectItemCaseSensitive(root, "fit");
  double width, height, divisor;
  float range[2];
  if (!cJSON_IsString(fit) || strcmp(fit->valuestring, "resize")) return "fit";
  if (!get_number(root, "width", 1, IMAGE_MAX_SIDE, &width)) return "width";
  if (!get_number(root, "height", 1, IMAGE_MAX_SIDE, &height)) return "height";
  if (!get_number(root, "divisor", 1, 1024, &divisor)) return "divisor";
  if (!get_array(root, "mean", 3, -1e3, 1e3, out->mean)) return "mean";
  if (!get_array(root, "deviation", 3, 1e-6, 1e6, out->deviation)) return "deviation";
  if (!get_array(root, "depth_range", 2, 1e-6, 1e6, range) || range[0] >= range[1]) return "depth_range";
  out->width = (int)width;
  out->height = (int)height;
  out->divisor = (int)divisor;
  out->depth_min = range[0];
  out->depth_max = range[1];
  return NULL;
}

Status preprocess_parse(const char *text, Preprocess *out) {
  *out = (Preprocess){0};
  cJSON *root = cJSON_Parse(text);
  const char *wrong = cJSON_IsObject(root) ? parse_fields(root, out) : "text";
  cJSON_Delete(root);
  if (wrong)
    return status_make(EXIT_WEIGHTS, "the preprocessing in the weight file has a missing or impossible '%s'", wrong);
  return STATUS_OK;
}

static int round_side(double side, int divisor) {
  int n = (int)floor(side / divisor + 0.5);
  return (n < 1 ? 1 : n) * divisor;
}

void preprocess_size(const Preprocess *p, int picture_width, int picture_height, int *out_width, int *out_height) {
  // Covers: both sides are at least the trained ones before rounding. Panoramas are cut off at four times the longer
  // trained side, or one picture could claim all memory.
  double scale = fmax((double)p->width / picture_width, (double)p->height / picture_height);
  double limit = 4.0 * (p->width > p->height ? p->width : p->height);
  *out_width = round_side(fmin(picture_width * scale, limit), p->divisor);
  *out_height = round_side(fmin(picture_height * scale, limit), p->divisor);
}

// Weights of one axis: output i is the sum over k of weight[i * taps + k] * input[first[i] + k].
typedef struct Axis {
  int taps;
  int *first;
  float *weight;
} Axis;

// A triangle filter with half-pixel centres, widened by the factor of shrinking (none when growing: plain bilinear).
static Axis axis_make(int from, int to) {
  double scale = (double)from / to, radius = fmax(scale, 1);
  Axis axis = {.taps = (int)ceil(2 * radius) + 1};
  if (axis.taps > from) axis.taps = from;
  axis.first = malloc(sizeof *axis.first * (size_t)to);
  axis.weight = malloc(sizeof *axis.weight * (size_t)to * (size_t)axis.taps);
  if (!axis.first || !axis.weight) BUG("out of memory");
  for (int i = 0; i < to; i++) {
    double centre = (i + 0.5) * scale - 0.5, sum = 0;
    int first = (int)ceil(centre - radius);
    first = first < 0 ? 0 : first > from - axis.taps ? from - axis.taps : first;
    float *weight = axis.weight + (size_t)i * (size_t)axis.taps;
    axis.first[i] = first;
    for (int k = 0; k < axis.taps; k++) {
      double w = fmax(1 - fabs(first + k - centre) / radius, 0);
      weight[k] = (float)w;
      sum += w;
    }
    for (int k = 0; k < axis.taps; k++) weight[k] = (float)(weight[k] / sum);
  }
  return axis;
}

static void axis_free(Axis *axis) {
  free(axis->first);
  free(axis->weight);
}

void preprocess_picture(const Preprocess *p, const Image *picture, int width, int height, float *out) {
  Axis across = axis_make(picture->width, width), down = axis_make(picture->height, height);
  size_t row = 3 * (size_t)width;
  float *rows = malloc(sizeof *rows * row * (size_t)picture->height);
  if (!rows) BUG("out of memory");
  for (int y = 0; y < picture->height; y++) {
    const uint8_t *from = picture->rgb + 3 * (size_t)picture->width * (size_t)y;
    for (int x = 0; x < width; x++) {
      const float *weight = across.weight + (size_t)x * (size_t)across.taps;
      const uint8_t *at = from + 3 * across.first[x];
      float sum[3] = {0};
      for (int k = 0; k < across.taps; k++)
        for (int c = 0; c < 3; c++) sum[c] += weight[k] * at[3 * k + c];
      memcpy(rows + row * (size_t)y + 3 * (size_t)x, sum, sizeof sum);
    }
  }
  for (int y = 0; y < height; y++) {
    const float *weight = down.weight + (size_t)y * (size_t)down.taps;
    for (int x = 0; x < width; x++)
      for (int c = 0; c < 3; c++) {
        float sum = 0;
        for (int k = 0; k < down.taps; k++)
          sum += weight[k] * rows[row * (size_t)(down.first[y] + k) + 3 * (size_t)x + (size_t)c];
        out[((size_t)c * (size_t)height + (size_t)y) * (size_t)width + (size_t)x] =
            (sum / 255 - p->mean[c]) / p->deviation[c];
      }
  }
  free(rows);
  axis_free(&across);
  axis_free(&down);
}

void resize_bilinear_corners(const float *from, int from_width, int from_height, float *to, int to_width,
                             int to_height) {
  double step_x = to_width > 1 ? (double)(from_width - 1) / (to_width - 1) : 0;
  double step_y = to_height > 1 ? (double)(from_height - 1) / (to_height - 1) : 0;
  for (int y = 0; y < to_height; y++) {
    double at_y = y * step_y;
    int y0 = (int)at_y, y1 = y0 + 1 < from_height ? y0 + 1 : y0;
    const float *upper = from + (size_t)y0 * (size_t)from_width, *lower = from + (size_t)y1 * (size_t)from_width;
    for (int x = 0; x < to_width; x++) {
      double at_x = x * step_x;
      int x0 = (int)at_x, x1 = x0 + 1 < from_width ? x0 + 1 : x0;
      double u = at_x - x0, v = at_y - y0;
      double above = upper[x0] + u * ((double)upper[x1] - upper[x0]),
             below = lower[x0] + u * ((double)lower[x1] - lower[x0]);
      to[(size_t)y * (size_t)to_width + (size_t)x] = (float)(above + v * (below - above));
    }
  }
}

void preprocess_depth(const Preprocess *p, const float *prediction, int width, int height, int picture_width,
                      int picture_height, DepthMap *out) {
  size_t n = (size_t)width * (size_t)height;
  float *clamped = malloc(sizeof *clamped * n);
  if (!clamped) BUG("out of memory");
  for (size_t i = 0; i < n; i++) {
    float d = prediction[i];
    clamped[i] = !(d > p->depth_min) ? p->depth_min : d > p->depth_max ? p->depth_max : d;
  }
  depth_alloc(out, picture_width, picture_height);
  resize_bilinear_corners(clamped, width, height, out->metres, picture_width, picture_height);
  free(clamped);
}
