// Passes on graphs written as text: tests/compiler/passes/NAME.graph.
//
// Lines at the top of a file say what to do and what must come out:
//   # pass affine cse       passes to run, in this order
//   # training              the context says that the graph is a training step
//   # memory 65536          no more bytes than that for all values
//   # exact                 only rewrites that keep every bit
//   # grad                  first the gradients of output loss by all parameters become outputs
//   # step                  first the graph becomes a training step
//   # expect conv2d 1, mul 0, setup 2   how many nodes of these ops (or marked setup) must remain
// A section after the line "=== expect" is the text that the graph must have afterwards; BLESS=1 rewrites it.
// In every case the outputs and updates must keep their values on random leaves, and a second run must change nothing.
#include <dirent.h>

#include "compiler/pass/pass.h"
#include "runtime/base/file.h"
#include "tests/check.h"
#include "tests/compiler/values.h"

#define DIRECTORY "tests/compiler/passes"
#define EXPECT    "\n=== expect\n"
#define TOLERANCE 2e-5
enum { MAX_FILES = 256, MAX_PASSES = 8 };

typedef struct Pass {
  const char *name;
  PassFn *run;
} Pass;

static const Pass all_passes[] = {
#define PASS(name, doc) {#name, pass_##name},
    PASS_LIST(PASS)
#undef PASS
};
enum { N_ALL = sizeof all_passes / sizeof *all_passes };

static int times_tested[N_ALL];

typedef struct Job {
  Arena *arena;
  const char *path;
  char *text, *wanted; // of the graph, and of the section to expect (NULL if there is none)
  const Pass *pass[MAX_PASSES];
  int n_passes;
  PassContext context;
  bool with_grad, with_step;
} Job;

// ---- reading

static void read_passes(Job *job, char *names) {
  char *save = NULL;
  for (char *name = strtok_r(names, " ", &save); name; name = strtok_r(NULL, " ", &save)) {
    const Pass *found = NULL;
    for (int i = 0; i < N_ALL; i++) {
      if (strcmp(all_passes[i].name, name)) continue;
      found = &all_passes[i];
      times_tested[i]++;
    }
    CHECK(found && job->n_passes < MAX_PASSES, "%s: pass %s", job->path, name);
    if (found && job->n_passes < MAX_PASSES) job->pass[job->n_passes++] = found;
  }
}

// Calls `act` with what stands behind "# key" on each such line.
static void for_directives(Job *job, const char *key, void (*act)(Job *, char *)) {
  char *text = arena_strdup(job->arena, job->text), *save = NULL;
  size_t n = strlen(key);
  for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
    if (strncmp(line, "# ", 2) || strncmp(line + 2, key, n) || (line[2 + n] && line[2 + n] != ' ')) continue;
    act(job, line + 2 + n);
  }
}

static void set_training(Job *job, char *rest) { job->context.is_training = !*rest; }
static void set_exact(Job *job, char *rest) { job->context.exact = !*rest; }
static void set_memory(Job *job, char *rest) {
  job->context.memory = ARENA_ARRAY(job->arena, MemoryBudget, 1);
  job->context.memory->bytes = atoll(rest);
}
static void set_grad(Job *job, char *rest) { job->with_grad = !*rest; }
static void set_step(Job *job, char *rest) { job->with_step = !*rest; }

static bool read_job(Job *job) {
  Text text = {0};
  Status status = file_read(job->path, &text);
  CHECK(!status, "%s: %s", job->path, status_message(status));
  status_free(status);
  job->text = arena_strdup(job->arena, text_get(&text));
  text_free(&text);
  char *section = strstr(job->text, EXPECT);
  if (section) {
    job->wanted = section + strlen(EXPECT);
    section[1] = 0;
  }
  for_directives(job, "pass", read_passes);
  for_directives(job, "training", set_training);
  for_directives(job, "exact", set_exact);
  for_directives(job, "memory", set_memory);
  for_directives(job, "grad", set_grad);
  for_directives(job, "step", set_step);
  CHECK(job->n_passes > 0, "%s names no pass", job->path);
  return job->n_passes > 0;
}

// ---- building

static void add_gradients(Job *job, Graph *graph, Diag *diag) {
  Node **wrt = ARENA_ARRAY(job->arena, Node *, graph->n_nodes),
       **grads = ARENA_ARRAY(job->arena, Node *, graph->n_nodes);
  int n = 0;
  for (int i = 0; i < graph->n_nodes; i++) {
    const Node *node = graph->nodes[i];
    if (node->op == OP_param || node->op == OP_input) wrt[n++] = graph->nodes[i];
  }
  Node *loss = graph_find_output(graph, "loss");
  CHECK(loss && grad_build(graph, loss, wrt, n, grads, diag), "%s: gradients", job->path);
  for (int i = 0; i < n; i++) {
    graph_output(graph, arena_printf(job->arena, "grad.%s", wrt[i]->name), grads[i], false);
  }
  graph_sort(graph);
}

static Graph *build(Job *job) {
  Diag *diag = diag_new(job->arena, 20);
  diag_add_source(diag, job->path, job->text);
  Graph *graph = graph_parse(job->arena, job->path, job->text, diag);
  if (graph && job->with_grad) add_gradients(job, graph, diag);
  StepOptions options = {.beta2 = 0.999, .eps = 1e-8, .weight_decay = 0.01, .clip = 0.1};
  if (graph && job->with_step) step_build(graph, &options, diag);
  if (diag_errors(diag)) {
    Text why = {0};
    diag_print(diag, &why, false);
    CHECK(false, "%s: %s", job->path, text_get(&why));
    text_free(&why);
    return NULL;
  }
  return graph;
}

// ---- checking

static Values evaluate(Job *job, const Graph *graph) {
  Values values = values_new(job->arena, graph);
  values_fill(&values, graph, -1, 1);
  values_run(&values, graph);
  return values;
}

static void check_equal(const Job *job, const char *what, const Node *a, const float *x, const float *y) {
  double largest = 1e-3, worst = 0;
  for (int64_t i = 0; i < shape_elements(a->shape); i++) {
    if (!(fabs((double)x[i]) <= largest)) largest = fabs((double)x[i]);
    double error = fabs((double)x[i] - (double)y[i]);
    if (!(error <= worst)) worst = error;
  }
  CHECK(worst <= (job->context.exact ? 0 : TOLERANCE * largest), "%s: %s changed by %g of %g", job->path, what, worst,
        largest);
}

static void check_values(Job *job, const Graph *before, const Graph *after) {
  Values x = evaluate(job, before), y = evaluate(job, after);
  CHECK(before->n_outputs == after->n_outputs && before->n_updates == after->n_updates, "%s: results", job->path);
  for (int i = 0; i < before->n_outputs; i++) {
    const Node *a = before->outputs[i].node, *b = graph_find_output(after, before->outputs[i].name);
    CHECK(b && shape_equal(a->shape, b->shape), "%s: output %s", job->path, before->outputs[i].name);
    if (b) check_equal(job, before->outputs[i].name, a, x.of[a->id], y.of[b->id]);
  }
  for (int i = 0; i < before->n_updates && i < after->n_updates; i++) {
    const Node *a = before->updates[i].value, *b = after->updates[i].value;
    CHECK_TEXT(after->updates[i].leaf->name, before->updates[i].leaf->name, "%s: update", job->path);
    check_equal(job, before->updates[i].leaf->name, a, x.of[a->id], y.of[b->id]);
  }
}

static int count_nodes(const Graph *graph, const char *what) {
  int n = 0;
  bool is_setup = !strcmp(what, "setup");
  Op op = op_by_name(what);
  for (int i = 0; i < graph->n_nodes; i++) {
    n += is_setup ? graph->nodes[i]->is_setup : graph->nodes[i]->op == op;
  }
  return is_setup || op != OP_COUNT ? n : -1;
}

static const Graph *counted; // by check_counts, which for_directives cannot hand anything else

static void check_counts(Job *job, char *list) {
  char *save = NULL;
  for (char *item = strtok_r(list, ",", &save); item; item = strtok_r(NULL, ",", &save)) {
    char what[64];
    int want;
    CHECK(sscanf(item, " %63s %d", what, &want) == 2, "%s: expect '%s'", job->path, item);
    int got = count_nodes(counted, what);
    CHECK(got == want, "%s: %d nodes of %s remain, %d expected", job->path, got, what, want);
  }
}

static void check_text(Job *job, const Graph *graph) {
  if (!job->wanted) return;
  Text got = {0};
  graph_print(graph, &got);
  if (!getenv("BLESS")) {
    CHECK_TEXT(text_get(&got), job->wanted, "%s", job->path);
  } else if (strcmp(text_get(&got), job->wanted)) {
    Text whole = {0};
    text_printf(&whole, "%s%s%s", job->text, EXPECT + 1, text_get(&got));
    Status status = file_write(job->path, whole.data, whole.size);
    CHECK(!status, "%s: %s", job->path, status_message(status));
    status_free(status);
    text_free(&whole);
  }
  text_free(&got);
}

static bool run_passes(Job *job, Graph *graph) {
  bool is_changed = false;
  for (int i = 0; i < job->n_passes; i++) {
    is_changed |= job->pass[i]->run(&job->context, graph);
    Text why = {0};
    CHECK(graph_verify(graph, &why), "%s: after %s: %s", job->path, job->pass[i]->name, text_get(&why));
    text_free(&why);
  }
  return is_changed;
}

static void check_file(const char *path) {
  Job job = {.arena = arena_new(), .path = path, .context = {.target = target_reference()}};
  Graph *before = read_job(&job) ? build(&job) : NULL, *after = before ? build(&job) : NULL;
  if (after) {
    run_passes(&job, after);
    check_values(&job, before, after);
    counted = after;
    for_directives(&job, "expect", check_counts);
    check_text(&job, after);
    CHECK(!run_passes(&job, after), "%s: a second run changes something", path);
    CHECK(!job.context.memory || !job.context.memory->least, "%s: the memory is not enough", path);
  }
  arena_free(job.arena);
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

int main(void) {
  Arena *arena = arena_new();
  DIR *directory = opendir(DIRECTORY);
  CHECK(directory != NULL, "%s", DIRECTORY);
  char *paths[MAX_FILES];
  int n = 0;
  for (struct dirent *entry; directory && (entry = readdir(directory));) {
    const char *end = strrchr(entry->d_name, '.');
    if (!end || strcmp(end, ".graph")) continue;
    CHECK(n < MAX_FILES, "too many files");
    if (n < MAX_FILES) paths[n++] = arena_printf(arena, "%s/%s", DIRECTORY, entry->d_name);
  }
  if (directory) closedir(directory);
  qsort(paths, (size_t)n, sizeof *paths, by_name);
  for (int i = 0; i < n; i++) check_file(paths[i]);
  // those that choose kernels and storage, and the one for several devices, have tests of their own
  for (int i = 0; i < N_ALL && strcmp(all_passes[i].name, "layout"); i++) {
    if (strcmp(all_passes[i].name, "shard")) CHECK(times_tested[i] > 0, "pass %s has no file", all_passes[i].name);
  }
  arena_free(arena);
  return check_report("passes");
}
