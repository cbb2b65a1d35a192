// CUDA cache: which kernels are kept, and the compiling of the others by threads.
#include "runtime/cuda_cache.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/file.h"
#include "runtime/base/parallel.h"
#include "runtime/kernel_bundle.h"
#include "runtime/kernel_shelf.h"
#include "runtime/kernel_units.h"

// A module holds at most that many kernels: starting NVRTC costs about as much as a fifth of a small kernel, and an
// edit leaves whole modules behind.
enum { MOST_KERNELS = 8, MOST_THREADS = 32, LOG_LINES = 12 };

typedef struct Load {
  KernelUnits units;
  const char *flags;
  CudaCode code;
  CudaImages *images;
  int capacity;
} Load;

static void add_image(Load *load, const char *data, size_t size, const char *log, size_t log_size, const int *list,
                      int n) {
  CudaImages *images = load->images;
  CudaImage image = {.content = hash_bytes(data, size),
                     .size = size,
                     .log = arena_strndup(images->arena, log, log_size),
                     .symbol = ARENA_ARRAY(images->arena, const char *, n)};
  char *copy = ARENA_ARRAY(images->arena, char, size + 1);
  memcpy(copy, data, size);
  image.data = copy;
  for (int i = 0; i < n; i++) {
    KernelUnit *unit = &load->units.unit[list[i]];
    if (unit->is_loaded) continue;
    image.symbol[image.n_symbols++] = arena_strdup(images->arena, unit->symbol);
    unit->is_loaded = true;
  }
  ARENA_PUSH(images->arena, images->image, images->n, load->capacity, image);
}

// What is kept: the image | the compiler's log | the log's size.
typedef uint64_t LogSize;

static Status take_kept(void *context, const char *path, const int *list, int n) {
  Text object = {0};
  bool is_whole = bundle_read(path, &object) && object.size >= sizeof(LogSize);
  if (is_whole) {
    LogSize log_size;
    size_t size = object.size - sizeof log_size;
    memcpy(&log_size, object.data + size, sizeof log_size);
    is_whole = log_size <= size;
    if (is_whole) add_image(context, object.data, size - log_size, object.data + size - log_size, log_size, list, n);
  }
  text_free(&object);
  return is_whole ? STATUS_OK : status_make(EXIT_DATA, "'%s' is damaged", path);
}

// ---- compiling ------------------------------------------------------------------------------------------------------

// Kernels that are compiled together.
typedef struct Job {
  int list[MOST_KERNELS], n;
  Hash keys[MOST_KERNELS];
  Text source, image, log;
  Status status;
} Job;

typedef struct Jobs {
  const Load *load;
  Job *job;
  int n;
} Jobs;

static void compile_job(void *context, int worker, int turn) {
  (void)worker;
  const Jobs *jobs = context;
  Job *job = &jobs->job[turn];
  job->status = cuda_compile(text_get(&job->source), jobs->load->flags, jobs->load->code, true, &job->image, &job->log);
}

static void run_jobs(Jobs *jobs) {
  int wanted = parallel_cores();
  if (wanted > jobs->n) wanted = jobs->n;
  if (wanted > MOST_THREADS) wanted = MOST_THREADS;
  parallel_finish(parallel_start(jobs->n, wanted, compile_job, jobs));
}

// Kernels are dealt out in turn, because neighbours take the compiler about as long as each other.
static Jobs deal(const Load *load) {
  int *list = ARENA_ARRAY(load->units.arena, int, load->units.n + 1);
  int n = kernel_units_missing(&load->units, list), cores = parallel_cores();
  int most = (n + cores - 1) / cores; // kernels a module, if each core gets one
  if (most > MOST_KERNELS) most = MOST_KERNELS;
  Jobs jobs = {.load = load, .n = (n + most - 1) / most};
  jobs.job = ARENA_ARRAY(load->units.arena, Job, jobs.n + 1);
  for (int i = 0; i < n; i++) {
    Job *job = &jobs.job[i % jobs.n];
    job->list[job->n++] = list[i];
  }
  for (int i = 0; i < jobs.n; i++)
    kernel_units_source(&load->units, jobs.job[i].list, jobs.job[i].n, &jobs.job[i].source, jobs.job[i].keys);
  return jobs;
}

// ---- what the compiler refused --------------------------------------------------------------------------------------

// The kernel in whose text line `line` of the job's source lies; the first one for lines before all of them.
static const KernelUnit *unit_at(const Load *load, const Job *job, int line) {
  const char *source = text_get(&job->source), *at = source;
  for (int i = 1; i < line && *at; i++) {
    at += strcspn(at, "\n");
    at += *at != 0;
  }
  size_t offset = (size_t)(at - source), end = load->units.preamble;
  for (int i = 0; i < job->n; i++) {
    const KernelUnit *unit = &load->units.unit[job->list[i]];
    end += unit->size;
    if (offset < end) return unit;
  }
  return &load->units.unit[job->list[0]];
}

// Leaves the source where it can be looked at: in the cache, which forgets it after a day, else nowhere.
static char *keep_source(const Job *job, const char *directory) {
  char *path = NULL;
  if (!directory || asprintf(&path, "%s/" SHELF_BUILD "XXXXXX", directory) < 0 || !mkdtemp(path)) {
    free(path);
    return NULL;
  }
  char *file;
  if (asprintf(&file, "%s/kernels.cu", path) < 0) BUG("out of memory");
  Status status = file_write(file, job->source.data, job->source.size);
  free(path);
  if (!status) return file;
  status_free(status);
  free(file);
  return NULL;
}

static Status refusal(const Load *load, const Job *job, const char *directory) {
  const char *log = text_get(&job->log), *error = strstr(log, ": error"), *from = error;
  while (from && from > log && from[-1] != '(' && from[-1] != '\n') from--; // "kernels.cu(17): error: ..."
  const KernelUnit *unit = unit_at(load, job, from ? atoi(from) : 0);
  while (from && from > log && from[-1] != '\n') from--;
  const char *shown = from ? from : log;
  Text about = {0};
  kernel_units_about(unit, &about);
  char *kept = keep_source(job, directory);
  Status status = status_make(EXIT_DEVICE, "the kernel '%s' (%s) does not compile for %s_%d: %s%s%s%s%s%.*s",
                              unit->symbol, text_get(&about), load->code.is_ptx ? "compute" : "sm", load->code.compute,
                              status_message(job->status), kept ? " (source kept in '" : "", kept ? kept : "",
                              kept ? "')" : "", *shown ? "\n" : "", text_head(shown, LOG_LINES), shown);
  free(kept);
  text_free(&about);
  return status;
}

// ---- keeping --------------------------------------------------------------------------------------------------------

// Makes the directory ready for new bundles; NULL, with a notice, where that cannot be.
static const char *ready_directory(const Text *directory, KernelNotice *notice, void *context) {
  Status status = directory->size ? file_make_directory(directory->data)
                                  : status_make(EXIT_DATA, "none of SGC_CACHE, XDG_CACHE_HOME and HOME is set");
  if (!status) {
    shelf_tidy(directory->data);
    return directory->data;
  }
  Text text = {0};
  text_printf(&text, "kernels are compiled anew each time: no cache (%s)", status_message(status));
  if (notice) notice(context, text_get(&text));
  text_free(&text);
  status_free(status);
  return NULL;
}

static Status keep(const Load *load, const Job *job, const char *directory) {
  Text path = {0};
  Hash content = hash_bytes(job->keys, sizeof *job->keys * (size_t)job->n);
  shelf_path(directory, load->units.context, content, SHELF_CUDA, &path);
  Text object = {0};
  LogSize log_size = job->log.size;
  text_write(&object, job->image.data, job->image.size);
  text_write(&object, text_get(&job->log), log_size);
  text_write(&object, &log_size, sizeof log_size);
  Status status = bundle_write(text_get(&path), object.data, object.size, job->keys, job->n);
  text_free(&object);
  text_free(&path);
  return status;
}

static Status compile_missing(Load *load, const Text *place, KernelNotice *notice, void *context) {
  const char *directory = ready_directory(place, notice, context);
  Jobs jobs = deal(load);
  run_jobs(&jobs);
  Status status = STATUS_OK, trouble = STATUS_OK;
  for (int i = 0; i < jobs.n; i++) {
    Job *job = &jobs.job[i];
    if (job->status && !status) status = refusal(load, job, directory);
    if (!job->status) {
      if (directory && !trouble) trouble = keep(load, job, directory);
      add_image(load, job->image.data, job->image.size, text_get(&job->log), job->log.size, job->list, job->n);
    }
    status_free(job->status);
    text_free(&job->source);
    text_free(&job->image);
    text_free(&job->log);
  }
  if (trouble && notice) {
    char *text = arena_printf(load->units.arena, "compiled kernels are not kept: %s", status_message(trouble));
    notice(context, text);
  }
  status_free(trouble);
  return status;
}

Status cuda_images_load(const char *source, const char *flags, CudaCode code, KernelNotice *notice, void *context,
                        CudaImages **out) {
  Text about = {0}, directory = {0};
  text_printf(&about, "cuda 2\n%s\n%s_%d\n", flags ? flags : "", code.is_ptx ? "compute" : "sm", code.compute);
  Status status = cuda_compiler_version(&about);
  if (status) {
    text_free(&about);
    return status;
  }
  Arena *arena = arena_new(), *kept = arena_new();
  Load load = {.flags = flags, .code = code, .images = ARENA_ARRAY(kept, CudaImages, 1)};
  load.images->arena = kept;
  kernel_units_find(&load.units, arena, source, &about);
  if (kernel_cache_directory(&directory))
    kernel_units_load_kept(&load.units, text_get(&directory), SHELF_CUDA, take_kept, &load);
  load.images->was_cached = !kernel_units_missing(&load.units, NULL);
  if (!load.images->was_cached) status = compile_missing(&load, &directory, notice, context);
  if (status) cuda_images_free(load.images);
  else *out = load.images;
  arena_free(arena);
  text_free(&about);
  text_free(&directory);
  return status;
}

void cuda_images_free(CudaImages *images) {
  if (images) arena_free(images->arena);
}

int cuda_images_resources(const CudaImages *images, Arena *arena, CudaResources **out) {
  Text log = {0};
  for (int i = 0; i < images->n; i++) text_put(&log, images->image[i].log);
  int n = cuda_resources(text_get(&log), arena, out);
  text_free(&log);
  return n;
}
