// The whole list of passes on a small network, for inference and as a training step: values stay, options work.
#include "compiler/pass/pass.h"
#include "tests/check.h"
#include "tests/compiler/values.h"

// Convolution, batch norm, ReLU, squeeze-and-excite, pointwise, resize, concat, softmax; loss for training.
#define HEAD                                                                                                           \
  "graph net\n"                                                                                                        \
  "%x = input \"x\" : [2, 3, 8, 10]\n"                                                                                 \
  "%w1 = param \"w1\" init=constant(1) : [16, 3, 3, 3]\n"                                                              \
  "%g1 = param \"g1\" init=constant(1) : [16]\n"                                                                       \
  "%b1 = param \"b1\" init=constant(1) : [16]\n"                                                                       \
  "%rm = state \"running_mean\" init=constant(0) : [16]\n"                                                             \
  "%rv = state \"running_var\" init=constant(1) : [16]\n"                                                              \
  "%w2 = param \"w2\" init=constant(1) : [16, 1, 3, 3]\n"                                                              \
  "%w3 = param \"w3\" init=constant(1) : [8, 16, 1, 1]\n"                                                              \
  "%b3 = param \"b3\" init=constant(1) : [8]\n"                                                                        \
  "%w4 = param \"w4\" init=constant(1) : [4, 11, 1, 1]\n"                                                              \
  "%eps = fill() shape=[] value=1e-5\n"                                                                                \
  "%n = fill() shape=[] value=40\n"                                                                                    \
  "%y = conv2d(%x, %w1) stride=2 padding=1\n"
#define RUNNING                                                                                                        \
  "%mean = reshape(%rm) shape=[1, 16, 1, 1]\n"                                                                         \
  "%var = add(%rv, %eps)\n"
#define BATCH                                                                                                          \
  "%s = sum(%y) axes=[0, 2, 3]\n"                                                                                      \
  "%m = div(%s, %n)\n"                                                                                                 \
  "%mean = reshape(%m) shape=[1, 16, 1, 1]\n"                                                                          \
  "%v = variance(%y) axes=[0, 2, 3]\n"                                                                                 \
  "%rate = fill() shape=[] value=0.1\n"                                                                                \
  "%rest = fill() shape=[] value=0.9\n"                                                                                \
  "%um = mul(%m, %rate)\n"                                                                                             \
  "%om = mul(%rm, %rest)\n"                                                                                            \
  "%nm = add(%om, %um)\n"                                                                                              \
  "%uv = mul(%v, %rate)\n"                                                                                             \
  "%ov = mul(%rv, %rest)\n"                                                                                            \
  "%nv = add(%ov, %uv)\n"                                                                                              \
  "%var = add(%v, %eps)\n"
#define TAIL                                                                                                           \
  "%r = rsqrt(%var)\n"                                                                                                 \
  "%k = mul(%g1, %r)\n"                                                                                                \
  "%kc = reshape(%k) shape=[1, 16, 1, 1]\n"                                                                            \
  "%d = sub(%y, %mean)\n"                                                                                              \
  "%z = mul(%d, %kc)\n"                                                                                                \
  "%bc = reshape(%b1) shape=[1, 16, 1, 1]\n"                                                                           \
  "%zb = add(%z, %bc)\n"                                                                                               \
  "%a = relu(%zb)\n"                                                                                                   \
  "%dw = conv2d(%a, %w2) padding=1 groups=16\n"                                                                        \
  "%al = leaky_relu(%dw) slope=0.01\n"                                                                                 \
  "%p = sum(%al) axes=[2, 3] keep=true\n"                                                                              \
  "%q = hard_sigmoid(%p)\n"                                                                                            \
  "%e = mul(%al, %q)\n"                                                                                                \
  "%u = resize(%e) size=[8, 10] mode=bilinear align_corners=true\n"                                                    \
  "%f = conv2d(%u, %w3)\n"                                                                                             \
  "%b3c = reshape(%b3) shape=[1, 8, 1, 1]\n"                                                                           \
  "%fb = add(%f, %b3c)\n"                                                                                              \
  "%c = concat(%fb, %x) axis=1\n"                                                                                      \
  "%h = conv2d(%c, %w4)\n"                                                                                             \
  "%o = softmax(%h) axis=1\n"                                                                                          \
  "output \"o\" = %o\n"
#define LOSS                                                                                                           \
  "%t = input \"t\" : [2, 4, 8, 10]\n"                                                                                 \
  "%lo = log(%o)\n"                                                                                                    \
  "%lt = mul(%lo, %t)\n"                                                                                               \
  "%loss = sum(%lt) axes=[0, 1, 2, 3]\n"                                                                               \
  "output \"loss\" = %loss\n"                                                                                          \
  "update %rm = %nm\n"                                                                                                 \
  "update %rv = %nv\n"

static const char inference[] = HEAD RUNNING TAIL, training[] = HEAD BATCH TAIL LOSS;

static const char *const names[] = {
#define PASS(name, doc) #name,
    PASS_LIST(PASS)
#undef PASS
};
enum { N_NAMES = sizeof names / sizeof *names };

typedef struct Network {
  const char *title, *text;
  bool is_training;
} Network;

static Graph *build(Arena *arena, const Network *network) {
  Diag *diag = diag_new(arena, 20);
  Graph *graph = graph_parse(arena, network->title, network->text, diag);
  StepOptions options = {.beta2 = 0.999, .eps = 1e-3, .weight_decay = 0.01, .clip = 0.1};
  if (graph && network->is_training) step_build(graph, &options, diag);
  CHECK(graph && !diag_errors(diag), "%s: build", network->title);
  return graph && !diag_errors(diag) ? graph : NULL;
}

static Values evaluate(Arena *arena, const Graph *graph) {
  Values values = values_new(arena, graph);
  values_fill(&values, graph, -1, 1);
  values_run(&values, graph);
  return values;
}

static void check_node(const char *title, const char *what, Values x, const Node *a, Values y, const Node *b) {
  double largest = 1e-3, worst = 0;
  for (int64_t i = 0; i < shape_elements(a->shape); i++) {
    double p = (double)x.of[a->id][i], q = (double)y.of[b->id][i];
    if (!(fabs(p) <= largest)) largest = fabs(p);
    if (!(fabs(p - q) <= worst)) worst = fabs(p - q);
  }
  CHECK(worst <= 1e-4 * largest, "%s: %s changed by %g of %g", title, what, worst, largest);
}

// The graph with some options against the graph without any pass.
static Graph *check_run(Arena *arena, const Network *network, const char *title, const PipelineOptions *options) {
  Graph *before = build(arena, network), *after = build(arena, network);
  if (!before || !after) return NULL;
  PassContext context = {.target = target_host(), .is_training = network->is_training};
  pipeline_run(&context, options, after);
  Values x = evaluate(arena, before), y = evaluate(arena, after);
  for (int i = 0; i < before->n_outputs; i++) {
    check_node(title, before->outputs[i].name, x, before->outputs[i].node, y, after->outputs[i].node);
  }
  CHECK(before->n_updates == after->n_updates, "%s: updates", title);
  for (int i = 0; i < before->n_updates; i++) {
    check_node(title, before->updates[i].leaf->name, x, before->updates[i].value, y, after->updates[i].value);
  }
  return after;
}

static int count(const Graph *graph, Op op) {
  int n = 0;
  for (int i = 0; i < graph->n_nodes; i++) n += graph->nodes[i]->op == op;
  return n;
}

static void check_inference(Arena *arena, const Network *network) {
  Graph *graph = check_run(arena, network, "inference", &(PipelineOptions){0});
  if (!graph) return;
  CHECK(count(graph, OP_softmax) == 0, "softmax is expanded");
  int n_mul = 0;
  for (int i = 0; i < graph->n_nodes; i++) n_mul += graph->nodes[i]->op == OP_mul && !graph->nodes[i]->is_setup;
  CHECK(n_mul == 1, "the norm's scale is in the weight, only that of squeeze-and-excite stays: %d", n_mul);
  for (int i = 0; i < graph->n_nodes; i++) {
    const Node *node = graph->nodes[i];
    if (node->op != OP_conv2d || node->in[1]->shape.dim[0] != 8) continue;
    CHECK(node->shape.dim[2] == 4, "the pointwise convolution comes before the resize");
  }
}

// Every pass may be left out, and the list may end after any.
static void check_options(Arena *arena, const Network *network) {
  for (int i = 0; i < N_NAMES; i++) {
    const char *title = arena_printf(arena, "%s without %s", network->title, names[i]);
    check_run(arena, network, title, &(PipelineOptions){.disabled = &names[i], .n_disabled = 1});
    title = arena_printf(arena, "%s up to %s", network->title, names[i]);
    check_run(arena, network, title, &(PipelineOptions){.stop_after = names[i]});
  }
  Graph *graph = check_run(arena, network, "stop after expand", &(PipelineOptions){.stop_after = "expand"});
  for (int i = 0; graph && i < graph->n_nodes; i++) {
    CHECK(!graph->nodes[i]->is_setup && !graph->nodes[i]->layout, "later passes have not run");
  }
  CHECK(pipeline_has("affine") && !pipeline_has("afine"), "names of passes");
}

static void check_dump(Arena *arena, const Network *network) {
  Graph *graph = build(arena, network);
  char *text = NULL;
  size_t size = 0;
  FILE *dump = open_memstream(&text, &size);
  if (!graph || !dump) return;
  PassContext context = {.target = target_host()};
  pipeline_run(&context, &(PipelineOptions){.dump = dump, .stop_after = "affine"}, graph);
  fflush(dump);
  CHECK(strstr(text, "# after expand\ngraph net\n") != NULL, "the graph after a pass that changed it");
  CHECK(strstr(text, "# after affine\n") && !strstr(text, "# after setup"), "no further than asked");
  CHECK(!strstr(text, "# after interp"), "nothing after the stop");
  fclose(dump);
  free(text);
  text = NULL;
  dump = open_memstream(&text, &size);
  pipeline_run(&context, &(PipelineOptions){.dump = dump, .time = true, .stop_after = "fold"}, graph);
  fclose(dump);
  CHECK(strstr(text, "# expand") && strstr(text, " ms, ") && !strstr(text, "algebra"), "times: %s", text);
  free(text);
}

int main(void) {
  Arena *arena = arena_new();
  const Network networks[] = {{"inference", inference, false}, {"training", training, true}};
  check_inference(arena, &networks[0]);
  Graph *step = check_run(arena, &networks[1], "training", &(PipelineOptions){0});
  CHECK(step && count(step, OP_variance) == 0, "the training step is compiled from primitive ops");
  for (int i = 0; i < 2; i++) check_options(arena, &networks[i]);
  check_dump(arena, &networks[0]);
  arena_free(arena);
  return check_report("pipeline");
}
