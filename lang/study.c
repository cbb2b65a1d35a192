// study: what the study blocks of a file compare.
#include "lang/study.h"

#include <string.h>

bool study_role(const char *word, LangRole *out) {
  static const char *const words[] = {"base", "variant", "scratch"};
  for (int i = 0; i < 3; i++) {
    if (strcmp(word, words[i])) continue;
    *out = (LangRole)i;
    return true;
  }
  return false;
}

static LangPart describe_part(LangFile *file, const Entry *entry, Diag *diag) {
  LangPart part = {.label = entry->label->text, .loc = entry->loc};
  study_role(entry->name.text, &part.role);
  const Expr *call = entry->value->kind == EXPR_CALL ? entry->value : NULL;
  part.model = call ? call->a->text : entry->value->text;
  if (call) {
    LangBinding *arguments = ARENA_ARRAY(file->arena, LangBinding, call->args.n);
    for (int i = 0; i < call->args.n; i++)
      arguments[i] = (LangBinding){call->args.items[i].name.text, expr_text(file->arena, call->args.items[i].value)};
    part.arguments = arguments;
    part.n_arguments = call->args.n;
  }
  LangSetting *settings = NULL;
  part.n_settings = train_settings(file, entry->settings, &settings, diag);
  part.settings = settings;
  return part;
}

static LangStudy describe(LangFile *file, const Decl *decl, Diag *diag) {
  LangStudy study = {.name = decl->name.text, .loc = decl->name.loc};
  LangPart *parts = ARENA_ARRAY(file->arena, LangPart, decl->entries.n);
  for (int bases = 1; bases >= 0; bases--)
    for (int i = 0; i < decl->entries.n; i++) {
      const Entry *entry = &decl->entries.items[i];
      if (entry->kind != ENTRY_PART || (strcmp(entry->name.text, "base") == 0) != bases) continue;
      parts[study.n_parts++] = describe_part(file, entry, diag);
      study.n_bases += bases;
    }
  study.parts = parts;
  LangSetting *settings = NULL;
  study.n_settings = train_settings(file, &decl->entries, &settings, diag);
  study.settings = settings;
  return study;
}

void studies_collect(LangFile *file, Diag *diag) {
  const Source *source = file->sources[0];
  file->studies = ARENA_ARRAY(file->arena, LangStudy, source->decls.n);
  for (int i = 0; i < source->decls.n; i++)
    if (source->decls.items[i]->kind == DECL_STUDY)
      file->studies[file->n_studies++] = describe(file, source->decls.items[i], diag);
}

int lang_study_count(const LangFile *file) { return file->n_studies; }

const LangStudy *lang_study(const LangFile *file, int i) {
  return i >= 0 && i < file->n_studies ? &file->studies[i] : NULL;
}

const LangStudy *lang_find_study(const LangFile *file, const char *name, Diag *diag) {
  const char **names = ARENA_ARRAY(file->arena, const char *, file->n_studies);
  for (int i = file->n_studies - 1; i >= 0; i--) {
    names[i] = file->studies[i].name;
    if (!name || !strcmp(names[i], name)) return &file->studies[i];
  }
  const char *path = file->sources[0]->path;
  if (!name) {
    diag_error(diag, (SrcLoc){0}, "'%s' has no study", path);
    diag_hint(diag, "a study begins with `study name {`");
    return NULL;
  }
  diag_error(diag, (SrcLoc){0}, "'%s' has no study '%s'", path, name);
  const char *near = nearest_name(name, names, file->n_studies);
  if (near) diag_hint(diag, "did you mean '%s'?", near);
  return NULL;
}
