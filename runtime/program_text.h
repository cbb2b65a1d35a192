// What the writer and the reader of a program's text form agree on.
#ifndef SG_PROGRAM_TEXT_H
#define SG_PROGRAM_TEXT_H

#include "runtime/program.h"

#define PROGRAM_MAGIC "sgprogram 7"
enum { BUFFER_KINDS = BUFFER_SLAB + 1, GEMM_SIZES = 10 };
// By BufferKind.
extern const char *const buffer_kind_names[BUFFER_KINDS];

#endif
