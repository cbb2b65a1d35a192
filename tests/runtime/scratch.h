// A folder of a test's own, gone when the test ends.
#ifndef SG_TESTS_SCRATCH_H
#define SG_TESTS_SCRATCH_H

#include <stdio.h>
#include <stdlib.h>

static char scratch_folder[256];

static void scratch_remove(void) {
  char command[300];
  snprintf(command, sizeof command, "rm -rf '%s'", scratch_folder);
  if (system(command)) fprintf(stderr, "cannot remove %s\n", scratch_folder);
}

// The path of a file in the folder; one of four buffers in turn.
static inline const char *scratch_path(const char *name) {
  static char path[4][512];
  static int turn;
  if (!*scratch_folder) {
    const char *base = getenv("TMPDIR");
    snprintf(scratch_folder, sizeof scratch_folder, "%s/sg-test-XXXXXX", base ? base : "/tmp");
    if (!mkdtemp(scratch_folder)) exit(70);
    atexit(scratch_remove);
  }
  turn = (turn + 1) % 4;
  snprintf(path[turn], sizeof path[turn], "%s/%s", scratch_folder, name);
  return path[turn];
}

#endif
