// sgrun_study_part: the steps of one part of a study: training, judging, timing, each in a process of its own.
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/file.h"
#include "tools/common_device.h"
#include "tools/sgrun_child.h"
#include "tools/sgrun_study.h"

// The arguments of a child.
typedef struct Arguments {
  Arena *arena;
  const char **items;
  int n, capacity;
} Arguments;

static void add(Arguments *arguments, const char *item) {
  ARENA_PUSH(arguments->arena, arguments->items, arguments->n, arguments->capacity, item);
}

static __attribute__((format(printf, 3, 4))) void add_option(Arguments *arguments, const char *name, const char *format,
                                                             ...) {
  va_list args;
  va_start(args, format);
  add(arguments, arena_printf(arguments->arena, "--%s", name));
  add(arguments, arena_vprintf(arguments->arena, format, args));
  va_end(args);
}

// Options that mean the same to the child.
static void pass_on(const Study *study, Arguments *arguments, const char *const *names) {
  for (; *names; names++)
    for (int i = 0; cli_option_at(study->cli, *names, i); i++)
      add_option(arguments, *names, "%s", cli_option_at(study->cli, *names, i));
}

// Test pictures are those of --data; what --data-val names is for validation.
static const char *const data_options[] = {"data", "data-root", "max-bad", "depth-scale", NULL};
static const char *const validation_options[] = {"data-val", NULL};
static const char *const common_options[] = {"threads", "include", "target", NULL};
static const char *const memory_options[] = {"mem", NULL};               // of training
static const char *const device_options[] = {"device", "devices", NULL}; // of steps that share out batches or pictures

static void add_settings(const LangSetting *settings, int n, Arguments *arguments) {
  for (int i = 0; i < n; i++) {
    bool is_rule = settings[i].kind == SETTING_RULE,
         has_factor = !strcmp(settings[i].key, "rate") || !strcmp(settings[i].key, "decay");
    if (is_rule && has_factor)
      add_option(arguments, "set", "%s=%s=%.17g", settings[i].key, settings[i].string, settings[i].number);
    else if (is_rule || settings[i].kind == SETTING_STRING)
      add_option(arguments, "set", "%s=%s", settings[i].key, settings[i].string);
    else add_option(arguments, "set", "%s=%.17g", settings[i].key, settings[i].number);
  }
}

// Those of the study, of the part, and of the command line.
static void add_all_settings(const Study *study, const LangPart *part, int repeat, Arguments *arguments) {
  add_settings(study->lang->settings, study->lang->n_settings, arguments);
  add_settings(part->settings, part->n_settings, arguments);
  static const char *const set[] = {"set", NULL};
  pass_on(study, arguments, set);
  int64_t seed = study->seed + repeat;
  // Base learners that draw their own training data draw different ones.
  bool is_bagged = part->role == ROLE_BASE && cli_flag(study->cli, "bagging", false);
  if (is_bagged) add_option(arguments, "set", "bootstrap=%d", 1 + (int)(part - study->lang->parts));
  add_option(arguments, "set", "seed=%lld", (long long)seed);
}

// The last lines of a child's log, to be shown when it failed.
static void show_log(const Study *study, const char *path) {
  enum { LINES = 8 };
  Text text = {0};
  Status status = file_read(path, &text);
  const char *at = text_get(&text) + text.size;
  for (int n = 0; !status && at > text_get(&text); at--)
    if (at[-1] == '\n' && ++n > LINES) break;
  if (!status) cli_say(study->cli, "the end of %s:\n%s", path, at);
  status_free(status);
  text_free(&text);
}

// Runs a child whose stdout becomes the part's file `result`, unless that is there already.
static ExitCode step(const Study *study, int part, int repeat, const char *result, Arguments *arguments) {
  const char *path = study_path(study, part, repeat, result), *log = study_path(study, part, repeat, "log.txt");
  const char *unfinished = arena_printf(study->text.arena, "%s.part", path);
  if (file_exists(path)) return EXIT_DONE;
  add(arguments, NULL);
  int code = EXIT_DONE;
  ExitCode failed = cli_status(study->cli, child_run(arguments->items, unfinished, log, study->stop, &code));
  if (failed) return failed;
  if (code == EXIT_DONE && rename(unfinished, path))
    return cli_fail(study->cli, EXIT_DATA, "cannot write '%s': %s", path, strerror(errno));
  if (code == EXIT_DONE || code == EXIT_INTERRUPTED) return (ExitCode)code;
  show_log(study, log);
  return cli_fail(study->cli, (ExitCode)code, "\"%s\": sgrun %s ended with exit status %d",
                  study->parts[part].lang->label, arguments->items[0], code);
}

// Weights that the part starts from: those of its bases, and of --encoder wherever no base brings its own.
static ExitCode add_initial(const Study *study, int part, int repeat, Arguments *arguments) {
  const StudyPart *own = &study->parts[part];
  for (int i = 0; i < own->n_inherited; i++) {
    const LangPart *base = study->parts[own->inherited[i]].lang;
    add_option(arguments, "init", "%s", study_path(study, own->inherited[i], repeat, "weights.safetensors"));
    add_option(arguments, "init-prefix", "%s.", base->model);
  }
  const char *encoder = cli_option(study->cli, "encoder");
  if (!encoder) return EXIT_DONE;
  WeightFile *file = NULL;
  ExitCode code = cli_status(study->cli, weights_open(encoder, &file));
  Model model = {0};
  if (!code) code = study_model(study, own->lang, 1, &own->settings, &model);
  Graph *graph = code ? NULL : model_graph(study->cli, &model, false, false);
  const char *first = !code && weights_count(file) ? weights_at(file, 0)->name : "";
  for (int i = 0; graph && i < graph->n_nodes; i++) {
    const Node *node = graph->nodes[i];
    size_t length = node->name ? strlen(node->name) : 0, tail = strlen(first);
    if (node->op != OP_param || length < tail || strcmp(node->name + length - tail, first)) continue;
    bool is_inherited = false;
    for (int k = 0; k < own->n_inherited; k++) {
      const char *base = study->parts[own->inherited[k]].lang->model;
      is_inherited |= !strncmp(node->name, base, strlen(base)) && node->name[strlen(base)] == '.';
    }
    if (is_inherited) continue;
    add_option(arguments, "init", "%s", encoder);
    add_option(arguments, "init-prefix", "%.*s", (int)(length - tail), node->name);
  }
  model_close(&model);
  weights_close(file);
  return code;
}

static ExitCode train(const Study *study, int part, int repeat) {
  const LangPart *lang = study->parts[part].lang;
  Arguments arguments = {.arena = study->text.arena};
  add(&arguments, "train");
  add(&arguments, study->text.path);
  add_option(&arguments, "model", "%s", lang->model);
  for (int i = 0; i < lang->n_arguments; i++)
    add_option(&arguments, "arg", "%s=%s", lang->arguments[i].name, lang->arguments[i].value);
  add_all_settings(study, lang, repeat, &arguments);
  if (part == study->gap_part)
    add_option(&arguments, "epochs", "%.0f", fmax(1, round(study->parts[part].settings.epochs * study->gap_share)));
  pass_on(study, &arguments, data_options);
  pass_on(study, &arguments, validation_options);
  pass_on(study, &arguments, common_options);
  pass_on(study, &arguments, device_options);
  pass_on(study, &arguments, memory_options);
  ExitCode code = add_initial(study, part, repeat, &arguments);
  if (code) return code;
  add_option(&arguments, "out", "%s", study_path(study, part, repeat, NULL));
  if (file_exists(study_path(study, part, repeat, "checkpoint.safetensors"))) add(&arguments, "--resume");
  return step(study, part, repeat, "trained.txt", &arguments);
}

// A part with nothing to train has its bases' weights, each below the base's name.
static ExitCode join(const Study *study, int part, int repeat) {
  const char *path = study_path(study, part, repeat, "weights.safetensors");
  if (file_exists(path)) return EXIT_DONE;
  const StudyPart *own = &study->parts[part];
  WeightFile **files = ARENA_ARRAY(study->text.arena, WeightFile *, own->n_inherited + 1);
  WeightWriter *writer = weight_writer_new();
  ExitCode code = EXIT_DONE;
  for (int i = 0; i < own->n_inherited && !code; i++) {
    const char *from = study_path(study, own->inherited[i], repeat, "weights.safetensors");
    code = cli_status(study->cli, weights_open(from, &files[i]));
    for (int k = 0; !code && k < weights_count(files[i]); k++) {
      const WeightTensor *tensor = weights_at(files[i], k);
      const char *base = study->parts[own->inherited[i]].lang->model;
      weight_writer_add_raw(writer, arena_printf(study->text.arena, "%s.%s", base, tensor->name), tensor);
    }
  }
  Model model = {0};
  if (!code) code = study_model(study, own->lang, 1, &own->settings, &model);
  if (!code) {
    Preprocess preprocess = preprocess_make((int)own->settings.width, (int)own->settings.height);
    Text text = {0};
    preprocess_format(&preprocess, &text);
    weight_writer_metadata(writer, "sgc.model", model.info->name);
    weight_writer_metadata(writer, "sgc.bundle", model_bundle_json(&model));
    weight_writer_metadata(writer, "sgc.bindings", model_bindings_json(&model));
    weight_writer_metadata(writer, "sgc.preprocess", text_get(&text));
    text_free(&text);
  }
  Status saved = weight_writer_save(writer, code ? "/dev/null" : path);
  if (code) status_free(saved);
  else code = cli_status(study->cli, saved);
  for (int i = 0; i < own->n_inherited; i++) weights_close(files[i]);
  model_close(&model);
  return code;
}

static ExitCode judge(const Study *study, int part, int repeat, StudySet set) {
  static const char *const split[] = {"test", "val"}, *const result[] = {"test.json", "validation.json"},
                           *const pictures[] = {"test.csv", "validation.csv"};
  Arguments arguments = {.arena = study->text.arena};
  add(&arguments, "eval");
  add(&arguments, study_path(study, part, repeat, "weights.safetensors"));
  add(&arguments, "--json");
  add_option(&arguments, "split", "%s", split[set]);
  add_option(&arguments, "protocol", "%s", study->protocol->name);
  add_option(&arguments, "per-image", "%s", study_path(study, part, repeat, pictures[set]));
  add_all_settings(study, study->parts[part].lang, repeat, &arguments);
  pass_on(study, &arguments, data_options);
  if (set == STUDY_VALIDATION) pass_on(study, &arguments, validation_options);
  pass_on(study, &arguments, common_options);
  pass_on(study, &arguments, device_options);
  return step(study, part, repeat, result[set], &arguments);
}

static ExitCode time_it(const Study *study, int part, int repeat) {
  const TrainSettings *settings = &study->parts[part].settings;
  Arguments arguments = {.arena = study->text.arena};
  add(&arguments, "bench");
  add(&arguments, study_path(study, part, repeat, "weights.safetensors"));
  add(&arguments, "--json");
  add_option(&arguments, "dim", "N=1,H=%.0f,W=%.0f", settings->height, settings->width);
  pass_on(study, &arguments, common_options);
  if (cli_option(study->cli, "device") || cli_option(study->cli, "devices")) {
    DeviceNames names; // one picture is timed, on the first
    ExitCode code = device_names(study->cli, &names);
    if (code) return code;
    if (names.is_cuda) add_option(&arguments, "device", "cuda:%d", names.number[0]);
    else add_option(&arguments, "device", "cpu");
  }
  return step(study, part, repeat, "bench.json", &arguments);
}

ExitCode study_run_part(const Study *study, int part, int repeat) {
  const StudyPart *own = &study->parts[part];
  ExitCode code = cli_status(study->cli, file_make_directory(study_path(study, part, repeat, NULL)));
  if (!code) code = own->trained ? train(study, part, repeat) : join(study, part, repeat);
  if (!code && study->has_test) code = judge(study, part, repeat, STUDY_TEST);
  if (!code) code = judge(study, part, repeat, STUDY_VALIDATION);
  if (!code && repeat == 0) code = time_it(study, part, repeat);
  if (!code && *study->stop) code = EXIT_INTERRUPTED;
  return code;
}
