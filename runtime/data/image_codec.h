// The readers of the single formats, for image.c, frames.c and depth_io.c alone.
#ifndef SG_DATA_IMAGE_CODEC_H
#define SG_DATA_IMAGE_CODEC_H

#include "runtime/data/image.h"

// As image_decode, for bytes that begin as the format does.
Status png_decode(const char *name, const void *bytes, size_t size, Image *out);
Status jpeg_decode(const char *name, const void *bytes, size_t size, Image *out);
Status ppm_decode(const char *name, const void *bytes, size_t size, Image *out);

// What a PPM (P6) says before its pixels: bytes of the header and of the whole picture. `size` 0: more bytes are
// needed.
typedef struct PpmHeader {
  int width, height, largest; // largest: value of full intensity, two bytes a value above 255
  size_t header, size;
} PpmHeader;
Status ppm_header(const char *name, const void *bytes, size_t size, PpmHeader *out);

// EXIT_DATA if a picture of this size is refused.
Status image_check_size(const char *name, uint64_t width, uint64_t height);

// As image_alloc, but EXIT_DEVICE where memory is short: the size comes from a file.
Status image_try_alloc(const char *name, Image *image, int width, int height);

#endif
