// Intervals of paired differences, and the ranks of the study's tables.
#include "runtime/base/random.h"
#include "runtime/report/bootstrap.h"
#include "runtime/report/study.h"
#include "tests/check.h"

enum { N = 200 };

static void test_interval(void) {
  double a[N], b[N];
  Random random = random_stream(5, "test");
  for (int i = 0; i < N; i++) { // hard pictures are hard for both; a is 0.1 above b with deviation 0.2
    double hard = random_normal(&random);
    b[i] = hard;
    a[i] = hard + 0.1 + 0.2 * random_normal(&random);
  }
  Interval interval = bootstrap_difference(a, b, N, 1, 0.95, 4000, 1);
  double sum = 0, squares = 0;
  for (int i = 0; i < N; i++) sum += a[i] - b[i];
  for (int i = 0; i < N; i++) squares += pow(a[i] - b[i] - sum / N, 2);
  double half = 1.96 * sqrt(squares / N / N); // of the normal interval
  CHECK_NEAR(interval.mean, sum / N, 1e-12, "the mean of the differences");
  CHECK_NEAR(interval.low, interval.mean - half, 0.1 * half, "lower end");
  CHECK_NEAR(interval.high, interval.mean + half, 0.1 * half, "upper end");
  Interval again = bootstrap_difference(a, b, N, 1, 0.95, 4000, 1),
           back = bootstrap_difference(b, a, N, 1, 0.95, 4000, 1);
  CHECK(again.low == interval.low && again.high == interval.high, "the same every time");
  CHECK_NEAR(back.low, -interval.high, 0.1 * half, "the other way round");
  Interval narrow = bootstrap_difference(a, b, N, 1, 0.5, 4000, 1);
  CHECK(narrow.low > interval.low && narrow.high < interval.high, "less confidence, less width");
}

static void test_gaps(void) {
  double pairs[6] = {1, 9, NAN, 9, 3, 9}, zeros[6] = {0};
  Interval interval = bootstrap_difference(pairs, zeros, 3, 2, 0.95, 100, 1);
  CHECK_NEAR(interval.mean, 2, 0, "every second value, without the gap");
  CHECK(interval.low >= 1 && interval.high <= 3, "within the values: %g %g", interval.low, interval.high);
  interval = bootstrap_difference(pairs + 2, zeros, 1, 1, 0.95, 100, 1);
  CHECK(isnan(interval.mean) && isnan(interval.low), "no picture, no interval");
}

// Rows whose abs_rel and delta1 are given; two repetitions around them.
static void test_ranks(void) {
  enum { ROWS = 5 };
  static const double error[ROWS] = {0.2, 0.1, 0.1, 0.3, NAN}, delta[ROWS] = {0.8, 0.9, 0.7, 0.85, NAN};
  static double metrics[ROWS][2][METRIC_COUNT];
  StudyRow rows[ROWS] = {0};
  StudyReport report = {.rows = rows, .n_rows = ROWS, .n_repeats = 2};
  for (int i = 0; i < ROWS; i++) {
    for (int k = 0; k < 2; k++) {
      metrics[i][k][METRIC_ABS_REL] = error[i] + (k ? 0.03125 : -0.03125);
      metrics[i][k][METRIC_DELTA1] = delta[i];
    }
    rows[i].metrics[STUDY_TEST] = metrics[i];
  }
  double mean, deviation;
  study_mean(&report, &rows[0], STUDY_TEST, METRIC_ABS_REL, &mean, &deviation);
  CHECK_NEAR(mean, 0.2, 1e-12, "mean");
  CHECK_NEAR(deviation, 0.03125 * sqrt(2), 1e-12, "sample deviation");
  static const int by_error[ROWS] = {2, 1, 1, 0, 0}, by_delta[ROWS] = {0, 1, 0, 2, 0};
  for (int i = 0; i < ROWS; i++) {
    int e = study_rank(&report, i, STUDY_TEST, METRIC_ABS_REL), d = study_rank(&report, i, STUDY_TEST, METRIC_DELTA1);
    CHECK(e == by_error[i] && d == by_delta[i], "row %d: rank %d by abs_rel, %d by delta1", i, e, d);
  }
}

int main(void) {
  test_interval();
  test_gaps();
  test_ranks();
  return check_report("bootstrap");
}
