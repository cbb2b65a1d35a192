// declare: param, state, const and input; types, dimensions and constraints.
#include <string.h>

#include "lang/builtin.h"
#include "lang/elaborate.h"

static const int64_t MAX_ELEMENTS = (int64_t)1 << 40;

typedef struct Leaf {
  SrcLoc loc;
  const Instance *instance;
} Leaf;

const char *type_as_written(Arena *arena, const Type *type) {
  Text text = {0};
  text_printf(&text, "%s[", type->element.text);
  for (int i = 0; i < type->dims.n; i++)
    text_printf(&text, "%s%s", i ? ", " : "", expr_text(arena, type->dims.items[i]));
  text_put(&text, "]");
  const char *copy = arena_strdup(arena, text_get(&text));
  text_free(&text);
  return copy;
}

static bool add_size(Elab *el, Frame *frame, Shape *shape, int64_t size, SrcLoc loc) {
  int64_t total = size;
  for (int i = 0; i < shape->rank; i++)
    if (__builtin_mul_overflow(total, shape->dim[i], &total) || total > MAX_ELEMENTS) {
      ERROR(el, frame, loc, "this tensor has more than 2^40 elements");
      return false;
    }
  shape->dim[shape->rank++] = size;
  return true;
}

// A dimension of a type; a plain name is looked for among the dimensions first.
static bool eval_dim(Elab *el, Frame *frame, const Expr *dim, int64_t *out) {
  const Binding *binding = dim->kind == EXPR_NAME ? strmap_get(frame->dimensions, dim->text) : NULL;
  if (!binding) return eval_size(el, frame, dim, out);
  *out = binding->value.i;
  return binding->value.kind == VALUE_INT;
}

// The shape of a type all of whose dimensions have values.
static bool eval_shape(Elab *el, Frame *frame, const Type *type, Shape *out) {
  *out = (Shape){0};
  bool is_good = true;
  for (int i = 0; i < type->dims.n; i++) {
    int64_t size;
    if (!eval_dim(el, frame, type->dims.items[i], &size)) is_good = false;
    else if (is_good) is_good = add_size(el, frame, out, size, type->dims.items[i]->loc);
  }
  return is_good;
}

// ---- param, state, const ----------------------------------------------------------------------------------------

static bool eval_number(Elab *el, Frame *frame, const Expr *expr, double *out) {
  Value value = eval(el, frame, expr);
  if (value_is_number(value)) {
    *out = value_number(value);
    return true;
  }
  if (value.kind != VALUE_POISON) {
    ERROR(el, frame, expr->loc, "an initial value is a number, not %s", value_kind_text(el->arena, value));
    HINT(el, "write a number, uniform(from, to) or normal(mean, deviation)");
  }
  return false;
}

static bool eval_init(Elab *el, Frame *frame, const Expr *expr, Init *out) {
  *out = (Init){0};
  if (expr->kind != EXPR_CALL || expr->a->kind != EXPR_NAME) return eval_number(el, frame, expr, &out->a);
  bool is_uniform = !strcmp(expr->a->text, "uniform");
  if (!is_uniform && strcmp(expr->a->text, "normal")) return eval_number(el, frame, expr, &out->a);
  out->kind = is_uniform ? INIT_UNIFORM : INIT_NORMAL;
  if (!eval_number(el, frame, expr->args.items[0].value, &out->a)) return false;
  if (!eval_number(el, frame, expr->args.items[1].value, &out->b)) return false;
  if (is_uniform ? out->a <= out->b : out->b >= 0) return true;
  if (is_uniform) ERROR(el, frame, expr->loc, "uniform goes from %g up to %g", out->a, out->b);
  else ERROR(el, frame, expr->loc, "a deviation of %g is negative", out->b);
  return false;
}

// Reports a path that is taken already.
static bool claim_path(Elab *el, Frame *frame, const char *path, SrcLoc loc) {
  Leaf *old = strmap_get(el->leaves, path);
  if (old && frame->has_clash) return false; // of one instance, one parameter is enough to say
  if (old) {
    frame->has_clash = true;
    ERROR(el, frame, loc, "there are two parameters '%s'", path);
    NOTE(el, old->loc, "the first is declared here");
    if (old->instance->caller) NOTE(el, old->instance->call, "in module %s, called here", old->instance->module);
    HINT(el, "give the instances of the module names of their own: module(...) @name");
    return false;
  }
  Leaf *leaf = ARENA_ARRAY(el->arena, Leaf, 1);
  *leaf = (Leaf){loc, &frame->instance};
  strmap_set(el->leaves, path, leaf);
  return true;
}

static bool fill_const(Elab *el, Frame *frame, const Expr *expr, Value value, const Shape *shape, int axis, float *data,
                       int64_t *at) {
  if (axis == shape->rank) {
    if (value_is_number(value)) {
      data[(*at)++] = (float)value_number(value);
      return true;
    }
    ERROR(el, frame, expr->loc, "a const is made of numbers, and here is %s", value_kind_text(el->arena, value));
    return false;
  }
  if (value.kind != VALUE_LIST || value.list->n != shape->dim[axis]) {
    ERROR(el, frame, expr->loc, "axis %d of the const is %lld long, but the list has %s", axis,
          (long long)shape->dim[axis],
          value.kind == VALUE_LIST ? arena_printf(el->arena, "%d elements", value.list->n) : "fewer axes");
    return false;
  }
  for (int i = 0; i < value.list->n; i++)
    if (!fill_const(el, frame, expr, value.list->items[i], shape, axis + 1, data, at)) return false;
  return true;
}

static Node *make_const(Elab *el, Frame *frame, const Stmt *stmt, Shape shape) {
  const Expr *expr = stmt->values.items[0];
  Value value = eval(el, frame, expr);
  if (value.kind == VALUE_POISON) return NULL;
  elab_at(el, frame, stmt->names.items[0].loc);
  if (value_is_number(value)) return graph_fill(el->graph, shape, value_number(value));
  if (value.kind != VALUE_LIST) {
    ERROR(el, frame, expr->loc, "a const is made of numbers, not of %s", value_kind_text(el->arena, value));
    return NULL;
  }
  if (shape_elements(shape) > MAX_CONST) {
    ERROR(el, frame, stmt->loc, "this const has more than 2^22 elements");
    return NULL;
  }
  float *data = ARENA_ARRAY(el->arena, float, shape_elements(shape));
  int64_t n = 0;
  if (!fill_const(el, frame, expr, value, &shape, 0, data, &n)) return NULL;
  return graph_constant(el->graph, shape, data);
}

static Node *make_leaf(Elab *el, Frame *frame, const Stmt *stmt, Shape shape) {
  Name name = stmt->names.items[0];
  Init init;
  if (!eval_init(el, frame, stmt->values.items[0], &init)) return NULL;
  const char *path = path_join(el->arena, frame->instance.path, name.text);
  if (!claim_path(el, frame, path, name.loc)) return NULL;
  elab_at(el, frame, name.loc);
  bool is_param = stmt->kind == STMT_PARAM;
  Node *node = is_param ? graph_param(el->graph, path, shape, init) : graph_state(el->graph, path, shape, init);
  node->is_frozen = is_param && frame->is_frozen;
  node->stored_as_i64 = !is_param && !strcmp(stmt->type->element.text, "i64");
  return node;
}

void run_declaration(Elab *el, Frame *frame, const Stmt *stmt) {
  Name name = stmt->names.items[0];
  Value value = VALUE_POISONED;
  Shape shape;
  if (eval_shape(el, frame, stmt->type, &shape)) {
    Node *node = stmt->kind == STMT_CONST ? make_const(el, frame, stmt, shape) : make_leaf(el, frame, stmt, shape);
    if (node) value = (Value){.kind = VALUE_TENSOR, .node = node};
    if (node && !node->name) node->name = path_join(el->arena, frame->instance.path, name.text);
  }
  frame_bind(el, frame, name.text, value, name.loc);
}

// ---- types ------------------------------------------------------------------------------------------------------

// A plain name in a type that has no value yet is bound by it.
static bool is_free(const Frame *frame, const Expr *dim) {
  if (dim->kind != EXPR_NAME || strmap_get(frame->dimensions, dim->text) || frame_find(frame, dim->text)) return false;
  const Decl *decl = scope_find(frame->source, dim->text);
  return !decl || decl->kind != DECL_CONST;
}

static void note_made(Elab *el, const Node *node) {
  NOTE(el, node->loc, "the tensor is %s, made here", type_text(el->arena, node->shape));
}

static bool match_dim(Elab *el, Frame *frame, const Type *type, int axis, const Node *node, const char *what,
                      SrcLoc loc) {
  const Expr *dim = type->dims.items[axis];
  int64_t size = node->shape.dim[axis], wanted;
  if (is_free(frame, dim)) {
    if (strcmp(dim->text, "_")) frame_bind_dimension(el, frame, dim->text, value_int(size), loc);
    return true;
  }
  if (!eval_dim(el, frame, dim, &wanted)) return false;
  if (wanted == size) return true;
  if (dim->kind == EXPR_INT)
    ERROR(el, frame->caller, loc, "axis %d of %s is %lld, not %lld", axis, what, (long long)size, (long long)wanted);
  else
    ERROR(el, frame->caller, loc, "axis %d of %s is %lld, but %s is %lld", axis, what, (long long)size,
          expr_text(el->arena, dim), (long long)wanted);
  note_made(el, node);
  NOTE(el, type->loc, "its type is %s", type_as_written(el->arena, type));
  const Binding *binding = dim->kind == EXPR_NAME ? strmap_get(frame->dimensions, dim->text) : NULL;
  if (binding) NOTE(el, binding->loc, "%s = %lld comes from here", dim->text, (long long)wanted);
  return false;
}

bool match_type(Elab *el, Frame *frame, const Type *type, Value *value, const char *what, SrcLoc loc) {
  if (value->kind == VALUE_POISON) return false;
  if (value_is_number(*value) && type->dims.n == 0) {
    elab_at(el, frame, loc);
    *value = (Value){.kind = VALUE_TENSOR, .node = graph_scalar(el->graph, value_number(*value))};
  }
  if (value->kind != VALUE_TENSOR) {
    ERROR(el, frame->caller, loc, "%s is %s, but a tensor %s is wanted", what, value_kind_text(el->arena, *value),
          type_as_written(el->arena, type));
    NOTE(el, type->loc, "declared here");
    return false;
  }
  const Node *node = value->node;
  if (node->shape.rank != type->dims.n) {
    ERROR(el, frame->caller, loc, "%s is %s, but %s is wanted", what, type_text(el->arena, node->shape),
          type_as_written(el->arena, type));
    note_made(el, node);
    NOTE(el, type->loc, "declared here");
    return false;
  }
  bool is_good = true;
  for (int i = 0; i < type->dims.n && is_good; i++) is_good = match_dim(el, frame, type, i, node, what, loc);
  return is_good;
}

// ---- constraints ------------------------------------------------------------------------------------------------

typedef struct Shown {
  Elab *el;
  Frame *frame;
  const char *names[8];
  int n;
  const char *text; // "H = 100, W = 64"
} Shown;

static void show_name(void *context, const Expr *expr) {
  Shown *shown = context;
  const Binding *binding = frame_find(shown->frame, expr->text);
  if (!binding || shown->n == 8) return;
  for (int i = 0; i < shown->n; i++)
    if (!strcmp(shown->names[i], expr->text)) return;
  shown->names[shown->n++] = expr->text;
  const char *value = value_text(shown->el->arena, binding->value);
  shown->text = shown->text ? arena_printf(shown->el->arena, "%s, %s = %s", shown->text, expr->text, value)
                            : arena_printf(shown->el->arena, "%s = %s", expr->text, value);
}

static bool check_constraint(Elab *el, Frame *frame, const Expr *expr) {
  if (expr->kind == EXPR_BINARY && expr->op == OPERATOR_AND)
    return check_constraint(el, frame, expr->a) && check_constraint(el, frame, expr->b);
  bool is_true;
  if (!eval_condition(el, frame, expr, &is_true)) return false;
  if (is_true) return true;
  Shown shown = {.el = el, .frame = frame};
  expr_each_name(expr, show_name, &shown);
  const char *text = expr_text(el->arena, expr);
  if (shown.text) ERROR(el, frame, expr->loc, "%s does not hold for %s", text, shown.text);
  else ERROR(el, frame, expr->loc, "%s does not hold", text);
  return false;
}

bool check_constraints(Elab *el, Frame *frame, const ExprList *where) {
  bool is_good = true;
  for (int i = 0; i < where->n; i++) is_good &= check_constraint(el, frame, where->items[i]);
  return is_good;
}

// ---- inputs -----------------------------------------------------------------------------------------------------

// Free dimensions of the model being built come from the command line.
static bool bind_dimension(Elab *el, Frame *frame, const Expr *dim) {
  Value value;
  bool is_given = elab_binding(el, dim->text, &value);
  if (is_given && (value.kind != VALUE_INT || value.i < 1) && value.kind != VALUE_POISON) {
    ERROR(el, frame, dim->loc, "dimension '%s' is a positive integer, not %s", dim->text, value_text(el->arena, value));
    value = VALUE_POISONED;
  }
  if (!is_given) {
    value = VALUE_POISONED;
    ERROR(el, frame, dim->loc, "dimension '%s' has no value", dim->text);
    HINT(el, "bind it: --dim %s=1", dim->text);
  }
  frame_bind_dimension(el, frame, dim->text, value, dim->loc);
  return value.kind == VALUE_INT;
}

Value declare_input(Elab *el, Frame *frame, Name name, const Type *type) {
  bool is_good = true;
  for (int i = 0; i < type->dims.n; i++)
    if (is_free(frame, type->dims.items[i])) is_good &= bind_dimension(el, frame, type->dims.items[i]);
  Shape shape;
  if (!is_good || !eval_shape(el, frame, type, &shape)) return VALUE_POISONED;
  if (!strcmp(name.text, RANDOM_KEY)) {
    ERROR(el, frame, name.loc, "the name %s belongs to random numbers", RANDOM_KEY);
    HINT(el, "call it something else");
    return VALUE_POISONED;
  }
  elab_at(el, frame, name.loc);
  return (Value){.kind = VALUE_TENSOR, .node = graph_input(el->graph, name.text, shape)};
}

void run_input(Elab *el, Frame *frame, const Stmt *stmt) {
  Name name = stmt->names.items[0];
  Value value;
  if (frame->is_model) {
    value = declare_input(el, frame, name, stmt->type);
  } else {
    value = frame->inputs[frame->n_inputs_taken++];
    const char *what = arena_printf(el->arena, "input '%s' of model '%s'", name.text, frame->decl->name.text);
    // an input that the given parameters leave unused may be passed as none
    if (value.kind != VALUE_NONE && !match_type(el, frame, stmt->type, &value, what, frame->instance.call))
      value = VALUE_POISONED;
  }
  frame_bind(el, frame, name.text, value, name.loc);
  if (value.kind == VALUE_TENSOR) check_constraints(el, frame, &stmt->where);
}
