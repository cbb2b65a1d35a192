// sgc summary and graph: a model as a table and as a picture.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "compiler/graph_dot.h"
#include "compiler/graph_summary.h"
#include "runtime/base/file.h"
#include "tools/sgc.h"

// The model of the operand for inference, run through the passes that --after, --fused or the compiler options ask for.
static ExitCode open_graph(const Cli *cli, Model *model, Graph **out) {
  ExitCode code = model_open(cli, cli_operand(cli, 0), model);
  if (code) return code;
  model_bind_sizes(model, cli_integer(cli, "batch", 1, 1, 4096));
  *out = model_graph(cli, model, cli_flag(cli, "training", false), false);
  return *out ? EXIT_DONE : EXIT_MODEL;
}

// The part of a row's path below the row that contains it.
static const char *relative_path(const GraphSummary *summary, int row) {
  const char *path = summary->rows[row].path;
  int parent = row;
  while (parent > 0 && summary->rows[parent].depth >= summary->rows[row].depth) parent--;
  size_t length = strlen(summary->rows[parent].path);
  return parent < row && length && !strncmp(path, summary->rows[parent].path, length) && path[length] == '.'
             ? path + length + 1
             : path;
}

static void print_rows(const GraphSummary *summary) {
  int width = 24;
  for (int i = 0; i < summary->n_rows; i++) {
    int n =
        2 * summary->rows[i].depth + (int)strlen(relative_path(summary, i)) + (int)strlen(summary->rows[i].name) + 2;
    if (n > width) width = n;
  }
  printf("%-*s %-22s %12s %16s\n", width, "module", "output", "parameters", "multiply-adds");
  for (int i = 0; i < summary->n_rows; i++) {
    const SummaryRow *row = &summary->rows[i];
    char shape[SHAPE_TEXT] = "", parameters[COUNT_TEXT], adds[COUNT_TEXT];
    const char *path = relative_path(summary, i);
    if (row->has_shape) shape_text(row->shape, shape);
    int n = printf("%*s%s%s%s", 2 * row->depth, "", path, *path ? " " : "", row->name);
    printf("%*s %-22s %12s %16s\n", n < width ? width - n : 0, "", shape, count_text(row->parameters, parameters),
           count_text(row->multiply_adds, adds));
  }
}

static void print_json(const Graph *graph, const GraphSummary *summary) {
  Text text = {0};
  text_printf(&text,
              "{\"schema\":\"sgc.summary/"
              "1\",\"model\":\"%s\",\"parameters\":%lld,\"states\":%lld,\"multiply_adds\":%lld,\"modules\":[",
              graph->name, (long long)summary->parameters, (long long)summary->states,
              (long long)summary->multiply_adds);
  for (int i = 0; i < summary->n_rows; i++) {
    const SummaryRow *row = &summary->rows[i];
    text_printf(&text, "%s{\"path\":\"%s\",\"module\":\"%s\",\"shape\":[", i ? "," : "", row->path, row->name);
    for (int k = 0; row->has_shape && k < row->shape.rank; k++)
      text_printf(&text, "%s%lld", k ? "," : "", (long long)row->shape.dim[k]);
    text_printf(&text, "],\"parameters\":%lld,\"multiply_adds\":%lld}", (long long)row->parameters,
                (long long)row->multiply_adds);
  }
  text_put(&text, "]}");
  printf("%s\n", text_get(&text));
  text_free(&text);
}

static ExitCode summary(const Cli *cli) {
  const char *count = cli_option(cli, "count");
  if (count && strcmp(count, "all") && strcmp(count, "torchinfo"))
    return cli_fail(cli, EXIT_USAGE, "--count is all or torchinfo, not '%s'", count);
  CountRule rule = count && !strcmp(count, "torchinfo") ? COUNT_TORCHINFO : COUNT_ALL;
  Model model;
  Graph *graph;
  ExitCode code = open_graph(cli, &model, &graph);
  if (!code) {
    GraphSummary rows = graph_summary(graph, (int)cli_integer(cli, "depth", 3, -1, 1000), rule, model.arena);
    if (cli_flag(cli, "json", false)) {
      print_json(graph, &rows);
    } else {
      char parameters[COUNT_TEXT], adds[COUNT_TEXT], short_adds[COUNT_TEXT], states[COUNT_TEXT];
      print_rows(&rows);
      printf("parameters %s (%.2f MB), multiply-adds %s (%s), running statistics %s\n",
             count_text(rows.parameters, parameters), 4e-6 * (double)rows.parameters,
             count_text(rows.multiply_adds, adds), count_short(rows.multiply_adds, short_adds),
             count_text(rows.states, states));
      for (int i = 0; i < model.info->n_dimensions; i++)
        printf("%s%s=%lld", i ? ", " : "at ", model.info->dimensions[i],
               (long long)model_dimension(&model, model.info->dimensions[i], 0));
      if (model.info->n_dimensions) printf(" (--dim changes it)\n");
    }
  }
  model_close(&model);
  return code;
}

// Pipes DOT text through Graphviz's dot into `out`.
static ExitCode run_dot(const Cli *cli, const char *format, const Text *text, Text *out) {
  char input[] = "/tmp/sgc-graph-XXXXXX";
  int ends[2], file = mkstemp(input);
  if (file < 0 || pipe(ends)) return cli_fail(cli, EXIT_DATA, "cannot make a temporary file: %s", strerror(errno));
  unlink(input);
  bool is_written = write(file, text_get(text), text->size) == (ssize_t)text->size && lseek(file, 0, SEEK_SET) == 0;
  char option[16];
  snprintf(option, sizeof option, "-T%s", format);
  pid_t child = is_written ? fork() : -1;
  if (child == 0) {
    dup2(file, 0);
    dup2(ends[1], 1);
    close(ends[0]);
    close(ends[1]);
    close(file);
    execlp("dot", "dot", option, (char *)NULL);
    _exit(127);
  }
  close(ends[1]);
  close(file);
  char buffer[1 << 16];
  for (ssize_t n; child > 0 && (n = read(ends[0], buffer, sizeof buffer)) > 0;) text_write(out, buffer, (size_t)n);
  close(ends[0]);
  int status = -1;
  if (child > 0) waitpid(child, &status, 0);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
    return cli_fail(cli, EXIT_DEVICE, "Graphviz's dot is not installed; install graphviz, or write a .dot file");
  if (status) return cli_fail(cli, EXIT_DEVICE, "Graphviz's dot failed");
  return EXIT_DONE;
}

static ExitCode format_of(const Cli *cli, const char *path, const char **out) {
  static const char *const formats[] = {"dot", "svg", "png", "pdf"};
  const char *dot = path ? strrchr(path, '.') : ".dot";
  for (int i = 0; dot && i < 4; i++) {
    if (strcmp(dot + 1, formats[i])) continue;
    *out = formats[i];
    return EXIT_DONE;
  }
  return cli_fail(cli, EXIT_USAGE, "'%s' does not end in .dot, .svg, .png or .pdf", path);
}

static ExitCode graph_picture(const Cli *cli) {
  const char *format = "dot";
  ExitCode code = format_of(cli, cli_option(cli, "out"), &format);
  if (code) return code;
  Model model;
  Graph *graph;
  Text dot = {0}, picture = {0};
  code = open_graph(cli, &model, &graph);
  CompileOptions options;
  if (!code) code = model_compile_options(cli, model.arena, &options);
  if (!code && (cli_flag(cli, "fused", false) || options.passes.stop_after)) {
    options.is_training = cli_flag(cli, "training", false);
    options.keep_taps = true;
    code = cli_status(cli, compile_passes(graph, &options));
  }
  if (!code) {
    DotOptions dot_options = {(int)cli_integer(cli, "depth", 2, -1, 1000), NULL};
    graph_dot(graph, &dot_options, &dot);
    if (strcmp(format, "dot")) code = run_dot(cli, format, &dot, &picture);
    if (!code) code = sgc_put(cli, strcmp(format, "dot") ? &picture : &dot);
  }
  text_free(&dot);
  text_free(&picture);
  model_close(&model);
  return code;
}

static const CliOption summary_options[] = {
    {"depth", 0, "N", "levels of modules to show (default 3, -1 = all)"},
    {"count", 0, "RULE", "all (default), or torchinfo: as published figures were counted"},
    {"json", 0, NULL, "one JSON object on stdout"},
    {"batch", 'b', "N", "pictures at once (default 1)"},
    {"training", 0, NULL, "the forward pass in training mode"},
    MODEL_OPTIONS,
    CLI_COMMON};

const CliCommand sgc_summary = {"summary",
                                "MODEL.net|WEIGHTS",
                                "print modules, shapes, parameters and multiply-adds",
                                "  sgc summary models/meta_unet.net --arg inputs=rgb --dim N=1,H=416,W=544",
                                summary_options,
                                1,
                                1,
                                summary};

static const CliOption graph_options[] = {
    {"out", 'o', "FILE", "a .dot, .svg, .png or .pdf file (default: DOT to stdout)"},
    {"depth", 0, "N", "fold modules nested deeper (default 2, -1 = fold none)"},
    {"fused", 0, NULL, "after all passes: nodes of one kernel share a tint"},
    {"batch", 'b', "N", "pictures at once (default 1)"},
    {"training", 0, NULL, "the forward pass in training mode"},
    MODEL_OPTIONS,
    COMPILE_OPTIONS,
    CLI_COMMON};

const CliCommand sgc_graph = {
    "graph",
    "MODEL.net|WEIGHTS",
    "draw a model with Graphviz",
    "Modules are clusters, shapes stand on the edges.\n\n  sgc graph models/meta_unet.net --depth 2 -o meta_unet.svg",
    graph_options,
    1,
    1,
    graph_picture};
