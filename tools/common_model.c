// common_model: loading a model from .net text or from a weight file that carries its text.
#include "tools/common_model.h"

#include <cjson/cJSON.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/file.h"
#include "runtime/base/strmap.h"
#include "runtime/cuda_device.h"
#include "runtime/kernel_cache.h"
#include "runtime/train/settings.h"
#include "tools/common_device.h"
#include "tools/common_tuning.h"

void model_print_diag(const Model *model) {
  Text text = {0};
  diag_print(model->diag, &text, cli_colour());
  fputs(text_get(&text), stderr);
  text_free(&text);
}

// The nearest directory above the program that holds a stdlib (itself, or in share/sgc), with a slash behind it;
// relative to the present one where it lies below it, so that messages name short paths. NULL where there is none.
static const char *program_home(Arena *arena) {
  char self[PATH_MAX], here[PATH_MAX];
  ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
  self[length > 0 ? length : 0] = 0;
  for (char *slash; (slash = strrchr(self, '/')); *slash = 0) {
    slash[1] = 0;
    bool is_home = file_is_directory(arena_printf(arena, "%sstdlib", self)) ||
                   file_is_directory(arena_printf(arena, "%sshare/sgc/stdlib", self));
    if (is_home) break;
  }
  if (!*self) return NULL;
  size_t n = getcwd(here, sizeof here) ? strlen(here) : 0;
  bool is_below = n && !strncmp(self, here, n) && self[n] == '/';
  return arena_strdup(arena, is_below ? self + n + 1 : self);
}

// Where `use` looks: -I, then SGC_PATH, then stdlib and models beside the program.
static LangPaths search_paths(const Cli *cli, Arena *arena) {
  const char **directories = NULL;
  int n = 0, capacity = 0;
  for (int i = 0; cli_option_at(cli, "include", i); i++)
    ARENA_PUSH(arena, directories, n, capacity, cli_option_at(cli, "include", i));
  const char *path = getenv("SGC_PATH");
  char *rest = arena_strdup(arena, path ? path : "");
  for (char *item; (item = strsep(&rest, ":"));)
    if (*item) ARENA_PUSH(arena, directories, n, capacity, item);
  static const char *const beside[] = {"stdlib", "models", "share/sgc/stdlib", "share/sgc/models"};
  const char *home = program_home(arena);
  for (int i = 0; home && i < 4; i++)
    ARENA_PUSH(arena, directories, n, capacity, arena_printf(arena, "%s%s", home, beside[i]));
  return (LangPaths){directories, n, NULL};
}

static bool is_bound(const Model *model, const char *name) {
  for (int i = 0; i < model->n_bindings; i++)
    if (!strcmp(model->bindings[i].name, name)) return true;
  return false;
}

void model_bind(Model *model, const char *name, const char *format, ...) {
  if (is_bound(model, name) || model->n_bindings == MODEL_MAX_BINDINGS) return;
  va_list args;
  va_start(args, format);
  const char *value = arena_vprintf(model->arena, format, args);
  va_end(args);
  model->bindings[model->n_bindings++] = (LangBinding){arena_strdup(model->arena, name), value};
}

// "a=1,b=2" of one option; quotes and brackets keep their commas.
static ExitCode bind_list(const Cli *cli, Model *model, const char *option, const char *text) {
  while (*text) {
    size_t name = strcspn(text, "=,"), end = name;
    if (!name || text[name] != '=')
      return cli_fail(cli, EXIT_USAGE, "option '--%s' needs NAME=VALUE, not '%s'", option, text);
    for (int depth = 0; text[end] && (depth > 0 || text[end] != ','); end++)
      depth += (text[end] == '[') - (text[end] == ']');
    const char *key = arena_strndup(model->arena, text, name);
    model_bind(model, key, "%.*s", (int)(end - name - 1), text + name + 1);
    text += end + (text[end] != 0);
  }
  return EXIT_DONE;
}

static ExitCode bind_options(const Cli *cli, Model *model) {
  static const char *const options[] = {"dim", "arg"};
  for (int k = 0; k < 2; k++)
    for (int i = 0; cli_option_at(cli, options[k], i); i++) {
      ExitCode code = bind_list(cli, model, options[k], cli_option_at(cli, options[k], i));
      if (code) return code;
    }
  return EXIT_DONE;
}

// The texts and bindings that a weight file carries.
static ExitCode read_bundle(const Cli *cli, Model *model, LangBundle *out) {
  const char *text = weights_metadata(model->weights, "sgc.bundle"),
             *bindings = weights_metadata(model->weights, "sgc.bindings");
  cJSON *json = text ? cJSON_Parse(text) : NULL, *item;
  int n = cJSON_GetArraySize(json), i = 0;
  if (!cJSON_IsObject(json) || n == 0) {
    cJSON_Delete(json);
    return cli_fail(cli, EXIT_WEIGHTS, "%s does not say which model it is for; it was not written by sgrun",
                    model->path);
  }
  const char **names = ARENA_ARRAY(model->arena, const char *, n), **texts = ARENA_ARRAY(model->arena, const char *, n);
  cJSON_ArrayForEach(item, json) {
    names[i] = arena_strdup(model->arena, item->string);
    texts[i++] = arena_strdup(model->arena, cJSON_IsString(item) ? item->valuestring : "");
  }
  *out = (LangBundle){n, names, texts};
  cJSON_Delete(json);
  json = bindings ? cJSON_Parse(bindings) : NULL;
  cJSON_ArrayForEach(item, json) {
    if (cJSON_IsString(item)) model_bind(model, item->string, "%s", item->valuestring);
  }
  cJSON_Delete(json);
  return EXIT_DONE;
}

static bool is_text(const char *path) {
  size_t length = strlen(path);
  return length > 4 && !strcmp(path + length - 4, ".net");
}

// Loads `path`, taking texts from `bundle` where there is one.
static ExitCode load_text(const Cli *cli, Model *model, const char *path, const LangBundle *bundle) {
  LangPaths paths = bundle ? (LangPaths){NULL, 0, bundle} : search_paths(cli, model->arena);
  model->file = lang_load(model->arena, path, &paths, model->diag);
  if (model->file) return EXIT_DONE;
  model_print_diag(model);
  return EXIT_MODEL;
}

static ExitCode model_begin(const Cli *cli, const char *path, Model *out) {
  *out = (Model){.arena = arena_new(), .path = path};
  out->diag = diag_new(out->arena, 20);
  return bind_options(cli, out);
}

ExitCode model_open_text(const Cli *cli, const char *path, Model *out) {
  ExitCode code = model_begin(cli, path, out);
  return code ? code : load_text(cli, out, path, NULL);
}

ExitCode model_open(const Cli *cli, const char *path, Model *out) {
  ExitCode code = model_begin(cli, path, out);
  const char *name = cli_option(cli, "model");
  if (!code && is_text(path)) {
    code = load_text(cli, out, path, NULL);
  } else if (!code) {
    LangBundle bundle;
    code = cli_status(cli, weights_open(path, &out->weights));
    if (!code) code = read_bundle(cli, out, &bundle);
    if (!code) code = load_text(cli, out, bundle.names[0], &bundle);
    if (!code && !name) name = weights_metadata(out->weights, "sgc.model");
  }
  if (code) return code;
  out->info = lang_find_model(out->file, name, out->diag);
  if (out->info) return EXIT_DONE;
  model_print_diag(out);
  return EXIT_MODEL;
}

void model_close(Model *model) {
  weights_close(model->weights);
  arena_free(model->arena);
  *model = (Model){0};
}

static bool has_dimension(const Model *model, const char *name) {
  for (int i = 0; i < model->info->n_dimensions; i++)
    if (!strcmp(model->info->dimensions[i], name)) return true;
  return false;
}

static double train_setting(const Model *model, const char *key, double fallback) {
  for (int i = 0; i < model->info->n_settings; i++)
    if (!strcmp(model->info->settings[i].key, key)) return model->info->settings[i].number;
  return fallback;
}

void model_bind_sizes(Model *model, int64_t n) {
  TrainSettings defaults = settings_default();
  if (has_dimension(model, "N")) model_bind(model, "N", "%lld", (long long)n);
  if (has_dimension(model, "H")) model_bind(model, "H", "%.0f", train_setting(model, "height", defaults.height));
  if (has_dimension(model, "W")) model_bind(model, "W", "%.0f", train_setting(model, "width", defaults.width));
}

int64_t model_dimension(const Model *model, const char *name, int64_t fallback) {
  for (int i = 0; i < model->n_bindings; i++)
    if (!strcmp(model->bindings[i].name, name)) return atoll(model->bindings[i].value);
  return fallback;
}

Graph *model_graph(const Cli *cli, Model *model, bool is_training, bool with_loss) {
  (void)cli;
  LangOptions options = {model->info->name, model->bindings, model->n_bindings, is_training, with_loss};
  Graph *graph = lang_elaborate(model->file, &options, model->diag);
  if (!graph) model_print_diag(model);
  return graph;
}

Graph *model_loss_graph(const Cli *cli, Model *model) {
  if (model->info->has_train) return model_graph(cli, model, true, true);
  cli_fail(cli, EXIT_MODEL, "%s: the model %s has no train block; add `train %s { ... }`", model->path,
           model->info->name, model->info->name);
  return NULL;
}

void model_step_options(const Cli *cli, StepOptions *options) {
  const char *precision = cli_option(cli, "precision"), *disabled;
  options->scales = precision && !strcmp(precision, "f16");
  options->enlarges_late = options->reassociates = !cli_flag(cli, "exact", false);
  for (int i = 0; (disabled = cli_option_at(cli, "disable", i)); i++) {
    if (!strcmp(disabled, "interp")) options->enlarges_late = false;
    if (!strcmp(disabled, "compose")) options->reassociates = false;
  }
}

Graph *model_step_graph(const Cli *cli, Model *model, const StepOptions *options) {
  Graph *graph = model_loss_graph(cli, model);
  StepOptions asked = *options;
  model_step_options(cli, &asked);
  if (!graph || step_build(graph, &asked, model->diag)) return graph;
  model_print_diag(model);
  return NULL;
}

const char *model_bundle_json(const Model *model) {
  LangBundle bundle = lang_bundle(model->file);
  Text text = {0};
  for (int i = 0; i < bundle.n; i++) {
    text_put(&text, i ? "," : "{");
    text_put_json(&text, bundle.names[i]);
    text_put(&text, ":");
    text_put_json(&text, bundle.texts[i]);
  }
  text_put(&text, "}");
  const char *copy = arena_strdup(model->arena, text_get(&text));
  text_free(&text);
  return copy;
}

// Dimensions are left out: they are chosen anew for each use of the weights.
const char *model_bindings_json(const Model *model) {
  Text text = {0};
  text_put(&text, "{");
  for (int i = 0; i < model->n_bindings; i++) {
    if (has_dimension(model, model->bindings[i].name)) continue;
    if (text.size > 1) text_put(&text, ",");
    text_put_json(&text, model->bindings[i].name);
    text_put(&text, ":");
    text_put_json(&text, model->bindings[i].value);
  }
  text_put(&text, "}");
  const char *copy = arena_strdup(model->arena, text_get(&text));
  text_free(&text);
  return copy;
}

static ExitCode check_pass(const Cli *cli, const char *name) {
  if (!name || pipeline_has(name)) return EXIT_DONE;
  static const char *const names[] = {
#define PASS(name, doc) #name,
      PASS_LIST(PASS)
#undef PASS
  };
  const char *near = nearest_name(name, names, (int)(sizeof names / sizeof *names));
  if (near) return cli_fail(cli, EXIT_USAGE, "there is no pass '%s'; did you mean '%s'?", name, near);
  return cli_fail(cli, EXIT_USAGE, "there is no pass '%s'", name);
}

// EXIT_USAGE where the option names a target that there is not.
static ExitCode check_target(const Cli *cli) {
  const char *name = cli_option(cli, "target");
  if (!name || !strcmp(name, "cuda") || target_find(name)) return EXIT_DONE;
  return cli_fail(cli, EXIT_USAGE,
                  "there is no target '%s'; there are cpu, cpu:avx512vl, cpu:avx512, cpu:avx2, cpu:sse2, cpu:neon, "
                  "cpu:generic, reference, cuda (this machine's GPU), cuda:sm_75, cuda:sm_80 ...",
                  name);
}

ExitCode model_device(const Cli *cli, int threads, Device **out) {
  DeviceNames names;
  ExitCode code = check_target(cli);
  if (!code) code = device_names(cli, &names);
  return code ? code : device_open_named(cli, &names, 0, threads, out);
}

// What kernels for that GPU are made for: its architecture, or the nearest older one that we know.
static ExitCode target_of_gpu(const Cli *cli, int number, const Target **out) {
  CudaGpu gpu;
  ExitCode code = cli_status(cli, cuda_gpu(number, &gpu));
  *out = NULL;
  for (int compute = gpu.compute; !code && !*out && compute > 0; compute--) *out = target_cuda(compute);
  if (!code && !*out)
    code = cli_fail(cli, EXIT_DEVICE, "cuda:%d (%s) is an sm_%d, which is too old", number, gpu.name, gpu.compute);
  return code;
}

static ExitCode choose_target(const Cli *cli, const Target **out) {
  const char *name = cli_option(cli, "target");
  DeviceNames names;
  ExitCode code = check_target(cli);
  if (!code) code = device_names(cli, &names);
  if (code) return code;
  if (!name) name = names.is_cuda ? "cuda" : "cpu";
  if (!strcmp(name, "cuda")) return target_of_gpu(cli, names.number[0], out);
  *out = target_find(name);
  return EXIT_DONE;
}

ExitCode model_compile(const Cli *cli, Graph *graph, const CompileOptions *options, Program **out) {
  for (int i = 0; i < options->passes.n_disabled; i++)
    if (!strcmp(options->passes.disabled[i], "expand"))
      return cli_fail(cli, EXIT_USAGE,
                      "kernels are made from primitive operations: the pass 'expand' cannot be left out");
  Status status = compile(graph, options, out);
  if (!status) tuning_say(cli, options->target, graph->name);
  return cli_status(cli, status);
}

void model_fill_inputs(Exec *exec) {
  const Program *program = exec_program(exec);
  for (int i = 0; i < program->n_buffers; i++) {
    const Buffer *buffer = &program->buffers[i];
    if (buffer->kind != BUFFER_INPUT) continue;
    float *values = exec_input(exec, buffer->name);
    for (int64_t k = 0, n = shape_elements(buffer->shape); k < n; k++)
      values[k] = (float)(k * 7919 % 1000) / 1000 + 0.1f;
  }
}

static ExitCode set_precision(const Cli *cli, const Target **target) {
  const char *name = cli_option(cli, "precision");
  Precision precision;
  if (!name) return EXIT_DONE;
  if (!precision_find(name, &precision))
    return cli_fail(cli, EXIT_USAGE, "there is no precision '%s'; there are f32, tf32, bf16 and f16", name);
  const Target *precise = target_with_precision(*target, precision);
  if (!precise)
    return cli_fail(cli, EXIT_USAGE,
                    "%s does not multiply in %s: tf32 and bf16 need a GPU from sm_80 on, f16 from sm_75",
                    (*target)->name, name);
  *target = precise;
  return EXIT_DONE;
}

ExitCode model_compile_options(const Cli *cli, Arena *arena, CompileOptions *out) {
  *out = (CompileOptions){.exact = cli_flag(cli, "exact", false), .memory = cli_bytes(cli, "mem")};
  ExitCode code = choose_target(cli, &out->target);
  if (code) return code;
  char *compiler = kernel_cache_compiler();
  if (out->target == target_host() && !compiler) {
    fprintf(stderr, "note: no C compiler found (cc, gcc, clang, or $CC); the slow reference evaluator takes over\n");
    out->target = target_reference();
  }
  free(compiler);
  code = set_precision(cli, &out->target);
  if (!code && cli_flag(cli, "tuned", false)) code = tuning_load(cli, arena, &out->target);
  if (code) return code;
  const char **disabled = NULL;
  int n = 0, capacity = 0;
  for (int i = 0; cli_option_at(cli, "disable", i); i++) {
    const char *name = cli_option_at(cli, "disable", i);
    code = check_pass(cli, name);
    if (code) return code;
    ARENA_PUSH(arena, disabled, n, capacity, name);
  }
  out->passes = (PipelineOptions){disabled, n, cli_option(cli, "stop-after"), NULL, false};
  if (cli_flag(cli, "dump-passes", false)) {
    out->passes.dump = stderr;
    out->passes.time = true;
  }
  return check_pass(cli, out->passes.stop_after);
}
