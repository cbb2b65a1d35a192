// token: what stands between the scanner and the grammar: line ends, brackets, recovery, and the token list of fmt.
#ifndef SG_LANG_TOKEN_H
#define SG_LANG_TOKEN_H

#include "lang/ast.h"

union NET_YYSTYPE;

enum { TOKEN_COMMENT = 100000 }; // kind of recorded comments; all others are the grammar's

// A token as it stands in the text, for the formatter.
typedef struct Token {
  int kind;
  int offset, length;
} Token;

typedef struct Bracket {
  int kind;           // '(' '[' '{'
  bool is_expression; // '{' of a match or of an `if` that is an expression, not of a block
  Span span;
} Bracket;

typedef struct ParseContext {
  Arena *arena;
  Diag *diag;
  Source *source;
  void *scanner; // flex's
  // Where the scanner stands.
  int line, column, offset;
  bool in_path_expr; // inside the braces of @a.{i}
  bool in_train;     // the present declaration is a train or study block
  // Between scanner and grammar.
  Bracket *brackets;
  int n_brackets, cap_brackets;
  int previous; // kind of the last token handed out; 0 at the start
  Name first;   // the name that began the present line, if a name did
  bool has_ahead;
  int ahead;
  union NET_YYSTYPE *ahead_value;
  Span ahead_span, last_span;
  bool is_quiet;         // brackets that were never closed have been reported: the grammar's own errors add nothing
  int n_closing;         // '}' still to be handed out in place of those that are missing
  Bracket closed;        // by the last '}'; kind 0 if it closed nothing
  bool opens_expression; // the next '{' belongs to an expression
  bool is_recovering;    // the next call first skips what a syntax error spoilt
  // For the formatter.
  Token *tokens;
  int n_tokens, cap_tokens;
  int *entry_offsets; // where entries of train blocks begin
  int n_entries, cap_entries;
} ParseContext;

// Parses source->text into source; errors go to `diag`, which has the text registered already. Fills
// ctx->tokens too. Returns false after errors.
bool source_parse(ParseContext *ctx, Arena *arena, Source *source, Diag *diag);

// The grammar's next token (net_yylex calls it).
int token_next(ParseContext *ctx, union NET_YYSTYPE *value, Span *span);
// The grammar met a syntax error at the token handed out last: adds notes and hints to the error, and skips to where
// the grammar can go on.
void token_recover(ParseContext *ctx, Span span);
// Whether the scanner stands where `freeze`, `tune`, `rate` and `decay` begin an entry of a train or study block;
// elsewhere they are names.
bool token_begins_rule(const ParseContext *ctx);
void token_record(ParseContext *ctx, int kind, int offset, int length);

// A span as a place that messages can show: its first line.
SrcLoc span_loc(const ParseContext *ctx, Span span);
Span span_join(Span a, Span b);

#endif
