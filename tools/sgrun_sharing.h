// sgrun_sharing: things worked on by several devices at once, whose results are taken in their order.
#ifndef SG_TOOLS_SGRUN_SHARING_H
#define SG_TOOLS_SGRUN_SHARING_H

#include <signal.h>
#include <stdint.h>

#include "tools/cli.h"

typedef struct Sharing {
  int64_t n; // things, 0 .. n-1
  void *context;
  // Works on one thing: by a thread for each device, which takes the next thing whenever it has done one.
  void (*work)(void *context, int device, int64_t i);
  // Takes what became of a thing: in the order of things whatever the devices, by one thread at a time. An error ends
  // it all: what was begun is finished, but not taken.
  ExitCode (*take)(void *context, int64_t i);
  const volatile sig_atomic_t *stop; // nothing more is begun once it is set; may be NULL
} Sharing;

// With one device nothing but the caller's thread. Returns the error of the first thing that had one.
ExitCode share_out(const Cli *cli, const Sharing *sharing, int devices);

#endif
