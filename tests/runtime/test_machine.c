// The roofline: which level moves which bytes, and what bounds a kernel; and that a machine can be measured at all.
#include "runtime/machine.h"

#include <stdlib.h>
#include <string.h>

#include "compiler/target.h"
#include "runtime/kernel_cache.h"
#include "tests/check.h"

static const Machine example = {.flops = 100, .level = {{1000, 10}, {5000, 5}, {INT64_MAX, 1}}};

static void check_bounds(void) {
  static const struct {
    int64_t flops, bytes;
    double seconds;
    bool by_memory;
  } cases[] = {{0, 0, 0, false},
               {200, 0, 2, false},
               {0, 500, 50, true},                           // all in the nearest cache
               {0, 3000, 100 + 2000 / 5., true},             // two thirds of it in the last one
               {0, 6000, 100 + 4000 / 5. + 1000 / 1., true}, // what no cache holds comes from memory
               {5000, 500, 50, false},                       // as long as moving
               {400000, 6000, 4000, false},
               {1000, 6000, 1900, true}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    bool by_memory = !cases[i].by_memory;
    double seconds = machine_bound(&example, cases[i].flops, cases[i].bytes, &by_memory);
    CHECK_NEAR(seconds, cases[i].seconds, 1e-9, "case %zu", i);
    CHECK(by_memory == cases[i].by_memory, "case %zu: bounded by %s", i, by_memory ? "memory" : "computing");
  }
  // No bound falls where a cache ends.
  double last = 0;
  for (int64_t bytes = 0; bytes < 7000; bytes += 50) {
    bool by_memory;
    double seconds = machine_bound(&example, 0, bytes, &by_memory);
    CHECK(seconds >= last, "%lld bytes take less than fewer", (long long)bytes);
    last = seconds;
  }
}

static void check_measured(void) {
  char *compiler = kernel_cache_compiler();
  Device *device = NULL;
  Machine machine = {0};
  if (!compiler) {
    CHECK_SKIP("measuring: no C compiler");
    return;
  }
  free(compiler);
  CHECK(!device_open_cpu(2, &device), "a device");
  Status status = machine_measure(device, target_host()->cc_flags, &machine);
  CHECK(!status, "%s", status_message(status));
  CHECK(machine.flops > 0, "no operations");
  for (int i = 0; i < MACHINE_LEVELS; i++) CHECK(machine.level[i].bandwidth > 0, "level %d moves nothing", i);
  CHECK(machine.level[0].bytes > 0 && machine.level[0].bytes <= machine.level[1].bytes, "sizes of caches");
  status_free(status);
  status = machine_measure(device, "-no-such-flag-of-any-compiler", &machine);
  CHECK(status_code(status) == EXIT_DEVICE && strstr(status_message(status), "measuring"), "a compiler that fails: %s",
        status_message(status));
  status_free(status);
  device_close(device);
}

static void check_json(void) {
  Text text = {0};
  Machine machine = example;
  machine.flops = 2e9;
  machine.level[2].bandwidth = 3e9;
  machine_print_json(&machine, &text);
  CHECK_TEXT(
      text_get(&text),
      "{\"gflops\":2.0,\"gbytes\":3.0,\"levels\":[{\"bytes\":1000,\"gbytes\":0.0},{\"bytes\":5000,\"gbytes\":0.0},"
      "{\"bytes\":null,\"gbytes\":3.0}]}",
      "JSON");
  text_free(&text);
}

int main(void) {
  check_bounds();
  check_measured();
  check_json();
  return check_report("machine");
}
