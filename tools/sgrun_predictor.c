// sgrun_predictor: trained weights that turn pictures of any size into depth; one program for each input size.
#include "tools/sgrun_predictor.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/train/checkpoint.h"
#include "tools/common_device.h"
#include "tools/sgrun_devices.h"

// ---- opening ------------------------------------------------------------------------------------------------------

static ExitCode open_devices(PredictorSet *set, int most) {
  DeviceNames names;
  ExitCode code = device_names(set->cli, &names);
  if (code) return code;
  set->n = names.n < most ? names.n : most;
  set->n_networks = PREDICTOR_SIZES + set->n; // one is always free or without users
  set->predictor = calloc((size_t)set->n, sizeof *set->predictor);
  set->network = calloc((size_t)set->n_networks, sizeof *set->network);
  if (!set->predictor || !set->network) BUG("out of memory");
  int threads = devices_threads(set->cli, set->n);
  for (int i = 0; i < set->n && !code; i++) {
    set->predictor[i] = (Predictor){.set = set, .index = i};
    code = device_open_named(set->cli, &names, i, threads, &set->predictor[i].device);
  }
  return code;
}

ExitCode predictors_open(const Cli *cli, const char *path, int most, PredictorSet *out) {
  *out = (PredictorSet){.cli = cli};
  pthread_mutex_init(&out->lock, NULL);
  ExitCode code = model_open(cli, path, &out->model);
  if (!code && !out->model.weights)
    code = cli_fail(cli, EXIT_USAGE, "%s is model text; give the weights that a training wrote", out->model.path);
  if (!code) code = cli_status(cli, checkpoint_verify(out->model.weights));
  if (!code) code = sgrun_preprocess(cli, &out->model, &out->preprocess);
  return code ? code : open_devices(out, most);
}

static void network_close(const PredictorSet *set, SizedNetwork *network) {
  for (int i = 0; network->runner && i < set->n; i++)
    if (i != network->first) runner_close(&network->runner[i]);
  if (network->runner) runner_close(&network->runner[network->first]);
  free(network->runner);
  if (network->width) model_close(&network->model);
  *network = (SizedNetwork){0};
}

void predictors_close(PredictorSet *set) {
  if (!set->cli) return; // never opened
  for (int i = 0; i < set->n_networks; i++) network_close(set, &set->network[i]);
  for (int i = 0; set->predictor && i < set->n; i++) device_close(set->predictor[i].device);
  free(set->network);
  free(set->predictor);
  pthread_mutex_destroy(&set->lock);
  model_close(&set->model);
}

// ---- networks -----------------------------------------------------------------------------------------------------

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

// Compiles the network of that size for the device that is the first to need it.
static ExitCode network_open(PredictorSet *set, int width, int height, int first, SizedNetwork *out) {
  Model *model = &out->model;
  out->width = width;
  out->height = height;
  out->first = first;
  out->runner = calloc((size_t)set->n, sizeof *out->runner);
  if (!out->runner) BUG("out of memory");
  ExitCode code = model_open(set->cli, set->model.path, model);
  if (code) return code;
  model_bind(model, "H", "%d", height);
  model_bind(model, "W", "%d", width);
  model_bind_sizes(model, 1);
  Graph *graph = model_graph(set->cli, model, false, false);
  if (!graph) return EXIT_MODEL;
  const Node *depth = graph_find_output(graph, "depth");
  if (!depth || depth->shape.rank != 4 || !graph_find_leaf(graph, "rgb"))
    return cli_fail(set->cli, EXIT_MODEL, "the model %s does not turn 'rgb' into 'depth'", graph->name);
  if (!set->base_names) set->base_names = name_bases(set->model.arena, graph);
  return runner_open(set->cli, graph, false, set->predictor[first].device, 0, &out->runner[first]);
}

// Loads the network on one more device, and gives it the weights.
static ExitCode network_load(PredictorSet *set, SizedNetwork *network, int device) {
  const Runner *first = &network->runner[network->first];
  Runner *runner = &network->runner[device];
  ExitCode code = EXIT_DONE;
  if (!runner->exec) {
    *runner = (Runner){first->graph, first->program, NULL, true};
    code = cli_status(set->cli, exec_open(runner->program, set->predictor[device].device, 0, &runner->exec));
  }
  return code ? code : cli_status(set->cli, checkpoint_restore(set->model.weights, runner->exec, NULL));
}

static int64_t network_memory(const PredictorSet *set, const SizedNetwork *network) {
  int64_t bytes = 0;
  for (int i = 0; i < set->n; i++)
    if (network->runner[i].exec) bytes += exec_memory(network->runner[i].exec);
  return bytes;
}

// A free place for one more size, made so by closing those that were used least lately and that nobody uses.
static SizedNetwork *make_room(PredictorSet *set) {
  for (;;) {
    SizedNetwork *empty = NULL, *oldest = NULL;
    int n_open = 0;
    int64_t bytes = 0;
    for (int i = 0; i < set->n_networks; i++) {
      SizedNetwork *network = &set->network[i];
      if (!network->width) {
        empty = network;
        continue;
      }
      n_open++;
      bytes += network_memory(set, network);
      if (!network->n_users && (!oldest || network->used < oldest->used)) oldest = network;
    }
    bool is_enough = n_open < PREDICTOR_SIZES_KEPT || (n_open < PREDICTOR_SIZES && bytes < (int64_t)1 << 30);
    if (empty && (is_enough || !oldest)) return empty;
    network_close(set, oldest);
  }
}

// Makes the network of that size the present one. Called with the lock held.
static ExitCode prepare(Predictor *p, int width, int height) {
  PredictorSet *set = p->set;
  SizedNetwork *found = NULL;
  ExitCode code = EXIT_DONE;
  if (p->present) p->present->n_users--;
  p->present = NULL;
  for (int i = 0; i < set->n_networks; i++)
    if (set->network[i].width == width && set->network[i].height == height) found = &set->network[i];
  bool is_new = !found;
  if (is_new) {
    found = make_room(set);
    code = network_open(set, width, height, p->index, found);
  }
  if (!code && (is_new || !found->runner[p->index].exec)) code = network_load(set, found, p->index);
  if (code) {
    if (is_new) network_close(set, found);
    else runner_close(&found->runner[p->index]);
    return code;
  }
  found->n_users++;
  found->used = ++set->runs;
  p->present = found;
  return EXIT_DONE;
}

// ---- running ------------------------------------------------------------------------------------------------------

static const Runner *present_runner(const Predictor *p) { return p->present ? &p->present->runner[p->index] : NULL; }

void predictor_size(const PredictorSet *set, bool is_native, const Image *picture, int *out_width, int *out_height) {
  Preprocess policy = set->preprocess;
  if (is_native) {
    policy.width = picture->width;
    policy.height = picture->height;
  }
  preprocess_size(&policy, picture->width, picture->height, out_width, out_height);
}

ExitCode predictor_run(Predictor *p, const Image *picture, int width, int height, const float **out_depth,
                       int *out_width, int *out_height) {
  pthread_mutex_lock(&p->set->lock);
  ExitCode code = prepare(p, width, height);
  pthread_mutex_unlock(&p->set->lock);
  if (code) return code;
  Exec *exec = present_runner(p)->exec;
  preprocess_picture(&p->set->preprocess, picture, width, height, exec_input(exec, "rgb"));
  code = cli_status(p->set->cli, exec_run(exec));
  if (code) return code;
  Shape shape;
  *out_depth = predictor_output(p, "depth", &shape);
  *out_width = (int)shape.dim[3];
  *out_height = (int)shape.dim[2];
  return EXIT_DONE;
}

const float *predictor_output(const Predictor *p, const char *name, Shape *out_shape) {
  const Runner *runner = present_runner(p);
  int buffer = runner ? program_find(runner->program, BUFFER_OUTPUT, name) : -1;
  if (buffer < 0) return NULL;
  *out_shape = runner->program->buffers[buffer].shape;
  return exec_output(runner->exec, name);
}
