// Groups: members, inputs and outputs of the kernels that node->group stands for.
#include "compiler/kernel/group.h"

#include "runtime/base/status.h"

bool group_refuse(Text *why, const char *format, ...) {
  if (why) {
    va_list args;
    va_start(args, format);
    text_vprintf(why, format, args);
    va_end(args);
  }
  return false;
}

bool node_is_view(const Node *node) {
  if (!node->into || node->n_in != 1) return false;
  return node->into == node->in[0] || node->in[0]->into == node; // or what it shows is kept in it
}

bool node_is_number(const Node *node) { return node->op == OP_fill; }

bool node_reduces_rows(const Node *node) {
  if ((node->op != OP_sum && node->op != OP_max) || node->in[0]->shape.rank != 4) return false;
  Shape axes = node_attr(node, "axes").ints;
  return axes.rank == 1 && axes.dim[0] == 3 && node_attr(node, "keep").i;
}

bool concat_is_in_place(const Node *concat, int k) {
  if (concat->in[k]->into != concat) return false;
  for (int i = 0; i < k; i++) {
    if (concat->in[i] == concat->in[k]) return false; // the first of two equal inputs is the one in place
  }
  return true;
}

// Whether the concat's kernel must wait for input k, in place, as it stores another in the lanes that this one leaves.
static bool is_filled(const Node *concat, int k) {
  return concat->layout && k + 1 < concat->n_in && !concat->in[k + 1]->layout;
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
      if (node->op == OP_concat && concat_is_in_place(node, k) && !is_filled(node, k)) continue;
      *mark = seen;
      group.ins[group.n_ins++] = in;
    }
    if (is_needed_outside(index, node, member)) group.outs[group.n_outs++] = node;
  }
  return group;
}

bool group_is_pointwise(const Group *group) {
  for (int i = 0; i < group->n_nodes; i++) {
    const Node *node = group->nodes[i];
    if (op_info(node->op)->cls != CLASS_ELEMENTWISE || !shape_equal(node->shape, group->outs[0]->shape) ||
        !layout_equal(node->layout, group->outs[0]->layout))
      return false;
  }
  return true;
}

// Groups by the place of their first member, then pushed behind what they depend on.
typedef struct Order {
  const int *id; // by node: its group, or -1
  Group *groups; // by id
  Group *sorted;
  int n_sorted;
  char *state; // by id: 0 unseen, 1 open, 2 done
} Order;

// The group that stores the value or, of a view or a concat in place, the groups behind it.
static void visit_value(Order *order, const Node *node);

static void visit_group(Order *order, int id) {
  if (order->state[id] == 2) return;
  if (order->state[id] == 1) BUG("group %d and another need each other", id);
  order->state[id] = 1;
  const Group *group = &order->groups[id];
  for (int i = 0; i < group->n_nodes; i++) {
    for (int k = 0; k < group->nodes[i]->n_in; k++) {
      const Node *in = group->nodes[i]->in[k];
      if (order->id[in->id] != id) visit_value(order, in);
    }
  }
  order->state[id] = 2;
  order->sorted[order->n_sorted++] = *group;
}

static void visit_value(Order *order, const Node *node) {
  if (order->id[node->id] >= 0) {
    visit_group(order, order->id[node->id]);
    return;
  }
  for (int k = 0; k < node->n_in; k++) visit_value(order, node->in[k]);
}

// The groups of all nodes, those that have none yet getting one of their own. Returns how many there are.
static int find_ids(const Graph *graph, int *id) {
  int n_ids = 0;
  for (int i = 0; i < graph->n_nodes; i++) {
    id[i] = graph->nodes[i]->group;
    if (id[i] >= n_ids) n_ids = id[i] + 1;
  }
  for (int i = 0; i < graph->n_nodes; i++) {
    if (id[i] < 0 && node_needs_kernel(graph->nodes[i])) id[i] = n_ids++;
  }
  return n_ids;
}

Group *group_collect(const Graph *graph, Arena *arena, int *out_n) {
  int *id = ARENA_ARRAY(arena, int, graph->n_nodes + 1);
  int n_ids = find_ids(graph, id);
  int *size = ARENA_ARRAY(arena, int, n_ids + 1);
  for (int i = 0; i < graph->n_nodes; i++) {
    if (id[i] >= 0) size[id[i]]++;
  }
  Node ***members = ARENA_ARRAY(arena, Node **, n_ids + 1);
  for (int k = 0; k < n_ids; k++) members[k] = ARENA_ARRAY(arena, Node *, size[k]);
  int *next = ARENA_ARRAY(arena, int, n_ids + 1);
  for (int i = 0; i < graph->n_nodes; i++) {
    if (id[i] >= 0) members[id[i]][next[id[i]]++] = graph->nodes[i];
  }
  GroupIndex *index = group_index(graph, arena);
  Order order = {
      .id = id,
      .groups = ARENA_ARRAY(arena, Group, n_ids + 1),
      .sorted = ARENA_ARRAY(arena, Group, n_ids + 1),
      .state = ARENA_ARRAY(arena, char, n_ids + 1),
  };
  for (int k = 0; k < n_ids; k++) {
    if (!size[k]) continue;
    order.groups[k] = group_make(index, members[k], size[k], arena);
    order.groups[k].id = k;
  }
  for (int i = 0; i < graph->n_nodes; i++) {
    if (id[i] >= 0) visit_group(&order, id[i]);
  }
  *out_n = order.n_sorted;
  return order.sorted;
}
