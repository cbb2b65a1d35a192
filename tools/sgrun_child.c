// sgrun_child: sgrun as a process of its own.
#include "tools/sgrun_child.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX_ARGUMENTS = 256, POLL_MS = 50 };

// In the child: never returns.
static _Noreturn void become(const char *const *arguments, int out, int log, pid_t parent) {
  const char *argv[MAX_ARGUMENTS + 2] = {"sgrun"};
  for (int i = 0; arguments[i]; i++) argv[i + 1] = arguments[i];
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (getppid() != parent) _exit(EXIT_PEER);
  setpgid(0, 0);
  signal(SIGINT, SIG_DFL);
  signal(SIGTERM, SIG_DFL);
  int none = open("/dev/null", O_RDONLY);
  if (none < 0 || dup2(none, 0) < 0 || dup2(out, 1) < 0 || dup2(log, 2) < 0) _exit(EXIT_DEVICE);
  execv("/proc/self/exe", (char *const *)(uintptr_t)argv);
  _exit(EXIT_DEVICE);
}

static Status open_log(const char *path, int flags, int *out) {
  *out = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0666);
  return *out >= 0 ? STATUS_OK : status_make(EXIT_DATA, "cannot write '%s': %s", path, strerror(errno));
}

static int wait_for(pid_t child, const volatile sig_atomic_t *stop) {
  bool is_told = false;
  int status;
  for (;;) {
    pid_t done = waitpid(child, &status, WNOHANG);
    if (done == child) break;
    if (done < 0 && errno != EINTR) return EXIT_BUG;
    if (stop && *stop && !is_told) {
      kill(child, SIGINT);
      is_told = true;
    }
    nanosleep(&(struct timespec){0, POLL_MS * 1000000L}, NULL);
  }
  if (is_told && WIFSIGNALED(status)) return EXIT_INTERRUPTED; // a command with nothing to save
  return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_BUG;
}

Status child_run(const char *const *arguments, const char *out_path, const char *log_path,
                 const volatile sig_atomic_t *stop, int *out_exit) {
  int n = 0, log = -1, out = -1;
  while (arguments[n]) n++;
  if (n > MAX_ARGUMENTS) return status_make(EXIT_USAGE, "more than %d arguments", MAX_ARGUMENTS);
  TRY(open_log(log_path, O_APPEND, &log));
  Status status = out_path ? open_log(out_path, O_TRUNC, &out) : STATUS_OK;
  pid_t parent = getpid(), child = status ? -1 : fork();
  if (child == 0) become(arguments, out_path ? out : log, log, parent);
  if (!status && child < 0) status = status_make(EXIT_DEVICE, "no process could be made: %s", strerror(errno));
  if (!status) *out_exit = wait_for(child, stop);
  if (out >= 0) close(out);
  close(log);
  return status;
}
