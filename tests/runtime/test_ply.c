// PLY: header, vertices, order, what is left out.
#include "runtime/data/ply.h"

#include "runtime/base/file.h"
#include "tests/check.h"
#include "tests/runtime/scratch.h"

static float float_at(const char *at) {
  float value;
  memcpy(&value, at, sizeof value);
  return value;
}

int main(void) {
  Image picture;
  DepthMap depth;
  image_alloc(&picture, 3, 2);
  depth_alloc(&depth, 3, 2);
  for (int i = 0; i < 18; i++) picture.rgb[i] = (uint8_t)(10 + i);
  const float metres[] = {1, 0, 2, NAN, INFINITY, 4};
  memcpy(depth.metres, metres, sizeof metres);
  Intrinsics camera = {100, 50, 1.5, 1};
  Status status = ply_write(scratch_path("a.ply"), &picture, &depth, &camera);
  CHECK(!status, "%s", status_message(status));
  Text text = {0};
  CHECK(!file_read(scratch_path("a.ply"), &text), "read");
  CHECK(strstr(text_get(&text), "element vertex 3\n"), "three pixels have a depth");
  const char *end = strstr(text_get(&text), "end_header\n");
  CHECK(end && text.size == (size_t)(end - text.data) + 11 + 3 * 15, "size %zu", text.size);
  if (end) {
    const char *last = end + 11 + 2 * 15;
    CHECK_NEAR(float_at(last), (2.5 - 1.5) / 100 * 4, 1e-7, "x");
    CHECK_NEAR(float_at(last + 4), (1.5 - 1) / 50 * 4, 1e-7, "y");
    CHECK_NEAR(float_at(last + 8), 4, 0, "z");
    CHECK(last[12] == 25 && last[13] == 26 && last[14] == 27, "colour of the last pixel");
  }
  text_free(&text);
  depth_free(&depth);
  depth_alloc(&depth, 2, 2);
  status = ply_write(scratch_path("b.ply"), &picture, &depth, &camera);
  CHECK(status_code(status) == EXIT_DATA && !file_exists(scratch_path("b.ply")), "sizes differ");
  status_free(status);
  status = ply_write("/dev/null/x.ply", &picture, &(DepthMap){3, 2, (float[6]){1}}, &camera);
  CHECK(status_code(status) == EXIT_DATA, "no such place");
  status_free(status);
  image_free(&picture);
  depth_free(&depth);
  return check_report("test_ply");
}
