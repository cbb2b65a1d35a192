// common_tuning: the file of measured schedules.
#include "tools/common_tuning.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "compiler/kernel/kernel.h"
#include "runtime/base/file.h"
#include "runtime/base/parallel.h"
#include "runtime/kernel_cache.h"

bool tuning_path(Text *out) {
  if (!kernel_cache_directory(out)) return false;
  text_put(out, "/tuned.txt");
  return true;
}

void tuning_context(const Cli *cli, const Target *target, Text *out) {
  Text preamble = {0};
  Hash hash = {0};
  int64_t threads = cli_integer(cli, "threads", 0, 0, 1024);
  kernel_preamble(target, &preamble);
  kernel_cache_context(text_get(&preamble), target->cc_flags, &hash);
  text_printf(out, "%s/%" PRId64 "/%016" PRIx64, target->name, threads ? threads : (int64_t)parallel_cores(),
              hash.high);
  text_free(&preamble);
}

// The file's text, "" where there is none.
static ExitCode read_results(const Cli *cli, const char *path, Text *out) {
  return file_exists(path) ? cli_status(cli, file_read(path, out)) : EXIT_DONE;
}

static void say_reading(const Cli *cli, const char *path, const TuningReading *reading) {
  if (reading->is_other) cli_say(cli, "note: '%s' holds no tuned schedules of this version and is not used", path);
  if (reading->n_broken) cli_say(cli, "note: %d lines of '%s' are broken and not used", reading->n_broken, path);
  if (reading->n_foreign && !reading->n_taken)
    cli_say(cli, "note: the %d results in '%s' are of another machine, compiler, number of threads or version",
            reading->n_foreign, path);
}

ExitCode tuning_load(const Cli *cli, Arena *arena, const Target **target) {
  if (cli_flag(cli, "exact", false))
    return cli_fail(cli, EXIT_USAGE, "--tuned may change how sums are rounded, which --exact forbids");
  if ((*target)->kind != TARGET_CPU) {
    cli_say(cli, "note: --tuned: there are tuned schedules for the CPU alone");
    return EXIT_DONE;
  }
  Target *tuned = arena_memdup(arena, *target, sizeof **target);
  tuned->tuning = tuning_new(arena);
  Text path = {0}, text = {0}, context = {0};
  ExitCode code = tuning_path(&path) ? read_results(cli, text_get(&path), &text) : EXIT_DONE;
  tuning_context(cli, *target, &context);
  TuningReading reading = tuning_read(tuned->tuning, text_get(&context), text_get(&text));
  if (!code) say_reading(cli, text_get(&path), &reading);
  text_free(&path);
  text_free(&text);
  text_free(&context);
  *target = tuned;
  return code;
}

void tuning_say(const Cli *cli, const Target *target, const char *model) {
  if (target && target->tuning && !tuning_used(target->tuning))
    cli_say(cli, "note: --tuned: nothing that was tuned fits %s as it is compiled here; 'sgc tune' looks for it",
            model);
}

// Makes the directory of the results and waits until nobody else changes them: what was read stays true until it is
// written. Holds until the descriptor is closed; -1 where files cannot be locked, which is no reason to lose results.
static ExitCode lock_results(const Cli *cli, const char *path, int *out_lock) {
  char *directory = strndup(path, (size_t)(strrchr(path, '/') - path));
  if (!directory) BUG("out of memory");
  ExitCode code = cli_status(cli, file_make_directory(directory));
  *out_lock = code ? -1 : open(directory, O_RDONLY | O_CLOEXEC);
  while (*out_lock >= 0 && flock(*out_lock, LOCK_EX) && errno == EINTR) continue;
  free(directory);
  return code;
}

ExitCode tuning_save(const Cli *cli, const Target *target, const TuningResult *found, int n) {
  Text path = {0}, text = {0}, context = {0}, out = {0};
  Arena *arena = arena_new();
  Tuning *tuning = tuning_new(arena);
  int lock = -1;
  ExitCode code = EXIT_DONE;
  if (!tuning_path(&path))
    code = cli_fail(cli, EXIT_DATA, "nowhere to keep results: none of SGC_CACHE, XDG_CACHE_HOME and HOME is set");
  if (!code) code = lock_results(cli, text_get(&path), &lock);
  if (!code) code = read_results(cli, text_get(&path), &text);
  tuning_context(cli, target, &context);
  TuningReading reading = tuning_read(tuning, text_get(&context), text_get(&text));
  if (!code) say_reading(cli, text_get(&path), &reading);
  for (int i = 0; i < n; i++) tuning_set(tuning, &found[i]);
  tuning_write(tuning, text_get(&context), text_get(&text), &out);
  if (!code) code = cli_status(cli, file_write(text_get(&path), text_get(&out), out.size));
  if (lock >= 0) close(lock);
  text_free(&path);
  text_free(&text);
  text_free(&context);
  text_free(&out);
  arena_free(arena);
  return code;
}
