// CUDA run: a sequence's steps put into streams, captured into a graph, replayed, or timed one by one.
#include "runtime/cuda_gemm.h"

// ---- single steps ---------------------------------------------------------------------------------------------------

static Status put_all_reduce(CudaDevice *cuda, const CudaStep *ready) {
  const Step *step = ready->step;
  Collective *collective = cuda->device.collective;
  CudaAddress from = ready->args[0], to = ready->args[1];
  if (collective) {
    bool is_max = step->symbol[0] == 'm';
    CollectiveLane lane = step->queue == QUEUE_URGENT ? LANE_URGENT : LANE_LARGE;
    return collective->all_reduce(collective, lane, is_max, (const float *)(uintptr_t)from, (float *)(uintptr_t)to,
                                  step->n_tasks, ready->stream);
  }
  if (from == to) return STATUS_OK;
  return cuda_check(cuda, cuda->api->cuMemcpyDtoDAsync_v2(to, from, (size_t)step->n_tasks * 4, ready->stream),
                    "copying");
}

static Status put_kernel(CudaDevice *cuda, const CudaStep *ready, bool is_alone) {
  const Step *step = ready->step;
  if (!ready->n_blocks) return STATUS_OK;
  CudaResult result = cuda->api->cuLaunchKernel(ready->function, ready->n_blocks, 1, 1, (unsigned)step->block, 1, 1,
                                                (unsigned)step->shared, ready->stream, ready->parameters, NULL);
  return cuda_check_kernel(cuda, result, is_alone, step->symbol, step->label);
}

static Status put_waits(CudaDevice *cuda, CudaStream stream, const CudaEvent *waits, int n) {
  for (int i = 0; i < n; i++) CUDA_TRY(cuda, cuda->api->cuStreamWaitEvent(stream, waits[i], 0), "waiting for an event");
  return STATUS_OK;
}

// `is_alone`: all steps before have been waited for.
static Status put_step(CudaDevice *cuda, const CudaStep *ready, bool is_alone) {
  TRY(put_waits(cuda, ready->stream, ready->waits, ready->n_waits));
  if (ready->gemm) return cuda_gemm_put(cuda, ready->gemm, ready->way, ready->args, ready->workspace, ready->stream);
  return ready->function ? put_kernel(cuda, ready, is_alone) : put_all_reduce(cuda, ready);
}

static Status put_event(CudaDevice *cuda, CudaEvent event, CudaStream stream) {
  return cuda_check(cuda, cuda->api->cuEventRecord(event, stream), "recording an event");
}

// ---- all steps ------------------------------------------------------------------------------------------------------

static Status put_fork(CudaDevice *cuda, const CudaSequence *sequence) {
  TRY(put_event(cuda, sequence->begin, cuda->queue[0]));
  for (int i = 0; i < sequence->n_queues; i++)
    TRY(put_waits(cuda, cuda->queue[sequence->queues[i]], &sequence->begin, 1));
  return sequence->n_outputs ? put_waits(cuda, cuda->receives, &sequence->begin, 1) : STATUS_OK;
}

// Outputs travel beside the queues, each as soon as it is written.
static Status put_receives(CudaDevice *cuda, const CudaSequence *sequence) {
  for (int i = 0; i < sequence->n_outputs; i++) {
    const CudaTransfer *output = &sequence->output[i];
    TRY(put_waits(cuda, cuda->receives, output->waits, output->n_waits));
    CUDA_TRY(cuda, cuda->api->cuMemcpyDtoHAsync_v2(output->host, output->address, output->bytes, cuda->receives),
             "receiving an output");
  }
  return STATUS_OK;
}

static Status put_join(CudaDevice *cuda, const CudaSequence *sequence) {
  for (int i = 0; i < sequence->n_queues; i++) {
    TRY(put_event(cuda, sequence->ends[i], cuda->queue[sequence->queues[i]]));
    TRY(put_waits(cuda, cuda->queue[0], &sequence->ends[i], 1));
  }
  if (!sequence->n_outputs) return STATUS_OK;
  TRY(put_event(cuda, sequence->received, cuda->receives));
  return put_waits(cuda, cuda->queue[0], &sequence->received, 1);
}

// Waits for a step alone, so that what it did wrong is known to be its fault.
static Status wait_for(CudaDevice *cuda, const CudaStep *ready) {
  if (!ready->function) return cuda_wait(cuda, ready->stream);
  return cuda_check_kernel(cuda, cuda->api->cuStreamSynchronize(ready->stream), true, ready->step->symbol,
                           ready->step->label);
}

static Status put_timed(CudaDevice *cuda, const CudaSequence *sequence, const CudaStep *ready, double *seconds) {
  float milliseconds = 0;
  TRY(put_waits(cuda, ready->stream, ready->waits, ready->n_waits));
  TRY(put_event(cuda, sequence->clock[0], ready->stream));
  TRY(put_step(cuda, ready, true));
  TRY(put_event(cuda, sequence->clock[1], ready->stream));
  TRY(wait_for(cuda, ready));
  CUDA_TRY(cuda, cuda->api->cuEventElapsedTime(&milliseconds, sequence->clock[0], sequence->clock[1]), "timing a step");
  *seconds = 1e-3 * (double)milliseconds;
  return STATUS_OK;
}

static Status put_all(CudaDevice *cuda, const CudaSequence *sequence, bool one_by_one, double *seconds) {
  TRY(put_fork(cuda, sequence));
  for (int i = 0; i < sequence->n_steps; i++) {
    const CudaStep *ready = &sequence->step[i];
    if (seconds) TRY(put_timed(cuda, sequence, ready, &seconds[i]));
    else TRY(put_step(cuda, ready, one_by_one));
    if (ready->done) TRY(put_event(cuda, ready->done, ready->stream));
    if (one_by_one && !seconds) TRY(wait_for(cuda, ready));
  }
  TRY(put_receives(cuda, sequence));
  return put_join(cuda, sequence);
}

// ---- graphs ---------------------------------------------------------------------------------------------------------

static Status capture(CudaDevice *cuda, CudaSequence *sequence) {
  const CudaApi *api = cuda->api;
  CudaGraph graph = NULL;
  CUDA_TRY(cuda, api->cuStreamBeginCapture_v2(cuda->queue[0], CUDA_CAPTURE_RELAXED), "beginning to capture");
  Status status = put_all(cuda, sequence, false, NULL);
  CudaResult result = api->cuStreamEndCapture(cuda->queue[0], &graph);
  if (!status) status = cuda_check(cuda, result, "capturing");
  if (!status)
    status = cuda_check(cuda, api->cuGraphInstantiateWithFlags(&sequence->graph, graph, 0), "making a graph");
  if (graph) api->cuGraphDestroy(graph);
  sequence->graph_collective = cuda->device.collective;
  return status;
}

// Whether the steps are to be replayed as a graph, which is there then. The first run makes what the driver makes
// lazily and shows which kernel is at fault, if one is; the second one is captured.
static bool has_graph(CudaDevice *cuda, CudaSequence *sequence) {
  const Collective *collective = cuda->device.collective;
  if (sequence->cannot_capture || !sequence->n_runs || !cuda->uses_graphs || cuda->is_synchronous) return false;
  if (sequence->has_collective && collective && !collective->is_capturable) return false;
  if (sequence->graph && sequence->graph_collective != collective) {
    cuda->api->cuGraphExecDestroy(sequence->graph);
    sequence->graph = NULL;
  }
  if (sequence->graph) return true;
  Status status = capture(cuda, sequence);
  if (!status) return true;
  Text text = {0};
  text_printf(&text, "kernels are launched one by one, because they cannot be made a graph: %s",
              status_message(status));
  cuda_notice(cuda, text_get(&text));
  text_free(&text);
  status_free(status);
  sequence->cannot_capture = true;
  return false;
}

// ---- the table ------------------------------------------------------------------------------------------------------

// Behind the run that was begun last, the inputs leave the landing, which is free again then.
static Status take_inputs(CudaDevice *cuda, CudaSequence *sequence) {
  TRY(put_waits(cuda, cuda->queue[0], &sequence->sent, 1));
  for (int i = 0; i < sequence->n_inputs; i++) {
    const CudaTransfer *input = &sequence->input[i];
    CUDA_TRY(cuda, cuda->api->cuMemcpyDtoDAsync_v2(input->address, input->landing, input->bytes, cuda->queue[0]),
             "taking an input");
  }
  return put_event(cuda, sequence->taken, cuda->queue[0]);
}

Status cuda_send(Device *device, void *sent) {
  CudaDevice *cuda = cuda_of(device);
  CudaSequence *sequence = sent;
  if (!sequence->n_inputs) return STATUS_OK;
  TRY(cuda_enter(cuda));
  TRY(put_waits(cuda, cuda->sends, &sequence->taken, 1));
  for (int i = 0; i < sequence->n_inputs; i++) {
    const CudaTransfer *input = &sequence->input[i];
    CUDA_TRY(cuda, cuda->api->cuMemcpyHtoDAsync_v2(input->landing, input->host, input->bytes, cuda->sends),
             "sending an input");
  }
  TRY(put_event(cuda, sequence->sent, cuda->sends));
  sequence->is_sent = true;
  return STATUS_OK;
}

Status cuda_run(Device *device, void *run, double *seconds) {
  CudaDevice *cuda = cuda_of(device);
  CudaSequence *sequence = run;
  TRY(cuda_enter(cuda));
  cuda->under_way = sequence->program->name;
  sequence->is_broken_off = true;
  bool moves = sequence->n_inputs > 0;
  if (moves && !sequence->is_sent) TRY(cuda_send(device, sequence));
  if (moves) TRY(take_inputs(cuda, sequence));
  sequence->is_sent = false;
  if (!seconds && has_graph(cuda, sequence)) {
    CUDA_TRY(cuda, cuda->api->cuGraphLaunch(sequence->graph, cuda->queue[0]), "replaying '%s'",
             sequence->program->name);
  } else {
    // A device that waits for others must not hold them up while it looks at each of its own kernels.
    bool is_first = !sequence->n_runs && !cuda->device.collective;
    TRY(put_all(cuda, sequence, is_first || cuda->is_synchronous, seconds));
  }
  sequence->is_broken_off = false;
  sequence->n_runs++;
  if (!moves) return STATUS_OK;
  return cuda_check(cuda, cuda->api->cuEventSynchronize(sequence->sent), "sending inputs");
}
