// Target: the machines we know, and the one under us.
#include "compiler/target.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "runtime/base/cpu.h"
#include "runtime/base/cpu_cache.h"

#if defined(__aarch64__)
#define CC_NATIVE " -mcpu=native"
#else
#define CC_NATIVE " -march=native"
#endif

// gnu11 keeps the contraction of a * b + c to one instruction, which GCC looks for with -fexpensive-optimizations, and
// with the parameter finds everywhere: for some processors it leaves sums in loops alone, and what is a loop depends on
// how many turns it knows of, and so on which kernels are compiled together. -fgcse keeps the tiles of machines with 16
// registers in them, -fipa-cp gives micro-kernels the numbers that all their callers share. The rest of -O2 takes half
// as long again and makes nothing faster: what is to be inlined, unrolled or vectorised is so in the text, or marked
// there (`omp simd`). -O3 would even add predictive commoning, which carries loads over iterations and so spills
// accumulators, and so does scheduling before registers are given out (which x86 does without anyway).
#define CC_FLAGS                                                                                                       \
  "-std=gnu11 -O1 -fno-math-errno -fno-trapping-math -fexpensive-optimizations -fgcse -fipa-cp "                       \
  "-fstrict-aliasing -fopenmp-simd -fno-schedule-insns --param=avoid-fma-max-bits=0"

// Kinds of CPU, the best of those that a machine executes first. Eight floats also with AVX-512, as half-filled blocks
// (12, 20, 36 channels) waste less, and most kernels are as fast; but in the matrix product's register tile, which
// needs more loads for its multiply-adds than some machines have with eight, two blocks make one vector. Sixteen floats
// everywhere are for those who ask for them.
static const struct {
  const char *kind;
  Target target;
} cpus[] = {
#define CPU(word, floats, accumulator, n_registers, kilobytes_1, kilobytes_2, kilobytes_3, where, flags)               \
  {                                                                                                                    \
    word, {                                                                                                            \
      .kind = TARGET_CPU, .name = "cpu-" word "-" #floats, .vector = (floats), .wide = (accumulator), .queues = 1,     \
      .registers = (n_registers), .l1 = (kilobytes_1) << 10, .l2 = (kilobytes_2) << 10, .l3 = (kilobytes_3) << 10,     \
      .cc_flags = CC_FLAGS flags, .machine = (where)                                                                   \
    }                                                                                                                  \
  }
    CPU("avx512vl", 8, 16, 32, 32, 1024, 8192, "x86_64", " -mavx512vl -mfma"),
    CPU("avx2", 8, 8, 16, 32, 256, 3072, "x86_64", " -mavx2 -mfma"),
    CPU("sse2", 4, 4, 16, 32, 256, 2048, "x86_64", " -msse2"),
    CPU("neon", 4, 4, 32, 32, 512, 0, "aarch64", " -march=armv8-a"),
    CPU("generic", 4, 4, 16, 32, 512, 0, NULL, ""),
    CPU("avx512", 16, 16, 32, 32, 1024, 8192, "x86_64", " -mavx512vl -mfma"),
#undef CPU
};
enum { N_CPUS = sizeof cpus / sizeof *cpus };

const Target *target_cpu(const char *kind) {
  for (int i = 0; i < N_CPUS; i++) {
    if (!strcmp(cpus[i].kind, kind)) return &cpus[i].target;
  }
  return NULL;
}

bool target_has_pairs(const Target *target) { return target->wide > target->vector; }
int target_paired(const Target *target) { return target_has_pairs(target) ? 2 : 1; }

bool target_outgrows_caches(const Target *target, int64_t bytes) { return target->l3 && bytes > target->l3 / 2; }

static Target host;

static void detect(void) {
  int i = 0;
  while (!cpu_executes(cpus[i].kind)) i++; // all execute the generic one
  host = cpus[i].target;
  host.machine = NULL;
  host.cc_flags = CC_FLAGS CC_NATIVE;
  host.l1 = cpu_cache_bytes(1, 32 << 10);
  host.l2 = cpu_cache_bytes(2, 512 << 10);
  host.l3 = cpu_cache_bytes(3, 0);
}

const Target *target_host(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, detect);
  return &host;
}

// Of each architecture the least that all its GPUs have; l1 is the shared memory that a block may ask for, l2 the
// second level of the smaller ones.
static const Target gpus[] = {
#define GPU(number, kilobytes, megabytes)                                                                              \
  {                                                                                                                    \
    .kind = TARGET_CUDA, .name = "cuda-sm_" #number, .vector = 1, .queues = 4, .registers = 255,                       \
    .l1 = (kilobytes) << 10, .l2 = (int64_t)(megabytes) << 20, .cc_flags = "--std=c++17", .compute = (number)          \
  }
    GPU(61, 48, 2),    GPU(70, 96, 6),   GPU(75, 64, 4),   GPU(80, 163, 40),  GPU(86, 99, 2),
    GPU(87, 163, 4),   GPU(89, 99, 24),  GPU(90, 227, 50), GPU(100, 227, 64), GPU(103, 227, 64),
    GPU(110, 227, 32), GPU(120, 99, 24), GPU(121, 99, 24),
#undef GPU
};

const Target *target_cuda(int compute) {
  for (size_t i = 0; i < sizeof gpus / sizeof *gpus; i++) {
    if (gpus[i].compute == compute) return &gpus[i];
  }
  return NULL;
}

static const char *const precisions[] = {"f32", "tf32", "bf16", "f16"};
enum { N_PRECISIONS = sizeof precisions / sizeof *precisions, N_GPUS = sizeof gpus / sizeof *gpus };

bool precision_find(const char *name, Precision *out) {
  for (int i = 0; i < N_PRECISIONS; i++) {
    if (strcmp(name, precisions[i]) != 0) continue;
    *out = (Precision)i;
    return true;
  }
  return false;
}

static Target precise[N_GPUS][N_PRECISIONS];
static char precise_names[N_GPUS][N_PRECISIONS][32];

static void make_precise(void) {
  for (int g = 0; g < N_GPUS; g++) {
    for (int p = 0; p < N_PRECISIONS; p++) {
      snprintf(precise_names[g][p], sizeof precise_names[g][p], "%s-%s", gpus[g].name, precisions[p]);
      precise[g][p] = gpus[g];
      precise[g][p].name = precise_names[g][p];
      precise[g][p].precision = (Precision)p;
    }
  }
}

const Target *target_with_precision(const Target *target, Precision precision) {
  if (target->precision == precision) return target;
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, make_precise);
  for (int g = 0; g < N_GPUS; g++) {
    if (target->kind != TARGET_CUDA || gpus[g].compute != target->compute) continue;
    if (precision == PRECISION_F32) return &gpus[g];
    return gpus[g].compute >= (precision == PRECISION_F16 ? 75 : 80) ? &precise[g][precision] : NULL;
  }
  return NULL;
}

const Target *target_find(const char *name) {
  int compute, end = 0;
  if (!strcmp(name, "cpu")) return target_host();
  if (!strncmp(name, "cpu:", 4)) return target_cpu(name + 4);
  if (!strcmp(name, "reference")) return target_reference();
  if (sscanf(name, "cuda:sm_%d%n", &compute, &end) == 1 && !name[end]) return target_cuda(compute);
  return NULL;
}

const Target *target_reference(void) {
  static const Target reference = {.kind = TARGET_REFERENCE,
                                   .name = "reference",
                                   .vector = 1,
                                   .queues = 1,
                                   .registers = 16,
                                   .l1 = 32 << 10,
                                   .l2 = 512 << 10};
  return &reference;
}
