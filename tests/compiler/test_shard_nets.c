// Training steps of the networks on several devices: each with its share of the batch, in threads, against one device.
//
// Networks are named as arguments (all without any), so that one can be run alone.
#include <pthread.h>

#include "compiler/compiler.h"
#include "lang/lang.h"
#include "runtime/base/random.h"
#include "runtime/base/share.h"
#include "runtime/exec.h"
#include "runtime/world/world.h"
#include "tests/check.h"

enum { BATCH = 5, MAX_DEVICES = 8 };

typedef struct Net {
  const char *name, *path;
  LangBinding arguments[8];
  int height, width, steps;
  const char *trained; // NULL: everything; else a pattern, and the reference evaluators run it
  bool is_smooth;      // trained with running statistics: batch norm over a handful of values would be chaotic
} Net;

static const Net nets[] = {
    {"tiny", "tests/tools/tiny.net", {{NULL, NULL}}, 16, 24, 10, NULL, false},
    {"tiny_stack", "tests/tools/tiny_stack.net", {{NULL, NULL}}, 16, 24, 10, NULL, false},
    {"ghost_unet", "models/ghost_unet.net", {{"width", "32"}}, 32, 32, 2, "*", false},
    {"meta_unet", "models/meta_unet.net", {{"width", "64"}}, 32, 32, 1, "*", false},
    {"adabins",
     "models/adabins.net",
     {{"patch", "4"}, {"queries", "8"}, {"positions", "64"}, {"bins", "16"}},
     32,
     32,
     1,
     "*bias",
     true},
    {"bts", "models/bts.net", {{NULL, NULL}}, 32, 32, 1, "*bias", true},
    {"ldrn", "models/ldrn.net", {{NULL, NULL}}, 32, 32, 1, "*bias", true},
    {"stack",
     "models/stack.net",
     {{"mode", "\"simultaneous\""}, {"patch", "4"}, {"queries", "8"}, {"positions", "64"}},
     32,
     32,
     1,
     "*bias",
     true},
};
enum { N_NETS = sizeof nets / sizeof *nets };

static Graph *build(Arena *arena, const Net *net, bool is_training, bool is_smooth, Diag *diag) {
  static const char *const directories[] = {"stdlib", "models"};
  LangPaths paths = {directories, 2, NULL};
  LangBinding bindings[16];
  int n = 0;
  for (; net->arguments[n].name; n++) bindings[n] = net->arguments[n];
  bindings[n++] = (LangBinding){"N", arena_printf(arena, "%d", BATCH)};
  bindings[n++] = (LangBinding){"H", arena_printf(arena, "%d", net->height)};
  bindings[n++] = (LangBinding){"W", arena_printf(arena, "%d", net->width)};
  LangFile *file = lang_load(arena, net->path, &paths, diag);
  LangOptions options = {NULL, bindings, n, is_training && !is_smooth, is_training};
  Graph *graph = file ? lang_elaborate(file, &options, diag) : NULL;
  // a large eps makes the steps smooth, where AdamW's first ones are signs: rounding is not blown up
  const StepRule rules[] = {{.kind = RULE_FREEZE, .pattern = "*"}, {.kind = RULE_TUNE, .pattern = net->trained}};
  StepOptions step = {
      .beta2 = 0.999, .eps = 1e-2, .weight_decay = 1e-4, .clip = 0.5, .rules = rules, .n_rules = net->trained ? 2 : 0};
  return graph && is_training && !step_build(graph, &step, diag) ? NULL : graph;
}

// ---- a run ----------------------------------------------------------------------------------------------------------

typedef struct Run Run;
typedef struct Worker {
  Run *run;
  int index;
  Device *device;
  Exec *exec;
  Status status;
} Worker;

struct Run {
  const Net *net;
  int count;
  int64_t memory;                 // bytes that a program may take; 0: any
  bool is_training, is_control;   // control: one device, with pictures that are off by the last bit
  Program *programs[MAX_DEVICES]; // by share; equal shares have one
  World *world;
  Worker workers[MAX_DEVICES];
  double loss, grad_norm; // of the last step
  float *depth;           // of an evaluation: all samples
};

static void fill_input(const Worker *worker, const Buffer *buffer, int step) {
  float *to = exec_input(worker->exec, buffer->name);
  int64_t n = shape_elements(buffer->shape);
  Share share = share_of(BATCH, worker->run->count, worker->index);
  if (!strcmp(buffer->name, PROGRAM_FIRST_SAMPLE)) {
    *to = (float)share.first;
  } else if (!strcmp(buffer->name, "random_key")) {
    random_step_key(7, step, to);
  } else if (!strcmp(buffer->name, "hyper")) {
    const float hyper[HYPER_COUNT] = {[HYPER_LR] = 1e-2f, [HYPER_BETA1] = 0.9f, [HYPER_SHARE] = 1, [HYPER_APPLY] = 1};
    memcpy(to, hyper, sizeof hyper);
    to[HYPER_UNBIAS1] = (float)(1 - pow(0.9, step + 1));
    to[HYPER_UNBIAS2] = (float)(1 - pow(0.999, step + 1));
  } else { // pictures and depths; every sample of every step is another
    bool is_depth = strcmp(buffer->name, "rgb") != 0;
    for (int64_t i = 0; i < share.n; i++) {
      Random random = random_substream(random_stream(3, buffer->name), (uint64_t)(step * BATCH + share.first + i));
      random_fill_uniform(random, to + i * (n / share.n), n / share.n, is_depth ? 0.5 : -2, is_depth ? 9 : 2);
    }
    for (int64_t i = 0; i < n && worker->run->is_control && !is_depth; i += 3) {
      to[i] = nextafterf(to[i], 0);
    }
  }
}

static void *work(void *argument) {
  Worker *worker = argument;
  Run *run = worker->run;
  Share share = share_of(BATCH, run->count, worker->index);
  const Program *program = run->programs[share.n == BATCH ? 0 : share.n];
  Status status = device_open_cpu(1, &worker->device);
  if (!status) {
    if (run->count > 1) worker->device->collective = world_collective(run->world, worker->index);
    status = exec_open(program, worker->device, 1, &worker->exec);
  }
  for (int step = 0; step < (run->is_training ? run->net->steps : 1) && !status; step++) {
    for (int i = 0; i < program->n_buffers; i++) {
      if (program->buffers[i].kind == BUFFER_INPUT) fill_input(worker, &program->buffers[i], step);
    }
    status = exec_run(worker->exec);
  }
  if (!status && run->is_training && worker->index == 0) {
    run->loss = (double)*exec_output(worker->exec, "loss");
    run->grad_norm = (double)*exec_output(worker->exec, "grad_norm");
  }
  if (!status && !run->is_training) {
    const Buffer *depth = &program->buffers[program_find(program, BUFFER_OUTPUT, "depth")];
    int64_t n = shape_elements(depth->shape);
    memcpy(run->depth + n / share.n * share.first, exec_output(worker->exec, "depth"), sizeof(float) * (size_t)n);
  }
  worker->status = status;
  return NULL;
}

static Status compile_share(const Run *run, int64_t samples, Arena *arena, Program **out) {
  Diag *diag = diag_new(arena, 20);
  Graph *graph = build(arena, run->net, run->is_training, run->net->is_smooth, diag);
  Shard shard = {run->count, BATCH, samples, 64 << 10};
  CompileOptions options = {.target = run->net->trained ? target_reference() : target_host(),
                            .is_training = run->is_training,
                            .memory = run->memory,
                            .shard = run->count > 1 ? &shard : NULL,
                            .diag = diag};
  Status status = graph ? compile(graph, &options, out) : status_make(EXIT_MODEL, "errors");
  if (status) {
    Text errors = {0};
    diag_print(diag, &errors, false);
    status = status_context(status, "%s", text_get(&errors));
    text_free(&errors);
  }
  return status;
}

static bool run_open_within(int64_t memory, Run *run, const Net *net, int count, bool is_training, bool is_control,
                            Arena *arena) {
  *run = (Run){.net = net, .count = count, .memory = memory, .is_training = is_training, .is_control = is_control};
  run->depth = ARENA_ARRAY(arena, float, BATCH * net->height * net->width);
  Status status = STATUS_OK;
  for (int i = 0; i < count && !status; i++) {
    int64_t samples = share_of(BATCH, count, i).n;
    Program **program = &run->programs[count == 1 ? 0 : samples];
    if (!*program) status = compile_share(run, samples, arena, program);
  }
  if (!status) status = world_open(&(WorldOptions){.devices = count}, &run->world);
  pthread_t thread[MAX_DEVICES];
  for (int i = 0; i < count && !status; i++) {
    run->workers[i] = (Worker){.run = run, .index = i};
    pthread_create(&thread[i], NULL, work, &run->workers[i]);
  }
  for (int i = 0; i < count && !status; i++) pthread_join(thread[i], NULL);
  for (int i = 0; i < count && !status; i++) status = run->workers[i].status;
  CHECK(!status, "%s on %d devices: %s", net->name, count, status_message(status));
  return !status;
}

static bool run_open(Run *run, const Net *net, int count, bool is_training, bool is_control, Arena *arena) {
  return run_open_within(0, run, net, count, is_training, is_control, arena);
}

static void run_close(Run *run) {
  world_close(run->world);
  for (int i = 0; i < run->count; i++) {
    exec_close(run->workers[i].exec);
    device_close(run->workers[i].device);
  }
  for (int i = 0; i < MAX_DEVICES; i++) program_free(run->programs[i]);
}

// ---- comparing ------------------------------------------------------------------------------------------------------

static double distance(const float *a, const float *b, int64_t n) {
  double worst = 0, largest = 1e-3;
  for (int64_t i = 0; i < n; i++) {
    double off = fabs((double)a[i] - (double)b[i]);
    if (!(off <= worst)) worst = off;
    largest = fmax(largest, fabs((double)b[i]));
  }
  return worst / largest;
}

// Parameters, moments and running statistics: how far they are off at most, relative to the largest of their tensor.
static double compare_states(const Run *one, const Run *other) {
  const Program *program = exec_program(one->workers[0].exec);
  double worst = 0;
  for (int i = 0; i < program->n_buffers; i++) {
    const Buffer *buffer = &program->buffers[i];
    if (buffer->kind != BUFFER_PARAM) continue;
    int64_t n = shape_elements(buffer->shape);
    float *want = malloc(sizeof *want * (size_t)n), *got = malloc(sizeof *got * (size_t)n);
    Status status = exec_get(one->workers[0].exec, buffer->name, want);
    if (!status) status = exec_get(other->workers[0].exec, buffer->name, got);
    CHECK(!status, "%s: %s", one->net->name, status_message(status));
    worst = fmax(worst, distance(got, want, n));
    free(want);
    free(got);
  }
  return worst;
}

static void check_equal(const Run *run) {
  const Program *program = exec_program(run->workers[0].exec);
  int n_different = 0;
  for (int i = 0; i < program->n_buffers; i++) {
    const Buffer *buffer = &program->buffers[i];
    if (buffer->kind != BUFFER_PARAM) continue;
    size_t size = sizeof(float) * (size_t)shape_elements(buffer->shape);
    float *first = malloc(size), *other = malloc(size);
    Status status = exec_get(run->workers[0].exec, buffer->name, first);
    for (int d = 1; d < run->count && !status; d++) {
      status = exec_get(run->workers[d].exec, buffer->name, other);
      n_different += memcmp(first, other, size) != 0;
    }
    CHECK(!status, "%s: %s", run->net->name, status_message(status));
    free(first);
    free(other);
  }
  CHECK(n_different == 0, "%s: %d tensors differ between %d devices", run->net->name, n_different, run->count);
}

// Batch norm over a handful of values blows rounding up, so what several devices may be off by is measured: a few times
// what one device is off by when the last bits of the pictures change.
static void check_training(const Net *net, int count) {
  Arena *arena = arena_new();
  Run one, many, control;
  bool is_good = run_open(&one, net, 1, true, false, arena);
  is_good &= run_open(&control, net, 1, true, true, arena);
  is_good &= run_open(&many, net, count, true, false, arena);
  if (is_good) {
    double loss = 1e-6 * fabs(one.loss) + 10 * fabs(control.loss - one.loss),
           norm = 1e-5 * one.grad_norm + 10 * fabs(control.grad_norm - one.grad_norm),
           states = 1e-5 + 10 * compare_states(&one, &control), got = compare_states(&one, &many);
    CHECK(isfinite(one.loss) && one.loss > 0, "%s: loss %g", net->name, one.loss);
    CHECK_NEAR(many.loss, one.loss, loss, "%s: loss on %d devices", net->name, count);
    CHECK_NEAR(many.grad_norm, one.grad_norm, norm, "%s: gradient on %d devices", net->name, count);
    CHECK(got <= states, "%s on %d devices: states are off by %g of %g", net->name, count, got, states);
    if (getenv("VERBOSE"))
      printf("%s on %d: loss %g of %g, norm %g of %g, states %g of %g\n", net->name, count, fabs(many.loss - one.loss),
             loss, fabs(many.grad_norm - one.grad_norm), norm, got, states);
    check_equal(&many);
  }
  run_close(&one);
  run_close(&control);
  run_close(&many);
  arena_free(arena);
}

// With less memory for each device, some values are computed again, and no bit changes.
static void check_memory(const Net *net, int count, double share) {
  Arena *arena = arena_new();
  Run many, tight = {0};
  bool is_good = run_open(&many, net, count, true, false, arena);
  const Program *program = is_good ? exec_program(many.workers[0].exec) : NULL;
  int64_t memory = is_good ? (int64_t)(share * 4 * (double)(program->persistent + program->slab)) : 0;
  is_good = is_good && run_open_within(memory, &tight, net, count, true, false, arena);
  if (is_good) {
    const Program *less = exec_program(tight.workers[0].exec);
    CHECK(less->n_again > 0, "%s: nothing is computed again", net->name);
    CHECK(4 * (less->persistent + less->slab) <= memory, "%s: too much memory", net->name);
    double off = compare_states(&many, &tight);
    CHECK(off == 0 && tight.loss == many.loss && tight.grad_norm == many.grad_norm,
          "%s on %d devices with less memory: states are off by %g", net->name, count, off);
    check_equal(&tight);
  }
  run_close(&many);
  run_close(&tight);
  arena_free(arena);
}

static void check_evaluation(const Net *net, int count) {
  Arena *arena = arena_new();
  Run one, many;
  bool is_good = run_open(&one, net, 1, false, false, arena);
  is_good &= run_open(&many, net, count, false, false, arena);
  double off = is_good ? distance(many.depth, one.depth, BATCH * net->height * net->width) : 0;
  CHECK(off <= 1e-4, "%s on %d devices: depth is off by %g", net->name, count, off);
  run_close(&one);
  run_close(&many);
  arena_free(arena);
}

// That the pass finds its way through the whole training step, batch norm and dropout included; and how many
// all-reduces there are.
static void check_pass(const Net *net, int count) {
  Arena *arena = arena_new();
  Diag *diag = diag_new(arena, 20);
  Graph *graph = build(arena, net, true, false, diag);
  Shard shard = {count, BATCH, share_of(BATCH, count, 0).n, SHARD_BUCKET_BYTES};
  PassContext context = {.target = target_host(), .is_training = true, .shard = &shard, .diag = diag};
  if (graph) pipeline_run(&context, &(PipelineOptions){.stop_after = "shard"}, graph);
  Text errors = {0};
  diag_print(diag, &errors, false);
  CHECK(graph && !diag_errors(diag), "%s: %s", net->name, text_get(&errors));
  int n = 0;
  for (int i = 0; graph && i < graph->n_nodes; i++) n += graph->nodes[i]->op == OP_all_reduce;
  CHECK(n > 0, "%s has no all-reduce", net->name);
  if (getenv("VERBOSE"))
    printf("%s on %d: %d all-reduces, %d nodes\n", net->name, count, n, graph ? graph->n_nodes : 0);
  text_free(&errors);
  arena_free(arena);
}

#ifdef __SANITIZE_ADDRESS__
static const bool is_slow = true; // only networks of many steps, then
#else
static const bool is_slow = false;
#endif

int main(int n_arguments, char **arguments) {
  for (int i = 0; i < N_NETS; i++) {
    bool is_named = n_arguments < 2;
    for (int k = 1; k < n_arguments; k++) is_named |= !strcmp(arguments[k], nets[i].name);
    if (!is_named) continue;
    check_pass(&nets[i], 2);
    bool is_like_others = !strcmp(nets[i].name, "stack") || !strcmp(nets[i].name, "meta_unet");
    if (is_like_others && n_arguments < 2) continue; // their steps take long
    if (is_slow && n_arguments < 2 && nets[i].steps < 10) continue;
    check_training(&nets[i], 2);
    if (nets[i].steps >= 10) check_training(&nets[i], 4);
    if (nets[i].steps > 1) check_evaluation(&nets[i], 2);
    if (!strcmp(nets[i].name, "ghost_unet")) check_memory(&nets[i], 3, 0.8);
  }
  return check_report("shard_nets");
}
