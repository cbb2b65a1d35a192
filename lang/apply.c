// apply: operations on tensors: attributes, operands, and what to say where shapes do not fit.
#include <math.h>
#include <string.h>

#include "lang/elaborate.h"

static const int64_t MAX_SIZE = (int64_t)1 << 40;
enum { MAX_OPERANDS = 256 };
enum { MAX_ATTR = 1 << 20 }; // strides, paddings, groups: beyond this only a mistake

// ---- attributes -------------------------------------------------------------------------------------------------

typedef struct Attrs {
  Op op;
  const Expr *call;
  int rank; // of the tensor that axes refer to; -1 if unknown
  AttrValue values[OP_MAX_ATTRS];
} Attrs;

static bool refuse(Elab *el, Frame *frame, const Attrs *attrs, const AttrSpec *spec, const char *wanted,
                   const Passed *arg) {
  ERROR(el, frame, arg->expr->loc, "'%s' of %s is %s, not %s", spec->name, op_info(attrs->op)->name, wanted,
        value_text(el->arena, arg->value));
  return false;
}

static bool is_axis(const AttrSpec *spec) {
  return !strcmp(spec->name, "axis") || !strcmp(spec->name, "axes") || !strcmp(spec->name, "perm");
}

// Axes count from the end where they are negative.
static bool settle_axis(Elab *el, Frame *frame, const Attrs *attrs, const AttrSpec *spec, const Passed *arg,
                        int64_t *axis) {
  if (!is_axis(spec) || attrs->rank < 0) return true;
  if (*axis >= -attrs->rank && *axis < attrs->rank) {
    if (*axis < 0) *axis += attrs->rank;
    return true;
  }
  ERROR(el, frame, arg->expr->loc, "%s: there is no axis %lld in a tensor of %d axes", op_info(attrs->op)->name,
        (long long)*axis, attrs->rank);
  return false;
}

static bool is_offset(const AttrSpec *spec) { return !strcmp(spec->name, "start") || !strcmp(spec->name, "stop"); }

static bool set_int(Elab *el, Frame *frame, Attrs *attrs, int index, const AttrSpec *spec, const Passed *arg) {
  if (arg->value.kind != VALUE_INT) return refuse(el, frame, attrs, spec, "an integer", arg);
  int64_t limit = is_offset(spec) ? MAX_SIZE : MAX_ATTR, i = arg->value.i;
  if (i > limit || i < -limit) return refuse(el, frame, attrs, spec, "a number of sensible size", arg);
  if (!settle_axis(el, frame, attrs, spec, arg, &i)) return false;
  attrs->values[index].i = i;
  return true;
}

static bool set_ints(Elab *el, Frame *frame, Attrs *attrs, int index, const AttrSpec *spec, const Passed *arg) {
  if (arg->value.kind != VALUE_LIST) return refuse(el, frame, attrs, spec, "a list of integers", arg);
  const List *list = arg->value.list;
  if (list->n > MAX_RANK) {
    ERROR(el, frame, arg->expr->loc, "a tensor has at most %d axes, and this list has %d elements", MAX_RANK, list->n);
    return false;
  }
  Shape *ints = &attrs->values[index].ints;
  ints->rank = list->n;
  int64_t product = 1;
  for (int i = 0; i < list->n; i++) {
    if (list->items[i].kind != VALUE_INT) return refuse(el, frame, attrs, spec, "a list of integers", arg);
    int64_t size = list->items[i].i;
    if (size > MAX_SIZE || size < -MAX_SIZE || (size > 1 && product > MAX_SIZE / size)) {
      ERROR(el, frame, arg->expr->loc, "%s would have more than 2^40 elements", value_text(el->arena, arg->value));
      return false;
    }
    if (size > 1) product *= size;
    if (!settle_axis(el, frame, attrs, spec, arg, &size)) return false;
    ints->dim[i] = size;
  }
  return true;
}

static bool set_enum(Elab *el, Frame *frame, Attrs *attrs, int index, const AttrSpec *spec, const Passed *arg) {
  const char *list = NULL;
  for (int i = 0; i < spec->n_choices; i++) {
    if (arg->value.kind == VALUE_STRING && !strcmp(arg->value.s, spec->choices[i])) {
      attrs->values[index].i = i;
      return true;
    }
    list = list ? arena_printf(el->arena, "%s or %s", list, spec->choices[i]) : spec->choices[i];
  }
  return refuse(el, frame, attrs, spec, list, arg);
}

static bool set_attr(Elab *el, Frame *frame, Attrs *attrs, int index, const Passed *arg) {
  const AttrSpec *spec = &op_info(attrs->op)->attrs[index];
  switch (spec->kind) {
  case ATTR_INT: return set_int(el, frame, attrs, index, spec, arg);
  case ATTR_INTS: return set_ints(el, frame, attrs, index, spec, arg);
  case ATTR_ENUM: return set_enum(el, frame, attrs, index, spec, arg);
  case ATTR_FLOAT:
    if (!value_is_number(arg->value)) return refuse(el, frame, attrs, spec, "a number", arg);
    attrs->values[index].f = value_number(arg->value);
    return true;
  case ATTR_BOOL:
    if (arg->value.kind != VALUE_BOOL) return refuse(el, frame, attrs, spec, "true or false", arg);
    attrs->values[index].i = arg->value.i;
    return true;
  }
  return false;
}

// size= from the last two sizes of another tensor.
static bool set_like(Elab *el, Frame *frame, Attrs *attrs, const Passed *size, const Passed *like) {
  if (!size == !like) {
    if (size) ERROR(el, frame, like->expr->loc, "%s takes 'size' or 'like', not both", op_info(attrs->op)->name);
    else ERROR(el, frame, attrs->call->loc, "%s needs 'size' or 'like'", op_info(attrs->op)->name);
    return false;
  }
  if (!like) return true;
  if (like->value.kind != VALUE_TENSOR || like->value.node->shape.rank < 2) {
    ERROR(el, frame, like->expr->loc, "'like' is a tensor with height and width, not %s",
          value_kind_text(el->arena, like->value));
    return false;
  }
  Shape shape = like->value.node->shape;
  attrs->values[op_attr_index(attrs->op, "size")].ints = SHAPE(shape.dim[shape.rank - 2], shape.dim[shape.rank - 1]);
  return true;
}

// slice counts start and stop from the end where they are negative.
static void settle_slice(Attrs *attrs, const Value *operands) {
  if (attrs->op != OP_slice || operands[0].kind != VALUE_TENSOR) return;
  int64_t axis = attrs->values[op_attr_index(OP_slice, "axis")].i;
  int64_t size = operands[0].node->shape.dim[axis];
  int64_t *start = &attrs->values[op_attr_index(OP_slice, "start")].i;
  int64_t *stop = &attrs->values[op_attr_index(OP_slice, "stop")].i;
  if (*start < 0) *start += size;
  if (*stop < 0) *stop += size;
}

// ---- shapes that do not fit -------------------------------------------------------------------------------------

static void note_operands(Elab *el, const Frame *frame, const Value *operands, const Expr *const *exprs, int n) {
  for (int i = 0; i < n && i < 4; i++) {
    const Node *node = operands[i].node;
    bool is_same = i && node == operands[i - 1].node;
    if (is_same || (node->op == OP_fill && node->shape.rank == 0)) continue;
    const char *type = type_text(el->arena, node->shape);
    const Expr *expr = exprs ? exprs[i] : NULL;
    const Binding *binding = expr && expr->kind == EXPR_NAME ? frame_find(frame, expr->text) : NULL;
    if (binding) NOTE(el, binding->loc, "'%s' is %s, made here", expr->text, type);
    else NOTE(el, expr ? expr->loc : node->loc, "operand %d is %s", i + 1, type);
  }
}

static bool is_vector_of(Shape v, Shape x) { return v.rank == 1 && x.rank == 4 && v.dim[0] == x.dim[1]; }

// Remedies for what people meet most.
static void hint_shapes(Elab *el, Op op, const Value *operands, int n) {
  if (!n || (n != 2 && op != OP_concat)) return;
  Shape a = operands[0].node->shape, b = operands[n - 1].node->shape;
  bool is_elementwise = op_info(op)->cls == CLASS_ELEMENTWISE;
  bool is_other_size = a.rank == 4 && b.rank == 4 && (a.dim[2] != b.dim[2] || a.dim[3] != b.dim[3]);
  if (is_elementwise && (is_vector_of(a, b) || is_vector_of(b, a)))
    HINT(el, "one value a channel meets a picture as [1, C, 1, 1]: channelwise(v) of math.net");
  else if ((is_elementwise || op == OP_concat) && is_other_size && n == 2)
    HINT(el, "bring them to one size: resize(a, like=b, mode=bilinear, align_corners=false)");
  else if (op == OP_matmul && a.rank >= 2 && b.rank >= 2 && a.dim[a.rank - 1] == b.dim[b.rank - 1])
    HINT(el, "the last axes agree: matmul(a, b, transpose_b=true)");
}

Value apply_op(Elab *el, Frame *frame, SrcLoc loc, Op op, const Value *operands, const Expr *const *exprs, int n,
               const AttrValue *attrs) {
  Value tensors[n + 1];
  Node *nodes[n + 1];
  for (int i = 0; i < n; i++) {
    elab_at(el, frame, exprs && exprs[i] ? exprs[i]->loc : loc);
    tensors[i] = operands[i];
    if (operands[i].kind != VALUE_TENSOR)
      tensors[i] = (Value){.kind = VALUE_TENSOR, .node = graph_scalar(el->graph, value_number(operands[i]))};
    nodes[i] = tensors[i].node;
  }
  elab_at(el, frame, loc);
  Text why = {0};
  Node *node = graph_try_add(el->graph, op, nodes, n, attrs, &why);
  if (!node) {
    ERROR(el, frame, loc, "%s: %s", op_info(op)->name, text_get(&why));
    note_operands(el, frame, tensors, exprs, n);
    hint_shapes(el, op, tensors, n);
  }
  text_free(&why);
  return node ? (Value){.kind = VALUE_TENSOR, .node = node} : VALUE_POISONED;
}

// ---- static numbers ---------------------------------------------------------------------------------------------

static Value number_or_error(Elab *el, Frame *frame, const Expr *call, double result) {
  if (isfinite(result)) return value_float(result);
  ERROR(el, frame, call->loc, "%s is not a finite number", expr_text(el->arena, call));
  return VALUE_POISONED;
}

// An elementwise op on numbers alone is a number.
static Value fold(Elab *el, Frame *frame, const Expr *call, Op op, const Value *operands, int n,
                  const AttrValue *attrs) {
  bool is_int = true;
  for (int i = 0; i < n; i++) is_int &= operands[i].kind == VALUE_INT;
  int64_t a = operands[0].i, b = n > 1 ? operands[1].i : 0;
  if (is_int && op == OP_abs && a != INT64_MIN) return value_int(a < 0 ? -a : a);
  if (is_int && op == OP_minimum) return value_int(a < b ? a : b);
  if (is_int && op == OP_maximum) return value_int(a > b ? a : b);
  double numbers[3] = {0};
  for (int i = 0; i < n; i++) numbers[i] = value_number(operands[i]);
  return number_or_error(el, frame, call, op_scalar(op, attrs, numbers[0], numbers[1], numbers[2]));
}

// max(3, 4) of two numbers, which the op of that name does not take.
static bool fold_max(const Passed *args, int n, Value *out) {
  if (n != 2 || !value_is_number(args[0].value) || !value_is_number(args[1].value) || args[1].name) return false;
  *out = value_number(args[0].value) >= value_number(args[1].value) ? args[0].value : args[1].value;
  return true;
}

// ---- calls ------------------------------------------------------------------------------------------------------

typedef struct Operands {
  Value *items;
  const Expr **exprs;
  int n, cap, cap_exprs;
} Operands;

static void add_operand(Elab *el, Operands *operands, Value value, const Expr *expr) {
  int n = operands->n;
  ARENA_PUSH(el->arena, operands->exprs, n, operands->cap_exprs, expr);
  ARENA_PUSH(el->arena, operands->items, operands->n, operands->cap, value);
}

// concat([a, b]) is concat(a, b).
static void add_operands(Elab *el, Operands *operands, bool is_variadic, const Passed *arg) {
  if (!is_variadic || arg->value.kind != VALUE_LIST) {
    add_operand(el, operands, arg->value, arg->expr);
    return;
  }
  for (int i = 0; i < arg->value.list->n; i++) add_operand(el, operands, arg->value.list->items[i], arg->expr);
}

// Returns 1 if there is a tensor among them, 0 if all are numbers, -1 after an error.
static int check_operands(Elab *el, Frame *frame, Op op, const Operands *operands) {
  bool is_elementwise = op_info(op)->cls == CLASS_ELEMENTWISE;
  int found = 0;
  if (operands->n > MAX_OPERANDS) {
    ERROR(el, frame, operands->exprs[0]->loc, "%s takes at most %d operands", op_info(op)->name, MAX_OPERANDS);
    return -1;
  }
  for (int i = 0; i < operands->n; i++) {
    Value value = operands->items[i];
    found |= value.kind == VALUE_TENSOR;
    if (value.kind == VALUE_TENSOR || (is_elementwise && value_is_number(value))) continue;
    ERROR(el, frame, operands->exprs[i]->loc, "operand %d of %s is a tensor, not %s", i + 1, op_info(op)->name,
          value_kind_text(el->arena, value));
    return -1;
  }
  return found;
}

Value call_op(Elab *el, Frame *frame, const Expr *expr, Op op, const Passed *args, int n) {
  Value number;
  if (op == OP_max && fold_max(args, n, &number)) return number;
  const OpInfo *info = op_info(op);
  Signature signature = signature_of_op(el->arena, op);
  Given given[n + 1];
  int slot_of[n + 1];
  for (int i = 0; i < n; i++) given[i] = (Given){args[i].name, args[i].expr->loc};
  if (!signature_bind(&signature, given, n, false, slot_of, &el->report, &frame->instance, expr->loc))
    return VALUE_POISONED;
  int n_operands = info->n_in == OP_VARIADIC ? 0 : info->n_in;
  Operands operands = {0};
  for (int i = 0; i < n; i++)
    if (slot_of[i] < n_operands) add_operands(el, &operands, signature.is_variadic, &args[i]);
  int found = check_operands(el, frame, op, &operands);
  if (found < 0) return VALUE_POISONED;
  Attrs attrs = {.op = op, .call = expr, .rank = -1};
  if (operands.n && operands.items[0].kind == VALUE_TENSOR) attrs.rank = operands.items[0].node->shape.rank;
  if (op == OP_pad || op == OP_iota) attrs.rank = -1; // iota's axis is one of its own shape
  for (int i = 0; i < info->n_attrs; i++) attrs.values[i] = info->attrs[i].fallback;
  const Passed *size = NULL, *like = NULL;
  bool is_good = true;
  for (int i = 0; i < n; i++) {
    int index = slot_of[i] - n_operands;
    if (slot_of[i] == SLOT_OPERAND || index < 0) continue;
    if (index >= info->n_attrs) {
      like = &args[i];
      continue;
    }
    if (!strcmp(info->attrs[index].name, "size")) size = &args[i];
    is_good &= set_attr(el, frame, &attrs, index, &args[i]);
  }
  if (is_good && op_attr_index(op, "size") >= 0) is_good = set_like(el, frame, &attrs, size, like);
  if (!is_good) return VALUE_POISONED;
  if (!found && info->cls == CLASS_ELEMENTWISE)
    return fold(el, frame, expr, op, operands.items, operands.n, attrs.values);
  settle_slice(&attrs, operands.items);
  return apply_op(el, frame, expr->loc, op, operands.items, operands.exprs, operands.n, attrs.values);
}
