// Status: errors of the world as values, and BUG() for our own.
#include "runtime/base/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct StatusError {
  ExitCode code;
  char *message;
};

static char *format_text(const char *format, va_list args) {
  char *text = NULL;
  return vasprintf(&text, format, args) < 0 ? NULL : text;
}

Status status_make(ExitCode code, const char *format, ...) {
  Status status = malloc(sizeof *status);
  if (!status) BUG("out of memory while reporting '%s'", format);
  va_list args;
  va_start(args, format);
  *status = (struct StatusError){code, format_text(format, args)};
  va_end(args);
  return status;
}

Status status_context(Status status, const char *format, ...) {
  if (!status) return status;
  va_list args;
  va_start(args, format);
  char *context = format_text(format, args), *joined = NULL;
  va_end(args);
  if (context && asprintf(&joined, "%s: %s", context, status_message(status)) >= 0) {
    free(status->message);
    status->message = joined;
  }
  free(context);
  return status;
}

ExitCode status_code(Status status) { return status ? status->code : EXIT_DONE; }

const char *status_message(Status status) {
  return !status ? "" : status->message ? status->message : "out of memory";
}

void status_free(Status status) {
  if (!status) return;
  free(status->message);
  free(status);
}

void status_bug(const char *file, int line, const char *format, ...) {
  fprintf(stderr, "internal error at %s:%d: ", file, line);
  va_list args;
  va_start(args, format);
  vfprintf(stderr, format, args);
  va_end(args);
  fprintf(stderr, "\nThis is a bug in the program, not in your input; please report it with the command you ran.\n");
  exit(EXIT_BUG);
}
