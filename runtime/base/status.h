// Status: what the world refuses (files, compilers, devices, memory), and BUG() for what must not happen.
//
// Faults in the user's .net text go through Diag (compiler/diag.h) instead. Only tools/ prints a Status or exits.
#ifndef SG_BASE_STATUS_H
#define SG_BASE_STATUS_H

#include <stddef.h>

// The documented exit codes of both programs.
typedef enum ExitCode {
  EXIT_DONE = 0,
  EXIT_NEGATIVE = 1,     // ran, but the answer is negative (check failed, fmt would change)
  EXIT_USAGE = 2,        // unknown option, bad value
  EXIT_MODEL = 3,        // the model text has errors
  EXIT_DATA = 4,         // data missing, unreadable, of unknown unit; output place unusable
  EXIT_DEVICE = 5,       // device, compiler or memory
  EXIT_DIVERGED = 6,     // training diverged
  EXIT_WEIGHTS = 7,      // weights and model do not fit
  EXIT_PEER = 8,         // a peer rank failed
  EXIT_BUG = 70,         // our own bug
  EXIT_INTERRUPTED = 75, // stopped after saving; run again with --resume
} ExitCode;

// NULL means success; anything else is an error that the receiver passes on or frees with status_free.
typedef struct StatusError *Status;
#define STATUS_OK ((Status)0)

// Makes an error with the exit code that it should lead to and a message: lower case, no full stop, names the object.
__attribute__((format(printf, 2, 3), warn_unused_result)) Status status_make(ExitCode code, const char *format, ...);

// Puts "text: " in front of the message of an error; STATUS_OK passes through. Returns the same status.
__attribute__((format(printf, 2, 3), warn_unused_result)) Status status_context(Status status, const char *format, ...);

ExitCode status_code(Status status);       // EXIT_DONE for STATUS_OK
const char *status_message(Status status); // lent; "" for STATUS_OK
void status_free(Status status);

// Returns from the function with the error that `call` gives, if it gives one.
#define TRY(call)                                                                                                      \
  do {                                                                                                                 \
    Status try_status_ = (call);                                                                                       \
    if (try_status_) return try_status_;                                                                               \
  } while (0)

// As TRY, but goes to `fail:` with the error in the variable `status`.
#define TRY_GOTO(call)                                                                                                 \
  do {                                                                                                                 \
    status = (call);                                                                                                   \
    if (status) goto fail;                                                                                             \
  } while (0)

// An impossible state: says so on stderr with place and text, and ends the process with EXIT_BUG.
#define BUG(...) status_bug(__FILE__, __LINE__, __VA_ARGS__)
_Noreturn __attribute__((format(printf, 3, 4))) void status_bug(const char *file, int line, const char *format, ...);

#endif
