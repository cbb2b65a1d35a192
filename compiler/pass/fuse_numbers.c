// Numbers that keep updates apart: kernels that differ in a number alone cannot share a launch (compiler/plan/rows.c),
// since it stands in their text. Small updates that are the same but for a number, such as running variances whose n /
// (n
// - 1) follows the size of the map, read it from memory instead.
#include <string.h>

#include "compiler/pass/fuse.h"
#include "compiler/pass/rewrite.h"

enum { MOST_NUMBERS = 8, MOST_DEPTH = 6, SMALL_ELEMENTS = 4096 };

// An update: what is computed, and where numbers stand in it.
typedef struct Recipe {
  uint64_t shape; // hash of its ops in order, without numbers and sizes
  int n;
  struct Slot {
    Node *node;
    int operand;
    double value;
  } slot[MOST_NUMBERS];
  bool is_moved[MOST_NUMBERS];
} Recipe;

static void add(Recipe *recipe, uint64_t word) { recipe->shape = (recipe->shape ^ word) * 1099511628211u; }

// Adds the ops that the kernel of the update computes: those that only it uses. False where there are too many numbers.
static bool describe(const Graph *graph, Node *const *users, Node *node, int depth, Recipe *out) {
  add(out, (uint64_t)node->op + 1);
  for (int k = 0; k < node->n_in; k++) {
    Node *in = node->in[k];
    double value;
    if (is_fill(in, &value)) {
      if (out->n == MOST_NUMBERS) return false;
      out->slot[out->n++] = (struct Slot){node, k, value};
      add(out, 101);
      continue;
    }
    bool is_own = is_elementwise(in) && users[in->id] == node && shape_equal(in->shape, node->shape);
    add(out, is_own ? 102 : 103);
    if (is_own && (depth == MOST_DEPTH || !describe(graph, users, in, depth + 1, out))) return false;
  }
  return true;
}

static Node *number(Graph *graph, double value) {
  for (int i = 0; i < graph->n_nodes; i++) {
    Node *node = graph->nodes[i];
    if (node->op == OP_constant && node->shape.rank == 0 && node->data[0] == (float)value) return node;
  }
  return graph_constant(graph, (Shape){0}, &(float){(float)value});
}

bool fuse_numbers(Graph *graph) {
  Arena *arena = arena_new();
  Node **users = find_only_users(graph, arena);
  Recipe *recipe = ARENA_ARRAY(arena, Recipe, graph->n_updates + 1);
  int n = 0;
  for (int i = 0; i < graph->n_updates; i++) {
    Node *value = graph->updates[i].value;
    recipe[n] = (Recipe){.shape = 14695981039346656037u};
    if (is_elementwise(value) && shape_elements(value->shape) < SMALL_ELEMENTS &&
        describe(graph, users, value, 0, &recipe[n]) && recipe[n].n)
      n++;
  }
  bool is_changed = false;
  for (int i = 0; i < n; i++) {
    for (int k = 0; k < n; k++) {
      if (recipe[k].shape != recipe[i].shape || recipe[k].n != recipe[i].n) continue;
      for (int s = 0; s < recipe[i].n; s++) recipe[i].is_moved[s] |= recipe[i].slot[s].value != recipe[k].slot[s].value;
    }
    for (int s = 0; s < recipe[i].n; s++) {
      if (!recipe[i].is_moved[s]) continue;
      recipe[i].slot[s].node->in[recipe[i].slot[s].operand] = number(graph, recipe[i].slot[s].value);
      is_changed = true;
    }
  }
  if (is_changed) graph_sort(graph);
  arena_free(arena);
  return is_changed;
}
