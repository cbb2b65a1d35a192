// Image: storage of pictures, and the choice of a reader by content.
#include "runtime/data/image.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/base/file.h"
#include "runtime/base/text.h"
#include "runtime/data/image_codec.h"

void image_alloc(Image *image, int width, int height) {
  image->rgb = calloc((size_t)width * (size_t)height * 3 + IMAGE_SLACK, 1);
  if (!image->rgb) BUG("out of memory for a picture of %dx%d", width, height);
  image->width = width;
  image->height = height;
}

Status image_try_alloc(const char *name, Image *image, int width, int height) {
  image->rgb = calloc((size_t)width * (size_t)height * 3 + IMAGE_SLACK, 1);
  if (!image->rgb)
    return status_make(EXIT_DEVICE, "not enough memory to read '%s' of %dx%d pixels", name, width, height);
  image->width = width;
  image->height = height;
  return STATUS_OK;
}

void image_free(Image *image) {
  free(image->rgb);
  *image = (Image){0};
}

void gray16_alloc(Gray16 *image, int width, int height) {
  image->value = calloc((size_t)width * (size_t)height, sizeof *image->value);
  if (!image->value) BUG("out of memory for a picture of %dx%d", width, height);
  image->width = width;
  image->height = height;
}

void gray16_free(Gray16 *image) {
  free(image->value);
  *image = (Gray16){0};
}

bool image_is_png(const void *bytes, size_t size) { return size >= 8 && !memcmp(bytes, "\x89PNG\r\n\x1a\n", 8); }

bool image_is_jpeg(const void *bytes, size_t size) { return size >= 3 && !memcmp(bytes, "\xff\xd8\xff", 3); }

Status image_check_size(const char *name, uint64_t width, uint64_t height) {
  if (width == 0 || height == 0) return status_make(EXIT_DATA, "'%s' has no pixels", name);
  if (width > IMAGE_MAX_SIDE || height > IMAGE_MAX_SIDE || width * height > IMAGE_MAX_PIXELS)
    return status_make(
        EXIT_DATA, "'%s' is too big: %llux%llu pixels, where %d a side and %d million in all are the limit", name,
        (unsigned long long)width, (unsigned long long)height, IMAGE_MAX_SIDE, IMAGE_MAX_PIXELS / 1000000);
  return STATUS_OK;
}

Status image_decode(const char *name, const void *bytes, size_t size, Image *out) {
  *out = (Image){0};
  if (size == 0) return status_make(EXIT_DATA, "'%s' is empty", name);
  if (image_is_png(bytes, size)) return png_decode(name, bytes, size, out);
  if (image_is_jpeg(bytes, size)) return jpeg_decode(name, bytes, size, out);
  if (image_is_ppm(bytes, size)) return ppm_decode(name, bytes, size, out);
  return status_make(EXIT_DATA, "'%s' is neither a PNG nor a JPEG picture (nor a binary PPM)", name);
}

Status image_read(const char *path, Image *out) {
  *out = (Image){0};
  Text bytes = {0};
  Status status = file_read(path, &bytes);
  if (!status) status = image_decode(path, bytes.data, bytes.size, out);
  text_free(&bytes);
  return status;
}
