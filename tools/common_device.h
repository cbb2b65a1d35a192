// common_device: the devices that a command line names, and opening them.
#ifndef SG_TOOLS_COMMON_DEVICE_H
#define SG_TOOLS_COMMON_DEVICE_H

#include <stdbool.h>

#include "runtime/device.h"
#include "tools/cli.h"

enum { DEVICES_MAX = 256 };

typedef struct DeviceNames {
  bool is_cuda;
  bool has_numbers; // else n = 1: the GPU that there is, or the CPU
  int n;
  int number[DEVICES_MAX]; // of GPUs; those of CPU devices only tell them apart
} DeviceNames;

// What --devices or --device says, else what --target means: "cuda:0-3", "cuda:0,2", "cuda", "cpu:0-1", "cpu";
// --device names one. EXIT_USAGE after saying what is wrong, a target of another kind included. GPUs are not looked
// for.
ExitCode device_names(const Cli *cli, DeviceNames *out);

// Opens the i-th of them, a CPU with that many threads (0 = all that the process may use). Notices of the first go to
// stderr. device_close ends it.
ExitCode device_open_named(const Cli *cli, const DeviceNames *names, int i, int threads, Device **out);

#endif
