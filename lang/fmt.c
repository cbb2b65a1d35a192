// fmt: the text of a file with canonical spaces, indents and blank lines. Line breaks and comments stay the author's.
#include <string.h>

#include "lang/lang.h"
#include "lang/parse.h"
#include "lang/token.h"

enum { INDENT = 2, MAX_ALIGNED = 100 }; // columns

typedef struct Open {
  int kind;   // '(' '[' '{' PATH_OPEN
  int indent; // of the line that closes it
} Open;

typedef struct Line {
  const char *code;    // without indent; "" for a line of its own comment, NULL for a blank line
  const char *comment; // or NULL
  int indent;
} Line;

typedef struct Fmt {
  Arena *arena;
  const char *text;
  const Token *tokens;
  int n_tokens;
  const int *entries; // offsets of entries of train blocks
  int n_entries;
  Open *open;
  int n_open, cap_open;
  Line *lines;
  int n_lines, cap_lines;
  int statement; // indent of the statement at work
  int first;     // kind of its first token
  int previous;  // kind of the last token that is no comment or line end; 0 at the start
} Fmt;

// ---- spaces -----------------------------------------------------------------------------------------------------

static bool is_entry(const Fmt *fmt, const Token *token) {
  for (int i = 0; i < fmt->n_entries; i++)
    if (fmt->entries[i] == token->offset) return true;
  return false;
}

static bool is_soft(int kind) {
  return kind == NET || kind == USE || kind == TARGET || kind == LOSS || kind == SET || kind == STUDY ||
         kind == STATE || kind == INPUT || kind == OUTPUT || kind == MODEL || kind == IN;
}

// Tokens after which '(' and '[' belong to what stands before, and '-' is a difference.
static bool ends_operand(const Fmt *fmt, const Token *token, bool starts_statement) {
  switch (token->kind) {
  case NAME:
  case INT:
  case FLOAT:
  case STRING:
  case TRUE:
  case FALSE:
  case NONE:
  case ')':
  case ']':
  case '}':
  case PATH_WORD:
  case PATH_CLOSE: return true;
  case IN:
  case STATE:
  case INPUT:
  case OUTPUT:
  case MODEL: return false;
  default: return is_soft(token->kind) && !starts_statement && !is_entry(fmt, token);
  }
}

static int innermost(const Fmt *fmt) { return fmt->n_open ? fmt->open[fmt->n_open - 1].kind : 0; }

static bool is_header(const Fmt *fmt) {
  if (fmt->first != MODULE && fmt->first != MODEL) return false;
  int n = 0;
  for (int i = 0; i < fmt->n_open; i++) n += fmt->open[i].kind == '(' ? 1 : 2;
  return n == 1;
}

// -1 after the key of a train entry: `set rate -1`.
static bool is_entry_sign(const Fmt *fmt, const Token *line, const Token *token) {
  if (token - line >= 1 && token[-1].kind == NAME && is_entry(fmt, token - 1)) return true;
  return token - line >= 2 && token[-2].kind == SET && is_entry(fmt, token - 2);
}

static bool is_sign(const Fmt *fmt, const Token *line, const Token *token) {
  if (token->kind != '-') return false;
  if (token == line)
    return !(fmt->previous == NAME || fmt->previous == ')' || fmt->previous == ']' || fmt->previous == INT ||
             fmt->previous == FLOAT || fmt->previous == '}');
  return !ends_operand(fmt, token - 1, token - 1 == line) || is_entry_sign(fmt, line, token);
}

static bool is_path(int kind) { return kind == PATH_WORD || kind == PATH_OPEN || kind == PATH_CLOSE; }

// Spaces between a token and the one before it on the line.
static int count_spaces(const Fmt *fmt, const Token *line, const Token *token) {
  const Token *before = token - 1;
  int a = before->kind, b = token->kind;
  if (is_entry(fmt, token)) return a == '{' ? 1 : 3;
  if (a == '@' || a == PATH_OPEN || b == PATH_CLOSE || (is_path(a) && is_path(b))) return 0;
  if (a == '(' || a == '[' || b == ')' || b == ']' || b == ',' || b == ':') return 0;
  if (a == DOTDOT || b == DOTDOT) return 0;
  if (a == '{' && b == '}') return 0;
  if (is_sign(fmt, line, before)) return 0;
  if (a == '=' || b == '=') return innermost(fmt) == '(' && !is_header(fmt) ? 0 : 1;
  if (b == '(' || b == '[') {
    if (fmt->first == USE && b == '(') return 1;
    bool starts = before == line && (a == USE || a == NET);
    return ends_operand(fmt, before, starts) && a != '}' && !is_path(a) ? 0 : 1;
  }
  return 1;
}

// ---- lines ------------------------------------------------------------------------------------------------------

static void push(Fmt *fmt, int kind, int indent) {
  Open open = {kind, indent};
  ARENA_PUSH(fmt->arena, fmt->open, fmt->n_open, fmt->cap_open, open);
}

static bool is_opening(int kind) { return kind == '(' || kind == '[' || kind == '{' || kind == PATH_OPEN; }
static bool is_closing(int kind) { return kind == ')' || kind == ']' || kind == '}' || kind == PATH_CLOSE; }

static int inner_indent(const Fmt *fmt) { return fmt->n_open ? fmt->open[fmt->n_open - 1].indent + INDENT : 0; }

static int line_indent(const Fmt *fmt, const Token *line, const Token *end) {
  int n = fmt->n_open, indent = inner_indent(fmt);
  for (const Token *token = line; token < end && is_closing(token->kind) && n; token++) indent = fmt->open[--n].indent;
  return indent;
}

// Whether the line goes on with the statement of the line before.
static bool goes_on(const Fmt *fmt, const Token *line) {
  if (innermost(fmt) == '(' || innermost(fmt) == '[') return false;
  if (line->kind == PIPE || line->kind == WHERE) return true;
  switch (fmt->previous) {
  case '+':
  case '-':
  case '*':
  case '/':
  case '%':
  case '<':
  case '>':
  case '=':
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
  case ',': return innermost(fmt) != '{' || fmt->first == MODULE || fmt->first == MODEL;
  default: return false;
  }
}

static void put_line(Fmt *fmt, const Token *line, const Token *end, const Token *comment) {
  Line out = {.code = "", .indent = inner_indent(fmt)};
  if (line < end) {
    bool is_continued = goes_on(fmt, line);
    bool is_inside = innermost(fmt) == '(' || innermost(fmt) == '[';
    out.indent = line_indent(fmt, line, end);
    if (!is_continued && !is_inside) {
      fmt->statement = out.indent;
      fmt->first = line->kind;
    }
    if (is_continued) out.indent += line->kind == WHERE ? 2 * INDENT : INDENT;
    Text code = {0};
    for (const Token *token = line; token < end; token++) {
      for (int n = token > line ? count_spaces(fmt, line, token) : 0; n > 0; n--) text_put(&code, " ");
      if (is_closing(token->kind) && fmt->n_open) fmt->n_open--;
      if (is_opening(token->kind)) push(fmt, token->kind, token->kind == '{' ? fmt->statement : out.indent);
      text_write(&code, fmt->text + token->offset, (size_t)token->length);
      fmt->previous = token->kind;
    }
    out.code = arena_strdup(fmt->arena, text_get(&code));
    text_free(&code);
  }
  if (comment) {
    const char *words = fmt->text + comment->offset + 1;
    int n = comment->length - 1;
    while (n && (words[n - 1] == ' ' || words[n - 1] == '\t' || words[n - 1] == '\r')) n--;
    bool is_tight = n && words[0] != ' ' && words[0] != '#' && words[0] != '!';
    out.comment = arena_printf(fmt->arena, "#%s%.*s", is_tight ? " " : "", n, words);
  }
  ARENA_PUSH(fmt->arena, fmt->lines, fmt->n_lines, fmt->cap_lines, out);
}

// Keeps one blank line where there are some, but none at the edges of a block.
static void put_blank(Fmt *fmt) {
  if (!fmt->n_lines || !fmt->lines[fmt->n_lines - 1].code) return;
  Line blank = {0};
  ARENA_PUSH(fmt->arena, fmt->lines, fmt->n_lines, fmt->cap_lines, blank);
}

static void split_lines(Fmt *fmt) {
  const Token *token = fmt->tokens, *end = fmt->tokens + fmt->n_tokens;
  while (token < end) {
    const Token *line = token;
    while (token < end && token->kind != NEWLINE && token->kind != TOKEN_COMMENT) token++;
    const Token *code_end = token, *comment = NULL;
    if (token < end && token->kind == TOKEN_COMMENT) comment = token++;
    if (line == code_end && !comment) put_blank(fmt);
    else put_line(fmt, line, code_end, comment);
    if (token < end && token->kind == NEWLINE) token++;
  }
}

// ---- text -------------------------------------------------------------------------------------------------------

static int width(const Line *line) { return line->indent + (int)strlen(line->code); }

static bool has_both(const Line *line) { return line->code && *line->code && line->comment; }

// Comments behind the code of neighbouring lines stand in one column.
static int comment_column(const Fmt *fmt, int i) {
  int column = 0, from = i, to = i;
  while (from > 0 && has_both(&fmt->lines[from - 1])) from--;
  while (to + 1 < fmt->n_lines && has_both(&fmt->lines[to + 1])) to++;
  for (int k = from; k <= to; k++)
    if (width(&fmt->lines[k]) > column && width(&fmt->lines[k]) <= MAX_ALIGNED) column = width(&fmt->lines[k]);
  return column + 2;
}

static bool is_edge(const Fmt *fmt, int blank) {
  const Line *before = &fmt->lines[blank - 1];
  const Line *after = blank + 1 < fmt->n_lines ? &fmt->lines[blank + 1] : NULL;
  size_t n = strlen(before->code);
  if (!after) return true;
  return (n && before->code[n - 1] == '{') || after->code[0] == '}';
}

static void put_text(const Fmt *fmt, Text *out) {
  int column = 0;
  for (int i = 0; i < fmt->n_lines; i++) {
    const Line *line = &fmt->lines[i];
    if (!line->code) {
      if (!is_edge(fmt, i)) text_put(out, "\n");
      continue;
    }
    if (has_both(line) && !(i && has_both(&fmt->lines[i - 1]))) column = comment_column(fmt, i);
    text_printf(out, "%*s%s", line->indent, "", line->code);
    if (has_both(line)) {
      int n = column - width(line);
      text_printf(out, "%*s%s", n < 2 ? 2 : n, "", line->comment);
    } else if (line->comment) {
      text_put(out, line->comment);
    }
    text_put(out, "\n");
  }
}

bool lang_format(const char *path, const char *text, Text *out, Diag *diag) {
  Arena *arena = arena_new();
  Source source = {.path = path, .name = path, .text = text};
  diag_add_source(diag, path, text);
  ParseContext ctx;
  bool is_good = source_parse(&ctx, arena, &source, diag);
  if (is_good) {
    Fmt fmt = {.arena = arena,
               .text = text,
               .tokens = ctx.tokens,
               .n_tokens = ctx.n_tokens,
               .entries = ctx.entry_offsets,
               .n_entries = ctx.n_entries};
    split_lines(&fmt);
    put_text(&fmt, out);
  }
  arena_free(arena);
  return is_good;
}
