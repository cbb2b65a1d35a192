// Tests of the generic kernels: every op of the table and fused groups, as graph text, in plain, blocked and segmented
// layouts with channels that do not fill their blocks, for vectors of 4, 8 and 16 floats.
#include "compiler/kernel/ir.h"
#include "runtime/base/strmap.h"
#include "tests/compiler/kernel_case.h"
#include "tests/compiler/kernel_texts.h"

typedef enum Variant { PLAIN, BLOCKED, SEGMENTS, PIXELS, IN_BLOCKED, OUT_BLOCKED, N_VARIANTS } Variant;
static const char *const variant_names[] = {"plain",        "blocked",   "in segments", "only pixels blocked",
                                            "from blocked", "to blocked"};

static const Layout *channels(Arena *arena, int block, int64_t n, Variant variant) {
  if (variant != SEGMENTS || n < 4) return case_layout(arena, LAYOUT_BLOCKED, block, 1, (int[]){(int)n});
  return case_layout(arena, LAYOUT_BLOCKED, block, 2, (int[]){5, (int)n - 5});
}

// Gives every picture of several channels a layout. Returns whether the variant changes anything.
static bool set_layouts(Graph *graph, int block, Variant variant) {
  bool has_any = variant == PLAIN;
  for (int i = 0; variant != PLAIN && i < graph->n_nodes; i++) {
    Node *node = graph->nodes[i];
    const int64_t *dim = node->shape.dim;
    if (node->shape.rank != 4 || (dim[1] == 1 && variant != BLOCKED) || node->op == OP_fill) continue;
    if (variant == PIXELS && dim[2] * dim[3] == 1) continue;
    if (variant == IN_BLOCKED && node->op != OP_input) continue;
    if (variant == OUT_BLOCKED && node->op == OP_input) continue;
    node->layout = channels(graph->arena, block, dim[1], variant);
    has_any = true;
  }
  // A concat keeps the segments of its inputs.
  for (int i = 0; has_any && i < graph->n_nodes; i++) {
    Node *node = graph->nodes[i];
    if (node->op != OP_concat || !node->layout || variant != SEGMENTS || node_attr(node, "axis").i != 1) continue;
    int n = 0, segment[16];
    for (int k = 0; k < node->n_in; k++) {
      for (int s = 0; s < node->in[k]->layout->c.n; s++) segment[n++] = node->in[k]->layout->c.segment[s];
    }
    node->layout = case_layout(graph->arena, LAYOUT_BLOCKED, block, n, segment);
  }
  return has_any;
}

static Graph *parse(Arena *arena, const TextCase *item) {
  Diag *diag = diag_new(arena, 20);
  Graph *graph = graph_parse(arena, item->name, item->text, diag);
  Text errors = {0};
  diag_print(diag, &errors, false);
  CHECK(graph, "%s: %s", item->name, text_get(&errors));
  text_free(&errors);
  return graph;
}

// With `is_setup` as what runs once after loading, whose kernels take numbers.
static void add_text_case(KernelCases *cases, const TextCase *item, bool is_setup, bool *is_named) {
  for (int variant = 0; variant < N_VARIANTS; variant++) {
    Graph *graph = parse(cases->arena, item);
    if (!graph) return;
    for (int i = 0; i < graph->n_nodes; i++) is_named[graph->nodes[i]->op] = true;
    if (!set_layouts(graph, cases->target->vector, (Variant)variant)) continue;
    for (int i = 0; is_setup && i < graph->n_nodes; i++) graph->nodes[i]->is_setup = !op_is_leaf(graph->nodes[i]->op);
    char name[128];
    snprintf(name, sizeof name, "%s, %s%s", item->name, variant_names[variant], is_setup ? ", once" : "");
    // Apart where they may not be fused; the group of the last nodes is what the case is about.
    // Sums of numbers of both signs may nearly vanish.
    cases_add(cases, graph, name, strstr(item->name, "sum of") ? 1e-4 : 1e-5);
  }
}

// Weights between plain order and that of the contraction kernels.
static void add_weight_cases(KernelCases *cases) {
  const LayoutKind kinds[] = {LAYOUT_WEIGHT, LAYOUT_WEIGHT_DW, LAYOUT_WEIGHT_PAIRS};
  for (int k = 0; k < 3; k++) {
    for (int segments = 1; segments <= 2; segments++) {
      for (int back = 0; back < 2; back++) {
        Graph *graph = graph_new(cases->arena, "weight");
        Node *w = graph_input(graph, "w", kinds[k] == LAYOUT_WEIGHT_DW ? SHAPE(23, 1, 5, 5) : SHAPE(23, 5, 3, 3));
        Node *r = graph_unary(graph, OP_relayout, w);
        int map[2] = {segments == 1 ? 23 : 11, 12};
        (back ? w : r)->layout = case_layout(cases->arena, kinds[k], cases->target->vector, segments, map);
        graph_output(graph, "r", r, false);
        char name[64];
        snprintf(name, sizeof name, "weights %d, %d segments, %s", k, segments, back ? "back" : "there");
        cases_add(cases, graph, name, 0);
      }
    }
  }
  static const struct {
    const char *name;
    int half, n, in[3];
  } sums_cases[] = {
      {"sums of quarters", 16, 1, {32}},
      {"sums of quarters and a rest", 16, 1, {600}},
      {"sums of the whole blocks of three segments", 32, 3, {20, 9, 58}},
  };
  for (size_t i = 0; i < sizeof sums_cases / sizeof *sums_cases; i++) {
    const int outputs = 128, *in = sums_cases[i].in;
    Graph *graph = graph_new(cases->arena, "sums");
    Node *w = graph_input(graph, "w", SHAPE(outputs, in[0] + in[1] + in[2], 1, 1));
    Node *sums = graph_unary(graph, OP_strassen_weight, w);
    Layout *layout = (Layout *)case_layout(cases->arena, LAYOUT_WEIGHT_STRASSEN, cases->target->vector, 1, &outputs);
    layout->half = sums_cases[i].half;
    layout->in = (ChannelMap){sums_cases[i].n, in};
    sums->layout = layout;
    graph_output(graph, "sums", sums, false);
    cases_add(cases, graph, sums_cases[i].name, 1e-6);
  }
}

// Of one and of two segments of outputs, more input channels than are transformed at once.
static void add_tile_weight_cases(KernelCases *cases) {
  for (int k = 0; k < 8; k++) {
    bool is_wide = k % 2, has_two = k / 2 % 2;
    LayoutKind kind = k / 4 ? LAYOUT_WEIGHT_PAIRS : LAYOUT_WEIGHT;
    Graph *graph = graph_new(cases->arena, "tiles");
    int inputs = k == 5 ? 70 : 21, map[2] = {has_two ? 11 : 23, 12};
    Node *in[] = {graph_input(graph, "w", SHAPE(23, inputs, 3, 3)),
                  graph_input(graph, "m", SHAPE(9, is_wide ? 36 : 16))};
    Node *weight = graph_add(graph, OP_winograd_weight, in, 2, NULL);
    weight->layout = case_layout(cases->arena, kind, cases->target->vector, has_two ? 2 : 1, map);
    graph_output(graph, "u", weight, false);
    char name[64];
    snprintf(name, sizeof name, "weights of tiles %d", k);
    cases_add(cases, graph, name, 1e-5);
  }
}

static void test_width(int width) {
  Target target = *target_host();
  target.vector = target.wide = width;
  KernelCases cases;
  cases_begin(&cases, &target);
  bool is_named[OP_COUNT] = {false};
  for (size_t i = 0; i < sizeof text_cases / sizeof *text_cases; i++) {
    add_text_case(&cases, &text_cases[i], false, is_named);
    if (width == target_host()->vector) add_text_case(&cases, &text_cases[i], true, is_named);
  }
  add_weight_cases(&cases);
  add_tile_weight_cases(&cases);
  is_named[OP_strassen_weight] = is_named[OP_winograd_weight] = true;
  for (int op = 0; op < OP_COUNT; op++) {
    OpClass cls = op_info((Op)op)->cls;
    bool is_leaf = cls == CLASS_LEAF;
    CHECK(is_named[op] || is_leaf || cls == CLASS_COMPOSITE || cls == CLASS_CONTRACT || cls == CLASS_COLLECTIVE,
          "no kernel test of op %s", op_info((Op)op)->name);
  }
  cases_run(&cases);
}

// What runs once after loading: one kernel for several shapes, constants and segments of channels, with numbers; in
// every run one for each.
static void test_numbers(void) {
  static const char *const names[] = {"weights", "segments", "sums", "sums of products"};
  static const char *const texts[4][2] = {
      {"graph a\n%x = input \"x\" : [24, 5, 3, 3]\n%c = constant {0.25} : []\n%m = mul(%x, %c)\n"
       "%r = relayout(%m)\noutput \"r\" = %r\n",
       "graph b\n%x = input \"x\" : [48, 7, 3, 3]\n%c = constant {3} : []\n%m = mul(%x, %c)\n"
       "%r = relayout(%m)\noutput \"r\" = %r\n"},
      {"graph a\n%x = input \"x\" : [24, 5, 3, 3]\n%r = relayout(%x)\noutput \"r\" = %r\n",
       "graph b\n%x = input \"x\" : [39, 7, 3, 3]\n%r = relayout(%x)\noutput \"r\" = %r\n"},
      {"graph a\n%x = input \"x\" : [24, 15]\n%s = sum(%x) axes=[1] keep=true\noutput \"s\" = %s\n",
       "graph b\n%x = input \"x\" : [48, 17]\n%s = sum(%x) axes=[1] keep=true\noutput \"s\" = %s\n"},
      {"graph a\n%x = input \"x\" : [24, 15]\n%m = mul(%x, %x)\n%s = sum(%m) axes=[1] keep=true\noutput \"s\" = %s\n",
       "graph b\n%x = input \"x\" : [48, 17]\n%m = mul(%x, %x)\n%s = sum(%m) axes=[1] keep=true\noutput \"s\" = %s\n"}};
  for (int is_setup = 0; is_setup < 2; is_setup++) {
    for (int k = 0; k < 4; k++) {
      KernelCases cases;
      cases_begin(&cases, target_host());
      for (int i = 0; i < 2; i++) {
        Graph *graph = parse(cases.arena, &(TextCase){"numbers", texts[k][i]});
        for (int j = 0; graph && j < graph->n_nodes; j++) {
          Node *node = graph->nodes[j];
          node->is_setup = is_setup && !op_is_leaf(node->op);
          int first = k == 1 ? 3 : 0, channels[2] = {(int)node->shape.dim[0] - first, first};
          if (node->op == OP_relayout)
            node->layout = case_layout(cases.arena, LAYOUT_WEIGHT, target_host()->vector, 1 + (k == 1), channels);
        }
        if (graph) cases_add(&cases, graph, names[k], 1e-5);
      }
      CHECK(cases.n == 2, "%d kernels", cases.n);
      if (cases.n < 2) continue;
      bool is_one = !strcmp(cases.list[0].info.symbol, cases.list[1].info.symbol);
      CHECK(is_one == is_setup, "%s and %s, setup %d", cases.list[0].info.symbol, cases.list[1].info.symbol, is_setup);
      CHECK((cases.list[1].info.n_numbers > 0) == is_one, "%d numbers", cases.list[1].info.n_numbers);
      cases_run(&cases);
    }
  }
}

// Whatever the user calls a value, the kernel compiles: every word of the preamble as the name of an argument.
static void test_names(void) {
  KernelCases cases;
  cases_begin(&cases, target_host());
  Text preamble = {0};
  text_put(&preamble, text_get(&cases.source));
  text_put(&preamble, " for asm 1st x.y _a INFINITY NAN M_PI lanes sum x");
  int n = 0;
  StrMap *seen = strmap_new(cases.arena);
  for (char *save = NULL, *all = preamble.data, *word;
       (word = strtok_r(all, " \n\t(){}[]*&+-/<>=;,.:?!|~%\"#\\", &save)); all = NULL) {
    if (strmap_get(seen, word)) continue;
    strmap_set(seen, word, &preamble);
    Ir *ir = ir_new(cases.arena, target_host());
    ir->function->name = arena_printf(cases.arena, "name_%d", n++);
    IrBuffer *in = ir_arg(ir, word, false, 0), *out = ir_arg(ir, word, true, 0);
    IrExpr *zero = ir_int(ir, 0);
    IrExpr *x = ir_op2(ir, OP_maximum, ir_op1(ir, OP_exp, ir_vload(ir, in, zero)), ir_gather(ir, in, zero, 3, NULL));
    IrVar *t = ir_let(ir, ir->function->body, word, x);
    ir_store(ir, ir->function->body, out, zero, ir_lanes(ir, OP_add, ir_ref(ir, t), ir_int(ir, 2)));
    ir_print(ir, &cases.source);
  }
  text_free(&preamble);
  char path[] = "/tmp/sg-names-XXXXXX.c";
  FILE *file = fdopen(mkstemps(path, 2), "w");
  fwrite(cases.source.data, 1, cases.source.size, file);
  fclose(file);
  char command[256], *compiler = kernel_cache_compiler();
  snprintf(command, sizeof command, "%s -std=gnu11 -fsyntax-only -w %s", compiler ? compiler : "cc", path);
  free(compiler);
  CHECK(system(command) == 0, "%d kernels with names of the preamble: %s", n, path);
  unlink(path);
  cases_end(&cases, NULL);
}

int main(void) {
  test_names();
  test_numbers();
  const int widths[] = {4, 8, 16};
  for (int i = 0; i < 3; i++) test_width(widths[i]);
  return check_report("kernel");
}
