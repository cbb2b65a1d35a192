// sgrun_study_describe: what a study's parts are, found by building each model once.
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "compiler/graph_summary.h"
#include "tools/sgrun_study.h"

void study_slug(const char *label, char out[STUDY_SLUG]) {
  int n = 0;
  for (; *label && n < STUDY_SLUG - 1; label++) {
    if (isalnum((unsigned char)*label)) out[n++] = *label;
    else if (*label == '+') out[n++] = '+';
    else if (n && out[n - 1] != '-') out[n++] = '-';
  }
  while (n && out[n - 1] == '-') n--;
  out[n] = 0;
}

const char *study_path(const Study *study, int part, int repeat, const char *file) {
  char slug[STUDY_SLUG];
  study_slug(study->parts[part].lang->label, slug);
  return arena_printf(study->text.arena, "%s/seed%lld/%02d-%s%s%s", study->directory, (long long)(study->seed + repeat),
                      part + 1, slug, file ? "/" : "", file ? file : "");
}

ExitCode study_model(const Study *study, const LangPart *part, int64_t batch, const TrainSettings *settings,
                     Model *out) {
  ExitCode code = model_open_text(study->cli, study->text.path, out);
  if (code) return code;
  out->info = lang_find_model(out->file, part->model, out->diag);
  if (!out->info) {
    model_print_diag(out);
    return EXIT_MODEL;
  }
  for (int i = 0; i < part->n_arguments; i++) model_bind(out, part->arguments[i].name, "%s", part->arguments[i].value);
  model_bind(out, "H", "%.0f", settings->height);
  model_bind(out, "W", "%.0f", settings->width);
  model_bind(out, "N", "%lld", (long long)batch);
  return EXIT_DONE;
}

// Default, train block, study, part, command line: each over the one before.
static ExitCode merge_settings(const Study *study, const LangPart *part, const Model *model, TrainSettings *out) {
  int n = study->lang->n_settings;
  LangSetting *more = ARENA_ARRAY(study->text.arena, LangSetting, n + part->n_settings + 1);
  for (int i = 0; i < n; i++) more[i] = study->lang->settings[i];
  for (int i = 0; i < part->n_settings; i++) more[n + i] = part->settings[i];
  return sgrun_settings_over(study->cli, model, more, n + part->n_settings, out);
}

static const char *says(const Study *study, const LangPart *part) {
  Text text = {0};
  text_put(&text, part->model);
  for (int i = 0; i < part->n_arguments; i++)
    text_printf(&text, "%s%s=%s", i ? ", " : "(", part->arguments[i].name, part->arguments[i].value);
  if (part->n_arguments) text_put(&text, ")");
  const char *copy = arena_strdup(study->text.arena, text_get(&text));
  text_free(&text);
  return copy;
}

// The bases below whose names the graph has parameters.
static void find_inherited(const Study *study, const Graph *graph, StudyPart *part) {
  int *inherited = ARENA_ARRAY(study->text.arena, int, study->lang->n_bases + 1);
  for (int b = 0; b < study->lang->n_bases && part->lang->role == ROLE_VARIANT; b++) {
    const char *base = study->lang->parts[b].model;
    for (int i = 0; i < graph->n_nodes; i++) {
      const Node *node = graph->nodes[i];
      if (node->op != OP_param || strncmp(node->name, base, strlen(base)) || node->name[strlen(base)] != '.') continue;
      inherited[part->n_inherited++] = b;
      break;
    }
  }
  part->inherited = inherited;
}

static ExitCode describe(Study *study, int i) {
  StudyPart *part = &study->parts[i];
  part->lang = &study->lang->parts[i];
  part->says = says(study, part->lang);
  Model model = {0};
  TrainSettings sizes = settings_default();
  ExitCode code = study_model(study, part->lang, 1, &sizes, &model);
  model.n_bindings -= code ? 0 : 3; // sizes are bound once they are known
  if (!code) code = merge_settings(study, part->lang, &model, &part->settings);
  model_close(&model);
  if (!code) code = study_model(study, part->lang, 1, &part->settings, &model);
  Graph *inference = code ? NULL : model_graph(study->cli, &model, false, false);
  Graph *training = inference ? model_graph(study->cli, &model, true, true) : NULL;
  if (!code && !training) code = EXIT_MODEL;
  if (!code && (!graph_find_leaf(inference, "rgb") || !graph_find_output(inference, "depth")))
    code = cli_fail(study->cli, EXIT_MODEL, "the model %s does not turn 'rgb' into 'depth'", part->lang->model);
  if (!code) {
    GraphSummary summary = graph_summary(inference, 0, COUNT_ALL, model.arena);
    part->parameters = summary.parameters;
    part->multiply_adds = (double)summary.multiply_adds;
    for (int k = 0; k < training->n_nodes; k++) {
      const Node *node = training->nodes[k];
      if (node->op == OP_param && !node->is_frozen) part->trained += shape_elements(node->shape);
    }
    find_inherited(study, inference, part);
    if (part->trained == 0 && part->n_inherited == 0)
      code = cli_fail(study->cli, EXIT_MODEL, "\"%s\" has nothing to train and takes over no base", part->lang->label);
  }
  model_close(&model);
  return code;
}

ExitCode study_describe(Study *study) {
  study->parts = ARENA_ARRAY(study->text.arena, StudyPart, study->lang->n_parts);
  ExitCode code = EXIT_DONE;
  for (int i = 0; i < study->lang->n_parts && !code; i++) code = describe(study, i);
  return code;
}
