// Metrics: closed forms, masks, crops, resizing; and the constant baselines.
#include "runtime/base/random.h"
#include "runtime/train/baseline.h"
#include "runtime/train/metrics.h"
#include "tests/check.h"

enum { W = 40, H = 30, N = W * H };

static void fill_truth(float *truth) {
  Random random = random_stream(1, "truth");
  for (int i = 0; i < N; i++) truth[i] = (float)random_between(&random, 0.5, 9);
}

// With d = 1.1 g every metric has a closed form.
static void test_scaled(void) {
  float truth[N], prediction[N];
  fill_truth(truth);
  double mean = 0, square = 0;
  for (int i = 0; i < N; i++) {
    prediction[i] = truth[i] * 1.1f;
    mean += truth[i] / N;
    square += (double)truth[i] * truth[i] / N;
  }
  double v[METRIC_COUNT];
  int64_t n = metrics_image(protocol_find("full"), prediction, W, H, truth, W, H, v);
  CHECK(n == N, "%lld valid", (long long)n);
  CHECK_NEAR(v[METRIC_DELTA1], 1, 0, "1.1 < 1.25");
  CHECK_NEAR(v[METRIC_ABS_REL], 0.1, 1e-7, "abs_rel");
  CHECK_NEAR(v[METRIC_SQ_REL], 0.01 * mean, 1e-6, "sq_rel");
  CHECK_NEAR(v[METRIC_RMSE], 0.1 * sqrt(square), 1e-6, "rmse");
  CHECK_NEAR(v[METRIC_RMSE_LOG], log(1.1), 1e-7, "rmse_log");
  CHECK_NEAR(v[METRIC_LOG10], log10(1.1), 1e-7, "log10");
  CHECK_NEAR(v[METRIC_SILOG], 0, 1e-3, "a scale does not count");
  CHECK_NEAR(v[METRIC_SQ_REL_SLIDES], 0.01, 1e-7, "sq_rel_slides");
}

static void test_thresholds(void) {
  float truth[N], prediction[N];
  const float factors[] = {1.2f, 1.3f, 1.6f, 2.f, 1 / 1.2f, 1 / 1.3f, 1 / 1.6f, 0.5f};
  for (int i = 0; i < N; i++) {
    truth[i] = 2;
    prediction[i] = 2 * factors[i % 8];
  }
  double v[METRIC_COUNT];
  metrics_image(protocol_find("full"), prediction, W, H, truth, W, H, v);
  CHECK_NEAR(v[METRIC_DELTA1], 0.25, 0, "delta1");
  CHECK_NEAR(v[METRIC_DELTA2], 0.5, 0, "delta2");
  CHECK_NEAR(v[METRIC_DELTA3], 0.75, 0, "delta3");
}

static void test_masks(void) {
  float truth[N] = {0}, prediction[N];
  for (int i = 0; i < N; i++) prediction[i] = 1;
  truth[0] = 1;
  truth[1] = 10;    // not below the cap
  truth[2] = 1e-3f; // not above the floor
  truth[3] = NAN;
  truth[4] = INFINITY;
  truth[5] = 2;
  prediction[5] = NAN; // counts as 1e-3
  truth[6] = 5;
  prediction[6] = INFINITY; // counts as 10
  double v[METRIC_COUNT];
  int64_t n = metrics_image(protocol_find("full"), prediction, W, H, truth, W, H, v);
  CHECK(n == 3, "%lld valid", (long long)n);
  CHECK_NEAR(v[METRIC_ABS_REL], (0 + (2 - 1e-3) / 2 + 1) / 3, 1e-9, "abs_rel");
  memset(truth, 0, sizeof truth);
  n = metrics_image(protocol_find("full"), prediction, W, H, truth, W, H, v);
  CHECK(n == 0 && isnan(v[METRIC_DELTA1]) && isnan(v[METRIC_SILOG]), "an image without truth has no metrics");
  MetricsMean mean = {0};
  metrics_add(&mean, v, 0);
  v[METRIC_DELTA1] = 0.5;
  metrics_add(&mean, v, 10);
  CHECK(mean.n_images == 1 && mean.n_empty == 1 && metrics_mean(&mean, METRIC_DELTA1) == 0.5, "it enters no mean");
}

static void test_crop(void) {
  enum { CW = 640, CH = 480 };
  float *truth = malloc(sizeof *truth * CW * CH), *prediction = malloc(sizeof *prediction * CW * CH);
  for (int i = 0; i < CW * CH; i++) {
    int x = i % CW, y = i / CW;
    bool is_inside = y >= 45 && y < 471 && x >= 41 && x < 601;
    truth[i] = 2;
    prediction[i] = is_inside ? 2 : 9;
  }
  double v[METRIC_COUNT];
  int64_t n = metrics_image(protocol_find("nyu-eigen"), prediction, CW, CH, truth, CW, CH, v);
  CHECK(n == (471 - 45) * (601 - 41), "%lld valid", (long long)n);
  CHECK_NEAR(v[METRIC_RMSE], 0, 0, "nothing outside the crop counts");
  metrics_image(protocol_find("full"), prediction, CW, CH, truth, CW, CH, v);
  CHECK(v[METRIC_RMSE] > 1, "without the crop it does");
  free(truth);
  free(prediction);
}

// A plane is resized exactly when corners are aligned.
static void test_resize(void) {
  float small[5 * 7], truth[N];
  for (int i = 0; i < 5 * 7; i++) small[i] = (float)(1 + 3.0 * (i % 7) / 6 + 2.0 * (i / 7) / 4);
  for (int i = 0; i < N; i++) truth[i] = (float)(1 + 3.0 * (i % W) / (W - 1) + 2.0 * (i / W) / (H - 1));
  double v[METRIC_COUNT];
  metrics_image(protocol_find("full"), small, 7, 5, truth, W, H, v);
  CHECK_NEAR(v[METRIC_RMSE], 0, 1e-6, "a resized plane");
}

// An affine change of the truth is undone by a fit of scale and shift, a change of scale by medians.
static void test_align(void) {
  float truth[N], prediction[N];
  double v[METRIC_COUNT];
  fill_truth(truth);
  Protocol protocol = *protocol_find("full");
  truth[3] = 0; // what is not valid enters no fit
  for (int i = 0; i < N; i++) prediction[i] = i == 3 ? 1e5f : 30 * truth[i];
  metrics_image(&protocol, prediction, W, H, truth, W, H, v);
  CHECK(v[METRIC_RMSE] > 1, "nothing is aligned unless asked for");
  protocol.align = ALIGN_MEDIAN;
  metrics_image(&protocol, prediction, W, H, truth, W, H, v);
  CHECK_NEAR(v[METRIC_RMSE], 0, 1e-5, "median");
  for (int i = 0; i < N; i++) prediction[i] = 5 - 0.25f * truth[i];
  metrics_image(&protocol, prediction, W, H, truth, W, H, v);
  CHECK(v[METRIC_RMSE] > 1, "a median cannot undo a shift");
  protocol.align = ALIGN_LSQ;
  metrics_image(&protocol, prediction, W, H, truth, W, H, v);
  CHECK_NEAR(v[METRIC_RMSE], 0, 1e-4, "lsq");
  for (int i = 0; i < N; i++) prediction[i] = 3;
  metrics_image(&protocol, prediction, W, H, truth, W, H, v);
  double mean = 0, square = 0;
  for (int i = 0; i < N; i++) mean += truth[i] / (N - 1), square += (double)truth[i] * truth[i] / (N - 1);
  CHECK_NEAR(v[METRIC_RMSE], sqrt(square - mean * mean), 1e-5, "a constant is shifted to the mean");
  memset(truth, 0, sizeof truth);
  CHECK(metrics_image(&protocol, prediction, W, H, truth, W, H, v) == 0 && isnan(v[METRIC_RMSE]), "no truth, no fit");
}

static void test_flip(void) {
  const float plain[] = {1, 2, 30, NAN}, flipped[] = {4, 3, INFINITY, -1};
  float out[4];
  metrics_average_flip(protocol_find("full"), plain, flipped, 4, 1, out);
  // Flipped back: -1, inf, 3, 4; clamped before the mean.
  CHECK_NEAR(out[0], (1 + 1e-3) / 2, 1e-7, "below");
  CHECK_NEAR(out[1], (2 + 10) / 2., 1e-7, "infinite");
  CHECK_NEAR(out[2], (10 + 3) / 2., 1e-7, "above");
  CHECK_NEAR(out[3], (1e-3 + 4) / 2, 1e-7, "not a number");
}

static void test_protocols(void) {
  char a[9], b[9];
  protocol_digest(protocol_find("full"), a);
  protocol_digest(protocol_find("nyu-eigen"), b);
  CHECK(strlen(a) == 8 && strcmp(a, b), "digests %s and %s", a, b);
  CHECK(!protocol_find("garg"), "unknown protocol");
  char digests[8][9];
  int n = 0;
  for (; protocol_at(n); n++) {
    protocol_digest(protocol_at(n), digests[n]);
    for (int i = 0; i < n; i++) CHECK(strcmp(digests[i], digests[n]), "protocols %d and %d", i, n);
    bool is_there[METRIC_COUNT] = {false};
    for (int c = 0; c < METRIC_COUNT; c++) is_there[protocol_metric(protocol_at(n), c)] = true;
    for (int m = 0; m < METRIC_COUNT; m++)
      CHECK(is_there[m], "%s prints %s", protocol_at(n)->name, metric_name((Metric)m));
  }
  CHECK(protocol_metric(protocol_find("slides"), METRIC_SQ_REL) == METRIC_SQ_REL_SLIDES, "the slides' definition");
  for (int i = 0; i < METRIC_COUNT; i++)
    CHECK(metric_name((Metric)i) && metric_formula((Metric)i) && metric_rises((Metric)i) == (i < 3), "metric %d", i);
}

// Truths of 2 m on the left and 4 m on the right, and some of 3 m everywhere.
static void test_baseline(void) {
  enum { BW = 80, BH = 40 };
  float truth[BW * BH];
  Baseline *baseline = baseline_new(protocol_find("full"), BW, BH);
  for (int k = 0; k < 10; k++) {
    for (int i = 0; i < BW * BH; i++) truth[i] = k == 9 ? 3 : i % BW < BW / 2 ? 2 : 4;
    baseline_add(baseline, truth);
  }
  baseline_fit(baseline);
  CHECK_NEAR(baseline_map(baseline, BASELINE_MEAN)[0], (9 * 2 + 3) / 10.0, 1e-6, "mean on the left");
  float left = baseline_map(baseline, BASELINE_MAP)[BW * 20 + 3],
        right = baseline_map(baseline, BASELINE_MAP)[BW * 20 + BW - 3];
  CHECK(left > 1.6f && left < 2.5f && right > 3.2f && right < 5, "best map: %.2f left, %.2f right", left, right);
  for (int i = 0; i < BW * BH; i++) truth[i] = i % BW < BW / 2 ? 2 : 4;
  baseline_score(baseline, truth);
  double value = metrics_mean(baseline_metrics(baseline, BASELINE_VALUE), METRIC_DELTA1);
  double map = metrics_mean(baseline_metrics(baseline, BASELINE_MAP), METRIC_DELTA1);
  CHECK_NEAR(value, 0.5, 1e-9, "one depth can be right on one side only");
  CHECK(map > 0.9, "the map on both: %.3f", map);
  CHECK(baseline_best(baseline) != BASELINE_VALUE, "and is better");
  baseline_free(baseline);

  baseline = baseline_new(protocol_find("full"), BW, BH); // fitted on nothing it still says something
  baseline_fit(baseline);
  CHECK(isfinite(baseline_map(baseline, BASELINE_MAP)[0]), "no images");
  baseline_free(baseline);
}

// The one value is the best of all values.
static void test_best_value(void) {
  enum { BW = 16, BH = 16, IMAGES = 5 };
  float truth[IMAGES][BW * BH], map[BW * BH];
  Random random = random_stream(9, "values");
  Baseline *baseline = baseline_new(protocol_find("full"), BW, BH);
  for (int k = 0; k < IMAGES; k++) {
    double centre = random_between(&random, 1, 6);
    for (int i = 0; i < BW * BH; i++) truth[k][i] = (float)(centre * exp(0.3 * random_normal(&random)));
    baseline_add(baseline, truth[k]);
  }
  baseline_fit(baseline);
  double best = 0, mine = 0, v[METRIC_COUNT];
  for (double value = 0.5; value < 9.9; value *= 1.002) {
    double sum = 0;
    for (int i = 0; i < BW * BH; i++) map[i] = (float)value;
    for (int k = 0; k < IMAGES; k++) {
      metrics_image(protocol_find("full"), map, BW, BH, truth[k], BW, BH, v);
      sum += v[METRIC_DELTA1] / IMAGES;
    }
    best = fmax(best, sum);
  }
  for (int k = 0; k < IMAGES; k++) {
    metrics_image(protocol_find("full"), baseline_map(baseline, BASELINE_VALUE), BW, BH, truth[k], BW, BH, v);
    mine += v[METRIC_DELTA1] / IMAGES;
  }
  CHECK(mine > best - 0.004, "delta1 %.4f, by search %.4f", mine, best);
  baseline_free(baseline);
}

int main(void) {
  test_scaled();
  test_thresholds();
  test_masks();
  test_crop();
  test_resize();
  test_align();
  test_flip();
  test_protocols();
  test_baseline();
  test_best_value();
  return check_report("test_metrics");
}
