// golden IN OUT [--target=reference|cpu|cuda|cuda:sm_80] [--case TEXT] [--small] [--alternative=N]: runs every case of
// IN, writes results to OUT for check.py. With --alternative all that cost models decide is decided otherwise.
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compiler/kernel/tuning.h"
#include "runtime/base/file.h"
#include "runtime/cuda_device.h"
#include "tests/golden/golden.h"

static int is_json(const struct dirent *entry) {
  size_t length = strlen(entry->d_name);
  return length > 5 && !strcmp(entry->d_name + length - 5, ".json");
}

// Beyond what the reference evaluator does in seconds.
static bool is_large(const cJSON *json) {
  const cJSON *height = cJSON_GetObjectItem(json, "height");
  return cJSON_IsNumber(height) && height->valueint > 128;
}

static void run_file(Golden *golden, const char *file) {
  Text text = {0};
  char *path = NULL;
  if (asprintf(&path, "%s/%s", golden->in, file) < 0) BUG("out of memory");
  Status status = file_read(path, &text);
  cJSON *json = status ? NULL : cJSON_Parse(text_get(&text));
  char *name = strndup(file, strlen(file) - 5);
  if (!json) {
    printf("%s: %s\n", path, status ? status_message(status) : "not JSON");
    golden->n_failed++;
  } else if (cJSON_GetObjectItem(json, "ops") && cJSON_GetObjectItem(json, "case")) {
    golden_ops(golden, json);
  } else if (cJSON_GetObjectItem(json, "tensors") && !(golden->only_small && is_large(json))) {
    golden_network(golden, name, json);
  }
  fflush(stdout);
  status_free(status);
  cJSON_Delete(json);
  text_free(&text);
  free(name);
  free(path);
}

// Sets target and device: "cuda" is the first GPU's own architecture.
static Status open_target(Golden *golden, const char *name) {
  CudaGpu gpu = {0};
  bool is_cuda = !strncmp(name, "cuda", 4);
  if (is_cuda) TRY(cuda_gpu(0, &gpu));
  golden->target = target_find(name);
  for (int compute = gpu.compute; !strcmp(name, "cuda") && !golden->target && compute > 0; compute--)
    golden->target = target_cuda(compute);
  if (!golden->target) return status_make(EXIT_USAGE, "there is no target '%s'", name);
  return is_cuda ? device_open_cuda(0, &golden->device) : device_open_cpu(0, &golden->device);
}

int main(int argc, char **argv) {
  Golden golden = {.target = target_host(), .models = "models"};
  const char *only = "", *target = "cpu";
  int alternative = -1;
  static const char *const directories[] = {"stdlib", "models"};
  golden.paths = (LangPaths){directories, 2, NULL};
  for (int i = 1; i < argc; i++) {
    if (!strcmp(argv[i], "--small")) golden.only_small = true;
    else if (!strncmp(argv[i], "--target=", 9)) target = argv[i] + 9;
    else if (!strncmp(argv[i], "--alternative=", 14)) alternative = atoi(argv[i] + 14);
    else if (!strcmp(argv[i], "--case") && i + 1 < argc) only = argv[++i];
    else if (!golden.in) golden.in = argv[i];
    else golden.out = argv[i];
  }
  if (!golden.in || !golden.out) {
    fprintf(stderr, "usage: golden IN OUT [--target=reference|cpu|cuda|cuda:sm_80] [--case TEXT] [--small] "
                    "[--alternative=N]\n");
    return EXIT_USAGE;
  }
  Status status = file_make_directory(golden.out);
  if (!status) status = open_target(&golden, target);
  Arena *arena = arena_new();
  Target otherwise = status ? (Target){0} : *golden.target;
  if (!status && alternative >= 0) {
    otherwise.tuning = tuning_new(arena);
    tuning_force(otherwise.tuning, alternative % KNOB_ALTERNATIVES, alternative % KNOB_ALTERNATIVES);
    golden.target = &otherwise;
  }
  struct dirent **entries;
  int n = status ? -1 : scandir(golden.in, &entries, is_json, alphasort);
  if (n < 0) {
    fprintf(stderr, "golden: %s\n", status ? status_message(status) : "cannot read the directory of cases");
    return status ? status_code(status) : EXIT_DATA;
  }
  for (int i = 0; i < n; i++) {
    if (strstr(entries[i]->d_name, only)) run_file(&golden, entries[i]->d_name);
    free(entries[i]);
  }
  free(entries);
  device_close(golden.device);
  arena_free(arena);
  printf("golden on %s: %d run, %d skipped, %d could not run\n", golden.target->name, golden.n_run, golden.n_skipped,
         golden.n_failed);
  return golden.n_failed ? EXIT_NEGATIVE : EXIT_DONE;
}
