// JPEG: reading through libjpeg, with the orientation that EXIF states applied.
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jerror.h>
#include <jpeglib.h>

#include "runtime/data/image_codec.h"

// More scans than any encoder writes: each costs a pass over the whole picture.
enum { MAX_SCANS = 200 };

typedef struct JpegReader {
  struct jpeg_error_mgr errors; // first: libjpeg hands out its address
  struct jpeg_progress_mgr progress;
  struct jpeg_decompress_struct jpeg;
  jmp_buf escape;
  const char *name;
  Image image;
  int orientation; // 1..8 as in EXIF
  Status status;
} JpegReader;

static void on_error(j_common_ptr jpeg) {
  JpegReader *reader = (JpegReader *)jpeg->err;
  char message[JMSG_LENGTH_MAX];
  jpeg->err->format_message(jpeg, message);
  if (!reader->status) reader->status = status_make(EXIT_DATA, "'%s' is a damaged JPEG: %s", reader->name, message);
  longjmp(reader->escape, 1);
}

// libjpeg calls missing data a warning and paints the rest gray; a depth map of that would be nonsense.
static void on_message(j_common_ptr jpeg, int level) {
  int code = jpeg->err->msg_code;
  if (level < 0 && (code == JWRN_JPEG_EOF || code == JWRN_HIT_MARKER)) on_error(jpeg);
}

static void on_progress(j_common_ptr jpeg) {
  JpegReader *reader = (JpegReader *)jpeg->err;
  if (!jpeg->is_decompressor || reader->jpeg.input_scan_number <= MAX_SCANS) return;
  reader->status = status_make(EXIT_DATA, "'%s' is refused: a JPEG of more than %d scans", reader->name, MAX_SCANS);
  longjmp(reader->escape, 1);
}

// The orientation tag (0x0112) of the first directory of an EXIF marker; 1 where there is none.
static int exif_orientation(const uint8_t *bytes, size_t size) {
  if (size < 14 || memcmp(bytes, "Exif\0\0", 6)) return 1;
  const uint8_t *tiff = bytes + 6;
  size -= 6;
  bool is_big = tiff[0] == 'M';
#define READ16(p) (is_big ? (p)[0] << 8 | (p)[1] : (p)[1] << 8 | (p)[0])
#define READ32(p)                                                                                                      \
  ((uint32_t)(is_big ? READ16(p) : READ16((p) + 2)) << 16 | (uint32_t)(is_big ? READ16((p) + 2) : READ16(p)))
  uint32_t directory = READ32(tiff + 4);
  if (directory > size - 2) return 1;
  int n = READ16(tiff + directory);
  for (int i = 0; i < n; i++) {
    size_t entry = (size_t)directory + 2 + 12 * (size_t)i;
    if (entry + 12 > size) return 1;
    if (READ16(tiff + entry) != 0x0112) continue;
    int value = READ16(tiff + entry + 8);
    return value >= 1 && value <= 8 ? value : 1;
  }
#undef READ16
#undef READ32
  return 1;
}

static void read_all(JpegReader *reader, const void *bytes, size_t size) {
  struct jpeg_decompress_struct *jpeg = &reader->jpeg;
  if (setjmp(reader->escape)) return;
  jpeg_create_decompress(jpeg);
  jpeg->progress = &reader->progress;
  jpeg_mem_src(jpeg, bytes, (unsigned long)size);
  jpeg_save_markers(jpeg, JPEG_APP0 + 1, 0xffff);
  jpeg_read_header(jpeg, TRUE);
  reader->status = image_check_size(reader->name, jpeg->image_width, jpeg->image_height);
  if (reader->status) return;
  if (jpeg->jpeg_color_space == JCS_CMYK || jpeg->jpeg_color_space == JCS_YCCK) {
    reader->status =
        status_make(EXIT_DATA, "'%s' is a CMYK picture made for printing; convert it to RGB first", reader->name);
    return;
  }
  reader->orientation = 1;
  for (jpeg_saved_marker_ptr marker = jpeg->marker_list; marker; marker = marker->next) {
    int orientation = exif_orientation(marker->data, marker->data_length);
    if (orientation != 1) reader->orientation = orientation;
  }
  jpeg->out_color_space = JCS_RGB;
  jpeg_start_decompress(jpeg);
  reader->status = image_try_alloc(reader->name, &reader->image, (int)jpeg->output_width, (int)jpeg->output_height);
  if (reader->status) return;
  while (jpeg->output_scanline < jpeg->output_height) {
    JSAMPROW row = reader->image.rgb + 3 * (size_t)reader->image.width * jpeg->output_scanline;
    jpeg_read_scanlines(jpeg, &row, 1);
  }
  jpeg_finish_decompress(jpeg);
}

// Turns the picture upright (EXIF 2.3, 4.6.4): 2 is mirrored, 3 turned by 180 degrees, 4 mirrored top to bottom; 5..8
// are the same with rows and columns exchanged.
static void orient(Image *image, int orientation) {
  if (orientation == 1) return;
  bool is_transposed = orientation >= 5;
  bool flips_x = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  bool flips_y = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  Image out;
  image_alloc(&out, is_transposed ? image->height : image->width, is_transposed ? image->width : image->height);
  for (int y = 0; y < out.height; y++)
    for (int x = 0; x < out.width; x++) {
      int from_x = is_transposed ? y : x, from_y = is_transposed ? x : y;
      if (flips_x) from_x = image->width - 1 - from_x;
      if (flips_y) from_y = image->height - 1 - from_y;
      memcpy(out.rgb + 3 * ((size_t)y * (size_t)out.width + (size_t)x),
             image->rgb + 3 * ((size_t)from_y * (size_t)image->width + (size_t)from_x), 3);
    }
  image_free(image);
  *image = out;
}

Status jpeg_decode(const char *name, const void *bytes, size_t size, Image *out) {
  JpegReader reader = {.name = name};
  reader.jpeg.err = jpeg_std_error(&reader.errors);
  reader.errors.error_exit = on_error;
  reader.errors.emit_message = on_message;
  reader.progress.progress_monitor = on_progress;
  read_all(&reader, bytes, size);
  jpeg_destroy_decompress(&reader.jpeg);
  if (reader.status) {
    image_free(&reader.image);
    return reader.status;
  }
  orient(&reader.image, reader.orientation);
  *out = reader.image;
  return STATUS_OK;
}
