// sgrun sweep: search over settings: grid, random draws, successive halving.
#include "tools/sgrun_sweep.h"

#include <string.h>
#include <time.h>

#include "runtime/base/file.h"
#include "tools/common_interrupt.h"
#include "tools/sgrun.h"

enum { MAX_OPTIONS = 128, POLL_MS = 200 };

// Takes trials until none is left, or a stop.
static ExitCode work(const Cli *cli, const Sweep *sweep, Store *store) {
  const volatile sig_atomic_t *stop = interrupt_catch();
  ExitCode code = EXIT_DONE;
  while (!code && !*stop) {
    Claim claim = CLAIM_END;
    Trial trial;
    code = cli_status(cli, store_claim(store, &claim, &trial));
    if (code || claim == CLAIM_END) break;
    if (claim == CLAIM_WAIT) nanosleep(&(struct timespec){0, POLL_MS * 1000000L}, NULL);
    else code = sweep_run_trial(cli, sweep, store, &trial, stop);
    trial_free(&trial);
  }
  if (!code && *stop)
    code = cli_fail(cli, EXIT_INTERRUPTED, "stopped; the same command goes on, or 'sgrun sweep %s'",
                    strrchr(sweep->directory, '/') + 1);
  return code;
}

static bool is_model(const char *operand) {
  size_t n = strlen(operand);
  return n > 4 && !strcmp(operand + n - 4, ".net");
}

// sweeps/NAME: of --name, or of the model's file, or the operand itself where it is no model.
static const char *choose_directory(const Cli *cli, Arena *arena) {
  const char *operand = cli_operand(cli, 0), *name = cli_option(cli, "name");
  if (name) return arena_printf(arena, "sweeps/%s", name);
  if (!is_model(operand)) return arena_printf(arena, "sweeps/%s", operand);
  const char *slash = strrchr(operand, '/'), *file = slash ? slash + 1 : operand;
  return arena_printf(arena, "sweeps/%.*s", (int)strlen(file) - 4, file);
}

static ExitCode open_store(const Cli *cli, Arena *arena, const char *directory, Store **out) {
  const char *path = arena_printf(arena, "%s/sweep.db", directory);
  if (!is_model(cli_operand(cli, 0))) {
    if (!file_exists(path))
      return cli_fail(cli, EXIT_DATA, "there is no sweep '%s' (%s); a new one needs a MODEL.net", cli_operand(cli, 0),
                      path);
    const CliOption *option;
    const char *value;
    for (int i = 0; cli_given(cli, i, &option, &value); i++)
      if (!sweep_is_local(option->name))
        return cli_fail(cli, EXIT_USAGE, "'--%s' belongs to the definition of a sweep, which '%s' has already",
                        option->name, cli_operand(cli, 0));
    return cli_status(cli, store_open(path, NULL, out));
  }
  StorePlan plan;
  ExitCode code = sweep_define(cli, arena, &plan);
  if (!code) code = cli_status(cli, file_make_directory(directory));
  if (!code) code = cli_status(cli, store_open(path, &plan, out));
  return code;
}

static ExitCode run_sweep(const Cli *cli) {
  Arena *arena = arena_new();
  const char *directory = choose_directory(cli, arena);
  Store *store = NULL;
  Sweep sweep = {0};
  int64_t n_done = 0;
  ExitCode code = open_store(cli, arena, directory, &store);
  if (!code && cli_flag(cli, "retry", false)) code = cli_status(cli, store_retry(store));
  if (!code) {
    sweep_read(store_definition(store), directory, &sweep);
    code = work(cli, &sweep, store);
  }
  if (!code) code = sweep_print(cli, &sweep, store, &n_done);
  if (!code && !n_done) code = cli_fail(cli, EXIT_NEGATIVE, "no trial came to a value; see %s/trials", directory);
  sweep_free(&sweep);
  store_close(store);
  arena_free(arena);
  return code;
}

// Filled by sweep_take_options.
static CliOption options[MAX_OPTIONS] = {
    {"name", 0, "NAME", "the sweep is kept in sweeps/NAME (default: the model's file)"},
    {"grid", 'g', "KEY=A,B,..",
     "try these values of a setting, or of a model's parameter as arg.NAME; may be repeated"},
    {"random", 'r', "KEY=DRAW",
     "draw: log(LOW,HIGH), uniform(LOW,HIGH), int(LOW,HIGH), choice(A,B,..); may be repeated"},
    {"trials", 0, "N", "how many random draws (default 20), each at every point of the grid"},
    {"sweep-seed", 0, "S", "of the draws (default 1)"},
    {"halving", 0, NULL, "successive halving: train all a little, then the best of them longer, and so on"},
    {"eta", 0, "N", "halving: one trial of N goes on, for N times the epochs (default 3)"},
    {"min-epochs", 0, "N", "halving: epochs of the first rung (default 1)"},
    {"metric", 0, "NAME", "what trials are judged by: a metric of validation (default abs_rel), or mean_loss"},
    {"retry", 0, NULL, "try failed trials again"},
    {"json", 0, NULL, "one JSON object on stdout"},
    CLI_COMMON};

void sweep_take_options(void) {
  static const char *const kept[] = {"out", "resume", "force", "until", "time"}; // the sweep's own business
  int n = 0;
  while (options[n].name) n++;
  for (const CliOption *option = sgrun_train.options; option->name; option++) {
    bool is_kept = false;
    for (int i = 0; i < 5; i++) is_kept |= !strcmp(option->name, kept[i]);
    for (int i = 0; i < n; i++) is_kept |= !strcmp(option->name, options[i].name);
    if (is_kept) continue;
    if (n + 1 >= MAX_OPTIONS) BUG("more than %d options", MAX_OPTIONS);
    options[n] = *option;
    for (int i = 0; i < n; i++)
      if (options[i].letter == option->letter) options[n].letter = 0;
    n++;
  }
}

const CliCommand sgrun_sweep = {
    "sweep",
    "MODEL.net|NAME",
    "search over settings: grid, random, successive halving",
    "Each trial is a run of its own in sweeps/NAME/trials/N (sgrun runs ls sweeps). Several of these commands, on any\n"
    "terminals of this machine, share the work; what a killed one was at is taken up by the others. Ctrl-C stops the\n"
    "trial, which saves, and ends with exit status 75; the same command, or 'sgrun sweep NAME', goes on. Options of\n"
    "'sgrun train' are passed on.\n\n"
    "  sgrun sweep tiny.net --grid lr=1e-2,1e-3 --grid arg.width=8,16\n"
    "  sgrun sweep tiny.net --name draws --random 'lr=log(1e-4,1e-1)' --random 'clip=uniform(0.1,1)' --trials 20\n"
    "  sgrun sweep tiny.net --name half --random 'lr=log(1e-4,1e-1)' --trials 27 --halving --eta 3 -e 9",
    options,
    1,
    1,
    run_sweep};
