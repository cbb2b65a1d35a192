// Step rules: which parameters are trained, and how fast, by patterns of their names.
#include <fnmatch.h>
#include <string.h>

#include "compiler/pass/pass.h"
#include "runtime/base/strmap.h"

const char *step_rule_name(StepRuleKind kind) {
  static const char *const names[] = {"freeze", "tune", "rate", "decay"};
  return names[kind];
}

static bool fits(const StepRule *rule, const Node *param) { return !fnmatch(rule->pattern, param->name, 0); }

// The parameter, or the beginning of some parameter's path, that is most like the pattern without its stars.
static const char *nearest_path(const Graph *graph, const char *pattern) {
  Arena *arena = graph->arena;
  char *stem = arena_strdup(arena, pattern), *to = stem;
  for (const char *at = pattern; *at; at++)
    if (*at != '*' && *at != '?') *to++ = *at;
  while (to > stem && to[-1] == '.') to--;
  *to = 0;
  const char **names = NULL;
  int n = 0, capacity = 0;
  for (int i = 0; i < graph->n_nodes; i++) {
    if (graph->nodes[i]->op != OP_param) continue;
    const char *name = graph->nodes[i]->name;
    ARENA_PUSH(arena, names, n, capacity, name);
    for (const char *dot = name; (dot = strchr(dot, '.')); dot++)
      ARENA_PUSH(arena, names, n, capacity, arena_strndup(arena, name, (size_t)(dot - name)));
  }
  return nearest_name(stem, names, n);
}

bool step_rule_check(const Graph *graph, const StepRule *rule, Diag *diag) {
  const char *first = NULL;
  for (int i = 0; i < graph->n_nodes; i++) {
    const Node *node = graph->nodes[i];
    if (node->op != OP_param) continue;
    if (fits(rule, node)) return true;
    if (!first) first = node->name;
  }
  diag_error(diag, rule->loc, "%s %s: no parameter of %s has such a name", step_rule_name(rule->kind), rule->pattern,
             graph->name);
  const char *near = nearest_path(graph, rule->pattern);
  if (near) diag_hint(diag, "did you mean '%s%s'?", near, graph_find_leaf(graph, near) ? "" : ".*");
  else if (first) diag_hint(diag, "parameters are called as in `sgc summary`: '%s', ...", first);
  return false;
}

double step_rule_factor(const StepRule *rules, int n, StepRuleKind kind, const Node *param) {
  for (int i = n - 1; i >= 0; i--)
    if (rules[i].kind == kind && fits(&rules[i], param)) return rules[i].factor;
  return 1;
}

bool step_rule_frozen(const StepRule *rules, int n, const Node *param) {
  for (int i = n - 1; i >= 0 && !param->is_frozen; i--)
    if (rules[i].kind <= RULE_TUNE && fits(&rules[i], param)) return rules[i].kind == RULE_FREEZE;
  return param->is_frozen;
}
