// Colour: depth maps as pictures with a legend, and contact sheets of labelled tiles.
#include "runtime/data/colour.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

// ---- Letters ----

enum { GLYPH_WIDTH = 5, GLYPH_HEIGHT = 7, GLYPH_ADVANCE = 6 };

// Rows from top to bottom, the leftmost dot in bit 4. Small letters are drawn as capitals; a glyph that is not here is
// '?'.
// clang-format off
static const uint8_t glyphs[96][GLYPH_HEIGHT] = {
    [' ' - ' '] = {0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00},
    ['!' - ' '] = {0x04, 0x04, 0x04, 0x04, 0x04, 0x00, 0x04},
    ['#' - ' '] = {0x0a, 0x0a, 0x1f, 0x0a, 0x1f, 0x0a, 0x0a},
    ['%' - ' '] = {0x19, 0x1a, 0x02, 0x04, 0x08, 0x0b, 0x13},
    ['\'' - ' '] = {0x04, 0x04, 0x00, 0x00, 0x00, 0x00, 0x00},
    ['(' - ' '] = {0x02, 0x04, 0x08, 0x08, 0x08, 0x04, 0x02},
    [')' - ' '] = {0x08, 0x04, 0x02, 0x02, 0x02, 0x04, 0x08},
    ['*' - ' '] = {0x00, 0x15, 0x0e, 0x1f, 0x0e, 0x15, 0x00},
    ['+' - ' '] = {0x00, 0x04, 0x04, 0x1f, 0x04, 0x04, 0x00},
    [',' - ' '] = {0x00, 0x00, 0x00, 0x00, 0x0c, 0x04, 0x08},
    ['-' - ' '] = {0x00, 0x00, 0x00, 0x1f, 0x00, 0x00, 0x00},
    ['.' - ' '] = {0x00, 0x00, 0x00, 0x00, 0x00, 0x0c, 0x0c},
    ['/' - ' '] = {0x01, 0x02, 0x02, 0x04, 0x08, 0x08, 0x10},
    ['0' - ' '] = {0x0e, 0x11, 0x13, 0x15, 0x19, 0x11, 0x0e},
    ['1' - ' '] = {0x04, 0x0c, 0x04, 0x04, 0x04, 0x04, 0x0e},
    ['2' - ' '] = {0x0e, 0x11, 0x01, 0x06, 0x08, 0x10, 0x1f},
    ['3' - ' '] = {0x1e, 0x01, 0x01, 0x0e, 0x01, 0x01, 0x1e},
    ['4' - ' '] = {0x02, 0x06, 0x0a, 0x12, 0x1f, 0x02, 0x02},
    ['5' - ' '] = {0x1f, 0x10, 0x1e, 0x01, 0x01, 0x11, 0x0e},
    ['6' - ' '] = {0x06, 0x08, 0x10, 0x1e, 0x11, 0x11, 0x0e},
    ['7' - ' '] = {0x1f, 0x01, 0x02, 0x04, 0x08, 0x08, 0x08},
    ['8' - ' '] = {0x0e, 0x11, 0x11, 0x0e, 0x11, 0x11, 0x0e},
    ['9' - ' '] = {0x0e, 0x11, 0x11, 0x0f, 0x01, 0x02, 0x0c},
    [':' - ' '] = {0x00, 0x0c, 0x0c, 0x00, 0x0c, 0x0c, 0x00},
    ['<' - ' '] = {0x02, 0x04, 0x08, 0x10, 0x08, 0x04, 0x02},
    ['=' - ' '] = {0x00, 0x00, 0x1f, 0x00, 0x1f, 0x00, 0x00},
    ['>' - ' '] = {0x08, 0x04, 0x02, 0x01, 0x02, 0x04, 0x08},
    ['?' - ' '] = {0x0e, 0x11, 0x01, 0x06, 0x04, 0x00, 0x04},
    ['A' - ' '] = {0x0e, 0x11, 0x11, 0x1f, 0x11, 0x11, 0x11},
    ['B' - ' '] = {0x1e, 0x11, 0x11, 0x1e, 0x11, 0x11, 0x1e},
    ['C' - ' '] = {0x0e, 0x11, 0x10, 0x10, 0x10, 0x11, 0x0e},
    ['D' - ' '] = {0x1e, 0x11, 0x11, 0x11, 0x11, 0x11, 0x1e},
    ['E' - ' '] = {0x1f, 0x10, 0x10, 0x1e, 0x10, 0x10, 0x1f},
    ['F' - ' '] = {0x1f, 0x10, 0x10, 0x1e, 0x10, 0x10, 0x10},
    ['G' - ' '] = {0x0e, 0x11, 0x10, 0x17, 0x11, 0x11, 0x0f},
    ['H' - ' '] = {0x11, 0x11, 0x11, 0x1f, 0x11, 0x11, 0x11},
    ['I' - ' '] = {0x0e, 0x04, 0x04, 0x04, 0x04, 0x04, 0x0e},
    ['J' - ' '] = {0x07, 0x02, 0x02, 0x02, 0x02, 0x12, 0x0c},
    ['K' - ' '] = {0x11, 0x12, 0x14, 0x18, 0x14, 0x12, 0x11},
    ['L' - ' '] = {0x10, 0x10, 0x10, 0x10, 0x10, 0x10, 0x1f},
    ['M' - ' '] = {0x11, 0x1b, 0x15, 0x15, 0x11, 0x11, 0x11},
    ['N' - ' '] = {0x11, 0x19, 0x15, 0x15, 0x13, 0x11, 0x11},
    ['O' - ' '] = {0x0e, 0x11, 0x11, 0x11, 0x11, 0x11, 0x0e},
    ['P' - ' '] = {0x1e, 0x11, 0x11, 0x1e, 0x10, 0x10, 0x10},
    ['Q' - ' '] = {0x0e, 0x11, 0x11, 0x11, 0x15, 0x12, 0x0d},
    ['R' - ' '] = {0x1e, 0x11, 0x11, 0x1e, 0x14, 0x12, 0x11},
    ['S' - ' '] = {0x0f, 0x10, 0x10, 0x0e, 0x01, 0x01, 0x1e},
    ['T' - ' '] = {0x1f, 0x04, 0x04, 0x04, 0x04, 0x04, 0x04},
    ['U' - ' '] = {0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x0e},
    ['V' - ' '] = {0x11, 0x11, 0x11, 0x11, 0x0a, 0x0a, 0x04},
    ['W' - ' '] = {0x11, 0x11, 0x11, 0x15, 0x15, 0x1b, 0x11},
    ['X' - ' '] = {0x11, 0x11, 0x0a, 0x04, 0x0a, 0x11, 0x11},
    ['Y' - ' '] = {0x11, 0x11, 0x0a, 0x04, 0x04, 0x04, 0x04},
    ['Z' - ' '] = {0x1f, 0x01, 0x02, 0x04, 0x08, 0x10, 0x1f},
    ['[' - ' '] = {0x0e, 0x08, 0x08, 0x08, 0x08, 0x08, 0x0e},
    [']' - ' '] = {0x0e, 0x02, 0x02, 0x02, 0x02, 0x02, 0x0e},
    ['_' - ' '] = {0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x1f},
    ['a' - ' '] = {0x00, 0x00, 0x0e, 0x01, 0x0f, 0x11, 0x0f},
    ['b' - ' '] = {0x10, 0x10, 0x1e, 0x11, 0x11, 0x11, 0x1e},
    ['c' - ' '] = {0x00, 0x00, 0x0e, 0x10, 0x10, 0x11, 0x0e},
    ['d' - ' '] = {0x01, 0x01, 0x0f, 0x11, 0x11, 0x11, 0x0f},
    ['e' - ' '] = {0x00, 0x00, 0x0e, 0x11, 0x1f, 0x10, 0x0e},
    ['f' - ' '] = {0x06, 0x09, 0x08, 0x1c, 0x08, 0x08, 0x08},
    ['g' - ' '] = {0x00, 0x00, 0x0f, 0x11, 0x0f, 0x01, 0x0e},
    ['h' - ' '] = {0x10, 0x10, 0x16, 0x19, 0x11, 0x11, 0x11},
    ['i' - ' '] = {0x04, 0x00, 0x0c, 0x04, 0x04, 0x04, 0x0e},
    ['j' - ' '] = {0x02, 0x00, 0x06, 0x02, 0x02, 0x12, 0x0c},
    ['k' - ' '] = {0x10, 0x10, 0x12, 0x14, 0x18, 0x14, 0x12},
    ['l' - ' '] = {0x0c, 0x04, 0x04, 0x04, 0x04, 0x04, 0x0e},
    ['m' - ' '] = {0x00, 0x00, 0x1a, 0x15, 0x15, 0x11, 0x11},
    ['n' - ' '] = {0x00, 0x00, 0x16, 0x19, 0x11, 0x11, 0x11},
    ['o' - ' '] = {0x00, 0x00, 0x0e, 0x11, 0x11, 0x11, 0x0e},
    ['p' - ' '] = {0x00, 0x00, 0x1e, 0x11, 0x1e, 0x10, 0x10},
    ['q' - ' '] = {0x00, 0x00, 0x0f, 0x11, 0x0f, 0x01, 0x01},
    ['r' - ' '] = {0x00, 0x00, 0x16, 0x19, 0x10, 0x10, 0x10},
    ['s' - ' '] = {0x00, 0x00, 0x0f, 0x10, 0x0e, 0x01, 0x1e},
    ['t' - ' '] = {0x08, 0x08, 0x1c, 0x08, 0x08, 0x09, 0x06},
    ['u' - ' '] = {0x00, 0x00, 0x11, 0x11, 0x11, 0x13, 0x0d},
    ['v' - ' '] = {0x00, 0x00, 0x11, 0x11, 0x11, 0x0a, 0x04},
    ['w' - ' '] = {0x00, 0x00, 0x11, 0x11, 0x15, 0x15, 0x0a},
    ['x' - ' '] = {0x00, 0x00, 0x11, 0x0a, 0x04, 0x0a, 0x11},
    ['y' - ' '] = {0x00, 0x00, 0x11, 0x11, 0x0f, 0x01, 0x0e},
    ['z' - ' '] = {0x00, 0x00, 0x1f, 0x02, 0x04, 0x08, 0x1f},
};
// clang-format on

static const uint8_t *glyph_of(char letter) {
  int c = (unsigned char)letter;
  if (c == ' ') return glyphs[0];
  static const uint8_t none[GLYPH_HEIGHT];
  if (c < ' ' || c >= ' ' + 96 || !memcmp(glyphs[c - ' '], none, sizeof none)) c = '?';
  return glyphs[c - ' '];
}

static void fill(Image *image, int x0, int y0, int width, int height, const uint8_t rgb[3]) {
  for (int y = y0 < 0 ? 0 : y0; y < y0 + height && y < image->height; y++)
    for (int x = x0 < 0 ? 0 : x0; x < x0 + width && x < image->width; x++)
      memcpy(image->rgb + 3 * ((size_t)y * (size_t)image->width + (size_t)x), rgb, 3);
}

void colour_text(Image *image, int x, int y, int scale, const char *text, const uint8_t rgb[3]) {
  for (; *text; text++, x += GLYPH_ADVANCE * scale) {
    const uint8_t *glyph = glyph_of(*text);
    for (int row = 0; row < GLYPH_HEIGHT; row++)
      for (int column = 0; column < GLYPH_WIDTH; column++)
        if (glyph[row] >> (GLYPH_WIDTH - 1 - column) & 1)
          fill(image, x + column * scale, y + row * scale, scale, scale, rgb);
  }
}

int colour_text_width(int scale, const char *text) {
  int n = (int)strlen(text);
  return n ? (n * GLYPH_ADVANCE - 1) * scale : 0;
}

int colour_text_height(int scale) { return GLYPH_HEIGHT * scale; }

// ---- Colours of depth ----

void colour_turbo(double position, uint8_t out_rgb[3]) {
  // Coefficients of x^0 .. x^5 for red, green and blue.
  static const double coefficients[3][6] = {
      {0.13572138, 4.61539260, -42.66032258, 132.13108234, -152.94239396, 59.28637943},
      {0.09140261, 2.19418839, 4.84296658, -14.18503333, 4.27729857, 2.82956604},
      {0.10667330, 12.64194608, -60.58204836, 110.36276771, -89.90310912, 27.34824973},
  };
  double x = position > 0 ? position < 1 ? position : 1 : 0; // NaN becomes 0
  for (int c = 0; c < 3; c++) {
    double value = 0;
    for (int k = 5; k >= 0; k--) value = value * x + coefficients[c][k];
    out_rgb[c] = (uint8_t)(fmin(fmax(value, 0), 1) * 255 + 0.5);
  }
}

static bool is_known(float metres) { return metres > 0 && isfinite(metres); }

void colour_depth(const DepthMap *depth, double near, double far, Image *out) {
  image_alloc(out, depth->width, depth->height);
  size_t n = (size_t)depth->width * (size_t)depth->height;
  for (size_t i = 0; i < n; i++) {
    if (is_known(depth->metres[i])) colour_turbo((depth->metres[i] - near) / (far - near), out->rgb + 3 * i);
    else memset(out->rgb + 3 * i, COLOUR_MISSING, 3);
  }
}

void image_paste(Image *to, int x, int y, const Image *from) {
  for (int row = 0; row < from->height; row++) {
    if (y + row < 0 || y + row >= to->height) continue;
    int first = x < 0 ? -x : 0, last = from->width < to->width - x ? from->width : to->width - x;
    if (first < last)
      memcpy(to->rgb + 3 * ((size_t)(y + row) * (size_t)to->width + (size_t)(x + first)),
             from->rgb + 3 * ((size_t)row * (size_t)from->width + (size_t)first), 3 * (size_t)(last - first));
  }
}

// ---- The legend ----

// Dots of the legend's letters: larger on larger pictures.
static int legend_scale(int height) { return height < 300 ? 1 : height < 900 ? 2 : 2 + height / 900; }

int colour_legend_width(int height) {
  int scale = legend_scale(height);
  return scale * (6 + 8 + 6) + colour_text_width(scale, "0.00") + scale * 4;
}

// A round number (1, 2 or 5 times a power of ten) that makes at most `most` steps over `span`.
static double tick_step(double span, int most) {
  double step = pow(10, floor(log10(span / most)));
  static const double factors[] = {1, 2, 5, 10};
  for (int i = 0; i < 4; i++)
    if (span / (step * factors[i]) <= most) return step * factors[i];
  return step * 10;
}

// The map with the bar, its ticks and the unit to the right.
static void put_legend(const Image *map, double near, double far, const char *unit, Image *out) {
  static const uint8_t white[3] = {255, 255, 255}, black[3] = {0, 0, 0};
  int height = map->height;
  image_alloc(out, map->width + colour_legend_width(height), height);
  memset(out->rgb, 255, 3 * (size_t)out->width * (size_t)out->height);
  image_paste(out, 0, 0, map);

  int scale = legend_scale(height), letter = colour_text_height(scale);
  int x = map->width + 6 * scale, bar = 8 * scale, top = 2 * letter, bottom = height - letter;
  if (bottom - top < 2 * letter) return; // too low for a legend
  colour_text(out, x, letter / 2, scale, unit, black);
  for (int y = top; y < bottom; y++) { // near at the bottom
    uint8_t rgb[3];
    colour_turbo((bottom - 1 - y) / (double)(bottom - 1 - top), rgb);
    fill(out, x, y, bar, 1, rgb);
  }
  int most = (bottom - top) / (2 * letter);
  double step = tick_step(far - near, most > 10 ? 10 : most < 1 ? 1 : most);
  int decimals = step >= 1 ? 0 : step >= 0.1 ? 1 : 2;
  for (double tick = ceil(near / step - 1e-9) * step; tick <= far + 1e-9 * step; tick += step) {
    int y = bottom - 1 - (int)lround((tick - near) / (far - near) * (bottom - 1 - top));
    char label[32];
    snprintf(label, sizeof label, "%.*f", decimals, fabs(tick) < step / 2 ? 0 : tick);
    fill(out, x + bar, y - (scale - 1) / 2, 3 * scale, scale, black);
    fill(out, x, y, bar, 1, white);
    colour_text(out, x + bar + 6 * scale, y - letter / 2, scale, label, black);
  }
}

void colour_depth_legend(const DepthMap *depth, double near, double far, Image *out) {
  Image map;
  colour_depth(depth, near, far, &map);
  put_legend(&map, near, far, "m", out);
  image_free(&map);
}

void colour_values_legend(const float *values, int width, int height, double low, double high, const char *unit,
                          Image *out) {
  Image map;
  image_alloc(&map, width, height);
  for (size_t i = 0; i < (size_t)width * (size_t)height; i++)
    if (isnan(values[i])) memset(map.rgb + 3 * i, COLOUR_MISSING, 3);
    else colour_turbo((values[i] - low) / (high - low), map.rgb + 3 * i);
  put_legend(&map, low, high, unit, out);
  image_free(&map);
}

// ---- Contact sheets ----

void colour_sheet(const Tile *tiles, int n_tiles, int columns, Image *out) {
  enum { GAP = 4, LABEL_GAP = 3 };
  static const uint8_t ink[3] = {30, 30, 30};
  int cell_width = 1, cell_height = 1, scale = 1;
  for (int i = 0; i < n_tiles; i++) {
    if (tiles[i].image->width > cell_width) cell_width = tiles[i].image->width;
    if (tiles[i].image->height > cell_height) cell_height = tiles[i].image->height;
  }
  if (cell_width >= 400) scale = 2;
  if (columns > n_tiles) columns = n_tiles;
  if (columns < 1) columns = 1;
  int rows = (n_tiles + columns - 1) / columns, label = colour_text_height(scale) + 2 * LABEL_GAP;
  if (rows < 1) rows = 1;
  image_alloc(out, GAP + columns * (cell_width + GAP), GAP + rows * (cell_height + label + GAP));
  memset(out->rgb, 245, 3 * (size_t)out->width * (size_t)out->height);
  for (int i = 0; i < n_tiles; i++) {
    const Image *image = tiles[i].image;
    int x = GAP + i % columns * (cell_width + GAP), y = GAP + i / columns * (cell_height + label + GAP);
    image_paste(out, x + (cell_width - image->width) / 2, y + (cell_height - image->height) / 2, image);
    if (!tiles[i].label) continue;
    char text[128];
    snprintf(text, sizeof text, "%s", tiles[i].label);
    size_t fits = (size_t)(cell_width / (GLYPH_ADVANCE * scale));
    if (fits < sizeof text) text[fits] = 0;
    colour_text(out, x, y + cell_height + LABEL_GAP, scale, text, ink);
  }
}
