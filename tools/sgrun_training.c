// sgrun_training: a model, its settings, data and programs, opened for the commands that run training steps.
#include "tools/sgrun_training.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lang/builtin.h"
#include "runtime/base/hash.h"

// Those that run another one's program go before it.
static void close_runners(Runner *runners, Exec **execs, int n) {
  for (int i = n; runners && i-- > 0;) runner_close(&runners[i]);
  free(runners);
  free(execs);
}

void training_close(Training *training, ExitCode code) {
  loader_close(training->training_loader);
  loader_close(training->validation_loader);
  dataset_close(training->training);
  dataset_close(training->validation);
  close_runners(training->steps, training->step_execs, training->devices.n);
  close_runners(training->evaluations, training->evaluation_execs, training->devices.n);
  devices_close(&training->devices, code);
  model_close(&training->model);
}

static ExitCode check_parts(const Cli *cli, const TrainSettings *settings) {
  if (fmod(settings->batch, settings->accumulate) == 0) return EXIT_DONE;
  return cli_fail(cli, EXIT_USAGE, "a batch of %.0f cannot be run in %.0f equal parts (setting 'accumulate')",
                  settings->batch, settings->accumulate);
}

ExitCode training_open(const Cli *cli, const char *path, Training *out) {
  ExitCode code = model_open(cli, path, &out->model);
  if (!code) code = sgrun_settings(cli, &out->model, &out->settings);
  return code ? code : check_parts(cli, &out->settings);
}

// An input that no data set fills would stay 0.
static ExitCode check_inputs(const Cli *cli, const Graph *graph) {
  static const char *const filled[] = {"rgb", "gt", RANDOM_KEY};
  for (int i = 0; i < graph->n_nodes; i++) {
    const char *name = graph->nodes[i]->op == OP_input ? graph->nodes[i]->name : NULL;
    for (size_t k = 0; name && k < sizeof filled / sizeof *filled; k++)
      if (!strcmp(name, filled[k])) name = NULL;
    if (name)
      return cli_fail(cli, EXIT_MODEL,
                      "data fill the input 'rgb' and the target 'gt', but not the input '%s' of %s: train a model that "
                      "computes it and calls %s, as models/stack.net calls meta_unet",
                      name, graph->name, graph->name);
  }
  return EXIT_DONE;
}

static ExitCode check_graph(const Cli *cli, const Graph *graph, const char *what) {
  if (!graph_find_leaf(graph, "rgb"))
    return cli_fail(cli, EXIT_MODEL, "the model %s has no input 'rgb' to feed pictures to", graph->name);
  if (!graph_find_output(graph, what))
    return cli_fail(cli, EXIT_MODEL, "the model %s has no output '%s'", graph->name, what);
  return check_inputs(cli, graph);
}

// Where the i-th rule of the settings stands in the model's text; no place for those of the command line, which come
// after them.
static SrcLoc rule_place(const Model *model, int i) {
  for (int k = 0; k < model->info->n_settings; k++)
    if (model->info->settings[k].kind == SETTING_RULE && i-- == 0) return model->info->settings[k].loc;
  return (SrcLoc){0};
}

static StepOptions step_options(const Training *training) {
  const TrainSettings *settings = &training->settings;
  static const StepRuleKind kinds[TRAIN_RULES] = {RULE_FREEZE, RULE_TUNE, RULE_RATE, RULE_DECAY};
  StepRule *rules = ARENA_ARRAY(training->model.arena, StepRule, settings->n_rules + 1);
  for (int i = 0; i < settings->n_rules; i++) {
    const TrainRule *rule = &settings->rules[i];
    rules[i] = (StepRule){kinds[rule->kind], rule->pattern, rule->factor, rule_place(&training->model, i)};
  }
  return (StepOptions){.beta2 = settings->beta2,
                       .eps = settings->eps,
                       .weight_decay = settings->weight_decay,
                       .clip = settings->clip,
                       .rules = rules,
                       .n_rules = settings->n_rules,
                       .accumulates = settings->accumulate > 1,
                       .averages = settings->ema > 0};
}

static void bind_sizes(Training *training) {
  Model *model = &training->model;
  model_bind(model, "H", "%.0f", training->settings.height);
  model_bind(model, "W", "%.0f", training->settings.width);
  model_bind(model, "N", "%.0f", training->settings.batch / training->settings.accumulate);
}

// A rule of the command line that fits nothing is a fault of usage, not of the text.
ExitCode training_step_graph(const Cli *cli, Training *training, Graph **out) {
  Model *model = &training->model;
  bind_sizes(training);
  StepOptions options = step_options(training);
  model_step_options(cli, &options);
  Graph *graph = model_loss_graph(cli, model);
  if (!graph) return EXIT_MODEL;
  ExitCode code = check_graph(cli, graph, "loss");
  if (!code && !graph_find_leaf(graph, "gt"))
    code = cli_fail(cli, EXIT_MODEL, "the train block of %s has no target 'gt' to feed depth to", graph->name);
  for (int i = 0; i < options.n_rules && !code; i++)
    if (!options.rules[i].loc.file && !step_rule_check(graph, &options.rules[i], model->diag)) code = EXIT_USAGE;
  if (!code && !step_build(graph, &options, model->diag)) code = EXIT_MODEL;
  if (code) model_print_diag(model);
  *out = graph;
  return code;
}

static ExitCode build_graph(const Cli *cli, Training *training, bool is_step, Graph **out) {
  if (is_step) return training_step_graph(cli, training, out);
  bind_sizes(training);
  *out = model_graph(cli, &training->model, false, false);
  return *out ? check_graph(cli, *out, "depth") : EXIT_MODEL;
}

// Compiles the program of a device's share of the batch, which leaves `beside` bytes of --mem to another.
static ExitCode compile_share(const Cli *cli, Training *training, bool is_step, int64_t samples, int64_t beside,
                              Runner *out) {
  ExitCode code = build_graph(cli, training, is_step, &out->graph);
  if (code) return code;
  CompileOptions options;
  code = model_compile_options(cli, out->graph->arena, &options);
  Shard shard = {world_size(training->devices.world), training->batch, samples,
                 (int64_t)(1e6 * cli_number(cli, "bucket", 1e-6 * SHARD_BUCKET_BYTES, 1e-3, 1e6))};
  options.is_training = is_step;
  options.shard = shard.count > 1 ? &shard : NULL;
  options.diag = training->model.diag;
  if (options.memory) options.memory = options.memory > beside ? options.memory - beside : 1;
  if (!code) code = model_compile(cli, out->graph, &options, &out->program);
  if (code == EXIT_DEVICE && options.memory && beside)
    cli_say(cli, "validation takes another %.1f MB of --mem", 1e-6 * (double)beside);
  if (code == EXIT_MODEL) model_print_diag(&training->model);
  return code;
}

// Devices with equally many samples run one program. It leaves memory to that of `others`, unless these are NULL.
static ExitCode compile_runners(const Cli *cli, Training *training, bool is_step, const Runner *others,
                                Runner *runners) {
  const Devices *devices = &training->devices;
  ExitCode code = EXIT_DONE;
  for (int i = 0; i < devices->n && !code; i++) {
    int64_t samples = team_share(devices->team, training->batch, i).n;
    int same = 0;
    while (same < i && team_share(devices->team, training->batch, same).n != samples) same++;
    const Program *other = others ? others[i].program : NULL;
    int64_t beside = other ? (int64_t)sizeof(float) * (other->persistent + other->slab) : 0;
    if (same == i) code = compile_share(cli, training, is_step, samples, beside, &runners[i]);
    else runners[i] = (Runner){runners[same].graph, runners[same].program, NULL, true};
  }
  return code;
}

static ExitCode open_runners(const Cli *cli, const Training *training, Runner *runners, Exec **execs) {
  const Devices *devices = &training->devices;
  ExitCode code = EXIT_DONE;
  for (int i = 0; i < devices->n && !code; i++) {
    uint64_t seed = (uint64_t)training->settings.seed;
    code = cli_status(cli, exec_open(runners[i].program, devices->device[i], seed, &runners[i].exec));
    execs[i] = runners[i].exec;
  }
  return code;
}

static void make_room(int n, Runner **runners, Exec ***execs) {
  *runners = calloc((size_t)n, sizeof **runners);
  *execs = calloc((size_t)n, sizeof **execs);
  if (!*runners || !*execs) BUG("out of memory");
}

static ExitCode build_programs(const Cli *cli, Training *training, bool with_validation) {
  int n = world_size(training->devices.world);
  if (training->batch < n)
    return cli_fail(cli, EXIT_USAGE, "a batch of %lld cannot be shared out among %d devices",
                    (long long)training->batch, n);
  ExitCode code = EXIT_DONE;
  if (with_validation) { // first, as steps get what it leaves of --mem
    make_room(training->devices.n, &training->evaluations, &training->evaluation_execs);
    code = compile_runners(cli, training, false, NULL, training->evaluations);
    if (code == EXIT_DEVICE && cli_option(cli, "mem"))
      cli_say(cli, "this is validation's program: --mem is for it and the step's together");
    if (code) return code;
  }
  make_room(training->devices.n, &training->steps, &training->step_execs);
  code = compile_runners(cli, training, true, training->evaluations, training->steps);
  if (!code) code = open_runners(cli, training, training->steps, training->step_execs);
  if (!code && with_validation) code = open_runners(cli, training, training->evaluations, training->evaluation_execs);
  return code;
}

// One process of a machine compiles while the others wait: they find its kernels in the cache.
static ExitCode build_in_turn(const Cli *cli, Training *training, bool with_validation) {
  bool is_leader = devices_is_leader();
  ExitCode code = is_leader ? build_programs(cli, training, with_validation) : EXIT_DONE;
  if (!code) code = cli_status(cli, world_barrier(training->devices.world));
  if (!code && !is_leader) code = build_programs(cli, training, with_validation);
  return code;
}

static ExitCode open_loaders(const Cli *cli, Training *training, bool with_validation) {
  const TrainSettings *settings = &training->settings;
  Share part = team_part(training->devices.team, training->batch);
  LoaderOptions options = {.batch = (int)part.n,
                           .whole = (int)training->batch,
                           .first = (int)part.first,
                           .together = (int)settings->accumulate,
                           .bootstrap = (int)settings->bootstrap,
                           .width = (int)settings->width,
                           .height = (int)settings->height,
                           .workers = 1,
                           .seed = (uint64_t)settings->seed,
                           .is_shuffled = true,
                           .drops_last = true,
                           .cache_bytes = (int64_t)2 << 30,
                           .max_bad = sgrun_max_bad(cli, training->training->size)};
  if (!augment_find(settings->augment, &options.augment))
    BUG("augmentation '%s' passed the settings", settings->augment);
  ExitCode code = cli_status(cli, loader_open(training->training, &options, &training->training_loader));
  if (code || !with_validation) return code;
  options.augment = AUGMENT_NONE;
  options.is_shuffled = options.drops_last = false;
  options.bootstrap = 0;
  options.max_bad = sgrun_max_bad(cli, training->validation->size);
  return cli_status(cli, loader_open(training->validation, &options, &training->validation_loader));
}

ExitCode training_devices(const Cli *cli, Training *training) { return devices_open(cli, &training->devices); }

ExitCode training_load(const Cli *cli, Training *training, bool with_validation) {
  ExitCode code = sgrun_datasets(cli, &training->settings, &training->training, &training->validation);
  training->batch = (int64_t)(training->settings.batch / training->settings.accumulate);
  if (!code) code = build_in_turn(cli, training, with_validation);
  if (!code) code = open_loaders(cli, training, with_validation);
  return code;
}

const char *training_configuration(const Cli *cli, const Training *training) {
  Text text = {0};
  const char *bundle = model_bundle_json(&training->model), *data = cli_option(cli, "data");
  char hash[HASH_TEXT];
  hash_text(hash_bytes(bundle, strlen(bundle)), hash);
  text_printf(&text, "{\"model\":\"%s\",\"text\":\"%s\",\"bindings\":%s,\"data\":", training->model.info->name, hash,
              model_bindings_json(&training->model));
  text_put_json(&text, data ? data : "rooms");
  if (cli_option(cli, "data-val")) {
    text_put(&text, ",\"data_val\":");
    text_put_json(&text, cli_option(cli, "data-val"));
  }
  if (cli_option(cli, "precision")) {
    text_put(&text, ",\"precision\":");
    text_put_json(&text, cli_option(cli, "precision"));
  }
  text_put(&text, ",\"settings\":");
  settings_format(&training->settings, &text);
  sgrun_init_configuration(cli, &text);
  text_put(&text, "}");
  const char *copy = arena_strdup(training->model.arena, text_get(&text));
  text_free(&text);
  return copy;
}

Schedule training_schedule(const TrainSettings *settings, int64_t steps) {
  Schedule schedule = {SCHEDULE_ONE_CYCLE,  settings->lr,        steps,
                       settings->warmup,    settings->div,       settings->final_div,
                       settings->beta1_low, settings->beta1_high};
  if (!schedule_kind(settings->schedule, &schedule.kind)) BUG("schedule '%s' passed the settings", settings->schedule);
  return schedule;
}
