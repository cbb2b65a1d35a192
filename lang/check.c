// check: runs all checks on all files.
#include "lang/check.h"

static void check_constant(Check *check, Decl *decl) {
  check->decl = decl;
  check->locals = strmap_new(check->file->arena);
  check_expr(check, decl->value);
}

void check_file(LangFile *file, Diag *diag) {
  Check check = {.file = file, .report = report_new(file->arena, diag)};
  for (int i = 0; i < file->n_sources; i++) {
    check.source = file->sources[i];
    for (int k = 0; k < check.source->decls.n; k++) {
      Decl *decl = check.source->decls.items[k];
      switch (decl->kind) {
      case DECL_MODULE:
      case DECL_MODEL: check_module(&check, decl); break;
      case DECL_CONST: check_constant(&check, decl); break;
      case DECL_TRAIN: check_train(&check, decl); break;
      case DECL_STUDY: check_study(&check, decl); break;
      }
    }
  }
  check_circles(&check);
  report_flush(&check.report);
}
