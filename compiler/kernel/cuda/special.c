// CUDA schedules of ops of their own kind: concat by copies, cumsum, nearest, random.
#include "compiler/kernel/cuda/special.h"

#include "compiler/kernel/cuda/map.h"
#include "compiler/kernel/group.h"
#include "compiler/kernel/schedule_special.h"
#include "runtime/base/status.h"

static void set_blocks(Ir *ir, int threads, int64_t n_blocks) {
  ir_threads(ir, threads);
  ir->function->n_tasks = n_blocks;
  ir->function->task->hi = n_blocks - 1;
}

// The number of the thread among all of the launch.
static IrExpr *global_thread(Ir *ir) {
  return ir_add(ir, ir_scale(ir, ir_ref(ir, ir->function->task), ir->function->block),
                ir_ref(ir, ir->function->thread));
}

static IrStmt *below(Ir *ir, IrStmt *block, IrExpr *index, int64_t n) {
  IrExpr *is_below = ir_less(ir, index, ir_int(ir, n));
  return ir_is_int(is_below, 1) ? block : ir_if(ir, block, is_below)->body[0];
}

// ---- concat: one nest an input that was not written in place; blocks of the first come first

typedef struct Copy {
  Map map;
  CudaPlan plan;
  int64_t first_block;
} Copy;

static void schedule_concat(Lower *lower, Node *node) {
  Ir *ir = lower->ir;
  Copy *copies = ARENA_ARRAY(ir->arena, Copy, node->n_in);
  int n = 0;
  int64_t n_blocks = 0, start = 0;
  for (int k = 0; k < node->n_in; k++) {
    if (!concat_is_in_place(node, k)) {
      Copy *copy = &copies[n++];
      copy->first_block = n_blocks;
      concat_copy(lower, node, k, start, &copy->map);
      cuda_plan(&copy->map, &copy->plan);
      n_blocks += copy->plan.n_blocks;
    }
    start += node->in[k]->shape.dim[node_attr(node, "axis").i];
  }
  set_blocks(ir, CUDA_BLOCK, n_blocks);
  IrExpr *task = ir_ref(ir, ir->function->task);
  IrStmt *block = ir->function->body;
  for (int k = 0; k < n; k++) {
    IrStmt *choice = NULL, *body = block;
    if (k + 1 < n) {
      choice = ir_if(ir, block, ir_less(ir, task, ir_int(ir, copies[k + 1].first_block)));
      body = choice->body[0];
    }
    IrVar *piece = ir_var(ir, IR_INDEX, "piece", 0, copies[k].plan.n_blocks - 1);
    if (copies[k].plan.n_blocks > 1) ir_let_as(ir, body, piece, ir_offset(ir, task, -copies[k].first_block));
    cuda_put(&copies[k].map, &copies[k].plan, body, ir_ref(ir, piece));
    if (choice) block = ir_else(ir, choice);
  }
}

// ---- cumsum: a thread for each row along the axis, or a block where rows are few

typedef struct Rows {
  MapLoop loop[MAP_LOOPS]; // over all axes but that of the sum
  int n_loops;
  int64_t n_rows;
  IrExpr *index[MAX_RANK];
} Rows;

static Rows rows_along(Ir *ir, const Node *node, int64_t axis) {
  Rows rows = {.n_rows = 1};
  for (int k = 0; k < node->shape.rank; k++) {
    IrVar *var = ir_var(ir, IR_INDEX, lower_axis_name(node->shape.rank, k), 0, node->shape.dim[k] - 1);
    rows.index[k] = ir_ref(ir, var);
    if (k == axis || node->shape.dim[k] == 1) continue;
    rows.loop[rows.n_loops++] = (MapLoop){var, node->shape.dim[k], 1};
    rows.n_rows *= node->shape.dim[k];
  }
  return rows;
}

static void put_row_of_thread(Lower *lower, Node *node, Rows *rows, int64_t axis) {
  Ir *ir = lower->ir;
  int64_t n = node->shape.dim[axis];
  enum { THREADS = 64 };
  set_blocks(ir, THREADS, ceil_div(rows->n_rows, THREADS));
  IrExpr *row = global_thread(ir), **index = rows->index;
  IrStmt *block = below(ir, ir->function->body, row, rows->n_rows);
  if (rows->n_loops) cuda_let_loops(ir, block, rows->loop, 0, rows->n_loops, row);
  IrVar *sum = ir_mutable(ir, block, "sum", ir_convert(ir, IR_DOUBLE, ir_number(ir, 0)));
  if (n > 1) block = ir_for(ir, block, index[axis]->var, ir_int(ir, 0), ir_int(ir, n), 1, IR_SERIAL);
  if (node_attr(node, "reverse").i) index[axis] = ir_sub(ir, ir_int(ir, n - 1), index[axis]);
  ir_accumulate(ir, block, OP_add, sum, lower_value(lower, node->in[0], index));
  ir_store(ir, block, lower->out[0], lower_offset(lower, node, index), ir_convert(ir, IR_FLOAT, ir_ref(ir, sum)));
}

// The threads' elements are added up in doubling steps; what came before is carried from one stretch to the next.
static void put_row_of_block(Lower *lower, Node *node, Rows *rows, int64_t axis) {
  Ir *ir = lower->ir;
  int64_t n = node->shape.dim[axis];
  set_blocks(ir, CUDA_BLOCK, rows->n_rows);
  IrStmt *block = ir->function->body;
  if (rows->n_loops) cuda_let_loops(ir, block, rows->loop, 0, rows->n_loops, ir_ref(ir, ir->function->task));
  IrExpr *nothing = ir_convert(ir, IR_DOUBLE, ir_number(ir, 0));
  IrVar *carry = ir_mutable(ir, block, "carry", nothing), *start = ir_var(ir, IR_INDEX, "start", 0, n - 1);
  block = ir_for(ir, block, start, ir_int(ir, 0), ir_int(ir, n), CUDA_BLOCK, IR_SERIAL);
  IrExpr *turn = ir_add(ir, ir_ref(ir, start), ir_ref(ir, ir->function->thread));
  IrExpr *is_inside = ir_less(ir, turn, ir_int(ir, n));
  rows->index[axis] = node_attr(node, "reverse").i ? ir_sub(ir, ir_int(ir, n - 1), turn) : turn;
  IrExpr *element = ir_select(ir, is_inside, lower_value(lower, node->in[0], rows->index), ir_number(ir, 0));
  element = ir_ref(ir, ir_let(ir, block, "element", ir_convert(ir, IR_DOUBLE, element)));
  IrVar *sum = ir_let(ir, block, "sum", ir_call(ir, IR_DOUBLE, "block_scan<256>", 1, &element));
  IrExpr *value = ir_convert(ir, IR_FLOAT, ir_op2(ir, OP_add, ir_ref(ir, carry), ir_ref(ir, sum)));
  IrStmt *inside = ir_is_int(is_inside, 1) ? block : ir_if(ir, block, is_inside)->body[0];
  ir_store(ir, inside, lower->out[0], lower_offset(lower, node, rows->index), value);
  ir_accumulate(ir, block, OP_add, carry, ir_call(ir, IR_DOUBLE, "block_sum<256>", 1, &element));
}

static void schedule_cumsum(Lower *lower, Node *node) {
  enum { MANY_ROWS = 1 << 12 };
  int64_t axis = node_attr(node, "axis").i;
  Rows rows = rows_along(lower->ir, node, axis);
  if (rows.n_rows >= MANY_ROWS || node->shape.dim[axis] == 1) put_row_of_thread(lower, node, &rows, axis);
  else put_row_of_block(lower, node, &rows, axis);
}

// ---- nearest: a thread a query where queries are many, else a block for a few queries

enum { MANY_QUERIES = 1 << 14, QUERIES = 4 };

static IrExpr *row_address(Lower *lower, const Node *node, IrExpr *row) {
  const IrBuffer *buffer = lower_out(lower, node) ? lower_out(lower, node) : lower_in(lower, node);
  return ir_address(lower->ir, buffer, lower_offset(lower, node, (IrExpr *[]){row, ir_int(lower->ir, 0)}));
}

// The address of a row and the step to its next element: 0 where all are one number, which has no memory.
static void put_operand(Lower *lower, const Node *node, IrExpr *row, IrExpr **out) {
  Ir *ir = lower->ir;
  out[1] = ir_int(ir, !node_is_number(node));
  if (!node_is_number(node)) {
    out[0] = row_address(lower, node, row);
    return;
  }
  IrBuffer *number = ir_stack(ir, "number", 1);
  ir_store(ir, ir->function->body, number, ir_int(ir, 0), ir_number(ir, node_attr(node, "value").f));
  out[0] = ir_address(ir, number, ir_int(ir, 0));
}

static void schedule_nearest(Lower *lower, Node *node) {
  Ir *ir = lower->ir;
  int64_t n_rows = node->shape.dim[0], n_queries = node->shape.dim[1], n_points = node->in[1]->shape.dim[1];
  bool is_many = n_rows * n_queries >= MANY_QUERIES || n_points < CUDA_BLOCK;
  int64_t a_block = is_many ? CUDA_BLOCK : QUERIES, pieces = ceil_div(n_queries, a_block);
  set_blocks(ir, CUDA_BLOCK, n_rows * pieces);
  IrExpr *task = ir_ref(ir, ir->function->task);
  IrExpr *row = ir_div(ir, task, pieces), *first = ir_scale(ir, ir_mod(ir, task, pieces), a_block);
  IrExpr *args[10];
  int n = 0;
  for (int k = 0; k < 3; k++, n += 2) put_operand(lower, node->in[k], row, &args[n]);
  args[n++] = row_address(lower, node, row);
  args[n++] = ir_int(ir, n_points);
  args[n++] = first;
  args[n++] = ir_int(ir, n_queries);
  ir_do(ir, ir->function->body, is_many ? "nearest_of_threads" : "nearest_of_block", n, args);
}

// ---- random: a thread for the four numbers of one key block

static void schedule_random(Lower *lower, Node *node) {
  Ir *ir = lower->ir;
  int64_t n = shape_elements(node->shape), each = node_attr(node, "each").i;
  int64_t n_quads = ceil_div(n, CUDA_QUAD) + (each % CUDA_QUAD != 0); // they may begin within a block
  set_blocks(ir, CUDA_BLOCK, ceil_div(n_quads, CUDA_BLOCK));
  IrExpr *quad = global_thread(ir), *index[MAX_RANK];
  IrStmt *block = below(ir, ir->function->body, quad, n_quads);
  for (int k = 0; k < node->shape.rank; k++) index[k] = ir_int(ir, 0);
  const Node *key = node->in[0];
  IrExpr *args[] = {ir_address(ir, lower_in(lower, key), lower_offset(lower, key, index)),
                    ir_int(ir, node_attr(node, "stream").i),
                    ir_int(ir, each),
                    ir_address(ir, lower->out[0], lower_offset(lower, node, index)),
                    quad,
                    ir_int(ir, n)};
  ir_do(ir, block, "random_quad", 6, args);
}

// ---- all

static const char functions[] =
    // The sum of this thread's value and those of the threads before it, of N; with barriers.
    "template <int N> INLINE double block_scan(double v) {\n"
    "  __shared__ double part[N];\n"
    "  __syncthreads();\n"
    "  part[threadIdx.x] = v;\n"
    "  __syncthreads();\n"
    "  for (int d = 1; d < N; d *= 2) {\n"
    "    const double before = threadIdx.x >= d ? part[threadIdx.x - d] : 0;\n"
    "    __syncthreads();\n"
    "    v += before;\n"
    "    part[threadIdx.x] = v;\n"
    "    __syncthreads();\n"
    "  }\n"
    "  return v;\n"
    "}\n"
    // The nearest point not above the query and the nearest above it, of equal ones the first; -1 = none.
    "struct Near { float below, above; int below_at, above_at; };\n"
    "INLINE void add_near(Near &n, float query, float point, int at) {\n"
    "  if (point <= query && (n.below_at < 0 || point > n.below || (point == n.below && at < n.below_at)))\n"
    "    n.below = point, n.below_at = at;\n"
    "  if (point > query && (n.above_at < 0 || point < n.above || (point == n.above && at < n.above_at)))\n"
    "    n.above = point, n.above_at = at;\n"
    "}\n"
    "INLINE float nearer(const Near &n, float query) {\n"
    "  if (n.below_at < 0 || n.above_at < 0) return (float)(n.below_at < 0 ? n.above_at : n.below_at);\n"
    "  const double up = (double)n.above - query, down = (double)query - n.below;\n"
    "  if (up == down) return (float)(n.above_at < n.below_at ? n.above_at : n.below_at);\n"
    "  return (float)(up < down ? n.above_at : n.below_at);\n"
    "}\n"
    "INLINE void nearest_of_threads(const float *query, int query_step, const float *point, int point_step,\n"
    "                               const float *mask, int mask_step, float *out, int n_points, i64 first,\n"
    "                               i64 n_queries) {\n"
    "  const i64 i = first + threadIdx.x;\n"
    "  if (i >= n_queries) return;\n"
    "  const float q = query[i * query_step];\n"
    "  Near n = {0, 0, -1, -1};\n"
    "  for (int k = 0; k < n_points; k++)\n"
    "    if (mask[k * mask_step] != 0) add_near(n, q, point[k * point_step], k);\n"
    "  out[i] = nearer(n, q);\n"
    "}\n"
    "INLINE void nearest_of_block(const float *query, int query_step, const float *point, int point_step,\n"
    "                             const float *mask, int mask_step, float *out, int n_points, i64 first,\n"
    "                             i64 n_queries) {\n"
    "  __shared__ Near part[256];\n"
    "  float q[4];\n"
    "  Near n[4];\n"
    "#pragma unroll\n"
    "  for (int j = 0; j < 4; j++) {\n"
    "    q[j] = query[imin(first + j, n_queries - 1) * query_step];\n"
    "    n[j] = {0, 0, -1, -1};\n"
    "  }\n"
    "  for (int k = threadIdx.x; k < n_points; k += 256) {\n"
    "    const float p = point[k * point_step];\n"
    "    if (mask[k * mask_step] == 0) continue;\n"
    "#pragma unroll\n"
    "    for (int j = 0; j < 4; j++) add_near(n[j], q[j], p, k);\n"
    "  }\n"
    "#pragma unroll\n"
    "  for (int j = 0; j < 4; j++) {\n"
    "    part[threadIdx.x] = n[j];\n"
    "    __syncthreads();\n"
    "    for (int d = 128; d > 0; d /= 2) {\n"
    "      if (threadIdx.x < d) {\n"
    "        const Near o = part[threadIdx.x + d];\n"
    "        if (o.below_at >= 0) add_near(part[threadIdx.x], q[j], o.below, o.below_at);\n"
    "        if (o.above_at >= 0) add_near(part[threadIdx.x], q[j], o.above, o.above_at);\n"
    "      }\n"
    "      __syncthreads();\n"
    "    }\n"
    "    if (threadIdx.x == 0 && first + j < n_queries) out[first + j] = nearer(part[0], q[j]);\n"
    "    __syncthreads();\n"
    "  }\n"
    "}\n"
    // out[0] .. out[n - 1] are the elements from key[2] * each on; those of one block of the stream.
    "INLINE void random_quad(const float *key, i64 stream, i64 each, float *out, i64 quad, i64 n) {\n"
    "  const i64 first = each ? key_word(key[2]) * each : 0, block = first / 4 + quad;\n"
    "  const float4 q = random_block(key, stream, block);\n"
    "  const float word[4] = {q.x, q.y, q.z, q.w};\n"
    "#pragma unroll\n"
    "  for (int k = 0; k < 4; k++) {\n"
    "    const i64 i = block * 4 + k - first;\n"
    "    if (i >= 0 && i < n) out[i] = word[k];\n"
    "  }\n"
    "}\n";

void cuda_special_preamble(Text *out) { text_put(out, functions); }

bool cuda_special_is(Op op) { return op == OP_concat || op == OP_cumsum || op == OP_nearest || op == OP_random; }

void cuda_special_schedule(Lower *lower) {
  Node *node = lower->group->nodes[0];
  switch (node->op) {
  case OP_concat: schedule_concat(lower, node); return;
  case OP_cumsum: schedule_cumsum(lower, node); return;
  case OP_nearest: schedule_nearest(lower, node); return;
  case OP_random: schedule_random(lower, node); return;
  default: BUG("%s has no schedule of its own", op_info(node->op)->name);
  }
}
