// sgc tune: choices that decide which kernels there are, one at a time. Two programs are compared by the kernels that
// one of them has and the other has not.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/order.h"
#include "runtime/base/strmap.h"
#include "tools/sgc_tune.h"

static const double LEAST_SHARE = 0.005, MARGIN = 0.03, MEASURE_SECONDS = 2;

typedef struct Layer {
  const char *name, *knob;
  int64_t model, least, most;
  double seconds; // of the kernels that another choice replaces
} Layer;

typedef struct Search {
  Tuner *tuner;
  Arena *arena;
  Findings *findings;
  Variant current; // with what was found so far
  double *seconds; // of its steps, before anything was found
  double total;
} Search;

static TuningResult result_of(Arena *arena, const Layer *layer, int64_t value) {
  return (TuningResult){layer->name, NULL, arena_printf(arena, "%s=%lld", layer->knob, (long long)value), 1};
}

// What was found so far and one choice more.
static ExitCode compile_with(Search *s, const Layer *layer, int64_t value, Variant *out) {
  TuningResult *result;
  int n = findings_results(s->tuner, s->findings, &result);
  TuningResult *all = ARENA_ARRAY(s->arena, TuningResult, n + 1);
  if (n) memcpy(all, result, sizeof *all * (size_t)n);
  all[n] = result_of(s->arena, layer, value);
  return variant_compile(s->tuner, all, n + 1, out);
}

static void count_symbols(const Program *program, StrMap *counts) {
  for (int i = 0; i < program->n_steps; i++) {
    const char *symbol = program->steps[i].symbol;
    strmap_set(counts, symbol, (char *)strmap_get(counts, symbol) + 1);
  }
}

// The steps of each program whose kernels the other has not, or not as often.
static void mark_different(Arena *arena, const Program *const pair[2], bool *out[2]) {
  StrMap *counts[2];
  for (int side = 0; side < 2; side++) {
    counts[side] = strmap_new(arena);
    count_symbols(pair[side], counts[side]);
    out[side] = ARENA_ARRAY(arena, bool, pair[side]->n_steps + 1);
  }
  for (int side = 0; side < 2; side++) {
    for (int i = 0; i < pair[side]->n_steps; i++) {
      const char *symbol = pair[side]->steps[i].symbol;
      out[side][i] = strmap_get(counts[0], symbol) != strmap_get(counts[1], symbol);
    }
  }
}

// How long the layer's kernels take: those that go where it is computed otherwise.
static ExitCode weigh(Search *s, Layer *layer) {
  Variant other = {0};
  bool *different[2];
  ExitCode code = compile_with(s, layer, layer->model == layer->least ? layer->most : layer->least, &other);
  if (!code) {
    mark_different(s->arena, (const Program *const[]){s->current.program, other.program}, different);
    for (int i = 0; i < s->current.program->n_steps; i++) layer->seconds += different[0][i] ? s->seconds[i] : 0;
  }
  variant_close(&other);
  return code;
}

static int by_seconds(const void *a, const void *b) {
  return order_of(((const Layer *)b)->seconds, ((const Layer *)a)->seconds);
}

static ExitCode find_layers(Search *s, Layer **out, int *out_n) {
  const TuningSubject *subject;
  int n_subjects = tuning_subjects(s->current.tuning, &subject), n = 0;
  Layer *layer = ARENA_ARRAY(s->arena, Layer, n_subjects + 1);
  ExitCode code = EXIT_DONE;
  for (int i = 0; i < n_subjects && !code; i++) {
    const Knob *knob = subject[i].knob;
    if (subject[i].symbol) continue;
    // The program with these names may be closed before the layer's turn comes.
    layer[n] = (Layer){arena_strdup(s->arena, subject[i].name),
                       arena_strdup(s->arena, knob->name),
                       knob->model,
                       knob->least,
                       knob->most,
                       0};
    code = weigh(s, &layer[n]);
    if (layer[n].seconds >= LEAST_SHARE * s->total) n++;
  }
  qsort(layer, (size_t)n, sizeof *layer, by_seconds);
  *out = layer;
  *out_n = n;
  return code;
}

// Tries one choice for the layer; the current program becomes the other one if that is faster.
static ExitCode try_value(Search *s, const Layer *layer, int64_t value, Finding *finding) {
  Tuner *tuner = s->tuner;
  Arena *arena = arena_new();
  Variant other = {0};
  bool *different[2];
  Rounds rounds;
  ExitCode code = compile_with(s, layer, value, &other);
  if (!code) mark_different(arena, (const Program *const[]){s->current.program, other.program}, different);
  if (!code) code = variant_open(tuner, NULL, &other);
  double apart = 0;
  if (!code) code = compare_programs(tuner, &s->current, &other, &apart);
  const Variant *const pair[2] = {&s->current, &other};
  Verdict verdict = {.ratio = 1};
  bool is_sound = apart <= TUNE_LAYER_TOLERANCE;
  if (isinf(apart))
    cli_say(tuner->cli, "  %s %s=%lld: left out, as the programs are too different to be compared", layer->name,
            layer->knob, (long long)value);
  else if (!is_sound)
    fprintf(stderr, "BUG: %s with %s=%lld changes results by %.1e of the largest; it is not used\n", layer->name,
            layer->knob, (long long)value, apart);
  if (!code && is_sound) code = rounds_measure(tuner, arena, pair, rounds_for(MEASURE_SECONDS, &s->current), &rounds);
  if (!code && is_sound)
    verdict = rounds_judge(arena, &rounds, (const bool *const[]){different[0], different[1]}, MARGIN);
  if (!code && is_sound)
    cli_say(tuner->cli, "  %s %s=%lld: %.3f", layer->name, layer->knob, (long long)value, verdict.ratio);
  if (!code && verdict.is_faster && !*tuner->is_interrupted) {
    finding->result.values = result_of(tuner->arena, layer, value).values;
    finding->result.ratio *= verdict.ratio; // to what was best before
    finding->change =
        arena_printf(tuner->arena, "%s %lld -> %lld", layer->knob, (long long)layer->model, (long long)value);
    variant_close(&s->current);
    s->current = other;
  } else {
    variant_close(&other);
  }
  arena_free(arena);
  return code;
}

static ExitCode try_layer(Search *s, const Layer *layer) {
  Findings *findings = s->findings;
  Arena *arena = s->tuner->arena;
  Finding new = {.result = {arena_strdup(arena, layer->name), NULL, "", 1},
                 .what = arena_strdup(arena, layer->name),
                 .change = "",
                 .seconds = layer->seconds,
                 .is_layer = true};
  ARENA_PUSH(arena, findings->of, findings->n, findings->capacity, new);
  ExitCode code = EXIT_DONE;
  for (int64_t value = layer->least; value <= layer->most && !code && !tuner_is_over(s->tuner); value++)
    if (value != layer->model) code = try_value(s, layer, value, &findings->of[findings->n - 1]);
  return code;
}

ExitCode tune_layers(Tuner *tuner, Findings *findings) {
  Search s = {.tuner = tuner, .arena = arena_new(), .findings = findings};
  Layer *layer = NULL;
  int n = 0;
  ExitCode code = variant_compile(tuner, NULL, 0, &s.current);
  if (!code) code = variant_open(tuner, NULL, &s.current);
  if (!code) {
    s.seconds = ARENA_ARRAY(s.arena, double, s.current.program->n_steps + 1);
    code = steps_measure(tuner, s.arena, &s.current, s.seconds);
  }
  for (int i = 0; !code && i < s.current.program->n_steps; i++) s.total += s.seconds[i];
  if (!code) code = find_layers(&s, &layer, &n);
  if (!code && n) cli_say(tuner->cli, "%d layers that may be computed in another way:", n);
  for (int i = 0; i < n && !code && !tuner_is_over(tuner); i++) code = try_layer(&s, &layer[i]);
  variant_close(&s.current);
  arena_free(s.arena);
  return code;
}
