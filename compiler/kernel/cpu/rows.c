// Rows: element-wise work and reductions on one row of pixels after the other.
#include "compiler/kernel/cpu/rows.h"

#include "compiler/kernel/group.h"
#include "compiler/kernel/tuning.h"

enum { ROWS_AT_ONCE = 4 };

static bool is_of_rows(const Node *node, const Node *picture) {
  Shape rows = picture->shape;
  rows.dim[3] = 1;
  return picture->shape.dim[3] > 1 && shape_equal(node->shape, rows) && node_is_blocked(node) &&
         node_is_blocked(picture) && channels_equal(node->layout, picture->layout);
}

bool rows_match(const Group *group, const Node *like, RowResults *out, Text *why) {
  *out = (RowResults){0};
  for (int i = 0; i < group->n_outs; i++) {
    const Node *node = group->outs[i];
    if (is_of_rows(node, like)) {
      out->n_rows++;
      continue;
    }
    if (!shape_equal(node->shape, like->shape) || !layout_equal(node->layout, like->layout))
      return group_refuse(why, "a result of another shape or layout");
    if (out->n_pictures == ROWS_PICTURES) return group_refuse(why, "more than %d pictures", ROWS_PICTURES);
    out->picture[out->n_pictures++] = node;
  }
  return out->n_pictures > 0 || group_refuse(why, "the group has no result");
}

static bool is_picture(const RowResults *rows, const Node *node) {
  for (int i = 0; i < rows->n_pictures; i++) {
    if (rows->picture[i] == node) return true;
  }
  return false;
}

bool rows_can_put(const Group *group, const RowResults *rows, const Node *given, Text *why) {
  const Layout *layout = rows->picture[0]->layout;
  for (int i = 0; i < group->n_outs; i++) {
    const Node *node = group->outs[i];
    if (node == given) continue;
    bool can = is_picture(rows, node)
                   ? lower_can_lanes(group, node, layout, given != NULL, &given, false, why)
                   : lower_can_lanes(group, node, layout, rows->n_pictures, rows->picture, true, why);
    if (!can) return false;
  }
  return true;
}

// All values first: the stores may overwrite what was loaded.
static void put_values(Lower *lower, IrStmt *body, int n, const Node *const *node, const LanePoint *at,
                       IrExpr **value) {
  Ir *ir = lower->ir;
  for (int i = 0; i < n; i++) value[i] = ir_ref(ir, ir_let(ir, body, "value", value[i]));
  for (int i = 0; i < n; i++)
    ir_store(ir, body, lower_out(lower, node[i]), lower_lane_offset(lower, node[i], &at[i]), value[i]);
}

// Pictures for the pixels of one row.
static void put_pictures(Lower *lower, IrStmt *body, const RowResults *rows, const Node *given, const Node *given_in,
                         LanePoint at) {
  Ir *ir = lower->ir;
  const Node *made[ROWS_PICTURES];
  LanePoint point[ROWS_PICTURES];
  IrExpr *value[ROWS_PICTURES], *bound = NULL;
  body = ir_count(ir, body, "x", rows->picture[0]->shape.dim[3], &at.x);
  int n = 0;
  for (int i = 0; i < rows->n_pictures; i++) {
    if (rows->picture[i] == given) continue;
    point[n] = at;
    made[n++] = rows->picture[i];
  }
  if (given) {
    IrExpr *stored = ir_vload(ir, lower_out(lower, given_in), lower_lane_offset(lower, given_in, &at));
    bound = ir_ref(ir, ir_let(ir, body, "top", stored));
  }
  lower_lanes(lower, body, n, made, point, given != NULL, &given, &bound, value);
  put_values(lower, body, n, made, point, value);
}

// Reductions of several rows side by side, as additions to one sum wait for each other.
static void put_reductions(Lower *lower, IrStmt *body, const RowResults *rows, LanePoint at, IrExpr *y1) {
  Ir *ir = lower->ir;
  const Group *group = lower->group;
  int n = 0, most = ROWS_AT_ONCE * rows->n_rows;
  const Node **made = ARENA_ARRAY(ir->arena, const Node *, most);
  LanePoint *point = ARENA_ARRAY(ir->arena, LanePoint, most);
  IrExpr **value = ARENA_ARRAY(ir->arena, IrExpr *, most), *last = ir_offset(ir, y1, -1);
  at.x = ir_int(ir, 0);
  for (int row = 0; row < ROWS_AT_ONCE; row++) {
    LanePoint here = at;
    here.y = ir_min(ir, ir_offset(ir, at.y, row), last); // the last row may be reduced more than once
    for (int i = 0; i < group->n_outs; i++) {
      if (is_picture(rows, group->outs[i])) continue;
      point[n] = here;
      made[n++] = group->outs[i];
    }
  }
  lower_lanes(lower, body, n, made, point, rows->n_pictures, rows->picture, NULL, value);
  put_values(lower, body, n, made, point, value);
}

void rows_put(Lower *lower, IrStmt *body, const RowResults *rows, const Node *given, const Node *given_in, IrExpr *n,
              IrExpr *b, IrExpr *y0, IrExpr *y1) {
  Ir *ir = lower->ir;
  int64_t height = rows->picture[0]->shape.dim[2];
  LanePoint at = {.layout = rows->picture[0]->layout, .n = n, .b = b};
  IrVar *y = ir_var(ir, IR_INDEX, "y", 0, height - 1);
  bool has_pictures = rows->n_pictures > (given != NULL && is_picture(rows, given));
  if (rows->n_rows) {
    IrVar *first = ir_var(ir, IR_INDEX, "first", 0, height - 1);
    body = ir_for(ir, body, first, y0, y1, ROWS_AT_ONCE, IR_SERIAL);
    y0 = ir_ref(ir, first);
    IrExpr *end = ir_min(ir, ir_offset(ir, y0, ROWS_AT_ONCE), y1);
    y1 = ir_ref(ir, ir_let(ir, body, "end", end));
  }
  at.y = ir_ref(ir, y);
  if (has_pictures) put_pictures(lower, ir_for(ir, body, y, y0, y1, 1, IR_SERIAL), rows, given, given_in, at);
  at.y = y0;
  if (rows->n_rows) put_reductions(lower, body, rows, at, y1);
}

// ---- alone ----------------------------------------------------------------------------------------------------------

// The largest result.
static const Node *picture_of(const Group *group) {
  const Node *picture = group->outs[0];
  for (int i = 1; i < group->n_outs; i++) {
    if (shape_elements(group->outs[i]->shape) > shape_elements(picture->shape)) picture = group->outs[i];
  }
  return picture;
}

bool rows_can_fuse(const Target *target, const Group *group, Text *why) {
  RowResults rows;
  const Node *picture = picture_of(group);
  if (target->kind != TARGET_CPU || picture->shape.rank != 4 || !node_is_blocked(picture) ||
      picture->layout->block != target->vector)
    return group_refuse(why, "no blocked picture");
  if (!rows_match(group, picture, &rows, why)) return false;
  if (!rows.n_rows) return group_refuse(why, "no rows are reduced");
  return rows_can_put(group, &rows, NULL, why);
}

void rows_schedule(Lower *lower) {
  enum { TASK = 16384 }; // elements
  Ir *ir = lower->ir;
  const Node *picture = picture_of(lower->group);
  RowResults rows;
  rows_match(lower->group, picture, &rows, NULL);
  const int64_t *dim = picture->shape.dim;
  int64_t blocks = channel_blocks(picture->layout), height = dim[2], size = TASK / (dim[3] * picture->layout->block);
  size = tuning_knob(ir, "rows", size < 1 ? 1 : size < height ? size : height, 1, height);
  IrExpr *index[3];
  ir_tasks(ir, 3, (int64_t[]){dim[0], blocks, (height + size - 1) / size}, (const char *const[]){"n", "b", "piece"},
           index);
  IrExpr *begin = ir_scale(ir, index[2], size), *end = ir_min(ir, ir_offset(ir, begin, size), ir_int(ir, height));
  rows_put(lower, ir->function->body, &rows, NULL, NULL, index[0], index[1], begin, end);
}
