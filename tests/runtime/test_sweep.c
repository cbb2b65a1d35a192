// Sweeps: what follows from a definition, and trials that several processes share.
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/base/process.h"
#include "runtime/sweep/space.h"
#include "runtime/sweep/store.h"
#include "tests/check.h"
#include "tests/runtime/scratch.h"

static void check_refused(Space *space, bool is_random, const char *text, const char *part) {
  Status status = is_random ? space_add_random(space, text) : space_add_grid(space, text);
  CHECK(status_code(status) == EXIT_USAGE && strstr(status_message(status), part), "'%s': %s", text,
        status_message(status));
  status_free(status);
}

static void test_grid(void) {
  Arena *arena = arena_new();
  Space space = {.arena = arena, .draws = 1};
  CHECK(!space_add_grid(&space, "lr=1e-2,1e-3") && !space_add_grid(&space, "arg.blocks=[1, 2],[3]"), "a grid");
  CHECK(space_size(&space) == 4, "2 x 2 trials, not %lld", (long long)space_size(&space));
  const char *const want[4][2] = {{"1e-2", "[1, 2]"}, {"1e-2", "[3]"}, {"1e-3", "[1, 2]"}, {"1e-3", "[3]"}};
  for (int t = 0; t < 4; t++)
    for (int a = 0; a < 2; a++) CHECK_TEXT(space_value(&space, t, a), want[t][a], "trial %d, axis %d", t, a);
  check_refused(&space, false, "lr=1", "twice");
  check_refused(&space, false, "batch", "KEY=VALUES");
  check_refused(&space, false, "batch=", "KEY=VALUES");
  check_refused(&space, false, "batch=1,,2", "empty value");
  check_refused(&space, true, "clip=1", "log(LOW,HIGH)");
  check_refused(&space, true, "clip=log(0,1)", "above 0");
  check_refused(&space, true, "clip=uniform(2,1)", "empty");
  check_refused(&space, true, "clip=uniform(2)", "LOW,HIGH");
  check_refused(&space, true, "clip=int(1.5,2)", "whole");
  arena_free(arena);
}

static Space draws(Arena *arena, uint64_t seed, int64_t n, bool is_long) {
  Space space = {.arena = arena, .draws = n, .seed = seed};
  CHECK(!is_long || !space_add_random(&space, "clip=uniform(0.1,1)"), "uniform");
  CHECK(!space_add_random(&space, "lr=log(1e-5,1e-1)") && !space_add_random(&space, "rooms=int(3,5)"), "log and int");
  CHECK(!space_add_random(&space, "augment=choice(flip,none)"), "choice");
  return space;
}

static void test_draws(void) {
  Arena *arena = arena_new();
  Space few = draws(arena, 7, 5, false), many = draws(arena, 7, 1000, true), other = draws(arena, 8, 5, false);
  int n_same = 0, n_low = 0, seen[6] = {0}, n_flip = 0;
  for (int t = 0; t < 5; t++) {
    CHECK_TEXT(space_value(&few, t, 0), space_value(&many, t, 1), "draw %d depends on seed, key and number alone", t);
    n_same += !strcmp(space_value(&few, t, 0), space_value(&other, t, 0));
  }
  CHECK(n_same == 0, "another seed draws other values");
  for (int t = 0; t < 1000; t++) {
    double clip = atof(space_value(&many, t, 0)), lr = atof(space_value(&many, t, 1));
    int rooms = atoi(space_value(&many, t, 2));
    if (!(clip >= 0.1 && clip <= 1 && lr >= 1e-5 && lr <= 1e-1 && rooms >= 3 && rooms <= 5))
      CHECK(false, "out of range: %g %g %d", clip, lr, rooms);
    n_low += lr < 1e-3;
    seen[rooms]++;
    n_flip += !strcmp(space_value(&many, t, 3), "flip");
  }
  CHECK(n_low > 430 && n_low < 570, "half of the logarithmic range lies below its middle: %d of 1000", n_low);
  CHECK(seen[3] > 250 && seen[4] > 250 && seen[5] > 250, "whole numbers: %d %d %d", seen[3], seen[4], seen[5]);
  CHECK(n_flip > 430 && n_flip < 570, "choices: %d of 1000", n_flip);
  arena_free(arena);
}

static Trial claim(Store *store, Claim want) {
  Claim got;
  Trial trial;
  Status status = store_claim(store, &got, &trial);
  CHECK(!status && got == want, "claim %d, expected %d: %s", (int)got, (int)want, status_message(status));
  status_free(status);
  return trial;
}

static void settle(Store *store, Trial *trial, double value, TrialState state) {
  trial->value = value;
  trial->epochs++;
  CHECK(!store_settle(store, trial, state), "settled");
  trial_free(trial);
}

// Nine trials, one of three goes on: 9, 3, 1. The values are those of the trials' numbers; trial 4 fails.
static void test_halving(void) {
  const char *params[9];
  for (int i = 0; i < 9; i++) params[i] = "{\"lr\":\"1\"}";
  StorePlan plan = {"a definition", params, 9, 3, true}, other = {"another", params, 9, 3, true};
  const char *path = scratch_path("sweep.db");
  Store *a, *b, *c;
  Status status = store_open(path, NULL, &a);
  CHECK(status_code(status) == EXIT_DATA, "no file: %s", status_message(status));
  status_free(status);
  CHECK(!store_open(path, &plan, &a) && !store_open(path, NULL, &b), "made, and opened by name");
  CHECK_TEXT(store_definition(b), "a definition", "the definition");
  status = store_open(path, &other, &c);
  CHECK(status_code(status) == EXIT_USAGE && strstr(status_message(status), "a definition"), "%s",
        status_message(status));
  status_free(status);
  for (int i = 0; i < 8; i += 2) {
    Trial first = claim(a, CLAIM_TRIAL), second = claim(b, CLAIM_TRIAL);
    CHECK(first.id == i + 1 && second.id == i + 2, "two processes get different trials: %d and %d", (int)first.id,
          (int)second.id);
    settle(a, &first, (double)first.id, TRIAL_PAUSED);
    bool is_failed = second.id == 4;
    settle(b, &second, is_failed ? NAN : (double)second.id, is_failed ? TRIAL_FAILED : TRIAL_PAUSED);
  }
  Trial last = claim(a, CLAIM_TRIAL);
  claim(b, CLAIM_WAIT); // the rung is not over
  settle(a, &last, 0, TRIAL_PAUSED);
  for (int i = 6; i <= 8; i++) {
    Trial trial = claim(b, CLAIM_TRIAL);
    CHECK(trial.id == i && trial.rung == 1 && trial.epochs == 1, "trial %d in rung %d", (int)trial.id, trial.rung);
    settle(b, &trial, (double)trial.id, TRIAL_PAUSED);
  }
  Trial best = claim(a, CLAIM_TRIAL);
  CHECK(best.id == 8 && best.rung == 2, "the best goes on: %d in rung %d", (int)best.id, best.rung);
  settle(a, &best, 8, TRIAL_DONE);
  claim(a, CLAIM_END);
  Trial *trials;
  int64_t n;
  CHECK(!store_trials(a, &trials, &n) && n == 9 && trials[0].id == 8 && trials[0].state == TRIAL_DONE &&
            trials[1].state == TRIAL_DROPPED && trials[8].id == 4 && trials[8].state == TRIAL_FAILED,
        "the table");
  trials_free(trials, n);
  CHECK(!store_retry(b), "failed trials again");
  Trial again = claim(b, CLAIM_TRIAL);
  CHECK(again.id == 4, "trial %d", (int)again.id);
  trial_free(&again);
  store_close(a);
  store_close(b);
}

// A process takes a trial and dies.
static void test_death(void) {
  const char *params[2] = {"{}", "{}"};
  StorePlan plan = {"d", params, 2, 3, false};
  const char *path = scratch_path("dead.db");
  char text[PROCESS_TEXT];
  process_self(text);
  CHECK(process_is_alive(text), "this process lives");
  pid_t child = fork();
  if (child == 0) {
    Store *store;
    Claim got;
    Trial trial;
    Status status = store_open(path, &plan, &store);
    if (!status) status = store_claim(store, &got, &trial);
    _exit(status || got != CLAIM_TRIAL || trial.id != 1);
  }
  int code;
  waitpid(child, &code, 0);
  CHECK(code == 0, "the child took a trial");
  Store *store;
  CHECK(!store_open(path, &plan, &store), "opened");
  Trial first = claim(store, CLAIM_TRIAL), second = claim(store, CLAIM_TRIAL);
  CHECK(first.id == 1 && second.id == 2, "the dead process's trial is taken up: %d, %d", (int)first.id, (int)second.id);
  trial_free(&first);
  trial_free(&second);
  claim(store, CLAIM_WAIT);
  store_close(store);
  char boot[PROCESS_TEXT] = "", *space = strchr(text, ' ');
  snprintf(boot, sizeof boot, "%.*s another-boot%s", (int)(space - text), text, strchr(space + 1, ' '));
  CHECK(!process_is_alive(boot), "the machine was booted since");
  CHECK(!process_is_alive("") && !process_is_alive("a b"), "no process");
}

int main(void) {
  test_grid();
  test_draws();
  test_halving();
  test_death();
  return check_report("test_sweep");
}
