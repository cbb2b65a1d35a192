// sgrun_child: sgrun as a process of its own, so that a job that fails or is stopped leaves the others alone.
#ifndef SG_TOOLS_SGRUN_CHILD_H
#define SG_TOOLS_SGRUN_CHILD_H

#include <signal.h>

#include "runtime/base/status.h"

// Runs this program with `arguments` (ended by NULL, without the program's name) and waits for its end. Its stdout goes
// to the file `out_path`, or with its stderr to the end of `log_path` if out_path is NULL; stdin is empty. Once *stop
// is not 0 the child gets SIGINT, once, and is waited for: it saves and ends by itself. (The child is in a process
// group of its own, so that a terminal's Ctrl-C reaches it only this way.) If this process dies, the child gets
// SIGTERM. *out_exit is its exit status, EXIT_BUG if a signal ended it, EXIT_INTERRUPTED if that was the stop.
// EXIT_DEVICE if no process can be made, EXIT_DATA if a file cannot be written.
Status child_run(const char *const *arguments, const char *out_path, const char *log_path,
                 const volatile sig_atomic_t *stop, int *out_exit);

#endif
