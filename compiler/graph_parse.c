// Graph text, the reading half. The form is described in graph_text.h; reading stops at the first error.
#include <string.h>

#include "compiler/graph_scan.h"
#include "compiler/graph_text.h"
#include "runtime/base/strmap.h"

typedef struct Pending {
  Node *node;
  const char *target; // of into=, which may stand further down
  SrcLoc loc;
} Pending;

typedef struct Reader {
  Scan scan;
  Graph *graph;
  StrMap *values; // word after % -> Node
  Pending *pending;
  int n_pending, cap_pending;
} Reader;

static Node *read_value(Reader *reader) {
  scan_expect(&reader->scan, "%");
  SrcLoc loc = scan_here(&reader->scan);
  const char *word = scan_word(&reader->scan);
  loc.length = (int)strlen(word);
  Node *node = strmap_get(reader->values, word);
  if (!node)
    scan_fail_at(&reader->scan, loc, arena_printf(reader->scan.arena, "value %%%s is not defined above", word));
  return node;
}

static SrcLoc read_place(Reader *reader) {
  SrcLoc loc = {.file = scan_string(&reader->scan)};
  scan_expect(&reader->scan, ":");
  loc.line = scan_count(&reader->scan);
  scan_expect(&reader->scan, ":");
  loc.column = scan_count(&reader->scan);
  scan_expect(&reader->scan, ":");
  loc.length = scan_count(&reader->scan);
  return loc;
}

// ---- nodes ----------------------------------------------------------------------------------------------------------

static AttrValue read_attribute(Reader *reader, const AttrSpec *spec) {
  AttrValue value = {0};
  switch (spec->kind) {
  case ATTR_INT: value.i = scan_int(&reader->scan); return value;
  case ATTR_FLOAT: value.f = scan_double(&reader->scan); return value;
  case ATTR_INTS: value.ints = scan_shape(&reader->scan); return value;
  case ATTR_BOOL:
    value.i = scan_accept(&reader->scan, "true");
    if (!value.i) scan_expect(&reader->scan, "false");
    return value;
  case ATTR_ENUM: {
    SrcLoc loc = scan_here(&reader->scan);
    const char *word = scan_word(&reader->scan);
    while (value.i < spec->n_choices && strcmp(spec->choices[value.i], word)) value.i++;
    if (value.i == spec->n_choices)
      scan_fail_at(&reader->scan, loc, arena_printf(reader->scan.arena, "unknown choice '%s'", word));
    return value;
  }
  }
  return value;
}

// The attribute at the reader's place, which it then stands behind, or -1.
static int accept_attribute_name(Reader *reader, const OpInfo *info) {
  for (int i = 0; i < info->n_attrs; i++) {
    if (scan_accept(&reader->scan, arena_printf(reader->scan.arena, "%s=", info->attrs[i].name))) return i;
  }
  return -1;
}

static Node *read_operation(Reader *reader, Op op, SrcLoc loc) {
  const OpInfo *info = op_info(op);
  Node **in = NULL;
  int n_in = 0, cap_in = 0;
  scan_expect(&reader->scan, "(");
  while (!reader->scan.is_broken && !scan_accept(&reader->scan, ")")) {
    if (n_in) scan_expect(&reader->scan, ",");
    Node *value = read_value(reader);
    ARENA_PUSH(reader->scan.arena, in, n_in, cap_in, value);
  }
  AttrValue attrs[OP_MAX_ATTRS] = {0};
  bool is_given[OP_MAX_ATTRS] = {false};
  for (int i; !reader->scan.is_broken && (i = accept_attribute_name(reader, info)) >= 0;) {
    attrs[i] = read_attribute(reader, &info->attrs[i]);
    is_given[i] = true;
  }
  for (int i = 0; i < info->n_attrs; i++) {
    if (is_given[i]) continue;
    if (info->attrs[i].required)
      scan_fail_at(&reader->scan, loc, arena_printf(reader->scan.arena, "%s is missing", info->attrs[i].name));
    attrs[i] = info->attrs[i].fallback;
  }
  if (reader->scan.is_broken) return NULL;
  Text why = {0};
  Node *node = graph_try_add(reader->graph, op, in, n_in, attrs, &why);
  if (!node) scan_fail_at(&reader->scan, loc, text_get(&why));
  text_free(&why);
  if (node && scan_accept(&reader->scan, ":")) {
    Shape shape = scan_shape(&reader->scan);
    char inferred[SHAPE_TEXT];
    if (!shape_equal(shape, node->shape)) {
      scan_fail(&reader->scan, arena_printf(reader->scan.arena, "the shape is %s", shape_text(node->shape, inferred)));
    }
  }
  return node;
}

static Init read_init(Reader *reader) {
  Init init = {0};
  if (!scan_accept(&reader->scan, "init=")) return init;
  int kind = 0;
  while (kind < 3 && !scan_accept(&reader->scan, graph_init_names[kind])) kind++;
  if (kind == 3) {
    scan_fail(&reader->scan, "unknown initialiser");
    return init;
  }
  init.kind = (InitKind)kind;
  scan_expect(&reader->scan, "(");
  init.a = scan_double(&reader->scan);
  if (graph_init_arguments[kind] == 2) {
    scan_expect(&reader->scan, ",");
    init.b = scan_double(&reader->scan);
  }
  scan_expect(&reader->scan, ")");
  return init;
}

static Node *read_constant(Reader *reader) {
  float *data = NULL;
  int n = 0, capacity = 0;
  scan_expect(&reader->scan, "{");
  while (!reader->scan.is_broken && !scan_accept(&reader->scan, "}")) {
    if (n) scan_expect(&reader->scan, ",");
    float value = (float)scan_double(&reader->scan);
    ARENA_PUSH(reader->scan.arena, data, n, capacity, value);
  }
  scan_expect(&reader->scan, ":");
  Shape shape = scan_shape(&reader->scan);
  if (reader->scan.is_broken) return NULL;
  if (!op_shape_ok(shape, NULL) || shape_elements(shape) != n) {
    scan_fail(&reader->scan, arena_printf(reader->scan.arena, "the shape does not fit %d values", n));
    return NULL;
  }
  return graph_constant(reader->graph, shape, data);
}

static Node *read_leaf(Reader *reader, Op op) {
  const char *name = scan_string(&reader->scan);
  Init init = op == OP_input ? (Init){0} : read_init(reader);
  bool is_i64 = op == OP_state && scan_accept(&reader->scan, "i64");
  bool is_frozen = op == OP_param && scan_accept(&reader->scan, "frozen");
  scan_expect(&reader->scan, ":");
  Shape shape = scan_shape(&reader->scan);
  if (reader->scan.is_broken) return NULL;
  Text why = {0};
  bool is_ok = op_shape_ok(shape, &why);
  if (!is_ok) scan_fail(&reader->scan, text_get(&why));
  text_free(&why);
  if (!is_ok) return NULL;
  if (op == OP_input) return graph_input(reader->graph, name, shape);
  Node *node =
      op == OP_param ? graph_param(reader->graph, name, shape, init) : graph_state(reader->graph, name, shape, init);
  node->stored_as_i64 = is_i64;
  node->is_frozen = is_frozen;
  return node;
}

static ChannelMap read_map(Reader *reader) {
  int *segments = NULL, n = 0, capacity = 0;
  do {
    int size = scan_count(&reader->scan);
    ARENA_PUSH(reader->scan.arena, segments, n, capacity, size);
  } while (scan_accept(&reader->scan, ","));
  return (ChannelMap){n, segments};
}

static const Layout *read_layout(Reader *reader) {
  Layout *layout = ARENA_ARRAY(reader->scan.arena, Layout, 1);
  int kind = LAYOUT_BLOCKED;
  scan_space(&reader->scan);
  while (kind < N_LAYOUTS) { // the block's size follows without a space
    size_t n = strlen(graph_layout_names[kind]);
    if (!strncmp(reader->scan.at, graph_layout_names[kind], n)) {
      reader->scan.at += n;
      break;
    }
    kind++;
  }
  if (kind == N_LAYOUTS) scan_fail(&reader->scan, "unknown layout");
  layout->kind = (LayoutKind)kind;
  layout->block = scan_count(&reader->scan);
  scan_expect(&reader->scan, "(");
  layout->c = read_map(reader);
  if (scan_accept(&reader->scan, "half")) {
    layout->half = scan_count(&reader->scan);
    scan_expect(&reader->scan, "of");
    layout->in = read_map(reader);
  }
  scan_expect(&reader->scan, ")");
  return layout;
}

static void read_marks(Reader *reader, Node *node) {
  if (scan_accept(&reader->scan, "module=")) {
    node->module = scan_count(&reader->scan);
    if (node->module >= reader->graph->n_modules) scan_fail(&reader->scan, "no such module");
  }
  if (scan_accept(&reader->scan, "at")) node->loc = read_place(reader);
  if (scan_accept(&reader->scan, "layout=")) node->layout = read_layout(reader);
  if (scan_accept(&reader->scan, "group=")) node->group = scan_count(&reader->scan);
  if (scan_accept(&reader->scan, "into=")) {
    scan_expect(&reader->scan, "%");
    Pending pending = {.node = node, .loc = scan_here(&reader->scan)};
    pending.target = scan_word(&reader->scan);
    scan_expect(&reader->scan, "+");
    node->into_offset = scan_count(&reader->scan);
    ARENA_PUSH(reader->scan.arena, reader->pending, reader->n_pending, reader->cap_pending, pending);
  }
  if (scan_accept(&reader->scan, "again")) node->is_again = true;
  if (scan_accept(&reader->scan, "setup")) node->is_setup = true;
  if (scan_accept(&reader->scan, "name=")) node->name = scan_string(&reader->scan);
}

static void read_node(Reader *reader) {
  SrcLoc loc = scan_here(&reader->scan);
  const char *word = scan_word(&reader->scan);
  if (strmap_get(reader->values, word)) scan_fail_at(&reader->scan, loc, "value is defined twice");
  scan_expect(&reader->scan, "=");
  scan_space(&reader->scan);
  SrcLoc op_loc = scan_here(&reader->scan);
  const char *name = scan_word(&reader->scan);
  op_loc.length = (int)strlen(name);
  Op op = op_by_name(name);
  if (op == OP_COUNT) scan_fail_at(&reader->scan, op_loc, arena_printf(reader->scan.arena, "unknown op '%s'", name));
  if (reader->scan.is_broken) return;
  reader->graph->at_loc = (SrcLoc){0};
  reader->graph->at_module = 0;
  Node *node;
  if (op == OP_input || op == OP_param || op == OP_state) {
    node = read_leaf(reader, op);
  } else if (op == OP_constant) {
    node = read_constant(reader);
  } else {
    node = read_operation(reader, op, op_loc);
  }
  if (!node) return;
  read_marks(reader, node);
  strmap_set(reader->values, word, node);
}

// ---- lines ----------------------------------------------------------------------------------------------------------

static void read_module(Reader *reader) {
  int index = scan_count(&reader->scan);
  if (index > reader->graph->n_modules) scan_fail(&reader->scan, "modules must be numbered 1, 2, 3, ...");
  const char *name = scan_name(&reader->scan), *path = scan_string(&reader->scan);
  scan_expect(&reader->scan, "parent");
  int parent = scan_count(&reader->scan);
  if (parent > index || (parent == index && index)) scan_fail(&reader->scan, "the parent must stand above");
  SrcLoc loc = scan_accept(&reader->scan, "at") ? read_place(reader) : (SrcLoc){0};
  if (reader->scan.is_broken) return;
  if (index == reader->graph->n_modules) {
    graph_module(reader->graph, name, path, parent, loc);
  } else if (index == 0) {
    reader->graph->modules[0].name = name;
    reader->graph->modules[0].loc = loc;
  } else {
    scan_fail(&reader->scan, "module is defined twice");
  }
}

static void read_line(Reader *reader) {
  if (scan_accept(&reader->scan, "graph")) {
    reader->graph->name = scan_name(&reader->scan);
    reader->graph->modules[0].name = reader->graph->name;
    reader->graph->is_scheduled = scan_accept(&reader->scan, "scheduled");
  } else if (scan_accept(&reader->scan, "module")) {
    read_module(reader);
  } else if (scan_accept(&reader->scan, "%")) {
    read_node(reader);
  } else if (scan_accept(&reader->scan, "update")) {
    Node *leaf = read_value(reader);
    scan_expect(&reader->scan, "=");
    Node *value = read_value(reader);
    if (!reader->scan.is_broken) graph_update(reader->graph, leaf, value);
  } else {
    bool is_tap = scan_accept(&reader->scan, "tap");
    if (!is_tap) scan_expect(&reader->scan, "output");
    const char *name = scan_string(&reader->scan);
    scan_expect(&reader->scan, "=");
    Node *node = read_value(reader);
    if (!reader->scan.is_broken) graph_output(reader->graph, name, node, is_tap);
  }
}

static void resolve_pending(Reader *reader) {
  for (int i = 0; i < reader->n_pending; i++) {
    Pending *pending = &reader->pending[i];
    pending->node->into = strmap_get(reader->values, pending->target);
    if (!pending->node->into) scan_fail_at(&reader->scan, pending->loc, "value of into= is not defined");
  }
}

Graph *graph_parse(Arena *arena, const char *file, const char *text, Diag *diag) {
  diag_add_source(diag, file, text);
  Reader reader = {
      .scan = {.arena = arena, .diag = diag, .file = file, .at = text, .line_start = text, .line = 1},
      .graph = graph_new(arena, "graph"),
      .values = strmap_new(arena),
  };
  Scan *scan = &reader.scan;
  while (!scan->is_broken) {
    scan_space(scan);
    if (*scan->at && *scan->at != '\n') {
      read_line(&reader);
      scan_space(scan);
      if (*scan->at && *scan->at != '\n') scan_fail(scan, "unexpected text at the end of the line");
    }
    if (!*scan->at) break;
    scan->line_start = ++scan->at;
    scan->line++;
  }
  if (!scan->is_broken) resolve_pending(&reader);
  return scan->is_broken ? NULL : reader.graph;
}
