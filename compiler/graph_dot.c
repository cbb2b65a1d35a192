// Graph -> DOT: nested clusters, boxes, edges and their looks. What is drawn is decided in graph_picture.c.
#include "compiler/graph_dot.h"

#include <math.h>
#include <string.h>

#include "compiler/dot_label.h"
#include "compiler/graph_summary.h"

typedef struct Tint {
  const char *fill, *line;
} Tint;

// Modules of one name share a tint, given in the order of appearance; so do the nodes of one kernel.
static const Tint tints[] = {
    {"#DCE8F4", "#6F9AC4"}, {"#DEEBD9", "#7DA574"}, {"#F7E7C4", "#CBA24A"}, {"#F5DDDA", "#C7837B"},
    {"#E5DFF1", "#9686BC"}, {"#D5EBE8", "#5DA19B"}, {"#FAE2CF", "#D0935B"}, {"#E2E6EB", "#8790A0"},
};
enum { N_TINTS = sizeof tints / sizeof *tints };

typedef struct Writer {
  const Picture *picture;
  Text *out;
  int64_t batch; // first size of the first input
  int *tint_of;  // by module
} Writer;

static void assign_tints(Writer *writer, Arena *arena) {
  const Graph *graph = writer->picture->graph;
  writer->tint_of = ARENA_ARRAY(arena, int, graph->n_modules);
  int n = 0;
  for (int i = 0; i < writer->picture->n_boxes; i++) {
    const PictureBox *box = &writer->picture->boxes[i];
    if (box->kind != BOX_MODULE) continue;
    int same = 0;
    while (same < i &&
           !(writer->picture->boxes[same].kind == BOX_MODULE &&
             !strcmp(graph->modules[writer->picture->boxes[same].module].name, graph->modules[box->module].name)))
      same++;
    writer->tint_of[box->module] = same < i ? writer->tint_of[writer->picture->boxes[same].module] : n++ % N_TINTS;
  }
}

static const char *class_color(OpClass cls) {
  switch (cls) {
  case CLASS_CONTRACT: return "#6F9AC4";
  case CLASS_REDUCE: return "#9686BC";
  case CLASS_MOVEMENT: return "#CBA24A";
  case CLASS_SPATIAL: return "#5DA19B";
  case CLASS_COMPOSITE: return "#C7837B";
  case CLASS_INDEX: return "#D0935B";
  default: return "#B9B5AA";
  }
}

// ---- boxes ----------------------------------------------------------------------------------------------------------

static void put_end(Writer *writer, int index, const PictureBox *box) {
  bool is_input = box->kind == BOX_INPUT;
  text_printf(writer->out, "b%d [label=<<B>", index);
  dot_put_escaped(writer->out, is_input ? box->node->name : box->name);
  text_put(writer->out, "</B><BR/><FONT POINT-SIZE=\"8\">");
  dot_put_shape(writer->out, box->node->shape, writer->batch);
  text_printf(writer->out, "</FONT>>, shape=%s, style=\"%s\", fillcolor=\"%s\", color=\"%s\", fontcolor=white];\n",
              is_input ? "invhouse" : "ellipse", "filled", is_input ? "#34495E" : "#B8553F",
              is_input ? "#34495E" : "#B8553F");
}

// `around` is the innermost cluster that is drawn around the box.
static void put_box(Writer *writer, int index, int around) {
  const Picture *picture = writer->picture;
  const PictureBox *box = &picture->boxes[index];
  const char *title = box->module == around ? "" : module_path_from(picture->graph, box->module, around);
  text_printf(writer->out, "b%d [label=<", index);
  if (box->kind == BOX_MODULE) {
    Tint tint = tints[writer->tint_of[box->module]];
    if (box->module == 0) title = picture->graph->name;
    dot_put_module_label(writer->out, picture, box, title);
    text_printf(writer->out, ">, fillcolor=\"%s\", color=\"%s\", margin=\"0.22,0.1\"];\n", tint.fill, tint.line);
    return;
  }
  const Node *node = box->node;
  dot_put_node_label(writer->out, picture, box, title);
  Tint tint = {"#FFFFFF", class_color(op_info(node->op)->cls)};
  if (node->group >= 0) tint = tints[node->group % N_TINTS];
  text_printf(writer->out, ">, fillcolor=\"%s\", color=\"%s\"", tint.fill, tint.line);
  bool is_round = !*title && dot_is_bare_sign(picture, node);
  text_put(writer->out,
           is_round ? ", shape=circle, style=filled, fontsize=13, margin=0, width=0.3, fixedsize=true];\n" : "];\n");
}

// A cluster is drawn around two boxes or more.
static bool is_cluster(const Picture *picture, int module) { return module != 0 && picture->n_inside[module] > 1; }

static void put_module(Writer *writer, int module, int around) {
  const Picture *picture = writer->picture;
  bool is_drawn = is_cluster(picture, module);
  if (is_drawn) {
    const ModuleInstance *instance = &picture->graph->modules[module];
    text_printf(writer->out, "subgraph cluster_%d {\nlabel=<<B>", module);
    dot_put_escaped(writer->out, module_path_from(picture->graph, module, around));
    text_put(writer->out, "</B>  <FONT COLOR=\"#8A8578\">");
    dot_put_escaped(writer->out, instance->name);
    text_printf(writer->out, "</FONT>>; bgcolor=\"%s\"; pencolor=\"#D9D2C2\";\n",
                picture->tree[module].depth % 2 ? "#F3EFE5" : "#FBF9F4");
    around = module;
  }
  for (int i = 0; i < picture->n_boxes; i++) {
    const PictureBox *box = &picture->boxes[i];
    bool is_here = box->kind == BOX_NODE && box->module == module;
    is_here = is_here || (box->kind == BOX_MODULE && (box->module ? picture->tree[box->module].parent : 0) == module);
    if (is_here) put_box(writer, i, around);
  }
  for (int m = 1; m < picture->graph->n_modules; m++) {
    bool is_child = picture->tree[m].shown == m && picture->tree[m].parent == module;
    if (is_child && picture->n_inside[m]) put_module(writer, m, around);
  }
  if (is_drawn) text_put(writer->out, "}\n");
}

// ---- edges ----------------------------------------------------------------------------------------------------------

enum { MAX_LABEL_LINES = 6 };

static void put_edge_label(Writer *writer, const PictureEdge *edge) {
  text_put(writer->out, "label=<");
  for (int i = 0; i < edge->n_values && i < MAX_LABEL_LINES; i++) {
    if (i) text_put(writer->out, "<BR/>");
    text_put(writer->out, " ");
    dot_put_shape(writer->out, edge->values[i]->shape, writer->batch);
    text_put(writer->out, " ");
  }
  if (edge->n_values > MAX_LABEL_LINES) text_printf(writer->out, "<BR/>and %d more", edge->n_values - MAX_LABEL_LINES);
  text_put(writer->out, ">");
}

static void put_edge(Writer *writer, const PictureEdge *edge) {
  const Picture *picture = writer->picture;
  const PictureBox *from = &picture->boxes[edge->from], *to = &picture->boxes[edge->to];
  double elements = 0;
  for (int i = 0; i < edge->n_values; i++) elements += (double)shape_elements(edge->values[i]->shape);
  double width = 0.6 + 0.4 * fmax(0, log10(elements / 1000)); // thicker with more data
  bool is_up = picture->is_u && from->is_rising;
  text_printf(writer->out, is_up ? "b%d -> b%d [dir=back, " : "b%d -> b%d [", is_up ? edge->to : edge->from,
              is_up ? edge->from : edge->to);
  text_printf(writer->out, "penwidth=%.2f, ", width);
  if (to->kind != BOX_OUTPUT && from->kind != BOX_INPUT) put_edge_label(writer, edge);
  text_put(writer->out, "];\n");
}

// clang-format off
#define FONT "fontname=\"Liberation Sans,Arial,Helvetica,sans-serif\""
static const char STYLE[] =
  "graph [" FONT ", fontsize=11, fontcolor=\"#2E3238\", bgcolor=\"#FCFBF8\", pad=0.4, nodesep=0.35, ranksep=0.42,\n"
  "  labelloc=t, labeljust=l, style=\"rounded\", rankdir=TB];\n"
  "node [" FONT ", fontsize=10, fontcolor=\"#2E3238\", shape=box, style=\"rounded,filled\", height=0.3,\n"
  "  margin=\"0.14,0.06\", penwidth=1.1];\n"
  "edge [" FONT ", fontsize=8, fontcolor=\"#7B7F86\", color=\"#8E939B\", arrowsize=0.55, arrowhead=vee, arrowtail=vee];\n";
// clang-format on

static void put_header(Writer *writer, const DotOptions *options) {
  const Graph *graph = writer->picture->graph;
  Cost cost = graph_cost(graph);
  text_put(writer->out, "digraph ");
  text_put_json(writer->out, graph->name);
  text_printf(writer->out, " {\n%slabel=<<FONT POINT-SIZE=\"20\"><B>", STYLE);
  dot_put_escaped(writer->out, options->title ? options->title : graph->name);
  text_put(writer->out, "</B></FONT><BR ALIGN=\"LEFT\"/><FONT POINT-SIZE=\"10\" COLOR=\"#6B6F76\"> ");
  dot_put_costs(writer->out, cost.parameters, cost.multiply_adds);
  if (writer->batch > 0) {
    if (cost.parameters || cost.multiply_adds) text_put(writer->out, " · ");
    text_printf(writer->out, "batch %lld, left out of the shapes", (long long)writer->batch);
  }
  text_put(writer->out, "</FONT><BR ALIGN=\"LEFT\"/> <BR/>>;\n");
}

void graph_dot(const Graph *graph, const DotOptions *options, Text *out) {
  static const DotOptions usual = {.depth = -1};
  if (!options) options = &usual;
  Arena *arena = arena_new();
  Picture picture = picture_new(graph, options->depth, arena);
  Writer writer = {.picture = &picture, .out = out, .batch = -1};
  for (int i = 0; i < picture.n_boxes && writer.batch < 0; i++) {
    const PictureBox *box = &picture.boxes[i];
    if (box->kind == BOX_INPUT && box->node->shape.rank > 1) writer.batch = box->node->shape.dim[0];
  }
  assign_tints(&writer, arena);
  put_header(&writer, options);
  put_module(&writer, 0, 0);
  for (int i = 0; i < picture.n_boxes; i++) {
    const PictureBox *box = &picture.boxes[i];
    if (box->kind == BOX_INPUT || box->kind == BOX_OUTPUT) put_end(&writer, i, box);
  }
  for (int i = 0; i < picture.n_edges; i++) put_edge(&writer, &picture.edges[i]);
  text_put(out, "}\n");
  arena_free(arena);
}
