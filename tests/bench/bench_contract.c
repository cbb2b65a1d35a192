// bench_contract: speed of the contraction kernels, one and two threads, against the multiply-add peak measured beside.
//
// The first shapes are those of the table in the design, the others the layers of meta_unet at 480x640.
#include <pthread.h>
#include <time.h>

#include "tests/compiler/kernel_case.h"

typedef enum Kind { POINTWISE, DENSE, DEPTHWISE, WEIGHT_GRADIENT, DEPTHWISE_GRADIENT } Kind;

typedef struct Layer {
  Kind kind;
  int in, out, height, width; // of x
  int kernel, stride;
  bool plain_in, plain_out;
} Layer;

static const Layer layers[] = {
    {POINTWISE, 24, 72, 120, 160, 1, 1, false, false},
    {POINTWISE, 112, 672, 30, 40, 1, 1, false, false},
    {POINTWISE, 256, 128, 120, 160, 1, 1, false, false},
    {POINTWISE, 16, 8, 240, 320, 1, 1, false, false},
    {DEPTHWISE, 72, 72, 120, 160, 3, 1, false, false},
    {DEPTHWISE, 48, 48, 240, 320, 3, 2, false, false},
    {DEPTHWISE, 72, 72, 120, 160, 5, 2, false, false},
    {DEPTHWISE, 480, 480, 15, 20, 5, 1, false, false},
    {DENSE, 3, 16, 480, 640, 3, 2, true, false},
    {DENSE, 64, 64, 120, 160, 3, 1, false, false},
    {WEIGHT_GRADIENT, 24, 72, 120, 160, 1, 1, false, false},
    {WEIGHT_GRADIENT, 112, 672, 30, 40, 1, 1, false, false},
    {WEIGHT_GRADIENT, 3, 16, 480, 640, 3, 2, true, false},
    {DEPTHWISE_GRADIENT, 72, 72, 120, 160, 3, 1, false, false},
    // meta_unet
    {DENSE, 6, 16, 480, 640, 3, 2, true, false},
    {POINTWISE, 24, 12, 240, 320, 1, 1, false, false},
    {DEPTHWISE, 24, 24, 240, 320, 3, 1, false, false},
    {POINTWISE, 72, 20, 1, 1, 1, 1, false, false},
    {POINTWISE, 672, 56, 30, 40, 1, 1, false, false},
    {POINTWISE, 160, 960, 15, 20, 1, 1, false, false},
    {DENSE, 960, 960, 15, 20, 1, 1, false, false},
    {POINTWISE, 960, 480, 17, 22, 1, 1, false, false},
    {POINTWISE, 592, 240, 30, 40, 1, 1, false, false},
    {POINTWISE, 280, 120, 60, 80, 1, 1, false, false},
    {POINTWISE, 144, 60, 120, 160, 1, 1, false, false},
    {POINTWISE, 76, 30, 240, 320, 1, 1, false, false},
    {DEPTHWISE, 76, 76, 240, 320, 3, 1, false, false},
    {POINTWISE, 30, 3, 480, 640, 1, 1, false, true},
};
enum { N_LAYERS = sizeof layers / sizeof *layers };
static const char *const kinds[] = {"pointwise", "dense", "depthwise", "dW", "dW depthwise"};

// One thread is timed by its own clock, so that neighbours on a shared machine count less.
static double now(int threads) {
  struct timespec time;
  clock_gettime(threads == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static void add_layer(KernelCases *cases, const Layer *layer) {
  Arena *arena = cases->arena;
  Graph *graph = graph_new(arena, "layer");
  int block = cases->target->vector, k = layer->kernel, padding = k / 2;
  bool is_depthwise = layer->kind == DEPTHWISE || layer->kind == DEPTHWISE_GRADIENT;
  bool is_gradient = layer->kind == WEIGHT_GRADIENT || layer->kind == DEPTHWISE_GRADIENT;
  int oh = (layer->height + 2 * padding - k) / layer->stride + 1,
      ow = (layer->width + 2 * padding - k) / layer->stride + 1;
  const Layout *x_layout = layer->plain_in ? NULL : case_layout(arena, LAYOUT_BLOCKED, block, 1, &layer->in);
  const Layout *y_layout = layer->plain_out ? NULL : case_layout(arena, LAYOUT_BLOCKED, block, 1, &layer->out);
  Node *x = graph_input(graph, "x", SHAPE(1, layer->in, layer->height, layer->width)), *y;
  x->layout = x_layout;
  Op op = is_gradient ? OP_conv2d_dw : OP_conv2d;
  AttrValue attrs[OP_MAX_ATTRS] = {0};
  attrs[op_attr_index(op, "stride")].i = layer->stride;
  attrs[op_attr_index(op, "padding")].i = padding;
  attrs[op_attr_index(op, "dilation")].i = 1;
  attrs[op_attr_index(op, "groups")].i = is_depthwise ? layer->in : 1;
  if (is_gradient) {
    attrs[op_attr_index(op, "kh")].i = attrs[op_attr_index(op, "kw")].i = k;
    Node *g = graph_input(graph, "g", SHAPE(1, layer->out, oh, ow));
    g->layout = y_layout;
    y = graph_add(graph, op, (Node *[]){x, g}, 2, attrs);
  } else {
    Node *w = graph_input(graph, "w", SHAPE(layer->out, is_depthwise ? 1 : layer->in, k, k));
    w->layout = case_layout(arena, is_depthwise ? LAYOUT_WEIGHT_DW : LAYOUT_WEIGHT, block, 1, &layer->out);
    y = graph_add(graph, op, (Node *[]){x, w}, 2, attrs);
    y->layout = y_layout;
    Node *bias = graph_input(graph, "bias", SHAPE(1, layer->out, 1, 1));
    bias->layout = y_layout;
    y = graph_binary(graph, OP_add, y, bias);
    y->layout = y_layout;
    y = graph_unary(graph, OP_relu, y);
    y->layout = y_layout;
  }
  graph_output(graph, "y", y, false);
  cases_add(cases, graph, kinds[layer->kind], 1);
}

// ---- running --------------------------------------------------------------------------------------------------------

typedef struct Share {
  SgKernel *function;
  float **args;
  float *scratch;
  int64_t begin, end;
  int repeats;
} Share;

static void *run_share(void *data) {
  Share *share = data;
  for (int i = 0; i < share->repeats; i++) share->function(NULL, share->args, share->begin, share->end, share->scratch);
  return NULL;
}

// Seconds of one run by `n` threads that split the tasks evenly, the best of several tries.
static double measure(const KernelCase *c, SgKernel *function, float **args, float **scratch, int n) {
  double best = 1e9;
  int repeats = 1;
  for (int i = 0; i < 12; i++) {
    Share share[2];
    pthread_t thread;
    for (int k = 0; k < n; k++)
      share[k] = (Share){function, args, scratch[k], c->info.n_tasks * k / n, c->info.n_tasks * (k + 1) / n, repeats};
    double start = now(n);
    if (n > 1 && pthread_create(&thread, NULL, run_share, &share[1])) return best;
    run_share(&share[0]);
    if (n > 1) pthread_join(thread, NULL);
    double seconds = (now(n) - start) / repeats;
    if (seconds < best) best = seconds;
    if (seconds * repeats < 0.01) repeats *= 2; // the start of a thread should not count
  }
  return best;
}

static void bench_case(const KernelCase *c, const Layer *layer, SgKernel *function, double peak) {
  float **buffers = ARENA_ARRAY(c->graph->arena, float *, c->graph->n_nodes);
  float *args[8], *scratch[2] = {case_alloc(c->info.scratch), case_alloc(c->info.scratch)};
  const Group *group = &c->group;
  for (int i = 0; i < group->n_ins + group->n_outs; i++) {
    const Node *node = i < group->n_ins ? group->ins[i] : group->outs[i - group->n_ins];
    args[i] = case_buffer(buffers, node);
    int64_t n = layout_elements(node->shape, node->layout);
    for (int64_t k = 0; k < n; k++) args[i][k] = (float)case_random(-1, 1);
  }
  double flops = 2 * (double)node_cost(group->nodes[0]).inside;
  double one = measure(c, function, args, scratch, 1), two = measure(c, function, args, scratch, 2);
  printf("%-13s %3d -> %3d  %dx%d/%d at %dx%d: %8.3f ms %6.1f GFLOP/s %3.0f %%   two threads %8.3f ms %6.1f GFLOP/s\n",
         kinds[layer->kind], layer->in, layer->out, layer->kernel, layer->kernel, layer->stride, layer->height,
         layer->width, 1e3 * one, 1e-9 * flops / one, 100 * flops / one / peak, 1e3 * two, 1e-9 * flops / two);
  fflush(stdout);
  for (int i = 0; i < c->graph->n_nodes; i++) free(buffers[i]);
  free(scratch[0]);
  free(scratch[1]);
}

// Twelve independent chains of multiply-adds on vectors.
static const char *const peak_source =
    "\nvoid peak(const void *context, float *const *arg, int64_t begin, int64_t end, float *scratch) {\n"
    "  sg_f x = SG_LD(arg[0]), y = x, a[12];\n"
    "  for (int i = 0; i < 12; i++) a[i] = x;\n"
    "  for (int64_t i = begin; i < end; i++) {\n"
    "    a[0] = a[0] * x + y, a[1] = a[1] * x + y, a[2] = a[2] * x + y, a[3] = a[3] * x + y;\n"
    "    a[4] = a[4] * x + y, a[5] = a[5] * x + y, a[6] = a[6] * x + y, a[7] = a[7] * x + y;\n"
    "    a[8] = a[8] * x + y, a[9] = a[9] * x + y, a[10] = a[10] * x + y, a[11] = a[11] * x + y;\n"
    "  }\n"
    "  for (int i = 1; i < 12; i++) a[0] += a[i];\n"
    "  SG_ST(arg[1], a[0]);\n"
    "}\n";

static double find_peak(void *library, const Target *target) {
  enum { STEPS = 1000000 };
  float *args[2] = {case_alloc(16), case_alloc(16)};
  for (int i = 0; i < 16; i++) args[0][i] = 0.5f;
  SgKernel *function = (SgKernel *)dlsym(library, "peak");
  double best = 1e9;
  for (int i = 0; function && i < 10; i++) {
    double start = now(1);
    function(NULL, args, 0, STEPS, NULL);
    double seconds = now(1) - start;
    if (seconds < best) best = seconds;
  }
  free(args[0]);
  free(args[1]);
  return 2.0 * 12 * target->vector * STEPS / best;
}

int main(void) {
  KernelCases cases;
  const Target *target = target_host();
  cases_begin(&cases, target);
  text_put(&cases.source, peak_source);
  for (int i = 0; i < N_LAYERS; i++) add_layer(&cases, &layers[i]);
  void *library = cases_build(&cases);
  if (!library || cases.n != N_LAYERS) return 1;
  double peak = find_peak(library, target);
  printf("%s, vectors of %d floats, %d registers; peak of one thread %.1f GFLOP/s\n", target->name, target->vector,
         target->registers, 1e-9 * peak);
  for (int i = 0; i < N_LAYERS; i++) {
    SgKernel *function = (SgKernel *)dlsym(library, cases.list[i].info.symbol);
    if (function) bench_case(&cases.list[i], &layers[i], function, peak);
  }
  cases_end(&cases, library);
  return 0;
}
