// Walking and rewriting expressions; shared nodes are visited once.
#include "compiler/kernel/ir_build.h"
#include "runtime/base/status.h"

static int map_slot(const IrMap *map, const IrExpr *key) {
  int at = (int)((unsigned)((uintptr_t)key >> 4) * 2654435761u & (unsigned)(map->cap - 1));
  while (map->key[at] && map->key[at] != key) at = (at + 1) & (map->cap - 1);
  return at;
}

void *ir_map_get(const IrMap *map, const IrExpr *key) { return map->cap ? map->value[map_slot(map, key)] : NULL; }

void ir_map_set(IrMap *map, Arena *arena, const IrExpr *key, void *value) {
  if (2 * map->n >= map->cap) {
    IrMap old = *map;
    map->cap = old.cap ? 2 * old.cap : 32;
    map->key = ARENA_ARRAY(arena, const IrExpr *, map->cap);
    map->value = ARENA_ARRAY(arena, void *, map->cap);
    for (int k = 0; k < old.cap; k++) {
      if (!old.key[k]) continue;
      int at = map_slot(map, old.key[k]);
      map->key[at] = old.key[k];
      map->value[at] = old.value[k];
    }
  }
  int at = map_slot(map, key);
  map->n += !map->key[at];
  map->key[at] = key;
  map->value[at] = value;
}

static bool any(IrMap *seen, Arena *arena, const IrExpr *e, bool (*test)(const IrExpr *, const void *),
                const void *context) {
  if (test(e, context)) return true;
  if (e->n_args == 0 || ir_map_get(seen, e)) return false;
  ir_map_set(seen, arena, e, seen);
  for (int k = 0; k < e->n_args; k++) {
    if (any(seen, arena, e->arg[k], test, context)) return true;
  }
  return false;
}

bool ir_any(Ir *ir, const IrExpr *e, bool (*test)(const IrExpr *e, const void *context), const void *context) {
  IrMap seen = {0};
  return any(&seen, ir->arena, e, test, context);
}

typedef struct Rewrite {
  IrRewriteFn *leaf;
  void *context;
  IrMap done; // from old to new nodes
} Rewrite;

static IrExpr *rebuild(Ir *ir, IrExpr *e, IrExpr **arg) {
  switch (e->kind) {
  case IR_SUM: {
    IrExpr *sum = ir_int(ir, e->i);
    for (int k = 0; k < e->n_args; k++) sum = ir_add(ir, sum, ir_scale(ir, arg[k], e->coef[k]));
    return sum;
  }
  case IR_PRODUCT: return ir_product(ir, arg[0], arg[1]);
  case IR_DIV: return ir_div(ir, arg[0], e->i);
  case IR_MOD: return ir_mod(ir, arg[0], e->i);
  case IR_MIN: return ir_min(ir, arg[0], arg[1]);
  case IR_MAX: return ir_max(ir, arg[0], arg[1]);
  case IR_LESS: return ir_less(ir, arg[0], arg[1]);
  case IR_EQUAL: return ir_equal(ir, arg[0], arg[1]);
  case IR_AND: return ir_and(ir, arg[0], arg[1]);
  case IR_NOT: return ir_not(ir, arg[0]);
  case IR_LOAD:
    if (e->type == IR_INDEX) return ir_lookup(ir, e->buffer, arg[0], e->lo, e->hi);
    return e->type == e->buffer->type ? ir_load(ir, e->buffer, arg[0]) : ir_vload(ir, e->buffer, arg[0]);
  case IR_LOAD_N: return ir_vload_n(ir, e->buffer, arg[0], arg[1]);
  case IR_GATHER: return ir_gather(ir, e->buffer, arg[0], e->i, e->n_args > 1 ? arg[1] : NULL);
  case IR_ADDRESS: return ir_address(ir, e->buffer, arg[0]);
  case IR_OP: return ir_op(ir, e->op, e->attr, e->n_args, arg);
  case IR_SELECT: return ir_select(ir, arg[0], arg[1], arg[2]);
  case IR_SPLAT: return ir_splat(ir, arg[0]);
  case IR_CONVERT: return ir_convert(ir, e->type, arg[0]);
  case IR_LANES: return ir_lanes(ir, e->op, arg[0], arg[1]);
  case IR_CALL: return ir_call(ir, e->type, e->name, e->n_args, arg);
  case IR_REDUCE: return ir_reduce(ir, e->op, e->var, e->i, arg[0]);
  case IR_INT:
  case IR_NUMBER:
  case IR_REF:
  case IR_LANE_ID: return e;
  }
  BUG("expression of kind %d", e->kind);
}

static IrExpr *rewrite(Rewrite *r, Ir *ir, IrExpr *e) {
  IrExpr *result = ir_map_get(&r->done, e);
  if (result) return result;
  result = r->leaf(r->context, ir, e);
  if (!result) {
    bool changed = false;
    IrExpr **arg = e->n_args ? ARENA_ARRAY(ir->arena, IrExpr *, e->n_args) : NULL;
    for (int k = 0; k < e->n_args; k++) {
      arg[k] = rewrite(r, ir, e->arg[k]);
      changed = changed || arg[k] != e->arg[k];
    }
    result = e;
    if (changed) {
      result = rebuild(ir, e, arg);
      if (!result->label) result->label = e->label;
    }
  }
  ir_map_set(&r->done, ir->arena, e, result);
  return result;
}

void ir_rewrite_all(Ir *ir, int n, IrExpr **e, IrRewriteFn *leaf, void *context) {
  Rewrite r = {.leaf = leaf, .context = context};
  for (int k = 0; k < n; k++) e[k] = rewrite(&r, ir, e[k]);
}

IrExpr *ir_rewrite(Ir *ir, IrExpr *e, IrRewriteFn *leaf, void *context) {
  ir_rewrite_all(ir, 1, &e, leaf, context);
  return e;
}

typedef struct Substitution {
  const IrVar *var;
  IrExpr *by;
} Substitution;

static IrExpr *substitute_leaf(void *context, Ir *ir, IrExpr *e) {
  (void)ir;
  const Substitution *s = context;
  return e->kind == IR_REF && e->var == s->var ? s->by : NULL;
}

void ir_substitute_all(Ir *ir, int n, IrExpr **e, const IrVar *var, IrExpr *by) {
  Substitution s = {var, by};
  ir_rewrite_all(ir, n, e, substitute_leaf, &s);
}

IrExpr *ir_substitute(Ir *ir, IrExpr *e, const IrVar *var, IrExpr *by) {
  ir_substitute_all(ir, 1, &e, var, by);
  return e;
}
