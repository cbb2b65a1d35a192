// Initial weights: a training program started from somebody's weight file.
#include "runtime/train/initial.h"

#include <stdlib.h>

static Status set_matches(const MatchTable *table, Exec *exec) {
  Status status = STATUS_OK;
  for (int i = 0; i < table->n_matches && !status; i++) {
    const Match *match = &table->matches[i];
    if (match->kind == MATCH_COUNTER) continue;
    float *values = malloc((size_t)shape_elements(match->target->shape) * sizeof *values + 1);
    if (!values) BUG("out of memory");
    match_values(match, values);
    status = exec_set(exec, match->target->name, values);
    free(values);
  }
  return status;
}

Status initial_weights(const WeightFile *file, const char *prefix, Exec *exec, Text *report) {
  const Program *program = exec_program(exec);
  Arena *arena = arena_new();
  MatchTarget *targets = ARENA_ARRAY(arena, MatchTarget, program->n_buffers + 1);
  int n_targets = 0;
  for (int i = 0; i < program->n_buffers; i++) {
    const Buffer *buffer = &program->buffers[i];
    if (buffer->kind == BUFFER_PARAM) targets[n_targets++] = (MatchTarget){buffer->name, buffer->shape};
  }
  MatchTable table;
  weights_match(arena, file, targets, n_targets, prefix, &table);
  Status status = match_check(&table, file);
  if (!status) status = set_matches(&table, exec);
  if (!status) match_describe(&table, file, report);
  arena_free(arena);
  return status;
}
