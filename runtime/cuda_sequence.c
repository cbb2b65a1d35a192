// CUDA sequence: steps made ready: functions, arguments, streams, the events between them, what is moved to and fro.
#include <limits.h>
#include <stdint.h>
#include <string.h>

#include "runtime/cuda_gemm.h"

// A sequence in the making.
typedef struct Making {
  CudaDevice *cuda;
  const SequencePlan *plan;
  CudaSequence *sequence;
} Making;

static Status add_event(Making *making, unsigned flags, CudaEvent *out) {
  CudaSequence *sequence = making->sequence;
  CUDA_TRY(making->cuda, making->cuda->api->cuEventCreate(out, flags), "making an event");
  ARENA_PUSH(sequence->arena, sequence->events, sequence->n_events, sequence->cap_events, *out);
  return STATUS_OK;
}

// The event behind step i, made when first asked for.
static Status event_of(Making *making, int i, CudaEvent *out) {
  CudaStep *step = &making->sequence->step[i];
  if (!step->done) TRY(add_event(making, CUDA_EVENT_NO_TIMING, &step->done));
  *out = step->done;
  return STATUS_OK;
}

static CudaAddress argument(const Making *making, const Step *step, int j) {
  return (CudaAddress)(uintptr_t)(making->plan->address[step->arg_buffer[j]] + step->arg_offset[j]);
}

// ---- kernels --------------------------------------------------------------------------------------------------------

// Blocks that a row takes: whole ones of its own.
static int64_t row_blocks(const Step *step, int i) {
  int64_t share = (int64_t)step->block * SG_ROW_FLOATS;
  return (step->row_floats[i] + share - 1) / share;
}

static Status check_rows(const Step *step) {
  int64_t blocks = 0;
  for (int i = 0; i < step->rows; i++) blocks += row_blocks(step, i);
  return blocks == step->n_tasks ? STATUS_OK
                                 : status_make(EXIT_DEVICE, "the rows of '%s' do not take its %lld blocks",
                                               step->symbol, (long long)step->n_tasks);
}

// The table of a step with rows, in the device's memory.
static Status make_table(Making *making, const Step *step, CudaAddress *out) {
  CudaSequence *sequence = making->sequence;
  CudaDevice *cuda = making->cuda;
  int n_args = step->n_args / step->rows, width = 2 + n_args;
  int64_t bytes = (int64_t)sizeof(long long) * step->rows * width, first = 0;
  TRY(check_rows(step));
  long long *table = ARENA_ARRAY(sequence->arena, long long, step->rows *width);
  for (int i = 0; i < step->rows; i++) {
    long long *row = table + i * width;
    row[0] = first;
    row[1] = step->row_floats[i];
    for (int j = 0; j < n_args; j++) row[2 + j] = (long long)argument(making, step, i * n_args + j);
    first += row_blocks(step, i);
  }
  TRY(cuda_hold(cuda, bytes, out));
  CudaTable held = {*out, bytes};
  ARENA_PUSH(sequence->arena, sequence->tables, sequence->n_tables, sequence->cap_tables, held);
  CUDA_TRY(cuda, cuda->api->cuMemcpyHtoDAsync_v2(*out, table, (size_t)bytes, cuda->queue[0]), "copying a table");
  return cuda_wait(cuda, cuda->queue[0]);
}

static Status make_parameters(Making *making, const Step *step, CudaStep *out) {
  Arena *arena = making->sequence->arena;
  CudaScratch *scratch = making->sequence->scratch[step->queue];
  int n = 0;
  out->args = ARENA_ARRAY(arena, CudaAddress, step->n_args + 2);
  out->parameters = ARENA_ARRAY(arena, void *, step->n_args + 3);
  if (step->rows) {
    TRY(make_table(making, step, &out->args[0]));
    out->n_rows = step->rows;
    out->parameters[0] = &out->args[0];
    out->parameters[1] = &out->n_rows;
    out->args[1] = step->scratch ? scratch->address : 0; // always a parameter of these
    out->parameters[2] = &out->args[1];
    return STATUS_OK;
  }
  for (; n < step->n_args; n++) out->args[n] = argument(making, step, n);
  if (step->scratch) out->args[n++] = scratch->address;
  for (int i = 0; i < n; i++) out->parameters[i] = &out->args[i];
  return STATUS_OK;
}

// Lets the library take the kernel's place where it is faster.
static Status make_product(Making *making, const Step *step, CudaStep *out) {
  CudaDevice *cuda = making->cuda;
  CudaGemm *gemm = ARENA_ARRAY(making->sequence->arena, CudaGemm, 1);
  out->workspace = making->sequence->scratch[step->queue]->address + SG_COUNTERS * sizeof(float);
  Status status = cuda_gemm_begin(cuda, step->gemm, gemm);
  if (!status) status = cuda_gemm_choose(cuda, gemm, out, out->workspace, &out->way);
  if (status || out->way < 0) cuda_gemm_end(cuda, gemm);
  else out->gemm = gemm;
  return status;
}

static Status make_kernel(Making *making, const Step *step, CudaStep *out) {
  enum { USUAL_SHARED = 48 << 10 }; // more has to be asked for
  CudaDevice *cuda = making->cuda;
  const CudaApi *api = cuda->api;
  int most = 0, fixed = 0;
  if (step->function)
    return status_make(EXIT_DEVICE, "'%s' is computed by the reference evaluator, which runs on the CPU", step->label);
  out->function = cuda_function(making->plan->module, step->symbol);
  if (!out->function) return status_make(EXIT_DEVICE, "the compiled kernels lack '%s'", step->symbol);
  if (step->n_tasks > INT_MAX) return status_make(EXIT_DEVICE, "'%s' has too many blocks", step->symbol);
  CUDA_TRY(cuda, api->cuFuncGetAttribute(&most, CUDA_FUNCTION_MAX_THREADS, out->function), "kernel '%s'", step->symbol);
  CUDA_TRY(cuda, api->cuFuncGetAttribute(&fixed, CUDA_FUNCTION_SHARED, out->function), "kernel '%s'", step->symbol);
  if (step->block < 1 || step->block > most || step->shared + fixed > cuda->most_shared)
    return status_make(EXIT_DEVICE,
                       "%s cannot run the kernel '%s' (%s): it has blocks of %d threads and %d bytes of shared memory, "
                       "and the device allows it %d and %d",
                       cuda->name, step->symbol, step->label, step->block, step->shared + fixed, most,
                       cuda->most_shared);
  if (step->shared + fixed > USUAL_SHARED)
    CUDA_TRY(cuda, api->cuFuncSetAttribute(out->function, CUDA_FUNCTION_DYNAMIC_SHARED, step->shared),
             "shared memory of the kernel '%s'", step->symbol);
  out->n_blocks = (unsigned)step->n_tasks;
  TRY(make_parameters(making, step, out));
  return step->gemm && cuda_blas(cuda) ? make_product(making, step, out) : STATUS_OK;
}

// ---- order ----------------------------------------------------------------------------------------------------------

static Status make_waits(Making *making, int i) {
  const Step *step = &making->plan->steps[i];
  CudaStep *out = &making->sequence->step[i];
  out->waits = ARENA_ARRAY(making->sequence->arena, CudaEvent, step->n_waits + 1);
  for (int k = 0; k < step->n_waits; k++) {
    int other = step->waits[k];
    if (other < 0 || other >= i) return status_make(EXIT_DEVICE, "step %d waits for step %d, which is later", i, other);
    if (making->plan->steps[other].queue == step->queue) continue;
    TRY(event_of(making, other, &out->waits[out->n_waits]));
    out->n_waits++;
  }
  return STATUS_OK;
}

static Status make_step(Making *making, int i) {
  const Step *step = &making->plan->steps[i];
  CudaStep *out = &making->sequence->step[i];
  out->step = step;
  TRY(cuda_queue(making->cuda, step->queue, &out->stream));
  TRY(make_waits(making, i));
  if (step->kind == STEP_KERNEL) return make_kernel(making, step, out);
  if (step->kind != STEP_ALL_REDUCE)
    return status_make(EXIT_DEVICE, "step %d (%s) is of a kind that CUDA devices do not know", i, step->label);
  making->sequence->has_collective = true;
  out->args = ARENA_ARRAY(making->sequence->arena, CudaAddress, 2);
  for (int k = 0; k < 2; k++) out->args[k] = argument(making, step, k);
  return STATUS_OK;
}

// Queues in use, their scratch (as much as any of the program's steps there needs) and the events that fork and join
// them.
static Status make_queues(Making *making) {
  CudaSequence *sequence = making->sequence;
  int64_t scratch[CUDA_QUEUES];
  bool is_used[CUDA_QUEUES] = {0};
  cuda_scratch_needs(making->cuda, making->plan->program, scratch);
  for (int i = 0; i < making->plan->n_steps; i++) {
    int queue = making->plan->steps[i].queue;
    if (queue < 0 || queue >= CUDA_QUEUES) return status_make(EXIT_DEVICE, "there is no queue %d", queue);
  }
  for (int i = 0; i < making->plan->n_steps; i++) is_used[making->plan->steps[i].queue] = true;
  sequence->queues = ARENA_ARRAY(sequence->arena, int, CUDA_QUEUES);
  sequence->ends = ARENA_ARRAY(sequence->arena, CudaEvent, CUDA_QUEUES);
  for (int q = 0; q < CUDA_QUEUES; q++) {
    if (!is_used[q]) continue;
    if (scratch[q]) TRY(cuda_scratch_take(making->cuda, q, scratch[q], &sequence->scratch[q]));
    if (!q) continue;
    TRY(add_event(making, CUDA_EVENT_NO_TIMING, &sequence->ends[sequence->n_queues]));
    sequence->queues[sequence->n_queues++] = q;
  }
  TRY(add_event(making, CUDA_EVENT_NO_TIMING, &sequence->begin));
  for (int i = 0; i < 2; i++) TRY(add_event(making, CUDA_EVENT_DEFAULT, &sequence->clock[i]));
  return STATUS_OK;
}

// ---- inputs and outputs ---------------------------------------------------------------------------------------------

static bool writes(const Step *step, int buffer) {
  int n = step->rows ? step->n_args / step->rows : step->n_args;
  for (int j = 0; j < step->n_args; j++)
    if (step->arg_buffer[j] == buffer && j % n >= step->n_read) return true;
  return false;
}

// An output is received behind the last step of each queue that writes it.
static Status make_output_waits(Making *making, int buffer, CudaTransfer *out) {
  const SequencePlan *plan = making->plan;
  int last[CUDA_QUEUES];
  for (int q = 0; q < CUDA_QUEUES; q++) last[q] = -1;
  for (int i = 0; i < plan->n_steps; i++)
    if (writes(&plan->steps[i], buffer)) last[plan->steps[i].queue] = i;
  out->waits = ARENA_ARRAY(making->sequence->arena, CudaEvent, CUDA_QUEUES);
  for (int q = 0; q < CUDA_QUEUES; q++) {
    if (last[q] < 0) continue;
    TRY(event_of(making, last[q], &out->waits[out->n_waits]));
    out->n_waits++;
  }
  return STATUS_OK;
}

static Status make_transfers(Making *making) {
  CudaSequence *sequence = making->sequence;
  const SequencePlan *plan = making->plan;
  int n = plan->program->n_buffers;
  sequence->input = ARENA_ARRAY(sequence->arena, CudaTransfer, n + 1);
  sequence->output = ARENA_ARRAY(sequence->arena, CudaTransfer, n + 1);
  for (int i = 0; plan->host && i < n; i++) {
    const Buffer *buffer = &plan->program->buffers[i];
    if (!plan->host[i]) continue;
    CudaTransfer transfer = {.host = plan->host[i],
                             .address = (CudaAddress)(uintptr_t)plan->address[i],
                             .bytes = sizeof(float) * (size_t)shape_elements(buffer->shape)};
    if (buffer->kind == BUFFER_INPUT) {
      transfer.landing = (CudaAddress)sequence->landing_bytes; // an offset as yet
      sequence->landing_bytes += (int64_t)(transfer.bytes + 255) / 256 * 256;
      sequence->input[sequence->n_inputs++] = transfer;
    } else {
      TRY(make_output_waits(making, i, &transfer));
      sequence->output[sequence->n_outputs++] = transfer;
    }
  }
  if (sequence->n_inputs) TRY(cuda_hold(making->cuda, sequence->landing_bytes, &sequence->landing));
  for (int i = 0; i < sequence->n_inputs; i++) sequence->input[i].landing += sequence->landing;
  TRY(add_event(making, CUDA_EVENT_NO_TIMING, &sequence->sent));
  TRY(add_event(making, CUDA_EVENT_NO_TIMING, &sequence->taken));
  return add_event(making, CUDA_EVENT_NO_TIMING, &sequence->received);
}

// ---- the whole ------------------------------------------------------------------------------------------------------

static Status make(Making *making) {
  TRY(cuda_enter(making->cuda));
  TRY(make_queues(making));
  for (int i = 0; i < making->plan->n_steps; i++) TRY(make_step(making, i));
  return make_transfers(making);
}

Status cuda_prepare(Device *device, const SequencePlan *plan, void **out) {
  Arena *arena = arena_new();
  CudaSequence *sequence = ARENA_ARRAY(arena, CudaSequence, 1);
  *sequence = (CudaSequence){.arena = arena, .program = plan->program, .n_steps = plan->n_steps};
  sequence->step = ARENA_ARRAY(arena, CudaStep, plan->n_steps + 1);
  Status status = make(&(Making){cuda_of(device), plan, sequence});
  if (status) cuda_drop(device, sequence);
  else *out = sequence;
  return status;
}

// What was put of a run that broke off ends before its kernels and its memory go.
static void wait_for_rest(CudaDevice *cuda) {
  for (int q = 0; q < CUDA_QUEUES; q++)
    if (cuda->queue[q]) status_free(cuda_wait(cuda, cuda->queue[q]));
  status_free(cuda_wait(cuda, cuda->receives));
}

void cuda_drop(Device *device, void *dropped) {
  CudaDevice *cuda = cuda_of(device);
  CudaSequence *sequence = dropped;
  if (!sequence) return;
  status_free(cuda_enter(cuda));
  if (sequence->is_sent) cuda->api->cuStreamSynchronize(cuda->sends); // inputs of a run that never came
  if (sequence->is_broken_off) wait_for_rest(cuda);
  if (sequence->graph) cuda->api->cuGraphExecDestroy(sequence->graph);
  for (int i = 0; i < sequence->n_steps; i++)
    if (sequence->step[i].gemm) cuda_gemm_end(cuda, sequence->step[i].gemm);
  for (int i = 0; i < sequence->n_events; i++) cuda->api->cuEventDestroy_v2(sequence->events[i]);
  for (int i = 0; i < sequence->n_tables; i++)
    cuda_release(cuda, sequence->tables[i].address, sequence->tables[i].bytes);
  cuda_release(cuda, sequence->landing, sequence->landing_bytes);
  for (int q = 0; q < CUDA_QUEUES; q++) cuda_scratch_give(cuda, q, sequence->scratch[q]);
  if (cuda->under_way == sequence->program->name) cuda->under_way = NULL;
  arena_free(sequence->arena);
}
