// value: makes, compares and shows static values.
#include "lang/value.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lang/builtin.h"

Value value_int(int64_t i) { return (Value){.kind = VALUE_INT, .i = i}; }
Value value_float(double f) { return (Value){.kind = VALUE_FLOAT, .f = f}; }
Value value_bool(bool b) { return (Value){.kind = VALUE_BOOL, .i = b}; }
Value value_string(const char *s) { return (Value){.kind = VALUE_STRING, .s = s}; }

int64_t list_total(const Value *items, int n) {
  int64_t total = n;
  for (int i = 0; i < n && total <= LIST_MAX; i++)
    if (items[i].kind == VALUE_LIST) total += items[i].list->total;
  return total;
}

Value value_list(Arena *arena, const Value *items, int n) {
  for (int i = 0; i < n; i++)
    if (items[i].kind == VALUE_POISON) return VALUE_POISONED;
  List *list = ARENA_ARRAY(arena, List, 1);
  list->items = arena_memdup(arena, items, sizeof *items * (size_t)n);
  list->n = n;
  list->total = list_total(items, n);
  return (Value){.kind = VALUE_LIST, .list = list};
}

bool value_is_number(Value value) { return value.kind == VALUE_INT || value.kind == VALUE_FLOAT; }
double value_number(Value value) { return value.kind == VALUE_INT ? (double)value.i : value.f; }

static bool list_equal(const List *a, const List *b) {
  if (a == b) return true;
  if (a->n != b->n || a->total != b->total) return false;
  for (int i = 0; i < a->n; i++)
    if (!value_equal(a->items[i], b->items[i])) return false;
  return true;
}

bool value_equal(Value a, Value b) {
  if (value_is_number(a) && value_is_number(b)) {
    if (a.kind == VALUE_INT && b.kind == VALUE_INT) return a.i == b.i;
    return value_number(a) == value_number(b);
  }
  if (a.kind != b.kind) return false;
  switch (a.kind) {
  case VALUE_NONE: return true;
  case VALUE_BOOL: return a.i == b.i;
  case VALUE_STRING: return !strcmp(a.s, b.s);
  case VALUE_LIST: return list_equal(a.list, b.list);
  case VALUE_MODULE: return a.decl == b.decl;
  case VALUE_OP: return a.op == b.op;
  case VALUE_BUILTIN: return a.builtin == b.builtin;
  case VALUE_TENSOR: return a.node == b.node;
  default: return false;
  }
}

// ---- text -------------------------------------------------------------------------------------------------------

const char *type_text(Arena *arena, Shape shape) {
  char text[SHAPE_TEXT];
  return arena_printf(arena, "f32%s", shape_text(shape, text));
}

const char *value_kind_text(Arena *arena, Value value) {
  switch (value.kind) {
  case VALUE_POISON: return "nothing";
  case VALUE_NONE: return "none";
  case VALUE_BOOL: return "a bool";
  case VALUE_INT: return "an integer";
  case VALUE_FLOAT: return "a fraction";
  case VALUE_STRING: return "a string";
  case VALUE_LIST: return "a list";
  case VALUE_MODULE: return value.decl->kind == DECL_MODEL ? "a model" : "a module";
  case VALUE_OP: return "an operation";
  case VALUE_BUILTIN: return "a function";
  case VALUE_TENSOR: return type_text(arena, value.node->shape);
  }
  return "?";
}

static void put_value(Arena *arena, Text *out, Value value, int depth) {
  switch (value.kind) {
  case VALUE_POISON: text_put(out, "?"); break;
  case VALUE_NONE: text_put(out, "none"); break;
  case VALUE_BOOL: text_put(out, value.i ? "true" : "false"); break;
  case VALUE_INT: text_printf(out, "%" PRId64, value.i); break;
  case VALUE_FLOAT: text_printf(out, "%.9g", value.f); break;
  case VALUE_STRING:
    text_put_json(out, strlen(value.s) > 60 ? arena_printf(arena, "%.57s...", value.s) : value.s);
    break;
  case VALUE_LIST:
    text_put(out, "[");
    for (int i = 0; i < value.list->n; i++) {
      if (i) text_put(out, ", ");
      if (i == 8 || depth == 3) {
        text_put(out, "...");
        break;
      }
      put_value(arena, out, value.list->items[i], depth + 1);
    }
    text_put(out, "]");
    break;
  case VALUE_MODULE: text_put(out, value.decl->name.text); break;
  case VALUE_OP: text_put(out, op_info(value.op)->name); break;
  case VALUE_BUILTIN: text_put(out, builtin_name(value.builtin)); break;
  case VALUE_TENSOR: text_put(out, type_text(arena, value.node->shape)); break;
  }
}

const char *value_text(Arena *arena, Value value) {
  Text text = {0};
  put_value(arena, &text, value, 0);
  const char *copy = arena_strdup(arena, text_get(&text));
  text_free(&text);
  return copy;
}

// ---- literals of a command line -----------------------------------------------------------------------------------

enum { LITERAL_DEPTH = 8, LITERAL_ITEMS = 1024 };

static void skip_space(const char **at) {
  while (isspace((unsigned char)**at)) ++*at;
}

static bool parse_literal(Arena *arena, const char **at, int depth, Value *out);

static bool parse_list(Arena *arena, const char **at, int depth, Value *out) {
  Value *items = ARENA_ARRAY(arena, Value, LITERAL_ITEMS);
  int n = 0;
  ++*at;
  skip_space(at);
  while (**at != ']') {
    if (n == LITERAL_ITEMS || depth == LITERAL_DEPTH || !parse_literal(arena, at, depth + 1, &items[n++])) return false;
    skip_space(at);
    if (**at == ',') ++*at;
    else if (**at != ']') return false;
    skip_space(at);
  }
  ++*at;
  *out = value_list(arena, items, n);
  return true;
}

static bool parse_word(Arena *arena, const char **at, Value *out) {
  size_t n = strcspn(*at, ",] \t");
  char *word = arena_strndup(arena, *at, n), *end;
  *at += n;
  if (!n) return false;
  if (!strcmp(word, "none")) *out = (Value){.kind = VALUE_NONE};
  if (!strcmp(word, "true") || !strcmp(word, "false")) *out = value_bool(word[0] == 't');
  if (out->kind != VALUE_POISON) return true;
  bool is_numeric = strchr("+-.0123456789", word[0]) != NULL;
  errno = 0;
  int64_t i = strtoll(word, &end, 10);
  if (is_numeric && !*end && !errno) {
    *out = value_int(i);
    return true;
  }
  double f = strtod(word, &end);
  if (is_numeric && !*end && isfinite(f)) {
    *out = value_float(f);
    return true;
  }
  for (const char *c = word; *c; c++)
    if (!isalnum((unsigned char)*c) && !strchr("_-.", *c)) return false;
  *out = value_string(word);
  return !is_numeric;
}

static bool parse_literal(Arena *arena, const char **at, int depth, Value *out) {
  *out = VALUE_POISONED;
  skip_space(at);
  if (**at == '[') return parse_list(arena, at, depth, out);
  if (**at != '"') return parse_word(arena, at, out);
  size_t n = strcspn(*at + 1, "\"");
  if ((*at)[n + 1] != '"') return false;
  *out = value_string(arena_strndup(arena, *at + 1, n));
  *at += n + 2;
  return true;
}

bool value_parse(Arena *arena, const char *text, Value *out) {
  bool is_read = parse_literal(arena, &text, 0, out);
  skip_space(&text);
  return is_read && !*text;
}
