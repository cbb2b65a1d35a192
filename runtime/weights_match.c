// Matching a weight file with the tensors of a model.
#include "runtime/weights_match.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/strmap.h"
#include "runtime/program.h"

enum { MAX_NAMED = 3, PICTURE_CHANNELS = 3 };

// What training scripts put before the names of a network's tensors.
static const char *const file_prefixes[] = {"",        "state_dict.",        "model_state_dict.", "model.",
                                            "module.", "state_dict.module.", "model.module."};
enum { N_FILE_PREFIXES = sizeof file_prefixes / sizeof *file_prefixes };

static bool starts_with(const char *text, const char *prefix) { return !strncmp(text, prefix, strlen(prefix)); }

static bool ends_with(const char *text, const char *suffix) {
  size_t n = strlen(text), m = strlen(suffix);
  return n >= m && !strcmp(text + n - m, suffix);
}

static const WeightTensor *find(const WeightFile *file, const char *file_prefix, const char *name) {
  Text path = {0};
  text_printf(&path, "%s%s", file_prefix, name);
  const WeightTensor *tensor = weights_find(file, text_get(&path));
  text_free(&path);
  return tensor;
}

// ---- prefixes

// How many of the model's names each prefix would find in the file, as counts in a map: every target votes for every
// prefix that leaves a name of the file.
static StrMap *vote(Arena *arena, const WeightFile *file, const char *file_prefix, const MatchTarget *targets, int n) {
  StrMap *votes = strmap_new(arena);
  for (int i = 0; i < n; i++) {
    if (program_is_step_state(targets[i].name)) continue;
    for (const char *rest = targets[i].name; rest; rest = strchr(rest, '.') ? strchr(rest, '.') + 1 : NULL) {
      if (!find(file, file_prefix, rest)) continue;
      const char *prefix = arena_strndup(arena, targets[i].name, (size_t)(rest - targets[i].name));
      intptr_t votes_so_far = (intptr_t)strmap_get(votes, prefix);
      strmap_set(votes, prefix, (void *)(votes_so_far + 1));
    }
  }
  return votes;
}

static void find_prefixes(Arena *arena, const WeightFile *file, const MatchTarget *targets, int n_targets,
                          MatchTable *table) {
  intptr_t best = 0;
  int capacity = 0;
  for (int k = 0; k < N_FILE_PREFIXES; k++) {
    StrMap *votes = vote(arena, file, file_prefixes[k], targets, n_targets);
    bool is_better = false;
    for (int i = 0; i < strmap_count(votes); i++) {
      intptr_t count = (intptr_t)strmap_value(votes, i);
      if (count > best) {
        best = count;
        is_better = true;
      }
    }
    if (!is_better) continue;
    table->file_prefix = file_prefixes[k];
    table->n_prefixes = 0;
    for (int i = 0; i < strmap_count(votes); i++)
      if ((intptr_t)strmap_value(votes, i) == best)
        ARENA_PUSH(arena, table->prefixes, table->n_prefixes, capacity, strmap_key(votes, i));
  }
}

static void take_prefix(Arena *arena, const WeightFile *file, const MatchTarget *targets, int n_targets,
                        const char *prefix, MatchTable *table) {
  bool is_whole = !*prefix || ends_with(prefix, ".");
  table->prefixes = ARENA_ARRAY(arena, const char *, 1);
  table->prefixes[0] = arena_printf(arena, "%s%s", prefix, is_whole ? "" : ".");
  table->n_prefixes = 1;
  int best = 0;
  for (int k = 0; k < N_FILE_PREFIXES; k++) {
    int found = 0;
    for (int i = 0; i < n_targets; i++)
      if (starts_with(targets[i].name, table->prefixes[0]))
        found += find(file, file_prefixes[k], targets[i].name + strlen(table->prefixes[0])) != NULL;
    if (found <= best) continue;
    best = found;
    table->file_prefix = file_prefixes[k];
  }
}

// ---- matching

bool match_repeats(Shape from, Shape to) {
  if (from.rank != 4 || to.rank != 4 || from.dim[1] != PICTURE_CHANNELS || to.dim[1] < 1) return false;
  from.dim[1] = to.dim[1];
  return shape_equal(from, to);
}

void match_repeat(Shape from, const float *kernel, Shape to, float *out) {
  int64_t plane = from.dim[2] * from.dim[3];
  for (int64_t o = 0; o < to.dim[0]; o++)
    for (int64_t i = 0; i < to.dim[1]; i++)
      memcpy(out + (o * to.dim[1] + i) * plane, kernel + (o * from.dim[1] + i % from.dim[1]) * plane,
             (size_t)plane * sizeof *out);
}

void match_values(const Match *match, float *out) {
  if (match->kind == MATCH_FITS) {
    weights_to_f32(match->tensor, out);
    return;
  }
  float *kernel = malloc((size_t)shape_elements(match->tensor->shape) * sizeof *kernel + 1);
  if (!kernel) BUG("out of memory");
  weights_to_f32(match->tensor, kernel);
  match_repeat(match->tensor->shape, kernel, match->target->shape, out);
  free(kernel);
}

static Match match_one(const WeightFile *file, const char *file_prefix, const MatchTarget *target, const char *rest) {
  Match match = {target, MATCH_MISSING, find(file, file_prefix, rest)};
  if (!match.tensor) match.kind = ends_with(rest, "num_batches_tracked") ? MATCH_COUNTER : MATCH_MISSING;
  else if (shape_equal(match.tensor->shape, target->shape)) match.kind = MATCH_FITS;
  else match.kind = match_repeats(match.tensor->shape, target->shape) ? MATCH_REPEATED : MATCH_SHAPE;
  return match;
}

void weights_match(Arena *arena, const WeightFile *file, const MatchTarget *targets, int n_targets, const char *prefix,
                   MatchTable *out) {
  *out = (MatchTable){.file_prefix = ""};
  if (prefix) take_prefix(arena, file, targets, n_targets, prefix, out);
  else find_prefixes(arena, file, targets, n_targets, out);
  StrMap *used = strmap_new(arena);
  int capacity = 0;
  for (int i = 0; i < n_targets; i++) {
    if (program_is_step_state(targets[i].name)) continue;
    for (int k = 0; k < out->n_prefixes; k++) {
      if (!starts_with(targets[i].name, out->prefixes[k])) continue;
      Match match = match_one(file, out->file_prefix, &targets[i], targets[i].name + strlen(out->prefixes[k]));
      if (match.tensor) strmap_set(used, match.tensor->name, arena);
      out->count[match.kind]++;
      ARENA_PUSH(arena, out->matches, out->n_matches, capacity, match);
      break;
    }
  }
  capacity = 0;
  for (int i = 0; i < weights_count(file); i++) {
    const WeightTensor *tensor = weights_at(file, i);
    if (!program_is_step_state(tensor->name) && !strmap_get(used, tensor->name))
      ARENA_PUSH(arena, out->unused, out->n_unused, capacity, tensor);
  }
}

// ---- in words

static void name_some(const MatchTable *table, MatchKind kind, Text *out) {
  int n = 0;
  for (int i = 0; i < table->n_matches && n <= MAX_NAMED; i++) {
    const Match *match = &table->matches[i];
    if (match->kind != kind) continue;
    if (n++ == MAX_NAMED) {
      text_put(out, ", ...");
      break;
    }
    text_printf(out, "%s%s", n > 1 ? ", " : "", match->target->name);
    char have[SHAPE_TEXT], want[SHAPE_TEXT];
    if (kind == MATCH_SHAPE)
      text_printf(out, " (%s in the file, %s in the model)", shape_text(match->tensor->shape, have),
                  shape_text(match->target->shape, want));
  }
}

Status match_check(const MatchTable *table, const WeightFile *file) {
  const char *path = weights_path(file), *prefix = table->n_prefixes ? table->prefixes[0] : "";
  if (!table->n_prefixes) return status_make(EXIT_WEIGHTS, "%s has no tensor of a name that the model has", path);
  if (!table->n_matches) return status_make(EXIT_WEIGHTS, "the model has no tensors below '%s'", prefix);
  int missing = table->count[MATCH_MISSING], misshapen = table->count[MATCH_SHAPE];
  if (!missing && !misshapen) return STATUS_OK;
  Text text = {0};
  if (missing) {
    text_printf(&text, "%s lacks %d of the model's %d tensors below '%s': ", path, missing, table->n_matches, prefix);
    name_some(table, MATCH_MISSING, &text);
  }
  if (misshapen) {
    text_printf(&text, "%s%d tensors of %s have another shape than the model's: ", missing ? "; " : "", misshapen,
                path);
    name_some(table, MATCH_SHAPE, &text);
  }
  Status status = status_make(EXIT_WEIGHTS, "%s", text_get(&text));
  text_free(&text);
  return status;
}

void match_describe(const MatchTable *table, const WeightFile *file, Text *out) {
  if (!table->n_matches) {
    text_printf(out, "%s: nothing fits the model", weights_path(file));
    return;
  }
  text_printf(out, "%s: %d tensors for", weights_path(file), table->count[MATCH_FITS] + table->count[MATCH_REPEATED]);
  for (int i = 0; i < table->n_prefixes; i++)
    text_printf(out, "%s %s", i ? "," : "", *table->prefixes[i] ? table->prefixes[i] : "the whole model");
  for (int i = 0; i < table->n_matches; i++) {
    const Match *match = &table->matches[i];
    if (match->kind == MATCH_REPEATED)
      text_printf(out, "; %s repeated from %lld to %lld input channels", match->target->name,
                  (long long)match->tensor->shape.dim[1], (long long)match->target->shape.dim[1]);
  }
  if (table->count[MATCH_COUNTER])
    text_printf(out, "; %d batch counters stay as they are", table->count[MATCH_COUNTER]);
  if (table->n_unused) text_printf(out, "; %d not used:", table->n_unused);
  for (int i = 0; i < table->n_unused && i < MAX_NAMED + 1; i++)
    text_printf(out, "%s %s", i ? "," : "", table->unused[i]->name);
  if (table->n_unused > MAX_NAMED + 1) text_put(out, ", ...");
}
