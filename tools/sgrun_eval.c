// sgrun eval: the metrics of trained weights on a data set, under a named protocol.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/file.h"
#include "runtime/train/baseline.h"
#include "tools/common_device.h"
#include "tools/sgrun_predictor.h"
#include "tools/sgrun_sharing.h"
#include "tools/sgrun_stack.h"

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

// What became of one picture.
typedef struct Judged {
  Status status; // why the sample cannot be read
  ExitCode code; // of a failure that was said already
  char name[SAMPLE_NAME];
  int width, height;              // of the ground truth
  int n_maps;                     // judged of it: 1, or with --bases the combined depth, each base's, and their mean
  int64_t *n;                     // [n_maps] valid pixels
  double (*values)[METRIC_COUNT]; // [n_maps]
} Judged;

typedef struct Evaluation {
  const Cli *cli;
  const Protocol *protocol;
  PredictorSet predictors;
  const Dataset *dataset;
  Judged *judged;       // [dataset->size]
  int n_maps;           // of each picture; 0 before the first
  MetricsMean *metrics; // [n_maps]
  int64_t n_bad, max_bad;
  Text rows; // of the per-picture CSV
} Evaluation;

static void mirror(const Image *from, Image *out) {
  image_alloc(out, from->width, from->height);
  for (int y = 0; y < from->height; y++)
    for (int x = 0; x < from->width; x++)
      memcpy(out->rgb + 3 * ((size_t)y * (size_t)from->width + (size_t)(from->width - 1 - x)),
             from->rgb + 3 * ((size_t)y * (size_t)from->width + (size_t)x), 3);
}

// The maps to judge, resized to the picture: [n_maps][height][width], the caller's to free.
static ExitCode predict_full(const Evaluation *e, Predictor *predictor, const Image *picture, int *out_n_maps,
                             float **out) {
  int width, height;
  const float *values;
  StackView view = {0};
  bool has_bases = cli_flag(e->cli, "bases", false);
  predictor_size(&e->predictors, e->protocol->is_native, picture, &width, &height);
  ExitCode code = predictor_run(predictor, picture, width, height, &values, &width, &height);
  if (!code && has_bases) code = stack_view(predictor, "bases", &view);
  if (code) return code;
  size_t n = (size_t)picture->width * (size_t)picture->height;
  *out_n_maps = has_bases ? view.n_bases + 2 : 1;
  float *maps = malloc(sizeof *maps * n * (size_t)*out_n_maps);
  if (!maps) BUG("out of memory");
  resize_bilinear_corners(values, width, height, maps, picture->width, picture->height);
  if (has_bases) {
    float *mean = maps + n * (size_t)(view.n_bases + 1);
    memset(mean, 0, sizeof *mean * n);
    for (int k = 0; k < view.n_bases; k++) {
      float *base = maps + n * (size_t)(k + 1);
      resize_bilinear_corners(view.depths + (size_t)k * (size_t)view.width * (size_t)view.height, view.width,
                              view.height, base, picture->width, picture->height);
      for (size_t i = 0; i < n; i++) mean[i] += base[i] / (float)view.n_bases;
    }
  }
  *out = maps;
  return EXIT_DONE;
}

static ExitCode judge_sample(const Evaluation *e, Predictor *predictor, const Sample *sample, Judged *out) {
  int width = sample->picture.width, height = sample->picture.height;
  size_t n_pixels = (size_t)width * (size_t)height;
  float *maps = NULL, *flipped = NULL;
  ExitCode code = predict_full(e, predictor, &sample->picture, &out->n_maps, &maps);
  if (!code && e->protocol->has_flip) {
    Image mirrored;
    mirror(&sample->picture, &mirrored);
    code = predict_full(e, predictor, &mirrored, &out->n_maps, &flipped);
    image_free(&mirrored);
  }
  if (!code) {
    out->n = calloc((size_t)out->n_maps, sizeof *out->n);
    out->values = calloc((size_t)out->n_maps, sizeof *out->values);
    if (!out->n || !out->values) BUG("out of memory");
  }
  for (int m = 0; !code && m < out->n_maps; m++) {
    float *map = maps + n_pixels * (size_t)m;
    if (flipped) metrics_average_flip(e->protocol, map, flipped + n_pixels * (size_t)m, width, height, map);
    out->n[m] = metrics_image(e->protocol, map, width, height, sample->depth.metres, width, height, out->values[m]);
  }
  free(maps);
  free(flipped);
  return code;
}

// Sharing.work: judges one picture.
static void judge(void *context, int device, int64_t i) {
  const Evaluation *e = context;
  Judged *out = &e->judged[i];
  Sample sample;
  out->status = dataset_sample(e->dataset, i, &sample);
  if (out->status) return;
  dataset_name(e->dataset, i, out->name);
  out->width = sample.depth.width;
  out->height = sample.depth.height;
  out->code = judge_sample(e, &e->predictors.predictor[device], &sample, out);
  sample_free(&sample);
}

static void put_row(Evaluation *e, const Judged *judged) {
  if (!e->rows.size) {
    text_put(&e->rows, "name,width,height,valid");
    for (int m = 0; m < METRIC_COUNT; m++) text_printf(&e->rows, ",%s", metric_name((Metric)m));
    text_put(&e->rows, "\n");
  }
  text_put(&e->rows, "\"");
  for (const char *at = judged->name; *at; at++) text_printf(&e->rows, *at == '"' ? "\"\"" : "%c", *at);
  text_printf(&e->rows, "\",%d,%d,%lld", judged->width, judged->height, (long long)judged->n[0]);
  for (int m = 0; m < METRIC_COUNT; m++) text_printf(&e->rows, judged->n[0] ? ",%.9g" : ",", judged->values[0][m]);
  text_put(&e->rows, "\n");
}

// Sharing.take: one picture's part of the figures. Those that cannot be read are named and left out, up to --max-bad of
// them.
static ExitCode take(void *context, int64_t i) {
  Evaluation *e = context;
  Judged *judged = &e->judged[i];
  Status status = judged->status;
  judged->status = STATUS_OK;
  if (status) {
    ExitCode code = cli_status(e->cli, status);
    if (code != EXIT_DATA) return code;
    if (++e->n_bad <= e->max_bad) return EXIT_DONE;
    return cli_fail(e->cli, EXIT_DATA, "more than %lld samples cannot be read (see --max-bad)", (long long)e->max_bad);
  }
  if (judged->code) return judged->code;
  if (!e->n_maps) {
    e->n_maps = judged->n_maps;
    e->metrics = calloc((size_t)e->n_maps, sizeof *e->metrics);
    if (!e->metrics) BUG("out of memory");
  }
  for (int m = 0; m < e->n_maps; m++) metrics_add(&e->metrics[m], judged->values[m], judged->n[m]);
  put_row(e, judged);
  return EXIT_DONE;
}

// The figures are the same whatever the devices: every picture's are added up in the order of the pictures.
static ExitCode evaluate(Evaluation *e, const Dataset *dataset) {
  e->dataset = dataset;
  e->max_bad = sgrun_max_bad(e->cli, dataset->size);
  e->judged = calloc((size_t)dataset->size + 1, sizeof *e->judged);
  if (!e->judged) BUG("out of memory");
  Sharing sharing = {.n = dataset->size, .context = e, .work = judge, .take = take};
  ExitCode code = share_out(e->cli, &sharing, e->predictors.n);
  for (int64_t i = 0; i < dataset->size; i++) {
    status_free(e->judged[i].status);
    free(e->judged[i].n);
    free(e->judged[i].values);
  }
  free(e->judged);
  return code;
}

// What constant depth maps of the validation pictures' size score, fitted on the training data.
static ExitCode score_baseline(const Evaluation *e, const Dataset *training, const Dataset *validation,
                               Baseline **out) {
  int width = e->predictors.preprocess.width, height = e->predictors.preprocess.height;
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

static const char *map_name(const Evaluation *e, int map) {
  return map == 0 ? "combined" : map == e->n_maps - 1 ? "mean" : e->predictors.base_names[map - 1];
}

// The combined depth, each base and their plain mean in one table, or one object in the results' object.
static void print_bases(const Evaluation *e, bool is_json) {
  if (is_json) {
    Text text = {0};
    for (int m = 0; m < e->n_maps; m++) {
      text_put(&text, m ? "," : ",\"bases\":{");
      text_put_json(&text, map_name(e, m));
      for (int i = 0; i < METRIC_COUNT; i++) {
        double value = metrics_mean(&e->metrics[m], (Metric)i);
        text_printf(&text, isfinite(value) ? "%s\"%s\":%.9g" : "%s\"%s\":null", i ? "," : ":{", metric_name((Metric)i),
                    value);
      }
      text_put(&text, "}");
    }
    printf("%s}", text_get(&text));
    text_free(&text);
    return;
  }
  printf("the same for each base and their plain mean\n%-12s", "");
  for (int c = 0; c < METRIC_COUNT; c++) printf("%*s", c ? 14 : 9, metric_name(protocol_metric(e->protocol, c)));
  for (int m = 0; m < e->n_maps; m++) {
    printf("\n%-12s", map_name(e, m));
    for (int c = 0; c < METRIC_COUNT; c++)
      printf("%*.4f", c ? 14 : 9, metrics_mean(&e->metrics[m], protocol_metric(e->protocol, c)));
  }
  printf("\n");
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
           e->protocol->has_flip ? "true" : "false", (long long)e->metrics->n_images, (long long)e->metrics->n_empty,
           (long long)e->n_bad);
    text_free(&says);
  }
  sgrun_print_metrics(cli, e->protocol, e->metrics, is_json ? "" : e->predictors.model.info->name);
  if (e->n_maps > 1) print_bases(e, is_json);
  if (baseline)
    sgrun_print_metrics(cli, e->protocol, baseline_metrics(baseline, baseline_best(baseline)),
                        is_json ? "constant" : "best constant depth map");
  if (is_json) printf("}\n");
  if (e->n_bad) cli_say(cli, "%lld pictures could not be read and are not in these figures", (long long)e->n_bad);
}

static ExitCode run(Evaluation *e) {
  const Cli *cli = e->cli;
  TrainSettings settings;
  ExitCode code = sgrun_settings(cli, &e->predictors.model, &settings);
  if (code) return code;
  settings.width = e->predictors.preprocess.width;
  settings.height = e->predictors.preprocess.height;
  Dataset *training = NULL, *validation = NULL;
  Baseline *baseline = NULL;
  bool wants_baseline = cli_flag(cli, "baseline", false);
  const char *per_image = cli_option(cli, "per-image");
  code = sgrun_datasets(cli, &settings, wants_baseline ? &training : NULL, &validation);
  if (!code) code = evaluate(e, validation);
  if (!code && e->n_maps && !e->metrics->n_images)
    code = cli_fail(cli, EXIT_DATA, "none of %lld pictures has a valid pixel to judge: is the depth's unit right?",
                    (long long)e->metrics->n_empty);
  if (!code && !e->n_maps) code = cli_fail(cli, EXIT_DATA, "there was no picture to judge");
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
  code = predictors_open(cli, cli_operand(cli, 0), DEVICES_MAX, &e.predictors);
  if (!code) code = run(&e);
  predictors_close(&e.predictors);
  free(e.metrics);
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
    {"bases", 0, NULL, "of a stack: also print what each base learner and their plain mean score"},
    {"baseline", 0, NULL, "also print what the best constant depth map scores"},
    {"json", 0, NULL, "one JSON object on stdout"},
    {"set", 's', "KEY=VALUE", "a setting, such as validation_rooms=128"},
    DATA_OPTIONS,
    DEVICE_OPTIONS,
    DEVICES_OPTION,
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
