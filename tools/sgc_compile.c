// sgc compile: a model to kernels, with a short account or the generated text.
#include <stdlib.h>
#include <string.h>

#include "runtime/base/clock.h"
#include "runtime/base/cpu.h"
#include "runtime/cuda_cache.h"
#include "runtime/exec.h"
#include "runtime/kernel_build.h"
#include "runtime/kernel_cache.h"
#include "tools/sgc.h"

ExitCode sgc_build(const Cli *cli, Model *model, Graph **out) {
  static const StepOptions step = {.beta2 = 0.999, .eps = 1e-8, .weight_decay = 1e-4, .clip = 0.1};
  model_bind_sizes(model, cli_integer(cli, "batch", 1, 1, 4096));
  *out = cli_flag(cli, "training", false) ? model_step_graph(cli, model, &step) : model_graph(cli, model, false, false);
  return *out ? EXIT_DONE : EXIT_MODEL;
}

static void print_account(const Graph *graph, const Program *program, double compiled, double loaded) {
  printf("%s for %s: %d kernels (+ %d after loading weights), %.3f G multiply-adds\n", graph->name, program->target,
         program->n_steps, program->n_setup, 1e-9 * (double)program->multiply_adds);
  printf("memory: %.2f MB = %.2f MB weights and constants + %.2f MB slab\n",
         4e-6 * (double)(program->persistent + program->slab), 4e-6 * (double)program->persistent,
         4e-6 * (double)program->slab);
  if (program->n_again)
    printf("for want of memory %d kernels run again: %.3f G multiply-adds (%.1f %%) more\n", program->n_again,
           1e-9 * (double)program->again, program_again_percent(program));
  printf("time: %.2f s from text to kernels' text, %.2f s to machine code (or from the cache)\n", compiled, loaded);
}

// The graph after the passes, which need no kernels for it.
static ExitCode emit_graph(const Cli *cli, Graph *graph, const CompileOptions *options) {
  ExitCode code = cli_status(cli, compile_passes(graph, options));
  if (code) return code;
  Text text = {0};
  graph_print(graph, &text);
  code = sgc_put(cli, &text);
  text_free(&text);
  return code;
}

// What can be emitted besides "graph" and "program"; `cuda` and `cpu` say that it needs a target of that kind.
typedef struct Form {
  const char *name;
  bool cuda, cpu, is_compiled, is_ptx, is_disassembled;
} Form;
static const Form forms[] = {{.name = "kernels"},
                             {.name = "assembly", .cpu = true, .is_compiled = true, .is_disassembled = true},
                             {.name = "object", .cpu = true, .is_compiled = true},
                             {.name = "cuda", .cuda = true},
                             {.name = "ptx", .cuda = true, .is_compiled = true, .is_ptx = true},
                             {.name = "cubin", .cuda = true, .is_compiled = true},
                             {.name = "sass", .cuda = true, .is_compiled = true, .is_disassembled = true}};

static const Form *find_form(const char *name) {
  for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
    if (!strcmp(forms[i].name, name)) return &forms[i];
  }
  return NULL;
}

// What a C compiler for the target's machine makes of the kernels: assembly or a shared object.
static Status translate(const Target *target, const Program *program, bool is_assembly, Text *out) {
  char *compiler = kernel_cache_compiler_for(target->machine);
  if (!compiler && !target->machine)
    return status_make(EXIT_DEVICE, "no C compiler found (set CC, or install cc, gcc or clang)");
  if (!compiler)
    return status_make(EXIT_DEVICE, "no C compiler for %s found: set CC to one, or install %s-linux-gnu-gcc",
                       target->machine, target->machine);
  Status status = kernel_translate(compiler, target->cc_flags, program->source, is_assembly, out);
  free(compiler);
  return status;
}

// The text of the kernels, or what cc or NVRTC makes of all of it in one compilation.
static ExitCode emit_kernels(const Cli *cli, const Form *form, const Target *target, const Program *program) {
  Text image = {0}, text = {0}, log = {0};
  Status status = STATUS_OK;
  ExitCode code = EXIT_DONE;
  if (form->cpu) {
    code = cli_status(cli, translate(target, program, form->is_disassembled, form->is_disassembled ? &text : &image));
  } else if (form->is_compiled) {
    CudaCode kind;
    status = cuda_code_exact(target->compute, form->is_ptx, &kind);
    if (!status) status = cuda_compile(program->source, program->cc_flags, kind, false, &image, &log);
    if (status)
      code = cli_fail(cli, status_code(status), "%s%s%s", status_message(status), log.size ? "\n" : "", text_get(&log));
    status_free(status);
    if (!code && form->is_disassembled) code = cli_status(cli, cuda_disassemble(image.data, image.size, &text));
  } else {
    text_put(&text, program->source ? program->source : "");
  }
  if (!code) code = sgc_put(cli, form->is_compiled && !form->is_disassembled ? &image : &text);
  text_free(&image);
  text_free(&text);
  text_free(&log);
  return code;
}

static ExitCode emit(const Cli *cli, const char *what, const Target *target, const Program *program) {
  const Form *form = find_form(what);
  if (form && form->cuda && target->kind != TARGET_CUDA)
    return cli_fail(cli, EXIT_USAGE, "--emit=%s is for GPUs: add --target=cuda:sm_80 or another", what);
  if (form && form->cpu && target->kind != TARGET_CPU)
    return cli_fail(cli, EXIT_USAGE, "--emit=%s is for CPUs: say --target=cpu, cpu:neon or another", what);
  if (form) return emit_kernels(cli, form, target, program);
  const char *path = cli_option(cli, "out");
  return path ? cli_status(cli, program_write(program, path))
              : cli_fail(cli, EXIT_USAGE, "--emit=program needs --out FILE");
}

// What several programs take together.
typedef struct Total {
  int64_t multiply_adds, persistent, slab, largest_slab; // the last three in floats
} Total;

static void add_program(Total *total, const Program *program) {
  total->multiply_adds += program->multiply_adds;
  total->persistent += program->persistent;
  total->slab += program->slab;
  if (program->slab > total->largest_slab) total->largest_slab = program->slab;
}

static void print_total(int n, const Total *total) {
  printf("%d programs together: %.3f G multiply-adds\n", n, 1e-9 * (double)total->multiply_adds);
  printf("memory: %.2f MB = %.2f MB weights and constants + %.2f MB slabs; the largest slab is %.2f MB\n",
         4e-6 * (double)(total->persistent + total->slab), 4e-6 * (double)total->persistent, 4e-6 * (double)total->slab,
         4e-6 * (double)total->largest_slab);
}

// Brings the machine code into the kernel cache: for a GPU, which need not be here, through NVRTC. What is made for a
// CPU of another machine no program here could use: it is not kept.
static ExitCode make_ready(const Cli *cli, const Target *target, const Program *program) {
  if (target->kind == TARGET_CUDA) {
    CudaCode code;
    CudaImages *images = NULL;
    Status status = cuda_code_choose(target->compute, &code);
    if (!status) status = cuda_images_load(program->source, program->cc_flags, code, sgc_notice, NULL, &images);
    cuda_images_free(images);
    return cli_status(cli, status);
  }
  if (target->machine && strcmp(target->machine, cpu_machine())) {
    Text image = {0};
    Status status = translate(target, program, false, &image);
    text_free(&image);
    return cli_status(cli, status);
  }
  Device *device = NULL;
  Exec *exec = NULL;
  ExitCode code = model_device(cli, 1, &device);
  if (!code) code = cli_status(cli, exec_open(program, device, 0, &exec));
  exec_close(exec);
  device_close(device);
  return code;
}

// `what` to emit, or NULL for an account.
static ExitCode compile_model(const Cli *cli, const char *operand, const char *what, Total *total) {
  Model model;
  Graph *graph = NULL;
  Program *program = NULL;
  CompileOptions options;
  double started = clock_seconds(), compiled = 0;
  ExitCode code = model_open(cli, operand, &model);
  if (!code) code = sgc_build(cli, &model, &graph);
  if (!code) code = model_compile_options(cli, model.arena, &options);
  if (!code) options.is_training = cli_flag(cli, "training", false);
  bool wants_graph = what && !strcmp(what, "graph");
  if (!code && wants_graph) code = emit_graph(cli, graph, &options);
  if (!code && !wants_graph) code = model_compile(cli, graph, &options, &program);
  compiled = clock_seconds() - started;
  if (!code && what && !wants_graph) code = emit(cli, what, options.target, program);
  if (!code && !what) {
    code = make_ready(cli, options.target, program);
    if (!code) print_account(graph, program, compiled, clock_seconds() - started - compiled);
    if (!code) add_program(total, program);
  }
  if (program) program_free(program);
  model_close(&model);
  return code;
}

static ExitCode compile_models(const Cli *cli) {
  const char *what = cli_option(cli, "emit");
  if (what && strcmp(what, "graph") && strcmp(what, "program") && !find_form(what))
    return cli_fail(cli, EXIT_USAGE,
                    "there is nothing to emit called '%s'; there are graph, program, kernels, for CPUs assembly and "
                    "object, and for GPUs cuda, ptx, cubin and sass",
                    what);
  int n = cli_operands(cli);
  if (what && n > 1) return cli_fail(cli, EXIT_USAGE, "--emit is for one model, not %d", n);
  Total total = {0};
  ExitCode code = EXIT_DONE;
  for (int i = 0; i < n && !code; i++) code = compile_model(cli, cli_operand(cli, i), what, &total);
  if (!code && n > 1) print_total(n, &total);
  return code;
}

static const CliOption options[] = {
    {"out", 'o', "FILE", "where --emit writes (default: stdout)"},
    {"emit", 0, "WHAT",
     "write graph, kernels, program, for CPUs assembly or object, for GPUs cuda, ptx, cubin or sass"},
    {"training", 0, NULL, "the training step instead of inference"},
    {"batch", 'b', "N", "pictures at once (default 1)"},
    MODEL_OPTIONS,
    COMPILE_OPTIONS,
    CLI_COMMON};

const CliCommand sgc_compile = {
    "compile",
    "MODEL.net|WEIGHTS...",
    "compile models to kernels for this machine or another",
    "The machine code goes into the kernel cache ($SGC_CACHE, or ~/.cache/sgc), so that sgrun starts at once.\n"
    "Dimensions that are not given are N=1 and the height and width of the train block. Of several models it also "
    "says\n"
    "what they need together.\n\n"
    "  sgc compile models/meta_unet.net --dim H=480,W=640\n"
    "  sgc compile models/meta_unet.net --emit=kernels | less\n"
    "  CC=aarch64-linux-gnu-gcc sgc compile models/meta_unet.net --target=cpu:neon --emit=assembly | less\n\n"
    "Machine code for another machine comes from $CC, or else from the cross compiler of the usual name; it can be "
    "looked\n"
    "at, and is not kept in the cache.",
    options,
    1,
    -1,
    compile_models};
