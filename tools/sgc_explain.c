// sgc explain: what became of a model's operations, what the plan takes, and for GPUs what each kernel takes.
#include <string.h>

#include "compiler/gpu.h"
#include "runtime/base/strmap.h"
#include "runtime/cuda_cache.h"
#include "tools/sgc.h"

// Operations that a framework which runs them one by one would start: all nodes but leaves and other views of a value.
static int count_operations(const Graph *graph) {
  int n = 0;
  for (int i = 0; i < graph->n_nodes; i++) {
    Op op = graph->nodes[i]->op;
    n += !op_is_leaf(op) && op != OP_reshape && op != OP_broadcast && op != OP_slice && op != OP_transpose;
  }
  return n;
}

typedef struct Account {
  Arena *arena;
  const Program *program;
  const Target *target;
  int operations;
  StrMap *resources; // CudaResources by symbol
} Account;

static const CudaResources *resources_of(const Account *account, const Step *step) {
  static const CudaResources none = {0};
  const CudaResources *found = step->symbol ? strmap_get(account->resources, step->symbol) : NULL;
  return found ? found : &none;
}

static double occupancy_of(const Account *account, const Step *step) {
  const CudaResources *taken = resources_of(account, step);
  return gpu_occupancy(gpu_limits(account->target->compute), step->block, taken->registers,
                       taken->shared + step->shared);
}

// Sectors for each one that would do, or 1 where nothing is known.
static double excess(int64_t sectors, int64_t ideal) { return ideal ? (double)sectors / (double)ideal : 1; }

// ---- text -----------------------------------------------------------------------------------------------------------

static void put_kernels(const Account *account, Text *out) {
  text_put(out, "\nregs spill shared block  blocks occupancy   MFLOP      MB sectors/ideal queue  kernel\n");
  for (int i = 0; i < account->program->n_steps; i++) {
    const Step *step = &account->program->steps[i];
    const CudaResources *taken = resources_of(account, step);
    text_printf(out, "%4d %5d %6d %5d %7lld %8.0f%% %7.2f %7.3f %13.2f %5d  %s\n", taken->registers,
                taken->spill_stores + taken->spill_loads, taken->shared + step->shared, step->block,
                (long long)step->n_tasks, 100 * occupancy_of(account, step), 1e-6 * (double)step->flops,
                1e-6 * (double)step->bytes, excess(step->sectors, step->ideal_sectors), step->queue,
                step->label ? step->label : step->symbol);
  }
}

// What the whole run adds up to.
typedef struct Sums {
  int launches, temporaries, spilling, queues;
  int64_t flops, bytes, sectors, ideal, requests;
  double worst; // sectors for each ideal one of a kernel
} Sums;

static Sums add_up(const Account *account) {
  Sums sums = {.worst = 1};
  bool *seen = ARENA_ARRAY(account->arena, bool, account->program->n_buffers + 1);
  for (int i = 0; i < account->program->n_steps; i++) {
    const Step *step = &account->program->steps[i];
    const CudaResources *taken = resources_of(account, step);
    sums.launches += step->kind == STEP_KERNEL;
    for (int k = 0; k < step->n_args; k++) {
      int b = step->arg_buffer[k];
      sums.temporaries += !seen[b] && account->program->buffers[b].kind == BUFFER_SLAB;
      seen[b] = true;
    }
    sums.spilling += taken->spill_stores + taken->spill_loads > 0;
    if (step->queue < QUEUE_URGENT && step->queue >= sums.queues) sums.queues = step->queue + 1;
    sums.flops += step->flops;
    sums.bytes += step->bytes;
    sums.requests += step->requests;
    sums.sectors += step->sectors;
    sums.ideal += step->ideal_sectors;
    double own = excess(step->sectors, step->ideal_sectors);
    if (own > sums.worst) sums.worst = own;
  }
  return sums;
}

// Of kernels that wait for each other: those of several queues may overlap.
static double bound_of(const Account *account, const GpuCard *card) {
  double seconds = 0;
  for (int i = 0; i < account->program->n_steps; i++) {
    const Step *step = &account->program->steps[i];
    seconds += gpu_bound(card, step->flops, step->bytes, step->n_tasks);
  }
  return seconds;
}

static void put_sums(const Account *account, Text *out) {
  Sums sums = add_up(account);
  text_printf(out, "\n%d launches for %d operations, on %d queue%s; %d kernels spill\n", sums.launches,
              account->operations, sums.queues, sums.queues == 1 ? "" : "s", sums.spilling);
  text_printf(out, "%.2f GFLOP, %.1f MB; %.2f sectors for each ideal one over all requests, %.2f in the worst kernel\n",
              1e-9 * (double)sums.flops, 1e-6 * (double)sums.bytes, excess(sums.sectors, sums.ideal), sums.worst);
  text_put(out, "one kernel after the other no faster than (a bound, not a measurement):");
  for (int k = 0; gpu_card(k); k++)
    text_printf(out, "%s %s %.2f ms", k ? "," : "", gpu_card(k)->name, 1e3 * bound_of(account, gpu_card(k)));
  text_put(out, "\n");
}

// ---- JSON -----------------------------------------------------------------------------------------------------------

static void put_resources_json(const Account *account, const Step *step, Text *out) {
  const CudaResources *taken = resources_of(account, step);
  text_printf(out,
              ",\"registers\":%d,\"spills\":%d,\"shared\":%d,\"block\":%d,\"blocks\":%lld,\"occupancy\":%.3f,"
              "\"requests\":%lld,\"sectors\":%lld,\"ideal_sectors\":%lld,\"queue\":%d",
              taken->registers, taken->spill_stores + taken->spill_loads, taken->shared + step->shared, step->block,
              (long long)step->n_tasks, occupancy_of(account, step), (long long)step->requests,
              (long long)step->sectors, (long long)step->ideal_sectors, step->queue);
}

static void put_gpu_json(const Account *account, const Sums *sums, Text *out) {
  text_printf(out, ",\"queues\":%d,\"spilling\":%d,\"sectors\":%lld,\"ideal_sectors\":%lld,\"bounds_ms\":{",
              sums->queues, sums->spilling, (long long)sums->sectors, (long long)sums->ideal);
  for (int k = 0; gpu_card(k); k++)
    text_printf(out, "%s\"%s\":%.4f", k ? "," : "", gpu_card(k)->name, 1e3 * bound_of(account, gpu_card(k)));
  text_put(out, "}");
}

static void put_json(const Account *account, Text *out) {
  const Program *program = account->program;
  bool is_gpu = account->target->kind == TARGET_CUDA;
  Sums sums = add_up(account);
  text_put(out, "{\"schema\":\"sgc.explain/1\",\"model\":");
  text_put_json(out, program->name);
  text_printf(out,
              ",\"target\":\"%s\",\"launches\":%d,\"operations\":%d,\"multiply_adds\":%lld,\"flops\":%lld,"
              "\"bytes\":%lld,\"temporaries\":%d,\"slab_bytes\":%lld,\"persistent_bytes\":%lld",
              program->target, sums.launches, account->operations, (long long)program->multiply_adds,
              (long long)sums.flops, (long long)sums.bytes, sums.temporaries, 4 * (long long)program->slab,
              4 * (long long)program->persistent);
  if (is_gpu) put_gpu_json(account, &sums, out);
  text_put(out, ",\"kernels\":[");
  for (int i = 0; i < program->n_steps; i++) {
    const Step *step = &program->steps[i];
    text_printf(out, "%s\n{\"symbol\":", i ? "," : "");
    text_put_json(out, step->symbol ? step->symbol : "");
    text_printf(out, ",\"flops\":%lld,\"bytes\":%lld", (long long)step->flops, (long long)step->bytes);
    if (is_gpu) put_resources_json(account, step, out);
    text_put(out, ",\"part\":");
    text_put_json(out, step->part);
    text_put(out, ",\"label\":");
    text_put_json(out, step->label ? step->label : "");
    text_put(out, "}");
  }
  text_put(out, "]}\n");
}

// ---- the command ----------------------------------------------------------------------------------------------------

// What ptxas says that each kernel takes; the kernel cache remembers it.
static ExitCode find_resources(const Cli *cli, Account *account, Arena *arena) {
  CudaCode code;
  CudaImages *images = NULL;
  CudaResources *resources = NULL;
  Status status = cuda_code_exact(account->target->compute, false, &code);
  if (!status)
    status = cuda_images_load(account->program->source, account->program->cc_flags, code, sgc_notice, NULL, &images);
  if (status) return cli_status(cli, status);
  int n = cuda_images_resources(images, arena, &resources);
  for (int i = 0; i < n; i++) strmap_set(account->resources, resources[i].symbol, &resources[i]);
  cuda_images_free(images);
  return EXIT_DONE;
}

static ExitCode explain(const Cli *cli) {
  Model model;
  Graph *graph = NULL;
  Program *program = NULL;
  CompileOptions options = {0};
  Text text = {0};
  bool is_json = cli_flag(cli, "json", false);
  ExitCode code = model_open(cli, cli_operand(cli, 0), &model);
  if (!code) code = sgc_build(cli, &model, &graph);
  if (!code) code = model_compile_options(cli, model.arena, &options);
  Account account = {.arena = model.arena, .target = options.target, .resources = strmap_new(model.arena)};
  if (!code) {
    account.operations = count_operations(graph);
    options.is_training = cli_flag(cli, "training", false);
    if (!is_json) options.explain = &text;
    code = model_compile(cli, graph, &options, &program);
    account.program = program;
  }
  if (!code && options.target->kind == TARGET_CUDA) {
    code = find_resources(cli, &account, model.arena);
    if (!code && !is_json) put_kernels(&account, &text);
    if (!code && !is_json) put_sums(&account, &text);
  }
  if (!code && is_json) put_json(&account, &text);
  if (!code) code = sgc_put(cli, &text);
  text_free(&text);
  if (program) program_free(program);
  model_close(&model);
  return code;
}

static const CliOption options[] = {{"out", 'o', "FILE", "where to write (default: stdout)"},
                                    {"training", 0, NULL, "the training step instead of inference"},
                                    {"batch", 'b', "N", "pictures at once (default 1)"},
                                    {"json", 0, NULL, "one JSON object with counters instead"},
                                    MODEL_OPTIONS,
                                    COMPILE_OPTIONS,
                                    CLI_COMMON};

const CliCommand sgc_explain = {
    "explain",
    "MODEL.net|WEIGHTS",
    "say what each kernel computes, takes, and why it is fused as it is",
    "For each kernel its operations, the lines of text they come from, the bytes that fusion saved, and near misses\n"
    "with the reason. For GPUs, of each kernel registers, bytes spilled, shared memory, threads, occupancy, and how\n"
    "many sectors of memory it touches for each that it needs; launches of the run, and bounds of its time. No GPU is\n"
    "needed for it. --json counts what a run takes by its plan: launches, multiply-adds, operations, bytes moved at\n"
    "least, temporaries, and bytes of their slab and of what persists.\n\n"
    "  sgc explain models/meta_unet.net\n"
    "  sgc explain models/meta_unet.net --target=cuda:sm_80 --training",
    options,
    1,
    1,
    explain};
