// file: what a loaded file is inside the room, and how names of declarations are found in it.
#ifndef SG_LANG_FILE_H
#define SG_LANG_FILE_H

#include "lang/ast.h"
#include "lang/lang.h"
#include "runtime/base/strmap.h"

struct LangFile {
  Arena *arena;
  Source **sources; // [0] is the file itself
  int n_sources, cap_sources;
  StrMap *by_name;   // name as `use` spells it -> Source
  LangModel *models; // of sources[0], in order
  int n_models;
  LangStudy *studies; // of sources[0], in order
  int n_studies;
};

// The names a file's modules see besides their own: its declarations and what it uses.
// Builds Source.scope of every file; reports duplicates and names that the used files do not have.
void scope_build(LangFile *file, Diag *diag);

// The module, model or constant of that name, or NULL.
Decl *scope_find(const Source *source, const char *name);

// All names that a module of the file may read without giving them a value: declarations, built-ins, operations.
int scope_names(Arena *arena, const Source *source, const char ***out);

// The train block for a model as seen from the file: its own, or that of the file which declares the model. NULL =
// none.
Decl *scope_find_train(const LangFile *file, const Decl *model);

// Checks names, forms and calls of all files before anything is built.
void check_file(LangFile *file, Diag *diag);

// Fills file->studies.
void studies_collect(LangFile *file, Diag *diag);

// Fills file->models.
void models_collect(LangFile *file, Diag *diag);
// The description of one model, declared in `file` or in a file it uses.
LangModel model_describe(LangFile *file, const Decl *decl, Diag *diag);
// The model of that name that the file declares or uses; name NULL = the file's last one. NULL after an error.
const Decl *model_find(LangFile *file, const char *name, Diag *diag);

// The inputs of a model: STMT_INPUT statements of its body, in order.
int model_inputs(const Decl *model, Stmt ***out, Arena *arena);

// Settings of a train or study block, flattened. Errors go to `diag`.
int train_settings(LangFile *file, const EntryList *entries, LangSetting **out, Diag *diag);

#endif
