// Colours of depth, the legend, letters and contact sheets.
#include "runtime/data/colour.h"
#include "tests/check.h"

static void test_turbo(void) {
  uint8_t near[3], middle[3], far[3], below[3], nan[3];
  colour_turbo(0, near);
  colour_turbo(0.5, middle);
  colour_turbo(1, far);
  colour_turbo(-5, below);
  colour_turbo(NAN, nan);
  CHECK(near[0] < 60 && near[1] < 40 && near[2] < 110, "dark blue at 0: %d %d %d", near[0], near[1], near[2]);
  CHECK(middle[1] > 200 && middle[2] < 120, "green in the middle: %d %d %d", middle[0], middle[1], middle[2]);
  CHECK(far[0] > 80 && far[1] < 40 && far[2] < 30, "dark red at 1: %d %d %d", far[0], far[1], far[2]);
  CHECK(!memcmp(near, below, 3) && !memcmp(near, nan, 3), "clamped");
  for (int i = 0; i < 1000; i++) { // no jumps
    uint8_t a[3], b[3];
    colour_turbo(i / 1000.0, a);
    colour_turbo((i + 1) / 1000.0, b);
    for (int c = 0; c < 3; c++) CHECK(abs(a[c] - b[c]) <= 4, "jump at %d: %d to %d", i, a[c], b[c]);
  }
}

static void test_depth(void) {
  DepthMap depth;
  depth_alloc(&depth, 120, 100);
  for (int i = 0; i < 120 * 100; i++) depth.metres[i] = 5;
  depth.metres[0] = 0;
  depth.metres[1] = NAN;
  depth.metres[2] = 50;
  Image plain, legend;
  colour_depth(&depth, 0, 10, &plain);
  uint8_t middle[3], far[3];
  colour_turbo(0.5, middle);
  colour_turbo(1, far);
  for (int i = 0; i < 2; i++)
    CHECK(plain.rgb[3 * i] == COLOUR_MISSING && plain.rgb[3 * i + 2] == COLOUR_MISSING, "missing pixel %d is gray", i);
  CHECK(!memcmp(plain.rgb + 6, far, 3) && !memcmp(plain.rgb + 9, middle, 3), "depth colours");
  colour_depth_legend(&depth, 0, 10, &legend);
  CHECK(legend.width == 120 + colour_legend_width(100) && legend.height == 100, "size %dx%d", legend.width,
        legend.height);
  CHECK(!memcmp(legend.rgb + 3 * (legend.width + 50), middle, 3), "the map is on the left");
  int black = 0, colours = 0;
  for (int y = 0; y < 100; y++)
    for (int x = 120; x < legend.width; x++) {
      const uint8_t *p = legend.rgb + 3 * (y * legend.width + x);
      black += p[0] + p[1] + p[2] == 0;
      colours += p[0] != p[1];
    }
  CHECK(black > 60 && colours > 300, "the legend has letters (%d dots) and a bar (%d)", black, colours);
  image_free(&plain);
  image_free(&legend);
  depth_free(&depth);

  depth_alloc(&depth, 3, 2); // too small for a legend, but not for a picture
  colour_depth_legend(&depth, 0, 0.1, &legend);
  CHECK(legend.height == 2, "tiny");
  image_free(&legend);
  depth_free(&depth);
}

static int dots(const char *text) {
  Image image;
  image_alloc(&image, 200, 20);
  const uint8_t white[3] = {255, 255, 255};
  colour_text(&image, 2, 2, 1, text, white);
  int n = 0;
  for (int i = 0; i < 200 * 20; i++) n += image.rgb[3 * i] == 255;
  image_free(&image);
  return n;
}

static void test_text(void) {
  CHECK(dots(" ") == 0, "a space is empty");
  CHECK(dots("\x80") == dots("?") && dots("~") == dots("?"), "letters without a glyph");
  for (const char *c = "0123456789.,:-+/()%=_#<>ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"; *c; c++)
    CHECK(dots((char[]){*c, 0}) > 2 && (strchr(".,:-+", *c) || dots((char[]){*c, 0}) > 4), "'%c' is drawn", *c);
  CHECK(colour_text_width(2, "abc") == 34 && colour_text_height(2) == 14, "size of text");
  Image image;
  image_alloc(&image, 10, 5);
  const uint8_t white[3] = {255, 255, 255};
  colour_text(&image, -3, -3, 3, "clipped at every side", white);
  colour_text(&image, 8, 4, 1, "X", white);
  image_free(&image);
}

static void test_sheet(void) {
  Image a, b, sheet;
  image_alloc(&a, 20, 10);
  image_alloc(&b, 10, 20);
  memset(a.rgb, 200, 600);
  memset(b.rgb, 100, 600);
  const Tile tiles[] = {{&a, "first with a long label"}, {&b, NULL}, {&a, "3"}};
  colour_sheet(tiles, 3, 2, &sheet);
  CHECK(sheet.width == 4 + 2 * 24 && sheet.height >= 2 * 20, "sheet of %dx%d", sheet.width, sheet.height);
  int n_a = 0, n_b = 0;
  for (int i = 0; i < sheet.width * sheet.height; i++) {
    n_a += sheet.rgb[3 * i] == 200;
    n_b += sheet.rgb[3 * i] == 100;
  }
  CHECK(n_a == 400 && n_b == 200, "all pixels are there: %d and %d", n_a, n_b);
  image_free(&sheet);
  colour_sheet(tiles, 0, 3, &sheet);
  CHECK(sheet.width > 0, "an empty sheet");
  image_free(&sheet);
  image_free(&a);
  image_free(&b);
}

int main(void) {
  test_turbo();
  test_depth();
  test_text();
  test_sheet();
  return check_report("test_colour");
}
