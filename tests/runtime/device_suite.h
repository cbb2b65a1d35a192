// The conformance suite of devices: memory, programs through Exec, overlapping runs, all-reduce.
#ifndef SG_TESTS_DEVICE_SUITE_H
#define SG_TESTS_DEVICE_SUITE_H

#include "runtime/exec.h"
#include "tests/check.h"

// What depends on the kind of device.
typedef struct DeviceSuite {
  const char *target, *source; // of programs
  Step doubles;                // arg[1][i] += 2 * arg[0][i] for i < N, through scratch: all but arguments and label
  // Stands for devices that together hold twice what this one holds: the sum is three times its values, the maximum
  // two times.
  Status (*tripled)(Collective *collective, CollectiveLane lane, bool is_max, const float *from, float *to,
                    int64_t floats, void *queue);
} DeviceSuite;

enum { N = 5000 };
static const int args[2] = {0, 1};
static const int64_t offsets[2] = {0, 0};

// output "y" += 2 * input "x" where "y" was zero; w is a parameter that a setup step doubles into "s", unused.
static Program make_program(const DeviceSuite *suite, Buffer *buffers, Step *steps) {
  buffers[0] = (Buffer){.kind = BUFFER_INPUT, .name = "x", .shape = SHAPE(N), .size = N};
  buffers[1] = (Buffer){.kind = BUFFER_OUTPUT, .name = "y", .shape = SHAPE(N), .size = N, .offset = 5056};
  buffers[2] = (Buffer){.kind = BUFFER_PARAM, .name = "w", .shape = SHAPE(3), .size = 3, .offset = 10112, .init_a = 7};
  steps[0] = suite->doubles;
  steps[0].n_args = 2;
  steps[0].n_read = 1;
  steps[0].arg_buffer = args;
  steps[0].arg_offset = offsets;
  steps[0].label = "double test.net:7";
  return (Program){.name = "p",
                   .target = suite->target,
                   .cc_flags = "",
                   .source = suite->source,
                   .buffers = buffers,
                   .n_buffers = 3,
                   .steps = steps,
                   .n_steps = 1,
                   .persistent = 10176};
}

static void check_memory(Device *device, const char *name) {
  float *memory = NULL, values[100], back[100];
  Status status = device->table->alloc(device, 1 << 20, &memory);
  CHECK(!status && (uintptr_t)memory % 64 == 0, "%s: %s", name, status_message(status));
  status = device->table->download(device, back, memory + 777, 100);
  int n_set = 0;
  for (int i = 0; i < 100; i++) {
    n_set += back[i] != 0;
    values[i] = (float)i;
  }
  CHECK(!status && !n_set, "%s: memory does not start as zeros", name);
  CHECK(!device->table->upload(device, memory + 3, values, 100), "%s: upload", name);
  CHECK(!device->table->download(device, back, memory + 3, 100), "%s: download", name);
  CHECK(!memcmp(values, back, sizeof back), "%s: values change on the way", name);
  device->table->free(device, memory);
  device->table->free(device, NULL);
  status = device->table->alloc(device, INT64_MAX / 8, &memory);
  CHECK(status_code(status) == EXIT_DEVICE, "%s: gave memory that cannot be", name);
  status_free(status);
}

// Inputs that are written or sent while a run is under way are those of the next run.
static void check_overlap(Exec *exec, const char *name) {
  float *x = exec_input(exec, "x");
  const float *y = exec_output(exec, "y");
  float before = y[7], expected[4];
  x[7] = 1;
  bool is_done = !exec_start(exec);
  // Where host and device share memory, the next inputs may be written only when the run is done, which it is.
  x[7] = 10;
  is_done = is_done && !exec_send(exec) && !exec_finish(exec);
  expected[0] = before + 2;
  CHECK(is_done && y[7] == expected[0], "%s: the first of overlapping runs gives %g, not %g", name, (double)y[7],
        (double)expected[0]);
  is_done = !exec_start(exec);
  x[7] = 100;
  is_done = is_done && !exec_finish(exec);
  expected[1] = before + 22;
  CHECK(is_done && y[7] == expected[1], "%s: a run after a send gives %g, not %g", name, (double)y[7],
        (double)expected[1]);
  expected[2] = before + 222;
  CHECK(!exec_run(exec) && y[7] == expected[2], "%s: a run without a send gives %g, not %g", name, (double)y[7],
        (double)expected[2]);
}

static Status lost(Collective *collective, CollectiveLane lane, bool is_max, const float *from, float *to,
                   int64_t floats, void *queue) {
  (void)collective, (void)lane, (void)is_max, (void)from, (void)to, (void)floats, (void)queue;
  return status_make(EXIT_PEER, "rank 3 is gone");
}

static void check_all_reduce(const DeviceSuite *suite, Device *device, const char *name) {
  Buffer buffers[3];
  Step steps[1];
  Program program = make_program(suite, buffers, steps);
  steps[0] = (Step){.kind = STEP_ALL_REDUCE,
                    .symbol = "sum",
                    .n_args = 2,
                    .n_read = 1,
                    .arg_buffer = args,
                    .arg_offset = offsets,
                    .n_tasks = N};
  Collective three = {.all_reduce = suite->tripled}, broken = {.all_reduce = lost};
  for (int is_max = 0; is_max < 2; is_max++) {
    Exec *exec = NULL;
    if (is_max) steps[0].symbol = "max";
    Status status = exec_open(&program, device, 1, &exec);
    CHECK(!status, "%s: %s", name, status_message(status));
    if (status) return;
    float *x = exec_input(exec, "x");
    const float *y = exec_output(exec, "y");
    for (int i = 0; i < N; i++) x[i] = (float)i;
    CHECK(!exec_run(exec) && y[N - 1] == N - 1, "%s: alone, the sum is %g", name, (double)y[N - 1]);
    device->collective = &three;
    CHECK(!exec_run(exec) && y[N - 1] == (is_max ? 2 : 3) * (N - 1), "%s: together, the sum is %g", name,
          (double)y[N - 1]);
    device->collective = &broken;
    status = exec_run(exec);
    CHECK(status_code(status) == EXIT_PEER, "%s: a lost rank: %s", name, status_message(status));
    status_free(status);
    device->collective = NULL;
    exec_close(exec);
  }
}

static void check_exec(const DeviceSuite *suite, Device *device, const char *name) {
  Buffer buffers[3];
  Step steps[1];
  Program program = make_program(suite, buffers, steps);
  Exec *exec = NULL;
  Status status = exec_open(&program, device, 1, &exec);
  CHECK(!status, "%s: %s", name, status_message(status));
  if (status) return;
  float *x = exec_input(exec, "x"), w[3] = {0};
  const float *y = exec_output(exec, "y");
  for (int i = 0; i < N; i++) x[i] = (float)i;
  int n_wrong = 0;
  for (int run = 1; run <= 20; run++) {
    CHECK(!exec_run(exec), "%s: run %d", name, run);
    for (int i = 0; i < N; i++) n_wrong += y[i] != 2.0f * (float)i * (float)run;
  }
  CHECK(!n_wrong, "%s: %d wrong elements", name, n_wrong);
  CHECK(!exec_get(exec, "w", w) && w[0] == 7 && w[2] == 7, "%s: first values", name);
  w[1] = 3;
  CHECK(!exec_set(exec, "w", w) && !exec_get(exec, "w", w) && w[1] == 3, "%s: set and get", name);
  CHECK(exec_memory(exec) >= 10176 * 4 + 40, "%s: holds %lld bytes", name, (long long)exec_memory(exec));
  check_overlap(exec, name);
  exec_close(exec);
  check_all_reduce(suite, device, name);

  steps[0].function = NULL;
  steps[0].symbol = "missing";
  status = exec_open(&program, device, 1, &exec);
  CHECK(status_code(status) == EXIT_DEVICE && strstr(status_message(status), "missing"),
        "%s: a kernel that is not there: %s", name, status_message(status));
  status_free(status);
  steps[0].function = suite->doubles.function;
  steps[0].symbol = suite->doubles.symbol;
  program.slab = (int64_t)1 << 50;
  status = exec_open(&program, device, 1, &exec);
  CHECK(status_code(status) == EXIT_DEVICE, "%s: opened what does not fit", name);
  status_free(status);
}

#endif
