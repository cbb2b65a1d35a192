// Frames of a stream: told apart by content, handed out at their last byte, broken ones passed over.
#include "runtime/data/frames.h"

#include <stdio.h>
#include <unistd.h>

#include <jpeglib.h>

#include "runtime/base/file.h"
#include "tests/check.h"
#include "tests/runtime/scratch.h"

enum { W = 24, H = 16 };

// A JPEG of one gray with a thumbnail in its EXIF marker: an end marker that does not end the picture.
static void put_jpeg(Text *out, int gray) {
  struct jpeg_compress_struct jpeg;
  struct jpeg_error_mgr errors;
  unsigned char *bytes = NULL;
  unsigned long size = 0;
  jpeg.err = jpeg_std_error(&errors);
  jpeg_create_compress(&jpeg);
  jpeg_mem_dest(&jpeg, &bytes, &size);
  jpeg.image_width = W;
  jpeg.image_height = H;
  jpeg.input_components = 3;
  jpeg.in_color_space = JCS_RGB;
  jpeg_set_defaults(&jpeg);
  jpeg.restart_interval = 2;
  jpeg_start_compress(&jpeg, TRUE);
  jpeg_write_marker(&jpeg, JPEG_APP0 + 1, (const JOCTET *)"thumb\xff\xd8\xff\xd9", 9);
  uint8_t row[3 * W];
  for (int y = 0; y < H; y++) {
    for (int x = 0; x < 3 * W; x++) row[x] = (uint8_t)(gray + (x * 37 + y * 91) % 4);
    JSAMPROW rows = row;
    jpeg_write_scanlines(&jpeg, &rows, 1);
  }
  jpeg_finish_compress(&jpeg);
  text_write(out, bytes, size);
  jpeg_destroy_compress(&jpeg);
  free(bytes);
}

static void put_ppm(Text *out, int gray) {
  text_printf(out, "P6\n# a comment\n%d %d\n255\n", W, H);
  for (int i = 0; i < 3 * W * H; i++) text_write(out, &(uint8_t){(uint8_t)gray}, 1);
}

static void put_png(Text *out, int gray) {
  Image image;
  image_alloc(&image, W, H);
  memset(image.rgb, gray, 3 * W * H);
  Status status = image_write_png(scratch_path("a.png"), &image, NULL, 0);
  if (!status) status = file_read(scratch_path("a.png"), out);
  CHECK(!status, "%s", status_message(status));
  image_free(&image);
}

// Sends bytes and expects one frame of about that gray, while the other end stays open.
static void expect_frame(FrameStream *stream, int to, const Text *bytes, int gray, const char *what) {
  CHECK(!bytes || write(to, bytes->data, bytes->size) == (ssize_t)bytes->size, "pipe");
  Image image;
  bool is_end;
  Status status = frames_next(stream, &image, &is_end);
  CHECK(!status && !is_end, "%s: %s", what, status_message(status));
  CHECK(image.width == W && image.height == H, "%s: %dx%d", what, image.width, image.height);
  if (image.rgb) CHECK(abs(image.rgb[0] - gray) <= 8, "%s: gray %d", what, image.rgb[0]);
  status_free(status);
  image_free(&image);
}

static void expect_error(FrameStream *stream, const char *text, bool ends) {
  Image image;
  bool is_end;
  Status status = frames_next(stream, &image, &is_end);
  CHECK(status_code(status) == EXIT_DATA && strstr(status_message(status), text), "'%s' not in '%s'", text,
        status_message(status));
  CHECK(is_end == ends && !image.rgb, "%s: end %d", text, is_end);
  status_free(status);
}

static void test_kinds(void) {
  int ends[2];
  CHECK(!pipe(ends), "pipe");
  FrameStream *stream = frames_open(ends[0], 0, 0, NULL);
  Text bytes = {0};
  for (int i = 0; i < 6; i++) {
    text_clear(&bytes);
    if (i % 3 == 0) put_jpeg(&bytes, 40 + i);
    if (i % 3 == 1) put_ppm(&bytes, 40 + i);
    if (i % 3 == 2) put_png(&bytes, 40 + i);
    expect_frame(stream, ends[1], &bytes, 40 + i, "one at a time");
  }
  // Several at once, one of them cut short and one with a multipart header before it.
  text_clear(&bytes);
  put_jpeg(&bytes, 100);
  put_jpeg(&bytes, 101);
  bytes.size -= 40; // of its compressed data
  put_jpeg(&bytes, 102);
  text_put(&bytes, "\r\n--frame\r\nContent-Type: image/jpeg\r\n\r\n");
  put_jpeg(&bytes, 103);
  size_t before = bytes.size;
  put_jpeg(&bytes, 104);
  bytes.size = before + (bytes.size - before) / 2; // of its tables
  put_jpeg(&bytes, 105);
  expect_frame(stream, ends[1], &bytes, 100, "before a broken one");
  expect_error(stream, "frame 8", false);
  expect_frame(stream, ends[1], NULL, 102, "after a broken one");
  expect_frame(stream, ends[1], NULL, 103, "after a boundary");
  expect_error(stream, "frame 11", false);
  expect_frame(stream, ends[1], NULL, 105, "after one cut early");
  CHECK(frames_count(stream) == 12, "%lld", (long long)frames_count(stream));
  text_clear(&bytes);
  put_ppm(&bytes, 1);
  CHECK(write(ends[1], bytes.data, 500) == 500 && !close(ends[1]), "pipe");
  expect_error(stream, "ends within frame 13", true);
  frames_close(stream);
  close(ends[0]);
  text_free(&bytes);
}

static void test_raw(void) {
  int ends[2];
  CHECK(!pipe(ends), "pipe");
  FrameStream *stream = frames_open(ends[0], W, H, NULL);
  Text bytes = {0};
  for (int i = 0; i < 2 * 3 * W * H + 7; i++) text_write(&bytes, &(uint8_t){i < 3 * W * H ? 9 : 90}, 1);
  expect_frame(stream, ends[1], &bytes, 9, "raw");
  expect_frame(stream, ends[1], NULL, 90, "raw");
  close(ends[1]);
  expect_error(stream, "7 bytes", true);
  frames_close(stream);
  close(ends[0]);
  text_free(&bytes);
}

static void test_foreign_and_stop(void) {
  int ends[2];
  CHECK(!pipe(ends), "pipe");
  volatile sig_atomic_t stop = 0;
  FrameStream *stream = frames_open(ends[0], 0, 0, &stop);
  Image image;
  bool is_end = false;
  stop = 1;
  Status status = frames_next(stream, &image, &is_end);
  CHECK(!status && is_end, "asked to stop while nothing comes");
  stop = 0;
  for (int i = 0; i < 100; i++) CHECK(write(ends[1], "just some text, ", 16) == 16, "pipe");
  expect_error(stream, "--raw", true);
  frames_close(stream);
  close(ends[0]);
  close(ends[1]);
}

int main(void) {
  alarm(60); // a frame that is waited for in vain
  test_kinds();
  test_raw();
  test_foreign_and_stop();
  return check_report("test_frames");
}
