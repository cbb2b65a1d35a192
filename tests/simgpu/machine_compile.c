// C text becomes a shared library, by the host's compiler, once: the cache goes by the content of all that it depends
// on.
#include "runtime/base/hash.h"
#include "tests/simgpu/kernel_text.h"
#include "tests/simgpu/machine_run.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

// Part of the names of files in the making, so that neither threads nor processes meet.
static void unique(char out[40]) {
  static unsigned number;
  snprintf(out, 40, "%d.%u", (int)getpid(), __atomic_fetch_add(&number, 1, __ATOMIC_RELAXED));
}

static const char *const flags[] = {"-std=gnu11",
                                    "-O1",
                                    "-fcaller-saves",
                                    "-w",
                                    "-shared",
                                    "-fPIC",
                                    "-march=native",
                                    "-ffp-contract=off",
                                    "-fwrapv",
                                    "-fno-math-errno",
                                    "-fno-trapping-math",
                                    "-fno-strict-aliasing"};
enum { N_FLAGS = sizeof flags / sizeof *flags };

static void make_directories(const char *path) {
  char part[512];
  snprintf(part, sizeof part, "%s", path);
  for (char *s = part + 1; *s; s++)
    if (*s == '/') {
      *s = 0;
      mkdir(part, 0777);
      *s = '/';
    }
  mkdir(part, 0777);
}

static void cache_directory(char out[400]) {
  const char *set = getenv("SIMGPU_CACHE"), *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
  if (set && *set) snprintf(out, 400, "%s", set);
  else if (xdg && *xdg) snprintf(out, 400, "%s/simgpu", xdg);
  else snprintf(out, 400, "%s/.cache/simgpu", home && *home ? home : "/tmp");
}

// What this host's processor can do: code for another one must not be taken from a shared cache.
static Hash host_hash(void) {
  char line[4096];
  Hash hash = hash_bytes("", 0);
  FILE *file = fopen("/proc/cpuinfo", "r");
  while (file && fgets(line, sizeof line, file))
    if (!strncmp(line, "flags", 5) || !strncmp(line, "Features", 8)) {
      hash = hash_bytes(line, strlen(line));
      break;
    }
  if (file) fclose(file);
  return hash;
}

static const char *compiler(void) {
  const char *set = getenv("SIMGPU_CC");
  return set && *set ? set : "cc";
}

static bool write_file(const char *path, const char *text) {
  char temporary[600], mine[40];
  unique(mine);
  snprintf(temporary, sizeof temporary, "%s.%s", path, mine);
  FILE *file = fopen(temporary, "w");
  if (!file) return false;
  bool good = fputs(text, file) >= 0;
  good = !fclose(file) && good;
  return good && !rename(temporary, path);
}

// Runs the compiler; its messages go to `log`.
static bool run_compiler(char *const *arguments, const char *log) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 1, log, O_WRONLY | O_CREAT | O_TRUNC, 0666);
  posix_spawn_file_actions_adddup2(&actions, 1, 2);
  pid_t child;
  int error = posix_spawnp(&child, arguments[0], &actions, NULL, arguments, environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error) return false;
  int status;
  while (waitpid(child, &status, 0) < 0)
    if (errno != EINTR) return false;
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void first_line(const char *path, char *out, size_t n_out) {
  FILE *file = fopen(path, "r");
  if (!file || !fgets(out, (int)n_out, file)) snprintf(out, n_out, "it cannot be started");
  out[strcspn(out, "\n")] = 0;
  if (file) fclose(file);
}

// Names the cached library of a text in a mode, and the folder of the headers it includes.
static void name_files(const char *text, int mode, const char *directory, char headers[460], char path[512]) {
  char name[HASH_TEXT];
  Hash header_hash = hash_bytes("", 0);
  for (int k = 0; k < SIM_HEADERS; k++)
    header_hash = hash_combine(header_hash, hash_bytes(sim_headers[k].text, strlen(sim_headers[k].text)));
  hash_text(header_hash, name);
  snprintf(headers, 460, "%s/include-%s", directory, name);
  Hash hash = hash_combine(hash_combine(hash_bytes(text, strlen(text)), header_hash), host_hash());
  for (int k = 0; k < N_FLAGS; k++) hash = hash_combine(hash, hash_bytes(flags[k], strlen(flags[k])));
  hash = hash_combine(hash, hash_bytes(compiler(), strlen(compiler())));
  hash = hash_combine(hash, hash_bytes(&mode, sizeof mode));
  hash_text(hash, name);
  snprintf(path, 512, "%s/%s.so", directory, name);
}

static bool write_headers(const char *headers, char *why, size_t n_why) {
  make_directories(headers);
  for (int k = 0; k < SIM_HEADERS; k++) {
    char header[512];
    snprintf(header, sizeof header, "%s/%s", headers, sim_headers[k].name);
    if (access(header, R_OK) && !write_file(header, sim_headers[k].text)) {
      snprintf(why, n_why, "cannot write %s: %s", header, strerror(errno));
      return false;
    }
  }
  return true;
}

bool compile_cached(const char *text, int mode, char path[512], char *why, size_t n_why) {
  char directory[400], headers[460], source[560], temporary[560], log[560], mine[40];
  cache_directory(directory);
  name_files(text, mode, directory, headers, path);
  if (!access(path, R_OK)) return true;
  if (!write_headers(headers, why, n_why)) return false;
  unique(mine);
  snprintf(source, sizeof source, "%s.%s.c", path, mine);
  snprintf(temporary, sizeof temporary, "%s.%s.tmp", path, mine);
  snprintf(log, sizeof log, "%s.%s.log", path, mine);
  if (!write_file(source, text)) {
    snprintf(why, n_why, "cannot write %s: %s", source, strerror(errno));
    return false;
  }
  char include[480], races[32], counts[32], quick[32];
  snprintf(include, sizeof include, "-I%s", headers);
  snprintf(races, sizeof races, "-DSIM_RACES=%d", mode & 1);
  snprintf(counts, sizeof counts, "-DSIM_COUNTS=%d", mode >> 1 & 1);
  snprintf(quick, sizeof quick, "-DSIM_QUICK=%d", !(mode >> 2));
  const char *arguments[N_FLAGS + 10] = {compiler()};
  int n = 1;
  for (int k = 0; k < N_FLAGS; k++) arguments[n++] = flags[k];
  const char *rest[] = {races, counts, quick, include, source, "-o", temporary, "-lm"};
  for (size_t k = 0; k < sizeof rest / sizeof *rest; k++) arguments[n++] = rest[k];
  bool good = run_compiler((char *const *)arguments, log);
  if (good) good = !rename(temporary, path);
  if (!good) {
    char message[300];
    first_line(log, message, sizeof message);
    snprintf(why, n_why, "%s failed on %s: %s", compiler(), source, message);
  } else if (!getenv("SIMGPU_KEEP")) {
    unlink(source);
  }
  unlink(log);
  return good;
}
