// Space: reading what varies, and drawing from it.
#include "runtime/sweep/space.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/random.h"

// The key of "KEY=VALUES"; *text moves behind the sign.
static Status read_key(Space *space, const char **text, const char **out) {
  size_t n = strcspn(*text, "=");
  if (!n || !(*text)[n] || !(*text)[n + 1])
    return status_make(EXIT_USAGE, "what a sweep varies is KEY=VALUES, not '%s'", *text);
  *out = arena_strndup(space->arena, *text, n);
  for (int i = 0; i < space->n_axes; i++)
    if (!strcmp(space->axes[i].key, *out)) return status_make(EXIT_USAGE, "'%s' is varied twice", *out);
  *text += n + 1;
  return STATUS_OK;
}

// Splits at commas outside brackets.
static Status read_list(Space *space, const char *key, const char *text, Axis *axis) {
  const char **values = NULL;
  int n = 0, capacity = 0;
  for (const char *at = text;; at++) {
    size_t end = 0;
    for (int depth = 0; at[end] && (depth > 0 || at[end] != ','); end++) depth += (at[end] == '[') - (at[end] == ']');
    if (!end) return status_make(EXIT_USAGE, "an empty value of '%s' in '%s'", key, text);
    ARENA_PUSH(space->arena, values, n, capacity, arena_strndup(space->arena, at, end));
    at += end;
    if (!*at) break;
  }
  axis->values = values;
  axis->n_values = n;
  return STATUS_OK;
}

Status space_add_grid(Space *space, const char *text) {
  Axis axis = {.kind = AXIS_LIST};
  if (space->n_axes > space->n_grid) BUG("the grid comes first");
  TRY(read_key(space, &text, &axis.key));
  TRY(read_list(space, axis.key, text, &axis));
  ARENA_PUSH(space->arena, space->axes, space->n_axes, space->cap_axes, axis);
  space->n_grid++;
  return STATUS_OK;
}

// "1e-5,1e-2" into low and high.
static Status read_range(const char *text, Axis *axis) {
  char *end;
  axis->low = strtod(text, &end);
  if (end == text || *end != ',')
    return status_make(EXIT_USAGE, "'%s' needs a range LOW,HIGH, not '%s'", axis->key, text);
  const char *second = end + 1;
  axis->high = strtod(second, &end);
  if (end == second || *end || !isfinite(axis->low) || !isfinite(axis->high))
    return status_make(EXIT_USAGE, "'%s' needs a range LOW,HIGH, not '%s'", axis->key, text);
  if (!(axis->low < axis->high)) return status_make(EXIT_USAGE, "the range of '%s' is empty: %s", axis->key, text);
  if (axis->kind == AXIS_LOG && axis->low <= 0)
    return status_make(EXIT_USAGE, "a logarithmic range lies above 0, but that of '%s' begins at %g", axis->key,
                       axis->low);
  if (axis->kind == AXIS_INT &&
      (axis->low != floor(axis->low) || axis->high != floor(axis->high) || axis->high - axis->low >= 2147483647))
    return status_make(EXIT_USAGE, "the range of '%s' needs whole numbers: %s", axis->key, text);
  return STATUS_OK;
}

Status space_add_random(Space *space, const char *text) {
  static const struct {
    const char *name;
    AxisKind kind;
  } kinds[] = {{"log(", AXIS_LOG}, {"uniform(", AXIS_UNIFORM}, {"int(", AXIS_INT}, {"choice(", AXIS_CHOICE}};
  Axis axis = {0};
  TRY(read_key(space, &text, &axis.key));
  size_t length = strlen(text);
  for (int i = 0; i < 4; i++) {
    size_t n = strlen(kinds[i].name);
    if (strncmp(text, kinds[i].name, n) || text[length - 1] != ')') continue;
    axis.kind = kinds[i].kind;
    const char *inside = arena_strndup(space->arena, text + n, length - n - 1);
    TRY(axis.kind == AXIS_CHOICE ? read_list(space, axis.key, inside, &axis) : read_range(inside, &axis));
    ARENA_PUSH(space->arena, space->axes, space->n_axes, space->cap_axes, axis);
    return STATUS_OK;
  }
  return status_make(EXIT_USAGE,
                     "'%s' is drawn from log(LOW,HIGH), uniform(LOW,HIGH), int(LOW,HIGH) or choice(A,B,..), "
                     "not '%s'",
                     axis.key, text);
}

static int64_t grid_size(const Space *space) {
  int64_t n = 1;
  for (int i = 0; i < space->n_grid; i++) n *= space->axes[i].n_values;
  return n;
}

int64_t space_size(const Space *space) { return grid_size(space) * space->draws; }

static const char *draw(const Space *space, const Axis *axis, int64_t index) {
  Random random =
      random_substream(random_stream(space->seed, arena_printf(space->arena, "sweep/%s", axis->key)), (uint64_t)index);
  switch (axis->kind) {
  case AXIS_CHOICE: return axis->values[random_below(&random, (uint32_t)axis->n_values)];
  case AXIS_INT:
    return arena_printf(space->arena, "%.0f",
                        axis->low + random_below(&random, (uint32_t)(axis->high - axis->low) + 1));
  case AXIS_LOG:
    return arena_printf(space->arena, "%.6g", exp(random_between(&random, log(axis->low), log(axis->high))));
  default: return arena_printf(space->arena, "%.6g", random_between(&random, axis->low, axis->high));
  }
}

const char *space_value(const Space *space, int64_t trial, int axis) {
  int64_t n = grid_size(space), point = trial % n;
  if (axis >= space->n_grid) return draw(space, &space->axes[axis], trial / n);
  for (int i = space->n_grid - 1; i > axis; i--) point /= space->axes[i].n_values;
  return space->axes[axis].values[point % space->axes[axis].n_values];
}
