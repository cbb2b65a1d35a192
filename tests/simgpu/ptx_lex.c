#include "tests/simgpu/ptx_lex.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void ptx_fail(PtxFailure *failure, int line, const char *format, ...) {
  va_list args;
  va_start(args, format);
  vsnprintf(failure->text, sizeof failure->text, format, args);
  va_end(args);
  failure->line = line;
  longjmp(failure->jump, 1);
}

void ptx_lex_open(PtxLexer *lexer, Arena *arena, PtxFailure *failure, const char *text) {
  *lexer = (PtxLexer){.arena = arena, .failure = failure, .at = text, .line = 1};
  ptx_next(lexer);
}

static void skip_space(PtxLexer *lexer) {
  const char *s = lexer->at;
  for (;; s++) {
    if (*s == '\n') {
      lexer->line++;
    } else if (s[0] == '/' && s[1] == '/') {
      while (s[1] && s[1] != '\n') s++;
    } else if (s[0] == '/' && s[1] == '*') {
      for (s += 2; *s && !(s[0] == '*' && s[1] == '/'); s++)
        if (*s == '\n') lexer->line++;
      if (!*s) break;
      s++;
    } else if (!isspace((unsigned char)*s)) {
      break;
    }
  }
  lexer->at = s;
}

static bool is_word_start(char c) { return isalpha((unsigned char)c) || c == '_' || c == '$' || c == '%'; }
static bool is_word(char c) { return isalnum((unsigned char)c) || c == '_' || c == '$'; }

static void lex_number(PtxLexer *lexer) {
  PtxToken *token = &lexer->token;
  const char *s = lexer->at;
  char *end;
  if (s[0] == '0' && (s[1] == 'f' || s[1] == 'F')) {
    token->kind = TOKEN_F32;
    token->value = strtoull(s + 2, &end, 16);
  } else if (s[0] == '0' && (s[1] == 'd' || s[1] == 'D')) {
    token->kind = TOKEN_F64;
    token->value = strtoull(s + 2, &end, 16);
  } else if (s[0] == '0' && (s[1] == 'b' || s[1] == 'B')) {
    token->kind = TOKEN_INTEGER;
    token->value = strtoull(s + 2, &end, 2);
  } else {
    token->kind = TOKEN_INTEGER;
    token->value = strtoull(s, &end, 0);
    if (*end == '.' && isdigit((unsigned char)end[1])) {
      double value = strtod(s, &end);
      token->kind = TOKEN_F64;
      memcpy(&token->value, &value, sizeof value);
    }
    if (*end == 'U') end++;
  }
  lexer->at = end;
}

void ptx_next(PtxLexer *lexer) {
  skip_space(lexer);
  PtxToken *token = &lexer->token;
  const char *s = lexer->at;
  *token = (PtxToken){.line = lexer->line, .start = s};
  if (!*s) {
    token->kind = TOKEN_END;
  } else if (is_word_start(*s)) {
    while (is_word(*s) || (s == lexer->at && *s == '%') || (*s == '.' && is_word(s[1])) ||
           (s[0] == ':' && s[1] == ':' && is_word(s[2]) && memchr(lexer->at, '.', (size_t)(s - lexer->at))) ||
           (s[0] == ':' && s[-1] == ':' && is_word(s[1])))
      s++;
    token->kind = TOKEN_WORD;
    token->text = arena_strndup(lexer->arena, lexer->at, (size_t)(s - lexer->at));
    lexer->at = s;
  } else if (*s == '.' && is_word(s[1])) {
    for (s++; is_word(*s);) s++;
    token->kind = TOKEN_DIRECTIVE;
    token->text = arena_strndup(lexer->arena, lexer->at, (size_t)(s - lexer->at));
    lexer->at = s;
  } else if (isdigit((unsigned char)*s)) {
    lex_number(lexer);
  } else if (*s == '"') {
    const char *end = strchr(s + 1, '"');
    if (!end) ptx_fail(lexer->failure, lexer->line, "a string without an end");
    token->kind = TOKEN_STRING;
    token->text = arena_strndup(lexer->arena, s + 1, (size_t)(end - s - 1));
    lexer->at = end + 1;
  } else {
    token->kind = TOKEN_MARK;
    token->mark = *s;
    lexer->at++;
  }
  token->end = lexer->at;
}

bool ptx_at_mark(const PtxLexer *lexer, char mark) {
  return lexer->token.kind == TOKEN_MARK && lexer->token.mark == mark;
}

bool ptx_at(const PtxLexer *lexer, const char *text) {
  return (lexer->token.kind == TOKEN_WORD || lexer->token.kind == TOKEN_DIRECTIVE) && !strcmp(lexer->token.text, text);
}

bool ptx_take_mark(PtxLexer *lexer, char mark) {
  if (!ptx_at_mark(lexer, mark)) return false;
  ptx_next(lexer);
  return true;
}

bool ptx_take(PtxLexer *lexer, const char *text) {
  if (!ptx_at(lexer, text)) return false;
  ptx_next(lexer);
  return true;
}

static void unexpected(PtxLexer *lexer, const char *wanted) {
  const PtxToken *token = &lexer->token;
  ptx_fail(lexer->failure, token->line, "%s expected, not '%.*s'", wanted, (int)(token->end - token->start),
           token->start);
}

void ptx_want_mark(PtxLexer *lexer, char mark) {
  char wanted[4] = {'\'', mark, '\''};
  if (!ptx_take_mark(lexer, mark)) unexpected(lexer, wanted);
}

const char *ptx_want_word(PtxLexer *lexer) {
  if (lexer->token.kind != TOKEN_WORD) unexpected(lexer, "a name");
  const char *text = lexer->token.text;
  ptx_next(lexer);
  return text;
}

int64_t ptx_want_integer(PtxLexer *lexer) {
  bool is_negative = ptx_take_mark(lexer, '-');
  if (lexer->token.kind != TOKEN_INTEGER) unexpected(lexer, "an integer");
  uint64_t value = lexer->token.value;
  ptx_next(lexer);
  return (int64_t)(is_negative ? 0 - value : value);
}

void ptx_skip_line(PtxLexer *lexer) {
  int line = lexer->token.line;
  while (lexer->token.kind != TOKEN_END && lexer->token.line == line) ptx_next(lexer);
}
