// Remat apply: from a schedule to a graph with copies of the nodes that are computed again.
#include <string.h>

#include "compiler/pass/remat.h"
#include "runtime/base/status.h"

// ---- returning ------------------------------------------------------------------------------------------------------

struct RematSaved {
  Node **nodes, ***in;
  int n_nodes;
  bool is_scheduled;
};

RematSaved *remat_save(const Graph *graph, Arena *arena) {
  RematSaved *saved = ARENA_ARRAY(arena, RematSaved, 1);
  int n = graph->n_nodes;
  *saved = (RematSaved){.nodes = arena_memdup(arena, graph->nodes, sizeof(Node *) * (size_t)n),
                        .in = ARENA_ARRAY(arena, Node **, n + 1),
                        .n_nodes = n,
                        .is_scheduled = graph->is_scheduled};
  for (int i = 0; i < n; i++) {
    const Node *node = graph->nodes[i];
    if (node->n_in) saved->in[i] = arena_memdup(arena, node->in, sizeof(Node *) * (size_t)node->n_in);
  }
  return saved;
}

void remat_restore(const RematSaved *saved, Graph *graph) {
  graph->n_nodes = saved->n_nodes;
  graph->is_scheduled = saved->is_scheduled;
  for (int i = 0; i < saved->n_nodes; i++) {
    Node *node = graph->nodes[i] = saved->nodes[i];
    node->id = i;
    if (node->n_in) memcpy(node->in, saved->in[i], sizeof(Node *) * (size_t)node->n_in);
  }
}

// ---- copies ---------------------------------------------------------------------------------------------------------

// A node and its copy, in a buffer's values as computed again once, or among the nodes of one kernel.
typedef struct Copy {
  Node *of, *node;
  struct Copy *next;
} Copy;

typedef struct Again {
  Copy *copies;
  struct Again *next; // of all
} Again;

typedef struct Applier {
  Graph *graph;
  const Plan *plan;
  Arena *arena;
  Node **order; // the graph's nodes to be
  int n, cap;
  bool *is_placed; // by id of the nodes present before
  Again **now;     // by buffer: the values that are read at present; NULL: the first ones
  Again *all;
  int n_groups;
} Applier;

static void push(Applier *a, Node *node) { ARENA_PUSH(a->graph->arena, a->order, a->n, a->cap, node); }

// Places a node of before, behind the views and concats that it reads.
static void place(Applier *a, Node *node) {
  if (node->id < 0 || a->is_placed[node->id]) return;
  a->is_placed[node->id] = true;
  for (int k = 0; k < node->n_in; k++) place(a, node->in[k]);
  push(a, node);
}

static Node *find_copy(const Copy *copies, const Node *of) {
  for (; copies; copies = copies->next) {
    if (copies->of == of) return copies->node;
  }
  return NULL;
}

static void add_copy(Applier *a, Copy **copies, Node *of, Node *node) {
  Copy *copy = ARENA_ARRAY(a->arena, Copy, 1);
  *copy = (Copy){.of = of, .node = node, .next = *copies};
  *copies = copy;
}

// A copy with the same operands; `into` is seen to when all are there.
static Node *copy_node(Applier *a, const Node *node) {
  Node *copy = arena_memdup(a->graph->arena, node, sizeof *node);
  copy->in = arena_memdup(a->graph->arena, node->in, sizeof(Node *) * (size_t)node->n_in);
  copy->id = -1;
  copy->is_again = true;
  return copy;
}

static const Node *root_of(const Applier *a, const Node *node) { return a->plan->is_apart ? node : storage_root(node); }

static int buffer_of(const Applier *a, const Node *node) {
  return node->id < 0 ? -1 : a->plan->buffer_of[root_of(a, node)->id];
}

// The node's copy in those values: made here if it is a view of them, or the concat that they stand in.
static Node *copy_in(Applier *a, Again *again, Node *node) {
  Node *copy = find_copy(again->copies, node);
  if (copy) return copy;
  if (a->plan->is_apart || node_needs_kernel(node)) BUG("%s is read but not computed again", op_info(node->op)->name);
  copy = copy_node(a, node);
  add_copy(a, &again->copies, node, copy);
  for (int k = 0; k < node->n_in; k++) copy->in[k] = copy_in(a, again, node->in[k]);
  push(a, copy);
  return copy;
}

// What is read at present where the graph of before reads `node`.
static Node *present(Applier *a, Node *node) {
  int buffer = op_is_leaf(node->op) && !a->plan->is_apart ? -1 : buffer_of(a, node);
  if (buffer < 0 || !a->now[buffer]) return node;
  return copy_in(a, a->now[buffer], node);
}

static void compute_again(Applier *a, const RematItem *item, const RematOp *op) {
  if (item->begins) {
    Again *again = ARENA_ARRAY(a->arena, Again, 1);
    again->next = a->all;
    a->all = a->now[op->buffer] = again;
  }
  Copy *members = NULL;
  int group = a->n_groups++;
  for (int i = 0; i < op->n_nodes; i++) {
    Node *node = op->nodes[i], *copy = copy_node(a, node);
    for (int k = 0; k < node->n_in; k++) {
      Node *member = find_copy(members, node->in[k]);
      copy->in[k] = member ? member : present(a, node->in[k]);
      place(a, copy->in[k]);
    }
    add_copy(a, &members, node, copy);
    if (buffer_of(a, node) == op->buffer) add_copy(a, &a->now[op->buffer]->copies, node, copy);
    else copy->into = NULL; // computed on the way
    if (!a->plan->is_apart) copy->group = group;
    push(a, copy);
  }
}

static void place_step(Applier *a, const PlanStep *step, bool is_setup) {
  for (int i = 0; step->group && i < step->group->n_nodes; i++) {
    Node *node = step->group->nodes[i];
    for (int k = 0; k < node->n_in && !is_setup; k++) node->in[k] = present(a, node->in[k]);
    place(a, node);
  }
}

// Copies stand in the copy of what their originals stand in.
static void set_into(Applier *a) {
  for (Again *again = a->all; again; again = again->next) {
    for (Copy *copy = again->copies; copy; copy = copy->next) copy->node->into = NULL;
    for (bool changed = true; changed;) {
      changed = false;
      for (Copy *copy = again->copies; copy; copy = copy->next) {
        if (!copy->of->into || copy->node->into) continue;
        copy->node->into = copy_in(a, again, copy->of->into);
        changed = true;
      }
    }
  }
}

void remat_apply(const RematModel *model, const RematSchedule *schedule, const Plan *plan, Graph *graph) {
  Arena *arena = arena_new();
  Applier a = {.graph = graph,
               .plan = plan,
               .arena = arena,
               .is_placed = ARENA_ARRAY(arena, bool, graph->n_nodes + 1),
               .now = ARENA_ARRAY(arena, Again *, plan->n_buffers + 1)};
  for (int i = 0; i < graph->n_nodes; i++) {
    if (graph->nodes[i]->group >= a.n_groups) a.n_groups = graph->nodes[i]->group + 1;
    if (op_is_leaf(graph->nodes[i]->op)) place(&a, graph->nodes[i]);
  }
  for (int i = 0; i < plan->n_setup; i++) place_step(&a, &plan->steps[plan->order[i]], true);
  for (int i = 0; i < schedule->n; i++) {
    const RematOp *op = &model->ops[schedule->items[i].op];
    if (op->buffer < 0) place_step(&a, op->step, false);
    else compute_again(&a, &schedule->items[i], op);
  }
  for (int i = 0; i < graph->n_nodes; i++) place(&a, graph->nodes[i]);
  set_into(&a);
  graph->nodes = a.order;
  graph->n_nodes = a.n;
  graph->cap_nodes = a.cap;
  for (int i = 0; i < a.n; i++) a.order[i]->id = i;
  graph->is_scheduled = true;
  arena_free(arena);
}
