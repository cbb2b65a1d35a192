// Diag: messages with lines, carets, notes and hints; the limit; odd places.
#include "compiler/diag.h"
#include "tests/check.h"

static const char *show(Arena *arena, const Diag *diag, bool color) {
  Text text = {0};
  diag_print(diag, &text, color);
  const char *copy = arena_strdup(arena, text_get(&text));
  text_free(&text);
  return copy;
}

static void check_form(Arena *arena) {
  Diag *diag = diag_new(arena, 20);
  diag_add_source(diag, "m.net", "net 1\n  y = conv(x, 8)\n\tz = y\r\n");
  diag_error(diag, (SrcLoc){"m.net", 2, 7, 10}, "sizes of axis %d differ", 1);
  diag_note(diag, (SrcLoc){"m.net", 3, 6, 1}, "made here");
  diag_hint(diag, "try this");
  diag_warning(diag, (SrcLoc){"other.net", 1, 2, 3}, "no source at hand");
  diag_error(diag, (SrcLoc){0}, "no place at all");
  CHECK(diag_errors(diag) == 2, "two errors");
  CHECK_TEXT(show(arena, diag, false),
             "m.net:2:7: error: sizes of axis 1 differ\n"
             "    2 |   y = conv(x, 8)\n"
             "      |       ^~~~~~~~~~\n"
             "m.net:3:6: note: made here\n"
             "    3 | \tz = y\n"
             "      | \t    ^\n"
             "hint: try this\n"
             "other.net:1:2: warning: no source at hand\n"
             "error: no place at all\n",
             "the whole form");
  const char *colored = show(arena, diag, true);
  CHECK(strstr(colored, "\033[1;31merror:\033[0m"), "errors are red");
  CHECK(!strstr(show(arena, diag, false), "\033"), "no colour where none is wanted");
}

static void check_limit(Arena *arena) {
  Diag *diag = diag_new(arena, 2);
  for (int i = 0; i < 5; i++) {
    diag_error(diag, (SrcLoc){0}, "fault %d", i);
    diag_note(diag, (SrcLoc){0}, "note %d", i);
  }
  CHECK(diag_errors(diag) == 5, "all are counted");
  CHECK_TEXT(show(arena, diag, false),
             "error: fault 0\nnote: note 0\nerror: fault 1\nnote: note 1\n3 more errors not shown\n",
             "further ones are dropped with their notes");
}

// Places outside the text, long lines, bytes that a terminal must not see.
static void check_odd_places(Arena *arena) {
  Diag *diag = diag_new(arena, 20);
  diag_add_source(diag, "m", "ab\033[2J\nm\303\274de x");
  diag_error(diag, (SrcLoc){"m", 1, 2, 99}, "long");
  diag_error(diag, (SrcLoc){"m", 2, 7, 1}, "after an umlaut");
  diag_error(diag, (SrcLoc){"m", 2, 99, 5}, "beyond");
  diag_error(diag, (SrcLoc){"m", 99, 1, 1}, "no such line");
  diag_error(diag, (SrcLoc){"m", 0, 0, 0}, "a file alone");
  diag_error(diag, (SrcLoc){"m", 2, -5, -5}, "negative");
  CHECK_TEXT(show(arena, diag, false),
             "m:1:2: error: long\n    1 | ab?[2J\n      |  ^~~~~\n"
             "m:2:7: error: after an umlaut\n    2 | m\303\274de x\n      |      ^\n"
             "m:2:99: error: beyond\n    2 | m\303\274de x\n      |       ^\n"
             "m:99:1: error: no such line\nm: error: a file alone\n"
             "m:2:-5: error: negative\n    2 | m\303\274de x\n      | ^\n",
             "nothing breaks");

  char line[1001];
  memset(line, 'x', 1000);
  line[1000] = 0;
  memcpy(line + 500, "HERE", 4);
  Diag *wide = diag_new(arena, 20);
  diag_add_source(wide, "w", line);
  diag_error(wide, (SrcLoc){"w", 1, 501, 4}, "far right");
  const char *text = show(arena, wide, false);
  const char *shown = strstr(text, "HERE"), *caret = strstr(text, "^~~~");
  CHECK(shown && caret && strlen(text) < 400, "a long line is cut around the place");
  if (!shown || !caret) return;
  const char *second = strrchr(text, '|');
  CHECK(shown - strchr(text, '|') == caret - second, "the caret stands below the place");
}

int main(void) {
  Arena *arena = arena_new();
  check_form(arena);
  check_limit(arena);
  check_odd_places(arena);
  arena_free(arena);
  return check_report("diag");
}
