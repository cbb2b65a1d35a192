// Winograd pass: which convolutions it takes, and that the values stay what they were, to within a stated error.
#include <math.h>

#include "tests/compiler/plan_case.h"
#include "tests/compiler/values.h"

typedef struct Case {
  const char *name;
  int height, width, in, out, kernel, stride, padding, dilation;
  int tile; // results a side that are expected, 0 = direct
} Case;

static const Case cases[] = {
    {"wide enough", 24, 32, 32, 48, 3, 1, 1, 1, 4},
    {"odd sizes, no padding", 19, 21, 16, 24, 3, 1, 0, 1, 4},
    {"atrous", 30, 40, 32, 32, 3, 1, 3, 3, 4},
    {"so atrous that most taps fall outside", 15, 20, 32, 32, 3, 1, 24, 24, 0},
    {"small for a tile of four", 6, 10, 32, 32, 3, 1, 1, 1, 2},
    {"every second place", 24, 32, 32, 48, 3, 2, 1, 1, 0},
    {"other kernels", 24, 32, 32, 48, 5, 1, 2, 1, 0},
};

static Graph *built(Arena *arena, const Case *c) {
  int span = c->dilation * (c->kernel - 1) + 1, oh = (c->height + 2 * c->padding - span) / c->stride + 1,
      ow = (c->width + 2 * c->padding - span) / c->stride + 1;
  return plan_parse(arena, arena_printf(arena,
                                        "graph case\n"
                                        "%%0 = input \"x\" : [1, %d, %d, %d]\n"
                                        "%%1 = param \"a\" init=constant(0) : [%d, %d, 1, 1]\n"
                                        "%%2 = conv2d(%%0, %%1) : [1, %d, %d, %d]\n"
                                        "%%3 = param \"w\" init=constant(0) : [%d, %d, %d, %d]\n"
                                        "%%4 = conv2d(%%2, %%3) stride=%d padding=%d dilation=%d : [1, %d, %d, %d]\n"
                                        "%%5 = relu(%%4) : [1, %d, %d, %d]\n"
                                        "output \"y\" = %%5\n",
                                        c->in, c->height, c->width, c->in, c->in, c->in, c->height, c->width, c->out,
                                        c->in, c->kernel, c->kernel, c->stride, c->padding, c->dilation, c->out, oh, ow,
                                        c->out, oh, ow));
}

static const float *value_of_y(Arena *arena, const Graph *graph) {
  Values values = values_new(arena, graph);
  values_fill(&values, graph, -1, 1);
  values_run(&values, graph);
  return values.of[graph_find_output(graph, "y")->id];
}

static int tile_in(const Graph *graph) {
  for (int i = 0; i < graph->n_nodes; i++) {
    if (graph->nodes[i]->op == OP_conv2d_winograd) return (int)graph->nodes[i]->in[1]->shape.dim[2] - 2;
  }
  return 0;
}

static void check_case(const Case *c) {
  Arena *arena = arena_new();
  Graph *direct = built(arena, c), *tiled = built(arena, c);
  PassContext context = {.target = &plan_target};
  pass_setup(&context, tiled);
  pass_layout(&context, tiled);
  pass_winograd(&context, tiled);
  plan_verify(tiled, "winograd");
  CHECK(tile_in(tiled) == c->tile, "%s: tiles of %d, expected %d", c->name, tile_in(tiled), c->tile);
  // weights depend on no picture: they are transformed once
  for (int i = 0; i < tiled->n_nodes; i++)
    CHECK(tiled->nodes[i]->op != OP_winograd_weight || tiled->nodes[i]->is_setup, "%s: transformed in every run",
          c->name);
  const float *a = value_of_y(arena, direct), *b = value_of_y(arena, tiled);
  double worst = 0, largest = 0;
  for (int64_t i = 0; i < shape_elements(graph_find_output(direct, "y")->shape); i++) {
    worst = fmax(worst, fabs(a[i] - b[i]));
    largest = fmax(largest, fabs(a[i]));
  }
  // only the transformed weights are rounded here: the evaluator sums in double
  CHECK(worst <= 5e-7 * largest, "%s: differs by %g of %g", c->name, worst, largest);
  arena_free(arena);
}

// The gradient by the weight goes the same way.
static void check_gradient(void) {
  Arena *arena = arena_new();
  const char *text = "graph gradient\n"
                     "%0 = input \"x\" : [2, 32, 12, 16]\n"
                     "%1 = param \"a\" init=constant(0) : [32, 32, 1, 1]\n"
                     "%2 = conv2d(%0, %1) : [2, 32, 12, 16]\n"
                     "%3 = param \"b\" init=constant(0) : [24, 32, 1, 1]\n"
                     "%4 = conv2d(%0, %3) : [2, 24, 12, 16]\n"
                     "%5 = conv2d_dw(%2, %4) stride=1 padding=1 dilation=1 groups=1 kh=3 kw=3 : [24, 32, 3, 3]\n"
                     "output \"y\" = %5\n";
  Graph *direct = plan_parse(arena, text), *tiled = plan_parse(arena, text);
  PassContext context = {.target = &plan_target};
  pass_layout(&context, tiled);
  CHECK(pass_winograd(&context, tiled), "gradient: direct");
  plan_verify(tiled, "winograd");
  const float *a = value_of_y(arena, direct), *b = value_of_y(arena, tiled);
  double worst = 0, largest = 0;
  for (int64_t i = 0; i < 24 * 32 * 9; i++) {
    worst = fmax(worst, fabs(a[i] - b[i]));
    largest = fmax(largest, fabs(a[i]));
  }
  CHECK(worst <= 2e-7 * largest, "gradient: differs by %g of %g", worst, largest);
  arena_free(arena);
}

static void check_exact(void) {
  Arena *arena = arena_new();
  Graph *graph = built(arena, &cases[0]);
  PassContext context = {.target = &plan_target, .exact = true};
  pass_layout(&context, graph);
  CHECK(!pass_winograd(&context, graph) && !tile_in(graph), "exact: direct");
  arena_free(arena);
}

// Convolutions of few tiles beside their channels transform weights themselves that no second cache holds.
static void check_read(void) {
  static const struct {
    int height, channels, l2;
    bool reads;
  } rows[] = {{8, 128, 1 << 19, true}, {8, 128, 1 << 20, false}, {16, 128, 1 << 19, false}, {16, 256, 1 << 19, true}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    Arena *arena = arena_new();
    Case c = {"read", rows[i].height, 20, rows[i].channels, rows[i].channels, 3, 1, 1, 1, 0};
    Graph *graph = built(arena, &c);
    Target target = plan_target;
    target.l2 = rows[i].l2;
    PassContext context = {.target = &target};
    pass_setup(&context, graph);
    pass_layout(&context, graph);
    pass_winograd(&context, graph);
    plan_verify(graph, "winograd");
    CHECK(tile_in(graph) == (rows[i].reads ? 1 : 4), "read, row %zu: %d", i, tile_in(graph));
    arena_free(arena);
  }
}

// Kept weights that are half as large again as the last cache take smaller tiles where few share them.
static void check_kept(void) {
  static const struct {
    int height, width, tile;
    bool is_large;
  } rows[] = {{8, 10, 4, false}, {8, 10, 2, true}, {15, 20, 4, true}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    Arena *arena = arena_new();
    Case c = {"kept", rows[i].height, rows[i].width, 64, 64, 3, 1, 1, 1, 0};
    Graph *graph = built(arena, &c);
    Target target = plan_target;
    target.l3 = 36 * 64 * 64 * 4 / 3 * 2 - rows[i].is_large;
    PassContext context = {.target = &target};
    pass_setup(&context, graph);
    pass_layout(&context, graph);
    pass_winograd(&context, graph);
    CHECK(tile_in(graph) == rows[i].tile, "kept, row %zu: tiles of %d", i, tile_in(graph));
    arena_free(arena);
  }
}

int main(void) {
  check_read();
  check_kept();
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) check_case(&cases[i]);
  check_gradient();
  check_exact();
  return check_report("winograd");
}
