// machine THREADS: the limits of this machine, as JSON: multiply-adds a second of register tiles, bytes a second of a
// sum over more memory than the caches hold. Each is the best of several tries.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "runtime/base/clock.h"

enum { LANES = 16, CHAINS = 12, FLOATS = 1 << 25, TRIES = 5 };
typedef float Vector __attribute__((vector_size(LANES * 4)));

static double peak_of_thread(void) {
  Vector sums[CHAINS], a = {0}, b = {0};
  for (int i = 0; i < LANES; i++) a[i] = 0.999f, b[i] = 1e-3f * (float)i;
  for (int i = 0; i < CHAINS; i++) sums[i] = b;
  double begin = clock_seconds();
  const int rounds = 4000000;
  for (int r = 0; r < rounds; r++) {
#pragma GCC unroll 12
    for (int i = 0; i < CHAINS; i++) sums[i] = sums[i] * a + b;
    __asm__ volatile("" : "+x"(a));
  }
  double seconds = clock_seconds() - begin;
  for (int i = 1; i < CHAINS; i++) sums[0] += sums[i];
  volatile float sink = sums[0][0];
  (void)sink;
  return 2.0 * rounds * CHAINS * LANES / seconds;
}

static double bandwidth_of_thread(void) {
  float *data = aligned_alloc(64, FLOATS * sizeof *data);
  if (!data) exit(1);
  for (int i = 0; i < FLOATS; i++) data[i] = (float)i;
  double begin = clock_seconds();
  Vector sums[4] = {{0}};
  for (int i = 0; i < FLOATS; i += 4 * LANES)
    for (int k = 0; k < 4; k++) sums[k] += *(Vector *)(data + i + k * LANES);
  double seconds = clock_seconds() - begin;
  volatile float sink = (sums[0] + sums[1] + sums[2] + sums[3])[0];
  (void)sink;
  free(data);
  return FLOATS * sizeof *data / seconds;
}

static void *measure(void *argument) {
  double *best = argument;
  for (int t = 0; t < TRIES; t++) {
    double peak = peak_of_thread(), bandwidth = bandwidth_of_thread();
    if (peak > best[0]) best[0] = peak;
    if (bandwidth > best[1]) best[1] = bandwidth;
  }
  return NULL;
}

int main(int argc, char **argv) {
  int n = argc > 1 ? atoi(argv[1]) : 1;
  if (n < 1 || n > 256) return 2;
  pthread_t threads[256];
  double best[256][2] = {{0}}, sum[2] = {0};
  for (int i = 0; i < n; i++) pthread_create(&threads[i], NULL, measure, best[i]);
  for (int i = 0; i < n; i++) {
    pthread_join(threads[i], NULL);
    sum[0] += best[i][0], sum[1] += best[i][1];
  }
  printf("{\"gflops\": %.1f, \"gbytes\": %.1f}\n", 1e-9 * sum[0], 1e-9 * sum[1]);
  return 0;
}
