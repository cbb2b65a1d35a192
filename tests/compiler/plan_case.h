// Plan cases: graph text on its way from the optimised graph to kernels, and what the tests count in it.
#ifndef SG_TESTS_PLAN_CASE_H
#define SG_TESTS_PLAN_CASE_H

#include "compiler/graph.h"
#include "compiler/kernel/group.h"
#include "compiler/pass/fuse.h"
#include "compiler/pass/layout.h"
#include "compiler/pass/pass.h"
#include "tests/check.h"

static const Target plan_target = {.kind = TARGET_CPU,
                                   .name = "cpu-test-8",
                                   .vector = 8,
                                   .queues = 1,
                                   .registers = 16,
                                   .l1 = 32 << 10,
                                   .l2 = 512 << 10,
                                   .cc_flags = ""};

// NULL after a failed check if the text is wrong.
static inline Graph *plan_parse(Arena *arena, const char *text) {
  Diag *diag = diag_new(arena, 20);
  diag_add_source(diag, "case", text);
  Graph *graph = graph_parse(arena, "case", text, diag);
  Text errors = {0};
  if (!graph) diag_print(diag, &errors, false);
  CHECK(graph, "%s", text_get(&errors));
  text_free(&errors);
  return graph;
}

static inline bool plan_verify(const Graph *graph, const char *after) {
  Text why = {0};
  bool is_ok = graph_verify(graph, &why) && layout_check(graph, &why);
  if (!is_ok) graph_print(graph, &why);
  CHECK(is_ok, "after %s: %s", after, text_get(&why));
  text_free(&why);
  return is_ok;
}

// The text after the pass, in the arena.
static inline const char *plan_text(Arena *arena, const Graph *graph) {
  Text text = {0};
  graph_print(graph, &text);
  const char *copy = arena_strdup(arena, text_get(&text));
  text_free(&text);
  return copy;
}

// Nodes of the op that a kernel computes.
static inline int plan_count(const Graph *graph, Op op) {
  int n = 0;
  for (int i = 0; i < graph->n_nodes; i++) n += graph->nodes[i]->op == op && node_needs_kernel(graph->nodes[i]);
  return n;
}

static inline int plan_kernels(const Graph *graph) {
  Arena *arena = arena_new();
  int n;
  group_collect(graph, arena, &n);
  arena_free(arena);
  return n;
}

#endif
