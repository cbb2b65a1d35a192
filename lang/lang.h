// lang: source text -> Graph. The door of the front end.
#ifndef SG_LANG_H
#define SG_LANG_H

#include <stdbool.h>

#include "compiler/diag.h"
#include "compiler/graph.h"
#include "runtime/base/arena.h"
#include "runtime/base/text.h"

typedef struct LangFile LangFile; // a loaded file with everything it uses

// name=value from the command line: a static parameter of the model or a dimension.
typedef struct LangBinding {
  const char *name;
  const char *value; // text of a literal: 480, 0.5, "rgbd" or rgbd, true, [1, 2]
} LangBinding;

typedef struct LangPaths {
  const char *const *directories; // searched in order for `use NAME` -> NAME.net; the file's own directory comes first
  int n;
  // Files given as text instead (a model read from a weight file): names as in LangBundle. May be NULL.
  const struct LangBundle *bundle;
} LangPaths;

// A model's text with all it uses, so that it can travel inside a weight file.
typedef struct LangBundle {
  int n;
  const char *const *names; // the first is the model's own file; others as `use` spells them
  const char *const *texts;
} LangBundle;

// Parses the file and everything it uses; checks names and forms. NULL after errors in `diag`. A missing file is an
// error in `diag` without a place.
LangFile *lang_load(Arena *arena, const char *path, const LangPaths *paths, Diag *diag);

// The texts of all loaded files.
LangBundle lang_bundle(const LangFile *file);

// A setting of a `train` block, flattened: "batch" = 32, "optimizer" = "adamw", "optimizer.lr" = 1e-5,
// "schedule" = "one_cycle", "schedule.warmup" = 0.3, "augment" = "nyu"; "freeze", "tune", "rate" and
// "decay" may occur several times.
typedef struct LangSetting {
  const char *key;
  enum { SETTING_NUMBER, SETTING_STRING, SETTING_BOOL, SETTING_RULE } kind;
  double number;      // also 0/1 for BOOL; RULE: the factor of "rate" and "decay"
  const char *string; // also the pattern of a RULE
  SrcLoc loc;
} LangSetting;

typedef struct LangParameter {
  const char *name;
  const char *fallback; // text of the default, NULL if it must be given
} LangParameter;

// What a file says of one model without building it.
typedef struct LangModel {
  const char *name;
  const LangParameter *parameters; // static parameters
  int n_parameters;
  const char *const *dimensions; // free dimensions of its inputs, in order of appearance: N, H, W
  int n_dimensions;
  bool has_train;
  const LangSetting *settings; // of its train block
  int n_settings;
  SrcLoc loc;
} LangModel;

int lang_model_count(const LangFile *file);
const LangModel *lang_model(const LangFile *file, int i);
// The model of that name; name NULL = the last one in the file itself (the page's subject stands last). NULL after an
// error in `diag`.
const LangModel *lang_find_model(const LangFile *file, const char *name, Diag *diag);

// ---- studies

typedef enum LangRole {
  ROLE_BASE,    // trained by itself
  ROLE_VARIANT, // starts from the trained bases, where its parameters stand below their models' names
  ROLE_SCRATCH, // as a variant, but its bases start untrained
} LangRole;

// One line of a study block: a model with arguments, under the name that tables show.
typedef struct LangPart {
  LangRole role;
  const char *label, *model;
  const LangBinding *arguments;
  int n_arguments;
  const LangSetting *settings; // over those of the study and of the model's train block
  int n_settings;
  SrcLoc loc;
} LangPart;

// What a study block compares.
typedef struct LangStudy {
  const char *name;
  const LangPart *parts; // the bases stand first
  int n_parts, n_bases;
  const LangSetting *settings; // for all parts
  int n_settings;
  SrcLoc loc;
} LangStudy;

int lang_study_count(const LangFile *file);
const LangStudy *lang_study(const LangFile *file, int i);
// The study of that name; name NULL = the last one in the file itself. NULL after an error in `diag`.
const LangStudy *lang_find_study(const LangFile *file, const char *name, Diag *diag);

typedef struct LangOptions {
  const char *model; // NULL = as in lang_find_model
  const LangBinding *bindings;
  int n_bindings;
  bool is_training; // the value of `training` in module bodies: batch statistics, dropout
  bool with_loss;   // elaborate the train block: targets become inputs, the loss the output "loss"
} LangOptions;

// Builds the graph of a model with all dimensions bound. NULL after errors in `diag`. An unbound dimension is an
// error that says how to bind it (--dim N=1).
Graph *lang_elaborate(LangFile *file, const LangOptions *options, Diag *diag);

// Formats source text; keeps comments; idempotent. False after syntax errors in `diag`.
bool lang_format(const char *path, const char *text, Text *out, Diag *diag);

// The part of docs/language.md that lists the built-ins, from the op table.
void lang_document_builtins(Text *out);

#endif
