// bench_kernels: the account of sgrun bench --per-kernel.
#include "tools/sgrun_bench_kernels.h"

#include <stdlib.h>
#include <string.h>

#include "compiler/target.h"
#include "runtime/base/clock.h"
#include "runtime/base/order.h"
#include "runtime/machine.h"

typedef struct Timed {
  const Step *step; // NULL: the sum
  double seconds, bound;
  bool by_memory;
  int64_t flops, bytes;
} Timed;

typedef struct Account {
  Arena *arena;
  const Machine *machine; // NULL: unknown
  int threads;
  Timed *kernels; // longest first
  int n;
  Timed total;
} Account;

static int by_seconds(const void *a, const void *b) {
  return order_of(((const Timed *)b)->seconds, ((const Timed *)a)->seconds);
}

static Status measure(Account *account, Exec *exec) {
  enum { LEAST_ROUNDS = 5, MOST_ROUNDS = 100 };
  const double enough = 0.3; // seconds
  const Program *program = exec_program(exec);
  double *seconds = ARENA_ARRAY(account->arena, double, program->n_steps + 1);
  account->n = program->n_steps;
  account->kernels = ARENA_ARRAY(account->arena, Timed, account->n + 1);
  double begin = clock_seconds();
  for (int round = 0; round < LEAST_ROUNDS || (round < MOST_ROUNDS && clock_seconds() - begin < enough); round++) {
    TRY(exec_profile(exec, seconds));
    for (int i = 0; i < account->n; i++)
      if (!round || seconds[i] < account->kernels[i].seconds) account->kernels[i].seconds = seconds[i];
  }
  double by_memory = 0;
  for (int i = 0; i < account->n; i++) {
    Timed *kernel = &account->kernels[i], *total = &account->total;
    kernel->step = &program->steps[i];
    kernel->flops = kernel->step->flops;
    kernel->bytes = kernel->step->bytes;
    if (account->machine)
      kernel->bound = machine_bound(account->machine, kernel->flops, kernel->bytes, &kernel->by_memory);
    if (kernel->by_memory) by_memory += kernel->bound;
    total->seconds += kernel->seconds;
    total->bound += kernel->bound;
    total->flops += kernel->flops;
    total->bytes += kernel->bytes;
  }
  account->total.by_memory = 2 * by_memory > account->total.bound;
  qsort(account->kernels, (size_t)account->n, sizeof *account->kernels, by_seconds);
  return STATUS_OK;
}

// Of a run without kernels, or where the clock did not tick, 0.
static double per(double amount, double seconds) { return seconds > 0 ? amount / seconds : 0; }

// ---- table ----------------------------------------------------------------------------------------------------------

static void put_machine(const Machine *machine, int threads, Text *out) {
  text_printf(out, "%d thread%s at best: %.1f GFLOP/s, and GB/s", threads, threads == 1 ? "" : "s",
              1e-9 * machine->flops);
  for (int i = 0; i < MACHINE_LEVELS; i++) {
    text_printf(out, "%s %.1f ", i ? "," : "", 1e-9 * machine->level[i].bandwidth);
    if (i == MACHINE_LEVELS - 1) text_put(out, "beyond\n");
    else text_printf(out, "up to %.1f MB", 1e-6 * (double)machine->level[i].bytes);
  }
}

static const char *name_of(const Step *step) { return step->label ? step->label : step->symbol; }

static void put_row(const Account *account, const Timed *timed, int width, Text *out) {
  text_printf(out, "%9.1f %9.1f %9.1f %7.1f", 1e6 * timed->seconds, per(1e-9 * (double)timed->flops, timed->seconds),
              per(1e-9 * (double)timed->bytes, timed->seconds), per(100 * timed->seconds, account->total.seconds));
  if (account->machine)
    text_printf(out, " %9.0f  %-7s", per(100 * timed->bound, timed->seconds), timed->by_memory ? "memory" : "compute");
  if (timed->step)
    text_printf(out, "  %-*s  %s\n", width, *timed->step->part ? timed->step->part : "-", name_of(timed->step));
  else text_printf(out, "  %-*s  %d kernels\n", width, "total", account->n);
}

static void put_table(const Account *account, Text *out) {
  int width = (int)strlen("total");
  for (int i = 0; i < account->n; i++) {
    int length = (int)strlen(account->kernels[i].step->part);
    if (length > width) width = length;
  }
  if (account->machine) put_machine(account->machine, account->threads, out);
  text_printf(out, "%9s %9s %9s %7s%s  %-*s  kernel\n", "us", "GFLOP/s", "GB/s", "% time",
              account->machine ? " % of roof  by     " : "", width, "part");
  for (int i = 0; i < account->n; i++) put_row(account, &account->kernels[i], width, out);
  put_row(account, &account->total, width, out);
}

// ---- JSON -----------------------------------------------------------------------------------------------------------

static void put_figures(const Account *account, const Timed *timed, Text *out) {
  text_printf(out, "\"ms\":%.6f,\"flops\":%lld,\"bytes\":%lld,\"gflops\":%.3f,\"gbytes\":%.3f", 1e3 * timed->seconds,
              (long long)timed->flops, (long long)timed->bytes, per(1e-9 * (double)timed->flops, timed->seconds),
              per(1e-9 * (double)timed->bytes, timed->seconds));
  if (account->machine)
    text_printf(out, ",\"bound_ms\":%.6f,\"bound\":\"%s\",\"roofline\":%.4f", 1e3 * timed->bound,
                timed->by_memory ? "memory" : "compute", per(timed->bound, timed->seconds));
  text_put(out, "}");
}

static void put_json(const Account *account, Text *out) {
  if (account->machine) {
    text_put(out, ",\"machine\":");
    machine_print_json(account->machine, out);
  }
  text_put(out, ",\"total\":{");
  put_figures(account, &account->total, out);
  text_put(out, ",\"per_kernel\":[");
  for (int i = 0; i < account->n; i++) {
    const Timed *timed = &account->kernels[i];
    text_put(out, i ? ",\n{\"part\":" : "\n{\"part\":");
    text_put_json(out, timed->step->part);
    text_put(out, ",\"kernel\":");
    text_put_json(out, name_of(timed->step));
    text_put(out, ",\"symbol\":");
    text_put_json(out, timed->step->symbol ? timed->step->symbol : "");
    text_put(out, ",");
    put_figures(account, timed, out);
  }
  text_put(out, "]");
}

ExitCode bench_kernels(const Cli *cli, Device *device, Exec *exec, bool is_json, Text *out) {
  Account account = {.arena = arena_new(), .threads = device_threads(device)};
  Machine machine;
  ExitCode code = EXIT_DONE;
  if (!strcmp(device->table->kind, "cpu") && exec_program(exec)->source) {
    code = cli_status(cli, machine_measure(device, target_host()->cc_flags, &machine));
    account.machine = &machine;
  }
  if (!code) code = cli_status(cli, measure(&account, exec));
  if (!code && is_json) put_json(&account, out);
  if (!code && !is_json) put_table(&account, out);
  arena_free(account.arena);
  return code;
}
