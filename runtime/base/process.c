// Process: who holds a job, so that others can tell whether it still lives.
#include "runtime/base/process.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/file.h"

static void host_name(char out[256]) {
  memset(out, 0, 256);
  if (gethostname(out, 255) || !*out) snprintf(out, 256, "localhost");
}

static void boot_name(char out[64]) {
  Text text = {0};
  Status status = file_read("/proc/sys/kernel/random/boot_id", &text);
  snprintf(out, 64, "%.*s", (int)strcspn(text_get(&text), "\n"), text_get(&text));
  if (status || !*out) snprintf(out, 64, "unknown");
  status_free(status);
  text_free(&text);
}

// Field 22 of /proc/PID/stat (proc(5)), in clock ticks after the boot; -1 where there is no such process, or none that
// could still do anything.
static long long start_time(long pid) {
  char path[64], state = 0;
  long long start = -1;
  Text text = {0};
  snprintf(path, sizeof path, "/proc/%ld/stat", pid);
  Status status = file_read(path, &text);
  const char *behind_name = status ? NULL : strrchr(text_get(&text), ')'); // the name may hold anything
  if (behind_name &&
      sscanf(behind_name + 1, " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %lld",
             &state, &start) != 2)
    start = -1;
  status_free(status);
  text_free(&text);
  return state == 'Z' || state == 'X' ? -1 : start;
}

void process_self(char out[PROCESS_TEXT]) {
  char host[256], boot[64];
  host_name(host);
  boot_name(boot);
  snprintf(out, PROCESS_TEXT, "%s %s %ld %lld", host, boot, (long)getpid(), start_time((long)getpid()));
}

bool process_is_alive(const char *text) {
  char host[256], boot[64], their_host[256], their_boot[64];
  long pid;
  long long start;
  if (sscanf(text, "%255s %63s %ld %lld", their_host, their_boot, &pid, &start) != 4) return false;
  host_name(host);
  boot_name(boot);
  if (strcmp(host, their_host)) return true;
  return !strcmp(boot, their_boot) && start_time(pid) == start;
}
