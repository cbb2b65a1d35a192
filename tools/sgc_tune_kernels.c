// sgc tune: choices inside kernels, all kernels at the same time: each round makes a program in which every kernel is
// another alternative, and runs it in turn with the best so far, so that each is timed where it will run.
//
// A kernel's knobs are walked one after another: up and down by factors of two, then of one and a half, going on in a
// direction as long as that is faster.
#include <stdlib.h>
#include <string.h>

#include "runtime/base/order.h"
#include "runtime/base/strmap.h"
#include "tools/sgc_tune.h"

static const double LEAST_SHARE = 0.003, MARGIN = 0.03, CONFIRMED_MARGIN = 0.015, MEASURE_SECONDS = 2;

typedef struct Site {
  const char *name;   // the kernel, as the cost model makes it
  const Step *step;   // of the base program
  bool *counts;       // the steps that it computes
  double seconds;     // by the cost model's choices
  TuningSubject best; // the best so far; its knobs are what alternatives start from
  const char *values; // with which that is made
  int at, move;       // the knob and the alternative of it that come next
  StrMap *tried;      // symbols
  bool is_trying;     // an alternative in this round:
  bool is_new;        // and no other choice makes the same kernel
  TuningSubject trial;
  const char *trial_values;
  int n_tried;
  double ratio; // of the best to the cost model's
} Site;

typedef struct Search {
  Tuner *tuner;
  Arena *arena;
  const TuningResult *layer; // that hold
  int n_layers;
  Variant base, best; // best is opened on base's memory, or base itself while nothing was found
  bool has_best;
  Site *site;
  int n_sites, rounds;
} Search;

// ---- sites ----------------------------------------------------------------------------------------------------------

static int by_seconds(const void *a, const void *b) {
  return order_of(((const Site *)b)->seconds, ((const Site *)a)->seconds);
}

static ExitCode find_sites(Search *s) {
  const Program *program = s->base.program;
  double *seconds = ARENA_ARRAY(s->arena, double, program->n_steps + 1), total = 0;
  ExitCode code = steps_measure(s->tuner, s->arena, &s->base, seconds);
  const TuningSubject *subject;
  int n = tuning_subjects(s->base.tuning, &subject);
  for (int i = 0; i < program->n_steps; i++) total += seconds[i];
  s->site = ARENA_ARRAY(s->arena, Site, n + 1);
  for (int k = 0; k < n && !code; k++) {
    Site *site = &s->site[s->n_sites];
    *site = (Site){.name = subject[k].name, .best = subject[k], .values = "", .ratio = 1};
    site->counts = ARENA_ARRAY(s->arena, bool, program->n_steps + 1);
    for (int i = 0; i < program->n_steps && subject[k].symbol; i++) {
      site->counts[i] = !strcmp(program->steps[i].symbol, site->name);
      if (!site->counts[i]) continue;
      site->seconds += seconds[i];
      if (!site->step) site->step = &program->steps[i];
    }
    if (!site->step || site->seconds < LEAST_SHARE * total) continue;
    site->tried = strmap_new(s->arena);
    strmap_set(site->tried, site->name, site);
    s->n_sites++;
  }
  qsort(s->site, (size_t)s->n_sites, sizeof *s->site, by_seconds);
  return code;
}

// ---- alternatives ---------------------------------------------------------------------------------------------------

// `values` with another value of one knob.
static const char *values_with(Arena *arena, const char *values, const char *knob, int64_t value) {
  Text out = {0};
  size_t n = strlen(knob);
  for (const char *at = values; *at; at += strcspn(at, " "), at += strspn(at, " ")) {
    if (strncmp(at, knob, n) || at[n] != '=') text_printf(&out, "%.*s ", (int)strcspn(at, " "), at);
  }
  text_printf(&out, "%s=%lld", knob, (long long)value);
  const char *copy = arena_strdup(arena, text_get(&out));
  text_free(&out);
  return copy;
}

// The next alternative that is a choice of its own; false if there is none.
static bool propose(Search *s, Site *site) {
  for (; site->at < site->best.n_knobs; site->at++, site->move = 0) {
    const Knob *knob = &site->best.knob[site->at];
    int n = knob_is_few(knob) ? (int)(knob->most - knob->least) + 1 : KNOB_STEPS;
    for (; site->move < n; site->move++) {
      int64_t value = knob_alternative(knob, site->move);
      if (value == knob->value) continue;
      site->trial_values = values_with(s->arena, site->values, knob->name, value);
      return true;
    }
  }
  return false;
}

// A program with the best of every kernel, or what is being tried.
static ExitCode compile_with(Search *s, bool with_trials, Variant *out) {
  TuningResult *result = ARENA_ARRAY(s->arena, TuningResult, s->n_layers + s->n_sites + 1);
  int n = s->n_layers;
  if (n) memcpy(result, s->layer, sizeof *result * (size_t)n);
  for (int i = 0; i < s->n_sites; i++) {
    const Site *site = &s->site[i];
    const char *values = with_trials && site->is_trying ? site->trial_values : site->values;
    if (*values) result[n++] = (TuningResult){site->name, NULL, values, 1};
  }
  return variant_compile(s->tuner, result, n, out);
}

static TuningSubject copy_subject(Arena *arena, const TuningSubject *from) {
  TuningSubject copy = {arena_strdup(arena, from->name), arena_strdup(arena, from->symbol), from->n_knobs, NULL};
  Knob *knob = arena_memdup(arena, from->knob, sizeof *knob * (size_t)from->n_knobs);
  for (int i = 0; i < copy.n_knobs; i++) knob[i].name = arena_strdup(arena, knob[i].name);
  copy.knob = knob;
  return copy;
}

// Whether all kernels being tried are new ones; where one is not, its next alternative's turn comes.
static bool take_symbols(Search *s, const Variant *variant) {
  bool are_new = true;
  for (int i = 0; i < s->n_sites; i++) {
    Site *site = &s->site[i];
    if (!site->is_trying || site->is_new) continue;
    const TuningSubject *subject = variant_subject(variant, site->name);
    if (subject && !strmap_get(site->tried, subject->symbol)) {
      site->trial = copy_subject(s->arena, subject);
      strmap_set(site->tried, subject->symbol, site);
      site->is_new = true;
    } else {
      site->is_trying = are_new = false;
      site->move++;
    }
  }
  return are_new;
}

// A program of which as many kernels as possible are an alternative that was not tried yet. *out_n says how many.
static ExitCode compile_trials(Search *s, Variant *out, int *out_n) {
  for (int i = 0; i < s->n_sites; i++) s->site[i].is_trying = s->site[i].is_new = false;
  for (;;) {
    *out_n = 0;
    for (int i = 0; i < s->n_sites; i++) {
      s->site[i].is_trying = s->site[i].is_trying || propose(s, &s->site[i]);
      *out_n += s->site[i].is_trying;
    }
    *out = (Variant){0};
    if (!*out_n) return EXIT_DONE;
    ExitCode code = compile_with(s, true, out);
    if (code || take_symbols(s, out)) return code;
    variant_close(out);
  }
}

// ---- a round --------------------------------------------------------------------------------------------------------

// Alternatives whose results are not those of the cost model's kernel, but for rounding, are out.
static ExitCode check_values(Search *s, const Variant *trial) {
  int n = s->base.program->n_steps;
  double *worst = ARENA_ARRAY(s->arena, double, n + 1);
  ExitCode code = compare_steps(s->tuner, &s->base, trial, worst);
  for (int k = 0; k < s->n_sites && !code; k++) {
    Site *site = &s->site[k];
    for (int i = 0; i < n && site->is_trying; i++) {
      if (!site->counts[i] || worst[i] <= TUNE_KERNEL_TOLERANCE) continue;
      fprintf(stderr, "BUG: %s with %s changes the results by %.1e of the largest; it is not used\n", site->name,
              site->trial_values, worst[i]);
      site->is_trying = false;
      site->move++;
    }
  }
  return code;
}

static int judge_trials(Search *s, const Rounds *rounds) {
  int n_faster = 0;
  for (int k = 0; k < s->n_sites; k++) {
    Site *site = &s->site[k];
    if (!site->is_trying) continue;
    site->n_tried++;
    Verdict verdict = rounds_judge(s->arena, rounds, (const bool *const[]){site->counts, site->counts}, MARGIN);
    if (verdict.is_faster) {
      site->best = site->trial;
      site->values = site->trial_values;
      site->ratio *= verdict.ratio; // until the best is confirmed, or for good if the user interrupts
      n_faster++;
    } else {
      site->move++;
    }
  }
  return n_faster;
}

// The program with the best of all takes the place of the one before.
static ExitCode renew_best(Search *s) {
  if (s->has_best) variant_close(&s->best);
  s->has_best = true;
  ExitCode code = compile_with(s, false, &s->best);
  return code ? code : variant_open(s->tuner, &s->base, &s->best);
}

static ExitCode try_round(Search *s, int number, int *out_n) {
  Tuner *tuner = s->tuner;
  Variant trial;
  Rounds rounds;
  ExitCode code = compile_trials(s, &trial, out_n);
  if (code || !*out_n) return code;
  code = variant_open(tuner, &s->base, &trial);
  if (!code) code = check_values(s, &trial);
  if (!code && !*tuner->is_interrupted) {
    const Variant *const pair[2] = {s->has_best ? &s->best : &s->base, &trial};
    code = rounds_measure(tuner, s->arena, pair, s->rounds, &rounds);
  }
  if (!code && !*tuner->is_interrupted) {
    int n_faster = judge_trials(s, &rounds);
    cli_say(tuner->cli, "  round %d: %d kernels otherwise, %d of them faster", number, *out_n, n_faster);
    if (n_faster) code = renew_best(s);
  }
  variant_close(&trial);
  return code;
}

// ---- the search -----------------------------------------------------------------------------------------------------

// Times the best against the cost model's once more: what does not hold is dropped.
static ExitCode confirm(Search *s) {
  Rounds rounds;
  if (!s->has_best) return EXIT_DONE;
  const Variant *const pair[2] = {&s->base, &s->best};
  ExitCode code = EXIT_DONE;
  if (!*s->tuner->is_interrupted) code = rounds_measure(s->tuner, s->arena, pair, 2 * s->rounds + 1, &rounds);
  for (int k = 0; k < s->n_sites && !code && !*s->tuner->is_interrupted; k++) {
    Site *site = &s->site[k];
    if (!*site->values) continue;
    const bool *const counts[2] = {site->counts, site->counts};
    Verdict verdict = rounds_judge(s->arena, &rounds, counts, CONFIRMED_MARGIN);
    site->ratio = verdict.ratio;
    if (!verdict.is_faster) site->values = "";
  }
  return code;
}

static void put_findings(Search *s, Findings *findings) {
  Arena *arena = s->tuner->arena;
  for (int k = 0; k < s->n_sites; k++) {
    const Site *site = &s->site[k];
    if (!site->n_tried) continue;
    Text change = {0};
    if (*site->values) subject_choices(&site->best, &change);
    Finding finding = {
        .result = {arena_strdup(arena, site->name), arena_strdup(arena, site->best.symbol),
                   arena_strdup(arena, site->values), site->ratio},
        .what = arena_strdup(arena, site->step->label ? site->step->label : site->name),
        .change = arena_strdup(arena, text_get(&change)),
        .seconds = site->seconds,
    };
    text_free(&change);
    ARENA_PUSH(arena, findings->of, findings->n, findings->capacity, finding);
  }
}

ExitCode tune_kernels(Tuner *tuner, Findings *findings) {
  Search s = {.tuner = tuner, .arena = arena_new()};
  TuningResult *layer;
  s.n_layers = findings_results(tuner, findings, &layer);
  s.layer = layer;
  ExitCode code = variant_compile(tuner, layer, s.n_layers, &s.base);
  if (!code) code = variant_open(tuner, NULL, &s.base);
  if (!code) code = find_sites(&s);
  if (!code) {
    s.rounds = rounds_for(MEASURE_SECONDS, &s.base);
    cli_say(tuner->cli, "%d kernels with choices:", s.n_sites);
  }
  int n = 1;
  for (int number = 1; n && !code && !tuner_is_over(tuner); number++) code = try_round(&s, number, &n);
  if (!code) code = confirm(&s);
  if (!code || code == EXIT_INTERRUPTED) put_findings(&s, findings);
  if (s.has_best) variant_close(&s.best);
  variant_close(&s.base);
  arena_free(s.arena);
  return code;
}
