// scope: which declarations a file sees.
#include <string.h>

#include "lang/builtin.h"
#include "lang/file.h"

static const char *kind_name(const Decl *decl) {
  return decl->kind == DECL_MODULE ? "module" : decl->kind == DECL_MODEL ? "model" : "constant";
}

static Decl *find_own(const Source *source, const char *name) {
  for (int i = 0; i < source->decls.n; i++) {
    Decl *decl = source->decls.items[i];
    if (decl_is_definition(decl) && !strcmp(decl->name.text, name)) return decl;
  }
  return NULL;
}

static void add(Source *source, Decl *decl, SrcLoc loc, Diag *diag) {
  Decl *old = strmap_get(source->scope, decl->name.text);
  if (old == decl) return;
  if (!old) {
    strmap_set(source->scope, decl->name.text, decl);
    return;
  }
  diag_error(diag, loc, "there is a %s '%s' already", kind_name(old), decl->name.text);
  diag_note(diag, old->name.loc, "the first is defined here");
  if (decl->source != source) diag_note(diag, decl->name.loc, "the other is defined here");
}

static void add_own(Source *source, Diag *diag) {
  for (int i = 0; i < source->decls.n; i++) {
    Decl *decl = source->decls.items[i];
    if (decl_is_definition(decl)) add(source, decl, decl->name.loc, diag);
  }
}

static void say_unknown(Arena *arena, const Source *used, Name name, Diag *diag) {
  diag_error(diag, name.loc, "'%s' has no module, model or constant '%s'", used->path, name.text);
  const char **names = ARENA_ARRAY(arena, const char *, used->decls.n);
  for (int i = 0; i < used->decls.n; i++) names[i] = used->decls.items[i]->name.text;
  const char *near = nearest_name(name.text, names, used->decls.n);
  if (near) diag_hint(diag, "did you mean '%s'?", near);
}

static void add_used(LangFile *file, Source *source, int i, Diag *diag) {
  const Use *use = &source->uses.items[i];
  const Source *used = source->used[i];
  if (used == source) {
    diag_error(diag, use->file.loc, "the file uses itself");
    return;
  }
  for (int k = 0; k < use->names.n; k++) {
    Decl *decl = find_own(used, use->names.items[k].text);
    if (decl) add(source, decl, use->names.items[k].loc, diag);
    else say_unknown(file->arena, used, use->names.items[k], diag);
  }
  for (int k = 0; use->names.n == 0 && k < used->decls.n; k++)
    if (decl_is_definition(used->decls.items[k])) add(source, used->decls.items[k], use->file.loc, diag);
}

void scope_build(LangFile *file, Diag *diag) {
  for (int i = 0; i < file->n_sources; i++) {
    Source *source = file->sources[i];
    source->scope = strmap_new(file->arena);
    add_own(source, diag);
    for (int k = 0; k < source->uses.n; k++) add_used(file, source, k, diag);
  }
}

Decl *scope_find(const Source *source, const char *name) { return strmap_get(source->scope, name); }

int scope_names(Arena *arena, const Source *source, const char ***out) {
  int n = 0, n_scope = strmap_count(source->scope);
  const char **names = ARENA_ARRAY(arena, const char *, n_scope + OP_COUNT + builtin_count() + 1);
  for (int i = 0; i < n_scope; i++) names[n++] = strmap_key(source->scope, i);
  for (int i = 0; i < builtin_count(); i++) names[n++] = builtin_name(i);
  for (int i = 0; i < OP_COUNT; i++)
    if (!(op_info((Op)i)->flags & OPF_HIDDEN)) names[n++] = op_info((Op)i)->name;
  names[n++] = "training";
  *out = names;
  return n;
}

static Decl *find_train(const Source *source, const Decl *model) {
  for (int i = 0; i < source->decls.n; i++) {
    Decl *decl = source->decls.items[i];
    if (decl->kind == DECL_TRAIN && scope_find(source, decl->name.text) == model) return decl;
  }
  return NULL;
}

Decl *scope_find_train(const LangFile *file, const Decl *model) {
  Decl *own = find_train(file->sources[0], model);
  return own ? own : find_train(model->source, model);
}
