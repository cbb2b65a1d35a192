/* parse: tokens -> tree. Line ends are tokens; token.c has dropped those that do not count. */
%require "3.8"
%define api.prefix {net_yy}
%define api.pure full
%define api.location.type {Span}
%define lr.type ielr
%define parse.lac full
%define parse.error custom
%locations
%param {ParseContext *ctx}
%expect 0

%code top {
// Generated from lang/parse.y.
}
%code requires {
#include "lang/tree.h"
}
%code {
#include <string.h>

#include "runtime/base/text.h"

#define YYLLOC_DEFAULT(result, rhs, n)                                                                                 \
  (result) = (n) ? span_join(YYRHSLOC(rhs, 1), YYRHSLOC(rhs, n)) : span_after(YYRHSLOC(rhs, 0))
#define YYMAXDEPTH 3000

// After an error production: the scanner has skipped what was spoilt (token_recover); at the end of the text all is over.
#define RECOVERED                                                                                                      \
  do {                                                                                                                 \
    yyerrok;                                                                                                           \
    yyclearin;                                                                                                         \
    if (ctx->previous == NET_YYEOF) YYABORT;                                                                           \
  } while (0)

#define LOC(span) span_loc(ctx, span)
#define PUSH(list, item) ARENA_PUSH(ctx->arena, (list).items, (list).n, (list).cap, item)

static Span span_after(Span span) {
  span.line = span.end_line;
  span.column = span.end_column;
  span.offset = span.end_offset;
  return span;
}

static int net_yylex(union NET_YYSTYPE *value, Span *span, ParseContext *ctx) { return token_next(ctx, value, span); }
static void net_yyerror(Span *span, ParseContext *ctx, const char *text);
}

%union {
  const char *text;
  struct {
    int64_t i;
    double f;
    const char *text;
  } number;
  Name name;
  NameList names;
  Expr *expr;
  ExprList exprs;
  Stmt *stmt;
  StmtList stmts;
  Arg arg;
  ArgList args;
  Arm arm;
  ArmList arms;
  Path *path;
  Type *type;
  Param param;
  ParamList params;
  Entry entry;
  EntryList entries;
}

%token YYEOF 0 "end of file"
%token NEWLINE "end of line"
%token <number> INT "a number" FLOAT "a fraction"
%token <text> STRING "a string" NAME "a name" PATH_WORD "an instance path" PATTERN_WORD "a pattern of paths"
%token PATH_OPEN "{" PATH_CLOSE "}"
%token <text> NET "net" USE "use" MODULE "module" MODEL "model" TRAIN "train" STUDY "study" INPUT "input" OUTPUT "output"
%token <text> PARAM "param" STATE "state" CONST "const" TAP "tap" UPDATE "update" RETURN "return" IF "if" ELSE "else"
%token <text> FOR "for" IN "in" MATCH "match" WHERE "where" ASSERT "assert" TRUE "true" FALSE "false" NONE "none"
%token <text> AND "and" OR "or" NOT "not" TARGET "target" LOSS "loss" SET "set" FREEZE "freeze" TUNE "tune" RATE "rate" DECAY "decay"
%token EQ "==" NE "!=" LE "<=" GE ">=" FLOOR_DIV "//" PIPE "|>" ARROW "=>" DOTDOT ".."

%type <name> name key
%type <names> names use_names
%type <expr> expr range logic compare sum product prefix postfix named unnamed effect literal match_expr if_expr entry_value
%type <exprs> exprs list_items where dims patterns
%type <stmt> stmt if_stmt
%type <stmts> lines block
%type <arg> arg
%type <args> args arg_items
%type <arm> arm
%type <arms> arms
%type <path> at path path_parts
%type <type> type
%type <param> param
%type <params> params param_items
%type <entry> entry
%type <entries> entries entry_lines part_settings

%left OR
%left AND
%precedence NOT

%%

file: edition decls ;

edition:
  NET INT NEWLINE { tree_edition(ctx, @2, $INT.i); }
| NET error NEWLINE { yyerrok; }
| %empty {
    Span start = {.line = 1, .column = 1, .end_line = 1, .end_column = 1};
    diag_error(ctx->diag, LOC(start), "the edition of the language is missing");
    diag_hint(ctx->diag, "begin the file with the line `net 1`");
  }
;

decls: decl | decls NEWLINE decl ;

decl:
  %empty
| error { RECOVERED; }
| USE name[file] {
    Use use = {.file = $file};
    PUSH(ctx->source->uses, use);
  }
| USE name[file] '(' use_names ')' {
    Use use = {.file = $file, .names = $use_names};
    PUSH(ctx->source->uses, use);
  }
| MODULE name params where block {
    tree_declare(ctx, DECL_MODULE, @2, $name, &(Decl){.params = $params, .where = $where, .body = $block});
  }
| MODEL name params where block {
    tree_declare(ctx, DECL_MODEL, @2, $name, &(Decl){.params = $params, .where = $where, .body = $block});
  }
| MODEL name where block {
    tree_declare(ctx, DECL_MODEL, @2, $name, &(Decl){.where = $where, .body = $block});
  }
| TRAIN name '{' entry_lines '}' {
    tree_declare(ctx, DECL_TRAIN, @2, $name, &(Decl){.entries = $entry_lines});
  }
| STUDY name '{' entry_lines '}' {
    tree_declare(ctx, DECL_STUDY, @2, $name, &(Decl){.entries = $entry_lines});
  }
| NAME '=' expr {
    tree_declare(ctx, DECL_CONST, @1, (Name){$NAME, LOC(@1)}, &(Decl){.value = $expr});
  }
;

use_names: names | names ',' ;

params:
  '(' ')' { $$ = (ParamList){0}; }
| '(' param_items ')' { $$ = $2; }
| '(' param_items ',' ')' { $$ = $2; }
;
param_items:
  param { $$ = (ParamList){0}; PUSH($$, $1); }
| param_items ',' param { $$ = $1; PUSH($$, $3); }
;
param:
  name { $$ = (Param){.name = $1}; }
| name ':' type { $$ = (Param){.name = $1, .type = $3}; }
| name '=' expr { $$ = (Param){.name = $1, .fallback = $3}; }
| name ':' type '=' expr { $$ = (Param){.name = $1, .type = $3, .fallback = $5}; }
;

where:
  %empty { $$ = (ExprList){0}; }
| WHERE exprs { $$ = $2; }
;

type: name '[' dims ']' {
    $$ = ARENA_ARRAY(ctx->arena, Type, 1);
    $$->element = $name;
    $$->dims = $dims;
    $$->loc = LOC(@$);
  }
;
dims: %empty { $$ = (ExprList){0}; } | exprs | exprs ',' ;

// ---- statements

block: '{' lines '}' { $$ = $2; } ;
lines:
  %empty { $$ = (StmtList){0}; }
| stmt { $$ = (StmtList){0}; PUSH($$, $1); }
| error { $$ = (StmtList){0}; RECOVERED; }
| lines NEWLINE { $$ = $1; }
| lines NEWLINE stmt { $$ = $1; PUSH($$, $3); }
| lines NEWLINE error { $$ = $1; RECOVERED; }
;

stmt:
  names '=' exprs {
    $$ = tree_stmt(ctx, STMT_ASSIGN, @1);
    $$->names = $names;
    $$->values = $exprs;
  }
| INPUT name ':' type where {
    $$ = tree_named(ctx, STMT_INPUT, @2, $name, $type, NULL);
    $$->where = $where;
  }
| PARAM name ':' type '=' expr { $$ = tree_named(ctx, STMT_PARAM, @2, $name, $type, $expr); }
| STATE name ':' type '=' expr { $$ = tree_named(ctx, STMT_STATE, @2, $name, $type, $expr); }
| CONST name ':' type '=' expr { $$ = tree_named(ctx, STMT_CONST, @2, $name, $type, $expr); }
| OUTPUT name '=' expr { $$ = tree_named(ctx, STMT_OUTPUT, @2, $name, NULL, $expr); }
| TAP name '=' expr { $$ = tree_named(ctx, STMT_TAP, @2, $name, NULL, $expr); }
| UPDATE name '=' expr { $$ = tree_named(ctx, STMT_UPDATE, @2, $name, NULL, $expr); }
| if_stmt
| FOR names IN expr block {
    $$ = tree_valued(ctx, STMT_FOR, @1, $expr);
    $$->names = $names;
    $$->body = $block;
  }
| RETURN { $$ = tree_stmt(ctx, STMT_RETURN, @1); }
| RETURN exprs {
    $$ = tree_stmt(ctx, STMT_RETURN, @1);
    $$->values = $exprs;
  }
| ASSERT expr { $$ = tree_valued(ctx, STMT_ASSERT, @$, $expr); }
| ASSERT expr[condition] ',' expr[message] {
    $$ = tree_valued(ctx, STMT_ASSERT, @condition, $condition);
    $$->message = $message;
  }
| effect { $$ = tree_valued(ctx, STMT_EXPR, @1, $effect); }
;
// A bare call; an expression that begins with `if` is a statement here.
effect:
  named
| effect PIPE postfix { $$ = tree_pipe(ctx, @$, @3, $1, $3); }
;

if_stmt:
  IF expr block {
    $$ = tree_valued(ctx, STMT_IF, @1, $expr);
    $$->body = $block;
  }
| IF expr block[then] ELSE block[other] {
    $$ = tree_valued(ctx, STMT_IF, @1, $expr);
    $$->body = $then;
    $$->other = $other;
  }
| IF expr block ELSE if_stmt[other] {
    $$ = tree_valued(ctx, STMT_IF, @1, $expr);
    $$->body = $block;
    PUSH($$->other, $other);
  }
;

names:
  name { $$ = (NameList){0}; PUSH($$, $1); }
| names ',' name { $$ = $1; PUSH($$, $3); }
;
name:
  NAME { $$ = (Name){$1, LOC(@1)}; }
| NET { $$ = (Name){$1, LOC(@1)}; }
| USE { $$ = (Name){$1, LOC(@1)}; }
| TARGET { $$ = (Name){$1, LOC(@1)}; }
| LOSS { $$ = (Name){$1, LOC(@1)}; }
| SET { $$ = (Name){$1, LOC(@1)}; }
| STUDY { $$ = (Name){$1, LOC(@1)}; }
;

// ---- expressions

exprs:
  expr { $$ = (ExprList){0}; PUSH($$, $1); }
| exprs ',' expr { $$ = $1; PUSH($$, $3); }
;

expr:
  range
| expr PIPE postfix { $$ = tree_pipe(ctx, @$, @3, $1, $3); }
;
range:
  logic
| logic DOTDOT logic { $$ = tree_binary(ctx, @$, OPERATOR_RANGE, $1, $3); }
;
logic:
  compare
| logic AND logic { $$ = tree_binary(ctx, @$, OPERATOR_AND, $1, $3); }
| logic OR logic { $$ = tree_binary(ctx, @$, OPERATOR_OR, $1, $3); }
| NOT logic { $$ = tree_unary(ctx, @$, OPERATOR_NOT, $2); }
;
compare:
  sum
| sum EQ sum { $$ = tree_binary(ctx, @$, OPERATOR_EQ, $1, $3); }
| sum NE sum { $$ = tree_binary(ctx, @$, OPERATOR_NE, $1, $3); }
| sum '<' sum { $$ = tree_binary(ctx, @$, OPERATOR_LT, $1, $3); }
| sum LE sum { $$ = tree_binary(ctx, @$, OPERATOR_LE, $1, $3); }
| sum '>' sum { $$ = tree_binary(ctx, @$, OPERATOR_GT, $1, $3); }
| sum GE sum { $$ = tree_binary(ctx, @$, OPERATOR_GE, $1, $3); }
;
sum:
  product
| sum '+' product { $$ = tree_binary(ctx, @$, OPERATOR_ADD, $1, $3); }
| sum '-' product { $$ = tree_binary(ctx, @$, OPERATOR_SUB, $1, $3); }
;
product:
  prefix
| product '*' prefix { $$ = tree_binary(ctx, @$, OPERATOR_MUL, $1, $3); }
| product '/' prefix { $$ = tree_binary(ctx, @$, OPERATOR_DIV, $1, $3); }
| product FLOOR_DIV prefix { $$ = tree_binary(ctx, @$, OPERATOR_FLOOR_DIV, $1, $3); }
| product '%' prefix { $$ = tree_binary(ctx, @$, OPERATOR_MOD, $1, $3); }
;
prefix:
  postfix
| '-' prefix { $$ = tree_unary(ctx, @$, OPERATOR_SUB, $2); }
;
postfix: named | unnamed ;
named:
  name { $$ = tree_text(ctx, EXPR_NAME, @1, $1.text); }
| named '[' expr ']' { $$ = tree_element(ctx, @$, $1, $3); }
| named '(' args ')' at { $$ = tree_call(ctx, $at ? @$ : span_join(@1, @4), $1, $args, $at); }
;
unnamed:
  literal
| '(' expr ')' { $$ = $2; }
| '[' list_items ']' {
    $$ = tree_expr(ctx, EXPR_LIST, @$);
    $$->items = $2;
    $$ = tree_finish(ctx, $$);
  }
| match_expr
| if_expr
| unnamed '[' expr ']' { $$ = tree_element(ctx, @$, $1, $3); }
| unnamed '(' args ')' at { $$ = tree_call(ctx, $at ? @$ : span_join(@1, @4), $1, $args, $at); }
;
list_items: %empty { $$ = (ExprList){0}; } | exprs | exprs ',' ;

literal:
  INT { $$ = tree_expr(ctx, EXPR_INT, @1); $$->integer = $1.i; $$->text = $1.text; }
| FLOAT { $$ = tree_expr(ctx, EXPR_FLOAT, @1); $$->number = $1.f; $$->text = $1.text; }
| STRING { $$ = tree_text(ctx, EXPR_STRING, @1, $1); }
| TRUE { $$ = tree_bool(ctx, @1, true); }
| FALSE { $$ = tree_bool(ctx, @1, false); }
| NONE { $$ = tree_expr(ctx, EXPR_NONE, @1); }
;

match_expr: MATCH expr '{' arms end_of_arms '}' {
    $$ = tree_expr(ctx, EXPR_MATCH, @1);
    $$->a = $expr;
    $$->arms = $arms;
    $$ = tree_finish(ctx, $$);
  }
;
end_of_arms: %empty | NEWLINE | ',' ;
arms:
  arm { $$ = (ArmList){0}; PUSH($$, $1); }
| arms ',' arm { $$ = $1; PUSH($$, $3); }
| arms NEWLINE arm { $$ = $1; PUSH($$, $3); }
;
arm: patterns ARROW expr { $$ = (Arm){$1, $3}; } ;
patterns:
  sum { $$ = (ExprList){0}; PUSH($$, $1); }
| patterns '|' sum { $$ = $1; PUSH($$, $3); }
;

if_expr:
  IF expr '{' expr[then] end_of_line '}' ELSE '{' expr[other] end_of_line '}' {
    $$ = tree_condition(ctx, @1, $2, $then, $other);
  }
| IF expr '{' expr[then] end_of_line '}' ELSE if_expr[other] { $$ = tree_condition(ctx, @1, $2, $then, $other); }
;
end_of_line: %empty | NEWLINE ;

args:
  %empty { $$ = (ArgList){0}; }
| arg_items
| arg_items ','
;
arg_items:
  arg { $$ = (ArgList){0}; PUSH($$, $1); }
| arg_items ',' arg { $$ = $1; PUSH($$, $3); }
;
arg:
  expr { $$ = (Arg){.value = $1}; }
| key '=' expr { $$ = (Arg){$1, $3}; }
;
// Keywords of statements may name arguments.
key:
  name
| INPUT { $$ = (Name){$1, LOC(@1)}; }
| OUTPUT { $$ = (Name){$1, LOC(@1)}; }
| STATE { $$ = (Name){$1, LOC(@1)}; }
| MODEL { $$ = (Name){$1, LOC(@1)}; }
| IN { $$ = (Name){$1, LOC(@1)}; }
;

at: %empty { $$ = NULL; } | '@' path {
    $$ = $2;
    $$->loc = LOC(@$);
    tree_check_path(ctx, $$);
  }
;
path: path_parts ;
path_parts:
  PATH_WORD {
    $$ = ARENA_ARRAY(ctx->arena, Path, 1);
    PathPart part = {.word = $1};
    ARENA_PUSH(ctx->arena, $$->parts, $$->n, $$->cap, part);
  }
| PATH_OPEN expr PATH_CLOSE {
    $$ = ARENA_ARRAY(ctx->arena, Path, 1);
    PathPart part = {.expr = $2};
    ARENA_PUSH(ctx->arena, $$->parts, $$->n, $$->cap, part);
  }
| path_parts PATH_WORD {
    $$ = $1;
    PathPart part = {.word = $2};
    ARENA_PUSH(ctx->arena, $$->parts, $$->n, $$->cap, part);
  }
| path_parts PATH_OPEN expr PATH_CLOSE {
    $$ = $1;
    PathPart part = {.expr = $3};
    ARENA_PUSH(ctx->arena, $$->parts, $$->n, $$->cap, part);
  }
;

// ---- train and study blocks

entry_lines:
  %empty { $$ = (EntryList){0}; }
| entries
| error { $$ = (EntryList){0}; RECOVERED; }
| entry_lines NEWLINE { $$ = $1; }
| entry_lines NEWLINE entries {
    $$ = $1;
    for (int i = 0; i < $3.n; i++) PUSH($$, $3.items[i]);
  }
| entry_lines NEWLINE error { $$ = $1; RECOVERED; }
;
entries:
  entry { $$ = (EntryList){0}; tree_entry(ctx, &$$, $1, @1); }
| entries entry { $$ = $1; tree_entry(ctx, &$$, $2, @2); }
;
entry:
  TARGET name ':' type { $$ = (Entry){.kind = ENTRY_TARGET, .name = $2, .type = $4}; }
| LOSS expr { $$ = (Entry){.kind = ENTRY_LOSS, .value = $2, .name = {$1, LOC(@1)}}; }
| FREEZE PATTERN_WORD { $$ = (Entry){.kind = ENTRY_RULE, .name = {$1, LOC(@1)}, .pattern = {$2, LOC(@2)}}; }
| TUNE PATTERN_WORD { $$ = (Entry){.kind = ENTRY_RULE, .name = {$1, LOC(@1)}, .pattern = {$2, LOC(@2)}}; }
| RATE PATTERN_WORD entry_value {
    $$ = (Entry){.kind = ENTRY_RULE, .name = {$1, LOC(@1)}, .pattern = {$2, LOC(@2)}, .value = $3};
  }
| DECAY PATTERN_WORD entry_value {
    $$ = (Entry){.kind = ENTRY_RULE, .name = {$1, LOC(@1)}, .pattern = {$2, LOC(@2)}, .value = $3};
  }
| SET name entry_value { $$ = (Entry){.kind = ENTRY_SET, .name = $2, .value = $3}; }
| NAME entry_value { $$ = (Entry){.kind = ENTRY_KEY, .name = {$1, LOC(@1)}, .value = $2}; }
| NAME STRING '=' entry_value part_settings {
    $$ = (Entry){.kind = ENTRY_PART, .name = {$1, LOC(@1)}, .label = tree_text(ctx, EXPR_STRING, @2, $2), .value = $4};
    $$.settings = arena_memdup(ctx->arena, &$5, sizeof $5);
  }
;
part_settings:
  %empty { $$ = (EntryList){0}; }
| '{' entry_lines '}' { $$ = $2; }
;
entry_value:
  literal
| '-' INT { $$ = tree_expr(ctx, EXPR_INT, @$); $$->integer = -$2.i; $$->text = $2.text; }
| '-' FLOAT { $$ = tree_expr(ctx, EXPR_FLOAT, @$); $$->number = -$2.f; $$->text = $2.text; }
| name { $$ = tree_text(ctx, EXPR_NAME, @1, $1.text); }
| name '(' args ')' {
    $$ = tree_call(ctx, @$, tree_text(ctx, EXPR_NAME, @1, $1.text), $args, NULL);
  }
;

%%

static void net_yyerror(Span *span, ParseContext *ctx, const char *text) {
  diag_error(ctx->diag, LOC(*span), "%s", text); // the parser's stack is full
  diag_hint(ctx->diag, "brackets and blocks are nested too deeply");
}

// Expected tokens that stand for "an expression" and for "an operator" together, and spare a long list.
static bool starts_expression(yysymbol_kind_t kind) {
  switch (kind) {
  case YYSYMBOL_INT: case YYSYMBOL_FLOAT: case YYSYMBOL_STRING: case YYSYMBOL_NAME: case YYSYMBOL_NET: case YYSYMBOL_USE:
  case YYSYMBOL_TARGET: case YYSYMBOL_LOSS: case YYSYMBOL_SET: case YYSYMBOL_STUDY: case YYSYMBOL_TRUE: case YYSYMBOL_FALSE:
  case YYSYMBOL_NONE: case YYSYMBOL_MATCH: case YYSYMBOL_IF: case YYSYMBOL_NOT:
    return true;
  default: return !strcmp(yysymbol_name(kind), "'('") || !strcmp(yysymbol_name(kind), "'['") || !strcmp(yysymbol_name(kind), "'-'");
  }
}

static bool is_soft_name(yysymbol_kind_t kind) {
  switch (kind) {
  case YYSYMBOL_NET: case YYSYMBOL_USE: case YYSYMBOL_TARGET: case YYSYMBOL_LOSS: case YYSYMBOL_SET: case YYSYMBOL_STUDY:
  case YYSYMBOL_INPUT: case YYSYMBOL_OUTPUT: case YYSYMBOL_STATE: case YYSYMBOL_MODEL: case YYSYMBOL_IN:
    return true;
  default: return false;
  }
}

static bool continues_expression(yysymbol_kind_t kind) {
  switch (kind) {
  case YYSYMBOL_EQ: case YYSYMBOL_NE: case YYSYMBOL_LE: case YYSYMBOL_GE: case YYSYMBOL_FLOOR_DIV: case YYSYMBOL_PIPE:
  case YYSYMBOL_DOTDOT: case YYSYMBOL_AND: case YYSYMBOL_OR:
    return true;
  default: {
    const char *name = yysymbol_name(kind);
    return name[0] == '\'' && name[1] && strchr("+-*/%<>[(@", name[1]);
  }
  }
}

enum { MAX_EXPECTED = 128, MAX_LISTED = 5 };

static void put_expected(Text *out, const yypcontext_t *context) {
  yysymbol_kind_t kinds[MAX_EXPECTED];
  int n = yypcontext_expected_tokens(context, kinds, MAX_EXPECTED), n_listed = 0;
  bool is_expression = false, is_operand_done = false;
  for (int i = 0; i < n; i++) is_expression |= kinds[i] == YYSYMBOL_INT;
  for (int i = 0; i < n; i++) is_operand_done |= kinds[i] == YYSYMBOL_FLOOR_DIV;
  bool is_name = false;
  for (int i = 0; i < n; i++) is_name |= kinds[i] == YYSYMBOL_NAME;
  is_expression = is_expression && is_name;
  for (int i = 0; i < n; i++) {
    if (kinds[i] != YYSYMBOL_MODULE) continue;
    text_put(out, ", expected a declaration");
    return;
  }
  const char *listed[MAX_LISTED + 1];
  if (is_expression) listed[n_listed++] = "an expression";
  for (int i = 0; i < n && n_listed <= MAX_LISTED; i++) {
    if (is_expression && starts_expression(kinds[i])) continue;
    if (is_operand_done && (continues_expression(kinds[i]) || !strcmp(yysymbol_name(kinds[i]), "'='"))) continue;
    if (is_name && is_soft_name(kinds[i])) continue;
    listed[n_listed++] = yysymbol_name(kinds[i]);
  }
  if (n_listed == 0 || n_listed > MAX_LISTED) return;
  for (int i = 0; i < n_listed; i++) {
    text_put(out, i == 0 ? ", expected " : i + 1 == n_listed ? " or " : ", ");
    bool is_word = listed[i][0] == '\'' || strchr(listed[i], ' ');
    text_printf(out, is_word ? "%s" : "'%s'", listed[i]);
  }
}

static int yyreport_syntax_error(const yypcontext_t *context, ParseContext *ctx) {
  if (ctx->is_quiet) return 0;
  Span span = *yypcontext_location(context);
  yysymbol_kind_t kind = yypcontext_token(context);
  Text text = {0};
  if (kind == YYSYMBOL_YYEOF || kind == YYSYMBOL_NEWLINE)
    text_printf(&text, "unexpected %s", yysymbol_name(kind));
  else
    text_printf(&text, "unexpected %s'%.*s'", kind == YYSYMBOL_NAME ? "name " : "",
                span.end_offset - span.offset > 40 ? 40 : span.end_offset - span.offset,
                ctx->source->text + span.offset);
  put_expected(&text, context);
  diag_error(ctx->diag, LOC(span), "%s", text_get(&text));
  text_free(&text);
  token_recover(ctx, span);
  return 0;
}
