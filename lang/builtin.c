// builtin: see builtin.h.
#include "lang/builtin.h"

#include <math.h>
#include <string.h>

#include "lang/elaborate.h"
#include "runtime/base/hash.h"

enum { BUILTIN_PARAMS = 2 };

typedef struct Call {
  Elab *el;
  Frame *frame;
  const Expr *expr;
  const Expr *exprs[BUILTIN_PARAMS];
  Value args[BUILTIN_PARAMS];
} Call;

// ---- numbers ----------------------------------------------------------------------------------------------------

static Value refuse(Call *call, int i, const char *wanted) {
  ERROR(call->el, call->frame, call->exprs[i]->loc, "%s is wanted here, not %s", wanted,
        value_kind_text(call->el->arena, call->args[i]));
  return VALUE_POISONED;
}

static Value to_integer(Call *call, double f) {
  if (f >= -9007199254740992.0 && f <= 9007199254740992.0) return value_int((int64_t)f);
  ERROR(call->el, call->frame, call->expr->loc, "%g does not fit an integer", f);
  return VALUE_POISONED;
}

static Value rounded(Call *call, double (*how)(double)) {
  if (call->args[0].kind == VALUE_INT) return call->args[0];
  if (call->args[0].kind != VALUE_FLOAT) return refuse(call, 0, "a number");
  return to_integer(call, how(call->args[0].f));
}

static Value call_ceil(Call *call) { return rounded(call, ceil); }
static Value call_floor(Call *call) { return rounded(call, floor); }
static Value call_round(Call *call) { return rounded(call, round); }
static Value call_int(Call *call) { return rounded(call, trunc); }

static Value call_min(Call *call) {
  for (int i = 0; i < 2; i++) {
    if (value_is_number(call->args[i])) continue;
    refuse(call, i, "a number");
    if (call->args[i].kind == VALUE_TENSOR) HINT(call->el, "of tensors, element by element: minimum(a, b)");
    return VALUE_POISONED;
  }
  return value_number(call->args[0]) <= value_number(call->args[1]) ? call->args[0] : call->args[1];
}

// ---- lists ------------------------------------------------------------------------------------------------------

static Value call_len(Call *call) {
  if (call->args[0].kind == VALUE_LIST) return value_int(call->args[0].list->n);
  return refuse(call, 0, "a list");
}

static Value call_contains(Call *call) {
  if (call->args[0].kind != VALUE_LIST) return refuse(call, 0, "a list");
  const List *list = call->args[0].list;
  for (int i = 0; i < list->n; i++)
    if (value_equal(list->items[i], call->args[1])) return value_bool(true);
  return value_bool(false);
}

static Value list_of(Call *call, const Value *items, int n) {
  if (list_total(items, n) <= LIST_MAX) return value_list(call->el->arena, items, n);
  ERROR(call->el, call->frame, call->expr->loc, "this list has more than %d elements", LIST_MAX);
  return VALUE_POISONED;
}

static Value pairs(Call *call, const Value *a, const Value *b, int n) {
  Value *items = ARENA_ARRAY(call->el->arena, Value, n);
  call->el->n_steps += n;
  for (int i = 0; i < n; i++) items[i] = value_list(call->el->arena, (Value[]){a ? a[i] : value_int(i), b[i]}, 2);
  return list_of(call, items, n);
}

static Value call_enumerate(Call *call) {
  if (call->args[0].kind != VALUE_LIST) return refuse(call, 0, "a list");
  return pairs(call, NULL, call->args[0].list->items, call->args[0].list->n);
}

static Value call_zip(Call *call) {
  for (int i = 0; i < 2; i++)
    if (call->args[i].kind != VALUE_LIST) return refuse(call, i, "a list");
  const List *a = call->args[0].list, *b = call->args[1].list;
  if (a->n == b->n) return pairs(call, a->items, b->items, a->n);
  ERROR(call->el, call->frame, call->expr->loc, "the lists have %d and %d elements", a->n, b->n);
  return VALUE_POISONED;
}

static Value call_reverse(Call *call) {
  if (call->args[0].kind != VALUE_LIST) return refuse(call, 0, "a list");
  const List *list = call->args[0].list;
  Value *items = ARENA_ARRAY(call->el->arena, Value, list->n);
  call->el->n_steps += list->n / 8;
  for (int i = 0; i < list->n; i++) items[i] = list->items[list->n - 1 - i];
  return list_of(call, items, list->n);
}

// ---- tensors ----------------------------------------------------------------------------------------------------

static Value call_shape(Call *call) {
  if (call->args[0].kind != VALUE_TENSOR) return refuse(call, 0, "a tensor");
  Shape shape = call->args[0].node->shape;
  Value sizes[MAX_RANK];
  for (int i = 0; i < shape.rank; i++) sizes[i] = value_int(shape.dim[i]);
  return value_list(call->el->arena, sizes, shape.rank);
}

static Value call_rank(Call *call) {
  if (call->args[0].kind != VALUE_TENSOR) return refuse(call, 0, "a tensor");
  return value_int(call->args[0].node->shape.rank);
}

// Streams are known by the instance and the number of the call in it, not by the order of instances. The key is an
// input of the whole graph.
static Node *random_numbers(Call *call, Shape shape) {
  Elab *el = call->el;
  Graph *graph = el->graph;
  const char *path = call->frame->instance.path;
  AttrValue attrs[OP_MAX_ATTRS] = {0};
  attrs[op_attr_index(OP_random, "shape")].ints = shape;
  int64_t *stream = &attrs[op_attr_index(OP_random, "stream")].i;
  bool is_taken = true;
  for (int number = 0; is_taken; number++) {
    *stream = (int64_t)(hash_fnv64(arena_printf(el->arena, "%s#%d", path, number)) >> 1);
    is_taken = false;
    for (int i = 0; i < graph->n_nodes && !is_taken; i++)
      is_taken = graph->nodes[i]->op == OP_random && node_attr(graph->nodes[i], "stream").i == *stream;
  }
  elab_at(el, call->frame, call->expr->loc);
  Node *key = graph_find_leaf(graph, RANDOM_KEY);
  if (!key) key = graph_input(graph, RANDOM_KEY, SHAPE(2));
  return graph_add(graph, OP_random, &key, 1, attrs);
}

static Value call_random(Call *call) {
  Value sizes = call->args[0];
  if (sizes.kind != VALUE_LIST || sizes.list->n > MAX_RANK) return refuse(call, 0, "a list of at most 6 sizes");
  Shape shape = {.rank = sizes.list->n};
  for (int i = 0; i < shape.rank; i++) {
    if (sizes.list->items[i].kind != VALUE_INT) return refuse(call, 0, "a list of integers");
    shape.dim[i] = sizes.list->items[i].i;
  }
  Text why = {0};
  bool is_good = op_shape_ok(shape, &why), is_training = frame_is_training(call->el, call->frame);
  if (!is_good) ERROR(call->el, call->frame, call->exprs[0]->loc, "random: %s", text_get(&why));
  text_free(&why);
  if (is_good && !is_training) {
    ERROR(call->el, call->frame, call->expr->loc, "there are random numbers only while training");
    HINT(call->el, "put it behind `if training { ... }`");
  }
  if (!is_good || !is_training) return VALUE_POISONED;
  return (Value){.kind = VALUE_TENSOR, .node = random_numbers(call, shape)};
}

// ---- modules ----------------------------------------------------------------------------------------------------

static Value call_frozen(Call *call) {
  if (call->args[0].kind != VALUE_MODULE) return refuse(call, 0, "a module");
  Value module = call->args[0];
  module.is_frozen = true;
  return module;
}

// ---- table ------------------------------------------------------------------------------------------------------

static const struct {
  const char *name;
  const char *params[BUILTIN_PARAMS];
  Value (*call)(Call *call);
  const char *doc;
} table[] = {
    {"shape", {"x"}, call_shape, "the sizes of a tensor, a list of integers"},
    {"rank", {"x"}, call_rank, "the number of axes of a tensor"},
    {"random", {"shape"}, call_random, "random numbers from 0 up to 1, others in each step; only where `training`"},
    {"len", {"list"}, call_len, "the number of elements of a list"},
    {"contains", {"list", "x"}, call_contains, "whether an element of the list equals x"},
    {"enumerate", {"list"}, call_enumerate, "[0, first], [1, second], ...: for `for i, x in enumerate(list)`"},
    {"zip", {"a", "b"}, call_zip, "the pairs of two lists of one length"},
    {"reverse", {"list"}, call_reverse, "the list from its end"},
    {"int", {"x"}, call_int, "a number without its fraction"},
    {"ceil", {"x"}, call_ceil, "the next integer upwards"},
    {"floor", {"x"}, call_floor, "the next integer downwards"},
    {"round", {"x"}, call_round, "the nearest integer, halves away from zero"},
    {"frozen",
     {"module"},
     call_frozen,
     "the module as it is in use: `training` is false in it, its parameters are not trained"},
    {"min", {"a", "b"}, call_min, "the smaller of two numbers"},
};

int builtin_count(void) { return sizeof table / sizeof *table; }

int builtin_by_name(const char *name) {
  for (int i = 0; i < builtin_count(); i++)
    if (!strcmp(table[i].name, name)) return i;
  return -1;
}

const char *builtin_name(int builtin) { return table[builtin].name; }
const char *builtin_param(int builtin, int i) { return table[builtin].params[i]; }
const char *builtin_doc(int builtin) { return table[builtin].doc; }

int builtin_n_params(int builtin) {
  int n = 0;
  while (n < BUILTIN_PARAMS && table[builtin].params[n]) n++;
  return n;
}

Value call_builtin(Elab *el, Frame *frame, const Expr *expr, int builtin, const Passed *args, int n) {
  Signature signature = signature_of_builtin(el->arena, builtin);
  Given given[n + 1];
  int slot_of[n + 1];
  for (int i = 0; i < n; i++) given[i] = (Given){args[i].name, args[i].expr->loc};
  if (!signature_bind(&signature, given, n, false, slot_of, &el->report, &frame->instance, expr->loc))
    return VALUE_POISONED;
  Call call = {.el = el, .frame = frame, .expr = expr};
  for (int i = 0; i < n; i++) {
    call.args[slot_of[i]] = args[i].value;
    call.exprs[slot_of[i]] = args[i].expr;
  }
  return table[builtin].call(&call);
}
