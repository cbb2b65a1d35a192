// signature: see signature.h.
#include "lang/signature.h"

#include <string.h>

#include "lang/builtin.h"
#include "lang/file.h"

Signature signature_of_decl(Arena *arena, const Decl *decl) {
  Stmt **inputs = NULL;
  int n_inputs = decl->kind == DECL_MODEL ? model_inputs(decl, &inputs, arena) : 0;
  Signature signature = {
      .what = arena_printf(arena, "%s '%s'", decl->kind == DECL_MODEL ? "model" : "module", decl->name.text),
      .slot_kind = "parameter",
      .slots = ARENA_ARRAY(arena, Slot, n_inputs + decl->params.n),
      .n_slots = n_inputs + decl->params.n,
      .n_positional = decl->kind == DECL_MODEL ? n_inputs : decl->params.n,
      .loc = decl->name.loc,
  };
  for (int i = 0; i < n_inputs; i++) signature.slots[i] = (Slot){inputs[i]->names.items[0].text, true};
  for (int i = 0; i < decl->params.n; i++) {
    const Param *param = &decl->params.items[i];
    signature.slots[n_inputs + i] = (Slot){param->name.text, !param->fallback};
  }
  return signature;
}

Signature signature_of_op(Arena *arena, Op op) {
  const OpInfo *info = op_info(op);
  int n_operands = info->n_in == OP_VARIADIC ? 0 : info->n_in;
  bool has_size = op_attr_index(op, "size") >= 0;
  Signature signature = {
      .what = arena_printf(arena, "operation '%s'", info->name),
      .slot_kind = "attribute",
      .slots = ARENA_ARRAY(arena, Slot, n_operands + info->n_attrs + 1),
      .n_slots = n_operands + info->n_attrs + has_size,
      .n_positional = n_operands + info->n_attrs,
      .is_variadic = info->n_in == OP_VARIADIC,
  };
  for (int i = 0; i < n_operands; i++) signature.slots[i].is_required = true;
  for (int i = 0; i < info->n_attrs; i++) {
    const AttrSpec *spec = &info->attrs[i];
    signature.slots[n_operands + i] = (Slot){spec->name, spec->required && !(has_size && !strcmp(spec->name, "size"))};
  }
  if (has_size) signature.slots[signature.n_slots - 1] = (Slot){"like", false};
  return signature;
}

Signature signature_of_builtin(Arena *arena, int builtin) {
  int n = builtin_n_params(builtin);
  Signature signature = {
      .what = arena_printf(arena, "function '%s'", builtin_name(builtin)),
      .slot_kind = "parameter",
      .slots = ARENA_ARRAY(arena, Slot, n),
      .n_slots = n,
      .n_positional = n,
  };
  for (int i = 0; i < n; i++) signature.slots[i] = (Slot){builtin_param(builtin, i), true};
  return signature;
}

static int find_slot(const Signature *signature, const char *name) {
  for (int i = 0; i < signature->n_slots; i++)
    if (signature->slots[i].name && !strcmp(signature->slots[i].name, name)) return i;
  return -1;
}

static void note_declaration(const Signature *signature, Report *report) {
  if (signature->loc.file) report_note(report, signature->loc, "declared here");
}

static void say_unknown(const Signature *signature, Given given, Report *report, const Instance *instance) {
  report_error(report, instance, given.loc, "%s has no %s '%s'", signature->what, signature->slot_kind, given.name);
  const char *names[signature->n_slots + 1];
  int n = 0;
  for (int i = 0; i < signature->n_slots; i++)
    if (signature->slots[i].name) names[n++] = signature->slots[i].name;
  const char *near = nearest_name(given.name, names, n);
  note_declaration(signature, report);
  if (near) {
    report_hint(report, "did you mean '%s'?", near);
  } else if (n) {
    const char *list = names[0];
    for (int i = 1; i < n; i++) list = arena_printf(report->arena, "%s, %s", list, names[i]);
    report_hint(report, "it has %s", list);
  } else {
    report_hint(report, "it has none");
  }
}

static void say_too_many(const Signature *signature, const Given *given, int n_given, SrcLoc loc, Report *report,
                         const Instance *instance) {
  int n = 0;
  for (int i = 0; i < n_given; i++) n += !given[i].name;
  const char *how = signature->n_slots > signature->n_positional ? " by position" : "";
  report_error(report, instance, loc, "too many arguments: %s takes %s%d%s, not %d", signature->what,
               signature->n_positional ? "at most " : "", signature->n_positional, how, n);
  note_declaration(signature, report);
}

static bool check_missing(const Signature *signature, const bool *is_filled, Report *report, const Instance *instance,
                          SrcLoc call) {
  const char *list = NULL;
  int n = 0;
  for (int i = 0; i < signature->n_slots; i++) {
    const Slot *slot = &signature->slots[i];
    if (is_filled[i] || !slot->is_required) continue;
    const char *name =
        slot->name ? arena_printf(report->arena, "'%s'", slot->name) : arena_printf(report->arena, "operand %d", i + 1);
    list = list ? arena_printf(report->arena, "%s and %s", list, name) : name;
    n++;
  }
  if (!n) return true;
  report_error(report, instance, call, "%s needs %s", signature->what, list);
  note_declaration(signature, report);
  return false;
}

bool signature_bind(const Signature *signature, const Given *given, int n_given, bool is_open, int *slot_of,
                    Report *report, const Instance *instance, SrcLoc call) {
  bool is_filled[signature->n_slots + 1];
  memset(is_filled, 0, sizeof is_filled);
  bool is_good = true, is_crowded = false, is_named = false;
  int next = 0;
  for (int i = 0; i < n_given; i++) {
    slot_of[i] = SLOT_OPERAND;
    if (!given[i].name) {
      if (is_named) {
        report_error(report, instance, given[i].loc, "an argument without a name stands after one with a name");
        is_good = false;
      } else if (is_open || signature->is_variadic) {
        continue;
      } else if (next < signature->n_positional) {
        is_filled[next] = true;
        slot_of[i] = next++;
      } else if (!is_crowded) {
        say_too_many(signature, given, n_given, given[i].loc, report, instance);
        is_crowded = true;
        is_good = false;
      }
      continue;
    }
    is_named = true;
    int slot = find_slot(signature, given[i].name);
    if (slot < 0) {
      say_unknown(signature, given[i], report, instance);
      is_good = false;
    } else if (is_filled[slot]) {
      report_error(report, instance, given[i].loc, "'%s' of %s is given twice", given[i].name, signature->what);
      is_good = false;
    } else {
      is_filled[slot] = true;
      slot_of[i] = slot;
    }
  }
  if (is_good && !is_open) is_good = check_missing(signature, is_filled, report, instance, call);
  return is_good;
}
