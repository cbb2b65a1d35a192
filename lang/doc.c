// doc: the list of built-ins for docs/language.md, from the op table.
#include <string.h>

#include "lang/builtin.h"
#include "lang/lang.h"

static const struct {
  OpClass cls;
  const char *title;
} sections[] = {
    {CLASS_LEAF, "Making tensors"},   {CLASS_ELEMENTWISE, "Element by element, with NumPy broadcasting"},
    {CLASS_REDUCE, "Reductions"},     {CLASS_MOVEMENT, "Movement"},
    {CLASS_CONTRACT, "Contractions"}, {CLASS_SPATIAL, "Pictures"},
    {CLASS_COMPOSITE, "Composite"},   {CLASS_INDEX, "Indices"},
};

// Operands that have better names than x, or a and b.
static const struct {
  Op op;
  const char *names;
} operands[] = {
    {OP_conv2d, "x, weight"}, {OP_nearest, "query, point, mask"}, {OP_gather, "x, index"}, {OP_concat, "a, b, ..."}};

static const char *operand_names(Op op) {
  for (size_t i = 0; i < sizeof operands / sizeof *operands; i++)
    if (operands[i].op == op) return operands[i].names;
  switch (op_info(op)->n_in) {
  case 0: return "";
  case 1: return "x";
  case 2: return "a, b";
  case 3: return "a, b, c";
  default: return "...";
  }
}

static void put_fallback(Text *out, const AttrSpec *spec) {
  switch (spec->kind) {
  case ATTR_INT: text_printf(out, "=%lld", (long long)spec->fallback.i); break;
  case ATTR_FLOAT: text_printf(out, "=%g", spec->fallback.f); break;
  case ATTR_BOOL: text_put(out, spec->fallback.i < 0 ? "=none" : spec->fallback.i ? "=true" : "=false"); break;
  case ATTR_ENUM: text_printf(out, "=%s", spec->choices[spec->fallback.i]); break;
  case ATTR_INTS: text_put(out, "=[]"); break;
  }
}

static const char *const kind_names[] = {"an integer", "a number", "true or false", "a list of integers", "a choice"};

static void put_op(Text *out, Op op) {
  const OpInfo *info = op_info(op);
  const char *names = operand_names(op);
  text_printf(out, "| `%s(%s", info->name, names);
  for (int i = 0; i < info->n_attrs; i++) {
    const AttrSpec *spec = &info->attrs[i];
    text_printf(out, "%s%s", i || *names ? ", " : "", spec->name);
    if (!spec->required) put_fallback(out, spec);
  }
  text_printf(out, ")` | ");
  for (const char *c = info->doc; *c; c++) text_printf(out, *c == '|' ? "\\%c" : "%c", *c);
  for (int i = 0; i < info->n_attrs; i++) {
    const AttrSpec *spec = &info->attrs[i];
    text_printf(out, "%s`%s`: ", i ? ", " : " - ", spec->name);
    if (spec->kind != ATTR_ENUM) text_put(out, kind_names[spec->kind]);
    for (int k = 0; spec->kind == ATTR_ENUM && k < spec->n_choices; k++)
      text_printf(out, "%s`%s`", k ? " or " : "", spec->choices[k]);
    if (!strcmp(spec->name, "size")) text_put(out, " (or `like=` a tensor of that height and width)");
  }
  text_put(out, " |\n");
}

static void put_section(Text *out, OpClass cls, const char *title) {
  bool is_empty = true;
  for (int i = 0; i < OP_COUNT; i++) {
    const OpInfo *info = op_info((Op)i);
    if (info->cls != cls || info->flags & OPF_HIDDEN) continue;
    if (is_empty) text_printf(out, "### %s\n\n| call | result |\n|---|---|\n", title);
    is_empty = false;
    put_op(out, (Op)i);
  }
  if (!is_empty) text_put(out, "\n");
}

static void put_functions(Text *out) {
  text_put(out, "### Other functions, of static values but for `random`\n\n| call | result |\n|---|---|\n");
  for (int i = 0; i < builtin_count(); i++) {
    text_printf(out, "| `%s(", builtin_name(i));
    for (int k = 0; k < builtin_n_params(i); k++) text_printf(out, "%s%s", k ? ", " : "", builtin_param(i, k));
    text_printf(out, ")` | %s |\n", builtin_doc(i));
  }
  text_put(out, "| `max(a, b)` | the larger of two numbers |\n");
}

void lang_document_builtins(Text *out) {
  for (size_t i = 0; i < sizeof sections / sizeof *sections; i++) put_section(out, sections[i].cls, sections[i].title);
  put_functions(out);
}
