// Scan: characters, words, numbers and strings of graph text. Private to compiler/.
//
// After the first error nothing more is reported and nothing is accepted.
#ifndef SG_GRAPH_SCAN_H
#define SG_GRAPH_SCAN_H

#include "compiler/diag.h"
#include "runtime/tensor.h"

typedef struct Scan {
  Arena *arena; // strings that are read live here
  Diag *diag;
  const char *file;
  const char *at, *line_start;
  int line;
  bool is_broken;
} Scan;

SrcLoc scan_here(const Scan *scan);
void scan_fail_at(Scan *scan, SrcLoc loc, const char *text);
void scan_fail(Scan *scan, const char *text); // at the present place

void scan_space(Scan *scan); // skips blanks and a comment, not the line end
// Whether the token stands here, and if so goes behind it. A token that is a word must be a whole word of the text.
bool scan_accept(Scan *scan, const char *token);
void scan_expect(Scan *scan, const char *token);

const char *scan_word(Scan *scan); // letters, digits, '_', '.', '-'
int64_t scan_int(Scan *scan);
int scan_count(Scan *scan);          // 0..2^30
double scan_double(Scan *scan);      // decimal or hexadecimal
const char *scan_string(Scan *scan); // in quotes, with the escapes of text_put_json
const char *scan_name(Scan *scan);   // a string or a word
Shape scan_shape(Scan *scan);        // [1, 2, 3]; the sizes are not checked

#endif
