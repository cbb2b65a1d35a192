// Fuse sets: disjoint sets of nodes with an order in which they can be computed, kept while sets merge.
#include "compiler/pass/fuse.h"

#include <stdlib.h>

struct FuseSets {
  const Graph *graph;
  Arena *arena;
  GroupIndex *index;
  int *set_of;     // by node
  Node ***members; // by set
  int *n_members;
  int *place; // by set: its place in `order`
  int *order; // places -> sets; -1 where one has gone into another
  int *mark;  // by set: needs the later one of the two being asked about
  int n_marks;
  int *scratch;
};

FuseSets *fuse_sets_new(const Graph *graph, Arena *arena) {
  FuseSets *sets = ARENA_ARRAY(arena, FuseSets, 1);
  int n = graph->n_nodes;
  *sets = (FuseSets){
      .graph = graph,
      .arena = arena,
      .index = group_index(graph, arena),
      .set_of = ARENA_ARRAY(arena, int, n + 1),
      .members = ARENA_ARRAY(arena, Node **, n + 1),
      .n_members = ARENA_ARRAY(arena, int, n + 1),
      .place = ARENA_ARRAY(arena, int, n + 1),
      .order = ARENA_ARRAY(arena, int, n + 1),
      .mark = ARENA_ARRAY(arena, int, n + 1),
      .scratch = ARENA_ARRAY(arena, int, n + 1),
  };
  for (int i = 0; i < n; i++) {
    sets->set_of[i] = sets->place[i] = sets->order[i] = i;
    sets->members[i] = &graph->nodes[i];
    sets->n_members[i] = 1;
  }
  return sets;
}

int fuse_set_of(const FuseSets *sets, const Node *node) { return sets->set_of[node->id]; }

Node *const *fuse_set_members(const FuseSets *sets, int set, int *out_n) {
  *out_n = sets->n_members[set];
  return sets->members[set];
}

// Marks all sets between the places of a (earlier) and b (later) that b depends on.
static int mark_between(FuseSets *sets, int a, int b) {
  int mark = ++sets->n_marks, n = 0;
  sets->scratch[n++] = b;
  while (n) {
    int set = sets->scratch[--n];
    for (int i = 0; i < sets->n_members[set]; i++) {
      const Node *node = sets->members[set][i];
      for (int k = 0; k < node->n_in; k++) {
        int needed = sets->set_of[node->in[k]->id];
        if (needed == set || sets->mark[needed] == mark || sets->place[needed] <= sets->place[a]) continue;
        sets->mark[needed] = mark;
        sets->scratch[n++] = needed;
      }
    }
  }
  return mark;
}

// Whether a set that carries the mark uses a member of `set`.
static bool is_used_by_marked(const FuseSets *sets, int set, int mark) {
  const GroupIndex *index = sets->index;
  for (int i = 0; i < sets->n_members[set]; i++) {
    int id = sets->members[set][i]->id;
    for (int k = index->first[id]; k < index->first[id + 1]; k++) {
      if (sets->mark[sets->set_of[index->user[k]->id]] == mark) return true;
    }
  }
  return false;
}

bool fuse_sets_can_merge(FuseSets *sets, int a, int b) {
  if (a == b) return false;
  if (sets->place[a] > sets->place[b]) {
    int t = a;
    a = b;
    b = t;
  }
  int mark = mark_between(sets, a, b);
  return !is_used_by_marked(sets, a, mark);
}

static int by_id(const void *a, const void *b) { return (*(Node *const *)a)->id - (*(Node *const *)b)->id; }

int fuse_sets_merge(FuseSets *sets, int a, int b) {
  if (sets->place[a] > sets->place[b]) {
    int t = a;
    a = b;
    b = t;
  }
  // What b needs moves in front of the merged set; the rest keeps its order behind it.
  int mark = mark_between(sets, a, b), first = sets->place[a], last = sets->place[b];
  int n_before = 0, n_after = 0;
  for (int place = first + 1; place < last; place++) {
    int set = sets->order[place];
    if (set >= 0 && sets->mark[set] == mark) sets->order[first + n_before++] = set;
    else sets->scratch[n_after++] = set;
  }
  int at = first + n_before;
  sets->order[at++] = a;
  for (int i = 0; i < n_after; i++) sets->order[at++] = sets->scratch[i];
  sets->order[at] = -1;
  for (int place = first; place <= last; place++) {
    if (sets->order[place] >= 0) sets->place[sets->order[place]] = place;
  }

  int n = sets->n_members[a] + sets->n_members[b];
  Node **members = ARENA_ARRAY(sets->arena, Node *, n);
  for (int i = 0; i < sets->n_members[a]; i++) members[i] = sets->members[a][i];
  for (int i = 0; i < sets->n_members[b]; i++) {
    members[sets->n_members[a] + i] = sets->members[b][i];
    sets->set_of[sets->members[b][i]->id] = a;
  }
  qsort(members, (size_t)n, sizeof *members, by_id);
  sets->members[a] = members;
  sets->n_members[a] = n;
  sets->n_members[b] = 0;
  return a;
}
