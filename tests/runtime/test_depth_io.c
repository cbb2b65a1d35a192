// Depth maps in files: what is written says its scale, and what does not say it is refused.
#include "runtime/base/file.h"
#include "runtime/data/depth_io.h"
#include "runtime/data/image.h"
#include "tests/check.h"
#include "tests/runtime/scratch.h"

static void test_round_trip(void) {
  DepthMap depth, back;
  depth_alloc(&depth, 7, 2);
  const float values[14] = {0, 0.0001f, 0.5f, 1, 1.2344f, 1.2346f, 2.5f, 9.999f, 65.535f, 1000, -1, NAN, INFINITY, 3};
  memcpy(depth.metres, values, sizeof values);
  Status status = depth_write_png(scratch_path("depth.png"), &depth);
  CHECK(!status, "%s", status_message(status));
  status = depth_read_png(scratch_path("depth.png"), 0, &back);
  CHECK(!status && back.width == 7 && back.height == 2, "%s", status_message(status));
  const double expected[14] = {0, 0.001, 0.5, 1, 1.234, 1.235, 2.5, 9.999, 65.535, 65.535, 0, 0, 0, 3};
  for (int i = 0; i < 14; i++) CHECK_NEAR(back.metres[i], expected[i], 1e-5, "pixel %d", i);
  depth_free(&back);

  status = depth_read_png(scratch_path("depth.png"), 1000, &back);
  CHECK(!status, "the same scale may be stated: %s", status_message(status));
  depth_free(&back);
  status = depth_read_png(scratch_path("depth.png"), 5000, &back);
  CHECK(status_code(status) == EXIT_DATA && strstr(status_message(status), "5000"), "another: %s",
        status_message(status));
  status_free(status);

  PngTexts texts;
  Gray16 image;
  int bits;
  status = gray16_read_png(scratch_path("depth.png"), &image, &bits, &texts);
  CHECK(!status && bits == 16, "%s", status_message(status));
  CHECK_TEXT(png_texts_get(&texts, "DepthScale"), "1000", "scale");
  CHECK_TEXT(png_texts_get(&texts, "DepthUnit"), "metre", "unit");
  CHECK_TEXT(png_texts_get(&texts, "Invalid"), "0", "invalid");
  png_texts_free(&texts);
  gray16_free(&image);
  depth_free(&depth);
}

// A 16-bit PNG of one value with the given chunks.
static void write_gray(const char *path, uint16_t value, const ImageText *texts, int n) {
  Gray16 image;
  gray16_alloc(&image, 8, 8);
  for (int i = 0; i < 64; i++) image.value[i] = i < 8 ? 0 : value;
  Status status = gray16_write_png(path, &image, texts, n);
  CHECK(!status, "%s", status_message(status));
  gray16_free(&image);
}

static void check_refused(const char *path, double scale, const char *phrase) {
  DepthMap depth;
  Status status = depth_read_png(path, scale, &depth);
  CHECK(status_code(status) == EXIT_DATA && strstr(status_message(status), phrase) && !depth.metres,
        "expected '%s': %s", phrase, status_message(status));
  status_free(status);
}

static void test_undeclared(void) {
  const char *path = scratch_path("undeclared.png");
  write_gray(path, 2310, NULL, 0);
  check_refused(path, 0, "median value 2310");
  check_refused(path, 0, "millimetres");
  check_refused(path, 0, "12.5 % missing");
  DepthMap depth;
  Status status = depth_read_png(path, 500, &depth);
  CHECK(!status && depth.metres[0] == 0 && fabsf(depth.metres[63] - 4.62f) < 1e-6f, "stated scale: %s",
        status_message(status));
  depth_free(&depth);
  write_gray(path, 30000, NULL, 0);
  check_refused(path, 0, "5000");
}

static void test_declarations(void) {
  const char *path = scratch_path("declared.png");
  write_gray(path, 256, (ImageText[]){{"DepthScale", "256"}, {"Invalid", "256"}}, 2);
  DepthMap depth;
  Status status = depth_read_png(path, 0, &depth);
  CHECK(!status && depth.metres[63] == 0, "the declared invalid value is missing: %s", status_message(status));
  depth_free(&depth);
  write_gray(path, 256, (ImageText[]){{"DepthScale", "none"}}, 1);
  check_refused(path, 0, "no positive number");
  write_gray(path, 256, (ImageText[]){{"DepthScale", "-3"}}, 1);
  check_refused(path, 0, "no positive number");
  write_gray(path, 256, (ImageText[]){{"DepthScale", "100"}, {"DepthUnit", "furlong"}}, 2);
  check_refused(path, 0, "furlong");
}

static void test_wrong_files(void) {
  Image image;
  image_alloc(&image, 4, 4);
  const char *path = scratch_path("colour.png");
  Status status = image_write_png(path, &image, NULL, 0);
  CHECK(!status, "%s", status_message(status));
  check_refused(path, 1000, "coloured");
  image_free(&image);
  status = file_write(scratch_path("text.png"), "hello", 5);
  CHECK(!status, "%s", status_message(status));
  check_refused(scratch_path("text.png"), 1000, "not a PNG");
  check_refused(scratch_path("missing.png"), 1000, "cannot open");
}

static void test_npy_and_pfm(void) {
  DepthMap depth;
  depth_alloc(&depth, 3, 2);
  for (int i = 0; i < 6; i++) depth.metres[i] = (float)i + 0.5f;
  Status status = depth_write(scratch_path("depth.npy"), &depth);
  CHECK(!status, "%s", status_message(status));
  Text bytes = {0};
  status = file_read(scratch_path("depth.npy"), &bytes);
  CHECK(!status && bytes.size > 24 && (bytes.size - 24) % 64 == 0, "the header fills 64 bytes: size %zu", bytes.size);
  CHECK(!memcmp(bytes.data, "\x93NUMPY\x01\x00", 8) && strstr(bytes.data + 10, "'shape': (2, 3)"), "NPY header");
  CHECK(bytes.data[bytes.size - 25] == '\n', "the header ends in a newline");
  float first;
  memcpy(&first, bytes.data + bytes.size - 24, 4);
  CHECK(first == 0.5f, "first value %g", first);
  text_clear(&bytes);

  status = depth_write(scratch_path("depth.pfm"), &depth);
  CHECK(!status, "%s", status_message(status));
  status = file_read(scratch_path("depth.pfm"), &bytes);
  CHECK(!status && !memcmp(bytes.data, "Pf\n3 2\n-1.0\n", 12) && bytes.size == 12 + 24, "PFM header");
  memcpy(&first, bytes.data + 12, 4);
  CHECK(first == 3.5f, "PFM begins with the lowest row: %g", first);
  text_free(&bytes);

  status = depth_write(scratch_path("depth.tiff"), &depth);
  CHECK(status_code(status) == EXIT_USAGE, "unknown extension: %s", status_message(status));
  status_free(status);
  depth_free(&depth);
}

int main(void) {
  test_round_trip();
  test_undeclared();
  test_declarations();
  test_wrong_files();
  test_npy_and_pfm();
  return check_report("test_depth_io");
}
