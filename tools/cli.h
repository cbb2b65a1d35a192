// cli: one table of commands and options gives the parser, --help, the man page and shell completion.
#ifndef SG_TOOLS_CLI_H
#define SG_TOOLS_CLI_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "runtime/base/status.h"

typedef struct CliOption {
  const char *name;     // "height", without dashes; flags are also understood as --no-NAME
  char letter;          // one-letter form, 0 = none
  const char *argument; // what the value is called in --help: "N", "FILE"; NULL = a flag
  const char *help;     // one line
} CliOption;

typedef struct Cli Cli;

typedef struct CliCommand {
  const char *name, *operands, *summary; // "train", "MODEL", one line
  const char *details;                   // further paragraphs for --help and the man page, with examples; may be ""
  const CliOption *options;              // ended by a NULL name
  int min_operands, max_operands;        // max -1 = any number
  ExitCode (*run)(const Cli *cli);
} CliCommand;

typedef struct CliProgram {
  const char *name, *summary;
  const CliCommand *const *commands; // ended by NULL
} CliProgram;

// Parses the command line, runs the command, prints what went wrong, and returns the exit status for main.
int cli_main(const CliProgram *program, int argc, char **argv);

// ---- for commands

int cli_operands(const Cli *cli);
const char *cli_operand(const Cli *cli, int i);                     // NULL past the last
const char *cli_option(const Cli *cli, const char *name);           // the last value given, or NULL
const char *cli_option_at(const Cli *cli, const char *name, int i); // the i-th given, or NULL past the last
// The i-th option given, of any name, in the order given: false past the last. *value is NULL for --no-NAME and "" for
// a flag.
bool cli_given(const Cli *cli, int i, const CliOption **option, const char **value);
bool cli_flag(const Cli *cli, const char *name, bool fallback);

// Numbers of options: the fallback where not given; a bad or out-of-range value ends the command with EXIT_USAGE.
double cli_number(const Cli *cli, const char *name, double fallback, double least, double most);
int64_t cli_integer(const Cli *cli, const char *name, int64_t fallback, int64_t least, int64_t most);
// Bytes of "1.5G", "800M" or "64k", in powers of 1000 as all sizes are printed; 0 where not given.
int64_t cli_bytes(const Cli *cli, const char *name);

// Seconds of "90m", "1.5h", "45s" or "45"; a bad value ends the command as above.
double cli_seconds(const Cli *cli, const char *name, double fallback);

// Says "program command: text" on stderr and returns the code, for `return cli_fail(...)`.
__attribute__((format(printf, 3, 4))) ExitCode cli_fail(const Cli *cli, ExitCode code, const char *format, ...);
// As above for a Status, which it frees; EXIT_DONE for STATUS_OK.
ExitCode cli_status(const Cli *cli, Status status);
// A line of talk on stderr, unless --quiet was given.
__attribute__((format(printf, 2, 3))) void cli_say(const Cli *cli, const char *format, ...);
// One of several processes: errors begin with who speaks ("rank 2"), and talk is left to another one where `is_silent`.
// `who` is copied.
void cli_speak_as(const char *who, bool is_silent);
// Whether talk is left out: by --quiet, or as another process talks.
bool cli_is_quiet(const Cli *cli);
// Whether stderr takes colour: a terminal, TERM not dumb, NO_COLOR unset.
bool cli_colour(void);

// Options that every command has.
#define CLI_COMMON                                                                                                     \
  {"quiet", 'q', NULL, "say nothing but results and errors"}, {"help", 'h', NULL, "show this help and end"}, {         \
    NULL, 0, NULL, NULL                                                                                                \
  }

#endif
