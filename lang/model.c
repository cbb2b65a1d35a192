// model: what a file says of its models without building them.
#include <string.h>

#include "lang/file.h"

int model_inputs(const Decl *model, Stmt ***out, Arena *arena) {
  Stmt **inputs = ARENA_ARRAY(arena, Stmt *, model->body.n);
  int n = 0;
  for (int i = 0; i < model->body.n; i++)
    if (model->body.items[i]->kind == STMT_INPUT) inputs[n++] = model->body.items[i];
  *out = inputs;
  return n;
}

// ---- free dimensions --------------------------------------------------------------------------------------------

typedef struct Dimensions {
  Arena *arena;
  const Decl *model;
  const char **items;
  int n, cap;
} Dimensions;

static bool is_bound(const Dimensions *dims, const char *name) {
  const Decl *model = dims->model;
  for (int i = 0; i < model->params.n; i++)
    if (!strcmp(model->params.items[i].name.text, name)) return true;
  for (int i = 0; i < model->body.n; i++) {
    const Stmt *stmt = model->body.items[i];
    if (stmt->kind != STMT_ASSIGN) continue;
    for (int k = 0; k < stmt->names.n; k++)
      if (!strcmp(stmt->names.items[k].text, name)) return true;
  }
  const Decl *decl = scope_find(model->source, name);
  return decl && decl->kind == DECL_CONST;
}

static void add_type(Dimensions *dims, const Type *type) {
  for (int i = 0; i < type->dims.n; i++) {
    const Expr *dim = type->dims.items[i];
    if (dim->kind != EXPR_NAME || is_bound(dims, dim->text)) continue;
    bool is_known = false;
    for (int k = 0; k < dims->n; k++) is_known |= !strcmp(dims->items[k], dim->text);
    if (!is_known) ARENA_PUSH(dims->arena, dims->items, dims->n, dims->cap, dim->text);
  }
}

static Dimensions free_dimensions(LangFile *file, const Decl *model, const Decl *train) {
  Dimensions dims = {.arena = file->arena, .model = model};
  for (int i = 0; i < model->body.n; i++)
    if (model->body.items[i]->kind == STMT_INPUT) add_type(&dims, model->body.items[i]->type);
  for (int i = 0; train && i < train->entries.n; i++)
    if (train->entries.items[i].kind == ENTRY_TARGET) add_type(&dims, train->entries.items[i].type);
  return dims;
}

// ---- descriptions -----------------------------------------------------------------------------------------------

LangModel model_describe(LangFile *file, const Decl *decl, Diag *diag) {
  const Decl *train = scope_find_train(file, decl);
  Dimensions dims = free_dimensions(file, decl, train);
  LangParameter *parameters = ARENA_ARRAY(file->arena, LangParameter, decl->params.n);
  for (int i = 0; i < decl->params.n; i++) {
    const Param *param = &decl->params.items[i];
    parameters[i].name = param->name.text;
    parameters[i].fallback = param->fallback ? expr_text(file->arena, param->fallback) : NULL;
  }
  LangModel model = {
      .name = decl->name.text,
      .parameters = parameters,
      .n_parameters = decl->params.n,
      .dimensions = dims.items,
      .n_dimensions = dims.n,
      .has_train = train != NULL,
      .loc = decl->name.loc,
  };
  LangSetting *settings = NULL;
  if (train) model.n_settings = train_settings(file, &train->entries, &settings, diag);
  model.settings = settings;
  return model;
}

void models_collect(LangFile *file, Diag *diag) {
  const Source *source = file->sources[0];
  file->models = ARENA_ARRAY(file->arena, LangModel, source->decls.n);
  for (int i = 0; i < source->decls.n; i++)
    if (source->decls.items[i]->kind == DECL_MODEL)
      file->models[file->n_models++] = model_describe(file, source->decls.items[i], diag);
}

int lang_model_count(const LangFile *file) { return file->n_models; }

const LangModel *lang_model(const LangFile *file, int i) {
  return i >= 0 && i < file->n_models ? &file->models[i] : NULL;
}

// ---- finding ----------------------------------------------------------------------------------------------------

const Decl *model_find(LangFile *file, const char *name, Diag *diag) {
  const Source *source = file->sources[0];
  if (name) {
    const Decl *decl = scope_find(source, name);
    if (decl && decl->kind == DECL_MODEL) return decl;
  } else {
    for (int i = source->decls.n - 1; i >= 0; i--)
      if (source->decls.items[i]->kind == DECL_MODEL) return source->decls.items[i];
    diag_error(diag, (SrcLoc){0}, "'%s' has no model", source->path);
    diag_hint(diag, "a model begins with `model name {`");
    return NULL;
  }
  diag_error(diag, (SrcLoc){0}, "'%s' has no model '%s'", source->path, name);
  int n = strmap_count(source->scope), n_names = 0;
  const char **names = ARENA_ARRAY(file->arena, const char *, n);
  for (int i = 0; i < n; i++) {
    const Decl *decl = strmap_value(source->scope, i);
    if (decl->kind == DECL_MODEL) names[n_names++] = decl->name.text;
  }
  const char *near = nearest_name(name, names, n_names);
  if (near) diag_hint(diag, "did you mean '%s'?", near);
  else if (n_names == 1) diag_hint(diag, "it has '%s'", names[0]);
  return NULL;
}

const LangModel *lang_find_model(const LangFile *file, const char *name, Diag *diag) {
  LangFile *mutable_file = (LangFile *)file; // descriptions of used models are made on demand in the file's arena
  const Decl *decl = model_find(mutable_file, name, diag);
  if (!decl) return NULL;
  for (int i = 0; i < file->n_models; i++)
    if (decl->source == file->sources[0] && !strcmp(file->models[i].name, decl->name.text)) return &file->models[i];
  LangModel model = model_describe(mutable_file, decl, diag);
  return arena_memdup(file->arena, &model, sizeof model);
}
