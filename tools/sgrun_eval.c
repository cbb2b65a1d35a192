// sgrun eval: the metrics of trained weights on a data set, under a named protocol.
#include <stdlib.h>
#include <string.h>

#include "runtime/base/file.h"
#include "runtime/train/baseline.h"
#include "tools/sgrun_predictor.h"

// The named protocol with what --flip and --align change, which its name then says.
static ExitCode choose_protocol(const Cli *cli, Text *name, Protocol *out) {
  const char *asked = cli_option(cli, "protocol"), *align = cli_option(cli, "align");
  const Protocol *found = protocol_find(asked ? asked : "full");
  if (!found) {
    Text names = {0};
    for (int i = 0; protocol_at(i); i++) text_printf(&names, "%s%s", i ? ", " : "", protocol_at(i)->name);
    ExitCode code = cli_fail(cli, EXIT_USAGE, "there is no protocol '%s'; there are %s", asked, text_get(&names));
    text_free(&names);
    return code;
  }
  *out = *found;
  out->has_flip = cli_flag(cli, "flip", out->has_flip);
  if (align && !align_find(align, &out->align))
    return cli_fail(cli, EXIT_USAGE, "there is no alignment '%s'; there are none, median and lsq", align);
  text_put(name, found->name);
  if (out->has_flip != found->has_flip) text_put(name, out->has_flip ? "+flip" : "-flip");
  if (out->align) text_printf(name, "+%s", align_name(out->align));
  out->name = text_get(name);
  return EXIT_DONE;
}

typedef struct Evaluation {
  const Cli *cli;
  const Protocol *protocol;
  Predictor predictor;
  MetricsMean metrics;
  int64_t n_bad;
  Text rows; // of the per-picture CSV
} Evaluation;

static void mirror(const Image *from, Image *out) {
  image_alloc(out, from->width, from->height);
  for (int y = 0; y < from->height; y++)
    for (int x = 0; x < from->width; x++)
      memcpy(out->rgb + 3 * ((size_t)y * (size_t)from->width + (size_t)(from->width - 1 - x)),
             from->rgb + 3 * ((size_t)y * (size_t)from->width + (size_t)x), 3);
}

// The network's depth resized to the picture.
static ExitCode predict_full(Evaluation *e, const Image *picture, float *out) {
  int width, height;
  const float *values;
  predictor_size(&e->predictor, e->protocol->is_native, picture, &width, &height);
  ExitCode code = predictor_run(&e->predictor, picture, width, height, &values, &width, &height);
  if (!code) resize_bilinear_corners(values, width, height, out, picture->width, picture->height);
  return code;
}

static void put_row(Evaluation *e, const char *name, const Sample *sample, int64_t n, const double *values) {
  if (!e->rows.size) {
    text_put(&e->rows, "name,width,height,valid");
    for (int m = 0; m < METRIC_COUNT; m++) text_printf(&e->rows, ",%s", metric_name((Metric)m));
    text_put(&e->rows, "\n");
  }
  text_put(&e->rows, "\"");
  for (; *name; name++) text_printf(&e->rows, *name == '"' ? "\"\"" : "%c", *name);
  text_printf(&e->rows, "\",%d,%d,%lld", sample->depth.width, sample->depth.height, (long long)n);
  for (int m = 0; m < METRIC_COUNT; m++) text_printf(&e->rows, n ? ",%.9g" : ",", values[m]);
  text_put(&e->rows, "\n");
}

static ExitCode evaluate_sample(Evaluation *e, const char *name, const Sample *sample) {
  int width = sample->picture.width, height = sample->picture.height;
  float *depth = malloc(sizeof *depth * (size_t)width * (size_t)height);
  if (!depth) BUG("out of memory");
  ExitCode code = predict_full(e, &sample->picture, depth);
  if (!code && e->protocol->has_flip) {
    float *flipped = malloc(sizeof *flipped * (size_t)width * (size_t)height);
    if (!flipped) BUG("out of memory");
    Image mirrored;
    mirror(&sample->picture, &mirrored);
    code = predict_full(e, &mirrored, flipped);
    if (!code) metrics_average_flip(e->protocol, depth, flipped, width, height, depth);
    image_free(&mirrored);
    free(flipped);
  }
  if (!code) {
    double values[METRIC_COUNT];
    int64_t n = metrics_image(e->protocol, depth, width, height, sample->depth.metres, width, height, values);
    metrics_add(&e->metrics, values, n);
    put_row(e, name, sample, n, values);
  }
  free(depth);
  return code;
}

// Every sample in turn. Those that cannot be read are named and left out, up to --max-bad of them.
static ExitCode evaluate(Evaluation *e, const Dataset *dataset) {
  int64_t max_bad = sgrun_max_bad(e->cli, dataset->size);
  for (int64_t i = 0; i < dataset->size; i++) {
    Sample sample;
    char name[SAMPLE_NAME];
    Status status = dataset_sample(dataset, i, &sample);
    if (status) {
      ExitCode code = cli_status(e->cli, status);
      if (code != EXIT_DATA) return code;
      if (++e->n_bad > max_bad)
        return cli_fail(e->cli, EXIT_DATA, "more than %lld samples cannot be read (see --max-bad)", (long long)max_bad);
      continue;
    }
    dataset_name(dataset, i, name);
    ExitCode code = evaluate_sample(e, name, &sample);
    sample_free(&sample);
    if (code) return code;
  }
  return EXIT_DONE;
}

// What constant depth maps of the validation pictures' size score, fitted on the training data.
static ExitCode score_baseline(const Evaluation *e, const Dataset *training, const Dataset *validation,
                               Baseline **out) {
  int width = e->predictor.preprocess.width, height = e->predictor.preprocess.height;
  if (e->protocol->is_native) {
    Sample sample;
    ExitCode code = cli_status(e->cli, dataset_sample(validation, 0, &sample));
    if (code) return code;
    width = sample.picture.width;
    height = sample.picture.height;
    sample_free(&sample);
  }
  *out = baseline_new(e->protocol, width, height);
  return cli_status(e->cli, baseline_run(*out, training, 256, validation));
}

static void print_results(const Evaluation *e, const Baseline *baseline) {
  const Cli *cli = e->cli;
  bool is_json = cli_flag(cli, "json", false);
  if (is_json) {
    char digest[9];
    Text says = {0};
    protocol_digest(e->protocol, digest);
    protocol_describe(e->protocol, &says);
    printf("{\"schema\":\"sgrun.eval/1\",\"protocol\":\"%s#%s\",\"protocol_says\":\"%s\",\"align\":\"%s\","
           "\"flip\":%s,\"pictures\":%lld,\"without_truth\":%lld,\"unreadable\":%lld",
           e->protocol->name, digest, text_get(&says), align_name(e->protocol->align),
           e->protocol->has_flip ? "true" : "false", (long long)e->metrics.n_images, (long long)e->metrics.n_empty,
           (long long)e->n_bad);
    text_free(&says);
  }
  sgrun_print_metrics(cli, e->protocol, &e->metrics, is_json ? "" : e->predictor.model.info->name);
  if (baseline)
    sgrun_print_metrics(cli, e->protocol, baseline_metrics(baseline, baseline_best(baseline)),
                        is_json ? "constant" : "best constant depth map");
  if (is_json) printf("}\n");
  if (e->n_bad) cli_say(cli, "%lld pictures could not be read and are not in these figures", (long long)e->n_bad);
}

static ExitCode run(Evaluation *e) {
  const Cli *cli = e->cli;
  TrainSettings settings;
  ExitCode code = sgrun_settings(cli, &e->predictor.model, &settings);
  if (code) return code;
  settings.width = e->predictor.preprocess.width;
  settings.height = e->predictor.preprocess.height;
  Dataset *training = NULL, *validation = NULL;
  Baseline *baseline = NULL;
  bool wants_baseline = cli_flag(cli, "baseline", false);
  const char *per_image = cli_option(cli, "per-image");
  code = sgrun_datasets(cli, &settings, wants_baseline ? &training : NULL, &validation);
  if (!code) code = evaluate(e, validation);
  if (!code && per_image) code = cli_status(cli, file_write(per_image, e->rows.data, e->rows.size));
  if (!code && wants_baseline) code = score_baseline(e, training, validation, &baseline);
  if (!code) print_results(e, baseline);
  if (baseline) baseline_free(baseline);
  dataset_close(training);
  dataset_close(validation);
  return code;
}

static ExitCode eval(const Cli *cli) {
  Protocol protocol;
  Text name = {0};
  ExitCode code = choose_protocol(cli, &name, &protocol);
  if (code) return code;
  Evaluation e = {.cli = cli, .protocol = &protocol};
  code = predictor_open(cli, cli_operand(cli, 0), &e.predictor);
  if (!code) code = run(&e);
  predictor_close(&e.predictor);
  text_free(&e.rows);
  text_free(&name);
  return code;
}

static const CliOption options[] = {
    {"protocol", 'p', "NAME", "full (default), nyu-eigen, nyu-eigen-flip or slides"},
    {"flip", 0, NULL, "average the depth of each picture and of its mirror image"},
    {"align", 0, "NAME", "none (default), median or lsq: fit each depth map to its ground truth first"},
    {"split", 0, "NAME", "of --data: val (default; held out where the data names none), train, test or all"},
    {"per-image", 0, "FILE", "write the metrics of every picture as CSV"},
    {"baseline", 0, NULL, "also print what the best constant depth map scores"},
    {"json", 0, NULL, "one JSON object on stdout"},
    {"set", 's', "KEY=VALUE", "a setting, such as validation_rooms=128"},
    DATA_OPTIONS,
    DEVICE_OPTIONS,
    MODEL_OPTIONS,
    COMPILE_OPTIONS,
    CLI_COMMON};

const CliCommand sgrun_eval = {
    "eval",
    "WEIGHTS",
    "print the metrics of trained weights",
    "On validation rooms, on the held-out part of --data, or on what --data-val or --split names. Pictures are fitted\n"
    "to the network as predict does (nyu-eigen and slides: at their own size) and the depth is judged at the size of\n"
    "the ground truth. The header gives everything that the figures depend on, and a digest of it.\n\n"
    "  sgrun eval runs/ghost_unet/weights.safetensors --baseline\n"
    "  sgrun eval W --data-val nyudepthv2_test_files_with_gt.txt --data-root official_splits/test -p slides",
    options,
    1,
    1,
    eval};
