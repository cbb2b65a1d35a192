// statement: runs the statements of a module or model.
#include <string.h>

#include "lang/elaborate.h"

// A result without a name of its own takes the user's.
static void name_node(Value value, const char *name) {
  if (value.kind != VALUE_TENSOR || value.node->name || op_is_leaf(value.node->op)) return;
  value.node->name = name;
}

static void assign(Elab *el, Frame *frame, Name name, Value value) {
  if (!strcmp(name.text, "_")) return;
  name_node(value, name.text);
  frame_bind(el, frame, name.text, value, name.loc);
}

static void poison_names(Elab *el, Frame *frame, const NameList *names) {
  for (int i = 0; i < names->n; i++) assign(el, frame, names->items[i], VALUE_POISONED);
}

// Everything that a block whose condition is unknown might have given a value.
static void poison_block(Elab *el, Frame *frame, const StmtList *block) {
  for (int i = 0; i < block->n; i++) {
    const Stmt *stmt = block->items[i];
    poison_names(el, frame, &stmt->names);
    poison_block(el, frame, &stmt->body);
    poison_block(el, frame, &stmt->other);
  }
}

// The values of all expressions one after the other; false if one of them is wrong.
static bool gather(Elab *el, Frame *frame, const ExprList *exprs, Results *out) {
  Value *items = NULL;
  int n = 0, cap = 0;
  bool is_good = true;
  for (int i = 0; i < exprs->n; i++) {
    Results results = eval_all(el, frame, exprs->items[i]);
    for (int k = 0; k < results.n; k++) {
      ARENA_PUSH(el->arena, items, n, cap, results.items[k]);
      is_good &= results.items[k].kind != VALUE_POISON;
    }
  }
  *out = (Results){items, n};
  return is_good;
}

static void run_assign(Elab *el, Frame *frame, const Stmt *stmt) {
  if (stmt->names.n == 1 && stmt->values.n == 1) {
    assign(el, frame, stmt->names.items[0], eval(el, frame, stmt->values.items[0]));
    return;
  }
  Results results;
  bool is_good = gather(el, frame, &stmt->values, &results);
  if (results.n == stmt->names.n) {
    for (int i = 0; i < results.n; i++) assign(el, frame, stmt->names.items[i], results.items[i]);
    return;
  }
  poison_names(el, frame, &stmt->names);
  if (!is_good) return;
  ERROR(el, frame, stmt->loc, "%d name%s for %d value%s", stmt->names.n, stmt->names.n == 1 ? "" : "s", results.n,
        results.n == 1 ? "" : "s");
  HINT(el, "the name `_` takes a value that is not needed");
}

static bool wants_tensor(Elab *el, Frame *frame, const Expr *expr, Value *value, const char *what) {
  if (value_is_number(*value)) {
    elab_at(el, frame, expr->loc);
    *value = (Value){.kind = VALUE_TENSOR, .node = graph_scalar(el->graph, value_number(*value))};
  }
  if (value->kind == VALUE_TENSOR) return true;
  if (value->kind != VALUE_POISON)
    ERROR(el, frame, expr->loc, "%s is a tensor, not %s", what, value_kind_text(el->arena, *value));
  return false;
}

static void run_output(Elab *el, Frame *frame, const Stmt *stmt) {
  Name name = stmt->names.items[0];
  Value value = eval(el, frame, stmt->values.items[0]);
  bool is_tap = stmt->kind == STMT_TAP;
  if (!wants_tensor(el, frame, stmt->values.items[0], &value, is_tap ? "a tap" : "an output")) value = VALUE_POISONED;
  assign(el, frame, name, value);
  if (!is_tap && !frame->is_model) {
    ARENA_PUSH(el->arena, frame->results.items, frame->results.n, frame->cap_results, value);
    return;
  }
  if (value.kind == VALUE_POISON) return;
  const char *path = is_tap ? path_join(el->arena, frame->instance.path, name.text) : name.text;
  if (graph_find_output(el->graph, path)) {
    ERROR(el, frame, name.loc, "there is an output or tap '%s' already", path);
    HINT(el, "give the instances of the module names of their own: module(...) @name");
    return;
  }
  graph_output(el->graph, path, value.node, is_tap);
}

static void run_update(Elab *el, Frame *frame, const Stmt *stmt) {
  Name name = stmt->names.items[0];
  const Expr *expr = stmt->values.items[0];
  const Binding *binding = frame_find(frame, name.text);
  Value value = eval(el, frame, expr);
  if (!binding || binding->value.kind == VALUE_POISON) return;
  if (binding->value.kind != VALUE_TENSOR || binding->value.node->op != OP_state) {
    ERROR(el, frame, name.loc, "only states are updated, and '%s' is none", name.text);
    NOTE(el, binding->loc, "it got its value here");
    return;
  }
  if (!frame_is_training(el, frame)) {
    ERROR(el, frame, name.loc, "'%s' is updated outside of training", name.text);
    HINT(el, "put the update into `if training { ... }`");
    return;
  }
  if (!wants_tensor(el, frame, expr, &value, "the new value")) return;
  Node *leaf = binding->value.node;
  if (!shape_equal(leaf->shape, value.node->shape)) {
    ERROR(el, frame, expr->loc, "the new value of '%s' is %s, but the state is %s", name.text,
          type_text(el->arena, value.node->shape), type_text(el->arena, leaf->shape));
    NOTE(el, leaf->loc, "'%s' is declared here", name.text);
    return;
  }
  for (int i = 0; i < el->graph->n_updates; i++) {
    if (el->graph->updates[i].leaf != leaf) continue;
    ERROR(el, frame, name.loc, "'%s' is updated twice in one step", name.text);
    return;
  }
  graph_update(el->graph, leaf, value.node);
}

static void run_if(Elab *el, Frame *frame, const Stmt *stmt) {
  bool is_true;
  if (eval_condition(el, frame, stmt->values.items[0], &is_true)) {
    run_block(el, frame, is_true ? &stmt->body : &stmt->other);
    return;
  }
  poison_block(el, frame, &stmt->body);
  poison_block(el, frame, &stmt->other);
}

// Gives the loop's names the item; false if it cannot be taken apart.
static bool bind_item(Elab *el, Frame *frame, const Stmt *stmt, Value item) {
  const NameList *names = &stmt->names;
  if (names->n == 1) {
    assign(el, frame, names->items[0], item);
    return true;
  }
  if (item.kind == VALUE_LIST && item.list->n == names->n) {
    for (int i = 0; i < names->n; i++) assign(el, frame, names->items[i], item.list->items[i]);
    return true;
  }
  if (item.kind == VALUE_LIST)
    ERROR(el, frame, names->items[0].loc, "%d names for a list of %d: %s", names->n, item.list->n,
          value_text(el->arena, item));
  else
    ERROR(el, frame, names->items[0].loc, "%d names, but the element is %s, not a list", names->n,
          value_kind_text(el->arena, item));
  return false;
}

static void run_for(Elab *el, Frame *frame, const Stmt *stmt) {
  const Expr *expr = stmt->values.items[0];
  Value list = eval(el, frame, expr);
  bool is_list = list.kind == VALUE_LIST;
  if (!is_list && list.kind != VALUE_POISON) {
    ERROR(el, frame, expr->loc, "`for` goes over a list, not %s", value_kind_text(el->arena, list));
    if (list.kind == VALUE_INT) HINT(el, "from 0 up to %lld: 0..%lld", (long long)list.i - 1, (long long)list.i);
  }
  for (int i = 0; is_list && i < list.list->n && !frame->has_returned && !el->is_stopped; i++) {
    is_list = bind_item(el, frame, stmt, list.list->items[i]);
    if (!is_list) break;
    if (++el->n_steps > MAX_STEPS)
      elab_stop(el, frame, stmt->loc, "this loop takes too many steps", "a graph is built in at most 2^20 statements");
    run_block(el, frame, &stmt->body);
  }
  if (is_list) return;
  poison_names(el, frame, &stmt->names);
  poison_block(el, frame, &stmt->body);
}

static void run_assert(Elab *el, Frame *frame, const Stmt *stmt) {
  const Expr *expr = stmt->values.items[0];
  if (!stmt->message) {
    check_constraints(el, frame, &stmt->values);
    return;
  }
  bool is_true;
  if (!eval_condition(el, frame, expr, &is_true) || is_true) return;
  Value message = eval(el, frame, stmt->message);
  if (message.kind == VALUE_STRING) ERROR(el, frame, expr->loc, "%s", message.s);
  else if (message.kind != VALUE_POISON)
    ERROR(el, frame, stmt->message->loc, "the message is a string, not %s", value_kind_text(el->arena, message));
}

static void run_effect(Elab *el, Frame *frame, const Stmt *stmt) {
  const Expr *expr = stmt->values.items[0];
  Results results = eval_all(el, frame, expr);
  if (results.n == 0 || results.items[0].kind == VALUE_POISON) return;
  ERROR(el, frame, expr->loc, "nothing is done with this value");
  HINT(el, "give it a name: y = %s", expr_text(el->arena, expr));
}

static void exec(Elab *el, Frame *frame, const Stmt *stmt) {
  switch (stmt->kind) {
  case STMT_ASSIGN: run_assign(el, frame, stmt); break;
  case STMT_INPUT: run_input(el, frame, stmt); break;
  case STMT_PARAM:
  case STMT_STATE:
  case STMT_CONST: run_declaration(el, frame, stmt); break;
  case STMT_OUTPUT:
  case STMT_TAP: run_output(el, frame, stmt); break;
  case STMT_UPDATE: run_update(el, frame, stmt); break;
  case STMT_IF: run_if(el, frame, stmt); break;
  case STMT_FOR: run_for(el, frame, stmt); break;
  case STMT_RETURN:
    gather(el, frame, &stmt->values, &frame->results);
    frame->has_returned = true;
    break;
  case STMT_ASSERT: run_assert(el, frame, stmt); break;
  case STMT_EXPR: run_effect(el, frame, stmt); break;
  }
}

void run_block(Elab *el, Frame *frame, const StmtList *block) {
  for (int i = 0; i < block->n && !frame->has_returned && !el->is_stopped; i++) {
    if (++el->n_steps > MAX_STEPS) {
      elab_stop(el, frame, block->items[i]->loc, "building the graph takes too many steps",
                "a graph is built in at most 2^20 statements");
      return;
    }
    if (el->graph->n_nodes > MAX_NODES) {
      elab_stop(el, frame, block->items[i]->loc, "the graph has too many operations", "at most 2^18 are allowed");
      return;
    }
    if (el->report.n_errors > 200) el->is_stopped = true;
    el->depth++;
    exec(el, frame, block->items[i]);
    el->depth--;
  }
}
