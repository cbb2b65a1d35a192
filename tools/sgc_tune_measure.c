// sgc tune: how long two programs take that run in turn.
#include <stdlib.h>

#include "runtime/base/clock.h"
#include "runtime/base/order.h"
#include "tools/sgc_tune.h"

// How far the times of one program lie apart, the tenth that is fastest and the tenth that is slowest left out.
static void note_spread(Tuner *tuner, Arena *arena, const Rounds *rounds) {
  enum { FEW = 5 };
  if (rounds->n < FEW) return;
  double *sums = ARENA_ARRAY(arena, double, rounds->n);
  for (int r = 0; r < rounds->n; r++) sums[r] = rounds_sum(rounds, 0, r, NULL);
  qsort(sums, (size_t)rounds->n, sizeof *sums, order_doubles);
  int cut = (rounds->n + 5) / 10;
  tuner->spread += (sums[rounds->n - 1 - cut] - sums[cut]) / sums[rounds->n / 2];
  tuner->n_spreads++;
}

ExitCode rounds_measure(Tuner *tuner, Arena *arena, const Variant *const pair[2], int n, Rounds *out) {
  *out = (Rounds){0};
  for (int side = 0; side < 2; side++) {
    out->n_steps[side] = pair[side]->program->n_steps;
    out->seconds[side] = ARENA_ARRAY(arena, double, n * out->n_steps[side] + 1);
  }
  ExitCode code = EXIT_DONE;
  for (int r = 0; r < n && !code && !*tuner->is_interrupted; r++) {
    for (int k = 0; k < 2 && !code; k++) {
      int side = (r + k) % 2; // neither is always the one that runs behind the other
      code = cli_status(tuner->cli, exec_profile(pair[side]->exec, out->seconds[side] + r * out->n_steps[side]));
    }
    out->n = r + 1;
  }
  if (!code) note_spread(tuner, arena, out);
  return code;
}

ExitCode steps_measure(Tuner *tuner, Arena *arena, const Variant *variant, double *seconds) {
  enum { ROUNDS = 5 };
  int n = variant->program->n_steps;
  double *all = ARENA_ARRAY(arena, double, ROUNDS *n + 1), one[ROUNDS];
  ExitCode code = EXIT_DONE;
  for (int r = 0; r < ROUNDS && !code; r++) code = cli_status(tuner->cli, exec_profile(variant->exec, all + r * n));
  for (int i = 0; i < n; i++) {
    for (int r = 0; r < ROUNDS; r++) one[r] = all[r * n + i];
    qsort(one, ROUNDS, sizeof *one, order_doubles);
    seconds[i] = one[ROUNDS / 2];
  }
  return code;
}

int rounds_for(double seconds, const Variant *variant) {
  enum { LEAST = 5, MOST = 61 };
  double begin = clock_seconds();
  status_free(exec_run(variant->exec));
  double n = seconds / (2 * (clock_seconds() - begin));
  return n < LEAST ? LEAST : n > MOST ? MOST : (int)n;
}

double rounds_sum(const Rounds *rounds, int side, int round, const bool *counts) {
  double sum = 0;
  int n = rounds->n_steps[side];
  for (int i = 0; i < n; i++)
    if (!counts || counts[i]) sum += rounds->seconds[side][round * n + i];
  return sum;
}

// What a quarter of the rounds is faster than, step by step: what else runs on the machine only ever adds, and seldom
// to the same step.
static double undisturbed(Arena *arena, const Rounds *rounds, int side, const bool *counts) {
  double *seconds = ARENA_ARRAY(arena, double, rounds->n), sum = 0;
  int n = rounds->n_steps[side];
  for (int i = 0; i < n; i++) {
    if (counts && !counts[i]) continue;
    for (int r = 0; r < rounds->n; r++) seconds[r] = rounds->seconds[side][r * n + i];
    qsort(seconds, (size_t)rounds->n, sizeof *seconds, order_doubles);
    sum += seconds[rounds->n / 4];
  }
  return sum;
}

Verdict rounds_judge(Arena *arena, const Rounds *rounds, const bool *const counts[2], double margin) {
  Verdict verdict = {.ratio = 1};
  int n_faster = 0;
  if (!rounds->n) return verdict;
  for (int r = 0; r < rounds->n; r++)
    n_faster += rounds_sum(rounds, 1, r, counts[1]) < rounds_sum(rounds, 0, r, counts[0]);
  for (int side = 0; side < 2; side++) verdict.seconds[side] = undisturbed(arena, rounds, side, counts[side]);
  verdict.ratio = verdict.seconds[1] / verdict.seconds[0];
  verdict.is_faster = verdict.ratio < 1 - margin && 5 * n_faster >= 3 * rounds->n;
  return verdict;
}
