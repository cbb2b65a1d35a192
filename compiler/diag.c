// Diag: collects errors, warnings, notes and hints, and shows them with their source lines.
#include "compiler/diag.h"

#include <stdarg.h>
#include <string.h>

#include "runtime/base/strmap.h"

typedef enum Severity { SEVERITY_ERROR, SEVERITY_WARNING, SEVERITY_NOTE, SEVERITY_HINT } Severity;

typedef struct Report {
  Severity severity;
  SrcLoc loc;
  const char *text;
} Report;

struct Diag {
  Arena *arena;
  int max_errors, n_errors;
  bool is_muted; // the last error was one too many: what belongs to it is dropped too
  Report *reports;
  int n_reports, cap_reports;
  StrMap *sources;
};

Diag *diag_new(Arena *arena, int max_errors) {
  Diag *diag = ARENA_ARRAY(arena, Diag, 1);
  diag->arena = arena;
  diag->max_errors = max_errors;
  diag->sources = strmap_new(arena);
  return diag;
}

void diag_add_source(Diag *diag, const char *file, const char *text) {
  strmap_set(diag->sources, file, arena_strdup(diag->arena, text));
}

static void report(Diag *diag, Severity severity, SrcLoc loc, const char *format, va_list args) {
  if (diag->is_muted) return;
  Report item = {.severity = severity, .loc = loc, .text = arena_vprintf(diag->arena, format, args)};
  if (loc.file) item.loc.file = arena_strdup(diag->arena, loc.file);
  ARENA_PUSH(diag->arena, diag->reports, diag->n_reports, diag->cap_reports, item);
}

void diag_error(Diag *diag, SrcLoc loc, const char *format, ...) {
  diag->is_muted = diag->n_errors >= diag->max_errors;
  diag->n_errors++;
  va_list args;
  va_start(args, format);
  report(diag, SEVERITY_ERROR, loc, format, args);
  va_end(args);
}

void diag_warning(Diag *diag, SrcLoc loc, const char *format, ...) {
  diag->is_muted = false;
  va_list args;
  va_start(args, format);
  report(diag, SEVERITY_WARNING, loc, format, args);
  va_end(args);
}

void diag_note(Diag *diag, SrcLoc loc, const char *format, ...) {
  va_list args;
  va_start(args, format);
  report(diag, SEVERITY_NOTE, loc, format, args);
  va_end(args);
}

void diag_hint(Diag *diag, const char *format, ...) {
  va_list args;
  va_start(args, format);
  report(diag, SEVERITY_HINT, (SrcLoc){0}, format, args);
  va_end(args);
}

int diag_errors(const Diag *diag) { return diag->n_errors; }

// ---- printing -------------------------------------------------------------------------------------------------------

enum { MAX_SHOWN = 140, LEAD_IN = 80 }; // bytes of a very long line that are shown, and of those before the place

static const char *const NAMES[] = {"error", "warning", "note", "hint"};
static const char *const COLORS[] = {"\033[1;31m", "\033[1;35m", "\033[1;36m", "\033[1;32m"};

// The given line (1-based) of a text, without its line end; NULL if there are fewer lines.
static const char *find_line(const char *text, int line, int *out_length) {
  if (line < 1) return NULL;
  for (int i = 1; i < line; i++) {
    text = strchr(text, '\n');
    if (!text) return NULL;
    text++;
  }
  *out_length = (int)strcspn(text, "\r\n");
  return text;
}

static bool is_continuation(char c) {
  return ((unsigned char)c & 0xC0) == 0x80; // not the first byte of a UTF-8 character
}

// The line's bytes as they may be shown on a terminal.
static void put_safe(Text *out, const char *line, int n) {
  for (int i = 0; i < n; i++) {
    bool is_control = ((unsigned char)line[i] < 32 && line[i] != '\t') || line[i] == 127;
    text_write(out, is_control ? "?" : &line[i], 1);
  }
}

static void put_source_line(Text *out, const char *source, SrcLoc loc, const char *color, const char *plain) {
  int length;
  const char *line = find_line(source, loc.line, &length);
  if (!line) return;
  int start = loc.column - 1 < 0 ? 0 : loc.column - 1;
  if (start > length) start = length;
  int cut = length > MAX_SHOWN && start > LEAD_IN ? start - LEAD_IN : 0;
  while (cut > 0 && is_continuation(line[cut])) cut--;
  int shown = length - cut > MAX_SHOWN ? MAX_SHOWN : length - cut;
  while (shown < length - cut && is_continuation(line[cut + shown])) shown++;

  text_printf(out, "%5d | ", loc.line);
  put_safe(out, line + cut, shown);
  text_put(out, "\n      | ");
  for (int i = cut; i < start; i++) {
    if (!is_continuation(line[i])) text_put(out, line[i] == '\t' ? "\t" : " ");
  }
  text_printf(out, "%s^", color);
  int end = loc.length < length - start ? start + loc.length : length;
  if (end > cut + shown) end = cut + shown;
  for (int i = start + 1; i < end; i++) {
    if (!is_continuation(line[i])) text_put(out, "~");
  }
  text_printf(out, "%s\n", plain);
}

static void put_report(const Diag *diag, const Report *item, Text *out, bool color) {
  const char *tint = color ? COLORS[item->severity] : "", *bold = color ? "\033[1m" : "",
             *plain = color ? "\033[0m" : "";
  if (item->loc.file) {
    text_printf(out, "%s%s:", bold, item->loc.file);
    if (item->loc.line > 0) text_printf(out, "%d:%d:", item->loc.line, item->loc.column);
    text_printf(out, "%s ", plain);
  }
  text_printf(out, "%s%s:%s %s\n", tint, NAMES[item->severity], plain, item->text);
  const char *source = item->loc.file ? strmap_get(diag->sources, item->loc.file) : NULL;
  if (source) put_source_line(out, source, item->loc, tint, plain);
}

void diag_print(const Diag *diag, Text *out, bool color) {
  for (int i = 0; i < diag->n_reports; i++) put_report(diag, &diag->reports[i], out, color);
  int more = diag->n_errors - diag->max_errors;
  if (more > 0) text_printf(out, "%d more error%s not shown\n", more, more == 1 ? "" : "s");
}
