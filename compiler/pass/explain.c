// Explain: the text of `sgc explain`: kernels with their ops and source lines, what fusion spares, near misses.
#include <string.h>

#include "compiler/pass/fuse.h"

static int64_t bytes_of(const Node *node) {
  return (int64_t)sizeof(float) * layout_elements(node->shape, node->layout);
}

static void put_bytes(Text *out, int64_t bytes) {
  if (bytes >= 1000000) text_printf(out, "%.1f MB", (double)bytes * 1e-6);
  else text_printf(out, "%.1f kB", (double)bytes * 1e-3);
}

static bool has_member(const Group *group, const Node *node) {
  for (int i = 0; i < group->n_nodes; i++) {
    if (group->nodes[i] == node) return true;
  }
  return false;
}

static bool is_out(const Group *group, const Node *node) {
  for (int i = 0; i < group->n_outs; i++) {
    if (group->outs[i] == node) return true;
  }
  return false;
}

// Bytes that the members would have moved as kernels of their own, less what the group moves: stores of values that
// nobody outside needs, loads of values that a member made or that another element-wise member has read already.
static int64_t saved_bytes(const Group *group) {
  int64_t saved = 0;
  for (int i = 0; i < group->n_nodes; i++) {
    const Node *node = group->nodes[i];
    if (!is_out(group, node)) saved += bytes_of(node);
    for (int k = 0; k < node->n_in; k++) {
      if (has_member(group, node->in[k])) saved += bytes_of(node->in[k]);
    }
  }
  for (int i = 0; i < group->n_ins; i++) {
    int readers = 0;
    for (int k = 0; k < group->n_nodes; k++) {
      if (op_info(group->nodes[k]->op)->cls != CLASS_ELEMENTWISE) continue; // a convolution reads it apart
      bool reads = false;
      for (int j = 0; j < group->nodes[k]->n_in; j++) reads |= group->nodes[k]->in[j] == group->ins[i];
      readers += reads;
    }
    if (readers > 1) saved += (readers - 1) * bytes_of(group->ins[i]);
  }
  return saved;
}

// "conv2d + add x3 + relu": members in order, neighbours of one op counted.
static void put_ops(const Group *group, Text *out) {
  for (int i = 0; i < group->n_nodes;) {
    int run = 1;
    while (i + run < group->n_nodes && group->nodes[i + run]->op == group->nodes[i]->op) run++;
    text_printf(out, "%s%s", i ? " + " : "", op_info(group->nodes[i]->op)->name);
    if (run > 1) text_printf(out, " x%d", run);
    i += run;
  }
}

static bool is_same_line(SrcLoc a, SrcLoc b) { return a.line == b.line && a.file && b.file && !strcmp(a.file, b.file); }

// The source lines of the members, each once, in order; "..." after the sixth.
static void put_lines(const Group *group, Text *out) {
  int n = 0;
  for (int i = 0; i < group->n_nodes; i++) {
    SrcLoc loc = group->nodes[i]->loc;
    bool is_known = !loc.file;
    for (int k = 0; k < i && !is_known; k++) is_known = is_same_line(group->nodes[k]->loc, loc);
    if (is_known) continue;
    if (n == 6) {
      text_put(out, " ...");
      return;
    }
    text_printf(out, "%s%s:%d", n++ ? " " : "", loc.file, loc.line);
  }
}

// "relu [1, 16, 240, 320] (encoder.ghost.blocks.0.0.ghost1)"
static void put_node(const Graph *graph, const Node *node, Text *out) {
  char shape[SHAPE_TEXT];
  text_printf(out, "%s %s", op_info(node->op)->name, shape_text(node->shape, shape));
  const char *path = node->module < graph->n_modules ? graph->modules[node->module].path : "";
  if (path[0]) text_printf(out, " of %s", path);
}

static void put_group(const Graph *graph, const Group *group, Text *out) {
  text_printf(out, "kernel %d%s: ", group->id, group->nodes[0]->is_setup ? " (once)" : "");
  put_ops(group, out);
  text_put(out, "\n    gives ");
  for (int i = 0; i < group->n_outs; i++) {
    if (i == 4) {
      text_printf(out, " and %d more", group->n_outs - i);
      break;
    }
    if (i) text_put(out, ", ");
    put_node(graph, group->outs[i], out);
  }
  text_put(out, "\n");
  Text lines = {0};
  put_lines(group, &lines);
  if (lines.size) text_printf(out, "    from %s\n", text_get(&lines));
  text_free(&lines);
  int64_t saved = saved_bytes(group);
  if (saved > 0) {
    text_put(out, "    fusion spares ");
    put_bytes(out, saved);
    text_put(out, "\n");
  }
}

void explain_kernels(const Graph *graph, Text *out) {
  Arena *arena = arena_new();
  int n, n_setup = 0;
  Group *groups = group_collect(graph, arena, &n);
  int64_t saved = 0;
  for (int i = 0; i < n; i++) {
    put_group(graph, &groups[i], out);
    n_setup += groups[i].nodes[0]->is_setup;
    if (!groups[i].nodes[0]->is_setup) saved += saved_bytes(&groups[i]);
  }
  text_printf(out, "%d kernels a run, %d once after loading; fusion spares ", n - n_setup, n_setup);
  put_bytes(out, saved);
  text_put(out, " a run\n");
  arena_free(arena);
}

void explain_misses(const Graph *graph, const NearMiss *misses, int n_misses, Text *out) {
  for (int i = 0; i < n_misses; i++) {
    text_put(out, "not fused: ");
    put_node(graph, misses[i].value, out);
    text_put(out, " into ");
    put_node(graph, misses[i].user, out);
    text_printf(out, ": %s (", misses[i].why);
    put_bytes(out, 2 * bytes_of(misses[i].value));
    text_put(out, ")\n");
  }
}
