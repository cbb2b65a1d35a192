// cli: parsing of command lines from one table, with suggestions for typing errors.
#include "tools/cli.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/strmap.h"
#include "tools/cli_help.h"

enum { MAX_GIVEN = 256 };

typedef struct Given {
  const CliOption *option;
  const char *value; // flags: "" for --name, NULL for --no-name
} Given;

struct Cli {
  const CliProgram *program;
  const CliCommand *command;
  const char **operands; // as many as the shell gives: a folder's worth of pictures
  Given given[MAX_GIVEN];
  int n_operands, n_given;
};

static struct {
  char who[32];
  bool is_silent;
} speaker;

void cli_speak_as(const char *who, bool is_silent) {
  snprintf(speaker.who, sizeof speaker.who, "%s", who);
  speaker.is_silent = is_silent;
}

bool cli_is_quiet(const Cli *cli) { return speaker.is_silent || cli_flag(cli, "quiet", false); }

static void say_prefix(const Cli *cli) {
  fprintf(stderr, "%s%s%s: %s%s", cli->program->name, cli->command ? " " : "", cli->command ? cli->command->name : "",
          speaker.who, *speaker.who ? ": " : "");
}

ExitCode cli_fail(const Cli *cli, ExitCode code, const char *format, ...) {
  say_prefix(cli);
  va_list args;
  va_start(args, format);
  vfprintf(stderr, format, args);
  va_end(args);
  fputc('\n', stderr);
  return code;
}

ExitCode cli_status(const Cli *cli, Status status) {
  if (!status) return EXIT_DONE;
  ExitCode code = cli_fail(cli, status_code(status), "%s", status_message(status));
  status_free(status);
  return code;
}

void cli_say(const Cli *cli, const char *format, ...) {
  if (cli_is_quiet(cli)) return;
  va_list args;
  va_start(args, format);
  vfprintf(stderr, format, args);
  va_end(args);
  fputc('\n', stderr);
}

bool cli_colour(void) {
  const char *no_colour = getenv("NO_COLOR"), *term = getenv("TERM");
  return isatty(2) && !(no_colour && *no_colour) && term && strcmp(term, "dumb");
}

static const CliOption *find_option(const CliCommand *command, const char *name, size_t length) {
  for (const CliOption *option = command->options; option->name; option++)
    if (strlen(option->name) == length && !strncmp(option->name, name, length)) return option;
  return NULL;
}

static ExitCode unknown_option(const Cli *cli, const char *text) {
  const char *names[MAX_GIVEN], *near;
  char name[64];
  int n = 0;
  snprintf(name, sizeof name, "%.*s", (int)strcspn(text + 2, "="), text + 2);
  for (const CliOption *option = cli->command->options; option->name; option++) names[n++] = option->name;
  near = nearest_name(name, names, n);
  if (near) return cli_fail(cli, EXIT_USAGE, "unknown option '--%s'; did you mean '--%s'?", name, near);
  return cli_fail(cli, EXIT_USAGE, "unknown option '--%s'; see '%s %s --help'", name, cli->program->name,
                  cli->command->name);
}

static ExitCode give(Cli *cli, const CliOption *option, const char *value) {
  if (cli->n_given == MAX_GIVEN) return cli_fail(cli, EXIT_USAGE, "more than %d options", MAX_GIVEN);
  cli->given[cli->n_given++] = (Given){option, value};
  return EXIT_DONE;
}

// One long option at argv[*at]; moves *at past a separate value.
static ExitCode parse_long(Cli *cli, int argc, char **argv, int *at) {
  const char *name = argv[*at] + 2, *equals = strchr(name, '=');
  size_t length = equals ? (size_t)(equals - name) : strlen(name);
  const CliOption *option = find_option(cli->command, name, length);
  if (!option && length > 3 && !strncmp(name, "no-", 3)) {
    option = find_option(cli->command, name + 3, length - 3);
    if (option && !option->argument && !equals) return give(cli, option, NULL);
    option = NULL;
  }
  if (!option) return unknown_option(cli, argv[*at]);
  if (!option->argument && equals) return cli_fail(cli, EXIT_USAGE, "option '--%s' takes no value", option->name);
  if (!option->argument) return give(cli, option, "");
  if (equals) return give(cli, option, equals + 1);
  if (*at + 1 >= argc)
    return cli_fail(cli, EXIT_USAGE, "option '--%s' needs a value: %s", option->name, option->argument);
  return give(cli, option, argv[++*at]);
}

// A cluster of one-letter options at argv[*at].
static ExitCode parse_letters(Cli *cli, int argc, char **argv, int *at) {
  for (const char *letter = argv[*at] + 1; *letter; letter++) {
    const CliOption *option = cli->command->options;
    while (option->name && option->letter != *letter) option++;
    if (!option->name)
      return cli_fail(cli, EXIT_USAGE, "unknown option '-%c'; see '%s %s --help'", *letter, cli->program->name,
                      cli->command->name);
    if (!option->argument) {
      ExitCode code = give(cli, option, "");
      if (code) return code;
      continue;
    }
    if (letter[1]) return give(cli, option, letter + 1);
    if (*at + 1 >= argc) return cli_fail(cli, EXIT_USAGE, "option '-%c' needs a value: %s", *letter, option->argument);
    return give(cli, option, argv[++*at]);
  }
  return EXIT_DONE;
}

static ExitCode parse(Cli *cli, int argc, char **argv) {
  bool only_operands = false;
  for (int at = 0; at < argc; at++) {
    const char *text = argv[at];
    ExitCode code = EXIT_DONE;
    if (!only_operands && !strcmp(text, "--")) only_operands = true;
    else if (!only_operands && !strncmp(text, "--", 2)) code = parse_long(cli, argc, argv, &at);
    else if (!only_operands && text[0] == '-' && text[1]) code = parse_letters(cli, argc, argv, &at);
    else cli->operands[cli->n_operands++] = text;
    if (code) return code;
  }
  return EXIT_DONE;
}

static const CliCommand *find_command(const CliProgram *program, const char *name) {
  for (const CliCommand *const *command = program->commands; *command; command++)
    if (!strcmp((*command)->name, name)) return *command;
  return NULL;
}

static ExitCode unknown_command(const Cli *cli, const char *name) {
  const char *names[MAX_GIVEN];
  int n = 0;
  for (const CliCommand *const *command = cli->program->commands; *command; command++) names[n++] = (*command)->name;
  const char *near = nearest_name(name, names, n);
  if (near) return cli_fail(cli, EXIT_USAGE, "unknown command '%s'; did you mean '%s'?", name, near);
  return cli_fail(cli, EXIT_USAGE, "unknown command '%s'; see '%s --help'", name, cli->program->name);
}

// The command with its arguments.
static ExitCode run_command(Cli *cli, int argc, char **argv) {
  const CliCommand *command = cli->command;
  ExitCode code = parse(cli, argc - 2, argv + 2);
  if (code) return code;
  if (cli_flag(cli, "help", false)) {
    cli_help_command(cli->program, command, stdout);
    return EXIT_DONE;
  }
  if (cli->n_operands < command->min_operands)
    return cli_fail(cli, EXIT_USAGE, "expects %s; see '%s %s --help'", command->operands, cli->program->name,
                    command->name);
  if (command->max_operands >= 0 && cli->n_operands > command->max_operands)
    return cli_fail(cli, EXIT_USAGE, "unexpected operand '%s'; see '%s %s --help'",
                    cli->operands[command->max_operands], cli->program->name, command->name);
  code = command->run(cli);
  // A full disk shows when the last results are flushed.
  if ((fflush(stdout) || ferror(stdout)) && code == EXIT_DONE && errno != EPIPE)
    return cli_fail(cli, EXIT_DATA, "cannot write the results: %s", strerror(errno));
  return code;
}

int cli_main(const CliProgram *program, int argc, char **argv) {
  Cli cli = {.program = program};
  signal(SIGCHLD, SIG_DFL); // where whoever started us ignores it, nobody could wait for processes
  const char *name = argc > 1 ? argv[1] : "";
  if (!strcmp(name, "--version")) {
    printf("%s %s\n", program->name, CLI_VERSION);
    return EXIT_DONE;
  }
  if (!strcmp(name, "--help") || !strcmp(name, "-h") || !strcmp(name, "help")) {
    const CliCommand *command = argc > 2 ? find_command(program, argv[2]) : NULL;
    if (command) cli_help_command(program, command, stdout);
    else cli_help_program(program, stdout);
    return EXIT_DONE;
  }
  if (!strcmp(name, "--man") || !strcmp(name, "--completion")) {
    if (name[2] == 'm') cli_help_man(program, stdout);
    else cli_help_completion(program, stdout);
    return EXIT_DONE;
  }
  if (!*name) {
    cli_help_program(program, stderr);
    return EXIT_USAGE;
  }
  const CliCommand *command = find_command(program, name);
  if (!command) return unknown_command(&cli, name);
  cli.command = command;
  cli.operands = calloc((size_t)argc, sizeof *cli.operands);
  if (!cli.operands) BUG("out of memory");
  ExitCode code = run_command(&cli, argc, argv);
  free(cli.operands);
  return code;
}

// ---- for commands

int cli_operands(const Cli *cli) { return cli->n_operands; }
const char *cli_operand(const Cli *cli, int i) { return i < cli->n_operands ? cli->operands[i] : NULL; }

const char *cli_option_at(const Cli *cli, const char *name, int i) {
  for (int at = 0; at < cli->n_given; at++)
    if (!strcmp(cli->given[at].option->name, name) && i-- == 0) return cli->given[at].value;
  return NULL;
}

const char *cli_option(const Cli *cli, const char *name) {
  const char *value = NULL;
  for (int at = 0; at < cli->n_given; at++)
    if (!strcmp(cli->given[at].option->name, name)) value = cli->given[at].value;
  return value;
}

bool cli_given(const Cli *cli, int i, const CliOption **option, const char **value) {
  if (i >= cli->n_given) return false;
  *option = cli->given[i].option;
  *value = cli->given[i].value;
  return true;
}

bool cli_flag(const Cli *cli, const char *name, bool fallback) {
  bool value = fallback;
  for (int at = 0; at < cli->n_given; at++)
    if (!strcmp(cli->given[at].option->name, name)) value = cli->given[at].value != NULL;
  return value;
}

double cli_number(const Cli *cli, const char *name, double fallback, double least, double most) {
  const char *text = cli_option(cli, name);
  if (!text) return fallback;
  char *end;
  double value = strtod(text, &end);
  if (end == text || *end || !(value >= least && value <= most))
    exit(cli_fail(cli, EXIT_USAGE, "option '--%s' needs a number from %g to %g, not '%s'", name, least, most, text));
  return value;
}

// The option's number times the factor of the letter that follows it, or without one times `bare` (0: there must be
// one).
static double with_unit(const Cli *cli, const char *name, const char *letters, const double *factors, double bare,
                        const char *wanted) {
  const char *text = cli_option(cli, name), *letter;
  char *unit;
  double number = strtod(text, &unit), factor = *unit ? 0 : bare;
  if (*unit && !unit[1] && (letter = strchr(letters, *unit))) factor = factors[letter - letters];
  if (unit == text || !(number * factor > 0 && number * factor < 1e18))
    exit(cli_fail(cli, EXIT_USAGE, "option '--%s' needs %s, not '%s'", name, wanted, text));
  return number * factor;
}

double cli_seconds(const Cli *cli, const char *name, double fallback) {
  if (!cli_option(cli, name)) return fallback;
  return with_unit(cli, name, "smh", (double[]){1, 60, 3600}, 1, "a number with s, m or h, such as 90m");
}

int64_t cli_bytes(const Cli *cli, const char *name) {
  if (!cli_option(cli, name)) return 0;
  double bytes = with_unit(cli, name, "kMG", (double[]){1e3, 1e6, 1e9}, 0, "a size with k, M or G, such as 1.5G");
  return bytes < 1 ? 1 : (int64_t)bytes;
}

int64_t cli_integer(const Cli *cli, const char *name, int64_t fallback, int64_t least, int64_t most) {
  const char *text = cli_option(cli, name);
  if (!text) return fallback;
  char *end;
  errno = 0;
  long long value = strtoll(text, &end, 10);
  if (end == text || *end || errno || value < least || value > most)
    exit(cli_fail(cli, EXIT_USAGE, "option '--%s' needs a whole number from %lld to %lld, not '%s'", name,
                  (long long)least, (long long)most, text));
  return value;
}
