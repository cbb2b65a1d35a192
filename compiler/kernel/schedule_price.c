// The price of a nest: how many operations it does, each expression once where hoisting puts it.
#include "compiler/kernel/schedule_map.h"

enum { COST_MATH = 10 }; // exp, log, ...

int64_t map_op_price(Op op) {
  switch (op) {
  case OP_exp:
  case OP_log:
  case OP_tanh:
  case OP_sigmoid:
  case OP_elu:
  case OP_sin:
  case OP_cos: return COST_MATH;
  case OP_div:
  case OP_sqrt:
  case OP_rsqrt: return COST_MATH / 2;
  default: return 1;
  }
}

// Which loops and reductions an expression depends on, as bits: loop k is bit k, reductions follow.
typedef struct Pricer {
  Map *map;
  IrMap masks, seen;
  const IrVar *reduced[64 - MAP_LOOPS];
  int64_t n[64 - MAP_LOOPS];
  int n_reduced;
  int64_t total;
} Pricer;

static uint64_t bit_of(Pricer *p, const IrVar *var) {
  for (int k = 0; k < p->map->n_loops; k++) {
    if (p->map->loop[k].var == var) return 1ull << k;
  }
  for (int k = 0; k < p->n_reduced; k++) {
    if (p->reduced[k] == var) return 1ull << (MAP_LOOPS + k);
  }
  const ChannelVar *channel = lower_channel(p->map->lower, var);
  return channel && channel->var != var ? bit_of(p, channel->var) : 0;
}

static uint64_t mask_of(Pricer *p, const IrExpr *e) {
  if (e->kind == IR_REF) return bit_of(p, e->var);
  if (e->n_args == 0) return 0;
  uint64_t *known = ir_map_get(&p->masks, e);
  if (known) return *known;
  if (e->kind == IR_REDUCE && bit_of(p, e->var) == 0 && p->n_reduced < 64 - MAP_LOOPS) {
    p->reduced[p->n_reduced] = e->var;
    p->n[p->n_reduced++] = e->i;
  }
  uint64_t mask = 0;
  for (int k = 0; k < e->n_args; k++) mask |= mask_of(p, e->arg[k]);
  if (e->kind == IR_REDUCE) mask &= ~bit_of(p, e->var);
  known = arena_memdup(p->map->lower->ir->arena, &mask, sizeof mask);
  ir_map_set(&p->masks, p->map->lower->ir->arena, e, known);
  return mask;
}

// An expression is computed once for each turn of the loops down to the innermost one that it depends on.
static int64_t turns(const Pricer *p, uint64_t mask) {
  int64_t n = 1;
  for (int k = 0; k < p->map->n_loops && (mask & (((1ull << MAP_LOOPS) - 1) >> k << k)); k++)
    n *= p->map->loop[k].n * p->map->loop[k].lanes;
  for (int k = 0; k < p->n_reduced; k++) {
    if (mask >> (MAP_LOOPS + k) & 1) n *= p->n[k];
  }
  return n;
}

static bool is_load(const IrExpr *e) { return e->kind == IR_LOAD || e->kind == IR_LOAD_N || e->kind == IR_GATHER; }

static void add_price(Pricer *p, const IrExpr *e) {
  if (e->type == IR_INDEX || e->n_args == 0 || ir_map_get(&p->seen, e)) return;
  ir_map_set(&p->seen, p->map->lower->ir->arena, e, p);
  int64_t each = e->kind == IR_OP ? map_op_price(e->op) : is_load(e) ? COST_LOAD : 0;
  if (each) p->total += each * turns(p, mask_of(p, e));
  for (int k = 0; k < e->n_args; k++) add_price(p, e->arg[k]);
}

int64_t map_price(Map *map) {
  Pricer p = {.map = map};
  int64_t n = COST_LOAD * map->n_stores;
  for (int k = 0; k < map->n_loops; k++) n *= map->loop[k].n * map->loop[k].lanes;
  p.total = n;
  for (int k = 0; k < map->n_stores; k++) mask_of(&p, map->store[k].value);
  for (int k = 0; k < map->n_stores; k++) add_price(&p, map->store[k].value);
  return p.total;
}

int64_t map_price_apart(const Group *group) {
  int64_t total = 0;
  for (int k = 0; k < group->n_nodes; k++) {
    const Node *node = group->nodes[k];
    int64_t n = shape_elements(node->shape);
    for (int i = 0; i < node->n_in; i++) {
      int64_t n_in = shape_elements(node->in[i]->shape);
      if (n_in > n) n = n_in;
    }
    int64_t loads = node->n_in + 1;
    if (op_info(node->op)->cls == CLASS_SPATIAL) loads *= 4; // neighbours
    total += n * (map_op_price(node->op) + COST_LOAD * loads);
  }
  return total;
}
