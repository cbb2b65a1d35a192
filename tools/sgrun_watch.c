// sgrun_watch: the first tensor of a training step that is not finite.
#include "tools/sgrun_watch.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// The nodes that lead to one result, and which of them are looked at: all but those that only move values.
typedef struct Watched {
  Graph *graph;
  Node *result;
  Node **nodes;
  int n;
  int *index; // by node id: place in `nodes`, or -1
} Watched;

static ExitCode watched_open(const Cli *cli, Training *training, const char *result, Watched *out) {
  ExitCode code = training_step_graph(cli, training, &out->graph);
  if (code) return code;
  Graph *graph = out->graph;
  out->result = graph_find_output(graph, result);
  graph->n_outputs = graph->n_updates = 0;
  graph_output(graph, result, out->result, false);
  graph_sort(graph);
  out->nodes = ARENA_ARRAY(graph->arena, Node *, graph->n_nodes + 1);
  out->index = ARENA_ARRAY(graph->arena, int, graph->n_nodes + 1);
  out->n = 0;
  for (int i = 0; i < graph->n_nodes; i++) {
    const OpInfo *info = op_info(graph->nodes[i]->op);
    bool is_known = graph->nodes[i]->op == OP_fill || graph->nodes[i]->op == OP_iota || info->cls == CLASS_MOVEMENT;
    out->index[i] = is_known ? -1 : out->n;
    if (!is_known) out->nodes[out->n++] = graph->nodes[i];
  }
  return EXIT_DONE;
}

// Runs a graph of the step's leaves with the values that the step has. The caller closes the runner in every case.
static ExitCode run_graph(const Cli *cli, const Training *training, Graph *graph, Runner *runner) {
  ExitCode code = runner_open(cli, graph, true, training->devices.device[0], 1, runner);
  Exec *from = training->steps[0].exec;
  for (int i = 0; !code && i < runner->program->n_buffers; i++) {
    const Buffer *buffer = &runner->program->buffers[i];
    size_t size = (size_t)shape_elements(buffer->shape) * sizeof(float);
    if (buffer->kind == BUFFER_INPUT && exec_input(from, buffer->name))
      code = cli_status(cli, exec_used(from, buffer->name, exec_input(runner->exec, buffer->name)));
    if (code || buffer->kind != BUFFER_PARAM) continue;
    float *values = malloc(size + 1);
    if (!values) BUG("out of memory");
    Status status = exec_get(from, buffer->name, values);
    if (!status) status = exec_set(runner->exec, buffer->name, values);
    free(values);
    code = cli_status(cli, status);
  }
  return code ? code : cli_status(cli, exec_run(runner->exec));
}

// The first node in order that is bad while its operands are not, among those that the bad result depends on through
// bad nodes alone: what a select keeps out is no fault. -1 if there is none.
static int find_first(const Watched *watched, const float *flags) {
  const Graph *graph = watched->graph;
  size_t size = (size_t)graph->n_nodes + 1;
  bool *is_bad = calloc(2 * size, sizeof *is_bad), *is_reached = is_bad + size;
  if (!is_bad) BUG("out of memory");
  for (int i = 0; i < graph->n_nodes; i++) {
    const Node *node = graph->nodes[i];
    is_bad[i] = watched->index[i] >= 0 && flags[watched->index[i]] != 0;
    for (int k = 0; k < node->n_in && watched->index[i] < 0; k++) is_bad[i] |= is_bad[node->in[k]->id];
  }
  int first = -1;
  is_reached[watched->result->id] = is_bad[watched->result->id];
  for (int i = graph->n_nodes - 1; i >= 0; i--) {
    if (!is_reached[i]) continue;
    bool is_origin = true;
    for (int k = 0; k < graph->nodes[i]->n_in; k++) {
      int operand = graph->nodes[i]->in[k]->id;
      if (!is_bad[operand]) continue;
      is_reached[operand] = true;
      is_origin = false;
    }
    if (is_origin) first = i;
  }
  free(is_bad);
  return first;
}

// A note for each operand: from where to where its values go.
static void note_operands(const Cli *cli, Training *training, const char *result, int id) {
  Watched watched;
  Runner runner = {0};
  if (watched_open(cli, training, result, &watched)) return;
  const Node *node = watched.graph->nodes[id];
  int n = node->n_in;
  Node **operands = ARENA_ARRAY(watched.graph->arena, Node *, n + 1);
  memcpy(operands, node->in, (size_t)n * sizeof *operands);
  watched.graph->n_outputs = 0;
  for (int k = 0; k < n; k++)
    graph_output(watched.graph, arena_printf(watched.graph->arena, "operand %d", k), operands[k], false);
  SrcLoc *places = ARENA_ARRAY(watched.graph->arena, SrcLoc, n + 1);
  Shape *shapes = ARENA_ARRAY(watched.graph->arena, Shape, n + 1);
  for (int k = 0; k < n; k++) {
    places[k] = operands[k]->loc;
    shapes[k] = operands[k]->shape;
  }
  graph_sort(watched.graph);
  if (!run_graph(cli, training, watched.graph, &runner)) {
    for (int k = 0; k < n; k++) {
      char name[32], shape[SHAPE_TEXT];
      snprintf(name, sizeof name, "operand %d", k);
      const float *values = exec_output(runner.exec, name);
      float least = INFINITY, most = -INFINITY;
      for (int64_t i = 0; i < shape_elements(shapes[k]); i++) {
        least = fminf(least, values[i]);
        most = fmaxf(most, values[i]);
      }
      diag_note(training->model.diag, places[k], "operand %d, f32%s, lies in %g .. %g", k + 1,
                shape_text(shapes[k], shape), (double)least, (double)most);
    }
  }
  runner_close(&runner);
}

static void report(const Cli *cli, Training *training, const Watched *watched, int id, bool is_gradient,
                   const char *result) {
  Diag *diag = training->model.diag;
  const Node *node = watched->graph->nodes[id];
  const ModuleInstance *module = &watched->graph->modules[node->module];
  char shape[SHAPE_TEXT];
  if (op_is_leaf(node->op))
    diag_error(diag, node->loc, "the first tensor that is not finite is the %s '%s', f32%s", op_info(node->op)->name,
               node->name, shape_text(node->shape, shape));
  else
    diag_error(diag, node->loc, "the first tensor that is not finite is the result of %s, f32%s",
               op_info(node->op)->name, shape_text(node->shape, shape));
  if (node->module && *module->path)
    diag_note(diag, module->loc, "in module %s, instantiated as %s here", module->name, module->path);
  else if (node->module) diag_note(diag, module->loc, "in module %s, called here", module->name);
  if (is_gradient) diag_note(diag, (SrcLoc){0}, "the loss is finite, its gradient is not");
  note_operands(cli, training, result, id);
  model_print_diag(&training->model);
}

// Looks among what `result` is computed from; false if it is finite.
static bool watch_result(const Cli *cli, Training *training, const char *result, bool is_gradient) {
  // Compiling changes the graph, so one is compiled and its twin is searched.
  Watched watched, twin;
  Runner runner = {0};
  if (watched_open(cli, training, result, &watched) || watched_open(cli, training, result, &twin)) return true;
  watch_build(twin.graph, twin.nodes, twin.n);
  bool is_found = true;
  if (!run_graph(cli, training, twin.graph, &runner)) {
    const float *flags = exec_output(runner.exec, "watched");
    int first = find_first(&watched, flags);
    is_found = first >= 0;
    if (is_found) report(cli, training, &watched, first, is_gradient, result);
  }
  runner_close(&runner);
  return is_found;
}

void watch_step(const Cli *cli, Training *training) {
  cli_say(cli, "looking for the first tensor that is not finite ...");
  if (watch_result(cli, training, "loss", false)) return;
  if (watch_result(cli, training, "grad_norm", true)) return;
  cli_say(cli, "with every tensor watched the step stays finite: it was at the edge of what f32 can hold");
}
