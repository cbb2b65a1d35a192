// token: decides which line ends count, keeps the open brackets, and skips what a syntax error spoilt.
#include "lang/token.h"

#include <string.h>

#include "lang/parse.h"
#include "runtime/base/status.h"
#include "runtime/base/strmap.h"

#define YY_DECL int net_raw_lex(NET_YYSTYPE *value, Span *span, void *scanner)
#include "lang/lex.h"
YY_DECL;

// ---- places -----------------------------------------------------------------------------------------------------

Span span_join(Span a, Span b) {
  a.end_line = b.end_line;
  a.end_column = b.end_column;
  a.end_offset = b.end_offset;
  return a;
}

SrcLoc span_loc(const ParseContext *ctx, Span span) {
  SrcLoc loc = {ctx->source->path, span.line, span.column, 1};
  int length = span.end_column - span.column;
  if (span.end_line > span.line) length = (int)strcspn(ctx->source->text + span.offset, "\n");
  if (length > 1) loc.length = length;
  return loc;
}

// ---- raw tokens -------------------------------------------------------------------------------------------------

void token_record(ParseContext *ctx, int kind, int offset, int length) {
  Token token = {kind, offset, length};
  ARENA_PUSH(ctx->arena, ctx->tokens, ctx->n_tokens, ctx->cap_tokens, token);
}

static int take_raw(ParseContext *ctx, NET_YYSTYPE *value, Span *span) {
  if (ctx->has_ahead) {
    ctx->has_ahead = false;
    *value = *ctx->ahead_value;
    *span = ctx->ahead_span;
    return ctx->ahead;
  }
  int kind = net_raw_lex(value, span, ctx->scanner);
  if (kind == NET_YYEOF) {
    Span last = ctx->last_span; // where a person looks for what is missing
    *span = (Span){last.end_line, last.end_column, last.end_line, last.end_column, last.end_offset, last.end_offset};
    return kind;
  }
  token_record(ctx, kind, span->offset, span->end_offset - span->offset);
  return kind;
}

static void put_back(ParseContext *ctx, int kind, const NET_YYSTYPE *value, Span span) {
  ctx->has_ahead = true;
  ctx->ahead = kind;
  *ctx->ahead_value = *value;
  ctx->ahead_span = span;
}

// ---- brackets ---------------------------------------------------------------------------------------------------

static int innermost(const ParseContext *ctx) { return ctx->n_brackets ? ctx->brackets[ctx->n_brackets - 1].kind : 0; }

static void drop_round(ParseContext *ctx) {
  while (innermost(ctx) == '(' || innermost(ctx) == '[') ctx->n_brackets--;
}

static void keep_brackets(ParseContext *ctx, int kind, Span span) {
  if (kind == '(' || kind == '[' || kind == '{') {
    Bracket bracket = {kind, kind == '{' && ctx->opens_expression, span};
    if (kind == '{') ctx->opens_expression = false;
    ARENA_PUSH(ctx->arena, ctx->brackets, ctx->n_brackets, ctx->cap_brackets, bracket);
  } else if (kind == ')') {
    if (innermost(ctx) == '(') ctx->n_brackets--;
  } else if (kind == ']') {
    if (innermost(ctx) == '[') ctx->n_brackets--;
  } else if (kind == '}') {
    drop_round(ctx);
    ctx->closed = ctx->n_brackets ? ctx->brackets[--ctx->n_brackets] : (Bracket){0};
  } else if (kind == MATCH) {
    ctx->opens_expression = true;
  } else if (kind == ELSE) {
    ctx->opens_expression = ctx->closed.is_expression;
  } else if (kind == IF && ctx->previous != ELSE) {
    ctx->opens_expression = !(ctx->previous == NEWLINE || ctx->previous == '{');
  }
}

static bool opens_declaration(int kind, Span span) {
  return span.column == 1 && (kind == MODULE || kind == MODEL || kind == TRAIN);
}

// A declaration begins at the margin while brackets are open: says which is never closed, and closes all blocks.
static void close_all(ParseContext *ctx, Span span) {
  const Bracket *open = &ctx->brackets[ctx->n_brackets - 1];
  if (!ctx->is_quiet) {
    diag_error(ctx->diag, span_loc(ctx, open->span), "this '%c' is never closed", open->kind);
    diag_note(ctx->diag, span_loc(ctx, span), "the next declaration begins here");
  }
  ctx->is_quiet = true;
  for (int i = 0; i < ctx->n_brackets; i++) ctx->n_closing += ctx->brackets[i].kind == '{';
  ctx->n_brackets = 0;
}

// ---- line ends --------------------------------------------------------------------------------------------------

// A line that ends in one of these goes on in the next.
static bool is_unfinished(int kind) {
  switch (kind) {
  case 0:
  case NEWLINE:
  case '{':
  case ',':
  case '=':
  case '+':
  case '-':
  case '*':
  case '/':
  case '%':
  case '<':
  case '>':
  case FLOOR_DIV:
  case EQ:
  case NE:
  case LE:
  case GE:
  case AND:
  case OR:
  case NOT:
  case PIPE:
  case ARROW:
  case DOTDOT: return true;
  default: return false;
  }
}

// Whether the line end just read ends a statement: the next token is looked at.
static bool ends_statement(ParseContext *ctx) {
  if (innermost(ctx) == '(' || innermost(ctx) == '[') return false;
  if (is_unfinished(ctx->previous)) return false;
  NET_YYSTYPE value;
  Span span;
  int kind;
  do kind = take_raw(ctx, &value, &span);
  while (kind == NEWLINE);
  put_back(ctx, kind, &value, span);
  return kind != PIPE && kind != ELSE && kind != WHERE;
}

// ---- recovery ---------------------------------------------------------------------------------------------------

static void note_open_bracket(ParseContext *ctx, Span span) {
  int n = ctx->n_brackets;
  if (n && (ctx->previous == '(' || ctx->previous == '[' || ctx->previous == '{')) n--;
  if (!n) return;
  const Bracket *open = &ctx->brackets[n - 1];
  bool is_far = open->kind != '{' && open->span.line < span.line;
  if (is_far || ctx->previous == NET_YYEOF)
    diag_note(ctx->diag, span_loc(ctx, open->span), "this '%c' is still open", open->kind);
}

// Words of other languages, and what stands for them here.
static const char *const foreign[][2] = {
    {"def", "a module begins with `module name(x) {`"},
    {"fn", "a module begins with `module name(x) {`"},
    {"func", "a module begins with `module name(x) {`"},
    {"function", "a module begins with `module name(x) {`"},
    {"class", "a module begins with `module name(x) {`"},
    {"network", "a network begins with `model name {`"},
    {"import", "modules of other files come with `use file (name)`"},
    {"from", "modules of other files come with `use file (name)`"},
    {"include", "modules of other files come with `use file (name)`"},
    {"let", "a name is given with `name = value`"},
    {"var", "a name is given with `name = value`"},
    {"elif", "write `else if`"},
    {"while", "loops are written `for i in 0..n {`"},
    {"switch", "write `match value { pattern => result }`"},
    {"case", "write `match value { pattern => result }`"},
    {"elseif", "write `else if`"},
};

static const char *const keywords[] = {"module", "model",  "train", "use",    "input",  "output", "param",
                                       "state",  "const",  "tap",   "update", "return", "assert", "target",
                                       "loss",   "freeze", "tune",  "rate",   "decay",  "set"};

static void hint_at_first_word(ParseContext *ctx) {
  if (!ctx->first.text) return;
  for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++) {
    if (strcmp(ctx->first.text, foreign[i][0])) continue;
    diag_hint(ctx->diag, "%s", foreign[i][1]);
    return;
  }
  if (ctx->previous != NAME && ctx->previous != ':') return;
  const char *near = nearest_name(ctx->first.text, keywords, sizeof keywords / sizeof *keywords);
  if (near && strcmp(near, ctx->first.text)) diag_hint(ctx->diag, "did you mean `%s`?", near);
}

static bool is_comparison(int kind) {
  return kind == EQ || kind == NE || kind == '<' || kind == '>' || kind == LE || kind == GE;
}

void token_recover(ParseContext *ctx, Span span) {
  note_open_bracket(ctx, span);
  if (ctx->previous == '=' && !ctx->first.text && innermost(ctx) != '(') diag_hint(ctx->diag, "equality is `==`");
  else if (is_comparison(ctx->previous)) diag_hint(ctx->diag, "comparisons do not chain: write `a < b and b < c`");
  else hint_at_first_word(ctx);
  ctx->is_recovering = true;
}

// Outside of blocks: on to the next thing at the margin that begins a declaration.
static void skip_to_declaration(ParseContext *ctx, int level) {
  NET_YYSTYPE value;
  Span span;
  for (;;) {
    int kind = take_raw(ctx, &value, &span);
    bool is_start = opens_declaration(kind, span) || (span.column == 1 && kind == USE);
    if (span.column == 1 && kind == NAME && level == 0) is_start = true;
    if (kind == '{') level++;
    if (kind == '}' && level) level--;
    if (!is_start && kind != NET_YYEOF) continue;
    put_back(ctx, kind, &value, span);
    return;
  }
}

// In a block: to the end of the statement, over the blocks that it opens.
static void skip_to_statement(ParseContext *ctx, int level) {
  NET_YYSTYPE value;
  Span span;
  for (;;) {
    int kind = take_raw(ctx, &value, &span);
    bool is_end = kind == NET_YYEOF || opens_declaration(kind, span);
    if (level == 0 && (kind == NEWLINE || kind == '}')) is_end = true;
    if (kind == '{') level++;
    if (kind == '}') level--;
    if (!is_end) continue;
    put_back(ctx, kind, &value, span);
    return;
  }
}

// The token to go on with; 0 = the next of the text.
static int recover(ParseContext *ctx) {
  ctx->is_recovering = false;
  ctx->opens_expression = false;
  if (ctx->previous == '}' && ctx->closed.kind && !ctx->closed.is_expression) return '}';
  int level = ctx->previous == '{' && innermost(ctx) == '{';
  ctx->n_brackets -= level;
  while (ctx->n_brackets && !(innermost(ctx) == '{' && !ctx->brackets[ctx->n_brackets - 1].is_expression))
    level += ctx->brackets[--ctx->n_brackets].kind == '{';
  if (ctx->n_brackets == 0) {
    skip_to_declaration(ctx, level);
    return NEWLINE;
  }
  if (ctx->previous == NEWLINE && level == 0) return NEWLINE;
  if (ctx->previous != NET_YYEOF) skip_to_statement(ctx, level);
  ctx->previous = NAME; // what was skipped is as good as a finished line
  return 0;
}

// ---- the grammar's next token -----------------------------------------------------------------------------------

bool token_begins_rule(const ParseContext *ctx) {
  return ctx->in_train && innermost(ctx) == '{' && ctx->previous != SET;
}

static int hand_out(ParseContext *ctx, int kind, const NET_YYSTYPE *value, Span span) {
  if (ctx->n_brackets == 0 && (kind == MODULE || kind == MODEL)) ctx->in_train = false;
  if (ctx->n_brackets == 0 && (kind == TRAIN || kind == STUDY)) ctx->in_train = true;
  bool is_first = ctx->previous == NEWLINE || ctx->previous == '{' || ctx->previous == 0;
  if (is_first) ctx->first = kind == NAME ? (Name){value->text, span_loc(ctx, span)} : (Name){0};
  keep_brackets(ctx, kind, span);
  ctx->last_span = span;
  ctx->previous = kind;
  return kind;
}

int token_next(ParseContext *ctx, NET_YYSTYPE *value, Span *span) {
  int kept = ctx->is_recovering ? recover(ctx) : 0;
  if (kept) {
    *span = ctx->last_span;
    return ctx->previous = kept;
  }
  for (;;) {
    if (ctx->n_closing) {
      *span = ctx->ahead_span;
      ctx->n_closing--;
      return ctx->previous = '}';
    }
    int kind = take_raw(ctx, value, span);
    if (opens_declaration(kind, *span) && ctx->n_brackets) {
      put_back(ctx, kind, value, *span);
      close_all(ctx, *span);
      continue;
    }
    if (opens_declaration(kind, *span) && ctx->previous == '}') { // after close_all, which swallowed the line end
      put_back(ctx, kind, value, *span);
      ctx->is_quiet = false;
      return ctx->previous = NEWLINE;
    }
    if (kind == NEWLINE && !ends_statement(ctx)) continue;
    if (kind == NET_YYEOF && ctx->previous != NEWLINE && ctx->previous != NET_YYEOF && !ctx->n_brackets) {
      put_back(ctx, kind, value, *span);
      kind = NEWLINE;
    }
    return hand_out(ctx, kind, value, *span);
  }
}

// ---- parsing ----------------------------------------------------------------------------------------------------

// Returns the offset of the first byte that is not part of valid UTF-8, or -1.
static int invalid_utf8(const char *text) {
  const unsigned char *s = (const unsigned char *)text;
  for (int i = 0; s[i];) {
    int n = s[i] < 0x80                   ? 1
            : s[i] >= 0xc2 && s[i] < 0xe0 ? 2
            : s[i] >= 0xe0 && s[i] < 0xf0 ? 3
            : s[i] >= 0xf0 && s[i] < 0xf5 ? 4
                                          : 0;
    if (!n) return i;
    for (int k = 1; k < n; k++)
      if ((s[i + k] & 0xc0) != 0x80) return i;
    i += n;
  }
  return -1;
}

static bool check_bytes(ParseContext *ctx) {
  const char *text = ctx->source->text;
  int bad = invalid_utf8(text);
  if (bad < 0) return true;
  SrcLoc loc = {ctx->source->path, 1, 1, 1};
  for (int i = 0; i < bad; i++) {
    loc.column++;
    if (text[i] == '\n') loc.line++, loc.column = 1;
  }
  diag_error(ctx->diag, loc, "the byte 0x%02x is not UTF-8 text", (unsigned char)text[bad]);
  diag_hint(ctx->diag, "save the file as UTF-8");
  return false;
}

bool source_parse(ParseContext *ctx, Arena *arena, Source *source, Diag *diag) {
  NET_YYSTYPE ahead;
  memset(&ahead, 0, sizeof ahead);
  *ctx = (ParseContext){.arena = arena, .diag = diag, .source = source, .line = 1, .column = 1, .ahead_value = &ahead};
  if (!check_bytes(ctx)) return false;
  int n_before = diag_errors(diag);
  if (net_raw_lex_init_extra(ctx, &ctx->scanner)) BUG("cannot make a scanner");
  net_raw__scan_bytes(source->text, (int)strlen(source->text), ctx->scanner);
  net_yyparse(ctx);
  net_raw_lex_destroy(ctx->scanner);
  ctx->ahead_value = NULL;
  return diag_errors(diag) == n_before;
}
