// sgrun data import, synth: data sets written as files.
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/file.h"
#include "runtime/cpu_pool.h"
#include "runtime/data/nyu_mat.h"
#include "runtime/data/rooms.h"
#include "tools/sgrun_data.h"

ExitCode data_import(const Cli *cli) {
  const char *kind = cli_operand(cli, 1), *file = cli_operand(cli, 2), *directory = cli_operand(cli, 3);
  if (!kind || strcmp(kind, "nyu"))
    return cli_fail(cli, EXIT_USAGE, "there is no import of '%s'; there is 'data import nyu FILE.mat DIR'",
                    kind ? kind : "");
  if (!directory) return cli_fail(cli, EXIT_USAGE, "'data import nyu' needs FILE.mat and DIR");
  NyuImport import = {.file = file,
                      .directory = directory,
                      .splits = cli_option(cli, "splits"),
                      .is_filled = cli_flag(cli, "filled", false),
                      .is_blackened = cli_flag(cli, "black-border", false),
                      .limit = cli_integer(cli, "limit", 0, 0, 1000000000),
                      .threads = (int)cli_integer(cli, "threads", 0, 0, 1024),
                      .progress = data_progress,
                      .context = (void *)(uintptr_t)cli};
  NyuImported done;
  ExitCode code = cli_status(cli, nyu_import(&import, &done));
  if (!code) {
    printf("%s/dataset.json\n", directory);
    cli_say(cli, "%lld pairs, %lld of them written now", (long long)done.n_pairs, (long long)done.n_written);
  }
  return code;
}

// ---- synth

typedef struct Making {
  const Cli *cli;
  const Dataset *rooms;
  const char *directory;
  Status *failed;
  int64_t n;
  atomic_long done;
} Making;

static char *pair_path(const Making *making, const char *what, int64_t index) {
  char *out;
  if (asprintf(&out, "%s/%s/%05lld.png", making->directory, what, (long long)index) < 0) BUG("out of memory");
  return out;
}

static void make_some(void *context, int worker, int64_t begin, int64_t end) {
  Making *making = context;
  for (int64_t i = begin; i < end; i++) {
    char *rgb = pair_path(making, "rgb", i), *depth = pair_path(making, "depth", i);
    // An earlier run's files are whole; those of other rooms are refused before.
    if (!file_exists(rgb) || !file_exists(depth)) {
      Sample sample = {0};
      Status status = dataset_sample(making->rooms, i, &sample);
      if (!status) status = image_write_png(rgb, &sample.picture, NULL, 0);
      if (!status) status = depth_write_png(depth, &sample.depth);
      making->failed[i] = status;
      sample_free(&sample);
    }
    int64_t done = atomic_fetch_add(&making->done, 1) + 1;
    if (worker == 0 || done == making->n) data_progress((void *)(uintptr_t)making->cli, done, making->n);
    free(rgb);
    free(depth);
  }
}

// Which rooms these are, beside them: other rooms in the same place would be mixed up with them.
static Status agree_on_rooms(const char *directory, uint64_t seed, const char *split, int width, int height) {
  Text now = {0}, before = {0};
  char *path = path_under(directory, "rooms.json");
  text_printf(&now, "{\"schema\":\"sgrun.rooms/1\",\"seed\":%llu,\"split\":\"%s\",\"width\":%d,\"height\":%d}\n",
              (unsigned long long)seed, split, width, height);
  Status status = STATUS_OK;
  if (file_exists(path)) {
    status = file_read(path, &before);
    if (!status && strcmp(text_get(&before), text_get(&now)))
      status = status_make(EXIT_USAGE, "'%s' holds other rooms already (%.*s)", directory,
                           (int)strcspn(text_get(&before), "\n"), text_get(&before));
  } else {
    status = file_write(path, now.data, now.size);
  }
  text_free(&now);
  text_free(&before);
  free(path);
  return status;
}

static Status make_directories(const char *directory) {
  char *rgb = path_under(directory, "rgb"), *depth = path_under(directory, "depth");
  Status status = file_make_directory(rgb);
  if (!status) status = file_make_directory(depth);
  free(rgb);
  free(depth);
  return status;
}

ExitCode data_synth(const Cli *cli) {
  const char *directory = cli_operand(cli, 1), *split = cli_option(cli, "split");
  if (!directory) return cli_fail(cli, EXIT_USAGE, "'data synth' needs a directory");
  if (!split) split = "train";
  RoomSplit room_split;
  ExitCode code = sgrun_room_split(cli, ROOMS_TRAIN, &room_split);
  if (code) return code;
  uint64_t seed = (uint64_t)cli_integer(cli, "seed", 1, 0, 4294967295);
  int64_t n = cli_integer(cli, "number", 8, 1, 10000000);
  int width = (int)cli_integer(cli, "width", 640, ROOM_MIN_SIDE, ROOM_MAX_SIDE),
      height = (int)cli_integer(cli, "height", 480, ROOM_MIN_SIDE, ROOM_MAX_SIDE);
  Dataset *rooms = NULL;
  Pool *pool = NULL;
  Status status = dataset_open_rooms(seed, room_split, n, width, height, &rooms);
  if (!status) status = make_directories(directory);
  if (!status) status = agree_on_rooms(directory, seed, split, width, height);
  if (!status) status = pool_open((int)cli_integer(cli, "threads", 0, 0, 1024), &pool);
  if (!status) {
    Making making = {cli, rooms, directory, calloc((size_t)n, sizeof *making.failed), n, 0};
    if (!making.failed) BUG("out of memory");
    pool_run(pool, make_some, &making, n);
    for (int64_t i = 0; i < n; i++) {
      if (!status) status = making.failed[i]; // the first of them
      else status_free(making.failed[i]);
    }
    free(making.failed);
  }
  pool_close(pool);
  dataset_close(rooms);
  code = cli_status(cli, status);
  if (!code) printf("%s\n", directory);
  return code;
}
