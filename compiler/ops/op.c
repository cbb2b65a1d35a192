// Op table: built once from ops.def, with its attribute strings parsed into AttrSpec.
#include "compiler/ops/op.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "compiler/ops/rules.h"
#include "runtime/base/status.h"

// Rows that name no function of a kind. Only here, after rules.h has declared the names, do these words mean NULL.
#define grad_no_grad NULL
#define expand_none  NULL

enum { MAX_CHOICES = 4, MAX_SPEC_TEXT = 160 };

typedef struct Row {
  OpInfo info;
  AttrSpec attrs[OP_MAX_ATTRS];
  const char *choices[OP_MAX_ATTRS][MAX_CHOICES];
  char text[MAX_SPEC_TEXT]; // the attribute string, cut into words
} Row;

static Row rows[OP_COUNT] = {
#define OP(id, inputs, op_class, op_flags, attributes, shape_rule, grad_rule, ref_rule, expand_rule, line)             \
  {.info = {.name = #id,                                                                                               \
            .n_in = inputs,                                                                                            \
            .cls = op_class,                                                                                           \
            .flags = op_flags,                                                                                         \
            .shape = shape_##shape_rule,                                                                               \
            .grad = grad_##grad_rule,                                                                                  \
            .ref = ref_##ref_rule,                                                                                     \
            .expand = expand_##expand_rule,                                                                            \
            .doc = line},                                                                                              \
   .text = attributes},
#include "compiler/ops/ops.def"
#undef OP
};
static pthread_once_t rows_once = PTHREAD_ONCE_INIT;

static void parse_kind(Row *row, int index, char *kind) {
  AttrSpec *spec = &row->attrs[index];
  size_t n = strlen(kind);
  bool is_optional = n && kind[n - 1] == '?';
  if (is_optional) {
    kind[n - 1] = 0;
    spec->required = false;
    spec->fallback.i = -1;
  }
  if (!strcmp(kind, "int")) {
    spec->kind = ATTR_INT;
  } else if (!strcmp(kind, "float")) {
    spec->kind = ATTR_FLOAT;
  } else if (!strcmp(kind, "bool")) {
    spec->kind = ATTR_BOOL;
  } else if (!strcmp(kind, "ints")) {
    spec->kind = ATTR_INTS;
  } else if (!strncmp(kind, "enum(", 5) && kind[n - 1] == ')') {
    spec->kind = ATTR_ENUM;
    spec->choices = row->choices[index];
    kind[n - 1] = 0;
    char *save = NULL;
    for (char *word = strtok_r(kind + 5, "|", &save); word; word = strtok_r(NULL, "|", &save)) {
      if (spec->n_choices == MAX_CHOICES) BUG("ops.def: %s.%s has too many choices", row->info.name, spec->name);
      row->choices[index][spec->n_choices++] = word;
    }
  } else {
    BUG("ops.def: %s.%s has the unknown kind '%s'", row->info.name, spec->name, kind);
  }
}

// One word of an attribute string: name:kind, name:kind? or name:kind=default.
static void parse_attribute(Row *row, char *word) {
  if (row->info.n_attrs == OP_MAX_ATTRS) BUG("ops.def: %s has too many attributes", row->info.name);
  int index = row->info.n_attrs++;
  AttrSpec *spec = &row->attrs[index];
  char *kind = strchr(word, ':');
  if (!kind) BUG("ops.def: attribute '%s' of %s has no kind", word, row->info.name);
  *kind++ = 0;
  char *fallback = strchr(kind, '=');
  if (fallback) *fallback++ = 0;
  spec->name = word;
  spec->required = !fallback;
  parse_kind(row, index, kind);
  if (!fallback) return;
  spec->fallback.i = strtoll(fallback, NULL, 10);
  spec->fallback.f = strtod(fallback, NULL);
}

static Op by_name[OP_COUNT]; // in the order of their names

static int compare_names(const void *a, const void *b) {
  return strcmp(rows[*(const Op *)a].info.name, rows[*(const Op *)b].info.name);
}

static void parse_rows(void) {
  for (int i = 0; i < OP_COUNT; i++) {
    Row *row = &rows[i];
    row->info.attrs = row->attrs;
    by_name[i] = (Op)i;
    char *save = NULL;
    for (char *word = strtok_r(row->text, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
      parse_attribute(row, word);
    }
  }
  qsort(by_name, OP_COUNT, sizeof *by_name, compare_names);
}

const OpInfo *op_info(Op op) {
  pthread_once(&rows_once, parse_rows);
  if ((unsigned)op >= OP_COUNT) BUG("op %d is not in the table", (int)op);
  return &rows[op].info;
}

Op op_by_name(const char *name) {
  pthread_once(&rows_once, parse_rows);
  for (int low = 0, high = OP_COUNT; low < high;) {
    int middle = (low + high) / 2, order = strcmp(name, rows[by_name[middle]].info.name);
    if (!order) return by_name[middle];
    if (order < 0) high = middle;
    else low = middle + 1;
  }
  return OP_COUNT;
}

int op_attr_index(Op op, const char *name) {
  const OpInfo *info = op_info(op);
  for (int i = 0; i < info->n_attrs; i++) {
    if (!strcmp(info->attrs[i].name, name)) return i;
  }
  return -1;
}

bool op_is_leaf(Op op) { return op_info(op)->cls == CLASS_LEAF; }
