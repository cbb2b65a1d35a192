// Depth maps in files: 16-bit PNG that says its own scale, NPY and PFM.
#include "runtime/data/depth_io.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/file.h"
#include "runtime/base/text.h"
#include "runtime/data/image.h"

void depth_alloc(DepthMap *depth, int width, int height) {
  depth->metres = calloc((size_t)width * (size_t)height, sizeof *depth->metres);
  if (!depth->metres) BUG("out of memory for a depth map of %dx%d", width, height);
  depth->width = width;
  depth->height = height;
}

void depth_free(DepthMap *depth) {
  free(depth->metres);
  *depth = (DepthMap){0};
}

Status depth_write_png(const char *path, const DepthMap *depth) {
  Gray16 image;
  gray16_alloc(&image, depth->width, depth->height);
  size_t n = (size_t)depth->width * (size_t)depth->height;
  for (size_t i = 0; i < n; i++) {
    double metres = depth->metres[i];
    if (!(metres > 0) || isinf(metres)) continue;
    double value = round(metres * DEPTH_PNG_SCALE);
    image.value[i] = (uint16_t)(value < 1 ? 1 : value > 65535 ? 65535 : value);
  }
  const ImageText texts[] = {{"DepthScale", "1000"}, {"DepthUnit", "metre"}, {"Invalid", "0"}};
  Status status = gray16_write_png(path, &image, texts, 3);
  gray16_free(&image);
  return status;
}

static int compare_values(const void *a, const void *b) {
  return (int)*(const uint16_t *)a - (int)*(const uint16_t *)b;
}

// Scales in use: millimetres, KITTI's 1/256 m, 1/5000 m (TUM). A room's median lies between 1 and 6 m.
const char *depth_guess_scale(int bits, int median, int largest) {
  if (bits <= 8) return "8-bit values are usually relative depth or disparity, which has no scale";
  if (median >= 700 && median <= 6000 && largest <= 20000) return "this looks like millimetres (scale 1000)";
  if (median >= 6000 && largest > 20000)
    return "this looks like 1/5000 m (scale 5000) or 1/256 m out of doors (scale 256)";
  return NULL;
}

// The refusal of a file without a scale: what it most likely is, and why.
static Status unknown_scale(const char *path, const Gray16 *image, int bits) {
  size_t n = (size_t)image->width * (size_t)image->height, n_valid = 0;
  uint16_t *values = malloc(n * sizeof *values);
  if (!values) BUG("out of memory");
  for (size_t i = 0; i < n; i++)
    if (image->value[i]) values[n_valid++] = image->value[i];
  qsort(values, n_valid, sizeof *values, compare_values);
  int median = n_valid ? values[n_valid / 2] : 0, largest = n_valid ? values[n_valid - 1] : 0;
  free(values);

  const char *guess = depth_guess_scale(bits, median, largest);
  const char *sep = guess ? "; " : "";
  return status_make(
      EXIT_DATA,
      "'%s' does not say how many values make a metre (text chunk DepthScale)%s%s: median value %d, largest "
      "%d, %.1f %% missing; state the scale (--depth-scale)",
      path, sep, guess ? guess : "", median, largest, n ? 100.0 * (double)(n - n_valid) / (double)n : 0);
}

// A number that is all of `text`; false otherwise.
static bool parse_number(const char *text, double *out) {
  char *end;
  *out = strtod(text, &end);
  return end != text && *end == 0 && isfinite(*out);
}

Status depth_read_png(const char *path, double scale, DepthMap *out) {
  return depth_read_png_default(path, scale, 0, out);
}

Status depth_read_png_default(const char *path, double scale, double default_scale, DepthMap *out) {
  *out = (DepthMap){0};
  Gray16 image = {0};
  PngTexts texts = {0};
  int bits = 0;
  TRY(gray16_read_png(path, &image, &bits, &texts));

  Status status = STATUS_OK;
  const char *declared = png_texts_get(&texts, "DepthScale"), *unit = png_texts_get(&texts, "DepthUnit");
  const char *invalid_text = png_texts_get(&texts, "Invalid");
  double declared_scale = 0, invalid = 0;
  if (declared && (!parse_number(declared, &declared_scale) || declared_scale <= 0))
    status =
        status_make(EXIT_DATA, "'%s' declares a DepthScale of '%.40s', which is no positive number", path, declared);
  else if (declared && unit && strcmp(unit, "metre") && strcmp(unit, "meter") && strcmp(unit, "m"))
    status = status_make(EXIT_DATA, "'%s' declares depths in '%.40s'; only metres are known", path, unit);
  else if (invalid_text && (!parse_number(invalid_text, &invalid) || invalid < 0 || invalid > 65535))
    status = status_make(EXIT_DATA, "'%s' declares an Invalid value of '%.40s'", path, invalid_text);
  else if (declared && scale > 0 && fabs(scale - declared_scale) > 1e-6 * scale)
    status =
        status_make(EXIT_DATA, "'%s' declares %g values a metre, but %g were asked for", path, declared_scale, scale);
  else if (!declared && !(scale > 0) && !(default_scale > 0)) status = unknown_scale(path, &image, bits);

  if (!status) {
    if (declared) scale = declared_scale;
    else if (!(scale > 0)) scale = default_scale;
    depth_alloc(out, image.width, image.height);
    size_t n = (size_t)image.width * (size_t)image.height;
    for (size_t i = 0; i < n; i++)
      out->metres[i] = image.value[i] == (uint16_t)invalid || !image.value[i] ? 0 : (float)(image.value[i] / scale);
  }
  gray16_free(&image);
  png_texts_free(&texts);
  return status;
}

static void put_float(Text *text, float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  const uint8_t bytes[4] = {(uint8_t)bits, (uint8_t)(bits >> 8), (uint8_t)(bits >> 16), (uint8_t)(bits >> 24)};
  text_write(text, bytes, sizeof bytes);
}

Status depth_write_npy(const char *path, const DepthMap *depth) {
  Text text = {0}, header = {0};
  text_printf(&header, "{'descr': '<f4', 'fortran_order': False, 'shape': (%d, %d), }", depth->height, depth->width);
  // Magic, version, length and header together fill a multiple of 64 bytes, the last of them a newline.
  while ((10 + header.size + 1) % 64) text_put(&header, " ");
  text_put(&header, "\n");
  text_write(&text, "\x93NUMPY\x01\x00", 8);
  const uint8_t length[2] = {(uint8_t)header.size, (uint8_t)(header.size >> 8)};
  text_write(&text, length, 2);
  text_write(&text, header.data, header.size);
  size_t n = (size_t)depth->width * (size_t)depth->height;
  for (size_t i = 0; i < n; i++) put_float(&text, depth->metres[i]);
  Status status = file_write(path, text.data, text.size);
  text_free(&text);
  text_free(&header);
  return status;
}

Status depth_write_pfm(const char *path, const DepthMap *depth) {
  Text text = {0};
  text_printf(&text, "Pf\n%d %d\n-1.0\n", depth->width, depth->height);
  for (int y = depth->height - 1; y >= 0; y--)
    for (int x = 0; x < depth->width; x++)
      put_float(&text, depth->metres[(size_t)y * (size_t)depth->width + (size_t)x]);
  Status status = file_write(path, text.data, text.size);
  text_free(&text);
  return status;
}

Status depth_write(const char *path, const DepthMap *depth) {
  const char *dot = strrchr(path, '.'), *extension = dot && !strchr(dot, '/') ? dot + 1 : "";
  if (!strcmp(extension, "png")) return depth_write_png(path, depth);
  if (!strcmp(extension, "npy")) return depth_write_npy(path, depth);
  if (!strcmp(extension, "pfm")) return depth_write_pfm(path, depth);
  return status_make(EXIT_USAGE, "cannot tell the format of '%s': .png, .npy and .pfm are known", path);
}
