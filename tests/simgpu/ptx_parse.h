// Shared between the halves of the parser: modules and variables (ptx_parse.c), bodies (ptx_body.c).
#ifndef SIM_PTX_PARSE_H
#define SIM_PTX_PARSE_H

#include "tests/simgpu/ptx_lex.h"

typedef struct PtxParser {
  Arena *arena;
  PtxFailure *failure;
  PtxLexer lexer;
  PtxModule *module;
} PtxParser;

// A declaration behind its space: ".align 4 .b8 name[24] = {...}", without the closing mark.
PtxVariable *ptx_parse_variable(PtxParser *parser, PtxSpace space);
PtxVariable *ptx_module_variable(const PtxModule *module, const char *name);
void ptx_parse_body(PtxParser *parser, PtxFunction *function); // from { to }

#endif
