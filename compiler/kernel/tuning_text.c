// Tuning text: results as lines that people can read.
#include <stdlib.h>
#include <string.h>

#include "compiler/kernel/tuning_own.h"

static const char head[] = "sgc tuned schedules 1\n";

// The word at *at, and *at behind it and the space that follows; NULL at the end of the line.
static const char *take_word(Arena *arena, const char **at) {
  size_t n = strcspn(*at, " \n");
  if (!n) return NULL;
  const char *word = arena_strndup(arena, *at, n);
  *at += n;
  if (**at == ' ') ++*at;
  return word;
}

// "rows=4 parts=2" to the end of the line; NULL if it is not that.
static const char *take_values(Arena *arena, const char *at) {
  const char *whole = arena_strndup(arena, at, strcspn(at, "\n"));
  for (const char *item; (item = take_word(arena, &at));) {
    size_t name = strspn(item, "abcdefghijklmnopqrstuvwxyz_.0123456789");
    char *end = NULL;
    if (!name || item[name] != '=') return NULL;
    strtoll(item + name + 1, &end, 10);
    if (!item[name + 1] || *end) return NULL;
  }
  return *whole ? whole : NULL;
}

static const char *next_line(const char *line) {
  const char *end = strchr(line, '\n');
  return end ? end + 1 : line + strlen(line);
}

// Whether the line is a result at all; its context to *context.
static bool read_line(Arena *arena, const char *line, const char **context, TuningResult *out) {
  *context = take_word(arena, &line);
  out->name = take_word(arena, &line);
  out->symbol = take_word(arena, &line);
  const char *ratio = take_word(arena, &line);
  if (!ratio) return false;
  char *end;
  out->ratio = strtod(ratio, &end);
  if (*end || !(out->ratio > 0) || !(out->ratio < 100)) return false;
  out->values = take_values(arena, line);
  if (!strcmp(out->symbol, "-")) out->symbol = NULL;
  return out->values != NULL;
}

TuningReading tuning_read(Tuning *tuning, const char *context, const char *text) {
  TuningReading reading = {0};
  size_t n = sizeof head - 1;
  if (strncmp(text, head, n) != 0) {
    reading.is_other = *text != 0;
    return reading;
  }
  for (const char *line = text + n; *line; line = next_line(line)) {
    TuningResult result;
    const char *own;
    if (*line == '#' || *line == '\n') continue;
    bool is_whole = strchr(line, '\n') && read_line(tuning->arena, line, &own, &result);
    if (!is_whole) reading.n_broken++;
    else if (strcmp(own, context) != 0) reading.n_foreign++;
    else reading.n_taken++;
    if (is_whole && !strcmp(own, context)) tuning_set(tuning, &result);
  }
  return reading;
}

static int compare_names(const void *a, const void *b) {
  return strcmp(((const TuningResult *)a)->name, ((const TuningResult *)b)->name);
}

int tuning_results(const Tuning *tuning, Arena *arena, const TuningResult **out) {
  int n = 0, count = strmap_count(tuning->results);
  TuningResult *list = ARENA_ARRAY(arena, TuningResult, count + 1);
  for (int i = 0; i < count; i++) {
    const TuningResult *result = strmap_value(tuning->results, i);
    if (result) list[n++] = *result;
  }
  if (n) qsort(list, (size_t)n, sizeof *list, compare_names);
  *out = list;
  return n;
}

void tuning_write(const Tuning *tuning, const char *context, const char *earlier, Text *out) {
  text_put(out, head);
  text_put(out, "# machine, kernel as the cost model makes it (or layer), kernel that was measured, time of the one "
                "over the other, choices\n");
  Arena *arena = arena_new();
  bool is_known = !strncmp(earlier, head, sizeof head - 1);
  for (const char *line = is_known ? earlier + sizeof head - 1 : ""; *line; line = next_line(line)) {
    TuningResult result;
    const char *own;
    if (*line == '#' || !strchr(line, '\n') || !read_line(arena, line, &own, &result) || !strcmp(own, context))
      continue;
    text_write(out, line, (size_t)(next_line(line) - line));
  }
  const TuningResult *result;
  int n = tuning_results(tuning, arena, &result);
  for (int i = 0; i < n; i++)
    text_printf(out, "%s %s %s %.3f %s\n", context, result[i].name, result[i].symbol ? result[i].symbol : "-",
                result[i].ratio, result[i].values);
  arena_free(arena);
}
