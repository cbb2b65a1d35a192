// Random graphs of valid nodes with random marks, for properties that every graph must have.
#ifndef SG_TESTS_RANDOM_GRAPH_H
#define SG_TESTS_RANDOM_GRAPH_H

#include "compiler/graph.h"

typedef struct Dice {
  uint64_t state;
} Dice;

// 0..n-1 (splitmix64).
static inline int64_t dice_below(Dice *dice, int64_t n) {
  uint64_t z = dice->state += 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return (int64_t)((z ^ (z >> 31)) % (uint64_t)n);
}

static inline double dice_double(Dice *dice) { return (double)(dice_below(dice, 2000001) - 1000000) / 7e4; }

static inline Shape dice_shape(Dice *dice) {
  Shape shape = {.rank = dice_below(dice, 3) ? 4 : (int)dice_below(dice, 4)};
  for (int i = 0; i < shape.rank; i++) shape.dim[i] = 1 + dice_below(dice, 4);
  return shape;
}

static inline SrcLoc dice_place(Dice *dice) {
  if (!dice_below(dice, 3)) return (SrcLoc){0};
  return (SrcLoc){"a \"b\"\\c.net", 1 + (int)dice_below(dice, 99), 1 + (int)dice_below(dice, 99), 3};
}

static inline AttrValue dice_attribute(Dice *dice, const AttrSpec *spec, const Shape *in) {
  AttrValue value = {0};
  switch (spec->kind) {
  case ATTR_INT: value.i = dice_below(dice, 5) - 1; break;
  case ATTR_FLOAT: value.f = dice_double(dice); break;
  case ATTR_BOOL: value.i = dice_below(dice, 3) - 1; break;
  case ATTR_ENUM: value.i = dice_below(dice, spec->n_choices); break;
  case ATTR_INTS:
    value.ints.rank = in && dice_below(dice, 2) ? in->rank : (int)dice_below(dice, 5);
    for (int i = 0; i < value.ints.rank; i++) value.ints.dim[i] = dice_below(dice, 6) - 1;
    break;
  }
  return value;
}

static inline Node *dice_leaf(Dice *dice, Graph *graph) {
  char name[32];
  snprintf(name, sizeof name, "leaf.%d\t\"", graph->n_nodes);
  Shape shape = dice_shape(dice);
  switch (dice_below(dice, 4)) {
  case 0: return graph_input(graph, name, shape);
  case 1: return graph_param(graph, name, shape, (Init){INIT_NORMAL, dice_double(dice), dice_double(dice)});
  case 2: {
    Node *state = graph_state(graph, name, shape, (Init){INIT_CONSTANT, dice_double(dice), 0});
    state->stored_as_i64 = dice_below(dice, 2);
    return state;
  }
  default: {
    float data[256];
    for (int i = 0; i < 256; i++) data[i] = (float)dice_double(dice) * 1e-3f;
    return graph_constant(graph, shape, data);
  }
  }
}

// Tries a random op on random operands; most attempts are refused, and then nothing changes.
static inline void dice_node(Dice *dice, Graph *graph) {
  Op op = (Op)dice_below(dice, OP_COUNT);
  const OpInfo *info = op_info(op);
  Node *in[4];
  int n_in = info->n_in == OP_VARIADIC ? 1 + (int)dice_below(dice, 3) : info->n_in;
  for (int k = 0; k < n_in; k++) in[k] = graph->nodes[dice_below(dice, graph->n_nodes)];
  AttrValue attrs[OP_MAX_ATTRS];
  for (int i = 0; i < info->n_attrs; i++) attrs[i] = dice_attribute(dice, &info->attrs[i], n_in ? &in[0]->shape : NULL);
  Text why = {0};
  if (op == OP_input || op == OP_param || op == OP_state || op == OP_constant) {
    dice_leaf(dice, graph);
  } else if (graph_try_add(graph, op, in, n_in, attrs, &why) &&
             shape_elements(graph->nodes[graph->n_nodes - 1]->shape) > 4096) {
    graph->n_nodes--; // keeps evaluation short
  }
  text_free(&why);
}

static inline void dice_marks(Dice *dice, Graph *graph, Node *node) {
  node->loc = dice_place(dice);
  node->module = (int)dice_below(dice, graph->n_modules);
  node->group = (int)dice_below(dice, 5) - 1;
  if (!node->name && !dice_below(dice, 4)) node->name = "value";
  if (node->shape.rank == 4 && !dice_below(dice, 3)) {
    Layout *layout = arena_alloc(graph->arena, sizeof *layout);
    int *segment = arena_alloc(graph->arena, sizeof *segment);
    *segment = (int)node->shape.dim[1];
    *layout = (Layout){.kind = LAYOUT_BLOCKED, .block = 8, .c = {1, segment}};
    node->layout = layout;
  }
}

static inline Graph *dice_graph(Dice *dice, Arena *arena) {
  Graph *graph = graph_new(arena, dice_below(dice, 2) ? "net" : "a net");
  for (int i = 1; i < 4; i++) graph_module(graph, "part", "a.b", (int)dice_below(dice, i), dice_place(dice));
  for (int i = 0; i < 3; i++) dice_leaf(dice, graph);
  for (int i = 0; i < 150; i++) dice_node(dice, graph);
  for (int i = 0; i < graph->n_nodes; i++) {
    Node *node = graph->nodes[i];
    dice_marks(dice, graph, node);
    if (node->op == OP_state && graph->n_updates == 0) graph_update(graph, node, node);
  }
  graph_output(graph, "last", graph->nodes[graph->n_nodes - 1], false);
  graph_output(graph, "tap", graph->nodes[dice_below(dice, graph->n_nodes)], true);
  return graph;
}

#endif
