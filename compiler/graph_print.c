// Graph text, the writing half: the canonical form described in graph_text.h.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compiler/graph_text.h"

const char *const graph_init_names[3] = {"constant", "uniform", "normal"};
const int graph_init_arguments[3] = {1, 2, 2};
const char *const graph_layout_names[N_LAYOUTS] = {"plain", "blocked", "weight", "depthwise", "pairs", "strassen"};

bool graph_is_word(const char *text) {
  if (!*text || (*text >= '0' && *text <= '9')) return false;
  const char *letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
  return text[strspn(text, letters)] == 0;
}

static void put_name(Text *out, const char *name) {
  if (graph_is_word(name)) {
    text_put(out, name);
  } else {
    text_put_json(out, name);
  }
}

// The shortest decimal that reads back as the same double.
static void put_double(Text *out, double value) {
  char text[40];
  for (int digits = 1; digits <= 17; digits++) {
    snprintf(text, sizeof text, "%.*g", digits, value);
    if (strtod(text, NULL) == value) break;
  }
  text_put(out, text);
}

static void put_shape(Text *out, Shape shape) {
  char text[SHAPE_TEXT];
  text_put(out, shape_text(shape, text));
}

static void put_place(Text *out, SrcLoc loc) {
  if (!loc.file) return;
  text_put(out, " at ");
  text_put_json(out, loc.file);
  text_printf(out, ":%d:%d:%d", loc.line, loc.column, loc.length);
}

static bool is_default(const AttrSpec *spec, AttrValue value) {
  if (spec->required) return false;
  switch (spec->kind) {
  case ATTR_FLOAT: return value.f == spec->fallback.f;
  case ATTR_INTS: return shape_equal(value.ints, spec->fallback.ints);
  default: return value.i == spec->fallback.i;
  }
}

static void put_attribute(Text *out, const AttrSpec *spec, AttrValue value) {
  if (is_default(spec, value)) return;
  text_printf(out, " %s=", spec->name);
  switch (spec->kind) {
  case ATTR_INT: text_printf(out, "%lld", (long long)value.i); break;
  case ATTR_FLOAT: put_double(out, value.f); break;
  case ATTR_BOOL: text_put(out, value.i ? "true" : "false"); break;
  case ATTR_INTS: put_shape(out, value.ints); break;
  case ATTR_ENUM: text_put(out, spec->choices[value.i]); break;
  }
}

static void put_init(Text *out, Init init) {
  text_printf(out, " init=%s(", graph_init_names[init.kind]);
  put_double(out, init.a);
  if (graph_init_arguments[init.kind] == 2) {
    text_put(out, ", ");
    put_double(out, init.b);
  }
  text_put(out, ")");
}

static void put_map(Text *out, ChannelMap map) {
  for (int i = 0; i < map.n; i++) text_printf(out, i ? ", %d" : "%d", map.segment[i]);
}

static void put_layout(Text *out, const Layout *layout) {
  if (!layout || layout->kind == LAYOUT_PLAIN) return;
  text_printf(out, " layout=%s%d(", graph_layout_names[layout->kind], layout->block);
  put_map(out, layout->c);
  if (layout->half) {
    text_printf(out, " half %d of ", layout->half);
    put_map(out, layout->in);
  }
  text_put(out, ")");
}

static void put_leaf(Text *out, const Node *node) {
  if (node->op == OP_constant) {
    text_put(out, " {");
    for (int64_t i = 0, n = shape_elements(node->shape); i < n; i++) {
      text_printf(out, i ? ", %a" : "%a", (double)node->data[i]);
    }
    text_put(out, "}");
  } else {
    text_put(out, " ");
    text_put_json(out, node->name);
  }
  if (node->op != OP_param && node->op != OP_state) return;
  put_init(out, node->init);
  if (node->stored_as_i64) text_put(out, " i64");
  if (node->is_frozen) text_put(out, " frozen");
}

static bool is_named_by_op(const Node *node) {
  return node->op == OP_input || node->op == OP_param || node->op == OP_state;
}

static void put_marks(Text *out, const Node *node) {
  if (node->module) text_printf(out, " module=%d", node->module);
  put_place(out, node->loc);
  put_layout(out, node->layout);
  if (node->group >= 0) text_printf(out, " group=%d", node->group);
  if (node->into) text_printf(out, " into=%%%d+%d", node->into->id, node->into_offset);
  if (node->is_again) text_put(out, " again");
  if (node->is_setup) text_put(out, " setup");
  if (node->name && !is_named_by_op(node)) {
    text_put(out, " name=");
    text_put_json(out, node->name);
  }
}

static void put_node(Text *out, const Node *node) {
  const OpInfo *info = op_info(node->op);
  text_printf(out, "%%%d = %s", node->id, info->name);
  if (is_named_by_op(node) || node->op == OP_constant) {
    put_leaf(out, node);
  } else {
    text_put(out, "(");
    for (int i = 0; i < node->n_in; i++) text_printf(out, i ? ", %%%d" : "%%%d", node->in[i]->id);
    text_put(out, ")");
    for (int i = 0; i < info->n_attrs; i++) put_attribute(out, &info->attrs[i], node->attr[i]);
  }
  text_put(out, " : ");
  put_shape(out, node->shape);
  put_marks(out, node);
  text_put(out, "\n");
}

void graph_print(const Graph *graph, Text *out) {
  text_put(out, "graph ");
  put_name(out, graph->name);
  text_put(out, graph->is_scheduled ? " scheduled\n" : "\n");
  for (int i = 0; i < graph->n_modules; i++) {
    const ModuleInstance *module = &graph->modules[i];
    if (i == 0 && !module->loc.file) continue; // the model itself: nothing that the first line does not say
    text_printf(out, "module %d ", i);
    put_name(out, module->name);
    text_put(out, " ");
    text_put_json(out, module->path);
    text_printf(out, " parent %d", module->parent);
    put_place(out, module->loc);
    text_put(out, "\n");
  }
  for (int i = 0; i < graph->n_nodes; i++) put_node(out, graph->nodes[i]);
  for (int i = 0; i < graph->n_outputs; i++) {
    const GraphOutput *output = &graph->outputs[i];
    text_put(out, output->is_tap ? "tap " : "output ");
    text_put_json(out, output->name);
    text_printf(out, " = %%%d\n", output->node->id);
  }
  for (int i = 0; i < graph->n_updates; i++) {
    text_printf(out, "update %%%d = %%%d\n", graph->updates[i].leaf->id, graph->updates[i].value->id);
  }
}
