// Graph text: printing, reading back, what is refused with which words, and that no text breaks the reader.
#include "compiler/ops/eval.h"
#include "tests/check.h"
#include "tests/compiler/random_graph.h"

static Graph *parse(Arena *arena, const char *text, Text *out_errors) {
  Diag *diag = diag_new(arena, 20);
  Graph *graph = graph_parse(arena, "t", text, diag);
  if (out_errors) diag_print(diag, out_errors, false);
  CHECK(!graph == (diag_errors(diag) > 0), "errors exactly where there is no graph");
  return graph;
}

static void check_canonical(void) {
  const char *text = "graph meta_unet\n"
                     "module 1 ghost_module \"encoder.ghost\" parent 0 at \"stdlib/ghostnet.net\":12:3:8\n"
                     "%0 = input \"rgb\" : [1, 3, 64, 96]\n"
                     "%1 = param \"w\" init=uniform(-0.1, 0.1) : [16, 3, 3, 3] module=1\n"
                     "%2 = state \"n\" init=constant(0) i64 : []\n"
                     "%3 = constant {0x1p+0, -0x1.99999ap-4, inf} : [3]\n"
                     "%4 = fill() shape=[] value=0.1 : []\n"
                     "%5 = add(%2, %4) : []\n"
                     "%6 = conv2d(%0, %1) stride=2 padding=1 : [1, 16, 32, 48] module=1 at \"x.net\":10:7:20 "
                     "layout=blocked8(16) group=3 into=%7+2 name=\"x\"\n"
                     "%7 = concat(%6, %6) axis=1 : [1, 32, 32, 48] layout=blocked8(16, 16)\n"
                     "%8 = resize(%7) size=[64, 96] mode=bilinear align_corners=true : [1, 32, 64, 96]\n"
                     "%9 = resize(%8) size=[32, 48] mode=nearest : [1, 32, 32, 48]\n"
                     "%10 = sum(%9) axes=[1, 3] keep=true : [1, 1, 32, 1]\n"
                     "%11 = mul(%1, %4) : [16, 3, 3, 3] layout=weight8(16) setup\n"
                     "output \"depth\" = %10\n"
                     "tap \"f2\" = %7\n"
                     "update %2 = %5\n";
  Arena *arena = arena_new();
  Text errors = {0}, out = {0};
  Graph *graph = parse(arena, text, &errors);
  CHECK(graph, "%s", text_get(&errors));
  if (graph) {
    graph_print(graph, &out);
    CHECK_TEXT(text_get(&out), text, "printed as it was read");
    CHECK(graph->nodes[6]->into == graph->nodes[7] && graph->nodes[6]->into_offset == 2, "into refers downwards");
    CHECK(graph->nodes[3]->data[1] == -0.1f, "constants are exact");
  }
  text_free(&errors);
  text_free(&out);
  arena_free(arena);
}

static void check_lenient(void) {
  Arena *arena = arena_new();
  Text errors = {0}, out = {0};
  Graph *graph = parse(arena,
                       "# a remark\n"
                       "  %x = input \"x\" : [2, 3]   # another\n\n"
                       "%sum.1 = sum(%x) keep=true axes=[ -1 ]\r\n"
                       "output \"y\" = %sum.1",
                       &errors);
  CHECK(graph, "%s", text_get(&errors));
  if (graph) graph_print(graph, &out);
  CHECK_TEXT(text_get(&out),
             "graph graph\n%0 = input \"x\" : [2, 3]\n%1 = sum(%0) axes=[1] keep=true : [2, 1]\noutput \"y\" = %1\n",
             "names, remarks, other orders and left-out shapes");
  text_free(&errors);
  text_free(&out);
  arena_free(arena);
}

static void check_errors(void) {
  static const char *const cases[][2] = {
      {"%0 = input \"x\" : [2]\n%1 = neg(%2)\n", "t:2:11: error: value %2 is not defined above"},
      {"%0 = input \"x\" : [2]\n%0 = neg(%0)\n", "t:2:2: error: value is defined twice"},
      {"%0 = input \"x\" : [2, 0]\n", "size of axis 1 of [2, 0] is not positive"},
      {"%0 = input \"x\" : [2\n", "expected ','"},
      {"%0 = input \"x : [2]\n", "unfinished string"},
      {"%0 = input \"x\" : [2]\n%1 = nog(%0)\n", "unknown op 'nog'"},
      {"%0 = input \"x\" : [2]\n%1 = neg(%0) : [3]\n", "the shape is [2]"},
      {"%0 = input \"x\" : [2]\n%1 = sum(%0)\n", "axes is missing"},
      {"%0 = input \"x\" : [2]\n%1 = sum(%0) axes=[0] keep=maybe\n", "expected 'false'"},
      {"%0 = input \"x\" : [2] %1\n", "unexpected text at the end of the line"},
      {"%0 = constant {1, 2} : [3]\n", "the shape does not fit 2 values"},
      {"%0 = constant {1, two} : [2]\n", "expected a number"},
      {"%0 = param \"w\" init=magic(1) : [3]\n", "unknown initialiser"},
      {"%0 = input \"x\" : [2] module=1\n", "no such module"},
      {"%0 = input \"x\" : [2] into=%7+0\n", "value of into= is not defined"},
      {"%0 = input \"x\" : [2] layout=round8(2)\n", "unknown layout"},
      {"module 2 m \"p\" parent 0\n", "modules must be numbered 1, 2, 3, ..."},
      {"module 1 m \"p\" parent 1\n", "the parent must stand above"},
      {"module 1 m \"p\" parent 0\nmodule 1 m \"q\" parent 0\n", "module is defined twice"},
      {"output \"y\" = %0\n", "value %0 is not defined above"},
      {"hello\n", "expected 'output'"},
      {"%0 = fill() shape=[99999999999999999999] value=1\n", "expected a whole number"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    Arena *arena = arena_new();
    Text errors = {0};
    CHECK(!parse(arena, cases[i][0], &errors), "must be refused: %s", cases[i][0]);
    CHECK(strstr(text_get(&errors), cases[i][1]), "wanted '%s', got '%s'", cases[i][1], text_get(&errors));
    text_free(&errors);
    arena_free(arena);
  }
}

// parse(print(g)) is g: the same text, and the same values where they follow from constants.
static void check_round_trips(void) {
  int n_nodes = 0;
  for (uint64_t seed = 1; seed <= 60; seed++) {
    Arena *arena = arena_new();
    Graph *graph = dice_graph(&(Dice){seed}, arena);
    Text first = {0}, second = {0}, errors = {0}, why = {0};
    CHECK(graph_verify(graph, &why), "seed %llu: %s", (unsigned long long)seed, text_get(&why));
    graph_print(graph, &first);
    Graph *again = parse(arena, text_get(&first), &errors);
    CHECK(again, "seed %llu: %s", (unsigned long long)seed, text_get(&errors));
    if (again) {
      graph_print(again, &second);
      CHECK_TEXT(text_get(&second), text_get(&first), "seed %llu", (unsigned long long)seed);
      const float **a = graph_eval(graph, arena, NULL), **b = graph_eval(again, arena, NULL);
      for (int i = 0; i < graph->n_nodes && i < again->n_nodes; i++) {
        size_t size = sizeof(float) * (size_t)shape_elements(graph->nodes[i]->shape);
        bool is_same = a[i] && b[i] ? !memcmp(a[i], b[i], size) : a[i] == b[i];
        CHECK(is_same, "seed %llu: values of node %d", (unsigned long long)seed, i);
      }
      Cost x = graph_cost(graph), y = graph_cost(again);
      CHECK(!memcmp(&x, &y, sizeof x), "seed %llu: costs", (unsigned long long)seed);
    }
    n_nodes += graph->n_nodes;
    text_free(&first);
    text_free(&second);
    text_free(&errors);
    text_free(&why);
    arena_free(arena);
  }
  CHECK(n_nodes > 60 * 20, "graphs of %d nodes are too small to show anything", n_nodes / 60);
}

// Broken copies of valid texts: read or refused, and what is read passes the verifier or is refused by it.
static void check_mutations(void) {
  static const char bytes[] = "%0123456789=()[]{},:\"\\ \n#-.aexn";
  Dice dice = {7};
  for (int round = 0; round < 400; round++) {
    Arena *arena = arena_new();
    Text text = {0}, why = {0}, out = {0};
    graph_print(dice_graph(&(Dice){(uint64_t)round % 8 + 1}, arena), &text);
    for (int64_t i = 0, n = 1 + dice_below(&dice, 4); i < n; i++) {
      text.data[dice_below(&dice, (int64_t)text.size)] = bytes[dice_below(&dice, sizeof bytes)];
    }
    Graph *graph = parse(arena, text.data, NULL);
    if (graph && graph_verify(graph, &why)) graph_print(graph, &out);
    text_free(&text);
    text_free(&why);
    text_free(&out);
    arena_free(arena);
  }
}

int main(void) {
  check_canonical();
  check_lenient();
  check_errors();
  check_round_trips();
  check_mutations();
  return check_report("text");
}
