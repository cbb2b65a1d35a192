// Groups: members, inputs and outputs of the kernels that node->group stands for.
#include "compiler/kernel/group.h"

#include "runtime/base/status.h"

bool node_is_view(const Node *node) { return node->into && node->n_in == 1 && node->into == node->in[0]; }

bool node_is_number(const Node *node) { return node->op == OP_fill; }

bool concat_is_in_place(const Node *concat, int k) {
  if (concat->in[k]->into != concat) return false;
  for (int i = 0; i < k; i++) {
    if (concat->in[i] == concat->in[k]) return false; // the first of two equal inputs is the one in place
  }
  return true;
}

bool node_needs_kernel(const Node *node) {
  if (op_is_leaf(node->op) || node_is_view(node)) return false;
  if (node->op != OP_concat) return true;
  for (int k = 0; k < node->n_in; k++) {
    if (!concat_is_in_place(node, k)) return true;
  }
  return false;
}

GroupIndex *group_index(const Graph *graph, Arena *arena) {
  GroupIndex *index = ARENA_ARRAY(arena, GroupIndex, 1);
  int n = graph->n_nodes, n_uses = 0;
  *index = (GroupIndex){
      .graph = graph,
      .first = ARENA_ARRAY(arena, int, n + 2),
      .is_result = ARENA_ARRAY(arena, bool, n + 1),
      .mark = ARENA_ARRAY(arena, int, n + 1),
  };
  for (int i = 0; i < n; i++) {
    const Node *node = graph->nodes[i];
    if (node->id != i) BUG("the graph is not numbered");
    for (int k = 0; k < node->n_in; k++) index->first[node->in[k]->id + 1]++;
    n_uses += node->n_in;
  }
  for (int i = 0; i < n; i++) index->first[i + 1] += index->first[i];
  index->user = ARENA_ARRAY(arena, Node *, n_uses + 1);
  int *next = arena_memdup(arena, index->first, sizeof(int) * (size_t)(n + 1));
  for (int i = 0; i < n; i++) {
    Node *node = graph->nodes[i];
    for (int k = 0; k < node->n_in; k++) index->user[next[node->in[k]->id]++] = node;
  }
  for (int i = 0; i < graph->n_outputs; i++) index->is_result[graph->outputs[i].node->id] = true;
  for (int i = 0; i < graph->n_updates; i++) index->is_result[graph->updates[i].value->id] = true;
  return index;
}

// Whether the member's value has to be stored; members carry the mark.
static bool is_needed_outside(const GroupIndex *index, const Node *node, int mark) {
  int first = index->first[node->id], end = index->first[node->id + 1];
  for (int i = first; i < end; i++) {
    if (index->mark[index->user[i]->id] != mark) return true;
  }
  return index->is_result[node->id] || first == end;
}

Group group_make(GroupIndex *index, Node *const *members, int n, Arena *arena) {
  int member = ++index->n_marks, seen = ++index->n_marks;
  int n_operands = 0;
  for (int i = 0; i < n; i++) {
    index->mark[members[i]->id] = member;
    n_operands += members[i]->n_in;
  }
  Group group = {
      .id = members[0]->group,
      .nodes = arena_memdup(arena, members, sizeof *members * (size_t)n),
      .n_nodes = n,
      .ins = ARENA_ARRAY(arena, Node *, n_operands),
      .outs = ARENA_ARRAY(arena, Node *, n),
  };
  for (int i = 0; i < n; i++) {
    Node *node = members[i];
    for (int k = 0; k < node->n_in; k++) {
      Node *in = node->in[k];
      int *mark = &index->mark[in->id];
      if (*mark == member || *mark == seen || node_is_number(in)) continue;
      if (node->op == OP_concat && concat_is_in_place(node, k)) continue;
      *mark = seen;
      group.ins[group.n_ins++] = in;
    }
    if (is_needed_outside(index, node, member)) group.outs[group.n_outs++] = node;
  }
  return group;
}

void group_each(Graph *graph) {
  int n = 0;
  for (int i = 0; i < graph->n_nodes; i++) {
    Node *node = graph->nodes[i];
    node->group = node_needs_kernel(node) ? n++ : -1;
  }
}

// Groups by the place of their first member, then pushed behind what they depend on.
typedef struct Order {
  Group *groups; // by id
  Group *sorted;
  int n_sorted;
  char *state; // by id: 0 unseen, 1 open, 2 done
} Order;

// The group that stores the value or, of a view or a concat in place, the groups behind it.
static void visit_value(Order *order, const Node *node);

static void visit_group(Order *order, int id) {
  if (order->state[id] == 2) return;
  if (order->state[id] == 1) BUG("groups %d and another need each other", id);
  order->state[id] = 1;
  const Group *group = &order->groups[id];
  for (int i = 0; i < group->n_nodes; i++) {
    for (int k = 0; k < group->nodes[i]->n_in; k++) {
      const Node *in = group->nodes[i]->in[k];
      if (in->group != id) visit_value(order, in);
    }
  }
  order->state[id] = 2;
  order->sorted[order->n_sorted++] = *group;
}

static void visit_value(Order *order, const Node *node) {
  if (node->group >= 0) {
    visit_group(order, node->group);
    return;
  }
  for (int k = 0; k < node->n_in; k++) visit_value(order, node->in[k]);
}

Group *group_collect(const Graph *graph, Arena *arena, int *out_n) {
  int n_ids = 0;
  for (int i = 0; i < graph->n_nodes; i++) {
    if (graph->nodes[i]->group >= n_ids) n_ids = graph->nodes[i]->group + 1;
  }
  int *size = ARENA_ARRAY(arena, int, n_ids + 1);
  for (int i = 0; i < graph->n_nodes; i++) {
    const Node *node = graph->nodes[i];
    if (node->group >= 0) size[node->group]++;
    else if (node_needs_kernel(node)) BUG("%s has no group", op_info(node->op)->name);
  }
  Node ***members = ARENA_ARRAY(arena, Node **, n_ids + 1);
  for (int id = 0; id < n_ids; id++) members[id] = ARENA_ARRAY(arena, Node *, size[id]);
  int *next = ARENA_ARRAY(arena, int, n_ids + 1);
  for (int i = 0; i < graph->n_nodes; i++) {
    Node *node = graph->nodes[i];
    if (node->group >= 0) members[node->group][next[node->group]++] = node;
  }
  GroupIndex *index = group_index(graph, arena);
  Order order = {
      .groups = ARENA_ARRAY(arena, Group, n_ids + 1),
      .sorted = ARENA_ARRAY(arena, Group, n_ids + 1),
      .state = ARENA_ARRAY(arena, char, n_ids + 1),
  };
  for (int id = 0; id < n_ids; id++) {
    if (size[id]) order.groups[id] = group_make(index, members[id], size[id], arena);
  }
  for (int i = 0; i < graph->n_nodes; i++) {
    if (graph->nodes[i]->group >= 0) visit_group(&order, graph->nodes[i]->group);
  }
  *out_n = order.n_sorted;
  return order.sorted;
}
