// sgc tune: whether two programs make the same of the same values, but for rounding.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tools/sgc_tune.h"

// The largest difference over the largest value; NaN in the place of a number is infinitely far.
static double distance(const float *got, const float *want, int64_t n) {
  double worst = 0, largest = 1e-30;
  for (int64_t i = 0; i < n; i++) {
    double difference = fabs((double)got[i] - (double)want[i]);
    if (got[i] == want[i] || (isnan(got[i]) && isnan(want[i]))) difference = 0;
    if (!(difference <= worst)) worst = isnan(difference) ? INFINITY : difference;
    if (isfinite(want[i])) largest = fmax(largest, fabs((double)want[i]));
  }
  return worst / largest;
}

// What the buffers of a step's arguments hold, each once, one after another.
typedef struct Held {
  int n;
  int *buffer;
  int64_t *at, size; // floats
} Held;

static Held held_by(Arena *arena, const Program *program, const Step *step) {
  Held held = {.buffer = ARENA_ARRAY(arena, int, step->n_args + 1),
               .at = ARENA_ARRAY(arena, int64_t, step->n_args + 1)};
  for (int i = 0; i < step->n_args; i++) {
    int k = 0;
    while (k < held.n && held.buffer[k] != step->arg_buffer[i]) k++;
    if (k < held.n) continue;
    held.buffer[held.n] = step->arg_buffer[i];
    held.at[held.n++] = held.size;
    held.size += program->buffers[step->arg_buffer[i]].size;
  }
  return held;
}

static void copy_held(const Held *held, const Variant *base, float *copy, bool is_save) {
  for (int k = 0; k < held->n; k++) {
    float *memory = exec_address(base->exec, held->buffer[k]);
    size_t bytes = sizeof(float) * (size_t)base->program->buffers[held->buffer[k]].size;
    memcpy(is_save ? copy + held->at[k] : memory, is_save ? memory : copy + held->at[k], bytes);
  }
}

static Status compare_step(const Variant *base, const Variant *trial, int i, double *out) {
  Arena *arena = arena_new();
  Held held = held_by(arena, base->program, &base->program->steps[i]);
  float *before = malloc(sizeof(float) * (size_t)(held.size + 1)),
        *want = malloc(sizeof(float) * (size_t)(held.size + 1));
  Status status = before && want ? STATUS_OK : status_make(EXIT_DEVICE, "no memory to compare results in");
  if (!status) {
    // Also what will be written, so that an element which the other kernel leaves out shows.
    copy_held(&held, base, before, true);
    status = exec_step(base->exec, i);
  }
  if (!status) {
    copy_held(&held, base, want, true);
    copy_held(&held, base, before, false);
    status = exec_step(trial->exec, i);
  }
  *out = 0;
  for (int k = 0; k < held.n && !status; k++)
    *out = fmax(*out, distance(exec_address(base->exec, held.buffer[k]), want + held.at[k],
                               base->program->buffers[held.buffer[k]].size));
  if (!status) copy_held(&held, base, want, false);
  free(before);
  free(want);
  arena_free(arena);
  return status;
}

ExitCode compare_steps(const Tuner *tuner, const Variant *base, const Variant *trial, double *worst) {
  Status status = STATUS_OK;
  for (int i = 0; i < base->program->n_steps && !status; i++) {
    worst[i] = 0;
    bool is_same = !strcmp(base->program->steps[i].symbol, trial->program->steps[i].symbol);
    status = is_same ? exec_step(base->exec, i) : compare_step(base, trial, i, &worst[i]);
  }
  return cli_status(tuner->cli, status);
}

// ---- programs with other steps --------------------------------------------------------------------------------------

enum { MOST_APART = 200 }; // steps

static bool are_same(const Variant *a, int i, const Variant *b, int k) {
  int n = a->program->n_steps, m = b->program->n_steps;
  if (i >= n || k >= m) return i == n && k == m;
  return !strcmp(a->program->steps[i].symbol, b->program->steps[k].symbol);
}

// How many steps of each come before they agree again, in two steps one after another; false if they do not soon.
static bool find_agreement(const Variant *a, int i, const Variant *b, int k, int *out_a, int *out_b) {
  for (int apart = 1; apart <= MOST_APART; apart++) {
    for (int n = 0; n <= apart; n++) {
      int at_a = i + n, at_b = k + apart - n;
      if (at_a > a->program->n_steps || at_b > b->program->n_steps || !are_same(a, at_a, b, at_b)) continue;
      if (at_a < a->program->n_steps && !are_same(a, at_a + 1, b, at_b + 1)) continue;
      *out_a = n;
      *out_b = apart - n;
      return true;
    }
  }
  return false;
}

// A value that a step has written. Where it is a part of a concat's, the other elements are NaN.
typedef struct Written {
  int buffer;
  int64_t size;
  float *copy;
  bool is_found;  // on the other side
  double nearest; // how near the nearest of the other side is
} Written;

static bool overlaps(const Variant *variant, const Step *step, int buffer) {
  const Program *program = variant->program;
  const float *begin = exec_address(variant->exec, buffer), *end = begin + program->buffers[buffer].size;
  for (int k = 0; k < step->n_read; k++) {
    const float *other = exec_address(variant->exec, step->arg_buffer[k]);
    if (other < end && begin < other + program->buffers[step->arg_buffer[k]].size) return true;
  }
  return false;
}

// Runs step i and appends copies of what it writes, in the arena. What a result does not stand in the place of an
// operand is NaN before the step, which tells what was written; what was not is put back.
static Status run_written(Arena *arena, const Variant *variant, int i, Written *out) {
  const Step *step = &variant->program->steps[i];
  int n = step->n_args - step->n_read;
  float **before = ARENA_ARRAY(arena, float *, n + 1);
  for (int k = 0; k < n; k++) {
    int buffer = step->arg_buffer[step->n_read + k];
    int64_t size = variant->program->buffers[buffer].size;
    float *values = exec_address(variant->exec, buffer);
    out[k] = (Written){buffer, size, NULL, false, INFINITY};
    if (overlaps(variant, step, buffer)) continue;
    before[k] = arena_memdup(arena, values, sizeof *values * (size_t)size);
    for (int64_t e = 0; e < size; e++) values[e] = NAN;
  }
  TRY(exec_step(variant->exec, i));
  for (int k = 0; k < n; k++) {
    float *values = exec_address(variant->exec, out[k].buffer);
    out[k].copy = arena_memdup(arena, values, sizeof *values * (size_t)out[k].size);
    for (int64_t e = 0; before[k] && e < out[k].size; e++)
      if (isnan(values[e])) values[e] = before[k][e];
  }
  return STATUS_OK;
}

static int count_written(const Variant *variant, int i, int n) {
  int count = 0;
  for (int k = i; k < i + n; k++) count += variant->program->steps[k].n_args - variant->program->steps[k].n_read;
  return count;
}

// The value of `list` that is nearest to `value`, where that is near enough to be the same.
static Written *find_written(Written *list, int n, Written *value) {
  Written *best = NULL;
  for (int k = 0; k < n; k++) {
    if (list[k].is_found || list[k].size != value->size) continue;
    double apart = distance(value->copy, list[k].copy, value->size);
    if (apart < list[k].nearest) list[k].nearest = apart;
    if (apart >= value->nearest) continue;
    value->nearest = apart;
    best = &list[k];
  }
  return value->nearest <= TUNE_LAYER_TOLERANCE ? best : NULL;
}

static double worst_of(const Written *list, int n) {
  double worst = 0;
  for (int k = 0; k < n; k++) worst = fmax(worst, list[k].nearest);
  return worst;
}

// Steps i .. of a and k .. of b, which compute the same in another order or in other pieces. Every value of the side
// that stores fewer of them must be among those of the other.
static Status run_apart(const Variant *a, int i, int n_a, const Variant *b, int k, int n_b, double *worst) {
  Arena *arena = arena_new();
  int count_a = count_written(a, i, n_a), count_b = count_written(b, k, n_b), at_a = 0, at_b = 0;
  Written *of_a = ARENA_ARRAY(arena, Written, count_a + 1), *of_b = ARENA_ARRAY(arena, Written, count_b + 1);
  Status status = STATUS_OK;
  for (int j = 0; j < n_a && !status; j++) {
    status = run_written(arena, a, i + j, of_a + at_a);
    at_a += count_written(a, i + j, 1);
  }
  for (int j = 0; j < n_b && !status; j++) {
    status = run_written(arena, b, k + j, of_b + at_b);
    for (int n = count_written(b, k + j, 1); n > 0 && !status; n--, at_b++) {
      Written *value = &of_b[at_b], *same = find_written(of_a, count_a, value);
      if (!same) continue;
      same->is_found = value->is_found = true;
      float *values = exec_address(b->exec, value->buffer);
      for (int64_t e = 0; e < value->size; e++)
        if (!isnan(same->copy[e])) values[e] = same->copy[e];
    }
  }
  if (!status) *worst = fmax(*worst, count_a <= count_b ? worst_of(of_a, count_a) : worst_of(of_b, count_b));
  arena_free(arena);
  return status;
}

ExitCode compare_programs(const Tuner *tuner, const Variant *a, const Variant *b, double *worst) {
  Status status = STATUS_OK;
  *worst = 0;
  for (int i = 0, k = 0, n_a, n_b; !status && isfinite(*worst); i += n_a, k += n_b) {
    n_a = n_b = 1;
    if (i == a->program->n_steps && k == b->program->n_steps) break;
    if (are_same(a, i, b, k)) {
      status = exec_step(a->exec, i);
      if (!status) status = exec_step(b->exec, k);
    } else if (find_agreement(a, i, b, k, &n_a, &n_b)) {
      status = run_apart(a, i, n_a, b, k, n_b, worst);
    } else {
      *worst = INFINITY;
    }
  }
  return cli_status(tuner->cli, status);
}
