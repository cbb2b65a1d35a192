// Tensor: shapes, offsets of elements in each layout, conversions.
#include "runtime/tensor.h"
#include "tests/check.h"

static void check_shapes(void) {
  char text[SHAPE_TEXT];
  CHECK(shape_elements((Shape){0}) == 1, "a scalar has one element");
  CHECK(shape_elements(SHAPE(2, 3, 4)) == 24, "2 * 3 * 4");
  CHECK(shape_equal(SHAPE(2, 3), SHAPE(2, 3)) && !shape_equal(SHAPE(2, 3), SHAPE(2, 3, 1)), "equality");
  CHECK_TEXT(shape_text((Shape){0}, text), "[]", "scalar");
  CHECK_TEXT(shape_text(SHAPE(2, 3, 64, 96), text), "[2, 3, 64, 96]", "four axes");
  int64_t large = INT64_MIN;
  CHECK(strlen(shape_text(SHAPE(large, large, large, large, large, large), text)) < SHAPE_TEXT,
        "the longest text fits");
}

static void check_blocked(void) {
  Layout layout = {.kind = LAYOUT_BLOCKED, .block = 8, .c = {2, (int[]){3, 10}}};
  Shape shape = SHAPE(2, 13, 2, 5);
  CHECK(channel_blocks(&layout) == 3, "3 channels fill one block, 10 fill two");
  CHECK(channel_position(&layout, 2) == 2 && channel_position(&layout, 3) == 8, "segments start at a block");
  CHECK(channel_position(&layout, 12) == 17, "the last channel");
  CHECK(layout_elements(shape, &layout) == 2 * 3 * 2 * 5 * 8, "floats with padding");
  CHECK(layout_offset(shape, &layout, (int64_t[]){1, 4, 1, 3}) == ((1 * 3 + 1) * 2 * 5 + 1 * 5 + 3) * 8 + 1, "offset");
}

static void check_weights(void) {
  Layout layout = {.kind = LAYOUT_WEIGHT, .block = 4, .c = {1, (int[]){6}}};
  Shape shape = SHAPE(6, 5, 3, 2);
  CHECK(layout_elements(shape, &layout) == 2 * 3 * 2 * 5 * 4, "floats with padding");
  int64_t want = (((1 * 3 + 2) * 2 + 1) * 5 + 3) * 4 + 1;
  CHECK(layout_offset(shape, &layout, (int64_t[]){5, 3, 2, 1}) == want, "[blocks of O][kh][kw][I][block]");
  Layout pairs = {.kind = LAYOUT_WEIGHT_PAIRS, .block = 4, .c = {1, (int[]){10}}};
  CHECK(layout_elements(SHAPE(10, 5, 3, 2), &pairs) == 2 * 3 * 2 * 5 * 8, "three blocks fill two pairs");
  CHECK(layout_offset(SHAPE(10, 5, 3, 2), &pairs, (int64_t[]){5, 3, 2, 1}) == ((2 * 2 + 1) * 5 + 3) * 8 + 5,
        "[pairs of blocks of O][kh][kw][I][2][block]");
  Layout depthwise = {.kind = LAYOUT_WEIGHT_DW, .block = 4, .c = {1, (int[]){6}}};
  CHECK(layout_offset(SHAPE(6, 1, 3, 2), &depthwise, (int64_t[]){5, 0, 2, 1}) == ((1 * 3 + 2) * 2 + 1) * 4 + 1,
        "[blocks of C][kh][kw][block]");
}

static void check_equality(void) {
  Layout a = {.kind = LAYOUT_BLOCKED, .block = 8, .c = {2, (int[]){3, 10}}},
         b = {.kind = LAYOUT_BLOCKED, .block = 8, .c = {2, (int[]){10, 3}}};
  Layout c = {.kind = LAYOUT_BLOCKED, .block = 4, .c = {2, (int[]){3, 10}}},
         d = {.kind = LAYOUT_BLOCKED, .block = 8, .c = {2, (int[]){3, 10}}}, plain = {0};
  CHECK(layout_equal(&a, &d), "the same");
  CHECK(!layout_equal(&a, &b) && !layout_equal(&a, &c) && !layout_equal(&a, NULL), "other segments, block, kind");
  CHECK(layout_equal(&plain, NULL) && layout_equal(NULL, NULL), "no layout is plain");
}

// To a layout and back is the identity; every element stands where layout_offset says; padding is 0.
static void check_conversion(Shape shape, const Layout *layout) {
  int64_t n = shape_elements(shape), m = layout_elements(shape, layout);
  float *from = malloc(sizeof(float) * (size_t)n), *there = malloc(sizeof(float) * (size_t)m),
        *back = malloc(sizeof(float) * (size_t)n);
  for (int64_t i = 0; i < n; i++) from[i] = (float)(i + 1);
  for (int64_t i = 0; i < m; i++) there[i] = NAN;
  layout_convert(shape, NULL, from, layout, there);
  layout_convert(shape, layout, there, NULL, back);
  CHECK(!memcmp(from, back, sizeof(float) * (size_t)n), "there and back");
  int64_t index[MAX_RANK] = {0}, n_set = 0;
  for (int64_t i = 0; i < n; i++) {
    CHECK(there[layout_offset(shape, layout, index)] == from[i], "element %lld", (long long)i);
    for (int k = shape.rank - 1; k >= 0 && ++index[k] == shape.dim[k]; k--) index[k] = 0;
  }
  for (int64_t i = 0; i < m; i++) n_set += there[i] != 0;
  CHECK(n_set == n, "%lld of %lld floats are not 0, for %lld elements", (long long)n_set, (long long)m, (long long)n);
  free(from);
  free(there);
  free(back);
}

int main(void) {
  check_shapes();
  check_blocked();
  check_weights();
  check_equality();
  Layout blocked = {.kind = LAYOUT_BLOCKED, .block = 8, .c = {2, (int[]){3, 10}}},
         weight = {.kind = LAYOUT_WEIGHT, .block = 4, .c = {1, (int[]){6}}};
  Layout depthwise = {.kind = LAYOUT_WEIGHT_DW, .block = 16, .c = {2, (int[]){5, 1}}};
  check_conversion(SHAPE(2, 13, 2, 5), &blocked);
  check_conversion(SHAPE(1, 13), &blocked);
  check_conversion(SHAPE(6, 5, 3, 2), &weight);
  check_conversion(SHAPE(6, 1, 3, 3), &depthwise);
  Layout pairs = {.kind = LAYOUT_WEIGHT_PAIRS, .block = 4, .c = {2, (int[]){5, 8}}};
  check_conversion(SHAPE(13, 5, 3, 2), &pairs);
  check_conversion(SHAPE(2, 3, 4), NULL);
  check_conversion((Shape){0}, NULL);
  return check_report("tensor");
}
