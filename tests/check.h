// check.h: what every test program uses. A failed check prints one line and is counted; check_report ends main().
#ifndef SG_TESTS_CHECK_H
#define SG_TESTS_CHECK_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int check_passed, check_failed, check_skipped;

// CHECK(condition, "format", ...): the text says what was being checked, with the values at hand.
#define CHECK(condition, ...)                                                                                          \
  do {                                                                                                                 \
    if (condition) {                                                                                                   \
      check_passed++;                                                                                                  \
    } else {                                                                                                           \
      check_failed++;                                                                                                  \
      printf("%s:%d: FAILED %s: ", __FILE__, __LINE__, #condition);                                                    \
      printf(__VA_ARGS__);                                                                                             \
      printf("\n");                                                                                                    \
    }                                                                                                                  \
  } while (0)

// |got - want| <= tolerance; NaN fails.
#define CHECK_NEAR(got, want, tolerance, ...)                                                                          \
  do {                                                                                                                 \
    double got_ = (got), want_ = (want);                                                                               \
    if (fabs(got_ - want_) <= (tolerance)) {                                                                           \
      check_passed++;                                                                                                  \
    } else {                                                                                                           \
      check_failed++;                                                                                                  \
      printf("%s:%d: FAILED %s = %.9g, expected %.9g within %g: ", __FILE__, __LINE__, #got, got_, want_,              \
             (double)(tolerance));                                                                                     \
      printf(__VA_ARGS__);                                                                                             \
      printf("\n");                                                                                                    \
    }                                                                                                                  \
  } while (0)

// Equal strings.
#define CHECK_TEXT(got, want, ...)                                                                                     \
  do {                                                                                                                 \
    const char *got_ = (got), *want_ = (want);                                                                         \
    if (got_ && want_ && !strcmp(got_, want_)) {                                                                       \
      check_passed++;                                                                                                  \
    } else {                                                                                                           \
      check_failed++;                                                                                                  \
      printf("%s:%d: FAILED ", __FILE__, __LINE__);                                                                    \
      printf(__VA_ARGS__);                                                                                             \
      printf("\n--- got\n%s\n--- expected\n%s\n---\n", got_ ? got_ : "(null)", want_ ? want_ : "(null)");              \
    }                                                                                                                  \
  } while (0)

// A check that cannot be made here, and why.
#define CHECK_SKIP(...)                                                                                                \
  do {                                                                                                                 \
    check_skipped++;                                                                                                   \
    printf("skipped: ");                                                                                               \
    printf(__VA_ARGS__);                                                                                               \
    printf("\n");                                                                                                      \
  } while (0)

// Prints the tally line that the runner adds up and returns main's exit status.
static inline int check_report(const char *name) {
  printf("%s: %d passed, %d failed", name, check_passed, check_failed);
  if (check_skipped) printf(", %d skipped", check_skipped);
  printf("\n");
  return check_failed != 0;
}

#endif
