// PNG: reading and writing through libpng.
//
// libpng reports errors by longjmp. Each use of it is one function that holds the setjmp and touches nothing but a
// struct of its caller, which then releases everything in the one place, whether it went well or not.
#include <png.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/file.h"
#include "runtime/data/image_codec.h"

// ---- Reading ----

typedef struct PngReader {
  const char *name;
  const uint8_t *at;
  size_t left;
  png_structp png;
  png_infop info, end;
  uint8_t *pixels; // interleaved, `channels` bytes (or one uint16_t) a pixel
  png_bytepp rows;
  uint32_t width, height;
  int channels, bits, colour_type;
  Status status;
} PngReader;

static void on_error(png_structp png, png_const_charp message) {
  PngReader *reader = png_get_error_ptr(png);
  if (!reader->status) reader->status = status_make(EXIT_DATA, "'%s' is a damaged PNG: %s", reader->name, message);
  longjmp(png_jmpbuf(png), 1);
}

static void on_warning(png_structp png, png_const_charp message) { (void)png, (void)message; }

static void on_read(png_structp png, png_bytep out, size_t n) {
  PngReader *reader = png_get_io_ptr(png);
  if (n > reader->left) png_error(png, "the file ends too early");
  memcpy(out, reader->at, n);
  reader->at += n;
  reader->left -= n;
}

// Reads the header, the pixels as 8-bit RGB or RGBA (or as the gray values that are there), and the chunks after them.
static void read_all(PngReader *reader, bool as_gray) {
  if (setjmp(png_jmpbuf(reader->png))) return;
  png_structp png = reader->png;
  png_set_user_limits(png, IMAGE_MAX_SIDE, IMAGE_MAX_SIDE);
  png_set_read_fn(png, reader, on_read);
  png_read_info(png, reader->info);
  reader->width = png_get_image_width(png, reader->info);
  reader->height = png_get_image_height(png, reader->info);
  reader->bits = png_get_bit_depth(png, reader->info);
  reader->colour_type = png_get_color_type(png, reader->info);
  reader->status = image_check_size(reader->name, reader->width, reader->height);
  if (reader->status) return;

  if (as_gray) {
    if (reader->colour_type != PNG_COLOR_TYPE_GRAY) {
      reader->status = status_make(
          EXIT_DATA, "'%s' is not a depth map: a gray PNG without alpha is expected, this one is %s", reader->name,
          reader->colour_type == PNG_COLOR_TYPE_PALETTE ? "a palette picture"
          : reader->colour_type & PNG_COLOR_MASK_COLOR  ? "coloured"
                                                        : "gray with alpha");
      return;
    }
    png_set_packing(png);
    const uint16_t probe = 1; // PNG is big-endian
    if (reader->bits == 16 && *(const uint8_t *)&probe) png_set_swap(png);
  } else {
    png_set_expand(png);
    png_set_scale_16(png);
    png_set_gray_to_rgb(png);
  }
  (void)png_set_interlace_handling(png);
  png_read_update_info(png, reader->info);
  reader->channels = png_get_channels(png, reader->info);
  size_t row = png_get_rowbytes(png, reader->info);
  reader->pixels = calloc(reader->height * row + IMAGE_SLACK, 1);
  reader->rows = calloc(reader->height, sizeof *reader->rows);
  if (!reader->pixels || !reader->rows) png_error(png, "not enough memory");
  for (uint32_t y = 0; y < reader->height; y++) reader->rows[y] = reader->pixels + y * row;
  png_read_image(png, reader->rows);
  png_read_end(png, reader->end);
}

static Status reader_run(PngReader *reader, bool as_gray) {
  reader->png = png_create_read_struct(PNG_LIBPNG_VER_STRING, reader, on_error, on_warning);
  if (reader->png) reader->info = png_create_info_struct(reader->png);
  if (reader->info) reader->end = png_create_info_struct(reader->png);
  if (!reader->end) BUG("out of memory");
  read_all(reader, as_gray);
  return reader->status;
}

static void reader_free(PngReader *reader) {
  png_destroy_read_struct(&reader->png, &reader->info, &reader->end);
  free(reader->pixels);
  free(reader->rows);
}

// Lays RGBA over white, in place of the first three bytes of each pixel.
static void composite(const uint8_t *rgba, uint8_t *rgb, size_t n) {
  for (size_t i = 0; i < n; i++) {
    int alpha = rgba[4 * i + 3];
    for (int c = 0; c < 3; c++) rgb[3 * i + c] = (uint8_t)((rgba[4 * i + c] * alpha + 255 * (255 - alpha) + 127) / 255);
  }
}

Status png_decode(const char *name, const void *bytes, size_t size, Image *out) {
  PngReader reader = {.name = name, .at = bytes, .left = size};
  Status status = reader_run(&reader, false);
  if (!status) {
    size_t n = (size_t)reader.width * reader.height;
    if (reader.channels == 4) composite(reader.pixels, reader.pixels, n);
    *out = (Image){(int)reader.width, (int)reader.height, reader.pixels};
    reader.pixels = NULL;
  }
  reader_free(&reader);
  return status;
}

static void texts_take(PngTexts *texts, png_structp png, png_infop info) {
  png_textp text;
  int n = png_get_text(png, info, &text, NULL);
  for (int i = 0; i < n; i++) {
    texts->key = realloc(texts->key, sizeof *texts->key * (size_t)(texts->n + 1));
    texts->value = realloc(texts->value, sizeof *texts->value * (size_t)(texts->n + 1));
    if (!texts->key || !texts->value) BUG("out of memory");
    texts->key[texts->n] = strdup(text[i].key);
    texts->value[texts->n] = strdup(text[i].text ? text[i].text : "");
    texts->n++;
  }
}

const char *png_texts_get(const PngTexts *texts, const char *key) {
  for (int i = 0; i < texts->n; i++)
    if (!strcmp(texts->key[i], key)) return texts->value[i];
  return NULL;
}

void png_texts_free(PngTexts *texts) {
  for (int i = 0; i < texts->n; i++) {
    free(texts->key[i]);
    free(texts->value[i]);
  }
  free(texts->key);
  free(texts->value);
  *texts = (PngTexts){0};
}

Status gray16_read_png(const char *path, Gray16 *out, int *out_bits, PngTexts *texts) {
  *out = (Gray16){0};
  if (texts) *texts = (PngTexts){0};
  Text bytes = {0};
  Status status = file_read(path, &bytes);
  PngReader reader = {.name = path, .at = (const uint8_t *)bytes.data, .left = bytes.size};
  if (!status && !image_is_png(bytes.data, bytes.size))
    status = status_make(EXIT_DATA, "'%s' is not a PNG file, which a depth map must be", path);
  if (!status) {
    status = reader_run(&reader, true);
    if (!status) {
      gray16_alloc(out, (int)reader.width, (int)reader.height);
      size_t n = (size_t)reader.width * reader.height;
      if (reader.bits == 16) memcpy(out->value, reader.pixels, 2 * n);
      else
        for (size_t i = 0; i < n; i++) out->value[i] = reader.pixels[i];
      *out_bits = reader.bits;
      if (texts) {
        texts_take(texts, reader.png, reader.info);
        texts_take(texts, reader.png, reader.end);
      }
    }
    reader_free(&reader);
  }
  text_free(&bytes);
  return status;
}

// ---- Writing ----

// To a file, or to `out` where there is none.
typedef struct PngWriter {
  FileWriter *file;
  Text *out;
  png_structp png;
  png_infop info;
  const char *path;
  Status status;
} PngWriter;

static void on_write_error(png_structp png, png_const_charp message) {
  PngWriter *writer = png_get_error_ptr(png);
  if (!writer->status) writer->status = status_make(EXIT_DATA, "cannot write '%s': %s", writer->path, message);
  longjmp(png_jmpbuf(png), 1);
}

static void on_write(png_structp png, png_bytep bytes, size_t n) {
  PngWriter *writer = png_get_io_ptr(png);
  if (writer->file) writer->status = file_writer_put(writer->file, bytes, n);
  else text_write(writer->out, bytes, n);
  if (writer->status) png_error(png, "write error");
}

static void on_flush(png_structp png) { (void)png; }

static void write_all(PngWriter *writer, int width, int height, int bits, int colour_type, const uint8_t *pixels,
                      size_t row, const ImageText *texts, int n_texts) {
  if (setjmp(png_jmpbuf(writer->png))) return;
  png_structp png = writer->png;
  png_set_write_fn(png, writer, on_write, on_flush);
  png_set_compression_level(png, 4); // on rooms as small as the usual 6, in half the time
  png_set_IHDR(png, writer->info, (uint32_t)width, (uint32_t)height, bits, colour_type, PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  for (int i = 0; i < n_texts; i++) {
    png_text text = {
        .compression = PNG_TEXT_COMPRESSION_NONE, .key = (char *)texts[i].key, .text = (char *)texts[i].value};
    text.text_length = strlen(texts[i].value);
    png_set_text(png, writer->info, &text, 1);
  }
  png_write_info(png, writer->info);
  const uint16_t probe = 1;
  if (bits == 16 && *(const uint8_t *)&probe) png_set_swap(png);
  for (int y = 0; y < height; y++) png_write_row(png, pixels + (size_t)y * row);
  png_write_end(png, writer->info);
}

static Status write_to(PngWriter *writer, int width, int height, int bits, int colour_type, const void *pixels,
                       size_t row, const ImageText *texts, int n_texts) {
  writer->png = png_create_write_struct(PNG_LIBPNG_VER_STRING, writer, on_write_error, on_warning);
  if (writer->png) writer->info = png_create_info_struct(writer->png);
  if (!writer->info) BUG("out of memory");
  write_all(writer, width, height, bits, colour_type, pixels, row, texts, n_texts);
  png_destroy_write_struct(&writer->png, &writer->info);
  return writer->status;
}

static Status write_png(const char *path, int width, int height, int bits, int colour_type, const void *pixels,
                        size_t row, const ImageText *texts, int n_texts) {
  PngWriter writer = {.path = path};
  TRY(file_writer_open(path, &writer.file));
  Status status = write_to(&writer, width, height, bits, colour_type, pixels, row, texts, n_texts);
  if (status) {
    file_writer_abort(writer.file);
    return status;
  }
  return file_writer_commit(writer.file);
}

Status image_write_png(const char *path, const Image *image, const ImageText *texts, int n_texts) {
  return write_png(path, image->width, image->height, 8, PNG_COLOR_TYPE_RGB, image->rgb, 3 * (size_t)image->width,
                   texts, n_texts);
}

Status image_encode_png(const Image *image, Text *out) {
  PngWriter writer = {.out = out, .path = "memory"};
  return write_to(&writer, image->width, image->height, 8, PNG_COLOR_TYPE_RGB, image->rgb, 3 * (size_t)image->width,
                  NULL, 0);
}

Status gray16_write_png(const char *path, const Gray16 *image, const ImageText *texts, int n_texts) {
  return write_png(path, image->width, image->height, 16, PNG_COLOR_TYPE_GRAY, image->value, 2 * (size_t)image->width,
                   texts, n_texts);
}
