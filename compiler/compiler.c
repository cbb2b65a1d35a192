// compile: the way from a graph to a program: passes, groups, kernels, plan.
#include "compiler/compiler.h"

#include <inttypes.h>
#include <string.h>

#include "compiler/plan/plan.h"
#include "runtime/base/parallel.h"
#include "runtime/base/strmap.h"

// ---- text -----------------------------------------------------------------------------------------------------------

// What profiles call the step: its ops, and the line of the user's text that asked for its result.
static const char *step_label(const PlanStep *step, Arena *arena) {
  enum { SHOWN = 6 };
  Text text = {0};
  int n = step->group ? step->group->n_nodes : 0;
  if (!step->group) text_put(&text, "copy");
  for (int i = 0; i < n && i < SHOWN; i++)
    text_printf(&text, "%s%s", i ? "+" : "", op_info(step->group->nodes[i]->op)->name);
  if (n > SHOWN) text_printf(&text, "+%d more", n - SHOWN);
  const Node *about = step->about;
  if (about->loc.file) {
    const char *slash = strrchr(about->loc.file, '/');
    text_printf(&text, " %s:%d", slash ? slash + 1 : about->loc.file, about->loc.line);
  }
  const char *label = arena_strdup(arena, text_get(&text));
  text_free(&text);
  return label;
}

// Where its costliest operation, the last of equal ones, comes from.
static const char *step_part(const Graph *graph, const PlanStep *step, Arena *arena) {
  const Node *about = step->about;
  int64_t most = 0;
  for (int i = 0; step->group && i < step->group->n_nodes; i++) {
    int64_t flops = node_cost(step->group->nodes[i]).flops;
    if (flops < most) continue;
    most = flops;
    about = step->group->nodes[i];
  }
  return arena_strdup(arena, graph->modules[about->module].path);
}

static void emit_cuda_copy(int64_t floats, Text *source, Arena *arena, KernelInfo *info) {
  enum { THREADS = 256 };
  *info = (KernelInfo){.symbol = arena_printf(arena, "copy_%" PRId64, floats),
                       .n_tasks = (floats + THREADS - 1) / THREADS,
                       .block = THREADS,
                       .bytes = 8 * floats};
  text_printf(source,
              "extern \"C\" __global__ void __launch_bounds__(%d) %s(const float *from, float *to) {\n"
              "  const long long i = blockIdx.x * %dLL + threadIdx.x;\n"
              "  if (i < %" PRId64 ") to[i] = from[i];\n}\n",
              THREADS, info->symbol, THREADS, floats);
}

// Generated programs copy with generated code, so that their text form needs nothing else.
enum { COPY_TASK = 1 << 16 };
static void emit_copy(int64_t floats, Text *source, Arena *arena, KernelInfo *info) {
  *info = (KernelInfo){.symbol = arena_printf(arena, "copy_%" PRId64, floats),
                       .n_tasks = (floats + COPY_TASK - 1) / COPY_TASK,
                       .bytes = 8 * floats};
  text_printf(source,
              "void %s(const void *context, float *const *arg, long begin, long end, float *scratch) {\n"
              "  for (long i = begin * %d; i < end * %dL && i < %" PRId64 "; i += %d)\n"
              "    __builtin_memcpy(arg[1] + i, arg[0] + i, sizeof(float) * (%" PRId64 " - i < %d ? %" PRId64
              " - i : %d));\n}\n",
              info->symbol, COPY_TASK, COPY_TASK, floats, COPY_TASK, floats, COPY_TASK, floats, COPY_TASK);
}

// ---- steps ----------------------------------------------------------------------------------------------------------

// A group's kernel.
typedef struct Kernel {
  KernelInfo info;
  const char *text;
} Kernel;

typedef struct Emitter {
  const Target *target;
  const Plan *plan;
  const Group *groups;
  Kernel *kernels; // of the groups
  Program *program;
  StrMap *symbols; // of the kernels in the source
  Text source;
} Emitter;

enum { MOST_WORKERS = 8, WORTH_A_THREAD = 16 }; // kernels

// Kernels being emitted, side by side, and what stands before them all: they know nothing of each other.
typedef struct Emission {
  const Target *target;
  Text preamble;
  Group *groups;
  Kernel *kernels;            // of the groups
  Arena *arena[MOST_WORKERS]; // of each worker: what its kernels are made of
  int n_workers;
  Parallel *loop;
} Emission;

// The group gets to know the symbol if its kernel takes rows.
static void emit_part(void *context, int worker, int turn) {
  Emission *emission = context;
  if (turn == 0) {
    kernel_preamble(emission->target, &emission->preamble);
    return;
  }
  Group *group = &emission->groups[turn - 1];
  Kernel *kernel = &emission->kernels[turn - 1];
  Arena *arena = emission->arena[worker];
  if (op_info(group->nodes[0]->op)->cls == CLASS_COLLECTIVE) return;
  Text text = {0};
  kernel_emit(emission->target, group, arena, &text, &kernel->info);
  kernel->text = arena_strdup(arena, text_get(&text));
  if (kernel->info.row_floats) group->row_symbol = kernel->info.symbol;
  text_free(&text);
}

// What was measured is asked for and kept in the kernels' order.
static void emission_start(Emission *emission, const Target *target, Group *groups, int n, Arena *arena) {
  int workers = target->tuning ? 1 : parallel_cores();
  if (workers > MOST_WORKERS) workers = MOST_WORKERS;
  if (workers > 1 + n / WORTH_A_THREAD) workers = 1 + n / WORTH_A_THREAD;
  *emission = (Emission){.target = target, .groups = groups, .n_workers = workers};
  emission->kernels = ARENA_ARRAY(arena, Kernel, n + 1);
  for (int i = 0; i < workers; i++) emission->arena[i] = arena_new();
  emission->loop = parallel_start(target->kind == TARGET_REFERENCE ? 0 : n + 1, workers, emit_part, emission);
}

static void emission_free(Emission *emission) {
  text_free(&emission->preamble);
  for (int i = 0; i < emission->n_workers; i++) arena_free(emission->arena[i]);
}

// Arguments in the order of the kernel ABI: where there are rows, each row's reads and writes in turn.
static void set_args(Emitter *emitter, const PlanStep *from, Step *step) {
  Arena *arena = emitter->program->arena;
  int *buffers = ARENA_ARRAY(arena, int, from->n_args + 1);
  int64_t *offsets = ARENA_ARRAY(arena, int64_t, from->n_args + 1);
  int n_rows = from->n_rows ? from->n_rows : 1, n = 0;
  int n_read = from->n_read / n_rows, n_written = from->n_args / n_rows - n_read;
  for (int r = 0; r < n_rows; r++) {
    for (int i = 0; i < n_read + n_written; i++, n++) {
      const PlanArg *arg = &from->args[i < n_read ? r * n_read + i : from->n_read + r * n_written + i - n_read];
      buffers[n] = arg->buffer;
      offsets[n] = arg->offset;
    }
  }
  step->n_args = n;
  step->n_read = n_read;
  step->arg_buffer = buffers;
  step->arg_offset = offsets;
}

static void put_source(Emitter *emitter, const char *symbol, const char *text) {
  if (strmap_get(emitter->symbols, symbol)) return;
  text_printf(&emitter->source, PROGRAM_KERNEL_MARK "%s\n", symbol);
  text_put(&emitter->source, text);
  strmap_set(emitter->symbols, symbol, emitter);
}

// What the kernels of further rows add to the step.
static void add_row(Emitter *emitter, const Group *row, int number, Step *step, int64_t *row_floats) {
  const KernelInfo *info = &emitter->kernels[row - emitter->groups].info;
  row_floats[number] = info->row_floats;
  if (number == 0) return;
  step->n_tasks += info->n_tasks;
  step->scratch += info->scratch ? info->scratch - SG_COUNTERS : 0;
  step->requests += (int64_t)info->requests;
  step->sectors += (int64_t)info->sectors;
  step->ideal_sectors += (int64_t)info->ideal_sectors;
  step->flops += info->flops;
  step->bytes += info->bytes;
}

static void set_queue(Emitter *emitter, int place, Step *step) {
  const Plan *plan = emitter->plan;
  static const int lanes[LANE_COUNT] = {[LANE_LARGE] = QUEUE_COLLECTIVE, [LANE_URGENT] = QUEUE_URGENT};
  step->queue = plan->queue[place] < MAX_QUEUES ? plan->queue[place] : lanes[plan->queue[place] - MAX_QUEUES];
  step->n_waits = plan->n_waits[place];
  step->waits = arena_memdup(emitter->program->arena, plan->waits[place], sizeof(int) * (size_t)step->n_waits);
}

// A symbol ends in a hash of its kernel's code: equal ones are one kernel.
static void emit_kernel(Emitter *emitter, const PlanStep *from, Step *step) {
  Arena *arena = emitter->program->arena;
  KernelInfo info = {0};
  if (from->group) {
    const Kernel *kernel = &emitter->kernels[from->group - emitter->groups];
    info = kernel->info;
    put_source(emitter, info.symbol, kernel->text);
  } else {
    Text text = {0};
    if (emitter->target->kind == TARGET_CUDA) emit_cuda_copy(from->copied, &text, arena, &info);
    else emit_copy(from->copied, &text, arena, &info);
    put_source(emitter, info.symbol, text_get(&text));
    text_free(&text);
  }
  *step = (Step){.symbol = arena_strdup(arena, info.symbol),
                 .n_tasks = info.n_tasks,
                 .scratch = info.scratch,
                 .block = info.block,
                 .shared = info.shared,
                 .requests = (int64_t)info.requests,
                 .sectors = (int64_t)info.sectors,
                 .ideal_sectors = (int64_t)info.ideal_sectors,
                 .gemm = info.gemm ? arena_memdup(arena, info.gemm, sizeof *info.gemm) : NULL,
                 .flops = info.flops,
                 .bytes = info.bytes,
                 .rows = from->n_rows,
                 .n_numbers = info.n_numbers,
                 .numbers = arena_memdup(arena, info.numbers, sizeof *info.numbers * (size_t)info.n_numbers)};
  int64_t *row_floats = ARENA_ARRAY(arena, int64_t, from->n_rows + 1);
  for (int r = 0; r < from->n_rows; r++) add_row(emitter, from->row[r], r, step, row_floats);
  step->row_floats = row_floats;
}

static void reference_copy(const void *context, float *const *arg, int64_t begin, int64_t end, float *scratch) {
  (void)scratch;
  if (begin < end) memcpy(arg[1], arg[0], sizeof(float) * (size_t)shape_elements(((const Node *)context)->shape));
}

static void make_reference_step(const PlanStep *from, Step *step) {
  Cost cost = node_cost(from->about);
  *step = (Step){.function = from->group ? reference_kernel : reference_copy,
                 .context = from->about,
                 .n_tasks = 1,
                 .flops = from->group ? cost.flops : 0,
                 .bytes = from->group ? cost.bytes : 8 * from->copied};
}

static void make_all_reduce(const PlanStep *from, Step *step) {
  const Node *node = from->group->nodes[0];
  int64_t n = shape_elements(node->shape);
  *step = (Step){.kind = STEP_ALL_REDUCE,
                 .symbol = node_attr(node, "which").i ? "max" : "sum",
                 .n_tasks = n,
                 .flops = n,
                 .bytes = 8 * n};
}

static void make_step(Emitter *emitter, const PlanStep *from, Step *step) {
  if (plan_lane(from) >= 0) make_all_reduce(from, step);
  else if (emitter->target->kind == TARGET_REFERENCE) make_reference_step(from, step);
  else emit_kernel(emitter, from, step);
  set_args(emitter, from, step);
  step->label = step_label(from, emitter->program->arena);
  step->part = step_part(emitter->plan->graph, from, emitter->program->arena);
}

// ---- the program ----------------------------------------------------------------------------------------------------

static void copy_buffers(Program *program, const Plan *plan) {
  program->n_buffers = plan->n_buffers;
  program->buffers = ARENA_ARRAY(program->arena, Buffer, plan->n_buffers + 1);
  for (int i = 0; i < plan->n_buffers; i++) {
    Buffer *buffer = &program->buffers[i];
    *buffer = plan->buffers[i];
    if (buffer->name) buffer->name = arena_strdup(program->arena, buffer->name);
    if (buffer->data)
      buffer->data = arena_memdup(program->arena, buffer->data, sizeof(float) * (size_t)shape_elements(buffer->shape));
  }
}

static Program *make_program(const Graph *graph, const Plan *plan, Emission *emission) {
  const Target *target = emission->target;
  Arena *arena = arena_new();
  Program *program = ARENA_ARRAY(arena, Program, 1);
  *program = (Program){.arena = arena,
                       .name = arena_strdup(arena, graph->name),
                       .target = arena_strdup(arena, target->name),
                       .cc_flags = arena_strdup(arena, target->cc_flags ? target->cc_flags : ""),
                       .n_setup = plan->n_setup,
                       .n_steps = plan->n_steps - plan->n_setup,
                       .persistent = plan->persistent,
                       .slab = plan->slab};
  copy_buffers(program, plan);
  program->setup = ARENA_ARRAY(arena, Step, program->n_setup + 1);
  program->steps = ARENA_ARRAY(arena, Step, program->n_steps + 1);
  Emitter emitter = {.target = target,
                     .plan = plan,
                     .groups = emission->groups,
                     .kernels = emission->kernels,
                     .program = program,
                     .symbols = strmap_new(plan->arena)};
  bool is_generated = target->kind != TARGET_REFERENCE;
  if (is_generated) text_put(&emitter.source, text_get(&emission->preamble));
  for (int i = 0; i < plan->n_steps; i++) {
    Step *step = i < plan->n_setup ? &program->setup[i] : &program->steps[i - plan->n_setup];
    make_step(&emitter, &plan->steps[plan->order[i]], step);
    set_queue(&emitter, i, step);
  }
  if (is_generated) program->source = arena_strdup(arena, text_get(&emitter.source));
  text_free(&emitter.source);
  for (int i = plan->n_setup; i < plan->n_steps; i++) program->n_again += plan->steps[plan->order[i]].about->is_again;
  for (int i = 0; i < graph->n_nodes; i++) {
    const Node *node = graph->nodes[i];
    if (node->is_setup) continue;
    program->multiply_adds += node_cost(node).inside;
    if (node->is_again) program->again += node_cost(node).inside;
  }
  return program;
}

static const Target *target_of(const CompileOptions *options) {
  return options->target ? options->target : target_host();
}

static void drop_taps(Graph *graph) {
  int n = 0;
  for (int i = 0; i < graph->n_outputs; i++) {
    if (!graph->outputs[i].is_tap) graph->outputs[n++] = graph->outputs[i];
  }
  graph->n_outputs = n;
}

// The least is rounded up, so that what is said will do.
static Status no_room(const Graph *graph, const MemoryBudget *memory) {
  return status_make(
      EXIT_DEVICE,
      "%s does not fit into %.1f MB: the least that it was found to do with is %.1f MB; fewer samples at "
      "once need less",
      graph->name, 1e-6 * (double)memory->bytes, 1e-6 * (double)memory->least + 0.05);
}

Status compile_passes(Graph *graph, const CompileOptions *options) {
  MemoryBudget memory = {.bytes = options->memory};
  PassContext context = {.target = target_of(options),
                         .memory = options->memory ? &memory : NULL,
                         .is_training = options->is_training,
                         .exact = options->exact,
                         .explain = options->explain,
                         .shard = options->shard,
                         .diag = options->diag};
  if (!options->keep_taps) drop_taps(graph);
  graph_sort(graph);
  pipeline_run(&context, &options->passes, graph);
  if (options->shard && diag_errors(options->diag))
    return status_make(EXIT_MODEL, "%s cannot be run on several devices", graph->name);
  return memory.least ? no_room(graph, &memory) : STATUS_OK;
}

Status compile(Graph *graph, const CompileOptions *options, Program **out) {
  TRY(compile_passes(graph, options));
  const Target *target = target_of(options);
  Arena *arena = arena_new();
  bool is_reference = target->kind == TARGET_REFERENCE;
  int n_groups;
  Group *groups = is_reference ? reference_groups(graph, arena, &n_groups) : group_collect(graph, arena, &n_groups);
  Emission emission;
  emission_start(&emission, target, groups, n_groups, arena);
  if (target->kind == TARGET_CUDA) parallel_finish(emission.loop); // the plan joins rows by their symbols
  Plan *plan = plan_build(graph, groups, n_groups, is_reference, target->queues, arena);
  if (target->kind != TARGET_CUDA) parallel_finish(emission.loop);
  Program *program = make_program(graph, plan, &emission);
  emission_free(&emission);
  arena_free(arena);
  Text why = {0};
  Status status = STATUS_OK;
  int64_t bytes = (int64_t)sizeof(float) * (program->persistent + program->slab);
  if (!program_verify(program, &why))
    status = status_make(EXIT_DEVICE, "%s is too large: %s", graph->name, text_get(&why));
  else if (options->memory && bytes > options->memory) // as the pass that sees to it was left out
    status = status_make(EXIT_DEVICE, "%s takes %.1f MB, which is more than %.1f MB", graph->name, 1e-6 * (double)bytes,
                         1e-6 * (double)options->memory);
  text_free(&why);
  if (status) {
    program_free(program);
    return status;
  }
  *out = program;
  return STATUS_OK;
}
