// machine THREADS: what this machine can do at best, as JSON for bench.py.
#include "runtime/machine.h"

#include <stdio.h>
#include <stdlib.h>

#include "compiler/target.h"

int main(int argc, char **argv) {
  Device *device = NULL;
  Machine machine;
  Status status = device_open_cpu(argc > 1 ? atoi(argv[1]) : 1, &device);
  if (!status) status = machine_measure(device, target_host()->cc_flags, &machine);
  if (status) {
    fprintf(stderr, "machine: %s\n", status_message(status));
    return (int)status_code(status);
  }
  Text text = {0};
  machine_print_json(&machine, &text);
  printf("%s\n", text_get(&text));
  text_free(&text);
  device_close(device);
  return EXIT_DONE;
}
