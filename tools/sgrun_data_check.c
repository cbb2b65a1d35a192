// sgrun data check, init, split: what is in a data set, and files that say so.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/file.h"
#include "runtime/base/random.h"
#include "runtime/data/report.h"
#include "tools/sgrun_data.h"

static int threads_of(const Cli *cli) { return (int)cli_integer(cli, "threads", 0, 0, 1024); }

// ---- check

static const char *unit_of(const Pairs *pairs, char out[80]) {
  if (pairs->depth_scale > 0) snprintf(out, 80, "%g values a metre, stated for all files", pairs->depth_scale);
  else if (pairs->default_scale > 0)
    snprintf(out, 80, "as each file declares, else %g values a metre", pairs->default_scale);
  else snprintf(out, 80, "as each file declares");
  return out;
}

static void print_json(const Pairs *pairs, const DataReport *r) {
  Text text = {0};
  text_put(&text, "{\"schema\":\"sgrun.check/1\",\"kind\":");
  text_put_json(&text, pairs->kind);
  text_printf(&text,
              ",\"pairs\":%lld,\"broken\":%lld,\"changed\":%lld,\"hashed\":%lld,\"empty\":%lld,\"unpaired\":%lld,"
              "\"pixels\":%lld,\"invalid\":%lld,\"depth_scale\":%g",
              (long long)r->n_pairs, (long long)r->n_broken, (long long)r->n_changed, (long long)r->n_hashed,
              (long long)r->n_empty, (long long)pairs->n_unpaired, (long long)r->n_pixels, (long long)r->n_invalid,
              pairs->depth_scale > 0 ? pairs->depth_scale : pairs->default_scale);
  if (!isnan(r->median))
    text_printf(&text, ",\"least\":%.6g,\"median\":%.6g,\"most\":%.6g", r->least, r->median, r->most);
  text_put(&text, ",\"sizes\":[");
  for (int i = 0; i < r->n_sizes && i < REPORT_SIZES; i++)
    text_printf(&text, "%s[%d,%d,%lld]", i ? "," : "", r->size[i].width, r->size[i].height, (long long)r->size[i].n);
  text_put(&text, "],\"histogram\":[");
  for (int i = 0; i < REPORT_METRES; i++) text_printf(&text, "%s%lld", i ? "," : "", (long long)r->histogram[i]);
  text_put(&text, "],\"messages\":[");
  for (int i = 0; i < r->n_messages; i++) {
    if (i) text_put(&text, ",");
    text_put_json(&text, r->message[i]);
  }
  text_put(&text, "]}\n");
  fputs(text_get(&text), stdout);
  text_free(&text);
}

static void print_histogram(const DataReport *r) {
  enum { WIDEST = 50 };
  int64_t largest = 1, n_valid = r->n_pixels - r->n_invalid;
  for (int i = 0; i < REPORT_METRES; i++) largest = r->histogram[i] > largest ? r->histogram[i] : largest;
  for (int i = 0; i < REPORT_METRES && n_valid; i++) {
    char bar[WIDEST + 1] = "", range[16];
    memset(bar, '#', (size_t)(r->histogram[i] * WIDEST / largest));
    snprintf(range, sizeof range, i < REPORT_METRES - 1 ? "%d-%d m" : "over %d m", i, i + 1);
    printf("  %9s %6.2f %%  %s\n", range, 100 * (double)r->histogram[i] / (double)n_valid, bar);
  }
}

static void print_report(const Pairs *pairs, const DataReport *r) {
  char unit[80];
  printf("%s (%s): %lld pairs, %lld broken", pairs->path, pairs->kind, (long long)r->n_pairs, (long long)r->n_broken);
  if (pairs->n_unpaired) printf(", %lld pictures without depth", (long long)pairs->n_unpaired);
  printf("\n");
  if (r->n_hashed)
    printf("hashes: %lld pairs are in the manifest with theirs, %lld have changed\n", (long long)r->n_hashed,
           (long long)r->n_changed);
  int64_t n_split[4] = {0};
  for (int64_t i = 0; i < pairs->n; i++) n_split[pairs->pair[i].split]++;
  if (n_split[SPLIT_NONE] < pairs->n)
    printf("splits: %lld train, %lld val, %lld test, %lld of none\n", (long long)n_split[SPLIT_TRAIN],
           (long long)n_split[SPLIT_VALIDATION], (long long)n_split[SPLIT_TEST], (long long)n_split[SPLIT_NONE]);
  for (int i = 0; i < r->n_sizes && i < REPORT_SIZES; i++)
    printf("%s%dx%d (%lld)", i ? ", " : "sizes: ", r->size[i].width, r->size[i].height, (long long)r->size[i].n);
  if (r->n_sizes) printf("%s\n", r->n_sizes > REPORT_SIZES ? ", and others" : "");
  printf("unit: %s\n", unit_of(pairs, unit));
  if (!isnan(r->median)) printf("depth: %.3f to %.3f m, median %.2f m\n", r->least, r->most, r->median);
  if (report_unit_doubt(r)) printf("doubt: %s\n", report_unit_doubt(r));
  if (r->n_pixels)
    printf("invalid: %.2f %% of all pixels; %lld depth maps have no valid pixel\n",
           100 * (double)r->n_invalid / (double)r->n_pixels, (long long)r->n_empty);
  print_histogram(r);
  for (int i = 0; i < r->n_messages; i++) printf("%s\n", r->message[i]);
  if (r->n_broken + r->n_changed > r->n_messages)
    printf("... and %lld more\n", (long long)(r->n_broken + r->n_changed - r->n_messages));
}

ExitCode data_check(const Cli *cli) {
  const char *path = data_path(cli);
  Pairs pairs = {0};
  DataReport report = {0};
  if (!path) return EXIT_USAGE;
  ExitCode code = sgrun_pairs(cli, path, &pairs);
  if (!code) code = cli_status(cli, report_run(&pairs, threads_of(cli), &report));
  if (!code) {
    if (cli_flag(cli, "json", false)) print_json(&pairs, &report);
    else print_report(&pairs, &report);
    if (report.n_broken || report.n_changed)
      code = cli_fail(cli, EXIT_DATA, "%lld of %lld pairs are broken, %lld have changed", (long long)report.n_broken,
                      (long long)report.n_pairs, (long long)report.n_changed);
    else if (report.n_pairs && report.n_empty == report.n_pairs)
      code = cli_fail(cli, EXIT_DATA, "no depth map has a valid pixel");
    Status unit = report.n_broken ? pairs_check_unit(&pairs) : STATUS_OK;
    if (unit) cli_say(cli, "once the unit is stated by --depth-scale, what else is wrong can be told");
    status_free(unit);
  }
  report_free(&report);
  pairs_free(&pairs);
  return code;
}

// ---- init

// Finds what the manifest says of the unit: --depth-scale, or what the files declare, or what the layout defines. The
// first depth map speaks for all; `data check` asks every one.
static ExitCode settle_unit(const Cli *cli, Pairs *pairs) {
  if (pairs->depth_scale > 0) return EXIT_DONE;
  Gray16 image = {0};
  PngTexts texts = {0};
  DepthMap depth = {0};
  int bits;
  Status status = gray16_read_png(pairs->pair[0].depth, &image, &bits, &texts);
  if (!status) {
    const char *declared = png_texts_get(&texts, "DepthScale");
    // Refuses a scale that is no number, and a file that declares none where the layout defines none.
    status = depth_read_png_default(pairs->pair[0].depth, 0, pairs->default_scale, &depth);
    if (!status) pairs->depth_scale = declared ? atof(declared) : pairs->default_scale;
    if (status) status = status_context(status, "the unit of the depth maps must be stated (--depth-scale)");
  }
  depth_free(&depth);
  gray16_free(&image);
  png_texts_free(&texts);
  return cli_status(cli, status);
}

ExitCode data_init(const Cli *cli) {
  const char *path = data_path(cli), *out = cli_option(cli, "out");
  if (!path) return EXIT_USAGE;
  Pairs pairs = {0};
  char *directory = file_is_directory(path) ? strdup(path) : path_directory(path);
  char *manifest = out ? strdup(out) : path_under(directory, "dataset.json");
  ExitCode code = EXIT_DONE;
  if (file_exists(manifest) && !cli_flag(cli, "force", false))
    code = cli_fail(cli, EXIT_USAGE, "%s is there already; --force replaces it", manifest);
  if (!code)
    code = cli_status(
        cli, pairs_open_layout(path, cli_option(cli, "data-root"), cli_number(cli, "depth-scale", 0, 0, 1e6), &pairs));
  if (!code) code = sgrun_drop_missing(cli, &pairs);
  if (!code) code = settle_unit(cli, &pairs);
  if (!code) pairs_hold_out(&pairs);
  if (!code) code = cli_status(cli, pairs_write_manifest(&pairs, manifest, threads_of(cli)));
  if (!code) {
    int64_t n_held_out = 0;
    for (int64_t i = 0; i < pairs.n; i++) n_held_out += pairs.pair[i].split == SPLIT_VALIDATION;
    printf("%s\n", manifest);
    cli_say(cli, "%lld pairs, %lld of them for validation; %g values a metre; 'sgrun data check' decodes them",
            (long long)pairs.n, (long long)n_held_out, pairs.depth_scale);
  }
  pairs_free(&pairs);
  free(manifest);
  free(directory);
  return code;
}

// ---- split

// The random number that decides where a pair goes: its scene's, so that scenes stay whole and adding pairs moves none
// of the others; its own where scenes are not known.
static double split_number(const Pair *pair, uint64_t seed, bool has_groups) {
  Text name = {0};
  text_printf(&name, "split/%s", has_groups ? pair->group : pair->name);
  Random random = random_stream(seed, text_get(&name));
  text_free(&name);
  return random_uniform(&random);
}

// The lowest numbers are for validation, the highest for testing; neither stays empty if it was asked for.
static void draw_splits(Pairs *pairs, uint64_t seed, double val, double test) {
  bool has_groups = false;
  for (int64_t i = 1; i < pairs->n; i++) has_groups |= strcmp(pairs->pair[0].group, pairs->pair[i].group) != 0;
  double low = 1, high = 0;
  for (int64_t i = 0; i < pairs->n; i++) {
    double number = split_number(&pairs->pair[i], seed, has_groups);
    low = fmin(low, number);
    high = fmax(high, number);
  }
  for (int64_t i = 0; i < pairs->n; i++) {
    double number = split_number(&pairs->pair[i], seed, has_groups);
    bool is_val = val > 0 && (number < val || number <= low);
    bool is_test = test > 0 && (number >= 1 - test || number >= high);
    pairs->pair[i].split = is_val ? SPLIT_VALIDATION : is_test ? SPLIT_TEST : SPLIT_TRAIN;
  }
}

ExitCode data_split(const Cli *cli) {
  const char *path = data_path(cli), *out = cli_option(cli, "out");
  if (!path) return EXIT_USAGE;
  if (!out) return cli_fail(cli, EXIT_USAGE, "'data split' needs --out DIR for the lists");
  double val = cli_number(cli, "val", 0.1, 0, 1), test = cli_number(cli, "test", 0, 0, 1);
  if (val + test >= 1) return cli_fail(cli, EXIT_USAGE, "shares of %g and %g leave nothing to train on", val, test);
  uint64_t seed = (uint64_t)cli_integer(cli, "seed", 1, 0, 4294967295);
  Pairs pairs = {0};
  ExitCode code = sgrun_pairs(cli, path, &pairs);
  if (!code) code = sgrun_drop_missing(cli, &pairs);
  if (!code) code = cli_status(cli, file_make_directory(out));
  if (!code) draw_splits(&pairs, seed, val, test);
  for (int split = SPLIT_TRAIN; split <= SPLIT_TEST && !code; split++) {
    int64_t n = 0;
    char file[16];
    for (int64_t i = 0; i < pairs.n; i++) n += pairs.pair[i].split == (Split)split;
    snprintf(file, sizeof file, "%s.csv", split_name((Split)split));
    char *list = path_under(out, file);
    if (n) code = cli_status(cli, pairs_write_csv(&pairs, (Split)split, list));
    else remove(list); // of an earlier split
    if (n && !code) printf("%s  %lld pairs\n", list, (long long)n);
    free(list);
  }
  pairs_free(&pairs);
  return code;
}
