// Exec: a program's memory on a device, and the running of its steps.
#include "runtime/exec.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/random.h"
#include "runtime/base/strmap.h"

// Where the values of a parameter or state are. Those of its Init are made when they are wanted: mostly others are set.
typedef enum Values {
  VALUES_INITIAL,
  VALUES_HELD, // on the device
  VALUES_GONE, // set once, used by the setup and written over
} Values;

struct Exec {
  const Program *program;
  Device *device;
  Arena *arena;
  void *module;
  float *region[2];    // persistent, slab
  float **address;     // of each buffer, on the device
  Values *values;      // of each buffer that is a parameter or state
  StrMap *params;      // their names -> 1 + their numbers, as pointers
  float **host;        // of inputs and outputs: what the caller sees; the address itself on a device in host memory
  void *setup, *steps; // the sequences
  _Atomic bool needs_setup;
  uint64_t seed;
  int64_t bytes;
  Exec *base; // whose memory it is, or NULL
};

// ---- opening --------------------------------------------------------------------------------------------------------

static Status alloc_region(Exec *exec, int which, int64_t floats) {
  floats = (floats + PROGRAM_ALIGN) / PROGRAM_ALIGN * PROGRAM_ALIGN; // at least one vector, so that it has an address
  TRY(exec->device->table->alloc(exec->device, floats, &exec->region[which]));
  exec->bytes += floats * (int64_t)sizeof(float);
  return STATUS_OK;
}

static Status place_buffers(Exec *exec) {
  const Program *program = exec->program;
  TRY(alloc_region(exec, 0, program->persistent));
  TRY(alloc_region(exec, 1, program->slab));
  exec->address = ARENA_ARRAY(exec->arena, float *, program->n_buffers + 1);
  exec->host = ARENA_ARRAY(exec->arena, float *, program->n_buffers + 1);
  exec->values = ARENA_ARRAY(exec->arena, Values, program->n_buffers + 1);
  exec->params = strmap_new(exec->arena);
  for (int i = 0; i < program->n_buffers; i++) {
    const Buffer *buffer = &program->buffers[i];
    exec->address[i] = exec->region[buffer_in_slab(buffer)] + buffer->offset;
    if (buffer->kind == BUFFER_PARAM) strmap_set(exec->params, buffer->name, (void *)(intptr_t)(i + 1));
    if (buffer->kind != BUFFER_INPUT && buffer->kind != BUFFER_OUTPUT) continue;
    int64_t n = shape_elements(buffer->shape);
    if (exec->device->table->is_host) {
      exec->host[i] = exec->address[i];
      continue;
    }
    TRY(exec->device->table->alloc_host(exec->device, n, &exec->host[i]));
    exec->bytes += n * (int64_t)sizeof(float);
  }
  return STATUS_OK;
}

// The first values of a parameter or state, as its Init says; they depend on its name and the seed alone.
static void initial_values(const Buffer *buffer, uint64_t seed, float *out) {
  enum { CONSTANT, UNIFORM, NORMAL }; // InitKind of compiler/graph.h
  int64_t n = shape_elements(buffer->shape);
  Random random = random_stream(seed, buffer->name);
  switch (buffer->init_kind) {
  case UNIFORM: random_fill_uniform(random, out, n, buffer->init_a, buffer->init_b); break;
  case NORMAL: random_fill_normal(random, out, n, buffer->init_a, buffer->init_b); break;
  default:
    for (int64_t i = 0; i < n; i++) out[i] = (float)buffer->init_a;
  }
}

static Status send_constants(Exec *exec) {
  const Program *program = exec->program;
  for (int i = 0; i < program->n_buffers; i++) {
    const Buffer *buffer = &program->buffers[i];
    if (buffer->kind != BUFFER_CONSTANT) continue;
    int64_t n = shape_elements(buffer->shape);
    TRY(exec->device->table->upload(exec->device, exec->address[i], buffer->data, n));
  }
  return STATUS_OK;
}

static Status open_parts(Exec *exec) {
  const Program *program = exec->program;
  TRY(exec->device->table->load(exec->device, program, &exec->module));
  TRY(place_buffers(exec));
  TRY(send_constants(exec));
  const DeviceTable *table = exec->device->table;
  SequencePlan plan = {program, exec->module, program->setup, program->n_setup, exec->address, NULL};
  TRY(table->prepare(exec->device, &plan, &exec->setup));
  plan.steps = program->steps;
  plan.n_steps = program->n_steps;
  plan.host = table->is_host ? NULL : exec->host;
  return table->prepare(exec->device, &plan, &exec->steps);
}

Status exec_open(const Program *program, Device *device, uint64_t seed, Exec **out) {
  Arena *arena = arena_new();
  Exec *exec = ARENA_ARRAY(arena, Exec, 1);
  *exec = (Exec){.program = program, .device = device, .arena = arena, .needs_setup = true, .seed = seed};
  Status status = open_parts(exec);
  if (status) {
    exec_close(exec);
    return status;
  }
  *out = exec;
  return STATUS_OK;
}

// Whether the steps of one read and write what those of the other do.
static bool has_same_plan(const Program *a, const Program *b) {
  if (a->n_buffers != b->n_buffers || a->n_steps != b->n_steps || a->persistent != b->persistent || a->slab != b->slab)
    return false;
  for (int i = 0; i < a->n_buffers; i++) {
    const Buffer *x = &a->buffers[i], *y = &b->buffers[i];
    if (x->kind != y->kind || x->is_brief != y->is_brief) return false;
    if (x->size != y->size || x->offset != y->offset) return false;
  }
  for (int i = 0; i < a->n_steps; i++) {
    const Step *x = &a->steps[i], *y = &b->steps[i];
    if (x->kind != y->kind || x->n_args != y->n_args || x->n_read != y->n_read) return false;
    for (int k = 0; k < x->n_args; k++)
      if (x->arg_buffer[k] != y->arg_buffer[k] || x->arg_offset[k] != y->arg_offset[k]) return false;
  }
  return true;
}

Status exec_open_on(const Program *program, Exec *base, Exec **out) {
  if (!has_same_plan(program, base->program))
    return status_make(EXIT_DEVICE, "'%s' does not fit the memory of another program", program->name);
  Arena *arena = arena_new();
  Exec *exec = ARENA_ARRAY(arena, Exec, 1);
  *exec = (Exec){.program = program,
                 .device = base->device,
                 .arena = arena,
                 .address = base->address,
                 .values = base->values,
                 .params = base->params,
                 .host = base->host,
                 .base = base};
  const DeviceTable *table = exec->device->table;
  Status status = table->load(exec->device, program, &exec->module);
  SequencePlan plan = {program,          exec->module,  program->steps,
                       program->n_steps, exec->address, table->is_host ? NULL : exec->host};
  if (!status) status = table->prepare(exec->device, &plan, &exec->steps);
  if (status) {
    exec_close(exec);
    return status;
  }
  *out = exec;
  return STATUS_OK;
}

void exec_close(Exec *exec) {
  if (!exec) return;
  const DeviceTable *table = exec->device->table;
  status_free(table->sync(exec->device)); // a run may be under way
  table->drop(exec->device, exec->steps);
  table->drop(exec->device, exec->setup);
  if (exec->module) table->unload(exec->device, exec->module);
  for (int i = 0; !exec->base && !table->is_host && exec->host && i < exec->program->n_buffers; i++)
    table->free_host(exec->device, exec->host[i]);
  table->free(exec->device, exec->region[0]);
  table->free(exec->device, exec->region[1]);
  arena_free(exec->arena);
}

// ---- values ---------------------------------------------------------------------------------------------------------

float *exec_input(Exec *exec, const char *name) {
  int i = program_find(exec->program, BUFFER_INPUT, name);
  return i < 0 ? NULL : exec->host[i];
}

const float *exec_output(const Exec *exec, const char *name) {
  int i = program_find(exec->program, BUFFER_OUTPUT, name);
  return i < 0 ? NULL : exec->host[i];
}

Status exec_used(const Exec *exec, const char *name, float *values) {
  int i = program_find(exec->program, BUFFER_INPUT, name);
  if (i < 0) return status_make(EXIT_WEIGHTS, "the program has no input '%s'", name);
  return exec->device->table->download(exec->device, values, exec->address[i],
                                       shape_elements(exec->program->buffers[i].shape));
}

static Status find_param(const Exec *exec, const char *name, int *out) {
  *out = (int)(intptr_t)strmap_get(exec->params, name) - 1;
  if (*out >= 0) return STATUS_OK;
  return status_make(EXIT_WEIGHTS, "the network has no parameter or state '%s'", name);
}

static Status gone(const Exec *exec, int i) {
  return status_make(EXIT_WEIGHTS,
                     "'%s' is gone: this program keeps weights only as its kernels read them; to go on with other "
                     "weights set all of them",
                     exec->program->buffers[i].name);
}

Status exec_set_part(Exec *exec, const char *name, int64_t begin, int64_t n, const float *values) {
  int i;
  TRY(find_param(exec, name, &i));
  int64_t size = shape_elements(exec->program->buffers[i].shape);
  if (begin < 0 || n < 0 || begin > size - n)
    BUG("elements %" PRId64 " of '%s', which has %" PRId64, begin, name, size);
  exec->needs_setup = true;
  exec->values[i] = VALUES_HELD;
  return exec->device->table->upload(exec->device, exec->address[i] + begin, values, n);
}

Status exec_set(Exec *exec, const char *name, const float *values) {
  int i;
  TRY(find_param(exec, name, &i));
  return exec_set_part(exec, name, 0, shape_elements(exec->program->buffers[i].shape), values);
}

Status exec_get(const Exec *exec, const char *name, float *values) {
  int i;
  TRY(find_param(exec, name, &i));
  const Buffer *buffer = &exec->program->buffers[i];
  if (exec->values[i] == VALUES_GONE) return gone(exec, i);
  if (exec->values[i] == VALUES_HELD)
    return exec->device->table->download(exec->device, values, exec->address[i], shape_elements(buffer->shape));
  initial_values(buffer, exec->seed, values);
  return STATUS_OK;
}

// ---- running --------------------------------------------------------------------------------------------------------

Status exec_send(Exec *exec) { return exec->device->table->send(exec->device, exec->steps); }

// Puts the values of its Init into a parameter or state.
static Status initialise(Exec *exec, int i) {
  const Buffer *buffer = &exec->program->buffers[i];
  const DeviceTable *table = exec->device->table;
  if (table->is_host) {
    initial_values(buffer, exec->seed, exec->address[i]);
    return STATUS_OK;
  }
  int64_t n = shape_elements(buffer->shape);
  float *values = malloc((size_t)(n + 1) * sizeof *values);
  if (!values) return status_make(EXIT_DEVICE, "no memory for the first values of '%s'", buffer->name);
  initial_values(buffer, exec->seed, values);
  Status status = table->upload(exec->device, exec->address[i], values, n);
  free(values);
  return status;
}

static Status set_up(Exec *exec) {
  const Program *program = exec->program;
  for (int i = 0; i < program->n_buffers; i++) {
    if (program->buffers[i].kind != BUFFER_PARAM) continue;
    if (exec->values[i] == VALUES_GONE) return gone(exec, i);
    if (exec->values[i] == VALUES_INITIAL) TRY(initialise(exec, i));
  }
  TRY(exec->device->table->run(exec->device, exec->setup, NULL));
  for (int i = 0; i < program->n_buffers; i++) {
    if (!program->buffers[i].is_brief) exec->values[i] = VALUES_HELD;
    else if (exec->values[i] == VALUES_HELD) exec->values[i] = VALUES_GONE;
  }
  exec->needs_setup = false;
  return STATUS_OK;
}

static Status start(Exec *exec, double *seconds) {
  if (exec->needs_setup) TRY(set_up(exec));
  return exec->device->table->run(exec->device, exec->steps, seconds);
}

Status exec_start(Exec *exec) { return start(exec, NULL); }

bool exec_overlaps(const Exec *exec) { return !exec->device->table->is_host; }

Status exec_finish(Exec *exec) { return exec->device->table->sync(exec->device); }

Status exec_run(Exec *exec) {
  TRY(exec_start(exec));
  return exec_finish(exec);
}

Status exec_profile(Exec *exec, double *seconds) {
  TRY(start(exec, seconds));
  return exec_finish(exec);
}

Status exec_step(Exec *exec, int i) {
  const DeviceTable *table = exec->device->table;
  Step step = exec->program->steps[i];
  step.n_waits = step.queue = 0;
  SequencePlan plan = {exec->program, exec->module, &step, 1, exec->address, NULL};
  void *sequence = NULL;
  TRY(table->prepare(exec->device, &plan, &sequence));
  Status status = table->run(exec->device, sequence, NULL);
  if (!status) status = table->sync(exec->device);
  table->drop(exec->device, sequence);
  return status;
}

float *exec_address(const Exec *exec, int i) { return exec->address[i]; }

int64_t exec_memory(const Exec *exec) { return exec->bytes + exec->device->table->memory(exec->device); }

const Program *exec_program(const Exec *exec) { return exec->program; }
