// report: errors of the later stages, each place once, followed by the chain of module instances.
#ifndef SG_LANG_REPORT_H
#define SG_LANG_REPORT_H

#include "compiler/diag.h"
#include "runtime/base/strmap.h"

// One call of a module; `caller` is NULL for the model itself.
typedef struct Instance {
  const struct Instance *caller;
  const char *module;
  const char *path;
  SrcLoc call;
} Instance;

typedef struct Report {
  Arena *arena;
  Diag *diag;
  StrMap *seen;            // places with an error
  const Instance *pending; // chain to be added once the present error has its notes
  const char *hint;        // to be added behind the chain, or NULL
  bool is_muted;           // the present error is a repetition
  int n_errors;
} Report;

Report report_new(Arena *arena, Diag *diag);

// An error in the given instance (NULL = in none). Only the first at a place is shown: a module that is wrong is wrong
// in all its instances.
void report_error(Report *report, const Instance *instance, SrcLoc loc, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
// Belong to the last error. The hint, one an error, comes behind the chain.
void report_note(Report *report, SrcLoc loc, const char *format, ...) __attribute__((format(printf, 3, 4)));
void report_hint(Report *report, const char *format, ...) __attribute__((format(printf, 2, 3)));
// Adds the chain and the hint of the last error; call it when all is done.
void report_flush(Report *report);

#endif
