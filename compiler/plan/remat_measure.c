// Remat measure: what schedules need, and how recomputations go into them.
#include <string.h>

#include "compiler/plan/remat.h"

// The values of a buffer from where they are computed to their last use.
typedef struct Life {
  int first, last; // items
  int64_t size;
  bool takes, gives; // takes over another's memory, its memory is taken over
} Life;

// At `item` the values of `to` may take over the memory of `from`.
typedef struct Chance {
  int item, from, to; // lives
} Chance;

struct RematMeter {
  const RematModel *model;
  int cap;
  Life *lives;
  int n_lives;
  int *life_of; // by buffer: the present one, or -1
  Chance *chances;
  int n_chances, cap_chances;
  int64_t *change;                         // by item
  bool *is_needed, *is_live, *is_inserted; // by buffer
  int *n_written;                          // by buffer
  char *merging;                           // by buffer: 1 what is computed again next is dropped, 2 is being dropped
  RematItem *inserted;
  int n_inserted;
  RematReach reach;
  bool has_choice; // a farther reach would be something else
  Arena *arena;
};

RematMeter *remat_meter(const RematModel *model, int cap, Arena *arena) {
  RematMeter *meter = ARENA_ARRAY(arena, RematMeter, 1);
  *meter = (RematMeter){.model = model,
                        .cap = cap,
                        .lives = ARENA_ARRAY(arena, Life, cap + model->n_buffers + 1),
                        .life_of = ARENA_ARRAY(arena, int, model->n_buffers + 1),
                        .change = ARENA_ARRAY(arena, int64_t, cap + 2),
                        .is_needed = ARENA_ARRAY(arena, bool, model->n_buffers + 1),
                        .is_live = ARENA_ARRAY(arena, bool, model->n_buffers + 1),
                        .is_inserted = ARENA_ARRAY(arena, bool, model->n_buffers + 1),
                        .n_written = ARENA_ARRAY(arena, int, model->n_buffers + 1),
                        .merging = ARENA_ARRAY(arena, char, model->n_buffers + 1),
                        .inserted = ARENA_ARRAY(arena, RematItem, model->n_ops + 1),
                        .arena = arena};
  return meter;
}

// ---- measuring ------------------------------------------------------------------------------------------------------

static void touch(RematMeter *meter, int buffer, int item) {
  int *life = &meter->life_of[buffer];
  if (*life < 0) {
    *life = meter->n_lives++;
    meter->lives[*life] = (Life){.first = item, .size = meter->model->buffers[buffer].size};
  }
  meter->lives[*life].last = item;
}

static void find_lives(RematMeter *meter, const RematSchedule *schedule) {
  meter->n_lives = meter->n_chances = 0;
  for (int b = 0; b < meter->model->n_buffers; b++) meter->life_of[b] = -1;
  for (int i = 0; i < schedule->n; i++) {
    const RematOp *op = &meter->model->ops[schedule->items[i].op];
    for (int k = 0; k < op->n_reads; k++) touch(meter, op->reads[k], i);
    if (schedule->items[i].begins) meter->life_of[op->buffer] = -1;
    for (int k = 0; k < op->n_writes; k++) touch(meter, op->writes[k], i);
    for (int k = 0; k < op->n_over; k++) {
      Chance chance = {i, meter->life_of[op->over[2 * k]], meter->life_of[op->over[2 * k + 1]]};
      ARENA_PUSH(meter->arena, meter->chances, meter->n_chances, meter->cap_chances, chance);
    }
  }
}

RematNeed remat_measure(RematMeter *meter, const RematSchedule *schedule, int64_t most, int64_t *live) {
  find_lives(meter, schedule);
  memset(meter->change, 0, sizeof *meter->change * (size_t)(schedule->n + 2));
  for (int i = 0; i < meter->n_lives; i++) {
    meter->change[meter->lives[i].first] += meter->lives[i].size;
    meter->change[meter->lives[i].last + 1] -= meter->lives[i].size;
  }
  for (int i = 0; i < meter->n_chances; i++) { // both stand in one place while the step runs
    const Chance *chance = &meter->chances[i];
    Life *from = &meter->lives[chance->from], *to = &meter->lives[chance->to];
    if (from->last != chance->item || to->first != chance->item || from->gives || to->takes) continue;
    from->gives = to->takes = true;
    meter->change[chance->item] -= from->size;
    meter->change[chance->item + 1] += from->size;
  }
  for (int i = 0; i < schedule->n; i++) {
    meter->change[i] += meter->model->ops[schedule->items[i].op].aside;
    meter->change[i + 1] -= meter->model->ops[schedule->items[i].op].aside;
  }
  RematNeed need = {0};
  int64_t now = 0;
  for (int i = 0; i < schedule->n; i++) {
    const RematOp *op = &meter->model->ops[schedule->items[i].op];
    now += meter->change[i];
    if (live) live[i] = now;
    if (now > need.peak) need.peak = now;
    if (now > most) need.excess += (double)(now - most);
    if (op->buffer >= 0) need.cost += (double)op->cost;
  }
  return need;
}

int64_t remat_peak(const RematModel *model, const RematSchedule *schedule) {
  Arena *arena = arena_new();
  int64_t peak = remat_measure(remat_meter(model, schedule->n, arena), schedule, INT64_MAX, NULL).peak;
  arena_free(arena);
  return peak;
}

// ---- changing -------------------------------------------------------------------------------------------------------

static bool reads(const RematOp *op, int buffer) {
  for (int k = 0; k < op->n_reads; k++) {
    if (op->reads[k] == buffer) return true;
  }
  return false;
}

// Whether a part of the buffer is read before all parts are there. Values are dropped as a whole or not at all, so that
// what reads those of before instead, once later ones are dropped, finds all of them.
static bool is_read_unfinished(const RematModel *model, const RematItem *items, int part) {
  int buffer = model->ops[items[part].op].buffer;
  for (int i = part; !items[i].begins || model->ops[items[i].op].buffer != buffer; i--) {
    if (reads(&model->ops[items[i].op], buffer)) return true;
  }
  return false;
}

void remat_drop_unread(RematMeter *meter, RematSchedule *schedule) {
  bool *is_needed = meter->is_needed;
  memset(is_needed, 0, sizeof *is_needed * (size_t)(meter->model->n_buffers + 1));
  int end = schedule->n, at = end; // kept items gather at the end
  for (int i = end - 1; i >= 0; i--) {
    RematItem item = schedule->items[i];
    const RematOp *op = &meter->model->ops[item.op];
    bool is_unread = op->buffer >= 0 && !is_needed[op->buffer];
    if (is_unread && (item.begins || !is_read_unfinished(meter->model, schedule->items, i))) continue;
    if (is_unread) is_needed[op->buffer] = true;
    if (item.begins) is_needed[op->buffer] = false;
    for (int k = 0; k < op->n_reads; k++) is_needed[op->reads[k]] = true;
    schedule->items[--at] = item;
  }
  memmove(schedule->items, schedule->items + at, sizeof *schedule->items * (size_t)(end - at));
  schedule->n = end - at;
}

// Marks the buffers whose values as they are at that place are read there or later.
static void find_live(RematMeter *meter, const RematSchedule *schedule, int place) {
  memset(meter->is_live, 0, sizeof(bool) * (size_t)(meter->model->n_buffers + 1));
  for (int i = schedule->n - 1; i >= place; i--) {
    const RematOp *op = &meter->model->ops[schedule->items[i].op];
    if (schedule->items[i].begins) meter->is_live[op->buffer] = false;
    for (int k = 0; k < op->n_reads; k++) meter->is_live[op->reads[k]] = true;
    for (int k = 0; k < op->n_writes && op->buffer < 0; k++) meter->is_live[op->writes[k]] = true; // not there yet
  }
}

// Operands so much smaller are kept whatever they cost.
enum { SMALL_SHARE = 16, CHEAP_BYTES = 20 };

static bool is_computed_again(RematMeter *meter, int operand, int for_buffer) {
  const RematBuffer *buffer = &meter->model->buffers[operand];
  if (!buffer->n_again || SMALL_SHARE * buffer->size <= meter->model->buffers[for_buffer].size) return false;
  bool is_cheap = buffer->cost <= CHEAP_BYTES * buffer->size;
  bool is_near = meter->reach == REMAT_KEEP || (meter->reach == REMAT_CHEAP && !is_cheap);
  meter->has_choice |= meter->reach == REMAT_FAR ? !is_cheap : meter->reach == REMAT_CHEAP ? is_cheap : false;
  return !is_near;
}

// Appends what computes the buffer, and before it the operands that are neither in memory nor to be kept for it.
static void insert(RematMeter *meter, int buffer) {
  const RematModel *model = meter->model;
  meter->is_inserted[buffer] = true;
  for (int i = 0; i < model->buffers[buffer].n_again; i++) {
    int number = model->buffers[buffer].again + i;
    for (int k = 0; k < model->ops[number].n_reads; k++) {
      int operand = model->ops[number].reads[k];
      if (meter->is_inserted[operand] || meter->is_live[operand]) continue;
      if (is_computed_again(meter, operand, buffer)) insert(meter, operand);
    }
    meter->inserted[meter->n_inserted++] = (RematItem){.op = number, .begins = i == 0};
  }
}

static bool is_unfinished(const RematMeter *meter, int buffer) {
  return meter->n_written[buffer] < meter->model->buffers[buffer].n_again;
}

// Whether the parts of the buffer, or of one that an inserted op reads, are just being computed at that place: it
// cannot be told whether those that are read are there.
static bool meets_unfinished(RematMeter *meter, const RematSchedule *schedule, int buffer, int place) {
  const RematModel *model = meter->model;
  memset(meter->n_written, 0, sizeof(int) * (size_t)(model->n_buffers + 1));
  for (int i = 0; i < place; i++) {
    const RematOp *op = &model->ops[schedule->items[i].op];
    if (schedule->items[i].begins) meter->n_written[op->buffer] = 0;
    for (int k = 0; k < op->n_writes; k++) meter->n_written[op->writes[k]]++;
  }
  if (is_unfinished(meter, buffer)) return true;
  for (int i = 0; i < meter->n_inserted; i++) {
    const RematOp *op = &model->ops[meter->inserted[i].op];
    for (int k = 0; k < op->n_reads; k++) {
      if (is_unfinished(meter, op->reads[k]) && !meter->is_inserted[op->reads[k]]) return true;
    }
  }
  return false;
}

bool remat_insert(RematMeter *meter, const RematSchedule *schedule, int buffer, int place, RematReach reach,
                  bool merges, RematSchedule *out) {
  const RematModel *model = meter->model;
  find_live(meter, schedule, place);
  memset(meter->is_inserted, 0, sizeof(bool) * (size_t)(model->n_buffers + 1));
  meter->n_inserted = 0;
  meter->reach = reach;
  meter->has_choice = reach == REMAT_KEEP;
  insert(meter, buffer);
  if (!meter->has_choice || schedule->n + meter->n_inserted > meter->cap) return false;
  if (meets_unfinished(meter, schedule, buffer, place)) return false;
  memcpy(out->items, schedule->items, sizeof(RematItem) * (size_t)place);
  memcpy(out->items + place, meter->inserted, sizeof(RematItem) * (size_t)meter->n_inserted);
  out->n = place + meter->n_inserted;
  bool has_merged = false;
  for (int b = 0; b < model->n_buffers; b++) meter->merging[b] = merges && meter->is_inserted[b];
  for (int i = place; i < schedule->n; i++) {
    RematItem item = schedule->items[i];
    int again = model->ops[item.op].buffer;
    char *merging = again >= 0 ? &meter->merging[again] : NULL;
    if (merging && *merging && item.begins) *merging = *merging == 1 ? 2 : 0;
    if (merging && *merging == 2) has_merged = true;
    else out->items[out->n++] = item;
  }
  if (merges && !has_merged) return false;
  remat_drop_unread(meter, out);
  return true;
}
