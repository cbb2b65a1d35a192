// Pictures in and out: every kind of PNG and JPEG, and files made to break the reader.
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>

#include <jpeglib.h>
#include <png.h>

#include "runtime/base/file.h"
#include "runtime/base/random.h"
#include "runtime/data/image.h"
#include "tests/check.h"
#include "tests/runtime/scratch.h"

// ---- Makers ----

static void on_write(png_structp png, png_bytep bytes, size_t n) { text_write(png_get_io_ptr(png), bytes, n); }
static void on_flush(png_structp png) { (void)png; }

// A PNG whose rows are handed in as they stand in the file. palette: n_palette colours, the first transparent if asked.
static void make_png(Text *out, int width, int height, int bits, int type, bool is_interlaced, png_bytep *rows,
                     int n_palette, bool has_alpha_chunk) {
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
  png_infop info = png_create_info_struct(png);
  if (setjmp(png_jmpbuf(png))) exit(70);
  png_set_write_fn(png, out, on_write, on_flush);
  png_set_IHDR(png, info, (uint32_t)width, (uint32_t)height, bits, type, is_interlaced ? PNG_INTERLACE_ADAM7 : 0, 0, 0);
  png_color palette[4] = {{10, 20, 30}, {200, 100, 50}, {0, 255, 0}, {255, 255, 255}};
  if (n_palette) png_set_PLTE(png, info, palette, n_palette);
  png_byte alpha[1] = {0};
  if (has_alpha_chunk) png_set_tRNS(png, info, alpha, 1, NULL);
  png_write_info(png, info);
  png_write_image(png, rows);
  png_write_end(png, info);
  png_destroy_write_struct(&png, &info);
}

// A JPEG of a colour ramp; `orientation` > 0 adds an EXIF marker.
static void make_jpeg(Text *out, int width, int height, J_COLOR_SPACE space, int channels, bool is_progressive,
                      int orientation) {
  struct jpeg_compress_struct jpeg;
  struct jpeg_error_mgr errors;
  unsigned char *bytes = NULL;
  unsigned long size = 0;
  jpeg.err = jpeg_std_error(&errors);
  jpeg_create_compress(&jpeg);
  jpeg_mem_dest(&jpeg, &bytes, &size);
  jpeg.image_width = (unsigned)width;
  jpeg.image_height = (unsigned)height;
  jpeg.input_components = channels;
  jpeg.in_color_space = space;
  jpeg_set_defaults(&jpeg);
  jpeg_set_quality(&jpeg, 95, TRUE);
  if (is_progressive) jpeg_simple_progression(&jpeg);
  jpeg_start_compress(&jpeg, TRUE);
  if (orientation) { // little-endian TIFF, one entry
    uint8_t exif[] = {
        'E', 'x', 'i', 'f', 0, 0, 'I', 'I', 42, 0, 8, 0, 0, 0, 1, 0, 0x12, 1, 3, 0, 1, 0, 0, 0, (uint8_t)orientation,
        0,   0,   0,   0,   0, 0, 0};
    jpeg_write_marker(&jpeg, JPEG_APP0 + 1, exif, sizeof exif);
  }
  JSAMPLE row[4 * 256];
  JSAMPROW rows[1] = {row};
  for (int y = 0; y < height; y++) {
    for (int x = 0; x < width; x++)
      for (int c = 0; c < channels; c++)
        row[x * channels + c] = (JSAMPLE)(c == 0 ? x * 255 / width : c == 1 ? y * 255 / height : 128);
    jpeg_write_scanlines(&jpeg, rows, 1);
  }
  jpeg_finish_compress(&jpeg);
  jpeg_destroy_compress(&jpeg);
  text_write(out, bytes, size);
  free(bytes);
}

// ---- Checks ----

static Status decode(const Text *bytes, Image *out) { return image_decode("picture", bytes->data, bytes->size, out); }

static void check_pixel(const Image *image, int x, int y, int r, int g, int b, int tolerance, const char *what) {
  const uint8_t *p = image->rgb + 3 * (y * image->width + x);
  CHECK(abs(p[0] - r) <= tolerance && abs(p[1] - g) <= tolerance && abs(p[2] - b) <= tolerance,
        "%s: pixel (%d, %d) is %d %d %d, not %d %d %d", what, x, y, p[0], p[1], p[2], r, g, b);
}

static void test_png_kinds(void) {
  enum { W = 13, H = 9 };
  static uint8_t pixels[H][W * 8];
  png_bytep rows[H];
  for (int y = 0; y < H; y++) rows[y] = pixels[y];
  struct {
    const char *name;
    int bits, type, palette;
    bool has_alpha_chunk;
    uint8_t first[8]; // bytes of pixel (0, 0); all others are zero
    int expected[3], other[3];
  } kinds[] = {
      {"gray 1", 1, PNG_COLOR_TYPE_GRAY, 0, false, {0x80}, {255, 255, 255}, {0, 0, 0}},
      {"gray 2", 2, PNG_COLOR_TYPE_GRAY, 0, false, {0x80}, {170, 170, 170}, {0, 0, 0}},
      {"gray 4", 4, PNG_COLOR_TYPE_GRAY, 0, false, {0x50}, {85, 85, 85}, {0, 0, 0}},
      {"gray 8", 8, PNG_COLOR_TYPE_GRAY, 0, false, {77}, {77, 77, 77}, {0, 0, 0}},
      {"gray 16", 16, PNG_COLOR_TYPE_GRAY, 0, false, {0x80, 0x80}, {128, 128, 128}, {0, 0, 0}},
      {"gray and alpha 8", 8, PNG_COLOR_TYPE_GA, 0, false, {0, 128}, {127, 127, 127}, {255, 255, 255}},
      {"RGB 8", 8, PNG_COLOR_TYPE_RGB, 0, false, {1, 2, 3}, {1, 2, 3}, {0, 0, 0}},
      {"RGB 16", 16, PNG_COLOR_TYPE_RGB, 0, false, {255, 255, 0, 0, 100, 100}, {255, 0, 100}, {0, 0, 0}},
      {"RGBA 8", 8, PNG_COLOR_TYPE_RGBA, 0, false, {200, 100, 0, 255}, {200, 100, 0}, {255, 255, 255}},
      {"RGBA 16", 16, PNG_COLOR_TYPE_RGBA, 0, false, {255, 255, 0, 0, 0, 0, 255, 255}, {255, 0, 0}, {255, 255, 255}},
      {"palette 1", 1, PNG_COLOR_TYPE_PALETTE, 2, false, {0x80}, {200, 100, 50}, {10, 20, 30}},
      {"palette 8", 8, PNG_COLOR_TYPE_PALETTE, 4, false, {2}, {0, 255, 0}, {10, 20, 30}},
      {"palette with transparency", 4, PNG_COLOR_TYPE_PALETTE, 4, true, {0x10}, {200, 100, 50}, {255, 255, 255}},
  };
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
    for (int interlaced = 0; interlaced < 2; interlaced++) {
      memset(pixels, 0, sizeof pixels);
      memcpy(pixels[0], kinds[i].first, 8);
      // Only the first pixel is set: clear what the eight bytes say beyond it.
      int channels = kinds[i].type == PNG_COLOR_TYPE_RGB    ? 3
                     : kinds[i].type == PNG_COLOR_TYPE_RGBA ? 4
                     : kinds[i].type == PNG_COLOR_TYPE_GA   ? 2
                                                            : 1;
      int bytes = (kinds[i].bits * channels + 7) / 8;
      memset(pixels[0] + bytes, 0, sizeof pixels[0] - (size_t)bytes);
      Text text = {0};
      make_png(&text, W, H, kinds[i].bits, kinds[i].type, interlaced, rows, kinds[i].palette, kinds[i].has_alpha_chunk);
      Image image;
      Status status = decode(&text, &image);
      CHECK(!status && image.width == W && image.height == H, "%s: %s", kinds[i].name, status_message(status));
      if (!status) {
        check_pixel(&image, 0, 0, kinds[i].expected[0], kinds[i].expected[1], kinds[i].expected[2], 0, kinds[i].name);
        check_pixel(&image, W - 1, H - 1, kinds[i].other[0], kinds[i].other[1], kinds[i].other[2], 0, kinds[i].name);
      }
      status_free(status);
      image_free(&image);
      text_free(&text);
    }
}

static void test_png_round_trip(void) {
  Image image, back;
  image_alloc(&image, 37, 21);
  Random random = random_stream(3, "pixels");
  for (int i = 0; i < 37 * 21 * 3; i++) image.rgb[i] = (uint8_t)random_word(&random);
  const ImageText texts[] = {{"Title", "a test"}};
  const char *path = scratch_path("picture.jpg"); // read by content, not by name
  Status status = image_write_png(path, &image, texts, 1);
  CHECK(!status, "%s", status_message(status));
  status = image_read(path, &back);
  CHECK(!status && back.width == 37 && back.height == 21 && !memcmp(back.rgb, image.rgb, 37 * 21 * 3),
        "round trip of RGB");
  image_free(&back);
  image_free(&image);

  Gray16 gray, gray_back;
  gray16_alloc(&gray, 5, 3);
  for (int i = 0; i < 15; i++) gray.value[i] = (uint16_t)(i * 4369);
  status = gray16_write_png(scratch_path("gray.png"), &gray, texts, 1);
  CHECK(!status, "%s", status_message(status));
  int bits = 0;
  PngTexts read;
  status = gray16_read_png(scratch_path("gray.png"), &gray_back, &bits, &read);
  CHECK(!status && bits == 16 && !memcmp(gray.value, gray_back.value, 30), "round trip of 16 bits");
  CHECK_TEXT(png_texts_get(&read, "Title"), "a test", "text chunk");
  CHECK(!png_texts_get(&read, "Author"), "no such chunk");
  png_texts_free(&read);
  gray16_free(&gray);
  gray16_free(&gray_back);
}

static void test_jpeg_kinds(void) {
  for (int progressive = 0; progressive < 2; progressive++) {
    Text text = {0};
    Image image;
    make_jpeg(&text, 64, 48, JCS_RGB, 3, progressive, 0);
    Status status = decode(&text, &image);
    CHECK(!status && image.width == 64 && image.height == 48, "RGB: %s", status_message(status));
    check_pixel(&image, 0, 0, 0, 0, 128, 12, "RGB");
    check_pixel(&image, 63, 0, 251, 0, 128, 12, "RGB");
    check_pixel(&image, 0, 47, 0, 250, 128, 12, "RGB");
    image_free(&image);
    text_clear(&text);
    make_jpeg(&text, 64, 48, JCS_GRAYSCALE, 1, progressive, 0);
    status = decode(&text, &image);
    CHECK(!status, "gray: %s", status_message(status));
    check_pixel(&image, 32, 20, 127, 127, 127, 4, "gray");
    image_free(&image);
    text_clear(&text);
    make_jpeg(&text, 64, 48, JCS_CMYK, 4, progressive, 0);
    status = decode(&text, &image);
    CHECK(status_code(status) == EXIT_DATA && strstr(status_message(status), "CMYK"), "CMYK: %s",
          status_message(status));
    status_free(status);
    text_free(&text);
  }
}

// Red grows to the right and green downwards in the stored picture; where are those corners after turning?
static void test_orientation(void) {
  static const int red_corner[9][2] = {{0}, {1, 0}, {0, 0}, {0, 1}, {1, 1}, {0, 1}, {1, 1}, {1, 0}, {0, 0}};
  static const int green_corner[9][2] = {{0}, {0, 1}, {1, 1}, {1, 0}, {0, 0}, {1, 0}, {0, 0}, {0, 1}, {1, 1}};
  for (int o = 1; o <= 8; o++) {
    Text text = {0};
    Image image;
    make_jpeg(&text, 64, 48, JCS_RGB, 3, false, o);
    Status status = decode(&text, &image);
    CHECK(!status, "orientation %d: %s", o, status_message(status));
    CHECK(image.width == (o < 5 ? 64 : 48), "orientation %d: width %d", o, image.width);
    char name[32];
    snprintf(name, sizeof name, "orientation %d", o);
    check_pixel(&image, red_corner[o][0] * (image.width - 1), red_corner[o][1] * (image.height - 1), 251, 0, 128, 14,
                name);
    check_pixel(&image, green_corner[o][0] * (image.width - 1), green_corner[o][1] * (image.height - 1), 0, 250, 128,
                14, name);
    image_free(&image);
    text_free(&text);
  }
}

static void check_refused(const Text *bytes, const char *phrase, const char *what) {
  Image image;
  Status status = decode(bytes, &image);
  CHECK(status_code(status) == EXIT_DATA && strstr(status_message(status), phrase) &&
            strstr(status_message(status), "picture"),
        "%s: %s", what, status_message(status));
  CHECK(!image.rgb, "%s: nothing is handed out", what);
  status_free(status);
}

static uint32_t png_crc(const uint8_t *bytes, size_t n) {
  uint32_t crc = ~0u;
  for (size_t i = 0; i < n; i++) {
    crc ^= bytes[i];
    for (int k = 0; k < 8; k++) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
  }
  return ~crc;
}

static uint32_t read32(const uint8_t *p) {
  return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}
static void write32(uint8_t *p, uint32_t v) {
  for (int i = 0; i < 4; i++) p[i] = (uint8_t)(v >> (24 - 8 * i));
}

// Makes the checksums of all chunks right again, so that damage gets past the first look.
static void fix_crcs(uint8_t *bytes, size_t size) {
  for (size_t at = 8; at + 12 <= size;) {
    uint32_t length = read32(bytes + at);
    if (length > size - at - 12) return;
    write32(bytes + at + 8 + length, png_crc(bytes + at + 4, length + 4));
    at += 12 + (size_t)length;
  }
}

static void test_hostile(void) {
  enum { W = 24, H = 16 };
  static uint8_t pixels[H][W * 3];
  png_bytep rows[H];
  Random random = random_stream(7, "hostile");
  for (int y = 0; y < H; y++) {
    rows[y] = pixels[y];
    for (int x = 0; x < W * 3; x++) pixels[y][x] = (uint8_t)random_word(&random);
  }
  Text seeds[4] = {0};
  make_png(&seeds[0], W, H, 8, PNG_COLOR_TYPE_RGB, true, rows, 0, false);
  make_png(&seeds[1], W, H, 2, PNG_COLOR_TYPE_PALETTE, false, rows, 4, true);
  make_jpeg(&seeds[2], W, H, JCS_RGB, 3, false, 6);
  make_jpeg(&seeds[3], W, H, JCS_RGB, 3, true, 0);

  int refused = 0, accepted = 0;
  for (int round = 0; round < 3000; round++) {
    const Text *seed = &seeds[round % 4];
    size_t size = seed->size;
    uint8_t *bytes = malloc(size);
    memcpy(bytes, seed->data, size);
    for (uint32_t k = 1 + random_below(&random, 4); k; k--)
      bytes[random_below(&random, (uint32_t)size)] = (uint8_t)random_word(&random);
    if (random_below(&random, 4) == 0) size = 1 + random_below(&random, (uint32_t)size);
    if (round % 4 < 2 && random_below(&random, 2)) fix_crcs(bytes, size);
    Image image;
    Status status = image_decode("picture", bytes, size, &image);
    if (status) {
      refused++;
      CHECK(status_code(status) == EXIT_DATA && !image.rgb, "round %d: code %d", round, status_code(status));
    } else {
      accepted++;
    }
    status_free(status);
    image_free(&image);
    free(bytes);
  }
  CHECK(refused > 500 && accepted > 100, "%d refused and %d accepted: the mutations do not test both", refused,
        accepted);

  for (int i = 0; i < 4; i++) { // every truncation that loses pixels is refused
    for (size_t size = 1; size < seeds[i].size; size += 7) {
      Image image;
      Status status = image_decode("picture", seeds[i].data, size, &image);
      CHECK(status != NULL, "kind %d cut to %zu of %zu bytes is accepted", i, size, seeds[i].size);
      status_free(status);
      image_free(&image);
    }
  }
  // A small file that claims 4 gigapixels.
  Text bomb = {0};
  text_write(&bomb, seeds[0].data, seeds[0].size);
  write32((uint8_t *)bomb.data + 16, 65500);
  write32((uint8_t *)bomb.data + 20, 65500);
  fix_crcs((uint8_t *)bomb.data, bomb.size);
  check_refused(&bomb, "too big", "bomb");
  text_free(&bomb);
  for (int i = 0; i < 4; i++) text_free(&seeds[i]);
}

static void test_no_pictures(void) {
  Text text = {0};
  check_refused(&text, "empty", "empty file");
  text_put(&text, "GIF89a and so on");
  check_refused(&text, "neither", "another format");
  text_free(&text);
  Image image;
  Status status = image_read(scratch_path("missing.png"), &image);
  CHECK(status_code(status) == EXIT_DATA && strstr(status_message(status), "missing.png"), "%s",
        status_message(status));
  status_free(status);
  status = image_read("/", &image);
  CHECK(status_code(status) == EXIT_DATA, "a folder is no picture: %s", status_message(status));
  status_free(status);
}

static void test_unwritable(void) {
  Image image;
  image_alloc(&image, 64, 64);
  Status status = image_write_png(scratch_path("no/such/folder.png"), &image, NULL, 0);
  CHECK(status_code(status) == EXIT_DATA, "%s", status_message(status));
  status_free(status);
  // A full disk, as a limit on the size of files: the old file stays, and nothing beside it.
  const char *path = scratch_path("limited.png");
  status = file_write(path, "old", 3);
  CHECK(!status, "%s", status_message(status));
  struct rlimit before, limit;
  getrlimit(RLIMIT_FSIZE, &before);
  limit = before;
  limit.rlim_cur = 50;
  signal(SIGXFSZ, SIG_IGN);
  setrlimit(RLIMIT_FSIZE, &limit);
  status = image_write_png(path, &image, NULL, 0);
  setrlimit(RLIMIT_FSIZE, &before);
  CHECK(status_code(status) == EXIT_DATA && strstr(status_message(status), "limited.png"), "%s",
        status_message(status));
  status_free(status);
  Text text = {0};
  status = file_read(path, &text);
  CHECK(!status && text.size == 3, "the old file is untouched: %zu bytes", text.size);
  text_free(&text);
  char command[400];
  snprintf(command, sizeof command, "test -z \"$(ls '%s' | grep tmp)\"", scratch_folder);
  CHECK(system(command) == 0, "a temporary file is left");
  status = image_write_png("/dev/null", &image, NULL, 0);
  CHECK(!status, "a device is written to: %s", status_message(status));
  image_free(&image);
}

// Real photographs of Debian packages, where they are installed.
static void test_photographs(void) {
  static const struct {
    const char *path;
    int width, height;
  } photographs[] = {
      {"/usr/lib/python3/dist-packages/skimage/data/motorcycle_left.png", 741, 500},
      {"/usr/share/doc/opencv-doc/examples/data/aloeL.jpg", 1282, 1110},
  };
  for (size_t i = 0; i < sizeof photographs / sizeof *photographs; i++) {
    if (!file_exists(photographs[i].path)) {
      CHECK_SKIP("%s is not installed", photographs[i].path);
      continue;
    }
    Image image;
    Status status = image_read(photographs[i].path, &image);
    CHECK(!status && image.width == photographs[i].width && image.height == photographs[i].height, "%s: %s %dx%d",
          photographs[i].path, status_message(status), image.width, image.height);
    status_free(status);
    image_free(&image);
  }
}

int main(void) {
  test_png_kinds();
  test_png_round_trip();
  test_jpeg_kinds();
  test_orientation();
  test_hostile();
  test_no_pictures();
  test_unwritable();
  test_photographs();
  return check_report("test_image");
}
