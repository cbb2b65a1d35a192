// sgc check, fmt and doc: commands about the text itself.
#include <errno.h>
#include <string.h>

#include "runtime/base/file.h"
#include "tools/sgc.h"

// Builds one model for inference and (with a train block) for training, with `arguments` besides the command's.
static ExitCode check_model(const Cli *cli, Model *model, const LangModel *info, const LangBinding *arguments, int n) {
  int n_before = model->n_bindings;
  model->info = info;
  for (int i = 0; i < n; i++) model_bind(model, arguments[i].name, "%s", arguments[i].value);
  model_bind_sizes(model, 1);
  Graph *graph = model_graph(cli, model, false, false);
  if (graph && info->has_train) graph = model_graph(cli, model, true, true);
  model->n_bindings = n_before;
  return graph ? EXIT_DONE : EXIT_MODEL;
}

static ExitCode check_models(const Cli *cli, Model *model, const char *path) {
  for (int i = 0; i < lang_model_count(model->file); i++) {
    ExitCode code = check_model(cli, model, lang_model(model->file, i), NULL, 0);
    if (code) return code;
    cli_say(cli, "%s: model %s is fine", path, model->info->name);
  }
  return EXIT_DONE;
}

// At the sizes of the models' train blocks, where the study does not set others.
static ExitCode check_study(const Cli *cli, Model *model, const LangStudy *study, const char *path) {
  int n_before = model->n_bindings;
  for (int i = 0; i < study->n_settings; i++) {
    const LangSetting *setting = &study->settings[i];
    if (!strcmp(setting->key, "height")) model_bind(model, "H", "%.0f", setting->number);
    if (!strcmp(setting->key, "width")) model_bind(model, "W", "%.0f", setting->number);
  }
  for (int i = 0; i < study->n_parts; i++) {
    const LangPart *part = &study->parts[i];
    const LangModel *info = lang_find_model(model->file, part->model, model->diag);
    ExitCode code = check_model(cli, model, info, part->arguments, part->n_arguments);
    if (code) return code;
  }
  model->n_bindings = n_before;
  cli_say(cli, "%s: study %s is fine", path, study->name);
  return EXIT_DONE;
}

static ExitCode check(const Cli *cli) {
  ExitCode worst = EXIT_DONE;
  for (int i = 0; i < cli_operands(cli); i++) {
    Model model;
    const char *path = cli_operand(cli, i);
    ExitCode code = model_open_text(cli, path, &model);
    if (!code) code = check_models(cli, &model, path);
    for (int k = 0; !code && k < lang_study_count(model.file); k++)
      code = check_study(cli, &model, lang_study(model.file, k), path);
    if (code) worst = code;
    model_close(&model);
  }
  return worst;
}

static ExitCode format_file(const Cli *cli, const char *path) {
  bool is_stdin = !strcmp(path, "-"), only_check = cli_flag(cli, "check", false);
  Text text = {0}, formatted = {0};
  ExitCode code = cli_status(cli, file_read(is_stdin ? "/dev/stdin" : path, &text));
  if (code) return code;
  Arena *arena = arena_new();
  Diag *diag = diag_new(arena, 20);
  if (!lang_format(path, text_get(&text), &formatted, diag)) {
    Text message = {0};
    diag_print(diag, &message, cli_colour());
    fputs(text_get(&message), stderr);
    text_free(&message);
    code = EXIT_MODEL;
  } else if (is_stdin) {
    fputs(text_get(&formatted), stdout);
  } else if (strcmp(text_get(&text), text_get(&formatted))) {
    if (only_check) {
      printf("%s\n", path);
      code = EXIT_NEGATIVE;
    } else {
      code = cli_status(cli, file_write(path, text_get(&formatted), formatted.size));
    }
  }
  arena_free(arena);
  text_free(&text);
  text_free(&formatted);
  return code;
}

static ExitCode format(const Cli *cli) {
  ExitCode worst = EXIT_DONE;
  for (int i = 0; i < cli_operands(cli); i++) {
    ExitCode code = format_file(cli, cli_operand(cli, i));
    if (code) worst = code;
  }
  return worst;
}

static ExitCode doc(const Cli *cli) {
  Text text = {0};
  lang_document_builtins(&text);
  ExitCode code = sgc_put(cli, &text);
  text_free(&text);
  return code;
}

static const CliOption check_options[] = {
    {"arg", 'a', "NAME=VALUE", "a static parameter of the model; may be repeated"},
    {"dim", 'd', "N=1,H=416,..", "sizes of named dimensions"},
    {"include", 'I', "DIR", "search DIR for `use`; may be repeated"},
    CLI_COMMON};
const CliCommand sgc_check = {"check",
                              "FILE.net...",
                              "check files and every model in them",
                              "Each model is built for inference and for training. Ends with 3 if there is an error.",
                              check_options,
                              1,
                              -1,
                              check};

static const CliOption fmt_options[] = {
    {"check", 0, NULL, "change nothing; list the files that would change and end with 1"}, CLI_COMMON};
const CliCommand sgc_fmt = {"fmt",
                            "FILE.net...|-",
                            "format files in place",
                            "Keeps comments; '-' formats standard input to standard output.",
                            fmt_options,
                            1,
                            -1,
                            format};

static const CliOption doc_options[] = {{"out", 'o', "FILE", "where to write (default: stdout)"}, CLI_COMMON};
const CliCommand sgc_doc = {"doc", "", "list the built-in operations, in Markdown", "", doc_options, 0, 0, doc};
