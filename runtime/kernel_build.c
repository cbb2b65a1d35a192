// Kernel build: splits the source, compiles the parts side by side, links, and reports what the compiler said.
#include "runtime/kernel_build.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/base/file.h"
#include "runtime/base/parallel.h"
#include "runtime/kernel_parts.h"
#include "runtime/program.h"

extern char **environ;

enum { MAX_PARTS = 16, PART_BYTES = 24 << 10, LOG_LINES = 12 };

// ---- commands -------------------------------------------------------------------------------------------------------

static void add_bytes(Command *command, const char *word, size_t n) {
  if (command->n + 1 >= command->capacity) {
    command->capacity = command->capacity ? 2 * command->capacity : 16;
    command->word = realloc(command->word, sizeof *command->word * (size_t)command->capacity);
    if (!command->word) BUG("out of memory");
  }
  char *copy = strndup(word, n);
  if (!copy) BUG("out of memory");
  command->word[command->n++] = copy;
  command->word[command->n] = NULL;
}

void command_add(Command *command, const char *word) { add_bytes(command, word, strlen(word)); }

void command_add_words(Command *command, const char *words) {
  while (*words) {
    size_t n = strcspn(words, " \t");
    if (n) add_bytes(command, words, n);
    words += n + strspn(words + n, " \t");
  }
}

void command_free(Command *command) {
  for (int i = 0; i < command->n; i++) free(command->word[i]);
  free(command->word);
  *command = (Command){0};
}

// Starts it with nothing to read and both outputs into the descriptor. Returns 0 or an error number.
static int command_start(const Command *command, int output, pid_t *pid) {
  posix_spawn_file_actions_t actions;
  int error = posix_spawn_file_actions_init(&actions);
  if (error) return error;
  if (!error) error = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  if (!error) error = posix_spawn_file_actions_adddup2(&actions, output, 1);
  if (!error) error = posix_spawn_file_actions_adddup2(&actions, output, 2);
  if (!error) error = posix_spawnp(pid, command->word[0], &actions, NULL, command->word, environ);
  posix_spawn_file_actions_destroy(&actions);
  return error;
}

// The wait status, or -1.
static int command_wait(pid_t pid) {
  int status;
  while (waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) return -1;
  }
  return status;
}

int command_capture(const Command *command, Text *out) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC)) return -1;
  pid_t pid;
  int error = command_start(command, ends[1], &pid);
  close(ends[1]);
  char buffer[4096];
  ssize_t n;
  while (!error && ((n = read(ends[0], buffer, sizeof buffer)) > 0 || (n < 0 && errno == EINTR)))
    if (n > 0) text_write(out, buffer, (size_t)n);
  close(ends[0]);
  if (error) return -1;
  int status = command_wait(pid);
  return status >= 0 && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

// ---- one compiler run ----------------------------------------------------------------------------------------------

// A run of the compiler under way, its output going to the file `log`.
typedef struct Run {
  Command command;
  char *log;
  pid_t pid;
  int error; // of starting it
} Run;

static void run_start(Run *run, const char *directory, const char *name) {
  if (asprintf(&run->log, "%s/%s.log", directory, name) < 0) BUG("out of memory");
  int fd = open(run->log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  run->error = fd < 0 ? errno : command_start(&run->command, fd, &run->pid);
  if (fd >= 0) close(fd);
}

static Status run_finish(Run *run, const char *directory) {
  Status status = STATUS_OK;
  const char *compiler = run->command.word[0];
  if (run->error) {
    status = status_make(EXIT_DEVICE, "cannot run the C compiler '%s': %s", compiler, strerror(run->error));
  } else {
    int ended = command_wait(run->pid);
    if (ended < 0 || !WIFEXITED(ended) || WEXITSTATUS(ended)) {
      Text log = {0};
      status_free(file_read(run->log, &log));
      if (ended >= 0 && WIFSIGNALED(ended))
        status = status_make(EXIT_DEVICE, "the C compiler '%s' was ended by signal %d (source kept in '%s')", compiler,
                             WTERMSIG(ended), directory);
      else
        status = status_make(EXIT_DEVICE, "the C compiler '%s' failed (source kept in '%s')%s%.*s", compiler, directory,
                             log.size ? ":\n" : "", text_head(text_get(&log), LOG_LINES), text_get(&log));
      text_free(&log);
    }
  }
  command_free(&run->command);
  free(run->log);
  return status;
}

// ---- splitting ---------------------------------------------------------------------------------------------------

// Begin of the kernel after `at`, or of the end of the text.
static const char *next_kernel(const char *at) {
  const char *next = *at ? strstr(at + 1, PROGRAM_KERNEL_MARK) : NULL;
  return next ? next : at + strlen(at);
}

// How many files to make of the source: as many as there are cores, unless it is small.
static int count_parts(const char *source, const char *first) {
  int n_kernels = 0;
  for (const char *at = first; *at; at = next_kernel(at)) n_kernels++;
  int parts = parallel_cores();
  int worth = 1 + (int)(strlen(source) / PART_BYTES);
  if (parts > worth) parts = worth;
  if (parts > n_kernels) parts = n_kernels;
  return parts < 1 ? 1 : parts > MAX_PARTS ? MAX_PARTS : parts;
}

// The kernels that part_of says belong to the part.
static Status write_part(const char *path, const char *source, const char *first, int part, const int *part_of) {
  Text text = {0};
  text_write(&text, source, (size_t)(first - source));
  int k = 0;
  for (const char *at = first, *next; *at; at = next, k++) {
    next = next_kernel(at);
    if (part_of[k] == part) text_write(&text, at, (size_t)(next - at));
  }
  text_put(&text, "\n");
  Status status = file_write(path, text_get(&text), text.size);
  text_free(&text);
  return status;
}

static Status write_parts(const char *source, const char *first, const char *directory, int parts) {
  Arena *arena = arena_new();
  int *part_of;
  kernel_parts_deal(source, parts, arena, &part_of);
  Status status = STATUS_OK;
  for (int i = 0; i < parts && !status; i++)
    status = write_part(arena_printf(arena, "%s/part%d.c", directory, i), source, first, i, part_of);
  arena_free(arena);
  return status;
}

static void add_path(Command *command, const char *directory, const char *name, const char *end) {
  char *path;
  if (asprintf(&path, "%s/%s%s", directory, name, end) < 0) BUG("out of memory");
  command_add(command, path);
  free(path);
}

static Command compiler_command(const char *compiler, const char *flags) {
  Command command = {0};
  command_add_words(&command, compiler);
  command_add_words(&command, flags);
  command_add_words(&command, "-w -pipe -fPIC");
  return command;
}

static Status link_parts(const char *compiler, const char *flags, const char *directory, int parts, const char *end) {
  Run run = {.command = compiler_command(compiler, flags)};
  command_add_words(&run.command, "-shared -o");
  add_path(&run.command, directory, "kernels", ".so");
  for (int i = 0; i < parts; i++) {
    char name[32];
    snprintf(name, sizeof name, "part%d", i);
    add_path(&run.command, directory, name, end);
  }
  command_add(&run.command, "-lm");
  run_start(&run, directory, "link");
  return run_finish(&run, directory);
}

Status kernel_build(const char *compiler, const char *flags, const char *source, const char *directory) {
  const char *first = strstr(source, PROGRAM_KERNEL_MARK);
  if (!first) first = source + strlen(source);
  int parts = count_parts(source, first);
  Status status = write_parts(source, first, directory, parts);
  if (status) return status;
  if (parts == 1) return link_parts(compiler, flags, directory, 1, ".c"); // one start of the compiler instead of two

  Run runs[MAX_PARTS];
  for (int i = 0; i < parts; i++) {
    char name[32];
    snprintf(name, sizeof name, "part%d", i);
    runs[i] = (Run){.command = compiler_command(compiler, flags)};
    command_add(&runs[i].command, "-c");
    add_path(&runs[i].command, directory, name, ".c");
    command_add(&runs[i].command, "-o");
    add_path(&runs[i].command, directory, name, ".o");
    run_start(&runs[i], directory, name);
  }
  Status first_error = STATUS_OK;
  for (int i = 0; i < parts; i++) {
    Status status = run_finish(&runs[i], directory);
    if (first_error) status_free(status);
    else first_error = status;
  }
  return first_error ? first_error : link_parts(compiler, flags, directory, parts, ".o");
}

// The whole source at once, into directory/kernels.s.
static Status make_assembly(const char *compiler, const char *flags, const char *source, const char *directory) {
  Run run = {.command = compiler_command(compiler, flags)};
  command_add_words(&run.command, "-S -o");
  add_path(&run.command, directory, "kernels", ".s");
  add_path(&run.command, directory, "kernels", ".c");
  Status status = file_write(run.command.word[run.command.n - 1], source, strlen(source));
  if (status) {
    command_free(&run.command);
    return status;
  }
  run_start(&run, directory, "kernels");
  return run_finish(&run, directory);
}

Status kernel_translate(const char *compiler, const char *flags, const char *source, bool is_assembly, Text *out) {
  const char *stated = getenv("TMPDIR");
  char *directory, *path;
  if (asprintf(&directory, "%s/sgcXXXXXX", stated && *stated ? stated : "/tmp") < 0) BUG("out of memory");
  Status status = STATUS_OK;
  if (!mkdtemp(directory)) {
    status = status_make(EXIT_DEVICE, "cannot make a directory '%s': %s", directory, strerror(errno));
    free(directory);
    return status;
  }
  status = (is_assembly ? make_assembly : kernel_build)(compiler, flags, source, directory);
  if (asprintf(&path, "%s/kernels.%s", directory, is_assembly ? "s" : "so") < 0) BUG("out of memory");
  if (!status) status = file_read(path, out);
  if (!status || status_code(status) == EXIT_DATA) kernel_build_remove(directory);
  free(path);
  free(directory);
  return status;
}

void kernel_build_remove(const char *directory) {
  DIR *listing = opendir(directory);
  if (!listing) return;
  for (struct dirent *entry; (entry = readdir(listing));) unlinkat(dirfd(listing), entry->d_name, 0);
  closedir(listing);
  rmdir(directory);
}
