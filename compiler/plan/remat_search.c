// Remat search: greedy, in rounds. Each round tries what could be computed again, then takes the best as long as it
// stays as good as it was; in the end what later choices made superfluous is taken back.
#include <float.h>
#include <stdlib.h>
#include <string.h>

#include "compiler/plan/remat.h"

// Computing a buffer again before the item that reads it next: the nth of its op, as places change.
typedef struct Move {
  int buffer, op, nth;
  double bound, score; // excess spared over cost: what to hope for, what it is
} Move;

// What a move was worth when it was tried last.
typedef struct Known {
  int buffer, op, nth;
  double score; // 0: an empty slot
} Known;

typedef struct Search {
  const RematModel *model;
  int64_t most;
  RematMeter *meter;
  RematSchedule *now;
  RematNeed need;
  RematSchedule trial, best;
  int64_t *live;
  int *over;       // by item: how many items before it are above the limit
  int *last_touch; // by buffer
  int *n_written;  // by buffer
  int *n_seen;     // by op
  Known *known;    // a hash table
  int mask, n_known;
  Move *moves;
  int n_moves, cap_moves;
  Arena *arena;
} Search;

// What takes the place of another recomputation may cost nothing.
static double score_of(const RematNeed *before, const RematNeed *after) {
  double spared = before->excess - after->excess, cost = after->cost - before->cost;
  return spared <= 0 ? 0 : spared / (cost > 1 ? cost : 1);
}

static void copy_schedule(RematSchedule *to, const RematSchedule *from) {
  memcpy(to->items, from->items, sizeof *from->items * (size_t)from->n);
  to->n = from->n;
}

// ---- moves ----------------------------------------------------------------------------------------------------------

static Known *find_known(Search *s, const Move *move) {
  unsigned hash = (unsigned)move->buffer * 0x9e3779b1u + (unsigned)move->op * 0x85ebca6bu + (unsigned)move->nth;
  for (unsigned i = hash ^ hash >> 15;; i++) {
    Known *known = &s->known[i & (unsigned)s->mask];
    bool is_it = known->buffer == move->buffer && known->op == move->op && known->nth == move->nth;
    if (is_it || known->score == 0) return known;
  }
}

static void remember(Search *s, const Move *move) {
  Known *known = find_known(s, move);
  if (known->score == 0 && 2 * ++s->n_known > s->mask) return; // enough is known
  *known = (Known){move->buffer, move->op, move->nth, move->score > 0 ? move->score : DBL_MIN};
}

static void add_move(Search *s, int buffer, int from, int to) {
  enum { TOLERANCE = 2 }; // what a move is worth may rise
  const RematBuffer *b = &s->model->buffers[buffer];
  int n_over = s->over[to] - s->over[from + 1];
  if (n_over <= 0 || !b->n_again) return;
  Move move = {.buffer = buffer, .op = s->now->items[to].op, .bound = (double)b->size * n_over / (double)(b->cost + 1)};
  move.nth = s->n_seen[move.op];
  const Known *known = find_known(s, &move);
  if (known->score > 0 && TOLERANCE * known->score < move.bound) move.bound = TOLERANCE * known->score;
  ARENA_PUSH(s->arena, s->moves, s->n_moves, s->cap_moves, move);
}

// Every stretch between two uses of complete values during which the limit is exceeded.
static void find_moves(Search *s) {
  const RematSchedule *now = s->now;
  s->n_moves = 0;
  for (int i = 0; i < now->n; i++) s->over[i + 1] = s->over[i] + (s->live[i] > s->most);
  for (int b = 0; b < s->model->n_buffers; b++) s->last_touch[b] = s->n_written[b] = 0;
  for (int i = 0; i < s->model->n_ops; i++) s->n_seen[i] = 0;
  for (int i = 0; i < now->n; i++) {
    const RematOp *op = &s->model->ops[now->items[i].op];
    for (int k = 0; k < op->n_reads; k++) {
      int buffer = op->reads[k];
      if (s->n_written[buffer] == s->model->buffers[buffer].n_again) add_move(s, buffer, s->last_touch[buffer], i);
      s->last_touch[buffer] = i;
    }
    for (int k = 0; k < op->n_writes; k++) {
      if (now->items[i].begins) s->n_written[op->writes[k]] = 0;
      s->n_written[op->writes[k]]++;
      s->last_touch[op->writes[k]] = i;
    }
    s->n_seen[now->items[i].op]++;
  }
}

// Sets how the move is best made; its result stands in s->best. Returns its score.
static double try_move(Search *s, const Move *move, int place) {
  double best = 0;
  for (int way = 0; way < 2 * REMAT_REACHES; way++) {
    if (!remat_insert(s->meter, s->now, move->buffer, place, (RematReach)(way / 2), way % 2, &s->trial)) continue;
    RematNeed need = remat_measure(s->meter, &s->trial, s->most, NULL);
    double score = score_of(&s->need, &need);
    if (score <= best) continue;
    best = score;
    copy_schedule(&s->best, &s->trial);
  }
  return best;
}

static int by_bound(const void *a, const void *b) {
  const Move *x = a, *y = b;
  if (x->bound != y->bound) return x->bound < y->bound ? 1 : -1;
  if (x->op != y->op) return x->op - y->op;
  return x->nth != y->nth ? x->nth - y->nth : x->buffer - y->buffer;
}

static int by_score(const void *a, const void *b) {
  const Move *x = a, *y = b;
  if (x->score != y->score) return x->score < y->score ? 1 : -1;
  return by_bound(a, b);
}

// Where the item stands that the move is made for; -1 if it has been dropped.
static int place_of(const Search *s, const Move *move) {
  for (int i = 0, nth = 0; i < s->now->n; i++) {
    if (s->now->items[i].op == move->op && nth++ == move->nth) return i;
  }
  return -1;
}

static void take(Search *s) {
  copy_schedule(s->now, &s->best);
  s->need = remat_measure(s->meter, s->now, s->most, s->live);
}

// One round. Returns whether it made anything better.
static bool improve(Search *s) {
  enum { PER_CENT_KEPT = 60 };
  find_moves(s);
  if (!s->n_moves) return false;
  qsort(s->moves, (size_t)s->n_moves, sizeof *s->moves, by_bound);
  double best = 0;
  int n = 0;
  for (; n < s->n_moves && 100 * s->moves[n].bound >= PER_CENT_KEPT * best; n++) {
    s->moves[n].score = try_move(s, &s->moves[n], place_of(s, &s->moves[n]));
    remember(s, &s->moves[n]);
    if (s->moves[n].score > best) best = s->moves[n].score;
  }
  if (best <= 0) return false;
  qsort(s->moves, (size_t)n, sizeof *s->moves, by_score);
  for (int i = 0; i < n && s->need.excess > 0; i++) {
    Move *move = &s->moves[i];
    if (100 * move->score < PER_CENT_KEPT * best) break;
    int place = place_of(s, move);
    if (place < 0) continue;
    move->score = try_move(s, move, place);
    remember(s, move);
    if (100 * move->score >= PER_CENT_KEPT * best) take(s);
  }
  return true;
}

// ---- taking back ----------------------------------------------------------------------------------------------------

// Drops the recomputation that begins at that item; its readers read the values before. Returns what it cost.
static void drop(const Search *s, int place, RematSchedule *out) {
  int buffer = s->model->ops[s->now->items[place].op].buffer;
  bool is_dropping = false;
  out->n = 0;
  for (int i = 0; i < s->now->n; i++) {
    RematItem item = s->now->items[i];
    bool is_same = s->model->ops[item.op].buffer == buffer;
    if (is_same && item.begins) is_dropping = i == place;
    if (!is_same || !is_dropping) out->items[out->n++] = item;
  }
  remat_drop_unread(s->meter, out);
}

typedef struct Begin {
  int buffer, nth; // the nth time that the buffer is computed again
  int64_t cost;
} Begin;

static int by_cost(const void *a, const void *b) {
  const Begin *x = a, *y = b;
  if (x->cost != y->cost) return x->cost < y->cost ? 1 : -1;
  return x->buffer != y->buffer ? x->buffer - y->buffer : y->nth - x->nth;
}

static int place_of_begin(const Search *s, const Begin *begin) {
  for (int i = 0, nth = 0; i < s->now->n; i++) {
    const RematItem *item = &s->now->items[i];
    if (item->begins && s->model->ops[item->op].buffer == begin->buffer && nth++ == begin->nth) return i;
  }
  return -1;
}

// The dear ones first; what has been dropped changes how many there are, so that the last ones come first.
static void take_back(Search *s) {
  int n = 0;
  Begin *begins = ARENA_ARRAY(s->arena, Begin, s->now->n + 1);
  int *nth = ARENA_ARRAY(s->arena, int, s->model->n_buffers + 1);
  for (int i = 0; i < s->now->n; i++) {
    int buffer = s->model->ops[s->now->items[i].op].buffer;
    if (!s->now->items[i].begins) continue;
    begins[n++] = (Begin){buffer, nth[buffer]++, s->model->buffers[buffer].cost};
  }
  qsort(begins, (size_t)n, sizeof *begins, by_cost);
  for (int i = 0; i < n; i++) {
    int place = place_of_begin(s, &begins[i]);
    if (place < 0) continue;
    drop(s, place, &s->best);
    RematNeed need = remat_measure(s->meter, &s->best, s->most, NULL);
    if (need.excess <= s->need.excess && need.cost < s->need.cost) take(s);
  }
}

bool remat_search(const RematModel *model, int64_t most, RematSchedule *schedule, Arena *arena) {
  int cap = 4 * model->n_steps + schedule->n + 16; // a run four times as long is no use to anyone
  Search s = {.model = model, .most = most, .meter = remat_meter(model, cap, arena), .now = schedule, .arena = arena};
  RematItem *items = ARENA_ARRAY(arena, RematItem, 3 * (cap + 1));
  memcpy(items, schedule->items, sizeof *items * (size_t)schedule->n);
  schedule->items = items;
  s.trial.items = items + cap + 1;
  s.best.items = items + 2 * (cap + 1);
  s.live = ARENA_ARRAY(arena, int64_t, cap + 1);
  s.over = ARENA_ARRAY(arena, int, cap + 2);
  s.last_touch = ARENA_ARRAY(arena, int, model->n_buffers + 1);
  s.n_written = ARENA_ARRAY(arena, int, model->n_buffers + 1);
  s.n_seen = ARENA_ARRAY(arena, int, model->n_ops + 1);
  s.mask = (1 << 16) - 1;
  s.known = ARENA_ARRAY(arena, Known, s.mask + 1);
  s.need = remat_measure(s.meter, schedule, most, s.live);
  while (s.need.excess > 0 && improve(&s)) continue;
  take_back(&s);
  return s.need.excess <= 0;
}
