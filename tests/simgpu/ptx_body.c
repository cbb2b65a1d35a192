#include "tests/simgpu/ptx_parse.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

typedef struct Family { // .reg .b32 %r<10>, or one register
  const char *prefix;
  size_t n_prefix;
  int count; // -1: a single register of that name
  int first;
} Family;

typedef struct Named {
  const char *name;
  int id;
} Named;

typedef struct Awaited { // a label that is used before its scope ended
  const char *name;
  int *target;
  int line;
} Awaited;

typedef struct Table {
  const char *name;
  int *targets;
  int n;
} Table;

typedef struct Scope {
  int n_families, n_variables, n_labels, n_awaited; // as the scope began
} Scope;

typedef struct Body {
  PtxParser *parser;
  PtxLexer *lexer;
  Arena *arena;
  PtxFunction *function;
  Family *families;
  int n_families, room_families;
  PtxVariable **variables; // visible ones
  int n_variables, room_variables;
  Named *labels;
  int n_labels, room_labels;
  Awaited *awaited;
  int n_awaited, room_awaited;
  Table *tables;
  int n_tables, room_tables;
  Scope *scopes;
  int n_scopes, room_scopes;
  int source_line;
} Body;

static int find_register(const Body *body, const char *name) {
  for (int k = body->n_families - 1; k >= 0; k--) {
    const Family *family = &body->families[k];
    if (family->count < 0) {
      if (!strcmp(family->prefix, name)) return family->first;
    } else if (!strncmp(family->prefix, name, family->n_prefix) && isdigit((unsigned char)name[family->n_prefix])) {
      char *end;
      long number = strtol(name + family->n_prefix, &end, 10);
      if (!*end && number < family->count) return family->first + (int)number;
    }
  }
  return -1;
}

static PtxVariable *find_variable(const Body *body, const char *name) {
  for (int k = body->n_variables - 1; k >= 0; k--)
    if (!strcmp(body->variables[k]->name, name)) return body->variables[k];
  for (int k = 0; k < body->function->n_params; k++)
    if (!strcmp(body->function->params[k]->name, name)) return body->function->params[k];
  for (int k = 0; k < body->function->n_returns; k++)
    if (!strcmp(body->function->returns[k]->name, name)) return body->function->returns[k];
  return ptx_module_variable(body->parser->module, name);
}

static void declare_registers(Body *body) {
  PtxType type;
  PtxFunction *function = body->function;
  int line = body->lexer->token.line;
  const char *word = body->lexer->token.text;
  if (body->lexer->token.kind != TOKEN_DIRECTIVE || !ptx_type(word + 1, &type))
    ptx_fail(body->parser->failure, line, "a .reg without a type");
  ptx_next(body->lexer);
  do {
    Family family = {.prefix = ptx_want_word(body->lexer), .count = -1, .first = function->n_registers};
    family.n_prefix = strlen(family.prefix);
    if (ptx_take_mark(body->lexer, '<')) {
      family.count = (int)ptx_want_integer(body->lexer);
      ptx_want_mark(body->lexer, '>');
    }
    PtxRegister reg = {.kind = type.kind, .bits = (uint8_t)ptx_bits(type)};
    if (reg.bits == 8) reg.bits = 16;
    for (int k = 0; k < (family.count < 0 ? 1 : family.count); k++)
      ARENA_PUSH(body->arena, function->registers, function->n_registers, function->room_registers, reg);
    ARENA_PUSH(body->arena, body->families, body->n_families, body->room_families, family);
  } while (ptx_take_mark(body->lexer, ','));
  ptx_want_mark(body->lexer, ';');
}

static void declare_variable(Body *body, PtxSpace space) {
  PtxVariable *variable = ptx_parse_variable(body->parser, space);
  ptx_want_mark(body->lexer, ';');
  if (space == SPACE_GLOBAL || space == SPACE_CONST) {
    PtxModule *module = body->parser->module;
    variable->index = module->n_variables;
    ARENA_PUSH(body->arena, module->variables, module->n_variables, module->room_variables, variable);
  } else {
    PtxFunction *function = body->function;
    ARENA_PUSH(body->arena, function->variables, function->n_variables, function->room_variables, variable);
  }
  ARENA_PUSH(body->arena, body->variables, body->n_variables, body->room_variables, variable);
}

static void open_scope(Body *body) {
  Scope scope = {body->n_families, body->n_variables, body->n_labels, body->n_awaited};
  ARENA_PUSH(body->arena, body->scopes, body->n_scopes, body->room_scopes, scope);
}

// Labels of the scope answer to the branches inside it; other branches look further out.
static void close_scope(Body *body) {
  Scope scope = body->scopes[--body->n_scopes];
  int kept = scope.n_awaited;
  for (int a = scope.n_awaited; a < body->n_awaited; a++) {
    int found = -1;
    for (int k = scope.n_labels; k < body->n_labels; k++)
      if (!strcmp(body->labels[k].name, body->awaited[a].name)) found = body->labels[k].id;
    if (found >= 0) *body->awaited[a].target = found;
    else if (!body->n_scopes)
      ptx_fail(body->parser->failure, body->awaited[a].line, "label %s is nowhere", body->awaited[a].name);
    else body->awaited[kept++] = body->awaited[a];
  }
  body->n_awaited = kept;
  body->n_labels = scope.n_labels;
  body->n_families = scope.n_families;
  body->n_variables = scope.n_variables;
}

static void await_label(Body *body, const char *name, int *target, int line) {
  Awaited awaited = {name, target, line};
  ARENA_PUSH(body->arena, body->awaited, body->n_awaited, body->room_awaited, awaited);
}

static void resolve(Body *body, const char *name, PtxOperand *out) {
  out->name = name;
  if ((out->reg = find_register(body, name)) >= 0) out->kind = OPERAND_REGISTER;
  else if (!strcmp(name, "_")) out->kind = OPERAND_SINK;
  else if (*name == '%' || !strcmp(name, "WARP_SZ")) out->kind = OPERAND_SPECIAL;
  else if ((out->variable = find_variable(body, name))) out->kind = OPERAND_VARIABLE;
  else out->kind = OPERAND_NAME;
}

static PtxOperand parse_operand(Body *body);

static PtxOperand parse_address(Body *body) {
  PtxLexer *lexer = body->lexer;
  PtxOperand operand = {.kind = OPERAND_ADDRESS, .reg = -1, .reg2 = -1};
  if (lexer->token.kind == TOKEN_INTEGER) {
    operand.base = OPERAND_INTEGER;
    operand.value = ptx_want_integer(lexer);
  } else {
    int line = lexer->token.line;
    resolve(body, ptx_want_word(lexer), &operand);
    operand.base = operand.kind;
    operand.kind = OPERAND_ADDRESS;
    if (operand.base != OPERAND_REGISTER && operand.base != OPERAND_VARIABLE)
      ptx_fail(body->parser->failure, line, "%s is no address", operand.name);
  }
  while (ptx_at_mark(lexer, '+') || ptx_at_mark(lexer, '-')) {
    ptx_take_mark(lexer, '+');
    operand.value += ptx_want_integer(lexer);
  }
  ptx_want_mark(lexer, ']');
  return operand;
}

static PtxOperand parse_operand(Body *body) {
  PtxLexer *lexer = body->lexer;
  PtxOperand operand = {.reg = -1, .reg2 = -1};
  int room = 0;
  if (ptx_take_mark(lexer, '[')) return parse_address(body);
  if (ptx_take_mark(lexer, '{')) {
    operand.kind = OPERAND_VECTOR;
    do {
      PtxOperand element = parse_operand(body);
      ARENA_PUSH(body->arena, operand.elements, operand.n_elements, room, element);
    } while (ptx_take_mark(lexer, ','));
    ptx_want_mark(lexer, '}');
    return operand;
  }
  if (ptx_take_mark(lexer, '!')) {
    operand = parse_operand(body);
    operand.is_negated = true;
    return operand;
  }
  bool is_negative = ptx_take_mark(lexer, '-');
  PtxToken token = lexer->token;
  if (token.kind == TOKEN_WORD) {
    if (is_negative) ptx_fail(body->parser->failure, token.line, "minus before %s", token.text);
    resolve(body, ptx_want_word(lexer), &operand);
    if (ptx_take_mark(lexer, '|')) {
      PtxOperand second = parse_operand(body);
      if (second.kind != OPERAND_SINK && second.kind != OPERAND_REGISTER)
        ptx_fail(body->parser->failure, token.line, "the second destination is no register");
      operand.reg2 = second.reg;
    }
    return operand;
  }
  operand.value = (int64_t)(is_negative ? 0 - token.value : token.value);
  if (token.kind == TOKEN_INTEGER) operand.kind = OPERAND_INTEGER;
  else if (token.kind == TOKEN_F32 && !is_negative) operand.kind = OPERAND_F32;
  else if (token.kind == TOKEN_F64 && !is_negative) operand.kind = OPERAND_F64;
  else
    ptx_fail(body->parser->failure, token.line, "operand '%.*s' is not understood", (int)(token.end - token.start),
             token.start);
  ptx_next(lexer);
  return operand;
}

// call (returned), name, (arguments): operands are the name, a vector of arguments and a vector of what is returned.
static void parse_call(Body *body, PtxInstruction *instruction) {
  PtxLexer *lexer = body->lexer;
  PtxOperand lists[2] = {{.kind = OPERAND_VECTOR}, {.kind = OPERAND_VECTOR}}, name = {0};
  for (int part = 0; part < 3; part++) {
    if (ptx_take_mark(lexer, '(')) {
      PtxOperand *list = &lists[part == 0 ? 1 : 0];
      int room = 0;
      if (!ptx_at_mark(lexer, ')')) do {
          PtxOperand element = parse_operand(body);
          ARENA_PUSH(body->arena, list->elements, list->n_elements, room, element);
        } while (ptx_take_mark(lexer, ','));
      ptx_want_mark(lexer, ')');
      if (part > 0) break;
    } else {
      name = parse_operand(body);
      part = 1;
    }
    if (!ptx_take_mark(lexer, ',')) break;
  }
  if (!ptx_at_mark(lexer, ';') || name.kind != OPERAND_NAME)
    ptx_fail(body->parser->failure, instruction->line, "a call through a pointer");
  instruction->operands[0] = name;
  instruction->operands[1] = lists[0];
  instruction->operands[2] = lists[1];
  instruction->n_operands = 3;
}

static void split_parts(Arena *arena, PtxFailure *failure, PtxInstruction *instruction) {
  for (const char *s = instruction->op;;) {
    const char *dot = strchr(s, '.');
    if (instruction->n_parts == PTX_PARTS) ptx_fail(failure, instruction->line, "%s is too long", instruction->op);
    instruction->parts[instruction->n_parts++] = dot ? arena_strndup(arena, s, (size_t)(dot - s)) : s;
    if (!dot) return;
    s = dot + 1;
  }
}

static const char *clean(Arena *arena, const char *from, const char *to) {
  char *text = arena_strndup(arena, from, (size_t)(to - from)), *out = text;
  for (char *s = text; *s; s++)
    if (!isspace((unsigned char)*s)) *out++ = *s;
    else if (out > text && out[-1] != ' ') *out++ = ' ';
  while (out > text && out[-1] == ' ') out--;
  *out = 0;
  return text;
}

static PtxInstruction *add(Body *body, PtxInstruction instruction) {
  PtxFunction *function = body->function;
  ARENA_PUSH(body->arena, function->code, function->n_code, function->room_code, instruction);
  return &function->code[function->n_code - 1];
}

static void parse_instruction(Body *body, PtxToken first, int guard, bool is_guard_negated, const char *start) {
  PtxLexer *lexer = body->lexer;
  PtxInstruction in = {.line = first.line,
                       .source_line = body->source_line,
                       .op = first.text,
                       .guard = guard,
                       .is_guard_negated = is_guard_negated,
                       .label = -1};
  split_parts(body->arena, body->parser->failure, &in);
  if (ptx_is(&in, "call")) {
    parse_call(body, &in);
  } else if (ptx_is(&in, "bra")) {
    in.targets = ARENA_ARRAY(body->arena, int, 1);
    in.n_targets = 1;
    await_label(body, ptx_want_word(lexer), in.targets, in.line);
  } else {
    while (!ptx_at_mark(lexer, ';')) {
      if (in.n_operands == PTX_OPERANDS) ptx_fail(body->parser->failure, in.line, "%s has too many operands", in.op);
      in.operands[in.n_operands++] = parse_operand(body);
      if (!ptx_take_mark(lexer, ',')) break;
    }
    if (ptx_is(&in, "brx")) {
      const char *name = in.n_operands == 2 && in.operands[1].name ? in.operands[1].name : "";
      for (int k = 0; k < body->n_tables; k++)
        if (!strcmp(body->tables[k].name, name)) {
          in.n_targets = body->tables[k].n;
          in.targets = body->tables[k].targets;
        }
      if (!in.n_targets) ptx_fail(body->parser->failure, in.line, "no table of targets %s", name);
    }
  }
  in.text = clean(body->arena, start, lexer->token.start);
  ptx_want_mark(lexer, ';');
  add(body, in);
}

static void parse_table(Body *body, const char *name) {
  Table table = {.name = name};
  const char *names[256];
  int line = body->lexer->token.line;
  do {
    if (table.n == 256) ptx_fail(body->parser->failure, line, "more than 256 branch targets");
    names[table.n++] = ptx_want_word(body->lexer);
  } while (ptx_take_mark(body->lexer, ','));
  ptx_want_mark(body->lexer, ';');
  table.targets = ARENA_ARRAY(body->arena, int, table.n);
  for (int k = 0; k < table.n; k++) await_label(body, names[k], &table.targets[k], line);
  ARENA_PUSH(body->arena, body->tables, body->n_tables, body->room_tables, table);
}

static void parse_word(Body *body) {
  PtxLexer *lexer = body->lexer;
  PtxToken first = lexer->token;
  ptx_next(lexer);
  if (!ptx_take_mark(lexer, ':')) {
    parse_instruction(body, first, -1, false, first.start);
    return;
  }
  if (ptx_take(lexer, ".branchtargets")) {
    parse_table(body, first.text);
    return;
  }
  Named label = {first.text, body->function->n_labels++};
  ARENA_PUSH(body->arena, body->labels, body->n_labels, body->room_labels, label);
  add(body, (PtxInstruction){.line = first.line, .label = label.id, .guard = -1, .op = "", .text = first.text});
}

static void parse_guarded(Body *body) {
  PtxLexer *lexer = body->lexer;
  const char *start = lexer->token.start;
  int line = lexer->token.line;
  ptx_want_mark(lexer, '@');
  bool is_negated = ptx_take_mark(lexer, '!');
  const char *name = ptx_want_word(lexer);
  int guard = find_register(body, name);
  if (guard < 0) ptx_fail(body->parser->failure, line, "guard %s is not declared", name);
  PtxToken first = lexer->token;
  ptx_want_word(lexer);
  parse_instruction(body, first, guard, is_negated, start);
}

static void parse_statement(Body *body) {
  PtxLexer *lexer = body->lexer;
  int line = lexer->token.line;
  if (lexer->token.kind == TOKEN_WORD) parse_word(body);
  else if (ptx_at_mark(lexer, '@')) parse_guarded(body);
  else if (ptx_take_mark(lexer, '{')) open_scope(body);
  else if (ptx_take_mark(lexer, '}')) close_scope(body);
  else if (ptx_take(lexer, ".reg")) declare_registers(body);
  else if (ptx_take(lexer, ".local")) declare_variable(body, SPACE_LOCAL);
  else if (ptx_take(lexer, ".shared")) declare_variable(body, SPACE_SHARED);
  else if (ptx_take(lexer, ".param")) declare_variable(body, SPACE_FRAME);
  else if (ptx_take(lexer, ".global")) declare_variable(body, SPACE_GLOBAL);
  else if (ptx_take(lexer, ".const")) declare_variable(body, SPACE_CONST);
  else if (ptx_take(lexer, ".loc")) {
    ptx_want_integer(lexer);
    int source_line = (int)ptx_want_integer(lexer);
    if (source_line > 0) body->source_line = source_line;
    if (lexer->token.line == line) ptx_skip_line(lexer);
  } else if (ptx_take(lexer, ".pragma")) {
    ptx_next(lexer);
    ptx_want_mark(lexer, ';');
  } else if (!ptx_take_mark(lexer, ';')) {
    ptx_fail(body->parser->failure, line, "'%.*s' is not known in a function",
             (int)(lexer->token.end - lexer->token.start), lexer->token.start);
  }
}

void ptx_parse_body(PtxParser *parser, PtxFunction *function) {
  Body body = {.parser = parser, .lexer = &parser->lexer, .arena = parser->arena, .function = function};
  ptx_want_mark(body.lexer, '{');
  open_scope(&body);
  while (body.n_scopes) parse_statement(&body);
}
