// sgc doctor: what was found on this machine.
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/parallel.h"
#include "runtime/kernel_cache.h"
#include "tools/common_tuning.h"
#include "tools/sgc.h"

static bool on_path(const char *program) {
  const char *path = getenv("PATH");
  for (const char *at = path ? path : ""; *at;) {
    char full[4096];
    size_t length = strcspn(at, ":");
    snprintf(full, sizeof full, "%.*s/%s", (int)length, at, program);
    if (!access(full, X_OK)) return true;
    at += length + (at[length] != 0);
  }
  return false;
}

// What commands with --tuned would use, and the word that stands for this machine in that file.
static void say_tuned(const Cli *cli, const Target *target) {
  Arena *arena = arena_new();
  const TuningResult *result;
  Text context = {0};
  tuning_context(cli, target, &context);
  ExitCode code = tuning_load(cli, arena, &target);
  printf("tuned      %d schedules for %s ('sgc tune')\n", code ? 0 : tuning_results(target->tuning, arena, &result),
         text_get(&context));
  text_free(&context);
  arena_free(arena);
}

static ExitCode doctor(const Cli *cli) {
  const Target *target = target_host();
  char *compiler = kernel_cache_compiler();
  printf("target     %s: vectors of %d floats, %d registers, caches of %lld KiB and %lld KiB a core\n", target->name,
         target->vector, target->registers, (long long)(target->l1 >> 10), (long long)(target->l2 >> 10));
  printf("threads    %d\n", parallel_cores());
  printf("compiler   %s\n",
         compiler ? compiler : "none found (cc, gcc, clang or $CC): the slow reference evaluator takes over");
  printf("flags      %s\n", target->cc_flags);
  printf("graphviz   %s\n", on_path("dot") ? "dot" : "none found: sgc graph writes DOT only");
  Text directory = {0};
  int files;
  int64_t bytes;
  kernel_cache_usage(&files, &bytes);
  printf("cache      %s: %d files, %.1f MB\n", kernel_cache_directory(&directory) ? text_get(&directory) : "none",
         files, 1e-6 * (double)bytes);
  say_tuned(cli, target);
  sgc_doctor_cuda();
  ExitCode code = compiler ? EXIT_DONE : EXIT_NEGATIVE;
  text_free(&directory);
  free(compiler);
  return code;
}

static const CliOption options[] = {CLI_COMMON};

const CliCommand sgc_doctor = {
    "doctor",
    "",
    "say what was found of compiler, vectors, threads, tools and GPUs",
    "Ends with 1 if there is no C compiler. The libraries of CUDA are opened when a command "
    "needs them; SGC_CUDA,\nSGC_NVRTC, SGC_CUBLASLT and SGC_NCCL name their files where they "
    "lie elsewhere.",
    options,
    0,
    0,
    doctor};
