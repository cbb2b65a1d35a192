// Pickles: the stack machine, restricted to what builds plain data.
#include "runtime/weights_pickle.h"

#include <stdio.h>
#include <string.h>

#include "runtime/base/text.h"

// Enough for a hundred thousand tensors. Bounds the memory that a hostile file can ask for.
enum { MAX_OPERATIONS = 4 << 20, SHOWN_NAME = 80 };

// The operations of the pickle protocols, named as Python's pickletools does.
#define OPERATIONS(X)                                                                                                  \
  X(MARK, '(')                                                                                                         \
  X(STOP, '.') X(POP, '0') X(POP_MARK, '1') X(DUP, '2') X(FLOAT, 'F') X(INT, 'I') X(BININT, 'J') X(BININT1, 'K')       \
      X(LONG, 'L') X(BININT2, 'M') X(NONE, 'N') X(PERSID, 'P') X(BINPERSID, 'Q') X(REDUCE, 'R') X(STRING, 'S')         \
          X(BINSTRING, 'T') X(SHORT_BINSTRING, 'U') X(UNICODE, 'V') X(BINUNICODE, 'X') X(APPEND, 'a') X(BUILD, 'b')    \
              X(GLOBAL, 'c') X(DICT, 'd') X(EMPTY_DICT, '}') X(APPENDS, 'e') X(GET, 'g') X(BINGET, 'h') X(INST, 'i')   \
                  X(LONG_BINGET, 'j') X(LIST, 'l') X(EMPTY_LIST, ']') X(OBJ, 'o') X(PUT, 'p') X(BINPUT, 'q')           \
                      X(LONG_BINPUT, 'r') X(SETITEM, 's') X(TUPLE, 't') X(EMPTY_TUPLE, ')') X(SETITEMS, 'u')           \
                          X(BINFLOAT, 'G') X(PROTO, 0x80) X(NEWOBJ, 0x81) X(EXT1, 0x82) X(EXT2, 0x83) X(EXT4, 0x84)    \
                              X(TUPLE1, 0x85) X(TUPLE2, 0x86) X(TUPLE3, 0x87) X(NEWTRUE, 0x88) X(NEWFALSE, 0x89)       \
                                  X(LONG1, 0x8a) X(LONG4, 0x8b) X(BINBYTES, 'B') X(SHORT_BINBYTES, 'C')                \
                                      X(SHORT_BINUNICODE, 0x8c) X(BINUNICODE8, 0x8d) X(BINBYTES8, 0x8e)                \
                                          X(EMPTY_SET, 0x8f) X(ADDITEMS, 0x90) X(FROZENSET, 0x91) X(NEWOBJ_EX, 0x92)   \
                                              X(STACK_GLOBAL, 0x93) X(MEMOIZE, 0x94) X(FRAME, 0x95)                    \
                                                  X(BYTEARRAY8, 0x96) X(NEXT_BUFFER, 0x97) X(READONLY_BUFFER, 0x98)
#define ENUMERATOR(name, code) OP_##name = (code),
enum { OPERATIONS(ENUMERATOR) };

typedef struct Machine {
  Arena *arena;
  const unsigned char *at, *end;
  const char *const *allowed;
  PickleValue **stack; // NULL items are marks
  int n_stack, cap_stack;
  PickleValue **memo;
  int n_memo, cap_memo;
  int64_t n_operations;
  Pickle *out;
} Machine;

static Status damaged(const char *what) { return status_make(EXIT_WEIGHTS, "the pickle is damaged: %s", what); }

// ---- the stream

static Status take(Machine *machine, int64_t n, const unsigned char **out) {
  *out = machine->at;
  if (n < 0 || n > machine->end - machine->at) return status_make(EXIT_WEIGHTS, "the pickle is truncated");
  machine->at += n;
  return STATUS_OK;
}

// A little-endian number of n bytes without sign.
static Status take_number(Machine *machine, int n, uint64_t *out) {
  const unsigned char *bytes;
  *out = 0;
  TRY(take(machine, n, &bytes));
  for (int i = n; i-- > 0;) *out = *out << 8 | bytes[i];
  return STATUS_OK;
}

// Bytes preceded by their number, which takes `n_length` bytes.
static Status take_counted(Machine *machine, int n_length, const unsigned char **out, int64_t *out_n) {
  uint64_t n;
  *out_n = 0;
  *out = machine->at;
  TRY(take_number(machine, n_length, &n));
  *out_n = n > INT64_MAX ? -1 : (int64_t)n;
  return take(machine, *out_n, out);
}

// The rest of a line, without its end.
static Status take_line(Machine *machine, const char **out) {
  *out = "";
  const unsigned char *end = memchr(machine->at, '\n', (size_t)(machine->end - machine->at));
  if (!end) return status_make(EXIT_WEIGHTS, "the pickle is truncated");
  *out = arena_strndup(machine->arena, (const char *)machine->at, (size_t)(end - machine->at));
  machine->at = end + 1;
  return STATUS_OK;
}

// ---- the stack

static PickleValue *value_new(Machine *machine, PickleKind kind) {
  PickleValue *value = ARENA_ARRAY(machine->arena, PickleValue, 1);
  value->kind = kind;
  return value;
}

static void push(Machine *machine, PickleValue *value) {
  ARENA_PUSH(machine->arena, machine->stack, machine->n_stack, machine->cap_stack, value);
}

static void push_number(Machine *machine, PickleKind kind, int64_t number) {
  PickleValue *value = value_new(machine, kind);
  value->number = number;
  push(machine, value);
}

// A copy, so that a zero stands after it.
static void push_text(Machine *machine, PickleKind kind, const unsigned char *bytes, int64_t n) {
  PickleValue *value = value_new(machine, kind);
  value->text = arena_strndup(machine->arena, (const char *)bytes, (size_t)n);
  value->n = n;
  push(machine, value);
}

static Status pop(Machine *machine, PickleValue **out) {
  *out = NULL;
  if (!machine->n_stack || !machine->stack[machine->n_stack - 1]) return damaged("an operand is missing");
  *out = machine->stack[--machine->n_stack];
  return STATUS_OK;
}

static Status top(const Machine *machine, PickleValue **out) {
  *out = NULL;
  if (!machine->n_stack || !machine->stack[machine->n_stack - 1]) return damaged("an operand is missing");
  *out = machine->stack[machine->n_stack - 1];
  return STATUS_OK;
}

// Takes everything above the last mark, and the mark, off the stack; `out` is lent until the next push.
static Status pop_to_mark(Machine *machine, PickleValue ***out, int *out_n) {
  int at = machine->n_stack;
  *out = NULL;
  *out_n = 0;
  while (at > 0 && machine->stack[at - 1]) at--;
  if (!at) return damaged("a mark is missing");
  *out = machine->stack + at;
  *out_n = machine->n_stack - at;
  machine->n_stack = at - 1;
  return STATUS_OK;
}

static PickleValue *tuple_of(Machine *machine, PickleValue *const *items, int n) {
  PickleValue *tuple = value_new(machine, PICKLE_TUPLE);
  if (n) tuple->item = arena_memdup(machine->arena, items, sizeof *items * (size_t)n);
  tuple->n = tuple->capacity = n;
  return tuple;
}

static Status push_tuple(Machine *machine, int n) {
  PickleValue *items[3];
  for (int i = n; i-- > 0;) TRY(pop(machine, &items[i]));
  push(machine, tuple_of(machine, items, n));
  return STATUS_OK;
}

static Status append(Machine *machine, PickleValue *const *items, int n, PickleKind kind) {
  PickleValue *into;
  TRY(top(machine, &into));
  if (into->kind != kind || (kind == PICKLE_DICT && n % 2))
    return damaged(kind == PICKLE_DICT ? "entries are put into what is no dictionary"
                                       : "items are put into what is no list");
  for (int i = 0; i < n; i++) ARENA_PUSH(machine->arena, into->item, into->n, into->capacity, items[i]);
  return STATUS_OK;
}

static Status append_marked(Machine *machine, PickleKind kind) {
  PickleValue **items;
  int n;
  TRY(pop_to_mark(machine, &items, &n));
  return append(machine, items, n, kind);
}

static Status append_top(Machine *machine, int n, PickleKind kind) {
  PickleValue *items[2];
  for (int i = n; i-- > 0;) TRY(pop(machine, &items[i]));
  return append(machine, items, n, kind);
}

// ---- the memo. Python numbers what it keeps in order, so no index can exceed the operations so far.

static Status memo_put(Machine *machine, uint64_t index) {
  PickleValue *value;
  TRY(top(machine, &value));
  if (index > (uint64_t)machine->n_operations) return damaged("a memo index is out of order");
  while ((uint64_t)machine->n_memo <= index)
    ARENA_PUSH(machine->arena, machine->memo, machine->n_memo, machine->cap_memo, NULL);
  machine->memo[index] = value;
  return STATUS_OK;
}

static Status memo_get(Machine *machine, uint64_t index) {
  if (index >= (uint64_t)machine->n_memo || !machine->memo[index]) return damaged("it recalls what it never kept");
  push(machine, machine->memo[index]);
  return STATUS_OK;
}

// ---- globals and calls

static const char ordered_dict[] = "collections.OrderedDict";

// A name from the file for a message: short and printable.
static const char *shown(Arena *arena, const char *name) {
  char *text = arena_strndup(arena, name, strnlen(name, SHOWN_NAME));
  for (char *c = text; *c; c++)
    if (*c < 32 || *c == 127) *c = '?';
  return text;
}

static Status push_global(Machine *machine, const char *module, const char *name) {
  PickleValue *value = value_new(machine, PICKLE_GLOBAL);
  value->text = arena_printf(machine->arena, "%s.%s", module, name);
  bool is_allowed = !strcmp(value->text, ordered_dict);
  for (int i = 0; machine->allowed[i] && !is_allowed; i++) is_allowed = !strcmp(machine->allowed[i], value->text);
  if (!is_allowed)
    return status_make(EXIT_WEIGHTS, "it asks for the Python object '%s', which tensors do not need; refused",
                       shown(machine->arena, value->text));
  push(machine, value);
  return STATUS_OK;
}

static Status stack_global(Machine *machine) {
  PickleValue *module, *name;
  TRY(pop(machine, &name));
  TRY(pop(machine, &module));
  if (module->kind != PICKLE_TEXT || name->kind != PICKLE_TEXT) return damaged("a global without a name");
  return push_global(machine, module->text, name->text);
}

// OrderedDict() or, as Python 2 wrote it, OrderedDict([[key, value], ...]).
static Status call_ordered_dict(Machine *machine, const PickleValue *args) {
  PickleValue *dict = value_new(machine, PICKLE_DICT);
  const PickleValue *pairs = args->n ? args->item[0] : NULL;
  if (args->n > 1 || (pairs && pairs->kind != PICKLE_LIST)) return damaged("an OrderedDict of something else");
  for (int64_t i = 0; pairs && i < pairs->n; i++) {
    const PickleValue *pair = pairs->item[i];
    if ((pair->kind != PICKLE_LIST && pair->kind != PICKLE_TUPLE) || pair->n != 2)
      return damaged("an OrderedDict of something else");
    for (int k = 0; k < 2; k++) ARENA_PUSH(machine->arena, dict->item, dict->n, dict->capacity, pair->item[k]);
  }
  push(machine, dict);
  return STATUS_OK;
}

static Status reduce(Machine *machine) {
  PickleValue *function, *args;
  TRY(pop(machine, &args));
  TRY(pop(machine, &function));
  if (function->kind != PICKLE_GLOBAL || args->kind != PICKLE_TUPLE)
    return damaged("it calls what is no global or without a tuple of arguments");
  if (pickle_is_global(function, ordered_dict)) return call_ordered_dict(machine, args);
  PickleValue *call = value_new(machine, PICKLE_CALL);
  call->item = arena_memdup(machine->arena, (PickleValue *[]){function, args}, 2 * sizeof *call->item);
  call->n = call->capacity = 2;
  push(machine, call);
  return STATUS_OK;
}

// Attributes of a dictionary (torch keeps version numbers there) are of no use; other objects have no business here.
static Status build(Machine *machine) {
  PickleValue *state, *object;
  TRY(pop(machine, &state));
  TRY(top(machine, &object));
  if (object->kind == PICKLE_DICT) return STATUS_OK;
  return status_make(EXIT_WEIGHTS, "it sets the state of an object (BUILD), which tensors do not need; refused");
}

static Status push_persistent(Machine *machine) {
  PickleValue *id, *value;
  TRY(pop(machine, &id));
  value = value_new(machine, PICKLE_PERSISTENT);
  value->item = arena_memdup(machine->arena, &id, sizeof id);
  value->n = value->capacity = 1;
  ARENA_PUSH(machine->arena, machine->out->persistent, machine->out->n_persistent, machine->out->cap_persistent, value);
  push(machine, value);
  return STATUS_OK;
}

// A two's complement number of any length.
static void push_long(Machine *machine, const unsigned char *bytes, int64_t n) {
  if (n > 8) {
    push_text(machine, PICKLE_BIG, bytes, n);
    return;
  }
  uint64_t number = n && bytes[n - 1] & 0x80 ? UINT64_MAX : 0;
  for (int64_t i = n; i-- > 0;) number = number << 8 | bytes[i];
  push_number(machine, PICKLE_INT, (int64_t)number);
}

// ---- operations

static Status refuse(int code) {
#define NAMED(name, value)                                                                                             \
  if (code == (value))                                                                                                 \
    return status_make(EXIT_WEIGHTS, "it uses the pickle operation %s, which tensors do not need; refused", #name);
  OPERATIONS(NAMED)
#undef NAMED
  return status_make(EXIT_WEIGHTS, "the pickle is damaged: 0x%02x is no operation", (unsigned)code);
}

static Status push_counted(Machine *machine, PickleKind kind, int n_length) {
  const unsigned char *bytes;
  int64_t n;
  TRY(take_counted(machine, n_length, &bytes, &n));
  if (kind == PICKLE_INT) push_long(machine, bytes, n);
  else push_text(machine, kind, bytes, n);
  return STATUS_OK;
}

static Status push_integer(Machine *machine, int n) {
  uint64_t number;
  TRY(take_number(machine, n, &number));
  push_number(machine, PICKLE_INT, n == 4 ? (int32_t)(uint32_t)number : (int64_t)number);
  return STATUS_OK;
}

static Status push_float(Machine *machine) {
  const unsigned char *bytes;
  TRY(take(machine, 8, &bytes));
  push(machine, value_new(machine, PICKLE_FLOAT));
  return STATUS_OK;
}

static Status memo_indexed(Machine *machine, int n, Status (*act)(Machine *, uint64_t)) {
  uint64_t index;
  TRY(take_number(machine, n, &index));
  return act(machine, index);
}

static Status push_named_global(Machine *machine) {
  const char *module, *name;
  TRY(take_line(machine, &module));
  TRY(take_line(machine, &name));
  return push_global(machine, module, name);
}

static Status drop(Machine *machine) {
  if (!machine->n_stack) return damaged("an operand is missing");
  machine->n_stack--; // a mark too
  return STATUS_OK;
}

static Status duplicate(Machine *machine) {
  PickleValue *value;
  TRY(top(machine, &value));
  push(machine, value);
  return STATUS_OK;
}

static Status push_marked_tuple(Machine *machine) {
  PickleValue **items;
  int n;
  TRY(pop_to_mark(machine, &items, &n));
  push(machine, tuple_of(machine, items, n));
  return STATUS_OK;
}

static Status check_protocol(Machine *machine) {
  uint64_t version;
  TRY(take_number(machine, 1, &version));
  if (version < 2 || version > 5)
    return status_make(EXIT_WEIGHTS, "pickle protocol %d is unknown; 2 to 5 are read", (int)version);
  return STATUS_OK;
}

static Status operate(Machine *machine, int code) {
  uint64_t unused;
  switch (code) {
  case OP_PROTO: return check_protocol(machine);
  case OP_FRAME: return take_number(machine, 8, &unused);
  case OP_MARK: push(machine, NULL); return STATUS_OK;
  case OP_POP: return drop(machine);
  case OP_POP_MARK: return pop_to_mark(machine, &(PickleValue **){NULL}, &(int){0});
  case OP_DUP: return duplicate(machine);
  case OP_NONE: push(machine, value_new(machine, PICKLE_NONE)); return STATUS_OK;
  case OP_NEWTRUE: push_number(machine, PICKLE_BOOL, 1); return STATUS_OK;
  case OP_NEWFALSE: push_number(machine, PICKLE_BOOL, 0); return STATUS_OK;
  case OP_BININT: return push_integer(machine, 4);
  case OP_BININT1: return push_integer(machine, 1);
  case OP_BININT2: return push_integer(machine, 2);
  case OP_LONG1: return push_counted(machine, PICKLE_INT, 1);
  case OP_LONG4: return push_counted(machine, PICKLE_INT, 4);
  case OP_BINFLOAT: return push_float(machine);
  case OP_SHORT_BINSTRING:
  case OP_SHORT_BINUNICODE:
  case OP_SHORT_BINBYTES: return push_counted(machine, PICKLE_TEXT, 1);
  case OP_BINSTRING:
  case OP_BINUNICODE:
  case OP_BINBYTES: return push_counted(machine, PICKLE_TEXT, 4);
  case OP_BINUNICODE8:
  case OP_BINBYTES8: return push_counted(machine, PICKLE_TEXT, 8);
  case OP_EMPTY_TUPLE: return push_tuple(machine, 0);
  case OP_TUPLE1: return push_tuple(machine, 1);
  case OP_TUPLE2: return push_tuple(machine, 2);
  case OP_TUPLE3: return push_tuple(machine, 3);
  case OP_TUPLE: return push_marked_tuple(machine);
  case OP_EMPTY_LIST: push(machine, value_new(machine, PICKLE_LIST)); return STATUS_OK;
  case OP_APPEND: return append_top(machine, 1, PICKLE_LIST);
  case OP_APPENDS: return append_marked(machine, PICKLE_LIST);
  case OP_EMPTY_DICT: push(machine, value_new(machine, PICKLE_DICT)); return STATUS_OK;
  case OP_SETITEM: return append_top(machine, 2, PICKLE_DICT);
  case OP_SETITEMS: return append_marked(machine, PICKLE_DICT);
  case OP_GLOBAL: return push_named_global(machine);
  case OP_STACK_GLOBAL: return stack_global(machine);
  case OP_REDUCE: return reduce(machine);
  case OP_BUILD: return build(machine);
  case OP_BINPERSID: return push_persistent(machine);
  case OP_BINPUT: return memo_indexed(machine, 1, memo_put);
  case OP_LONG_BINPUT: return memo_indexed(machine, 4, memo_put);
  case OP_MEMOIZE: return memo_put(machine, (uint64_t)machine->n_memo);
  case OP_BINGET: return memo_indexed(machine, 1, memo_get);
  case OP_LONG_BINGET: return memo_indexed(machine, 4, memo_get);
  default: return refuse(code);
  }
}

Status pickle_read(Arena *arena, const char *bytes, int64_t size, const char *const *allowed, Pickle *out) {
  const unsigned char *begin = (const unsigned char *)bytes;
  Machine machine = {.arena = arena, .at = begin, .end = begin + size, .allowed = allowed, .out = out};
  *out = (Pickle){0};
  if (size < 2 || *machine.at != OP_PROTO)
    return status_make(EXIT_WEIGHTS, "no pickle of protocol 2 or later where one should be");
  while (machine.n_operations++ < MAX_OPERATIONS) {
    const unsigned char *code;
    TRY(take(&machine, 1, &code));
    if (*code == OP_STOP) {
      TRY(pop(&machine, &out->root));
      out->size = machine.at - begin;
      out->n_operations = machine.n_operations;
      return STATUS_OK;
    }
    TRY(operate(&machine, *code));
  }
  return status_make(EXIT_WEIGHTS, "the pickle has more than %d operations", MAX_OPERATIONS);
}

// ---- looking at the tree

bool pickle_is_text(const PickleValue *value, const char *text) {
  return value->kind == PICKLE_TEXT && (size_t)value->n == strlen(text) && !memcmp(value->text, text, (size_t)value->n);
}

bool pickle_is_global(const PickleValue *value, const char *name) {
  return value->kind == PICKLE_GLOBAL && !strcmp(value->text, name);
}

const PickleValue *pickle_member(const PickleValue *dict, const char *key) {
  for (int64_t i = 0; dict->kind == PICKLE_DICT && i + 1 < dict->n; i += 2)
    if (pickle_is_text(dict->item[i], key)) return dict->item[i + 1];
  return NULL;
}
