// PLY: a picture and its depth map as a cloud of coloured points.
#include "runtime/data/ply.h"

#include <math.h>
#include <string.h>

#include "runtime/base/file.h"
#include "runtime/base/text.h"

static void put_float(uint8_t *out, double value) {
  float narrow = (float)value;
  uint32_t bits;
  memcpy(&bits, &narrow, sizeof bits);
  for (int i = 0; i < 4; i++) out[i] = (uint8_t)(bits >> 8 * i);
}

static bool is_known(float depth) { return depth > 0 && isfinite(depth); }

Status ply_write(const char *path, const Image *picture, const DepthMap *depth, const Intrinsics *camera) {
  enum { VERTEX = 15 };
  if (picture->width != depth->width || picture->height != depth->height)
    return status_make(EXIT_DATA, "'%s': a picture of %dx%d and a depth map of %dx%d make no points", path,
                       picture->width, picture->height, depth->width, depth->height);
  size_t n = (size_t)depth->width * (size_t)depth->height, n_points = 0;
  for (size_t i = 0; i < n; i++) n_points += is_known(depth->metres[i]);
  Text text = {0};
  text_printf(&text,
              "ply\nformat binary_little_endian 1.0\n"
              "comment metres; x right, y down, z forward; fx %.9g fy %.9g cx %.9g cy %.9g\n"
              "element vertex %zu\nproperty float x\nproperty float y\nproperty float z\n"
              "property uchar red\nproperty uchar green\nproperty uchar blue\nend_header\n",
              camera->fx, camera->fy, camera->cx, camera->cy, n_points);
  FileWriter *writer;
  Status status = file_writer_open(path, &writer);
  if (!status) status = file_writer_put(writer, text.data, text.size);
  else writer = NULL;
  for (int y = 0; y < depth->height && !status; y++) {
    text_clear(&text);
    for (int x = 0; x < depth->width; x++) {
      size_t i = (size_t)y * (size_t)depth->width + (size_t)x;
      double z = depth->metres[i];
      if (!is_known(depth->metres[i])) continue;
      uint8_t vertex[VERTEX];
      put_float(vertex, (x + 0.5 - camera->cx) / camera->fx * z);
      put_float(vertex + 4, (y + 0.5 - camera->cy) / camera->fy * z);
      put_float(vertex + 8, z);
      memcpy(vertex + 12, picture->rgb + 3 * i, 3);
      text_write(&text, vertex, VERTEX);
    }
    if (text.size) status = file_writer_put(writer, text.data, text.size);
  }
  text_free(&text);
  if (!status) return file_writer_commit(writer);
  file_writer_abort(writer);
  return status;
}
