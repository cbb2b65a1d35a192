// Remat pass: makes the plan fit into a memory budget, by one queue instead of several and by computing values again.
//
// It comes last, as what it weighs are kernels and buffers: copies of a kernel have the same text, so that results keep
// every bit and nothing new is to be compiled. The plan itself says what a choice leads to: where buffers do not fit
// together without gaps, the search aims lower.
#include "compiler/pass/remat.h"

#include "compiler/pass/pass.h"

typedef struct Rematerialiser {
  const PassContext *context;
  Graph *graph;
  Arena *arena;
  int64_t budget; // floats
  int64_t least;  // floats of the best plan so far
  const Plan *plan;
  RematModel *model;
  const RematSaved *saved;
} Rematerialiser;

// Which kernels share a launch changes the plan, and is known from their text.
static void find_row_symbols(const Target *target, Group *groups, int n, Arena *arena) {
  for (int i = 0; i < n && target->kind == TARGET_CUDA; i++) {
    bool is_light = true;
    for (int k = 0; k < groups[i].n_nodes; k++) {
      OpClass cls = op_info(groups[i].nodes[k]->op)->cls;
      is_light &= cls == CLASS_ELEMENTWISE || cls == CLASS_REDUCE;
    }
    if (!is_light) continue;
    Text text = {0};
    KernelInfo info = {0};
    kernel_emit(target, &groups[i], arena, &text, &info);
    if (info.row_floats) groups[i].row_symbol = info.symbol;
    text_free(&text);
  }
}

// The plan as it will be, or with a step for each kernel.
static Plan *plan_graph(const PassContext *context, const Graph *graph, int n_queues, bool with_rows, Arena *arena) {
  int n;
  bool is_reference = context->target->kind == TARGET_REFERENCE;
  Group *groups = is_reference ? reference_groups(graph, arena, &n) : group_collect(graph, arena, &n);
  if (with_rows) find_row_symbols(context->target, groups, n, arena);
  return plan_build(graph, groups, n, is_reference, n_queues, arena);
}

static int64_t total_of(const Plan *plan) { return plan->persistent + plan->slab; }

// The floats that the graph as it stands needs.
static int64_t need_of(const PassContext *context, const Graph *graph, int n_queues) {
  Arena *arena = arena_new();
  int64_t total = total_of(plan_graph(context, graph, n_queues, true, arena));
  arena_free(arena);
  return total;
}

// Makes the graph that of the schedule; returns what it needs.
static int64_t apply(Rematerialiser *r, const RematSchedule *schedule) {
  remat_restore(r->saved, r->graph);
  remat_apply(r->model, schedule, r->plan, r->graph);
  return need_of(r->context, r->graph, 1);
}

// Straight to the budget: what is spared counts where it is exceeded alone.
static bool go_straight(Rematerialiser *r) {
  enum { TRIES = 6 };
  int64_t most = r->budget - r->plan->persistent;
  for (int i = 0; i < TRIES && most > 0; i++) {
    RematSchedule schedule = remat_begin(r->model, r->arena);
    if (!remat_search(r->model, most, &schedule, r->arena)) return false;
    int64_t need = apply(r, &schedule);
    if (need <= r->budget) return true;
    most -= need - r->budget;
  }
  return false;
}

// Down step by step, by the same steps whatever the budget, so that what is said to be the least can be had.
static bool go_down(Rematerialiser *r) {
  RematSchedule schedule = remat_begin(r->model, r->arena);
  for (double step = 0.06; step > 0.004;) {
    int64_t peak = remat_peak(r->model, &schedule);
    if (peak == 0) break; // inputs, outputs and what persists are too much alone
    if (!remat_search(r->model, (int64_t)((1 - step) * (double)peak), &schedule, r->arena) &&
        remat_peak(r->model, &schedule) >= peak) {
      step /= 2;
      continue;
    }
    int64_t need = apply(r, &schedule);
    if (need <= r->budget) return true;
    if (need < r->least) r->least = need;
  }
  return false;
}

bool pass_remat(const PassContext *context, Graph *graph) {
  MemoryBudget *memory = context->memory;
  if (!memory) return false;
  Rematerialiser r = {.context = context, .graph = graph, .arena = arena_new()};
  r.budget = memory->bytes / (int64_t)sizeof(float);
  r.least = need_of(context, graph, context->target->queues);
  bool is_changed = false, is_enough = r.least <= r.budget;
  if (!is_enough) { // the plan's order for one queue is where the search begins
    Plan *first = plan_graph(context, graph, 1, false, r.arena);
    RematModel *model = remat_model(first, context->target, group_index(graph, r.arena), r.arena);
    RematSchedule schedule = remat_begin(model, r.arena);
    remat_apply(model, &schedule, first, graph);
    r.saved = remat_save(graph, r.arena);
    r.plan = plan_graph(context, graph, 1, false, r.arena);
    r.model = remat_model(r.plan, context->target, group_index(graph, r.arena), r.arena);
    int64_t need = need_of(context, graph, 1);
    if (need < r.least) r.least = need;
    is_enough = need <= r.budget || go_straight(&r) || go_down(&r);
    is_changed = true;
  }
  memory->least = is_enough ? 0 : (int64_t)sizeof(float) * r.least;
  arena_free(r.arena);
  return is_changed;
}
