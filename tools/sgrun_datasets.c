// sgrun_datasets: what --data and its companions mean: rooms, or pairs of files with their splits.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tools/sgrun.h"

ExitCode sgrun_pairs(const Cli *cli, const char *path, Pairs *out) {
  double scale = cli_number(cli, "depth-scale", 0, 0, 1e6);
  ExitCode code = cli_status(cli, pairs_open(path, cli_option(cli, "data-root"), scale, out));
  if (code) return code;
  if (out->n_unpaired)
    cli_say(cli, "%s: %lld pictures have no depth map and are left out", path, (long long)out->n_unpaired);
  return EXIT_DONE;
}

ExitCode sgrun_drop_missing(const Cli *cli, Pairs *pairs) {
  Text messages = {0};
  int64_t n = pairs->n, n_missing = pairs_drop_missing(pairs, &messages);
  ExitCode code = EXIT_DONE;
  if (n_missing == n) {
    code = cli_fail(cli, EXIT_DATA,
                    "none of the %lld pairs of %s can be read (do relative paths begin at '%s'? "
                    "--data-root says where):\n%s",
                    (long long)n, pairs->path, pairs->root, text_get(&messages));
  } else if (n_missing) {
    cli_say(cli, "%s: %lld of %lld pairs are left out:\n%s%s", pairs->path, (long long)n_missing, (long long)n,
            text_get(&messages), n_missing > PAIRS_MESSAGES ? "..." : "");
  }
  text_free(&messages);
  return code;
}

// Whether anything can be learnt or judged from the files: some sample among the first ones decodes and has a depth
// within the model's range. A wrong unit or size shows here, not after an hour.
static ExitCode probe(const Cli *cli, const Dataset *dataset, const char *path) {
  enum { TRIES = 32 };
  int64_t n = dataset->size < TRIES ? dataset->size : TRIES, n_empty = 0;
  Status first = STATUS_OK;
  for (int64_t i = 0; i < n; i++) {
    Sample sample;
    Status status = dataset_sample(dataset, i, &sample);
    bool has_depth = false;
    for (int64_t k = 0; !status && !has_depth && k < (int64_t)sample.depth.width * sample.depth.height; k++)
      has_depth = sample.depth.metres[k] > 1e-3f && sample.depth.metres[k] < 10;
    if (has_depth) status_free(first);
    n_empty += !status && !has_depth;
    if (status && !first) first = status;
    else status_free(status);
    sample_free(&sample);
    if (has_depth) return EXIT_DONE;
  }
  ExitCode code = n_empty ? cli_fail(cli, EXIT_DATA,
                                     "%s: none of the first %lld depth maps has a depth between 0.001 and 10 m; "
                                     "'sgrun data check' shows what they hold",
                                     path, (long long)n)
                          : cli_fail(cli, EXIT_DATA, "%s: none of the first %lld pairs can be read, the first: %s",
                                     path, (long long)n, status_message(first));
  status_free(first);
  return code;
}

// The pairs of one split as a data set; takes the pairs over.
static ExitCode open_split(const Cli *cli, Pairs *pairs, Split split, Dataset **out) {
  char *path = strdup(pairs->path);
  if (!path) BUG("out of memory");
  pairs_keep(pairs, split);
  ExitCode code = EXIT_DONE;
  if (pairs->n == 0) code = cli_fail(cli, EXIT_DATA, "%s has too few pairs: none is for '%s'", path, split_name(split));
  if (!code) code = sgrun_drop_missing(cli, pairs);
  if (!code) code = cli_status(cli, pairs_check_unit(pairs));
  if (!code) code = cli_status(cli, dataset_open_pairs(pairs, out));
  if (!code) code = probe(cli, *out, path);
  pairs_free(pairs);
  free(path);
  return code;
}

static ExitCode open_part(const Cli *cli, const char *path, Split split, bool holds_out, Dataset **out) {
  Pairs pairs = {0};
  ExitCode code = sgrun_pairs(cli, path, &pairs);
  if (code) return code;
  if (holds_out) {
    pairs_hold_out(&pairs);
  } else {
    for (int64_t i = 0; i < pairs.n; i++)
      if (pairs.pair[i].split == SPLIT_NONE) pairs.pair[i].split = SPLIT_TRAIN;
  }
  return open_split(cli, &pairs, split, out);
}

// All of --data-val, or of it those that say that they are for validation.
static ExitCode open_validation(const Cli *cli, const char *path, Dataset **out) {
  Pairs pairs = {0};
  ExitCode code = sgrun_pairs(cli, path, &pairs);
  if (code) return code;
  bool is_mixed = false;
  for (int64_t i = 0; i < pairs.n; i++) is_mixed |= pairs.pair[i].split == SPLIT_VALIDATION;
  return open_split(cli, &pairs, is_mixed ? SPLIT_VALIDATION : SPLIT_NONE, out);
}

static ExitCode open_rooms(const Cli *cli, const TrainSettings *settings, RoomSplit split, Dataset **out) {
  int64_t count = (int64_t)(split == ROOMS_TRAIN ? settings->rooms : settings->validation_rooms);
  return cli_status(cli, dataset_open_rooms((uint64_t)settings->rooms_seed, split, count, (int)settings->width,
                                            (int)settings->height, out));
}

ExitCode sgrun_has_test(const Cli *cli, bool *out) {
  const char *path = cli_option(cli, "data");
  *out = !path;
  if (!path) return EXIT_DONE;
  Pairs pairs = {0};
  ExitCode code = sgrun_pairs(cli, path, &pairs);
  for (int64_t i = 0; i < pairs.n && !code; i++) *out |= pairs.pair[i].split == SPLIT_TEST;
  if (!code) pairs_free(&pairs);
  return code;
}

ExitCode sgrun_judged(const Cli *cli, const TrainSettings *settings, bool is_test, Dataset **out) {
  const char *path = cli_option(cli, "data"), *validation_path = cli_option(cli, "data-val");
  if (!path) return open_rooms(cli, settings, is_test ? ROOMS_TEST : ROOMS_VALIDATION, out);
  if (!is_test && validation_path) return open_validation(cli, validation_path, out);
  return open_part(cli, path, is_test ? SPLIT_TEST : SPLIT_VALIDATION, true, out);
}

ExitCode sgrun_room_split(const Cli *cli, RoomSplit fallback, RoomSplit *out) {
  static const char *const names[] = {"train", "val", "test"};
  const char *name = cli_option(cli, "split");
  *out = fallback;
  for (int i = 0; name && i < 3; i++) {
    if (strcmp(name, names[i])) continue;
    *out = (RoomSplit)i;
    return EXIT_DONE;
  }
  return name ? cli_fail(cli, EXIT_USAGE, "rooms have the splits train, val and test, not '%s'", name) : EXIT_DONE;
}

ExitCode sgrun_split(const Cli *cli, Split fallback, Split *out) {
  const char *name = cli_option(cli, "split");
  *out = fallback;
  if (!name) return EXIT_DONE;
  if (!strcmp(name, "all")) {
    *out = SPLIT_NONE;
    return EXIT_DONE;
  }
  if (!split_find(name, out) || !*name)
    return cli_fail(cli, EXIT_USAGE, "there is no split '%s'; there are train, val, test and all", name);
  return EXIT_DONE;
}

ExitCode sgrun_datasets(const Cli *cli, const TrainSettings *settings, Dataset **training, Dataset **validation) {
  const char *path = cli_option(cli, "data"), *validation_path = cli_option(cli, "data-val");
  if (!path && !validation_path) {
    RoomSplit rooms;
    ExitCode code = sgrun_room_split(cli, ROOMS_VALIDATION, &rooms);
    if (!code && training) code = open_rooms(cli, settings, ROOMS_TRAIN, training);
    return code ? code : open_rooms(cli, settings, rooms, validation);
  }
  if (!path && training)
    return cli_fail(cli, EXIT_USAGE, "--data-val says what to validate on; --data must say what to train on");
  Split split;
  ExitCode code = sgrun_split(cli, SPLIT_VALIDATION, &split);
  // What is validated on elsewhere leaves the training data whole.
  if (!code && training) code = open_part(cli, path, SPLIT_TRAIN, !validation_path, training);
  if (!code && validation_path) code = open_validation(cli, validation_path, validation);
  else if (!code) code = open_part(cli, path, split, true, validation);
  return code;
}

int64_t sgrun_max_bad(const Cli *cli, int64_t size) {
  enum { FEW = 16 };
  const char *text = cli_option(cli, "max-bad");
  if (!text) return size / 1000 > FEW ? size / 1000 : FEW;
  char *end;
  double value = strtod(text, &end);
  bool is_share = *end == '%' && !end[1];
  if (end == text || (*end && !is_share) || !(value >= 0 && value <= (is_share ? 100 : 1e12)))
    exit(cli_fail(cli, EXIT_USAGE, "option '--max-bad' needs a number or a percentage, not '%s'", text));
  return (int64_t)(is_share ? floor(value * (double)size / 100) : value);
}
