// sgrun data: the table of its verbs, and `view`, which draws a contact sheet of pictures and depths.
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/data/colour.h"
#include "runtime/data/rooms.h"
#include "tools/sgrun_data.h"

enum { MAX_TILES = 400, LABEL = 48 };

// What stands for a sample that cannot be read.
static void draw_broken(Image *out) {
  static const uint8_t ink[3] = {160, 0, 0};
  const char *text = "cannot be read";
  image_alloc(out, colour_text_width(1, text) + 20, 60);
  memset(out->rgb, 225, 3 * (size_t)out->width * (size_t)out->height);
  colour_text(out, 10, 26, 1, text, ink);
}

// Pictures beside their depths, `n` samples from `first` on. Those that cannot be read are named and make it EXIT_DATA.
static ExitCode draw_sheet(const Cli *cli, const Dataset *dataset, int64_t first, int64_t n, const char *path) {
  Tile *tiles = calloc(2 * (size_t)n, sizeof *tiles);
  Image *images = calloc(2 * (size_t)n, sizeof *images);
  char(*labels)[LABEL] = calloc((size_t)n, sizeof *labels);
  if (!tiles || !images || !labels) BUG("out of memory");
  ExitCode code = EXIT_DONE;
  int64_t done = 0, n_broken = 0;
  for (; done < n && !code; done++) {
    Sample sample = {0};
    code = cli_status(cli, dataset_sample(dataset, first + done, &sample));
    bool is_broken = code == EXIT_DATA;
    if (code && !is_broken) break;
    n_broken += is_broken;
    code = EXIT_DONE;
    char name[SAMPLE_NAME];
    dataset_name(dataset, first + done, name);
    snprintf(labels[done], LABEL, "%.*s", LABEL - 1, name);
    images[2 * done] = sample.picture;
    if (is_broken) draw_broken(&images[2 * done]);
    if (is_broken) draw_broken(&images[2 * done + 1]);
    else colour_depth_legend(&sample.depth, 0, dataset->depth_max, &images[2 * done + 1]);
    depth_free(&sample.depth);
    tiles[2 * done] = (Tile){&images[2 * done], labels[done]};
    tiles[2 * done + 1] = (Tile){&images[2 * done + 1], NULL};
  }
  if (!code) {
    Image sheet = {0};
    colour_sheet(tiles, (int)(2 * n), 4, &sheet);
    code = cli_status(cli, image_write_png(path, &sheet, NULL, 0));
    image_free(&sheet);
  }
  for (int64_t i = 0; i < 2 * done; i++) image_free(&images[i]);
  free(tiles);
  free(images);
  free(labels);
  if (!code) printf("%s\n", path);
  if (!code && n_broken)
    code = cli_fail(cli, EXIT_DATA, "%lld of %lld samples cannot be read", (long long)n_broken, (long long)n);
  return code;
}

// The rooms, or the part of the files that --split names (all of them unless it does).
static ExitCode open_shown(const Cli *cli, const char *path, Dataset **out) {
  if (path) {
    Pairs pairs = {0};
    Split split;
    ExitCode code = sgrun_split(cli, SPLIT_NONE, &split);
    if (!code) code = sgrun_pairs(cli, path, &pairs);
    if (!code && split) pairs_hold_out(&pairs);
    if (!code) pairs_keep(&pairs, split);
    if (!code && pairs.n) code = sgrun_drop_missing(cli, &pairs);
    if (!code) code = cli_status(cli, dataset_open_pairs(&pairs, out));
    pairs_free(&pairs);
    return code;
  }
  TrainSettings settings = settings_default();
  settings.rooms_seed = (double)cli_integer(cli, "seed", 1, 0, 4294967295);
  settings.width = (double)cli_integer(cli, "width", 320, ROOM_MIN_SIDE, ROOM_MAX_SIDE);
  settings.height = (double)cli_integer(cli, "height", 240, ROOM_MIN_SIDE, ROOM_MAX_SIDE);
  settings.rooms = settings.validation_rooms = 1000000;
  const char *split = cli_option(cli, "split");
  Dataset *training = NULL, *validation = NULL;
  ExitCode code = sgrun_datasets(cli, &settings, &training, &validation);
  bool is_validation = split && !strcmp(split, "val");
  dataset_close(is_validation ? training : validation);
  *out = is_validation ? validation : training;
  return code;
}

ExitCode data_view(const Cli *cli) {
  Dataset *dataset = NULL;
  const char *path = cli_operand(cli, 1) ? cli_operand(cli, 1) : cli_option(cli, "data");
  ExitCode code = open_shown(cli, path, &dataset);
  if (!code) {
    int64_t first = cli_integer(cli, "first", 0, 0, dataset->size - 1),
            n = cli_integer(cli, "number", 8, 1, MAX_TILES / 2);
    if (n > dataset->size - first) n = dataset->size - first;
    const char *out = cli_option(cli, "out");
    code = draw_sheet(cli, dataset, first, n, out ? out : "data.png");
  }
  dataset_close(dataset);
  return code;
}

const char *data_path(const Cli *cli) {
  const char *path = cli_operand(cli, 1) ? cli_operand(cli, 1) : cli_option(cli, "data");
  if (!path) cli_fail(cli, EXIT_USAGE, "'data %s' needs a folder, list, CSV or manifest", cli_operand(cli, 0));
  return path;
}

void data_progress(void *cli, int64_t done, int64_t total) {
  if (cli_flag(cli, "quiet", false)) return;
  if (isatty(2)) fprintf(stderr, "\r%lld of %lld%s", (long long)done, (long long)total, done == total ? "\n" : "");
  else if (done == total || done % 500 == 0) fprintf(stderr, "%lld of %lld\n", (long long)done, (long long)total);
}

static ExitCode data(const Cli *cli) {
  static const struct {
    const char *name;
    int most; // operands, with the verb
    ExitCode (*run)(const Cli *cli);
  } verbs[] = {{"view", 2, data_view},   {"check", 2, data_check},   {"init", 2, data_init},
               {"split", 2, data_split}, {"import", 4, data_import}, {"synth", 2, data_synth}};
  const char *verb = cli_operand(cli, 0);
  for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
    if (strcmp(verb, verbs[i].name)) continue;
    if (cli_operands(cli) > verbs[i].most)
      return cli_fail(cli, EXIT_USAGE, "unexpected operand '%s'; see 'sgrun data --help'",
                      cli_operand(cli, verbs[i].most));
    return verbs[i].run(cli);
  }
  return cli_fail(cli, EXIT_USAGE, "there is no 'data %s'; there are view, check, init, split, import and synth", verb);
}

static const CliOption options[] = {
    {"out", 'o', "PATH",
     "view: the PNG (default data.png); init: the manifest (default DIR/dataset.json); split: "
     "the directory of the lists"},
    {"number", 'n', "N", "view, synth: how many samples (default 8)"},
    {"first", 0, "N", "view: index of the first sample (default 0)"},
    {"split", 0, "NAME", "view: train, val, test or all (default); synth: train (default), val or test"},
    {"val", 0, "SHARE", "split: for validation (default 0.1)"},
    {"test", 0, "SHARE", "split: for testing (default 0)"},
    {"splits", 0, "FILE", "import: splits.mat, which says what is for training and what for testing"},
    {"filled", 0, NULL, "import: depths with painted-in holes, not the raw ones of the evaluation protocol"},
    {"black-border", 0, NULL, "import: blacken the pictures' border as the official test pictures have it"},
    {"limit", 0, "N", "import: at most so many pairs"},
    {"seed", 0, "N", "of rooms and splits (default 1)"},
    {"width", 0, "N", "of rendered rooms (default: view 320, synth 640)"},
    {"height", 0, "N", "of rendered rooms (default: view 240, synth 480)"},
    {"force", 0, NULL, "init: replace the manifest that is there"},
    {"json", 0, NULL, "check: one JSON object on stdout"},
    THREADS_OPTION,
    DATA_OPTIONS,
    CLI_COMMON};

const CliCommand sgrun_data = {
    "data",
    "VERB [PATH...]",
    "view, check, import, split or make data sets",
    "  data view [PATH]            draw pictures and depths side by side\n"
    "  data check PATH             decode everything once and report; exit status 4 if something is broken\n"
    "  data init DIR               write DIR/dataset.json: paths, sizes, hashes, unit, splits\n"
    "  data split PATH -o DIR      write DIR/train.csv, val.csv (and test.csv); scenes stay whole\n"
    "  data import nyu MAT DIR     unpack nyu_depth_v2_labeled.mat; the same command goes on where it stopped\n"
    "  data synth DIR -n N         write synthetic rooms as files\n\n"
    "PATH is a directory with rgb/ (or images/) and depth/, or with a dataset.json or train.csv, or with the folders "
    "of\n"
    "NYU Depth v2; or a list of lines 'rgb_path depth_path focal' (depth in millimetres); or a CSV file with the "
    "columns\n"
    "rgb, depth and, if wanted, split and group; or a manifest. Depth is 16-bit PNG, 0 = missing; its unit is in each\n"
    "file (text chunk DepthScale), in the manifest, in a CSV comment '# depth_scale=1000', or given by "
    "--depth-scale.\n\n"
    "  sgrun data synth rooms -n 100\n"
    "  sgrun data check rooms",
    options,
    1,
    4,
    data};
