// Tensor: shapes, and where an element stands in each storage layout.
#include "runtime/tensor.h"

#include <stdio.h>
#include <string.h>

#include "runtime/base/arena.h"
#include "runtime/base/status.h"

int64_t shape_elements(Shape shape) {
  int64_t n = 1;
  for (int i = 0; i < shape.rank; i++) n *= shape.dim[i];
  return n;
}

bool shape_equal(Shape a, Shape b) {
  if (a.rank != b.rank) return false;
  for (int i = 0; i < a.rank; i++) {
    if (a.dim[i] != b.dim[i]) return false;
  }
  return true;
}

Shape shape_of(int rank, const int64_t *dims) {
  if (rank < 0 || rank > MAX_RANK) BUG("rank %d is beyond %d", rank, MAX_RANK);
  Shape shape = {.rank = rank};
  for (int i = 0; i < rank; i++) shape.dim[i] = dims[i];
  return shape;
}

const char *shape_text(Shape shape, char out[SHAPE_TEXT]) {
  int n = snprintf(out, SHAPE_TEXT, "[");
  for (int i = 0; i < shape.rank; i++) {
    n += snprintf(out + n, (size_t)(SHAPE_TEXT - n), i ? ", %lld" : "%lld", (long long)shape.dim[i]);
  }
  snprintf(out + n, (size_t)(SHAPE_TEXT - n), "]");
  return out;
}

// ---- layouts --------------------------------------------------------------------------------------------------------

static bool is_plain(const Layout *layout) { return !layout || layout->kind == LAYOUT_PLAIN; }

int channel_blocks(const Layout *layout) {
  int blocks = 0;
  for (int i = 0; i < layout->c.n; i++) blocks += ceil_div(layout->c.segment[i], layout->block);
  return blocks;
}

int channel_position(const Layout *layout, int64_t channel) {
  int position = 0;
  for (int i = 0; i < layout->c.n; i++) {
    int size = layout->c.segment[i];
    if (channel < size) return position + (int)channel;
    channel -= size;
    position += ceil_div(size, layout->block) * layout->block;
  }
  BUG("channel lies beyond the layout's segments");
}

bool map_equal(ChannelMap a, ChannelMap b) {
  return a.n == b.n && (!a.n || !memcmp(a.segment, b.segment, sizeof(int) * (size_t)a.n));
}

bool channels_equal(const Layout *a, const Layout *b) {
  return a && b && a->block == b->block && map_equal(a->c, b->c);
}

bool layout_equal(const Layout *a, const Layout *b) {
  if (is_plain(a) || is_plain(b)) return is_plain(a) && is_plain(b);
  return a->kind == b->kind && a->half == b->half && map_equal(a->in, b->in) && channels_equal(a, b);
}

// Steps in floats along each axis. Along `channel_axis` (-1 if plain) a step leads from block to block.
typedef struct Steps {
  int channel_axis;
  int64_t step[MAX_RANK];
  int64_t total;
} Steps;

// Orders axes from the innermost outwards; `count` elements (or blocks) each.
static void put_axis(Steps *steps, int axis, int64_t count) {
  steps->step[axis] = steps->total;
  steps->total *= count;
}

static Steps layout_steps(Shape shape, const Layout *layout) {
  Steps steps = {.channel_axis = -1, .total = 1};
  if (is_plain(layout)) {
    for (int i = shape.rank - 1; i >= 0; i--) put_axis(&steps, i, shape.dim[i]);
    return steps;
  }
  steps.total = layout->kind == LAYOUT_WEIGHT_PAIRS ? 2 * layout->block : layout->block;
  if (layout->kind == LAYOUT_BLOCKED) {
    if (shape.rank < 2) BUG("a blocked layout needs a channel axis");
    steps.channel_axis = 1;
    for (int i = shape.rank - 1; i >= 2; i--) put_axis(&steps, i, shape.dim[i]);
    put_axis(&steps, 1, channel_blocks(layout));
    put_axis(&steps, 0, shape.dim[0]);
    return steps;
  }
  if (shape.rank != 4) BUG("a weight layout needs four axes");
  if (layout->kind == LAYOUT_WEIGHT_STRASSEN) BUG("sums have no elements");
  steps.channel_axis = 0;
  put_axis(&steps, 1, shape.dim[1]);
  put_axis(&steps, 3, shape.dim[3]);
  put_axis(&steps, 2, shape.dim[2]);
  if (layout->kind == LAYOUT_WEIGHT_PAIRS) put_axis(&steps, 0, (channel_blocks(layout) + 1) / 2);
  else put_axis(&steps, 0, channel_blocks(layout));
  return steps;
}

// Offset that index `i` of `axis` contributes.
static int64_t axis_offset(const Steps *steps, const Layout *layout, int axis, int64_t i) {
  if (axis != steps->channel_axis) return i * steps->step[axis];
  int position = channel_position(layout, i), size = layout->block;
  if (layout->kind == LAYOUT_WEIGHT_PAIRS) size *= 2;
  return position / size * steps->step[axis] + position % size;
}

int64_t layout_elements(Shape shape, const Layout *layout) {
  if (layout && layout->kind == LAYOUT_WEIGHT_STRASSEN)
    return shape.dim[0] * (7 * layout->half / 2 + shape.dim[1] - 2 * layout->half);
  return layout_steps(shape, layout).total;
}

int64_t layout_offset(Shape shape, const Layout *layout, const int64_t *index) {
  Steps steps = layout_steps(shape, layout);
  int64_t offset = 0;
  for (int i = 0; i < shape.rank; i++) offset += axis_offset(&steps, layout, i, index[i]);
  return offset;
}

// All contributions along one axis.
static int64_t *axis_table(Arena *arena, const Steps *steps, const Layout *layout, int axis, int64_t n) {
  int64_t *table = ARENA_ARRAY(arena, int64_t, n);
  for (int64_t i = 0; i < n; i++) table[i] = axis_offset(steps, layout, axis, i);
  return table;
}

void layout_convert(Shape shape, const Layout *from, const float *src, const Layout *to, float *dst) {
  Steps from_steps = layout_steps(shape, from), to_steps = layout_steps(shape, to);
  if (to_steps.total != shape_elements(shape)) memset(dst, 0, sizeof(float) * (size_t)to_steps.total);
  if (shape.rank == 0) {
    dst[0] = src[0];
    return;
  }
  Arena *arena = arena_new();
  const int64_t *in[MAX_RANK], *out[MAX_RANK];
  for (int i = 0; i < shape.rank; i++) {
    in[i] = axis_table(arena, &from_steps, from, i, shape.dim[i]);
    out[i] = axis_table(arena, &to_steps, to, i, shape.dim[i]);
  }
  int last = shape.rank - 1;
  int64_t rows = shape_elements(shape) / (shape.dim[last] ? shape.dim[last] : 1);
  int64_t index[MAX_RANK] = {0};
  for (int64_t row = 0; row < rows; row++) {
    int64_t a = 0, b = 0;
    for (int i = 0; i < last; i++) {
      a += in[i][index[i]];
      b += out[i][index[i]];
    }
    for (int64_t i = 0; i < shape.dim[last]; i++) dst[b + out[last][i]] = src[a + in[last][i]];
    for (int i = last - 1; i >= 0 && ++index[i] == shape.dim[i]; i--) index[i] = 0;
  }
  arena_free(arena);
}
