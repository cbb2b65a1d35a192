// cli_help: help, man page and completion from the option tables.
#include "tools/cli_help.h"

#include <string.h>

static const char *const exit_codes[][2] = {
    {"0", "done"},
    {"1", "ran, but the answer is negative (a check failed, a file would change)"},
    {"2", "usage: an unknown option or a bad value"},
    {"3", "the model text has errors"},
    {"4", "data missing, unreadable or of unknown unit; an output place that cannot be written"},
    {"5", "device, compiler or memory"},
    {"6", "training diverged"},
    {"7", "weights and model do not fit each other"},
    {"8", "a peer failed"},
    {"70", "our own bug"},
    {"75", "interrupted after saving what was done; a training goes on with --resume"},
};
enum { N_EXIT_CODES = sizeof exit_codes / sizeof *exit_codes };

void cli_help_program(const CliProgram *program, FILE *out) {
  fprintf(out, "%s - %s\n\nusage: %s COMMAND [OPTION]... [OPERAND]...\n\n", program->name, program->summary,
          program->name);
  for (const CliCommand *const *command = program->commands; *command; command++)
    fprintf(out, "  %-10s %s\n", (*command)->name, (*command)->summary);
  fprintf(out, "\n'%s COMMAND --help' explains one; --version, --man and --completion are for set-up.\n",
          program->name);
}

static void option_text(const CliOption *option, char *text, size_t size) {
  char letter[8] = "    ";
  if (option->letter) snprintf(letter, sizeof letter, "-%c, ", option->letter);
  snprintf(text, size, "%s--%s%s%s", letter, option->name, option->argument ? "=" : "",
           option->argument ? option->argument : "");
}

void cli_help_command(const CliProgram *program, const CliCommand *command, FILE *out) {
  fprintf(out, "usage: %s %s [OPTION]... %s\n\n%s\n", program->name, command->name, command->operands,
          command->summary);
  if (*command->details) fprintf(out, "\n%s\n", command->details);
  fprintf(out, "\noptions:\n");
  for (const CliOption *option = command->options; option->name; option++) {
    char text[96];
    option_text(option, text, sizeof text);
    fprintf(out, "  %-28s %s\n", text, option->help);
  }
}

// Roff treats backslashes, and dots and quotes at a line's start, as its own.
static void put_roff(FILE *out, const char *text) {
  bool at_start = true;
  for (; *text; text++) {
    if (at_start && (*text == '.' || *text == '\'')) fputs("\\&", out);
    if (*text == '\\') fputs("\\e", out);
    else if (*text == '-') fputs("\\-", out);
    else fputc(*text, out);
    at_start = *text == '\n';
  }
}

void cli_help_man(const CliProgram *program, FILE *out) {
  fprintf(out, ".TH %s 1 \"\" \"%s %s\"\n.SH NAME\n%s \\- ", program->name, program->name, CLI_VERSION, program->name);
  put_roff(out, program->summary);
  fprintf(out, "\n.SH SYNOPSIS\n.B %s\nCOMMAND [OPTION]... [OPERAND]...\n.SH COMMANDS\n", program->name);
  for (const CliCommand *const *command = program->commands; *command; command++) {
    fprintf(out, ".SS %s %s\n", (*command)->name, (*command)->operands);
    put_roff(out, (*command)->summary);
    fputs(".PP\n.nf\n", out);
    put_roff(out, (*command)->details);
    fputs("\n.fi\n", out);
    for (const CliOption *option = (*command)->options; option->name; option++) {
      char text[96];
      option_text(option, text, sizeof text);
      fputs(".TP\n", out);
      put_roff(out, text + strspn(text, " "));
      fputc('\n', out);
      put_roff(out, option->help);
      fputc('\n', out);
    }
  }
  fputs(".SH EXIT STATUS\n", out);
  for (int i = 0; i < N_EXIT_CODES; i++) {
    fprintf(out, ".TP\n%s\n", exit_codes[i][0]);
    put_roff(out, exit_codes[i][1]);
    fputc('\n', out);
  }
}

void cli_help_completion(const CliProgram *program, FILE *out) {
  fprintf(out,
          "_%s() {\n  local word=${COMP_WORDS[COMP_CWORD]}\n  if [ $COMP_CWORD -eq 1 ]; then\n    COMPREPLY=($(compgen "
          "-W '",
          program->name);
  for (const CliCommand *const *command = program->commands; *command; command++) fprintf(out, "%s ", (*command)->name);
  fputs("' -- \"$word\"))\n    return\n  fi\n  case ${COMP_WORDS[1]} in\n", out);
  for (const CliCommand *const *command = program->commands; *command; command++) {
    fprintf(out, "  %s) COMPREPLY=($(compgen -f -W '", (*command)->name);
    for (const CliOption *option = (*command)->options; option->name; option++) fprintf(out, "--%s ", option->name);
    fputs("' -- \"$word\")) ;;\n", out);
  }
  fprintf(out, "  esac\n}\ncomplete -o filenames -F _%s %s\n", program->name, program->name);
}
