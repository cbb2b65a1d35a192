// What makes compiled networks fast, held in the networks themselves: which values are never stored, and how often maps
// are read. Sizes are those of plan_target, whatever machine the test runs on.
#include "compiler/compiler.h"
#include "lang/lang.h"
#include "tests/compiler/plan_case.h"

enum { LARGE = 1 << 17 }; // elements that no cache near a core holds

typedef struct Net {
  const char *name;
  int n, h, w;
  bool is_training;
  Arena *arena;
  Graph *graph;
  Group *groups;
  int n_groups;
} Net;

// The network as kernels; without any after a failed check.
static Net compiled(const char *name, int n, int h, int w, bool is_training) {
  static const char *const directories[] = {"stdlib", "models"};
  Net net = {.name = name, .n = n, .h = h, .w = w, .is_training = is_training, .arena = arena_new()};
  Arena *arena = net.arena;
  Diag *diag = diag_new(arena, 20);
  LangBinding bindings[] = {
      {"N", arena_printf(arena, "%d", n)}, {"H", arena_printf(arena, "%d", h)}, {"W", arena_printf(arena, "%d", w)}};
  LangFile *file =
      lang_load(arena, arena_printf(arena, "models/%s.net", name), &(LangPaths){directories, 2, NULL}, diag);
  net.graph = file ? lang_elaborate(file, &(LangOptions){NULL, bindings, 3, is_training, is_training}, diag) : NULL;
  StepOptions step = {
      .beta2 = 0.999, .eps = 1e-8, .weight_decay = 1e-4, .clip = 0.1, .enlarges_late = true, .reassociates = true};
  bool is_good = net.graph && (!is_training || step_build(net.graph, &step, diag));
  CHECK(is_good, "%s does not build", name);
  if (!is_good) return net;
  Status status = compile_passes(net.graph, &(CompileOptions){.target = &plan_target, .is_training = is_training});
  CHECK(!status, "%s: %s", name, status_message(status));
  status_free(status);
  net.groups = group_collect(net.graph, arena, &net.n_groups);
  return net;
}

static const char *text_of(const Net *net, const Group *group) {
  Text text = {0};
  char shape[SHAPE_TEXT];
  text_printf(&text, "%s%s, kernel %d:", net->name, net->is_training ? " (training)" : "", group->id);
  for (int i = 0; i < group->n_nodes; i++) text_printf(&text, " %s", op_info(group->nodes[i]->op)->name);
  text_put(&text, " ->");
  for (int i = 0; i < group->n_outs; i++) text_printf(&text, " %s", shape_text(group->outs[i]->shape, shape));
  const char *copy = arena_strdup(net->arena, text_get(&text));
  text_free(&text);
  return copy;
}

static bool is_run(const Group *group) { return !group->nodes[0]->is_setup; }

static bool has_class(const Group *group, OpClass cls) {
  for (int i = 0; i < group->n_nodes; i++) {
    if (op_info(group->nodes[i]->op)->cls == cls) return true;
  }
  return false;
}

static int64_t largest(Node *const *nodes, int n) {
  int64_t most = 0;
  for (int i = 0; i < n; i++) {
    int64_t size = shape_elements(nodes[i]->shape);
    if (size > most) most = size;
  }
  return most;
}

// Kernels of the run for which a question is answered with yes, at most so many.
static void at_most(const Net *net, int most, const char *what, bool (*is_it)(const Net *, const Group *)) {
  int n = 0;
  Text list = {0};
  for (int i = 0; i < net->n_groups; i++) {
    if (!is_run(&net->groups[i]) || !is_it(net, &net->groups[i])) continue;
    n++;
    text_printf(&list, "\n  %s", text_of(net, &net->groups[i]));
  }
  CHECK(n <= most, "%d kernels, not %d, %s:%s", n, most, what, text_get(&list));
  text_free(&list);
}

static int64_t read_by(const Group *group) { return largest(group->ins, group->n_ins); }
static int64_t written_by(const Group *group) { return largest(group->outs, group->n_outs); }

// Reads a map of many pixels for its sums alone.
static bool only_sums(const Net *net, const Group *group) {
  (void)net;
  bool is_sum = has_class(group, CLASS_REDUCE) && !has_class(group, CLASS_CONTRACT);
  return is_sum && read_by(group) >= 4 * LARGE && 16 * written_by(group) <= read_by(group);
}

// Stores something for each bin and pixel.
static bool stores_bins(const Net *net, const Group *group) {
  return written_by(group) >= (int64_t)net->n * 256 * (net->h / 2) * (net->w / 2);
}

// Copies a large value into a concat.
static bool copies(const Net *net, const Group *group) {
  (void)net;
  const Node *concat = group->nodes[0];
  if (concat->op != OP_concat || group->n_nodes > 1) return false;
  for (int k = 0; k < concat->n_in; k++) {
    if (!concat_is_in_place(concat, k) && shape_elements(concat->in[k]->shape) >= LARGE) return true;
  }
  return false;
}

static bool resizes_alone(const Net *net, const Group *group) {
  (void)net;
  return group->nodes[0]->op == OP_resize && group->n_nodes == 1 && written_by(group) >= LARGE;
}

// Scales a map, and that is all.
static bool scales_alone(const Net *net, const Group *group) {
  (void)net;
  return group->nodes[0]->op == OP_mul && group->n_nodes == 1 && written_by(group) >= LARGE / 2;
}

// Stores cells repeated to a picture.
static bool repeats(const Net *net, const Group *group) {
  (void)net;
  return group->nodes[0]->op == OP_broadcast && written_by(group) >= LARGE / 4;
}

// Multiplies queries with pixels before the queries are multiplied with anything else.
static bool asks_pixels(const Net *net, const Group *group) {
  enum { QUERIES = 128 };
  return group->nodes[0]->op == OP_matmul &&
         written_by(group) == (int64_t)net->n * QUERIES * (net->h / 2) * (net->w / 2) &&
         group->outs[0]->shape.dim[1] == QUERIES && group->nodes[0]->in[0]->shape.dim[1] == QUERIES &&
         !node_attr(group->nodes[0], "transpose_a").i;
}

// Batch norm while training: mean and variance, and the sums of the gradient, are made by the kernel that makes the
// map; what is left are the pass that normalises, and the one that puts the gradient together. Thirteen maps are not
// made where sums are: of a head with three channels, gradients of resizes, concats that are squeezed.
static void test_training(void) {
  Net net = compiled("meta_unet", 4, 256, 320, true);
  at_most(&net, 13, "read maps for sums alone", only_sums);
  arena_free(net.arena);
  net = compiled("adabins", 2, 416, 544, true);
  at_most(&net, 3, "store a value for each bin and pixel: scores, exponentials, the scores' gradient", stores_bins);
  at_most(&net, 0, "multiply queries with pixels first", asks_pixels);
  arena_free(net.arena);
  net = compiled("bts", 2, 256, 320, true);
  at_most(&net, 0, "store cells repeated to a picture", repeats);
  arena_free(net.arena);
}

static void test_inference(const char *name, int most_copies, int most_resizes, int most_scaled) {
  Net net = compiled(name, 1, 480, 640, false);
  at_most(&net, most_copies, "copy into a concat", copies);
  at_most(&net, most_resizes, "resize and nothing else", resizes_alone);
  at_most(&net, most_scaled, "scale a map and nothing else", scales_alone);
  at_most(&net, 0, "store a value for each bin and pixel", stores_bins);
  at_most(&net, 0, "store cells repeated to a picture", repeats);
  arena_free(net.arena);
}

int main(void) {
  test_training();
  test_inference("ghost_unet", 0, 0, 0);
  test_inference("meta_unet", 1, 0, 0); // two inputs side by side
  test_inference("adabins", 0, 1, 0);   // the result
  test_inference("bts", 1, 2, 1);
  test_inference("ldrn", 2, 2, 0);
  return check_report("means");
}
