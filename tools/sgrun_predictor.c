// sgrun_predictor: trained weights that turn pictures of any size into depth; one program for each input size.
#include "tools/sgrun_predictor.h"

#include <string.h>

#include "runtime/train/checkpoint.h"

ExitCode predictor_open(const Cli *cli, const char *path, Predictor *out) {
  *out = (Predictor){.cli = cli};
  ExitCode code = model_open(cli, path, &out->model);
  if (!code && !out->model.weights)
    code = cli_fail(cli, EXIT_USAGE, "%s is model text; give the weights that a training wrote", out->model.path);
  if (!code) code = cli_status(cli, checkpoint_verify(out->model.weights));
  if (!code) code = sgrun_preprocess(cli, &out->model, &out->preprocess);
  if (!code) code = sgrun_device(cli, &out->device);
  return code;
}

static void network_close(SizedNetwork *network) {
  runner_close(&network->runner);
  if (network->width) model_close(&network->model);
  *network = (SizedNetwork){0};
}

void predictor_close(Predictor *p) {
  for (int i = 0; i < PREDICTOR_SIZES; i++) network_close(&p->network[i]);
  device_close(p->device);
  model_close(&p->model);
}

// Names for the channels of a stack's `preds`: the instance that each operand of its concat comes from, such as
// "adabins", or base1, base2, ... where that does not tell them apart.
static const char **name_bases(Arena *arena, const Graph *graph) {
  const Node *all = graph_find_output(graph, "preds");
  if (!all || all->shape.rank != 4) return NULL;
  int n = (int)all->shape.dim[1];
  const char **names = ARENA_ARRAY(arena, const char *, n);
  bool is_named = all->op == OP_concat && all->n_in == n;
  for (int k = 0; is_named && k < n; k++) {
    const char *path = graph->modules[all->in[k]->module].path;
    names[k] = arena_strndup(arena, path, strcspn(path, "."));
    is_named = *names[k] != 0;
    for (int other = 0; other < k; other++) is_named &= strcmp(names[k], names[other]) != 0;
  }
  for (int k = 0; !is_named && k < n; k++) names[k] = arena_printf(arena, "base%d", k + 1);
  return names;
}

static ExitCode network_open(Predictor *p, int width, int height, SizedNetwork *out) {
  Model *model = &out->model;
  out->width = width;
  out->height = height;
  ExitCode code = model_open(p->cli, p->model.path, model);
  if (code) return code;
  model_bind(model, "H", "%d", height);
  model_bind(model, "W", "%d", width);
  model_bind_sizes(model, 1);
  Graph *graph = model_graph(p->cli, model, false, false);
  if (!graph) return EXIT_MODEL;
  const Node *depth = graph_find_output(graph, "depth");
  if (!depth || depth->shape.rank != 4 || !graph_find_leaf(graph, "rgb"))
    return cli_fail(p->cli, EXIT_MODEL, "the model %s does not turn 'rgb' into 'depth'", graph->name);
  if (!p->base_names) p->base_names = name_bases(p->model.arena, graph);
  code = runner_open(p->cli, graph, false, p->device, 0, &out->runner);
  return code ? code : cli_status(p->cli, checkpoint_restore(p->model.weights, out->runner.exec, NULL));
}

// A free place for one more size, made so by closing those that were used least lately.
static SizedNetwork *make_room(Predictor *p) {
  for (;;) {
    SizedNetwork *empty = NULL, *oldest = NULL;
    int n_open = 0;
    int64_t bytes = 0;
    for (int i = 0; i < PREDICTOR_SIZES; i++) {
      SizedNetwork *network = &p->network[i];
      if (!network->width) {
        empty = network;
        continue;
      }
      n_open++;
      bytes += exec_memory(network->runner.exec);
      if (!oldest || network->used < oldest->used) oldest = network;
    }
    if (empty && (n_open < PREDICTOR_SIZES_KEPT || bytes < (int64_t)1 << 30)) return empty;
    network_close(oldest);
  }
}

// Makes the network of that size the present one.
static ExitCode prepare(Predictor *p, int width, int height) {
  p->present = NULL;
  for (int i = 0; i < PREDICTOR_SIZES; i++)
    if (p->network[i].width == width && p->network[i].height == height) p->present = &p->network[i];
  if (!p->present) {
    SizedNetwork *network = make_room(p);
    ExitCode code = network_open(p, width, height, network);
    if (code) {
      network_close(network);
      return code;
    }
    p->present = network;
  }
  p->present->used = ++p->runs;
  return EXIT_DONE;
}

void predictor_size(const Predictor *p, bool is_native, const Image *picture, int *out_width, int *out_height) {
  Preprocess policy = p->preprocess;
  if (is_native) {
    policy.width = picture->width;
    policy.height = picture->height;
  }
  preprocess_size(&policy, picture->width, picture->height, out_width, out_height);
}

ExitCode predictor_run(Predictor *p, const Image *picture, int width, int height, const float **out_depth,
                       int *out_width, int *out_height) {
  ExitCode code = prepare(p, width, height);
  if (code) return code;
  Exec *exec = p->present->runner.exec;
  preprocess_picture(&p->preprocess, picture, width, height, exec_input(exec, "rgb"));
  code = cli_status(p->cli, exec_run(exec));
  if (code) return code;
  Shape shape;
  *out_depth = predictor_output(p, "depth", &shape);
  *out_width = (int)shape.dim[3];
  *out_height = (int)shape.dim[2];
  return EXIT_DONE;
}

const float *predictor_output(const Predictor *p, const char *name, Shape *out_shape) {
  const Runner *runner = p->present ? &p->present->runner : NULL;
  int buffer = runner ? program_find(runner->program, BUFFER_OUTPUT, name) : -1;
  if (buffer < 0) return NULL;
  *out_shape = runner->program->buffers[buffer].shape;
  return exec_output(runner->exec, name);
}
