// cli_help: what the option tables print: help, man page, shell completion.
#ifndef SG_TOOLS_CLI_HELP_H
#define SG_TOOLS_CLI_HELP_H

#include "tools/cli.h"

#define CLI_VERSION "0.1"

void cli_help_program(const CliProgram *program, FILE *out);
void cli_help_command(const CliProgram *program, const CliCommand *command, FILE *out);
void cli_help_man(const CliProgram *program, FILE *out);        // roff, section 1
void cli_help_completion(const CliProgram *program, FILE *out); // bash

#endif
