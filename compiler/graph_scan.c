// Scan: characters, words, numbers and strings of graph text.
#include "compiler/graph_scan.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

SrcLoc scan_here(const Scan *scan) {
  return (SrcLoc){scan->file, scan->line, (int)(scan->at - scan->line_start) + 1, 1};
}

// Reports the first error only.
void scan_fail_at(Scan *scan, SrcLoc loc, const char *text) {
  if (!scan->is_broken) diag_error(scan->diag, loc, "%s", text);
  scan->is_broken = true;
}

void scan_fail(Scan *scan, const char *text) { scan_fail_at(scan, scan_here(scan), text); }

void scan_space(Scan *scan) {
  while (*scan->at == ' ' || *scan->at == '\t' || *scan->at == '\r') scan->at++;
  if (*scan->at == '#') scan->at += strcspn(scan->at, "\n");
}

bool scan_accept(Scan *scan, const char *token) {
  scan_space(scan);
  size_t n = strlen(token);
  if (scan->is_broken || strncmp(scan->at, token, n)) return false;
  // A word must end where the token does.
  if (isalnum((unsigned char)token[n - 1]) && (isalnum((unsigned char)scan->at[n]) || scan->at[n] == '_')) return false;
  scan->at += n;
  return true;
}

void scan_expect(Scan *scan, const char *token) {
  if (!scan_accept(scan, token)) scan_fail(scan, arena_printf(scan->arena, "expected '%s'", token));
}

static bool is_word_char(char c) { return isalnum((unsigned char)c) || c == '_' || c == '.' || c == '-'; }

const char *scan_word(Scan *scan) {
  scan_space(scan);
  const char *start = scan->at;
  while (is_word_char(*scan->at)) scan->at++;
  if (scan->at == start) scan_fail(scan, "expected a word");
  return arena_strndup(scan->arena, start, (size_t)(scan->at - start));
}

int64_t scan_int(Scan *scan) {
  scan_space(scan);
  char *end;
  errno = 0;
  long long value = strtoll(scan->at, &end, 10);
  if (end == scan->at || errno) {
    scan_fail(scan, "expected a whole number");
    return 0;
  }
  scan->at = end;
  return value;
}

int scan_count(Scan *scan) {
  int64_t value = scan_int(scan);
  if (value < 0 || value > 1 << 30) {
    scan_fail(scan, "number out of range");
    return 0;
  }
  return (int)value;
}

double scan_double(Scan *scan) {
  scan_space(scan);
  char *end;
  double value = strtod(scan->at, &end);
  if (end == scan->at) scan_fail(scan, "expected a number");
  scan->at = end;
  return value;
}

// A quoted string with the escapes that text_put_json writes.
const char *scan_string(Scan *scan) {
  scan_expect(scan, "\"");
  Text text = {0};
  while (!scan->is_broken && *scan->at != '"') {
    char c = *scan->at;
    if (!c || c == '\n') {
      scan_fail(scan, "unfinished string");
      break;
    }
    scan->at++;
    if (c == '\\') {
      c = *scan->at;
      if (!c) continue;
      scan->at++;
      if (c == 'n') c = '\n';
      if (c == 'u') {
        char digits[5] = {0};
        for (int i = 0; i < 4 && *scan->at; i++) digits[i] = *scan->at++;
        c = (char)strtol(digits, NULL, 16);
      }
    }
    text_write(&text, &c, 1);
  }
  if (!scan->is_broken) scan->at++;
  const char *copy = arena_strdup(scan->arena, text_get(&text));
  text_free(&text);
  return copy;
}

const char *scan_name(Scan *scan) {
  scan_space(scan);
  return *scan->at == '"' ? scan_string(scan) : scan_word(scan);
}

Shape scan_shape(Scan *scan) {
  Shape shape = {0};
  scan_expect(scan, "[");
  while (!scan->is_broken && !scan_accept(scan, "]")) {
    if (shape.rank) scan_expect(scan, ",");
    if (shape.rank == MAX_RANK) {
      scan_fail(scan, "too many numbers");
      break;
    }
    shape.dim[shape.rank++] = scan_int(scan);
  }
  return shape;
}
