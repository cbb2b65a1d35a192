// report: see report.h.
#include "lang/report.h"

#include <string.h>

enum { MAX_CHAIN = 8 }; // instances shown; of more, the middle is left out

Report report_new(Arena *arena, Diag *diag) {
  return (Report){.arena = arena, .diag = diag, .seen = strmap_new(arena)};
}

void report_flush(Report *report) {
  const Instance *instance = report->pending;
  report->pending = NULL;
  int n = 0, i = 0;
  for (const Instance *at = instance; at && at->caller; at = at->caller) n++;
  for (; instance && instance->caller; instance = instance->caller, i++) {
    if (n > MAX_CHAIN && i >= MAX_CHAIN / 2 && i < n - MAX_CHAIN / 2) {
      if (i == MAX_CHAIN / 2) diag_note(report->diag, (SrcLoc){0}, "... %d instances more ...", n - MAX_CHAIN);
      continue;
    }
    if (*instance->path)
      diag_note(report->diag, instance->call, "in module %s, instantiated as %s here", instance->module,
                instance->path);
    else diag_note(report->diag, instance->call, "in module %s, called here", instance->module);
  }
  if (report->hint) diag_hint(report->diag, "%s", report->hint);
  report->hint = NULL;
}

void report_error(Report *report, const Instance *instance, SrcLoc loc, const char *format, ...) {
  report_flush(report);
  report->n_errors++;
  if (loc.file) {
    const char *place = arena_printf(report->arena, "%s:%d:%d", loc.file, loc.line, loc.column);
    report->is_muted = strmap_get(report->seen, place) != NULL;
    if (report->is_muted) return;
    strmap_set(report->seen, place, report);
  }
  report->is_muted = false;
  va_list args;
  va_start(args, format);
  diag_error(report->diag, loc, "%s", arena_vprintf(report->arena, format, args));
  va_end(args);
  report->pending = instance;
}

void report_note(Report *report, SrcLoc loc, const char *format, ...) {
  if (report->is_muted) return;
  va_list args;
  va_start(args, format);
  diag_note(report->diag, loc, "%s", arena_vprintf(report->arena, format, args));
  va_end(args);
}

void report_hint(Report *report, const char *format, ...) {
  if (report->is_muted) return;
  va_list args;
  va_start(args, format);
  report->hint = arena_vprintf(report->arena, format, args);
  va_end(args);
}
