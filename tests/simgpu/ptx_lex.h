// Tokens of PTX text.
#ifndef SIM_PTX_LEX_H
#define SIM_PTX_LEX_H

#include "tests/simgpu/ptx.h"

typedef enum PtxTokenKind {
  TOKEN_END,
  TOKEN_WORD,      // ld.global.f32, %r1, %tid.x, $L__BB0_1
  TOKEN_DIRECTIVE, // .reg
  TOKEN_INTEGER,
  TOKEN_F32, // value holds the bits
  TOKEN_F64,
  TOKEN_STRING,
  TOKEN_MARK, // one character
} PtxTokenKind;

typedef struct PtxToken {
  PtxTokenKind kind;
  const char *text; // of words, directives (with the dot) and strings (without quotes)
  const char *start, *end;
  uint64_t value;
  char mark;
  int line;
} PtxToken;

typedef struct PtxLexer {
  Arena *arena;
  PtxFailure *failure;
  const char *at;
  int line;
  PtxToken token; // the current one
} PtxLexer;

void ptx_lex_open(PtxLexer *lexer, Arena *arena, PtxFailure *failure, const char *text);
void ptx_next(PtxLexer *lexer);
bool ptx_at_mark(const PtxLexer *lexer, char mark);
bool ptx_at(const PtxLexer *lexer, const char *text); // a word or a directive
bool ptx_take_mark(PtxLexer *lexer, char mark);       // passes it if it is there
bool ptx_take(PtxLexer *lexer, const char *text);
void ptx_want_mark(PtxLexer *lexer, char mark); // fails if it is not there
const char *ptx_want_word(PtxLexer *lexer);
int64_t ptx_want_integer(PtxLexer *lexer); // with an optional minus
void ptx_skip_line(PtxLexer *lexer);       // past the line of the current token

#endif
