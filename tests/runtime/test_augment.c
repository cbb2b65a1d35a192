// Augmentation against a plain reading of MODELS.md section 11, and preprocessing there and back.
#include "runtime/data/augment.h"
#include "runtime/data/preprocess.h"
#include "tests/check.h"

static void test_names(void) {
  Augment a;
  CHECK(augment_find("nyu", &a) && a == AUGMENT_NYU && !strcmp(augment_name(a), "nyu"), "nyu");
  CHECK(augment_find("nyu_author", &a) && a == AUGMENT_NYU_AUTHOR, "nyu_author");
  CHECK(augment_find("none", &a) && a == AUGMENT_NONE && !augment_find("NYU", &a), "names are exact");
}

// A picture whose red tells the column and green the row, and whose depth tells both.
static Sample ramp(int width, int height) {
  Sample s;
  image_alloc(&s.picture, width, height);
  depth_alloc(&s.depth, width, height);
  for (int y = 0; y < height; y++)
    for (int x = 0; x < width; x++) {
      uint8_t *p = s.picture.rgb + 3 * (y * width + x);
      p[0] = (uint8_t)(x * 255 / width);
      p[1] = (uint8_t)(y * 255 / height);
      p[2] = 128;
      s.depth.metres[y * width + x] = 1 + (float)x / 1000 + (float)y;
    }
  return s;
}

static double red_of(const float *rgb, int i) { return (rgb[i] * imagenet_deviation[0] + imagenet_mean[0]) * 255; }

static void test_draws(void) {
  int flipped = 0, coloured = 0, lefts[22] = {0};
  double angles = 0, angles2 = 0;
  enum { N = 4000 };
  for (int i = 0; i < N; i++) {
    AugmentDraw d, again;
    augment_draw(AUGMENT_NYU, (AugmentKey){1, 2, i}, 640, 480, 544, 416, &d);
    augment_draw(AUGMENT_NYU, (AugmentKey){1, 2, i}, 640, 480, 544, 416, &again);
    CHECK(!memcmp(&d, &again, sizeof d), "sample %d: drawn twice, differs", i);
    CHECK(d.crop_width == 544 && d.crop_height == 416 && d.crop_left >= 43 && d.crop_left + 544 <= 608 &&
              d.crop_top >= 45 && d.crop_top + 416 <= 472,
          "sample %d: window %d %d", i, d.crop_left, d.crop_top);
    CHECK(fabsf(d.angle) <= 2.5f * (float)M_PI / 180 && d.gamma >= 0.9f && d.gamma <= 1.1f && d.brightness >= 0.9f &&
              d.brightness <= 1.1f && d.colour[2] >= 0.9f && d.colour[2] <= 1.1f,
          "sample %d: out of range", i);
    flipped += d.is_flipped;
    coloured += d.has_colour;
    lefts[d.crop_left - 43]++;
    angles += d.angle;
    angles2 += (double)d.angle * d.angle;
  }
  CHECK(abs(flipped - N / 2) < 160 && abs(coloured - N / 2) < 160, "%d flipped, %d coloured of %d", flipped, coloured,
        N);
  for (int i = 0; i < 22; i++) CHECK(lefts[i] > 100, "left %d drawn %d times", 43 + i, lefts[i]);
  CHECK_NEAR(sqrt(angles2 / N) * 180 / M_PI, 2.5 / sqrt(3), 0.06, "spread of angles");

  // The author's form differs in the range of brightness alone.
  double least = 1, most = 1;
  for (int i = 0; i < 400; i++) {
    AugmentDraw slides, author;
    augment_draw(AUGMENT_NYU, (AugmentKey){1, 2, i}, 640, 480, 544, 416, &slides);
    augment_draw(AUGMENT_NYU_AUTHOR, (AugmentKey){1, 2, i}, 640, 480, 544, 416, &author);
    least = fmin(least, author.brightness);
    most = fmax(most, author.brightness);
    author.brightness = slides.brightness;
    CHECK(!memcmp(&slides, &author, sizeof author), "sample %d: more than brightness differs", i);
  }
  CHECK(least >= 0.75 && least < 0.77 && most <= 1.25 && most > 1.23, "author's brightness %g to %g", least, most);

  AugmentDraw a, b, c;
  augment_draw(AUGMENT_NYU, (AugmentKey){1, 3, 0}, 640, 480, 544, 416, &a);
  augment_draw(AUGMENT_NYU, (AugmentKey){1, 2, 0}, 640, 480, 544, 416, &b);
  augment_draw(AUGMENT_NYU, (AugmentKey){2, 2, 0}, 640, 480, 544, 416, &c);
  CHECK(a.angle != b.angle && b.angle != c.angle, "epoch and seed matter");
}

static void test_identity(void) {
  Sample s = ramp(96, 64);
  float rgb[3 * 96 * 64], depth[96 * 64];
  AugmentDraw d;
  augment_draw(AUGMENT_NONE, (AugmentKey){0}, 96, 64, 96, 64, &d);
  augment_apply(&d, &s, 96, 64, rgb, depth);
  double worst = 0;
  for (int i = 0; i < 96 * 64; i++)
    for (int c = 0; c < 3; c++) {
      double want = (s.picture.rgb[3 * i + c] / 255.0 - imagenet_mean[c]) / imagenet_deviation[c];
      worst = fmax(worst, fabs(rgb[c * 96 * 64 + i] - want));
    }
  CHECK(worst < 1e-5, "the same size changes nothing: %g", worst);
  CHECK(!memcmp(depth, s.depth.metres, sizeof depth), "nor the depth");

  d.is_flipped = true;
  augment_apply(&d, &s, 96, 64, rgb, depth);
  bool is_mirrored = true;
  for (int y = 0; y < 64; y++)
    for (int x = 0; x < 96; x++) is_mirrored = is_mirrored && depth[y * 96 + x] == s.depth.metres[y * 96 + 95 - x];
  CHECK(is_mirrored, "mirrored depth");
  CHECK(red_of(rgb, 0) > red_of(rgb, 95), "mirrored picture");
  sample_free(&s);
}

static void test_rotation(void) {
  Sample s = ramp(640, 480);
  static float rgb[3 * 544 * 416], depth[544 * 416];
  AugmentDraw d;
  augment_draw(AUGMENT_NYU, (AugmentKey){0}, 640, 480, 544, 416, &d);
  d.is_flipped = d.has_colour = false;
  d.angle = 2.5f * (float)M_PI / 180;
  d.crop_left = 43;
  d.crop_top = 45;
  augment_apply(&d, &s, 544, 416, rgb, depth);
  // The corners of the box turn away: what comes in is of unknown depth and black.
  CHECK(depth[415 * 544] == 0 || depth[0] == 0, "corners are empty");
  int empty = depth[0] == 0 ? 0 : 415 * 544;
  CHECK_NEAR(red_of(rgb, empty), 0, 0.01, "and black");
  // The middle of the box stays: output pixel (282, 213) has its corner at the box's centre (325.5, 258.5).
  double cx = 325.5, cy = 258.5, worst = 0;
  for (int y = 100; y < 300; y += 20)
    for (int x = 100; x < 400; x += 20) {
      double dx = 43 + x + 0.5 - cx, dy = 45 + y + 0.5 - cy;
      double sx = cx + cos(d.angle) * dx - sin(d.angle) * dy, sy = cy + sin(d.angle) * dx + cos(d.angle) * dy;
      worst = fmax(worst, fabs(depth[y * 544 + x] - (1 + floor(sx) / 1000 + floor(sy))));
      CHECK(fabs(red_of(rgb, y * 544 + x) - (sx - 0.5) * 255 / 640) < 1.1, "colour at %d %d", x, y);
    }
  CHECK(worst < 1.01, "depth follows the rotation to a row: %g", worst);
  d.angle = 0;
  augment_apply(&d, &s, 544, 416, rgb, depth);
  CHECK(depth[0] == s.depth.metres[45 * 640 + 43], "without rotation the window is cut out");
  CHECK(depth[543] == s.depth.metres[45 * 640 + 43 + 543], "pixel by pixel");
  sample_free(&s);
}

static void test_colour(void) {
  Sample s = ramp(32, 32);
  float rgb[3 * 32 * 32], depth[32 * 32];
  AugmentDraw d;
  augment_draw(AUGMENT_NONE, (AugmentKey){0}, 32, 32, 32, 32, &d);
  d.has_colour = true;
  d.gamma = 1.1f;
  d.brightness = 1.25f;
  d.colour[0] = 1.05f;
  d.colour[1] = d.colour[2] = 0.9f;
  augment_apply(&d, &s, 32, 32, rgb, depth);
  for (int x = 0; x < 32; x++) {
    double want = fmin(1, pow(s.picture.rgb[3 * x] / 255.0, 1.1) * 1.25 * 1.05);
    CHECK_NEAR(red_of(rgb, x) / 255, want, 1e-5, "column %d", x);
  }
  CHECK(!memcmp(depth, s.depth.metres, sizeof depth), "colour leaves the depth alone");
  sample_free(&s);
}

// Shrinking by three averages; growing interpolates; other proportions are cut.
static void test_scaling(void) {
  Sample s = ramp(96, 96);
  for (int i = 0; i < 96 * 96; i++) s.picture.rgb[3 * i] = (uint8_t)(i % 2 ? 255 : 0);
  float rgb[3 * 32 * 32], depth[32 * 32];
  AugmentDraw d;
  augment_draw(AUGMENT_NONE, (AugmentKey){0}, 96, 96, 32, 32, &d);
  CHECK(d.crop_width == 96, "window %d", d.crop_width);
  augment_apply(&d, &s, 32, 32, rgb, depth);
  for (int i = 0; i < 1024; i += 37) CHECK_NEAR(red_of(rgb, i), 127.5, 44, "stripes become gray");
  CHECK(depth[0] == s.depth.metres[96 + 1] && depth[1023] == s.depth.metres[94 * 96 + 94], "nearest depth");
  augment_draw(AUGMENT_NONE, (AugmentKey){0}, 96, 96, 64, 32, &d);
  CHECK(d.crop_width == 96 && d.crop_height == 48 && d.crop_top == 24, "window %dx%d at %d", d.crop_width,
        d.crop_height, d.crop_top);
  augment_draw(AUGMENT_NYU, (AugmentKey){0}, 160, 128, 160, 128, &d);
  CHECK(d.crop_width == 160 && d.crop_left == 0 && d.box_left == 0, "rooms have no border to lose");
  augment_draw(AUGMENT_FLIP, (AugmentKey){0}, 1, 1, 64, 32, &d);
  CHECK(d.crop_width == 1 && d.crop_height == 1, "a single pixel");
  sample_free(&s);
}

static void test_preprocess(void) {
  Preprocess p = preprocess_make(160, 128), back;
  int w, h;
  preprocess_size(&p, 160, 128, &w, &h);
  CHECK(w == 160 && h == 128, "the trained size stays: %dx%d", w, h);
  preprocess_size(&p, 640, 480, &w, &h);
  CHECK(w == 160 && h == 128, "4:3 becomes %dx%d", w, h);
  preprocess_size(&p, 480, 640, &w, &h);
  CHECK(w == 160 && h == 224, "upright becomes %dx%d", w, h);
  preprocess_size(&p, 100000, 10, &w, &h);
  CHECK(w <= 640 && h == 128, "a panorama is bounded: %dx%d", w, h);
  preprocess_size(&p, 1, 1, &w, &h);
  CHECK(w == 160 && h == 160, "one pixel: %dx%d", w, h);

  Text text = {0};
  p.depth_max = 7.5f;
  preprocess_format(&p, &text);
  Status status = preprocess_parse(text_get(&text), &back);
  CHECK(!status && !memcmp(&p, &back, sizeof p), "metadata: %s", status_message(status));
  const char *wrong[] = {"", "[]", "{}", "{\"fit\":\"crop\"}", "{\"fit\":\"resize\",\"width\":-3}"};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    status = preprocess_parse(wrong[i], &back);
    CHECK(status_code(status) == EXIT_WEIGHTS, "'%s' is accepted", wrong[i]);
    status_free(status);
  }
  text_free(&text);

  Sample s = ramp(320, 256);
  static float input[3 * 160 * 128], prediction[160 * 128];
  preprocess_picture(&p, &s.picture, 160, 128, input);
  for (int x = 5; x < 155; x += 10)
    CHECK_NEAR(red_of(input, 64 * 160 + x), (2 * x + 0.5) * 255 / 320, 1, "column %d", x);
  for (int i = 0; i < 160 * 128; i++) prediction[i] = (float)(1 + i % 160 / 159.0 * 5);
  prediction[0] = NAN;
  prediction[160 * 128 - 1] = 1e9f;
  DepthMap depth;
  preprocess_depth(&p, prediction, 160, 128, 320, 256, &depth);
  CHECK(depth.width == 320 && depth.height == 256, "size of the picture");
  for (int x = 0; x < 320; x += 11) CHECK_NEAR(depth.metres[100 * 320 + x], 1 + x / 319.0 * 5, 1e-5, "column %d", x);
  CHECK(depth.metres[0] == 1e-3f && depth.metres[320 * 256 - 1] == 7.5f, "clamped: %g %g", depth.metres[0],
        depth.metres[320 * 256 - 1]);
  depth_free(&depth);
  sample_free(&s);
}

int main(void) {
  test_names();
  test_draws();
  test_identity();
  test_rotation();
  test_colour();
  test_scaling();
  test_preprocess();
  return check_report("test_augment");
}
