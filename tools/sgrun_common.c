// sgrun_common: devices, data sets, settings and metric tables for the commands of sgrun.
#include <math.h>
#include <string.h>

#include "tools/sgrun.h"

ExitCode runner_open(const Cli *cli, Graph *graph, bool is_training, Device *device, uint64_t seed, Runner *out) {
  *out = (Runner){.graph = graph};
  CompileOptions options;
  ExitCode code = model_compile_options(cli, graph->arena, &options);
  if (code) return code;
  options.is_training = is_training;
  code = model_compile(cli, graph, &options, &out->program);
  if (!code) code = cli_status(cli, exec_open(out->program, device, seed, &out->exec));
  return code;
}

void runner_close(Runner *runner) {
  exec_close(runner->exec);
  if (runner->program && !runner->is_lent) program_free(runner->program);
  *runner = (Runner){0};
}

ExitCode sgrun_device(const Cli *cli, Device **out) {
  return model_device(cli, (int)cli_integer(cli, "threads", 0, 0, 1024), out);
}

// One setting of the train block; false after reporting it at its place in the text.
static bool apply_setting(const Model *model, TrainSettings *settings, const LangSetting *setting) {
  Text why = {0};
  bool is_ok;
  switch (setting->kind) {
  case SETTING_NUMBER: is_ok = settings_set_number(settings, setting->key, setting->number, &why); break;
  case SETTING_RULE: is_ok = settings_add_rule(settings, setting->key, setting->string, setting->number, &why); break;
  default: is_ok = settings_set_text(settings, setting->key, setting->string ? setting->string : "true", &why);
  }
  if (!is_ok) diag_error(model->diag, setting->loc, "%s", text_get(&why));
  text_free(&why);
  return is_ok;
}

ExitCode sgrun_settings(const Cli *cli, const Model *model, TrainSettings *out) {
  return sgrun_settings_over(cli, model, NULL, 0, out);
}

ExitCode sgrun_settings_over(const Cli *cli, const Model *model, const LangSetting *more, int n_more,
                             TrainSettings *out) {
  *out = settings_default();
  bool is_ok = true;
  for (int i = 0; i < model->info->n_settings; i++) is_ok &= apply_setting(model, out, &model->info->settings[i]);
  for (int i = 0; i < n_more; i++) is_ok &= apply_setting(model, out, &more[i]);
  if (!is_ok) {
    model_print_diag(model);
    return EXIT_MODEL;
  }
  Text why = {0};
  for (int i = 0; is_ok && cli_option_at(cli, "set", i); i++) {
    char key[SETTINGS_NAME] = "";
    const char *text = cli_option_at(cli, "set", i), *equals = strchr(text, '=');
    if (!equals || equals - text >= SETTINGS_NAME)
      return cli_fail(cli, EXIT_USAGE, "option '--set' needs KEY=VALUE, not '%s'", text);
    memcpy(key, text, (size_t)(equals - text));
    is_ok = settings_set_text(out, key, equals + 1, &why);
  }
  static const char *const dedicated[] = {"batch",  "epochs", "seed", "height", "width",
                                          "freeze", "tune",   "rate", "decay"};
  for (size_t k = 0; is_ok && k < sizeof dedicated / sizeof *dedicated; k++)
    for (int i = 0; is_ok && cli_option_at(cli, dedicated[k], i); i++)
      is_ok = settings_set_text(out, dedicated[k], cli_option_at(cli, dedicated[k], i), &why);
  ExitCode code = is_ok ? EXIT_DONE : cli_fail(cli, EXIT_USAGE, "%s", text_get(&why));
  text_free(&why);
  return code;
}

ExitCode sgrun_preprocess(const Cli *cli, const Model *model, Preprocess *out) {
  const char *text = model->weights ? weights_metadata(model->weights, "sgc.preprocess") : NULL;
  if (text) return cli_status(cli, status_context(preprocess_parse(text, out), "%s", model->path));
  TrainSettings settings;
  ExitCode code = sgrun_settings(cli, model, &settings);
  *out = preprocess_make((int)settings.width, (int)settings.height);
  return code;
}

void sgrun_print_metrics(const Cli *cli, const Protocol *protocol, const MetricsMean *metrics, const char *label) {
  if (cli_flag(cli, "json", false)) {
    for (int m = 0; m < METRIC_COUNT; m++) {
      double value = metrics_mean(metrics, (Metric)m);
      printf(isfinite(value) ? ",\"%s%s%s\":%.9g" : ",\"%s%s%s\":null", label, *label ? "_" : "",
             metric_name((Metric)m), value);
    }
    return;
  }
  char digest[9];
  Text says = {0};
  protocol_digest(protocol, digest);
  protocol_describe(protocol, &says);
  printf("%s  protocol %s#%s, %lld pictures", label, protocol->name, digest, (long long)metrics->n_images);
  if (metrics->n_empty) printf(" (%lld more have no valid pixel)", (long long)metrics->n_empty);
  printf("\n  %s\n", text_get(&says));
  text_free(&says);
  for (int c = 0; c < METRIC_COUNT; c++) printf("%*s", c ? 14 : 9, metric_name(protocol_metric(protocol, c)));
  printf("\n");
  for (int c = 0; c < METRIC_COUNT; c++)
    printf("%*.4f", c ? 14 : 9, metrics_mean(metrics, protocol_metric(protocol, c)));
  printf("\n");
}
