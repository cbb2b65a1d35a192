#include "tests/simgpu/stream_queue.h"
#include "tests/simgpu/driver_handle.h"
#include "tests/simgpu/stream_order.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

Lane *stream_lanes;
uint64_t stream_ops;

static uint64_t next_number = 1, next_stream = 1;
static __thread Stream *per_thread[SIM_DEVICES];

// ---- work

void *work_new(const WorkType *type, size_t bytes) {
  Work *work = calloc(1, bytes);
  if (!work) abort();
  work->type = type;
  work->references = 1;
  return work;
}

Work *work_keep(Work *work) {
  work->references++;
  return work;
}

void work_release(Work *work) {
  if (--work->references) return;
  if (work->type->destroy) work->type->destroy(work);
  free(work);
}

void work_describe(const Work *work, char *text, size_t n_text) {
  if (work->type->describe) work->type->describe(work, text, n_text);
  else snprintf(text, n_text, "%s", work->type->name);
}

static bool nothing_run(Op *op) {
  (void)op;
  return true;
}

static const WorkType nothing = {.name = "wait", .node = CU_GRAPH_NODE_TYPE_EMPTY, .run = nothing_run};

Work *work_nothing(void) { return work_new(&nothing, sizeof(Work)); }

// ---- operations

Op *op_keep(Op *op) {
  op->references++;
  return op;
}

static void forget_waits(Op *op) {
  for (int k = 0; k < op->n_after; k++) op_release(op->after[k]);
  free(op->after);
  op->after = NULL;
  op->n_after = 0;
}

void op_release(Op *op) {
  if (!op || --op->references) return;
  forget_waits(op);
  stream_order_release(op);
  work_release(op->work);
  free(op);
}

bool op_is_free(Op *op) {
  int left = 0;
  for (int k = 0; k < op->n_after; k++)
    if (op->after[k]->done) {
      stream_order_join(op, op->after[k]);
      op_release(op->after[k]);
    } else op->after[left++] = op->after[k];
  op->n_after = left;
  return left == 0;
}

void op_wait_for(Op *op, Op *other) {
  if (!other || other == op) return;
  if (other->done) {
    stream_order_join(op, other);
    return;
  }
  op->after = realloc(op->after, sizeof *op->after * (size_t)(op->n_after + 1));
  if (!op->after) abort();
  op->after[op->n_after++] = op_keep(other);
}

static Op *op_new(Context *context, Work *work, Op *const *after, int n_after) {
  Op *op = calloc(1, sizeof *op);
  if (!op) abort();
  *op = (Op){.work = work, .context = context, .number = next_number++, .references = 1};
  stream_order_issue(op);
  for (int k = 0; k < n_after; k++) op_wait_for(op, after[k]);
  stream_ops++;
  return op;
}

// ---- lanes

static void lane_link(Lane *lane) {
  lane->rank = driver_random();
  lane->next = stream_lanes;
  if (stream_lanes) stream_lanes->previous = lane;
  stream_lanes = lane;
}

static void lane_unlink(Lane *lane) {
  if (lane->previous) lane->previous->next = lane->next;
  else stream_lanes = lane->next;
  if (lane->next) lane->next->previous = lane->previous;
}

static void lane_append(Lane *lane, Op *op) {
  op->lane = lane;
  if (lane->last) lane->last->next = op;
  else lane->first = op;
  lane->last = op;
  if (op->work->type->issue) op->work->type->issue(op);
}

static void stream_free(Stream *stream) {
  lane_unlink(&stream->lane);
  stream_order_release_lane(&stream->lane);
  free(stream->tail);
  handle_free(stream);
}

void op_finish(Op *op) {
  Lane *lane = op->lane;
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  op->finished = (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
  op->running = false;
  op->done = true;
  stream_order_end(op);
  forget_waits(op);
  lane->first = op->next;
  if (!lane->first) lane->last = NULL;
  op->next = NULL;
  op->lane = NULL;
  stream_ops--;
  op_release(op);
  if (!lane->first) {
    if (!lane->lasting) {
      lane_unlink(lane);
      stream_order_release_lane(lane);
      free(lane);
    } else if (((Stream *)lane)->retired) stream_free((Stream *)lane);
  }
  driver_changed();
}

// ---- streams

Stream *stream_new(Context *context, unsigned flags, int priority) {
  Stream *stream = handle_new(HANDLE_STREAM, sizeof *stream);
  stream->lane.lasting = true;
  stream->context = context;
  stream->flags = flags;
  stream->priority = priority;
  stream->id = next_stream++;
  stream->lane.chain = stream_order_chain();
  lane_link(&stream->lane);
  return stream;
}

void stream_retire(Stream *stream) {
  stream->retired = true;
  handle_retire(stream);
  if (!stream->lane.first) stream_free(stream);
}

Stream *stream_of(CUstream handle, Context *context) {
  if (handle == NULL || handle == CU_STREAM_LEGACY) {
    if (!context->legacy) context->legacy = stream_new(context, CU_STREAM_DEFAULT, 0);
    return context->legacy;
  }
  if (handle == CU_STREAM_PER_THREAD) {
    Stream **own = &per_thread[context->device];
    if (!handle_is(*own, HANDLE_STREAM)) *own = stream_new(context, CU_STREAM_DEFAULT, 0);
    return *own;
  }
  return handle_is(handle, HANDLE_STREAM) ? (Stream *)handle : NULL;
}

Op *stream_issue(Stream *stream, Work *work, Op *const *after, int n_after) {
  Op *op = op_new(stream->context, work, after, n_after);
  Context *context = stream->context;
  if (stream == context->legacy) {
    for (Lane *lane = stream_lanes; lane; lane = lane->next) {
      const Stream *other = (const Stream *)lane;
      if (!lane->lasting || other->context != context || (other->flags & CU_STREAM_NON_BLOCKING)) continue;
      stream_order_join_lane(op, lane);
      op_wait_for(op, lane->last);
    }
  } else if (context->legacy && !(stream->flags & CU_STREAM_NON_BLOCKING)) {
    stream_order_join_lane(op, &context->legacy->lane);
    op_wait_for(op, context->legacy->lane.last);
  }
  lane_append(&stream->lane, op);
  return op;
}

Op *stream_issue_apart(Context *context, int chain, Work *work, Op *const *after, int n_after) {
  Lane *lane = calloc(1, sizeof *lane);
  if (!lane) abort();
  lane->chain = chain;
  lane_link(lane);
  Op *op = op_new(context, work, after, n_after);
  lane_append(lane, op);
  return op;
}
