#include "tests/simgpu/ptx_parse.h"

#include <stdlib.h>
#include <string.h>

bool ptx_type(const char *word, PtxType *out) {
  static const struct {
    const char *word;
    PtxType type;
  } types[] = {
      {"pred", {'p', 1, 1}},  {"b8", {'b', 8, 1}},     {"b16", {'b', 16, 1}},  {"b32", {'b', 32, 1}},
      {"b64", {'b', 64, 1}},  {"b128", {'b', 128, 1}}, {"u8", {'u', 8, 1}},    {"u16", {'u', 16, 1}},
      {"u32", {'u', 32, 1}},  {"u64", {'u', 64, 1}},   {"s8", {'s', 8, 1}},    {"s16", {'s', 16, 1}},
      {"s32", {'s', 32, 1}},  {"s64", {'s', 64, 1}},   {"f16", {'f', 16, 1}},  {"f32", {'f', 32, 1}},
      {"f64", {'f', 64, 1}},  {"f16x2", {'f', 16, 2}}, {"bf16", {'g', 16, 1}}, {"bf16x2", {'g', 16, 2}},
      {"tf32", {'t', 32, 1}}, {"f32x2", {'f', 32, 2}},
  };
  for (size_t k = 0; k < sizeof types / sizeof *types; k++)
    if (!strcmp(word, types[k].word)) {
      *out = types[k].type;
      return true;
    }
  return false;
}

bool ptx_has(const PtxInstruction *instruction, const char *part) {
  for (int k = 1; k < instruction->n_parts; k++)
    if (!strcmp(instruction->parts[k], part)) return true;
  return false;
}

PtxType ptx_last_type(PtxFailure *failure, const PtxInstruction *instruction) {
  PtxType type;
  for (int k = instruction->n_parts - 1; k > 0; k--)
    if (ptx_type(instruction->parts[k], &type)) return type;
  ptx_fail(failure, instruction->line, "%s has no type", instruction->op);
}

PtxVariable *ptx_module_variable(const PtxModule *module, const char *name) {
  for (int k = 0; k < module->n_variables; k++)
    if (!strcmp(module->variables[k]->name, name)) return module->variables[k];
  return NULL;
}

PtxFunction *ptx_function(const PtxModule *module, const char *name) {
  for (int k = 0; k < module->n_functions; k++)
    if (!strcmp(module->functions[k]->name, name)) return module->functions[k];
  return NULL;
}

static void put_bytes(PtxParser *parser, PtxVariable *variable, uint64_t *room, uint64_t value, unsigned n) {
  while (variable->n_initial + n > *room) {
    uint64_t more = *room ? 2 * *room : 64;
    variable->initial = arena_grow(parser->arena, variable->initial, *room, more);
    *room = more;
  }
  for (unsigned k = 0; k < n; k++) variable->initial[variable->n_initial++] = (uint8_t)(value >> (8 * k));
}

// Numbers and addresses of variables, in braces or without.
static void parse_initial(PtxParser *parser, PtxVariable *variable, PtxType type, uint64_t *room) {
  PtxLexer *lexer = &parser->lexer;
  if (ptx_take_mark(lexer, '{')) {
    if (!ptx_at_mark(lexer, '}')) do
        parse_initial(parser, variable, type, room);
      while (ptx_take_mark(lexer, ','));
    ptx_want_mark(lexer, '}');
    return;
  }
  unsigned n = (unsigned)ptx_bits(type) / 8;
  bool is_negative = ptx_take_mark(lexer, '-');
  PtxToken token = lexer->token;
  if (token.kind == TOKEN_INTEGER || token.kind == TOKEN_F32 || token.kind == TOKEN_F64) {
    put_bytes(parser, variable, room, is_negative ? 0 - token.value : token.value, n);
    ptx_next(lexer);
  } else if (token.kind == TOKEN_WORD) {
    if (n != 8)
      ptx_fail(parser->failure, token.line, "address of %s in an initialiser that is not of 64 bits", token.text);
    const char *name = ptx_want_word(lexer);
    if (!strcmp(name, "generic")) {
      ptx_want_mark(lexer, '(');
      name = ptx_want_word(lexer);
      ptx_want_mark(lexer, ')');
    }
    PtxReference reference = {variable->n_initial, name};
    ARENA_PUSH(parser->arena, variable->references, variable->n_references, variable->room_references, reference);
    uint64_t addend = ptx_take_mark(lexer, '+') ? (uint64_t)ptx_want_integer(lexer) : 0;
    put_bytes(parser, variable, room, addend, 8);
  } else {
    ptx_fail(parser->failure, token.line, "initialiser of %s is not understood", variable->name);
  }
}

PtxVariable *ptx_parse_variable(PtxParser *parser, PtxSpace space) {
  PtxLexer *lexer = &parser->lexer;
  PtxVariable *variable = arena_alloc(parser->arena, sizeof *variable);
  variable->space = space;
  PtxType type = {0};
  unsigned vector = 1;
  while (lexer->token.kind == TOKEN_DIRECTIVE) {
    const char *word = lexer->token.text;
    int line = lexer->token.line;
    ptx_next(lexer);
    if (!strcmp(word, ".align")) variable->align = (uint32_t)ptx_want_integer(lexer);
    else if (!strcmp(word, ".v2")) vector = 2;
    else if (!strcmp(word, ".v4")) vector = 4;
    else if (!strcmp(word, ".ptr")) { // what a parameter points at: no matter
      while (ptx_take(lexer, ".global") || ptx_take(lexer, ".shared") || ptx_take(lexer, ".const") ||
             ptx_take(lexer, ".local")) {
      }
      if (ptx_take(lexer, ".align")) ptx_want_integer(lexer);
    } else if (!ptx_type(word + 1, &type)) ptx_fail(parser->failure, line, "%s in a declaration", word);
  }
  if (!type.kind) ptx_fail(parser->failure, lexer->token.line, "a declaration without a type");
  uint64_t element = (uint64_t)ptx_bits(type) / 8 * vector, count = 1;
  variable->name = ptx_want_word(lexer);
  if (!variable->align) variable->align = (uint32_t)element;
  bool is_open = false;
  while (ptx_take_mark(lexer, '[')) {
    if (ptx_at_mark(lexer, ']')) is_open = true;
    else count *= (uint64_t)ptx_want_integer(lexer);
    ptx_want_mark(lexer, ']');
  }
  if (ptx_take_mark(lexer, '=')) {
    uint64_t room = 0;
    parse_initial(parser, variable, type, &room);
    if (is_open) count = variable->n_initial / element;
  }
  variable->bytes = is_open && !variable->n_initial ? 0 : element * count;
  if (variable->n_initial > variable->bytes)
    ptx_fail(parser->failure, lexer->token.line, "%s has more initial values than room", variable->name);
  return variable;
}

static void skip_braces(PtxParser *parser) {
  ptx_want_mark(&parser->lexer, '{');
  for (int depth = 1; depth; ptx_next(&parser->lexer)) {
    if (parser->lexer.token.kind == TOKEN_END)
      ptx_fail(parser->failure, parser->lexer.line, "a section without an end");
    depth += ptx_at_mark(&parser->lexer, '{') - ptx_at_mark(&parser->lexer, '}');
  }
}

static int parse_params(PtxParser *parser, PtxVariable ***out) {
  PtxLexer *lexer = &parser->lexer;
  int n = 0, room = 0;
  ptx_want_mark(lexer, '(');
  if (!ptx_at_mark(lexer, ')')) do {
      if (!ptx_take(lexer, ".param")) ptx_fail(parser->failure, lexer->token.line, "a parameter that is no .param");
      PtxVariable *variable = ptx_parse_variable(parser, SPACE_PARAM);
      ARENA_PUSH(parser->arena, *out, n, room, variable);
    } while (ptx_take_mark(lexer, ','));
  ptx_want_mark(lexer, ')');
  return n;
}

static void parse_function(PtxParser *parser, bool is_entry) {
  PtxLexer *lexer = &parser->lexer;
  PtxFunction *function = arena_alloc(parser->arena, sizeof *function);
  function->is_entry = is_entry;
  function->line = lexer->token.line;
  if (ptx_at_mark(lexer, '(')) function->n_returns = parse_params(parser, &function->returns);
  function->name = ptx_want_word(lexer);
  if (ptx_at_mark(lexer, '(')) function->n_params = parse_params(parser, &function->params);
  uint64_t offset = 0;
  for (int k = 0; k < function->n_params; k++) {
    PtxVariable *param = function->params[k];
    param->offset = (offset + param->align - 1) / param->align * param->align;
    offset = param->offset + param->bytes;
  }
  while (lexer->token.kind == TOKEN_DIRECTIVE) {
    const char *word = lexer->token.text;
    int line = lexer->token.line;
    ptx_next(lexer);
    if (!strcmp(word, ".maxntid") || !strcmp(word, ".reqntid")) {
      function->max_threads = 1;
      do function->max_threads *= (uint32_t)ptx_want_integer(lexer);
      while (ptx_take_mark(lexer, ','));
    } else if (!strcmp(word, ".minnctapersm") || !strcmp(word, ".maxnreg") || !strcmp(word, ".abi_preserve")) {
      ptx_want_integer(lexer);
    } else if (!strcmp(word, ".pragma")) {
      ptx_next(lexer);
      ptx_want_mark(lexer, ';');
    } else if (strcmp(word, ".noreturn")) {
      ptx_fail(parser->failure, line, "%s of function %s", word, function->name);
    }
  }
  PtxFunction *earlier = ptx_function(parser->module, function->name);
  if (ptx_at_mark(lexer, '{')) {
    function->has_body = true;
    ptx_parse_body(parser, function);
  } else {
    ptx_want_mark(lexer, ';');
  }
  if (earlier && function->has_body) *earlier = *function; // its declaration came before
  else if (!earlier)
    ARENA_PUSH(parser->arena, parser->module->functions, parser->module->n_functions, parser->module->room_functions,
               function);
}

static void parse_module_variable(PtxParser *parser, PtxSpace space, bool is_extern) {
  PtxModule *module = parser->module;
  int line = parser->lexer.token.line;
  PtxVariable *variable = ptx_parse_variable(parser, space);
  ptx_want_mark(&parser->lexer, ';');
  if (is_extern && space != SPACE_SHARED) ptx_fail(parser->failure, line, "%s is defined nowhere", variable->name);
  variable->is_dynamic = space == SPACE_SHARED && (is_extern || !variable->bytes);
  variable->index = module->n_variables;
  ARENA_PUSH(parser->arena, module->variables, module->n_variables, module->room_variables, variable);
}

PtxModule *ptx_parse(Arena *arena, PtxFailure *failure, const char *text) {
  PtxParser *parser = arena_alloc(arena, sizeof *parser);
  PtxLexer *lexer = &parser->lexer;
  parser->arena = arena;
  parser->failure = failure;
  parser->module = arena_alloc(arena, sizeof *parser->module);
  ptx_lex_open(lexer, arena, failure, text);
  bool is_extern = false;
  while (lexer->token.kind != TOKEN_END) {
    int line = lexer->token.line;
    if (ptx_take(lexer, ".extern")) {
      is_extern = true;
      continue;
    }
    if (ptx_take(lexer, ".visible") || ptx_take(lexer, ".weak")) continue;
    if (ptx_take(lexer, ".target")) {
      const char *word = ptx_want_word(lexer);
      if (strncmp(word, "sm_", 3)) ptx_fail(failure, line, ".target %s", word);
      parser->module->target = atoi(word + 3);
      if (lexer->token.line == line) ptx_skip_line(lexer);
    } else if (ptx_at(lexer, ".version") || ptx_at(lexer, ".file")) {
      ptx_skip_line(lexer);
    } else if (ptx_take(lexer, ".address_size")) {
      if (ptx_want_integer(lexer) != 64) ptx_fail(failure, line, ".address_size is not 64");
    } else if (ptx_take(lexer, ".section")) {
      while (!ptx_at_mark(lexer, '{') && lexer->token.kind != TOKEN_END) ptx_next(lexer);
      skip_braces(parser);
    } else if (ptx_take(lexer, ".global")) {
      parse_module_variable(parser, SPACE_GLOBAL, is_extern);
    } else if (ptx_take(lexer, ".const")) {
      parse_module_variable(parser, SPACE_CONST, is_extern);
    } else if (ptx_take(lexer, ".shared")) {
      parse_module_variable(parser, SPACE_SHARED, is_extern);
    } else if (ptx_take(lexer, ".entry")) {
      parse_function(parser, true);
    } else if (ptx_take(lexer, ".func")) {
      if (ptx_take(lexer, ".noreturn")) {
      }
      parse_function(parser, false);
    } else if (!ptx_take_mark(lexer, ';')) {
      ptx_fail(failure, line, "'%.*s' is not known here", (int)(lexer->token.end - lexer->token.start),
               lexer->token.start);
    }
    is_extern = false;
  }
  if (!parser->module->target) ptx_fail(failure, 1, "no .target");
  return parser->module;
}
