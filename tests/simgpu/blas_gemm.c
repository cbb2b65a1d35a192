#include "tests/simgpu/blas_problem.h"

// Sums stay in cache: four rows of a strip of columns at a time.
enum { STRIP = 256 };

void blas_gemm(uint64_t m, uint64_t n, uint64_t k, uint64_t first, uint64_t end, const float *a, const float *b,
               float *sum) {
  for (uint64_t j0 = 0; j0 < n; j0 += STRIP) {
    uint64_t width = n - j0 < STRIP ? n - j0 : STRIP;
    uint64_t i = 0;
    for (; i + 4 <= m; i += 4) {
      float *restrict s0 = sum + i * n + j0, *restrict s1 = s0 + n, *restrict s2 = s1 + n, *restrict s3 = s2 + n;
      for (uint64_t l = first; l < end; l++) {
        const float *row = b + l * n + j0;
        float a0 = a[i * k + l], a1 = a[(i + 1) * k + l], a2 = a[(i + 2) * k + l], a3 = a[(i + 3) * k + l];
        for (uint64_t j = 0; j < width; j++) {
          s0[j] += a0 * row[j];
          s1[j] += a1 * row[j];
          s2[j] += a2 * row[j];
          s3[j] += a3 * row[j];
        }
      }
    }
    for (; i < m; i++) {
      float *restrict s0 = sum + i * n + j0;
      for (uint64_t l = first; l < end; l++) {
        const float *row = b + l * n + j0;
        float a0 = a[i * k + l];
        for (uint64_t j = 0; j < width; j++) s0[j] += a0 * row[j];
      }
    }
  }
}
