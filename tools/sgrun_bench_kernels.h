// bench_kernels: how long each kernel takes, and how close that comes to what the machine can do.
#ifndef SG_TOOLS_SGRUN_BENCH_KERNELS_H
#define SG_TOOLS_SGRUN_BENCH_KERNELS_H

#include "runtime/exec.h"
#include "tools/cli.h"

// Times each step of a loaded program, the least of several runs, and measures the machine where that can be done (CPU
// kernels). Appends a table, the longest kernel first and the sum last, or, with `is_json`, the members
//   ,"machine":{..},"total":{KERNEL},"per_kernel":[{"part":..,"kernel":..,"symbol":..,KERNEL},..]
// of an object, KERNEL being ms, flops, bytes, gflops, gbytes and, where the machine is known, bound_ms, bound
// ("compute" or "memory") and roofline, bound_ms as a share of ms. The sum's bound is the sum of the kernels'.
ExitCode bench_kernels(const Cli *cli, Device *device, Exec *exec, bool is_json, Text *out);

#endif
