// Pictures and summaries: what is drawn, folded, counted and left out; Graphviz takes the text.
#include <unistd.h>

#include "compiler/graph_dot.h"
#include "compiler/graph_summary.h"
#include "tests/check.h"

static Arena *arena;

static Graph *parse(const char *text) {
  Diag *diag = diag_new(arena, 20);
  Graph *graph = graph_parse(arena, "test", text, diag);
  Text errors = {0};
  diag_print(diag, &errors, false);
  CHECK(graph, "%s", text_get(&errors));
  text_free(&errors);
  if (!graph) exit(1);
  return graph;
}

// An encoder of two modules, one of them with a module inside, an unnamed call, and a head in the model itself.
static const char net[] = "graph tiny\n"
                          "module 1 encoder \"enc\" parent 0\n"
                          "module 2 conv \"enc.a\" parent 1\n"
                          "module 3 activate \"enc\" parent 1\n" // a call without a name of its own
                          "module 4 conv \"enc.b\" parent 3\n"
                          "%x = input \"x & <y>\" : [2, 3, 8, 8]\n"
                          "%unused = input \"unused\" : [2]\n"
                          "%wa = param \"enc.a.weight\" : [4, 3, 3, 3] module=2\n"
                          "%ba = param \"enc.a.bias\" : [4] module=2\n"
                          "%ba4 = reshape(%ba) shape=[1, 4, 1, 1] module=2\n"
                          "%a0 = conv2d(%x, %wa) padding=1 module=2\n"
                          "%a = add(%a0, %ba4) module=2\n"
                          "%r = relu(%a) module=3\n"
                          "%wb = param \"enc.b.weight\" : [5, 4, 1, 1] module=4\n"
                          "%b = conv2d(%r, %wb) stride=2 module=4 group=1\n"
                          "%s = state \"steps\" : []\n"
                          "%one = fill() shape=[] value=1\n"
                          "%next = add(%s, %one)\n"
                          "%half = fill() shape=[] value=0.5\n"
                          "%h = mul(%b, %half)\n"
                          "%u = resize(%r) size=[4, 4] mode=nearest\n"
                          "%m = concat(%h, %u) axis=1\n"
                          "%dead = neg(%m)\n"
                          "output \"y\" = %m\n"
                          "tap \"t\" = %dead\n"
                          "update %s = %next\n";

static const char *draw(const char *text, int depth) {
  Text out = {0};
  graph_dot(parse(text), &(DotOptions){.depth = depth}, &out);
  const char *copy = arena_strdup(arena, text_get(&out));
  text_free(&out);
  return copy;
}

static int count(const char *text, const char *word) {
  int n = 0;
  for (const char *at = strstr(text, word); at; at = strstr(at + 1, word)) n++;
  return n;
}

static void check_unfolded(void) {
  const char *dot = draw(net, -1);
  CHECK(count(dot, " -> ") == 9, "%d edges", count(dot, " -> "));
  CHECK(count(dot, "subgraph") == 2, "clusters of enc and enc.a; enc.b is one box: %d", count(dot, "subgraph"));
  CHECK(strstr(dot, "<B>b</B><BR/>conv 1×1"), "a module of one box gives it its name");
  CHECK(strstr(dot, "stride 2"), "attributes that matter");
  CHECK(strstr(dot, "+ bias") && strstr(dot, "× 0.5"), "operands that are not drawn are named");
  CHECK(strstr(dot, "x &amp; &lt;y&gt;"), "names are escaped");
  CHECK(strstr(dot, "3×8×8"), "shapes without the batch");
  CHECK(strstr(dot, "batch 2"), "which the caption states");
  CHECK(!strstr(dot, "reshape"), "what follows from parameters alone is not drawn");
  CHECK(!strstr(dot, "unused") && !strstr(dot, "neg") && !strstr(dot, "steps"), "nor what no output needs");
  CHECK(strstr(dot, "108 parameters · 13.8 k multiply-adds"), "costs of the first convolution");
}

static void check_folded(void) {
  const char *dot = draw(net, 1);
  CHECK(count(dot, "subgraph") == 0, "no clusters");
  CHECK(strstr(dot, "<B>enc</B>") && strstr(dot, ">encoder<"), "one box for the encoder");
  CHECK(strstr(dot, "132 parameters · 14.5 k multiply-adds"), "with the costs of all inside");
  CHECK(count(dot, " -> ") == 6, "%d edges", count(dot, " -> "));
  dot = draw(net, 0);
  CHECK(count(dot, " -> ") == 2 && strstr(dot, "132 parameters"), "everything in one box");
  dot = draw(net, 2);
  CHECK(count(dot, "subgraph") == 1 && strstr(dot, "<B>a</B>"), "enc around a, b and relu");
}

static void check_joined(void) {
  const char *dot = draw("module 1 m \"a\" parent 0\nmodule 2 m \"b\" parent 0\n%x = input \"x\" : [1, 4]\n"
                         "%p = neg(%x) module=1\n%q = exp(%x) module=1\n%k = slice(%p) axis=1 start=0 stop=2 module=1\n"
                         "%c = concat(%p, %q, %k, %p) axis=1 module=2\n%d = add(%p, %q) module=2\noutput \"c\" = %c\n"
                         "output \"d\" = %d\n",
                         1);
  CHECK(count(dot, "-> b2") == 1, "one edge between two boxes");
  CHECK(strstr(dot, "label=< 4 <BR/> 4 <BR/> 2 >"), "with the shape of each value once");
}

static void check_tints(void) {
  const char *dot = draw("%x = input \"x\" : [4]\n%a = neg(%x) group=0\n%b = exp(%a) group=0\n%c = sin(%b) group=1\n"
                         "%d = cos(%c)\noutput \"d\" = %d\n",
                         -1);
  CHECK(count(dot, "fillcolor=\"#DCE8F4\"") == 2, "both nodes of a kernel have its tint");
  CHECK(count(dot, "fillcolor=\"#DEEBD9\"") == 1 && count(dot, "fillcolor=\"#FFFFFF\"") == 1,
        "others another, or none");
}

// Graphviz reads every one of them without a word.
static void check_graphviz(void) {
  if (system("dot -V >/dev/null 2>&1") != 0) {
    CHECK_SKIP("no dot here");
    return;
  }
  static const char *const texts[] = {net, "%x = input \"\\u0001\\\"<&>\" : [4]\noutput \"\\\\\" = %x\n",
                                      "graph \"\"\n",
                                      "%a = fill() shape=[2] value=1\n%b = neg(%a)\noutput \"b\" = %b\n"};
  for (int depth = -1; depth < 4; depth++) {
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
      char path[] = "/tmp/picture.XXXXXX";
      int fd = mkstemp(path);
      const char *dot = draw(texts[i], depth);
      CHECK(write(fd, dot, strlen(dot)) == (ssize_t)strlen(dot), "writing %s", path);
      close(fd);
      const char *command = arena_printf(arena, "test -z \"$(dot -Tsvg -o /dev/null %s 2>&1)\"", path);
      CHECK(system(command) == 0, "dot complains of text %d at depth %d", (int)i, depth);
      unlink(path);
    }
  }
}

static void check_u(void) {
  Text text = {0};
  text_put(&text, "%0 = input \"x\" : [1, 4, 64, 64]\n");
  for (int i = 1; i <= 8; i++)
    text_printf(&text, "%%%d = slice(%%%d) axis=%d start=0 stop=%d step=2\n", i, i - 1, 2 + i % 2, 64 >> (i - 1) / 2);
  for (int i = 9; i <= 13; i++)
    text_printf(&text, "%%%d = resize(%%%d) size=[%d, %d] mode=nearest\n", i, i - 1, 8 << (i - 9), 8 << (i - 9));
  text_put(&text, "output \"y\" = %13\n");
  const char *dot = draw(text_get(&text), -1);
  text_free(&text);
  CHECK(count(dot, "dir=back") == 5, "a decoder is drawn upwards: %d edges", count(dot, "dir=back"));
  CHECK(count(draw(net, -1), "dir=back") == 0, "a chain is not");
}

static void check_summary(void) {
  GraphSummary summary = graph_summary(parse(net), -1, COUNT_ALL, arena);
  CHECK(summary.n_rows == 4, "the model, enc, enc.a, enc.b: %d rows", summary.n_rows);
  CHECK(summary.parameters == 132 && summary.states == 1, "parameters and states");
  CHECK(summary.multiply_adds == 2 * 64 * 108 + 2 * 16 * 20, "multiply-adds %lld", (long long)summary.multiply_adds);
  const SummaryRow *row = summary.rows;
  CHECK(row[0].depth == 0 && row[0].n_children == 1 && row[0].own_parameters == 0 && row[0].parameters == 132, "model");
  CHECK_TEXT(row[1].path, "enc", "path");
  CHECK_TEXT(row[1].name, "encoder", "name");
  CHECK(row[1].depth == 1 && row[1].n_children == 2 && row[1].parameters == 132, "enc");
  CHECK(row[2].depth == 2 && row[2].own_parameters == 112 && row[2].multiply_adds == 2 * 64 * 108, "enc.a");
  CHECK_TEXT(row[3].path, "enc.b", "called by an unnamed call");
  CHECK(row[3].has_shape && shape_equal(row[3].shape, SHAPE(2, 5, 4, 4)), "enc.b's result");
  CHECK(shape_equal(row[1].shape, SHAPE(2, 5, 4, 4)), "the last value that leaves enc");
  CHECK(shape_equal(row[0].shape, SHAPE(2, 9, 4, 4)), "the model's output, not its tap");
  CHECK(graph_summary(parse(net), 1, COUNT_ALL, arena).n_rows == 2 &&
            graph_summary(parse(net), 0, COUNT_ALL, arena).n_rows == 1,
        "depth");
}

static void check_counts(void) {
  char text[COUNT_TEXT];
  CHECK_TEXT(count_text(0, text), "0", "0");
  CHECK_TEXT(count_text(999, text), "999", "999");
  CHECK_TEXT(count_text(4266246, text), "4,266,246", "millions");
  CHECK_TEXT(count_text(-1234, text), "-1,234", "negative");
  CHECK_TEXT(count_text(INT64_MAX, text), "9,223,372,036,854,775,807", "the largest");
  CHECK_TEXT(count_short(999, text), "999", "no unit");
  CHECK_TEXT(count_short(1000, text), "1.00 k", "thousand");
  CHECK_TEXT(count_short(999499, text), "999 k", "three digits");
  CHECK_TEXT(count_short(999500, text), "1.00 M", "rounded up to the next unit");
  CHECK_TEXT(count_short(1656000000, text), "1.66 G", "giga");
  CHECK_TEXT(count_short(34400000, text), "34.4 M", "mega");
}

int main(void) {
  arena = arena_new();
  check_unfolded();
  check_folded();
  check_joined();
  check_tints();
  check_graphviz();
  check_u();
  check_summary();
  check_counts();
  arena_free(arena);
  return check_report("picture");
}
