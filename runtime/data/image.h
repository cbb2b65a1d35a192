// Image: pictures in and out. PNG, JPEG and PPM are read by content, whatever the file is called.
#ifndef SG_DATA_IMAGE_H
#define SG_DATA_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/base/status.h"
#include "runtime/base/text.h"

// Bytes behind the last pixel of a picture that may be read, so that any pixel can be loaded as four bytes.
enum { IMAGE_SLACK = 1 };

// An 8-bit RGB picture (sRGB as the file has it): rows from top to bottom, three bytes a pixel, no padding between
// rows. The holder owns `rgb`, which ends with IMAGE_SLACK bytes of no meaning, and ends it with image_free; {0} is the
// empty picture.
typedef struct Image {
  int width, height;
  uint8_t *rgb;
} Image;

// A 16-bit single-channel picture in the byte order of the host; ended with gray16_free.
typedef struct Gray16 {
  int width, height;
  uint16_t *value;
} Gray16;

// One text chunk of a PNG: `key` is 1 to 79 Latin-1 characters, both zero-terminated.
typedef struct ImageText {
  const char *key, *value;
} ImageText;

// Pictures with a side above IMAGE_MAX_SIDE or more pixels than IMAGE_MAX_PIXELS are refused before anything of that
// size is allocated: a few kilobytes of file must not claim all memory.
enum { IMAGE_MAX_SIDE = 65500, IMAGE_MAX_PIXELS = 120 * 1000 * 1000 };

// Zeroed pixels of the given size (both sides at least 1).
void image_alloc(Image *image, int width, int height);
void image_free(Image *image); // back to {0}
void gray16_alloc(Gray16 *image, int width, int height);
void gray16_free(Gray16 *image);

// Reads a PNG (1 to 16 bits, gray, palette, RGB, with or without alpha, interlaced or not; transparent pixels are
// composited over white), a JPEG (gray, YCbCr or RGB; EXIF orientation applied) or a binary PPM (P6). EXIT_DATA, naming
// the file, where it is missing, truncated, damaged, of another kind, or too big. On an error *out is {0}.
Status image_read(const char *path, Image *out);

// The same from memory; `name` is what messages call it.
Status image_decode(const char *name, const void *bytes, size_t size, Image *out);

// True if the bytes begin as a PNG, a JPEG or a binary PPM does.
bool image_is_png(const void *bytes, size_t size);
bool image_is_jpeg(const void *bytes, size_t size);
bool image_is_ppm(const void *bytes, size_t size);

// Writes an RGB PNG with text chunks (texts may be NULL if n_texts is 0). The old file or the whole new one is there.
Status image_write_png(const char *path, const Image *image, const ImageText *texts, int n_texts);

// The same, without texts, appended to `out`.
Status image_encode_png(const Image *image, Text *out);

// Writes a 16-bit gray PNG with text chunks.
Status gray16_write_png(const char *path, const Gray16 *image, const ImageText *texts, int n_texts);

// What a PNG declares besides its pixels, as gray16_read_png hands it out.
typedef struct PngTexts {
  int n;
  char **key, **value; // owned; png_texts_free
} PngTexts;
const char *png_texts_get(const PngTexts *texts, const char *key); // lent; NULL where there is none
void png_texts_free(PngTexts *texts);

// Reads a gray PNG at its own depth: *out_bits is 1, 2, 4, 8 or 16 and the values are not rescaled. Palette and colour
// pictures are an EXIT_DATA error (a depth map has one channel). `texts` may be NULL.
Status gray16_read_png(const char *path, Gray16 *out, int *out_bits, PngTexts *texts);

#endif
