// Tuning: the answers to schedules and passes, and the record of what they asked.
#include "compiler/kernel/tuning.h"

#include <stdlib.h>
#include <string.h>

#include "compiler/kernel/tuning_own.h"
#include "runtime/base/status.h"

Tuning *tuning_new(Arena *arena) {
  Tuning *tuning = ARENA_ARRAY(arena, Tuning, 1);
  *tuning = (Tuning){
      .arena = arena, .results = strmap_new(arena), .asked = strmap_new(arena), .forced = -1, .forced_layers = -1};
  return tuning;
}

void tuning_set(Tuning *tuning, const TuningResult *result) {
  Arena *arena = tuning->arena;
  TuningResult *copy = *result->values ? arena_memdup(arena, result, sizeof *result) : NULL;
  if (copy) {
    copy->name = arena_strdup(arena, result->name);
    copy->symbol = result->symbol ? arena_strdup(arena, result->symbol) : NULL;
    copy->values = arena_strdup(arena, result->values);
  }
  strmap_set(tuning->results, result->name, copy);
}

void tuning_force(Tuning *tuning, int of_kernels, int of_layers) {
  tuning->forced = of_kernels;
  tuning->forced_layers = of_layers;
}

// ---- knobs ----------------------------------------------------------------------------------------------------------

bool knob_is_few(const Knob *knob) { return knob->most - knob->least < KNOB_STEPS; }

int64_t knob_alternative(const Knob *knob, int i) {
  int64_t value = knob->value;
  if (knob_is_few(knob)) return knob->least + i <= knob->most ? knob->least + i : value;
  const int64_t all[KNOB_ALTERNATIVES] = {2 * value,         value / 2,   value + value / 2,
                                          value - value / 3, knob->least, knob->most};
  if (i < 0 || i >= KNOB_ALTERNATIVES) BUG("alternative %d of a knob", i);
  return all[i] < knob->least ? knob->least : all[i] > knob->most ? knob->most : all[i];
}

// The number that "name=" stands in front of, in "rows=4 parts=2".
static bool find_value(const char *values, const char *name, int64_t *out) {
  size_t n = strlen(name);
  for (const char *at = values; *at; at += strcspn(at, " "), at += strspn(at, " ")) {
    if (strncmp(at, name, n) || at[n] != '=') continue;
    *out = strtoll(at + n + 1, NULL, 10);
    return true;
  }
  return false;
}

static void answer(int forced, const TuningResult *result, Knob *knob) {
  int64_t value;
  if (knob->model < knob->least) knob->least = knob->model; // what the cost model says is legal
  if (knob->model > knob->most) knob->most = knob->model;
  knob->value = knob->model;
  if (forced >= 0) {
    knob->value = knob_alternative(knob, forced);
  } else if (result && find_value(result->values, knob->name, &value)) {
    knob->value = value < knob->least ? knob->least : value > knob->most ? knob->most : value;
  }
}

int64_t tuning_knob(Ir *ir, const char *name, int64_t model, int64_t least, int64_t most) {
  Knobs *knobs = ir->knobs;
  if (!knobs || least >= most || knobs->n == KNOBS_MOST) return model;
  int n_before = 0; // some schedules are made of several nests
  size_t n = strlen(name);
  for (int i = 0; i < knobs->n; i++) {
    const char *other = knobs->knob[i].name;
    n_before += !strncmp(other, name, n) && (!other[n] || other[n] == '.');
  }
  if (n_before) name = arena_printf(knobs->arena, "%s.%d", name, n_before + 1);
  Knob knob = {name, model, least, most, model};
  answer(knobs->tuning ? knobs->tuning->forced : -1, knobs->result, &knob);
  knobs->knob[knobs->n++] = knob;
  return knob.value;
}

// ---- kernels --------------------------------------------------------------------------------------------------------

bool tuning_begin(const Tuning *tuning, const char *symbol, const Knobs *model, Knobs *out) {
  *out = (Knobs){.arena = model->arena, .tuning = tuning, .result = strmap_get(tuning->results, symbol)};
  return model->n > 0 && (out->result || tuning->forced >= 0);
}

bool tuning_accepts(const Knobs *chosen, const char *symbol) {
  const TuningResult *result = chosen->result;
  return chosen->tuning->forced >= 0 || !result->symbol || !strcmp(result->symbol, symbol);
}

static void record(Tuning *tuning, const char *name, const char *symbol, int n, const Knob *knob) {
  if (!n || strmap_get(tuning->asked, name)) return;
  Arena *arena = tuning->arena;
  TuningSubject subject = {arena_strdup(arena, name), symbol ? arena_strdup(arena, symbol) : NULL, n, NULL};
  Knob *copy = arena_memdup(arena, knob, sizeof *knob * (size_t)n);
  bool is_used = false;
  for (int i = 0; i < n; i++) {
    copy[i].name = arena_strdup(arena, knob[i].name);
    is_used = is_used || knob[i].value != knob[i].model;
  }
  subject.knob = copy;
  tuning->n_used += is_used;
  ARENA_PUSH(arena, tuning->subject, tuning->n_subjects, tuning->capacity, subject);
  strmap_set(tuning->asked, name, tuning);
}

void tuning_record(Tuning *tuning, const char *name, const char *symbol, const Knobs *knobs) {
  record(tuning, name, symbol, knobs->n, knobs->knob);
}

// ---- layers ---------------------------------------------------------------------------------------------------------

int64_t tuning_layer(const Target *target, const char *knob, int64_t model, int64_t least, int64_t most,
                     const char *format, ...) {
  Tuning *tuning = target->tuning;
  if (!tuning || least >= most) return model;
  Text name = {0};
  va_list args;
  va_start(args, format);
  text_vprintf(&name, format, args);
  va_end(args);
  Knob of = {knob, model, least, most, model};
  answer(tuning->forced_layers, strmap_get(tuning->results, text_get(&name)), &of);
  record(tuning, text_get(&name), NULL, 1, &of);
  text_free(&name);
  return of.value;
}

int tuning_subjects(const Tuning *tuning, const TuningSubject **out) {
  *out = tuning->subject;
  return tuning->n_subjects;
}

int tuning_used(const Tuning *tuning) { return tuning->n_used; }
