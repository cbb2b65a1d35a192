// Op cases: one op applied to given operands, written in a line, for the tests of shapes and values.
#ifndef SG_TESTS_OP_CASE_H
#define SG_TESTS_OP_CASE_H

#include "compiler/graph.h"
#include "tests/check.h"

enum { CASE_OPERANDS = 4 };

typedef struct OpCase {
  const char *op;
  const char *in[CASE_OPERANDS]; // "[2, 3]" for a shape alone, "{1, 2} : [2]" with values
  const char *attributes;        // as in graph text
  const char *want;              // what the test compares
} OpCase;

// The graph text of a case: operands %0, %1, ... and the result %r, which is the output "r".
static inline void case_text(const OpCase *item, Text *out) {
  Text operands = {0};
  for (int i = 0; i < CASE_OPERANDS && item->in[i]; i++) {
    bool has_values = item->in[i][0] == '{';
    if (has_values) {
      text_printf(out, "%%%d = constant %s\n", i, item->in[i]);
    } else {
      text_printf(out, "%%%d = input \"x%d\" : %s\n", i, i, item->in[i]);
    }
    text_printf(&operands, i ? ", %%%d" : "%%%d", i);
  }
  text_printf(out, "%%r = %s(%s) %s\noutput \"r\" = %%r\n", item->op, text_get(&operands),
              item->attributes ? item->attributes : "");
  text_free(&operands);
}

// Builds the case; NULL where it was refused, with the messages in `out_errors`.
static inline Graph *case_build(Arena *arena, const OpCase *item, Text *out_errors) {
  Text text = {0};
  case_text(item, &text);
  Diag *diag = diag_new(arena, 20);
  Graph *graph = graph_parse(arena, item->op, text_get(&text), diag);
  diag_print(diag, out_errors, false);
  text_free(&text);
  return graph;
}

// Fails for each op of the table that no case names.
static inline void check_all_ops_named(const OpCase *cases, int n, const char *what) {
  for (int op = 0; op < OP_COUNT; op++) {
    bool is_leaf = op == OP_input || op == OP_param || op == OP_state || op == OP_constant;
    bool is_named = is_leaf; // tested with the text form
    for (int i = 0; i < n; i++) is_named = is_named || op_by_name(cases[i].op) == (Op)op;
    CHECK(is_named, "no %s test of op %s", what, op_info((Op)op)->name);
  }
}

#endif
