// Machine: a program of its own, whose kernels the host's compiler makes as it makes those of networks.
#include "runtime/machine.h"

#include "runtime/base/cpu_cache.h"
#include "runtime/exec.h"

// Many short tries: on a busy machine some find all threads running. WARM brings the last cache's memory there.
enum { FMA, NEAR, NEAR_UPDATE, WARM, LAST, LAST_UPDATE, MEMORY, MEMORY_UPDATE, N_STEPS, ROUNDS = 15, RESULT = 64 };
static const int step_of_level[MACHINE_LEVELS] = {NEAR, LAST, MEMORY}; // which reads; the next one updates
static const int64_t fma_flops = 1 << 27;                              // of a task

// As many vectors as hide the latency of two multiply-adds a cycle, and still fit into the registers.
static const char *const preamble = "#if defined(__AVX512F__)\n"
                                    "enum { LANES = 16, CHAINS = 12 };\n"
                                    "#elif defined(__AVX__)\n"
                                    "enum { LANES = 8, CHAINS = 12 };\n"
                                    "#elif defined(__aarch64__)\n"
                                    "enum { LANES = 4, CHAINS = 24 };\n"
                                    "#else\n"
                                    "enum { LANES = 4, CHAINS = 12 };\n"
                                    "#endif\n"
                                    "typedef float Vector __attribute__((vector_size(4 * LANES)));\n"
                                    "static inline void keep(Vector *sums, int n, float *out) {\n"
                                    "  for (int i = 1; i < n; i++) sums[0] += sums[i];\n"
                                    "  *(Vector *)out = sums[0];\n"
                                    "}\n";
#define HEAD "(const void *context, float *const *arg, long begin, long end, float *scratch) {\n"

static void put_fill(Text *out, int64_t floats) {
  text_printf(out,
              PROGRAM_KERNEL_MARK "machine_fill\nvoid machine_fill" HEAD
                                  "  for (long i = begin * %lldL; i < end * %lldL; i++) arg[0][i] = 1;\n}\n",
              (long long)floats, (long long)floats);
}

static void put_fma(Text *out) {
  text_printf(out,
              PROGRAM_KERNEL_MARK "machine_fma\nvoid machine_fma" HEAD
                                  "  for (long task = begin; task < end; task++) {\n"
                                  "    Vector sums[CHAINS], a = (Vector){} + 0.999f, b = (Vector){} + 1e-3f;\n"
                                  "#pragma GCC unroll 24\n"
                                  "    for (int i = 0; i < CHAINS; i++) sums[i] = b * (float)i;\n"
                                  "    for (long loop = 0; loop < %lldL / (2 * LANES * CHAINS); loop++) {\n"
                                  "#pragma GCC unroll 24\n"
                                  "      for (int i = 0; i < CHAINS; i++) sums[i] = sums[i] * a + b;\n"
                                  "    }\n"
                                  "    keep(sums, CHAINS, arg[0] + task * %d);\n  }\n}\n",
              (long long)fma_flops, RESULT);
}

// Each task goes over its own piece of `floats` so often: adds it up, or scales it in place.
static void put_walk(Text *out, int step, bool is_update, int64_t floats, int64_t passes) {
  static const char *const inner[] = {"sums[i] += *(const Vector *)(x + i * LANES);",
                                      "*(Vector *)(x + i * LANES) *= sums[i];"};
  text_printf(out,
              PROGRAM_KERNEL_MARK "machine_walk_%d\nvoid machine_walk_%d" HEAD
                                  "  for (long task = begin; task < end; task++) {\n"
                                  "    Vector sums[8];\n"
                                  "    for (int i = 0; i < 8; i++) sums[i] = (Vector){} + %d;\n"
                                  "    for (long pass = 0; pass < %lldL; pass++) {\n"
                                  "      float *x = arg[0] + task * %lldL, *const stop = x + %lldL;\n"
                                  "      __asm__ volatile(\"\" : \"+r\"(x) : : \"memory\");\n"
                                  "      for (; x < stop; x += 8 * LANES) {\n"
                                  "#pragma GCC unroll 8\n"
                                  "        for (int i = 0; i < 8; i++) %s\n"
                                  "      }\n"
                                  "    }\n"
                                  "    keep(sums, 8, arg[1] + task * %d);\n  }\n}\n",
              step, step, is_update, (long long)passes, (long long)floats, (long long)floats, inner[is_update], RESULT);
}

// Floats that each task reads of a level.
static int64_t piece_of(const Machine *machine, int level, int threads) {
  const int64_t least = 1 << 25, most = 1 << 29; // bytes of all tasks that stand for memory
  int64_t bytes = machine->level[level].bytes / 2;
  if (level == MACHINE_LEVELS - 1) {
    bytes = 8 * machine->level[level - 1].bytes;
    bytes = bytes < least ? least : bytes > most ? most : bytes;
  }
  return bytes / threads / 4 / 128 * 128; // 128: the vectors of a loop
}

// How often, so that it takes about a millisecond.
static int64_t passes_of(int64_t floats) {
  const int64_t whole = 1 << 24; // floats
  return floats > whole / 2 ? 1 : whole / floats;
}

// Its kernel goes into `source`. An update moves each element twice.
static void add_walk(Arena *arena, Step *steps, int step, int64_t floats, int64_t passes, int threads, Text *source) {
  bool is_update = step == NEAR_UPDATE || step == LAST_UPDATE || step == MEMORY_UPDATE;
  put_walk(source, step, is_update, floats, passes);
  steps[step] = steps[N_STEPS];
  steps[step].symbol = arena_printf(arena, "machine_walk_%d", step);
  steps[step].n_args = 2;
  steps[step].bytes = (is_update ? 8 : 4) * floats * passes * threads;
}

// The buffers are the memory to read and the results; the steps run one after the other.
static Program *make_program(Arena *arena, const Machine *machine, const char *cc_flags, int threads) {
  static const int args[] = {0, 1};
  static const int64_t offsets[] = {0, 0};
  Text source = {0};
  Program *program = ARENA_ARRAY(arena, Program, 1);
  Step *steps = ARENA_ARRAY(arena, Step, N_STEPS + 1), *fill = &steps[N_STEPS];
  int64_t all = piece_of(machine, MACHINE_LEVELS - 1, threads) * threads, result = (int64_t)RESULT * threads;
  text_put(&source, preamble);
  put_fill(&source, all / threads);
  put_fma(&source);
  *fill = (Step){.symbol = "machine_fill", .n_args = 1, .arg_buffer = args, .arg_offset = offsets, .n_tasks = threads};
  steps[FMA] = *fill;
  steps[FMA].symbol = "machine_fma";
  steps[FMA].arg_buffer = args + 1;
  steps[FMA].flops = fma_flops * threads;
  for (int level = 0; level < MACHINE_LEVELS; level++) {
    int64_t floats = piece_of(machine, level, threads), passes = passes_of(floats);
    int step = step_of_level[level];
    if (step == LAST) add_walk(arena, steps, WARM, floats, 1, threads, &source);
    add_walk(arena, steps, step, floats, passes, threads, &source);
    add_walk(arena, steps, step + 1, floats, passes, threads, &source);
  }
  Buffer *buffers = ARENA_ARRAY(arena, Buffer, 2);
  buffers[0] = (Buffer){.kind = BUFFER_SLAB, .size = all};
  buffers[1] = (Buffer){.kind = BUFFER_SLAB, .size = result, .offset = all};
  *program = (Program){.arena = arena,
                       .name = "machine",
                       .target = "cpu",
                       .cc_flags = cc_flags,
                       .source = arena_strdup(arena, text_get(&source)),
                       .buffers = buffers,
                       .n_buffers = 2,
                       .setup = fill,
                       .n_setup = 1,
                       .steps = steps,
                       .n_steps = N_STEPS,
                       .slab = all + result};
  text_free(&source);
  return program;
}

Status machine_measure(Device *device, const char *cc_flags, Machine *out) {
  int threads = device_threads(device);
  *out = (Machine){0};
  out->level[0].bytes = threads * cpu_cache_bytes(2, 512 << 10);
  out->level[1].bytes = cpu_cache_bytes(3, out->level[0].bytes);
  if (out->level[1].bytes < out->level[0].bytes) out->level[1].bytes = out->level[0].bytes;
  out->level[2].bytes = INT64_MAX;
  Arena *arena = arena_new();
  Program *program = make_program(arena, out, cc_flags, threads);
  Exec *exec = NULL;
  double seconds[N_STEPS];
  Status status = exec_open(program, device, 0, &exec);
  for (int round = 0; round < ROUNDS && !status; round++) {
    status = exec_profile(exec, seconds);
    double flops = status ? 0 : (double)program->steps[FMA].flops / seconds[FMA];
    if (flops > out->flops) out->flops = flops;
    for (int i = 0; i < 2 * MACHINE_LEVELS && !status; i++) {
      int step = step_of_level[i / 2] + i % 2;
      double bandwidth = (double)program->steps[step].bytes / seconds[step], *best = &out->level[i / 2].bandwidth;
      if (bandwidth > *best) *best = bandwidth;
    }
  }
  exec_close(exec);
  arena_free(arena);
  return status_context(status, "measuring what this machine can do");
}

double machine_bound(const Machine *machine, int64_t flops, int64_t bytes, bool *by_memory) {
  double compute = (double)flops / machine->flops, moving = 0;
  int64_t near = 0; // bytes that the levels so far hold
  for (int i = 0; i < MACHINE_LEVELS && bytes > near; i++) {
    int64_t end = bytes < machine->level[i].bytes ? bytes : machine->level[i].bytes;
    if (end > near) moving += (double)(end - near) / machine->level[i].bandwidth;
    if (end > near) near = end;
  }
  *by_memory = moving > compute;
  return *by_memory ? moving : compute;
}

void machine_print_json(const Machine *machine, Text *out) {
  text_printf(out, "{\"gflops\":%.1f,\"gbytes\":%.1f,\"levels\":[", 1e-9 * machine->flops,
              1e-9 * machine->level[MACHINE_LEVELS - 1].bandwidth);
  for (int i = 0; i < MACHINE_LEVELS; i++) {
    text_put(out, i ? ",{\"bytes\":" : "{\"bytes\":");
    if (i == MACHINE_LEVELS - 1) text_put(out, "null");
    else text_printf(out, "%lld", (long long)machine->level[i].bytes);
    text_printf(out, ",\"gbytes\":%.1f}", 1e-9 * machine->level[i].bandwidth);
  }
  text_put(out, "]}");
}
