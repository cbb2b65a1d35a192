// common_device: names of devices.
#include "tools/common_device.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/cuda_device.h"

// Which option speaks, and what it says.
typedef struct Naming {
  const Cli *cli;
  const char *text;
  bool is_list;
} Naming;

static ExitCode bad_names(const Naming *naming) {
  if (!naming->is_list)
    return cli_fail(naming->cli, EXIT_USAGE, "there is no device '%s'; there are cpu, cuda, cuda:0, cuda:1 ...",
                    naming->text);
  return cli_fail(naming->cli, EXIT_USAGE,
                  "option '--devices' needs cpu or cuda, with numbers such as :0-3 or :0,2, not '%s'", naming->text);
}

static ExitCode add_number(const Naming *naming, long number, DeviceNames *out) {
  for (int i = 0; i < out->n; i++)
    if (out->number[i] == number)
      return cli_fail(naming->cli, EXIT_USAGE, "device %ld stands twice in '%s'", number, naming->text);
  if (out->n == DEVICES_MAX) return bad_names(naming);
  out->number[out->n++] = (int)number;
  return EXIT_DONE;
}

// ":0-3,5".
static ExitCode parse_numbers(const Naming *naming, const char *at, DeviceNames *out) {
  enum { MOST = 65535 };
  if (*at != ':') return bad_names(naming);
  out->has_numbers = true;
  out->n = 0;
  while (*at) {
    char *end;
    long first = strtol(at + 1, &end, 10), last = first;
    if (end == at + 1 || first < 0 || first > MOST) return bad_names(naming);
    at = end;
    if (*at == '-') {
      last = strtol(at + 1, &end, 10);
      if (end == at + 1) return bad_names(naming);
      at = end;
    }
    if (last < first || last - first >= DEVICES_MAX || (*at && *at != ',')) return bad_names(naming);
    for (long k = first; k <= last; k++) {
      ExitCode code = add_number(naming, k, out);
      if (code) return code;
    }
  }
  return EXIT_DONE;
}

ExitCode device_names(const Cli *cli, DeviceNames *out) {
  const char *list = cli_option(cli, "devices"), *one = cli_option(cli, "device"), *target = cli_option(cli, "target");
  Naming naming = {cli, list ? list : one, list != NULL};
  *out = (DeviceNames){.n = 1, .is_cuda = target && !strncmp(target, "cuda", 4)};
  if (list && one) return cli_fail(cli, EXIT_USAGE, "say either --device or --devices");
  if (!naming.text) return EXIT_DONE;
  out->is_cuda = !strncmp(naming.text, "cuda", 4);
  if (!out->is_cuda && strncmp(naming.text, "cpu", 3)) return bad_names(&naming);
  const char *numbers = naming.text + (out->is_cuda ? 4 : 3);
  ExitCode code = *numbers ? parse_numbers(&naming, numbers, out) : EXIT_DONE;
  if (code) return code;
  if (out->n > 1 && !list)
    return cli_fail(cli, EXIT_USAGE, "--device names one device, not '%s'; where there may be several: --devices", one);
  if (target && out->is_cuda != !strncmp(target, "cuda", 4))
    return cli_fail(cli, EXIT_USAGE, "kernels for the target '%s' do not run on --device%s %s", target, list ? "s" : "",
                    naming.text);
  return EXIT_DONE;
}

static void print_notice(void *context, const char *text) {
  (void)context;
  fprintf(stderr, "note: %s\n", text);
}

ExitCode device_open_named(const Cli *cli, const DeviceNames *names, int i, int threads, Device **out) {
  ExitCode code =
      cli_status(cli, names->is_cuda ? device_open_cuda(names->number[i], out) : device_open_cpu(threads, out));
  if (!code) (*out)->notice = i ? NULL : print_notice;
  return code;
}
