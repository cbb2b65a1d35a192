// Kernel build: runs the host's C compiler, without a shell.
#ifndef SG_KERNEL_BUILD_H
#define SG_KERNEL_BUILD_H

#include <stdbool.h>

#include "runtime/base/status.h"
#include "runtime/base/text.h"

// A command line: words for posix_spawn. All strings are owned.
typedef struct Command {
  char **word; // ends with NULL
  int n, capacity;
} Command;

void command_add(Command *command, const char *word);
void command_add_words(Command *command, const char *words); // split at spaces
void command_free(Command *command);
// Runs it and appends what it prints to `out`. Returns its exit status, or -1 if it could not be run.
int command_capture(const Command *command, Text *out);

// Writes the source into `directory` as one or several files, compiles and links them into directory/kernels.so.
Status kernel_build(const char *compiler, const char *flags, const char *source, const char *directory);
// What the compiler makes of the source, appended to `out`: assembly, or a shared object. Nothing is kept but the
// source where the compiler fails.
Status kernel_translate(const char *compiler, const char *flags, const char *source, bool is_assembly, Text *out);
// Removes the directory and the files in it. It must be one made for kernel_build.
void kernel_build_remove(const char *directory);

#endif
