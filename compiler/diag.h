// Diag: faults in the user's .net text, with place, source line, carets, notes and hints.
//
// Messages are lower case without a full stop; primary message short, details as notes, remedy as a hint.
#ifndef SG_DIAG_H
#define SG_DIAG_H

#include <stdbool.h>

#include "runtime/base/arena.h"
#include "runtime/base/text.h"

// A range of source text on one line. `file` lives as long as the graph; NULL file means "no place".
typedef struct SrcLoc {
  const char *file;
  int line, column; // 1-based; columns count bytes
  int length;       // bytes to underline, at least 1
} SrcLoc;

typedef struct Diag Diag;

// `max_errors` after which further errors are only counted (20 is the commands' default).
Diag *diag_new(Arena *arena, int max_errors);

// Registers the text of a file so that its lines can be shown. Both strings are copied.
void diag_add_source(Diag *diag, const char *file, const char *text);

void diag_error(Diag *diag, SrcLoc loc, const char *format, ...) __attribute__((format(printf, 3, 4)));
void diag_warning(Diag *diag, SrcLoc loc, const char *format, ...) __attribute__((format(printf, 3, 4)));
// Belong to the last error or warning; a note has its own place.
void diag_note(Diag *diag, SrcLoc loc, const char *format, ...) __attribute__((format(printf, 3, 4)));
void diag_hint(Diag *diag, const char *format, ...) __attribute__((format(printf, 2, 3)));

int diag_errors(const Diag *diag);

// Appends everything reported, in source order of reporting, as
//   file:line:col: error: text
//      12 |   y = conv(x, 8)
//         |       ^~~~~~~~~~
//   file:line:col: note: text
//   hint: text
// `color` uses ANSI colours.
void diag_print(const Diag *diag, Text *out, bool color);

#endif
