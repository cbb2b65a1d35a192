// The door: which groups can be one kernel, and their text.
#include "compiler/kernel/kernel.h"

#include <string.h>

#include "compiler/kernel/compute.h"
#include "compiler/kernel/cpu/contract.h"
#include "compiler/kernel/cpu/rows.h"
#include "compiler/kernel/cuda/access.h"
#include "compiler/kernel/cuda/map.h"
#include "compiler/kernel/cuda/special.h"
#include "compiler/kernel/group.h"
#include "compiler/kernel/preamble.h"
#include "compiler/kernel/schedule_map.h"
#include "compiler/kernel/schedule_special.h"
#include "compiler/kernel/tuning.h"
#include "runtime/base/status.h"

// ---- which groups

// Whether the work is element-wise on values of one form, of which no lane is padding: every op costs once.
static bool is_plain_pointwise(const Group *group) {
  for (int k = 0; k < group->n_ins; k++) {
    if (group->ins[k]->layout) return false;
  }
  return !group->outs[0]->layout && group_is_pointwise(group);
}

// Whether the generic schedule makes a good kernel of several nodes.
static bool map_can_fuse(const Target *target, const Group *group, Text *why) {
  const Node *first = group->outs[0];
  if (rows_can_fuse(target, group, NULL)) return true;
  for (int k = 0; k < group->n_nodes; k++) {
    if (!compute_can(group->nodes[k]->op) || special_is(group->nodes[k]->op))
      return group_refuse(why, "one of the ops has a kernel of its own");
  }
  for (int k = 1; k < group->n_outs; k++) {
    if (!shape_equal(group->outs[k]->shape, first->shape) || !layout_equal(group->outs[k]->layout, first->layout))
      return group_refuse(why, "the results have different shapes");
  }
  enum { SMALL = 1 << 14 };
  if (is_plain_pointwise(group) && map_price_apart(group) <= SMALL) return true; // no nest costs more
  Arena *arena = arena_new();
  Map map;
  map_outputs(&map, lower_new(ir_new(arena, target), group));
  bool is_vector =
      map.lanes != MAP_SCALAR || map.has_reductions || map.n_loops == 0 || map.loop[map.n_loops - 1].n < target->vector;
  int64_t cost = map.cost, n_tasks = map.n_tasks;
  arena_free(arena);
  if (cost <= SMALL) return true;
  if (!is_vector) return group_refuse(why, "together they would not be vectors");
  if (cost > 3 * map_price_apart(group)) return group_refuse(why, "values would be computed more than once");
  if (n_tasks == 1 && cost > 16 * SMALL) return group_refuse(why, "together they would not be parallel");
  return true;
}

bool kernel_can_fuse(const Target *target, const Group *group, Text *why) {
  if (target->kind == TARGET_REFERENCE)
    return group->n_nodes == 1 || group_refuse(why, "the reference target fuses nothing");
  if (group->n_nodes == 1) return true;
  if (contract_is_in(group)) return contract_can_fuse(target, group, why);
  if (target->kind == TARGET_CUDA) return cuda_can_fuse(target, group, why);
  return map_can_fuse(target, group, why);
}

// ---- names

static void put_sizes(Text *out, Shape shape) {
  for (int k = 0; k < shape.rank; k++) text_printf(out, "%s%lld", k ? "x" : "_", (long long)shape.dim[k]);
}

// The ops in order, each run of equal ones once, and the sizes of the first result.
static const char *kernel_name(Arena *arena, const Group *group, bool has_sizes) {
  Text name = {0};
  const char *last = "";
  for (int k = 0, n = 0; k < group->n_nodes; k++) {
    const char *op = op_info(group->nodes[k]->op)->name;
    if (strcmp(op, last) == 0) continue;
    if (++n > 4) {
      text_put(&name, "_etc");
      break;
    }
    text_printf(&name, "%s%s", n > 1 ? "_" : "", op);
    last = op;
  }
  const Node *top = group->nodes[0];
  if (op_info(top->op)->cls == CLASS_CONTRACT) put_sizes(&name, top->in[1]->shape);
  if (has_sizes) put_sizes(&name, group->outs[0]->shape);
  const char *result = arena_strdup(arena, text_get(&name));
  text_free(&name);
  return result;
}

// ops with shapes; the user's lines; operations and bytes.
static const char *kernel_about(Arena *arena, const Group *group, const KernelInfo *info) {
  enum { MAX_NAMED = 12 };
  Text about = {0};
  char shape[SHAPE_TEXT];
  for (int k = 0; k < group->n_nodes && k < MAX_NAMED; k++) {
    const Node *node = group->nodes[k];
    text_printf(&about, "%s%s %s", k ? ", " : "", op_info(node->op)->name, shape_text(node->shape, shape));
  }
  if (group->n_nodes > MAX_NAMED) text_printf(&about, " and %d more", group->n_nodes - MAX_NAMED);
  SrcLoc last = {0};
  for (int k = 0, n = 0; k < group->n_nodes && n < MAX_NAMED; k++) {
    SrcLoc loc = group->nodes[k]->loc;
    if (!loc.file || (last.file && loc.line == last.line && strcmp(loc.file, last.file) == 0)) continue;
    text_printf(&about, "%s%s:%d", n++ ? ", " : "\n", loc.file, loc.line);
    last = loc;
  }
  text_printf(&about, "\n%.3g MFLOP, %.3g MB", (double)info->flops * 1e-6, (double)info->bytes * 1e-6);
  const char *result = arena_strdup(arena, text_get(&about));
  text_free(&about);
  for (char *c = (char *)result; *c; c++) {
    if (*c == '\\') *c = '/'; // a backslash at the end of the line would take the next one in
  }
  return result;
}

// Floats of the operand that the group needs: all, or, where it takes nothing but slices, these.
static int64_t floats_read(const Group *group, const Node *in) {
  int64_t all = layout_elements(in->shape, in->layout), slices = 0;
  for (int i = 0; i < group->n_nodes; i++) {
    const Node *node = group->nodes[i];
    for (int k = 0; k < node->n_in; k++) {
      if (node->in[k] != in) continue;
      if (node->op != OP_slice) return all;
      slices += layout_elements(node->shape, node->layout);
    }
  }
  return slices < all ? slices : all;
}

static int64_t floats_written(const Node *out) {
  int64_t floats = layout_elements(out->shape, out->layout);
  for (int k = 0; out->op == OP_concat && k < out->n_in; k++)
    if (concat_is_in_place(out, k)) floats -= layout_elements(out->in[k]->shape, out->in[k]->layout);
  return floats;
}

// Whether both are one piece of memory, seen in two ways.
static bool is_same_memory(const Node *a, const Node *b) {
  return storage_root(a) == storage_root(b) && storage_offset(a) == storage_offset(b) &&
         layout_elements(a->shape, a->layout) == layout_elements(b->shape, b->layout);
}

static void measure(const Group *group, KernelInfo *info) {
  for (int k = 0; k < group->n_nodes; k++) info->flops += node_cost(group->nodes[k]).flops;
  int64_t floats = 0;
  for (int k = 0; k < group->n_ins; k++) {
    bool is_new = !group->ins[k]->into || group->ins[k]->into != group->outs[0]; // waited for, not read
    for (int i = 0; i < k; i++) is_new &= !is_same_memory(group->ins[i], group->ins[k]);
    if (is_new) floats += floats_read(group, group->ins[k]);
  }
  for (int k = 0; k < group->n_outs; k++) floats += floats_written(group->outs[k]);
  info->bytes = 4 * floats;
}

// ---- text

static void schedule(const Target *target, Lower *lower, int64_t *out_row_floats) {
  const Group *group = lower->group;
  if (contract_is_in(group) && contract_can_fuse(target, group, NULL)) {
    contract_schedule(lower);
    return;
  }
  if (target->kind == TARGET_CUDA) {
    if (group->n_nodes == 1 && cuda_special_is(group->nodes[0]->op)) cuda_special_schedule(lower);
    else cuda_schedule(lower, out_row_floats);
    return;
  }
  if (group->n_nodes == 1 && special_is(group->nodes[0]->op)) {
    special_schedule(lower);
    return;
  }
  if (rows_can_fuse(target, group, NULL)) {
    rows_schedule(lower);
    return;
  }
  IrFunction *function = lower->ir->function;
  Map map;
  map_outputs(&map, lower);
  if (map_is_flat(&map)) {
    function->name = kernel_name(lower->ir->arena, group, false);
    map_put_flat(&map);
    return;
  }
  function->n_tasks = map.n_tasks;
  function->task->hi = map.n_tasks - 1;
  map_put(&map, function->body, ir_ref(lower->ir, function->task));
}

// Whether it runs once after loading and is made by the loops of the generic schedule alone, which need not know their
// numbers: compiling one kernel for each of its shapes would take longer than all else that it takes.
static bool takes_numbers(const Target *target, const Group *group) {
  if (target->kind != TARGET_CPU || contract_is_in(group)) return false;
  for (int k = 0; k < group->n_nodes; k++) {
    const Node *node = group->nodes[k];
    if (!(node->is_setup || op_is_leaf(node->op)) || special_is(node->op)) return false;
  }
  return true;
}

static void emit(const Target *target, const Group *group, Knobs *knobs, Arena *arena, Text *source, KernelInfo *info) {
  Arena *scratch = arena_new();
  *info = (KernelInfo){0};
  measure(group, info);
  Ir *ir = ir_new(scratch, target);
  ir->knobs = knobs;
  Lower *lower = lower_new(ir, group);
  ir->function->takes_numbers = takes_numbers(target, group);
  ir->function->name = kernel_name(scratch, group, !ir->function->takes_numbers);
  ir->function->about = kernel_about(scratch, group, info);
  ir->function->may_alias = group_is_pointwise(group);
  schedule(target, lower, &info->row_floats);
  if (info->row_floats) ir->function->name = kernel_name(scratch, group, false);
  info->symbol = arena_strdup(arena, ir_print(ir, source));
  info->n_tasks = ir->function->n_tasks;
  info->n_numbers = ir->function->n_numbers;
  info->numbers = arena_memdup(arena, ir->function->numbers, sizeof *info->numbers * (size_t)info->n_numbers);
  info->scratch = ir->function->scratch;
  info->block = target->kind == TARGET_CUDA ? ir->function->block : 0;
  info->shared = target->kind == TARGET_CUDA ? ir_dynamic_shared(ir->function) : (int)ir->function->shared;
  if (target->kind == TARGET_CUDA) {
    CudaAccess access = cuda_access(ir, info->row_floats);
    info->requests = access.requests;
    info->sectors = access.sectors;
    info->ideal_sectors = access.ideal_sectors;
    info->gemm = contract_as_gemm(target, group, arena);
  }
  arena_free(scratch);
}

// As the cost model says first, which tells what the kernel is called; then as measured.
static void emit_tuned(const Target *target, const Group *group, Arena *arena, Text *source, KernelInfo *info) {
  Knobs model = {.arena = arena}, chosen;
  size_t start = source->size;
  emit(target, group, &model, arena, source, info);
  const char *name = info->symbol;
  Knobs *made = &model;
  if (tuning_begin(target->tuning, name, &model, &chosen)) {
    Text text = {0};
    KernelInfo other;
    emit(target, group, &chosen, arena, &text, &other);
    if (tuning_accepts(&chosen, other.symbol)) {
      source->size = start;
      text_write(source, text_get(&text), text.size);
      *info = other;
      made = &chosen;
    }
    text_free(&text);
  }
  tuning_record(target->tuning, name, info->symbol, made);
}

void kernel_emit(const Target *target, const Group *group, Arena *arena, Text *source, KernelInfo *info) {
  if (target->tuning && !takes_numbers(target, group)) emit_tuned(target, group, arena, source, info);
  else emit(target, group, NULL, arena, source, info);
}

void kernel_preamble(const Target *target, Text *source) {
  if (target->kind == TARGET_REFERENCE) return;
  if (target->kind == TARGET_CUDA) {
    preamble_cuda(source);
    cuda_special_preamble(source);
    contract_preamble(target, source);
    return;
  }
  preamble_types(target->vector, source);
  preamble_math(target->vector, source);
  preamble_rows(source);
  preamble_random(source);
  contract_preamble(target, source);
}
