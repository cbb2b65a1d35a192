// The shard pass: several devices, each with its share of the samples, against one with all of them.
//
// The devices are run side by side by the reference evaluators: an all-reduce adds up what all of them have.
#include "compiler/ops/build.h"
#include "compiler/pass/pass.h"
#include "runtime/base/share.h"
#include "runtime/program.h"
#include "tests/check.h"
#include "tests/compiler/values.h"

enum { BATCH = 5, MAX_DEVICES = 8 };

// ---- several graphs at once -----------------------------------------------------------------------------------------

typedef struct Devices {
  Arena *arena;
  int n;
  Graph *graph[MAX_DEVICES];
  Values values[MAX_DEVICES];
  Node **reduces[MAX_DEVICES]; // in order
  int n_reduces[MAX_DEVICES];
} Devices;

static void find_reduces(Devices *devices, int d) {
  const Graph *graph = devices->graph[d];
  devices->reduces[d] = ARENA_ARRAY(devices->arena, Node *, graph->n_nodes + 1);
  for (int i = 0; i < graph->n_nodes; i++) {
    if (graph->nodes[i]->op != OP_all_reduce) continue;
    devices->reduces[d][devices->n_reduces[d]++] = graph->nodes[i];
  }
}

static void compute(Devices *devices, int d, const Node *node) {
  Values *values = &devices->values[d];
  if (values->of[node->id] || has_given_value(node)) return;
  const float *in[1024];
  for (int k = 0; k < node->n_in; k++) in[k] = values->of[node->in[k]->id];
  values->of[node->id] = ARENA_ARRAY(devices->arena, float, shape_elements(node->shape));
  node_eval(node, in, values->of[node->id]);
}

static void all_reduce(Devices *devices, int sequence) {
  bool is_max = node_attr(devices->reduces[0][sequence], "which").i;
  int64_t n = shape_elements(devices->reduces[0][sequence]->shape);
  float *all = ARENA_ARRAY(devices->arena, float, n);
  for (int d = 0; d < devices->n; d++) {
    const Node *node = devices->reduces[d][sequence];
    CHECK(shape_elements(node->shape) == n, "all-reduce %d is of one size everywhere", sequence);
    const float *own = devices->values[d].of[node->in[0]->id];
    for (int64_t i = 0; i < n; i++) all[i] = d == 0 ? own[i] : is_max ? fmaxf(all[i], own[i]) : all[i] + own[i];
  }
  for (int d = 0; d < devices->n; d++) devices->values[d].of[devices->reduces[d][sequence]->id] = all;
}

// All nodes up to the next all-reduce, device after device, in the order of each graph.
static void devices_run(Devices *devices) {
  int at[MAX_DEVICES] = {0};
  for (int sequence = 0; sequence <= devices->n_reduces[0]; sequence++) {
    for (int d = 0; d < devices->n; d++) {
      const Graph *graph = devices->graph[d];
      for (; at[d] < graph->n_nodes && graph->nodes[at[d]]->op != OP_all_reduce; at[d]++)
        compute(devices, d, graph->nodes[at[d]]);
      at[d]++;
    }
    if (sequence < devices->n_reduces[0]) all_reduce(devices, sequence);
  }
}

// ---- a case ---------------------------------------------------------------------------------------------------------

typedef struct Case {
  const char *title;
  const char *text;  // with a value %y, and leaves x* (inputs) and w* (parameters)
  int n_reduces;     // of the forward and backward pass, all gradients in one bucket; -1 = any number
  bool without_grad; // some op has no gradient
} Case;

// Adds loss = sum of y^2 / 2 and the gradients by all parameters.
static Graph *build(Arena *arena, const Case *item) {
  Diag *diag = diag_new(arena, 20);
  Text text = {0}, errors = {0};
  text_printf(&text, "graph case\n%s\noutput \"y\" = %%y\n", item->text);
  Graph *graph = graph_parse(arena, item->title, text_get(&text), diag);
  if (graph && !item->without_grad) {
    Node *y = graph_find_output(graph, "y"), *params[16], *grads[16];
    int n = 0, axes[MAX_RANK];
    for (int i = 0; i < y->shape.rank; i++) axes[i] = i;
    Node *square = graph_binary(graph, OP_mul, y, y);
    Node *loss = build_scale(graph, graph_sum(graph, square, axes, y->shape.rank, false), 0.5);
    for (int i = 0; i < graph->n_nodes; i++)
      if (graph->nodes[i]->op == OP_param) params[n++] = graph->nodes[i];
    graph_output(graph, "loss", loss, false);
    if (n && grad_build(graph, loss, params, n, grads, diag)) {
      for (int i = 0; i < n; i++) graph_output(graph, arena_printf(arena, "d %s", params[i]->name), grads[i], false);
    }
  }
  if (graph) graph_sort(graph);
  diag_print(diag, &errors, false);
  CHECK(graph && !diag_errors(diag), "%s: %s", item->title, text_get(&errors));
  text_free(&text);
  text_free(&errors);
  return graph;
}

// Runs the passes up to the sharding.
static bool shard(Graph *graph, int count, int index, Diag *diag) {
  Shard own = {count, BATCH, share_of(BATCH, count, index).n, SHARD_BUCKET_BYTES};
  PassContext context = {.target = target_host(), .is_training = true, .shard = &own, .diag = diag};
  pipeline_run(&context, &(PipelineOptions){.stop_after = "shard"}, graph);
  return !diag_errors(diag);
}

// The device's part of a value, where its shape says that it has one.
static void copy_share(const float *from, Shape all, Share share, float *to, Shape own) {
  int axis = 0;
  int64_t outer = 1, after = 1;
  while (axis < all.rank && all.dim[axis] == own.dim[axis]) outer *= all.dim[axis++];
  if (axis == all.rank) {
    memcpy(to, from, sizeof(float) * (size_t)shape_elements(all));
    return;
  }
  for (int i = axis + 1; i < all.rank; i++) after *= all.dim[i];
  int64_t inner = all.dim[axis] / BATCH * after;
  for (int64_t o = 0; o < outer; o++)
    memcpy(to + o * share.n * inner, from + (o * BATCH + share.first) * inner,
           sizeof(float) * (size_t)(share.n * inner));
}

static void fill_device(Devices *devices, int d, const Graph *whole, const Values *values, Share share) {
  const Graph *graph = devices->graph[d];
  for (int i = 0; i < graph->n_nodes; i++) {
    const Node *node = graph->nodes[i];
    if (!has_given_value(node)) continue;
    float *own = values_leaf(&devices->values[d], node);
    if (!strcmp(node->name, PROGRAM_FIRST_SAMPLE)) {
      *own = (float)share.first;
      continue;
    }
    const Node *leaf = graph_find_leaf(whole, node->name);
    copy_share(values->of[leaf->id], leaf->shape, share, own, node->shape);
  }
}

static void check_output(const Case *item, const Devices *devices, int d, Share share, const GraphOutput *output,
                         const Values *values) {
  const Node *own = graph_find_output(devices->graph[d], output->name);
  int64_t n = shape_elements(own->shape);
  float *want = ARENA_ARRAY(devices->arena, float, n), *got = devices->values[d].of[own->id];
  copy_share(values->of[output->node->id], output->node->shape, share, want, own->shape);
  double worst = 0, largest = 1e-3;
  for (int64_t i = 0; i < n; i++) {
    largest = fmax(largest, fabs((double)want[i]));
    double off = fabs((double)got[i] - (double)want[i]);
    worst = off <= worst ? worst : off;
  }
  CHECK(worst <= 2e-5 * largest, "%s: %s of device %d of %d is off by %g of %g", item->title, output->name, d,
        devices->n, worst, largest);
}

static void check_case(const Case *item, int count) {
  Arena *arena = arena_new();
  Graph *whole = build(arena, item);
  Devices devices = {.arena = arena, .n = count};
  Text errors = {0};
  bool is_good = whole;
  Values values = {0};
  if (whole) {
    values = values_new(arena, whole);
    values_fill(&values, whole, -1, 1);
    values_run(&values, whole);
  }
  for (int d = 0; d < count && is_good; d++) {
    Diag *diag = diag_new(arena, 20);
    devices.graph[d] = build(arena, item);
    is_good = shard(devices.graph[d], count, d, diag);
    diag_print(diag, &errors, false);
    CHECK(is_good, "%s: %s", item->title, text_get(&errors));
    if (!is_good) break;
    devices.values[d] = values_new(arena, devices.graph[d]);
    fill_device(&devices, d, whole, &values, share_of(BATCH, count, d));
    find_reduces(&devices, d);
    CHECK(devices.n_reduces[d] == devices.n_reduces[0], "%s: devices have as many all-reduces", item->title);
    is_good = devices.n_reduces[d] == devices.n_reduces[0];
  }
  if (is_good) {
    if (item->n_reduces >= 0)
      CHECK(devices.n_reduces[0] == item->n_reduces, "%s: %d all-reduces, not %d", item->title, devices.n_reduces[0],
            item->n_reduces);
    devices_run(&devices);
    for (int d = 0; d < count; d++) {
      for (int i = 0; i < whole->n_outputs; i++)
        check_output(item, &devices, d, share_of(BATCH, count, d), &whole->outputs[i], &values);
    }
  }
  text_free(&errors);
  arena_free(arena);
}

#define X        "%x = input \"x\" : [5, 4, 6, 8]\n"
#define X2       "%x2 = input \"x2\" : [5, 4, 6, 8]\n"
#define ROWS     "%x = input \"x\" : [5, 6]\n"
#define W(shape) "%w = param \"w\" init=constant(1) : " shape "\n"
#define V(shape) "%v = param \"v\" init=constant(1) : " shape "\n"

static const Case cases[] = {
    {"element by element", X X2 W("[4, 1, 1]") "%a = mul(%x, %w)\n%b = sub(%a, %x2)\n%y = tanh(%b)\n", 1, false},
    {"a whole operand with a batch", X W("[5, 1, 6, 1]") "%a = mul(%x, %w)\n%y = exp(%a)\n", 1, false},
    {"sum over all", X W("[4, 1, 1]") "%a = mul(%x, %w)\n%y = sum(%a) axes=[0, 1, 2, 3]\n", 1, false},
    {"sum over samples", X W("[8]") "%a = mul(%x, %w)\n%b = sum(%a) axes=[2] keep=true\n%y = sum(%b) axes=[1]\n", 1,
     false},
    {"largest over the batch", X W("[8]") "%a = mul(%x, %w)\n%y = max(%a) axes=[0, 2]\n", -1, false},
    {"largest over samples", X W("[8]") "%a = mul(%x, %w)\n%y = max(%a) axes=[1]\n", 1, false},
    {"variance over the batch", X W("[8]") "%a = mul(%x, %w)\n%y = variance(%a) axes=[0, 2, 3]\n", -1, false},
    {"softmax over channels", X W("[8]") "%a = mul(%x, %w)\n%y = softmax(%a) axis=1\n", 1, false},
    {"softmax over the batch", X W("[8]") "%a = mul(%x, %w)\n%y = softmax(%a) axis=0\n", -1, false},
    {"cumsum", X W("[8]") "%a = mul(%x, %w)\n%y = cumsum(%a) axis=2\n", 1, false},
    {"a mean, scaled and used twice",
     X W("[4, 1, 1]") V("[4, 1, 1]") "%a = mul(%x, %w)\n%s = sum(%a) axes=[0, 2, 3] keep=true\n"
                                     "%n = fill() shape=[] value=240\n%m = div(%s, %n)\n%mv = mul(%m, %v)\n"
                                     "%d = sub(%a, %mv)\n%y = mul(%d, %m)\n",
     -1, false},
    {"merge and split the batch",
     X W("[24, 3]") "%a = reshape(%x) shape=[40, 24]\n%b = matmul(%a, %w)\n%y = reshape(%b) shape=[5, 8, 3]\n", 1,
     false},
    {"reshape to rows", X W("[192, 2]") "%a = reshape(%x) shape=[5, 192]\n%y = matmul(%a, %w)\n", 1, false},
    {"transpose",
     X W("[8]") "%a = transpose(%x) perm=[1, 2, 0, 3]\n%b = mul(%a, %w)\n%y = sum(%b) axes=[0, 3] keep=true\n", 1,
     false},
    {"broadcast a sample's value",
     ROWS W("[6]") "%a = mul(%x, %w)\n%s = sum(%a) axes=[1] keep=true\n%b = broadcast(%s) shape=[3, 5, 7]\n"
                   "%y = tanh(%b)\n",
     1, false},
    {"broadcast to the batch", X W("[1, 4, 1, 1]") "%b = broadcast(%w) shape=[5, 4, 6, 8]\n%y = mul(%b, %x)\n", 1,
     false},
    {"concat with a whole value",
     X W("[5, 2, 6, 8]") "%a = concat(%x, %w) axis=1\n%b = concat(%a, %a) axis=3\n%y = tanh(%b)\n", 1, false},
    {"concat of gradients",
     X W("[4, 1, 1]") V("[4, 1, 1]") "%c = concat(%w, %v) axis=1\n%p = sum(%c) axes=[1] keep=true\n"
                                     "%y = mul(%x, %p)\n",
     1, false},
    {"slice, flip and pad",
     X W("[4, 1, 1]") "%a = mul(%x, %w)\n%b = slice(%a) axis=1 start=0 stop=4 step=2\n%c = flip(%b) axis=3\n"
                      "%y = pad(%c) before=[0, 1, 0, 2] after=[0, 0, 1, 0] value=0.5\n",
     1, false},
    {"a slice of a parameter", X W("[9, 1, 1]") "%v = slice(%w) axis=0 start=2 stop=6\n%y = mul(%x, %v)\n", 1, false},
    {"matrices of samples",
     "%x = input \"x\" : [5, 3, 4]\n%x2 = input \"x2\" : [5, 4, 2]\n" W("[4, 4]") "%a = matmul(%x, %w)\n"
                                                                                  "%y = matmul(%a, %x2)\n",
     1, false},
    {"matrices turned", "%x = input \"x\" : [5, 4, 3]\n" W("[2, 4]") "%y = matmul(%w, %x)\n", 1, false},
    {"inner products over the batch",
     ROWS "%x2 = input \"x2\" : [5, 3]\n" W("[6]") "%a = mul(%x, %w)\n%y = matmul(%a, %x2) transpose_a=true\n", -1,
     false},
    {"inner product with a whole operand", ROWS W("[5, 3]") "%y = matmul(%x, %w) transpose_a=true\n", -1, false},
    {"convolution", X W("[3, 4, 3, 3]") "%y = conv2d(%x, %w) stride=2 padding=1\n", 1, false},
    {"convolutions in a row",
     X W("[3, 4, 3, 3]") V("[6, 3, 3, 3]") "%a = conv2d(%x, %w) stride=2 padding=1\n%r = relu(%a)\n"
                                           "%y = conv2d(%r, %v) stride=2 padding=1\n",
     1, false},
    {"depthwise", X W("[4, 1, 3, 3]") "%y = conv2d(%x, %w) padding=1 groups=4\n", 1, false},
    {"patches", X W("[3, 4, 2, 2]") "%a = mul(%x, %x)\n%y = conv2d(%a, %w) stride=2\n", 1, false},
    {"resize", X W("[4, 1, 1]") "%a = mul(%x, %w)\n%y = resize(%a) size=[11, 5] mode=bilinear align_corners=true\n", 1,
     false},
    {"batch norm",
     X W("[4, 4, 1, 1]") V("[4, 1, 1]") "%c = conv2d(%x, %w)\n%n = fill() shape=[] value=240\n"
                                        "%s = sum(%c) axes=[0, 2, 3] keep=true\n%m = div(%s, %n)\n"
                                        "%q = variance(%c) axes=[0, 2, 3] keep=true\n%e = fill() shape=[] value=0.1\n"
                                        "%qe = add(%q, %e)\n%r = rsqrt(%qe)\n%d = sub(%c, %m)\n%z = mul(%d, %r)\n"
                                        "%k = mul(%z, %v)\n%y = tanh(%k)\n",
     4, false},
    {"nearest neighbours",
     ROWS "%x2 = input \"x2\" : [5, 9]\n" W("[6]") "%a = mul(%x, %w)\n%o = fill() shape=[5, 6] value=1\n"
                                                   "%i = nearest(%x2, %a, %o)\n%g = gather(%a, %i)\n"
                                                   "%y = sub(%x2, %g)\n",
     1, false},
    {"a grid",
     X W("[6, 1]") "%i = iota() shape=[5, 4, 6, 8] axis=3\n%k = iota() shape=[5, 4, 6, 8] axis=0\n"
                   "%a = mul(%i, %w)\n%b = add(%a, %k)\n%c = mul(%b, %x)\n%y = sin(%c)\n",
     1, false},
    {"a constant for each sample",
     ROWS W("[6]") "%c = constant {1, 2, 3, 4, 5} : [5, 1]\n%a = mul(%x, %c)\n%b = log(%c)\n%d = add(%a, %b)\n"
                   "%y = mul(%d, %w)\n",
     1, false},
    {"a whole value picked along an inner axis",
     "%x = input \"x\" : [5, 6]\n" W(
         "[6, 5]") "%t = transpose(%x) perm=[1, 0]\n%s = softmax(%w) axis=0\n%y = mul(%t, %s)\n",
     1, false},
    {"random numbers",
     X W("[8]") "%k = input \"random_key\" : [2]\n%r = random(%k) shape=[5, 4, 6, 8] stream=7\n"
                "%h = fill() shape=[] value=0.3\n%m = less(%r, %h)\n%z = fill() shape=[] value=0\n"
                "%a = select(%m, %z, %x)\n%y = mul(%a, %w)\n",
     1, false},
    {"random numbers in odd rows",
     ROWS W("[3]") "%k = input \"random_key\" : [2]\n%r = random(%k) shape=[5, 3] stream=123456789012345\n"
                   "%s = slice(%x) axis=1 start=0 stop=3\n%a = mul(%r, %s)\n%y = mul(%a, %w)\n",
     1, false},
    {"random numbers that all share",
     X W("[8]") "%k = input \"random_key\" : [2]\n%r = random(%k) shape=[8] stream=7\n%a = mul(%r, %x)\n"
                "%y = mul(%a, %w)\n",
     1, false},
    {"scattered", ROWS "%i = input \"x2\" : [5, 6]\n%y = scatter_add(%x, %i) size=4\n", 0, true},
    {"a silog loss",
     X X2 W("[4, 1, 1]") "%p = exp(%x)\n%q = mul(%p, %w)\n%a = abs(%q)\n%l = log(%a)\n%z = fill() shape=[] value=0\n"
                         "%m = less(%z, %x2)\n%g = mul(%m, %l)\n%n = sum(%m) axes=[0, 1, 2, 3]\n"
                         "%s = sum(%g) axes=[0, 1, 2, 3]\n%gg = mul(%g, %g)\n%t = sum(%gg) axes=[0, 1, 2, 3]\n"
                         "%mean = div(%s, %n)\n%square = div(%t, %n)\n%mm = mul(%mean, %mean)\n%d = sub(%square, %mm)\n"
                         "%y = sqrt(%d)\n",
     2, false},
};
enum { N_CASES = sizeof cases / sizeof *cases };

// ---- what cannot be shared out --------------------------------------------------------------------------------------

static const struct {
  const char *title, *text, *says;
} refused[] = {
    {"cumsum along the batch", X "%y = cumsum(%x) axis=0\n", "cumsum cannot be shared out"},
    {"flip of the batch", X "%y = flip(%x) axis=0\n", "works along the batch"},
    {"torn samples", X "%t = transpose(%x) perm=[1, 0, 2, 3]\n%y = reshape(%t) shape=[20, 48]\n",
     "samples no longer stand one after the other"},
    {"two axes", "%x = input \"x\" : [5, 5]\n%t = transpose(%x) perm=[1, 0]\n%y = add(%x, %t)\n", "different axes"},
    {"a sample's state", ROWS "%s = state \"kept\" init=constant(0) : [5, 6]\n%y = add(%x, %s)\nupdate %s = %y\n",
     "'kept' has a part"},
};

static void check_refused(void) {
  for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
    Arena *arena = arena_new();
    Diag *diag = diag_new(arena, 20);
    Text text = {0}, errors = {0};
    Case item = {refused[i].title, refused[i].text, -1, true};
    Graph *graph = build(arena, &item);
    CHECK(graph && !shard(graph, 2, 0, diag), "%s: refused", refused[i].title);
    diag_print(diag, &errors, false);
    CHECK(strstr(text_get(&errors), refused[i].says), "%s: says '%s'", refused[i].title, text_get(&errors));
    text_free(&text);
    text_free(&errors);
    arena_free(arena);
  }
}

// Every op has a case here, or is known not to need one.
static void check_ops_named(void) {
  for (int op = 0; op < OP_COUNT; op++) {
    const OpInfo *info = op_info((Op)op);
    bool is_named = info->cls == CLASS_LEAF || info->cls == CLASS_ELEMENTWISE || op == OP_conv2d_dx ||
                    op == OP_conv2d_winograd || op == OP_conv2d_dw_winograd || op == OP_conv2d_dw ||
                    op == OP_resize_grad || op == OP_relayout || op == OP_strassen_weight || op == OP_winograd_weight ||
                    op == OP_all_reduce;
    char call[64];
    snprintf(call, sizeof call, "= %s(", info->name);
    for (int i = 0; i < N_CASES; i++) is_named |= strstr(cases[i].text, call) != NULL;
    CHECK(is_named, "a case of %s", info->name);
  }
}

// Gradients go off in buckets, in the order in which the backward pass makes them.
static void check_buckets(void) {
  static const char text[] =
      "%x = input \"x\" : [5, 16]\n" W("[16, 16]") V("[16, 16]") "%a = matmul(%x, %w)\n"
                                                                 "%r = relu(%a)\n%y = matmul(%r, %v)\n";
  Arena *arena = arena_new();
  for (int64_t bytes = 64; bytes <= 4096; bytes *= 64) {
    Graph *graph = build(arena, &(Case){"buckets", text, -1, false});
    Shard own = {2, BATCH, 3, bytes};
    PassContext context = {.target = target_host(), .shard = &own, .diag = diag_new(arena, 20)};
    pipeline_run(&context, &(PipelineOptions){.stop_after = "shard"}, graph);
    int n = 0, first = -1, last_product = -1;
    for (int i = 0; i < graph->n_nodes; i++) {
      if (graph->nodes[i]->op == OP_matmul) last_product = i;
      if (graph->nodes[i]->op != OP_all_reduce) continue;
      if (!n++) first = i;
    }
    // the loss and the gradient of v in the first, that of w in the second
    CHECK(n == (bytes == 64 ? 2 : 1), "%d buckets of %d bytes", n, (int)bytes);
    CHECK((first < last_product) == (bytes == 64), "the first bucket goes off while the backward pass runs");
  }
  arena_free(arena);
}

int main(void) {
  check_ops_named();
  for (int i = 0; i < N_CASES; i++) {
    for (int count = 2; count <= BATCH; count += count == 3 ? 2 : 1) check_case(&cases[i], count);
  }
  check_refused();
  check_buckets();
  return check_report("shard");
}
