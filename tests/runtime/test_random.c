// Philox against the known answers of its authors, and the distributions against their moments.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/random.h"
#include "tests/check.h"

static void check_known_answer(const uint32_t counter[4], const uint32_t key[2], const uint32_t expected[4]) {
  uint32_t out[4];
  philox4x32(counter, key, out);
  CHECK(!memcmp(out, expected, sizeof out), "counter %08x.. key %08x..: got %08x %08x %08x %08x", counter[0], key[0],
        out[0], out[1], out[2], out[3]);
}

static void test_known_answers(void) {
  check_known_answer((uint32_t[4]){0, 0, 0, 0}, (uint32_t[2]){0, 0},
                     (uint32_t[4]){0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  check_known_answer((uint32_t[4]){~0u, ~0u, ~0u, ~0u}, (uint32_t[2]){~0u, ~0u},
                     (uint32_t[4]){0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  check_known_answer((uint32_t[4]){0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
                     (uint32_t[2]){0xa4093822, 0x299f31d0},
                     (uint32_t[4]){0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

static void test_streams(void) {
  Random a = random_stream(1, "a"), b = random_stream(1, "b"), c = random_stream(2, "a");
  int same_name = 0, same_seed = 0, same_sub = 0, same_sub2 = 0;
  Random sub = random_substream(a, 0), sub2 = random_substream(a, 1);
  for (uint64_t i = 0; i < 1000; i++) {
    uint32_t word = random_word_at(&a, i);
    same_name += word == random_word_at(&b, i);
    same_seed += word == random_word_at(&c, i);
    same_sub += word == random_word_at(&sub, i);
    same_sub2 += random_word_at(&sub2, i) == random_word_at(&sub, i);
  }
  CHECK(!same_name && !same_seed && !same_sub && !same_sub2, "streams coincide: %d %d %d %d", same_name, same_seed,
        same_sub, same_sub2);
  for (uint64_t i = 0; i < 10; i++) {
    uint32_t at = random_word_at(&a, a.position);
    CHECK(random_word(&a) == at, "drawing and seeking differ at %d", (int)i);
  }
}

// Mean, deviation and range of n values must be as stated, within five standard errors.
static void check_moments(const char *what, const float *x, int n, double mean, double deviation, double low,
                          double high) {
  double sum = 0, squares = 0, least = INFINITY, most = -INFINITY;
  for (int i = 0; i < n; i++) {
    sum += x[i];
    squares += (x[i] - mean) * (x[i] - mean);
    least = fmin(least, x[i]);
    most = fmax(most, x[i]);
  }
  CHECK_NEAR(sum / n, mean, 5 * deviation / sqrt(n), "mean of %s", what);
  CHECK_NEAR(sqrt(squares / n), deviation, 5 * deviation / sqrt(n), "deviation of %s", what);
  CHECK(least >= low && most <= high, "%s leaves its range: %g %g", what, least, most);
}

static void test_distributions(void) {
  enum { N = 100001 };
  float *x = malloc(N * sizeof *x), *y = malloc(N * sizeof *y);
  Random random = random_stream(7, "test");
  random_fill_uniform(random, x, N, -3, 5);
  check_moments("uniform fill", x, N, 1, 8 / sqrt(12), -3, 5);
  random_fill_normal(random, x, N, 2, 0.5);
  check_moments("normal fill", x, N, 2, 0.5, 2 - 3.5, 2 + 3.5);
  random_fill_normal(random, y, 10, 2, 0.5);
  CHECK(!memcmp(x, y, 10 * sizeof *x), "a shorter fill has other values");
  for (int i = 0; i < N; i++) x[i] = (float)random_normal(&random);
  check_moments("normal draw", x, N, 0, 1, -7, 7);
  for (int i = 0; i < N; i++) x[i] = (float)random_between(&random, 10, 12);
  check_moments("uniform draw", x, N, 11, 2 / sqrt(12), 10, 12);
  int count[5] = {0};
  for (int i = 0; i < N; i++) count[random_below(&random, 5)]++;
  for (int i = 0; i < 5; i++) CHECK_NEAR(count[i], N / 5.0, 5 * sqrt(N / 5.0), "count of %d", i);
  free(x);
  free(y);
}

int main(void) {
  test_known_answers();
  test_streams();
  test_distributions();
  return check_report("random");
}
