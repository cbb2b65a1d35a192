// Queues over random DAGs and over networks of independent branches: every dependence is kept, no memory is shared by
// steps that may run at the same time, and branches do run side by side, as do the lanes of sums over devices.
#include "compiler/compiler.h"
#include "compiler/plan/plan.h"
#include "lang/lang.h"
#include "runtime/base/random.h"
#include "tests/compiler/plan_case.h"

// Which steps are certainly done when a step begins, from queues and waits alone.
static bool *find_done(int n, const int *queue, int *const *waits, const int *n_waits, Arena *arena) {
  bool *done = ARENA_ARRAY(arena, bool, (size_t)n *(size_t)n + 1);
  for (int i = 0; i < n; i++) {
    bool *own = done + (size_t)i * (size_t)n;
    for (int k = 0; k < i; k++) {
      bool is_direct = queue[k] == queue[i];
      for (int w = 0; w < n_waits[i]; w++) is_direct |= waits[i][w] == k;
      if (!is_direct) continue;
      own[k] = true;
      for (int j = 0; j < k; j++) own[j] |= done[(size_t)k * (size_t)n + (size_t)j];
    }
  }
  return done;
}

static void test_random(void) {
  int n_waits_in_all = 0, n_needed = 0;
  for (int round = 0; round < 100; round++) {
    Arena *arena = arena_new();
    Random random = random_substream(random_stream(7, "queues"), (uint64_t)round);
    int n = 1 + (int)random_below(&random, 60), n_queues = 1 + (int)random_below(&random, MAX_QUEUES);
    QueueStep *steps = ARENA_ARRAY(arena, QueueStep, n);
    for (int i = 0; i < n; i++) {
      int n_before = i ? (int)random_below(&random, 3) : 0;
      int *before = ARENA_ARRAY(arena, int, 3);
      for (int k = 0; k < n_before; k++) before[k] = (int)random_below(&random, (uint32_t)i);
      steps[i] = (QueueStep){before, n_before, 1 + random_below(&random, 100),
                             random_below(&random, 10) ? -1 : (int)random_below(&random, LANE_COUNT)};
    }
    int *queue = ARENA_ARRAY(arena, int, n), *n_waits = ARENA_ARRAY(arena, int, n), n_wrong = 0;
    int **waits = ARENA_ARRAY(arena, int *, n);
    QueueClock *clocks = ARENA_ARRAY(arena, QueueClock, n);
    queues_assign(steps, n, n_queues, arena, queue);
    queues_wait(steps, n, queue, arena, clocks, waits, n_waits);
    const bool *done = find_done(n, queue, waits, n_waits, arena);
    for (int i = 0; i < n; i++) {
      n_wrong += steps[i].lane >= 0 ? queue[i] != MAX_QUEUES + steps[i].lane : queue[i] < 0 || queue[i] >= n_queues;
      for (int k = 0; k < steps[i].n_before; k++) {
        n_wrong += !done[(size_t)i * (size_t)n + (size_t)steps[i].before[k]];
        n_needed += queue[steps[i].before[k]] != queue[i];
      }
      for (int k = 0; k < i; k++) n_wrong += done[(size_t)i * (size_t)n + (size_t)k] != (clocks[i].at[queue[k]] >= k);
      for (int w = 0; w < n_waits[i]; w++) n_wrong += queue[waits[i][w]] == queue[i];
      n_waits_in_all += n_waits[i];
    }
    CHECK(!n_wrong, "round %d: %d dependences or clocks are wrong", round, n_wrong);
    arena_free(arena);
  }
  CHECK(n_waits_in_all < n_needed, "%d waits for %d dependences between queues", n_waits_in_all, n_needed);
}

// ---- programs -------------------------------------------------------------------------------------------------------

// `n` branches of `length` convolutions each on one input, added up; the first branch also feeds the last one's end.
static const char *branches(Arena *arena, int n, int length) {
  Text text = {0};
  text_put(&text, "graph branches\n%x = input \"x\" : [1, 8, 16, 16]\n");
  for (int b = 0; b < n; b++) {
    for (int k = 0; k < length; k++) {
      text_printf(&text, "%%w%d_%d = param \"w%d.%d\" init=normal(0, 0.1) : [8, 8, 3, 3]\n", b, k, b, k);
      if (k) text_printf(&text, "%%c%d_%d = conv2d(%%r%d_%d, %%w%d_%d) padding=1\n", b, k, b, k - 1, b, k);
      else text_printf(&text, "%%c%d_0 = conv2d(%%x, %%w%d_0) padding=1\n", b, b);
      text_printf(&text, "%%r%d_%d = relu(%%c%d_%d)\n", b, k, b, k);
    }
  }
  text_printf(&text, "%%s0 = add(%%r0_%d, %%x)\n", length - 1);
  for (int b = 1; b < n; b++) text_printf(&text, "%%s%d = add(%%s%d, %%r%d_%d)\n", b, b - 1, b, length - 1);
  text_printf(&text, "output \"y\" = %%s%d\n", n - 1);
  const char *copy = arena_strdup(arena, text_get(&text));
  text_free(&text);
  return copy;
}

// Of one buffer, those that begin at different places are parts of a concat.
static bool overlap(const Program *program, const Step *a, int k, const Step *b, int j) {
  if (a->arg_buffer[k] == b->arg_buffer[j]) return a->arg_offset[k] == b->arg_offset[j];
  const Buffer *x = &program->buffers[a->arg_buffer[k]], *y = &program->buffers[b->arg_buffer[j]];
  if (buffer_in_slab(x) != buffer_in_slab(y)) return false;
  return x->offset < y->offset + y->size && y->offset < x->offset + x->size;
}

static bool is_written(const Step *step, int k) {
  return k % (step->n_args / (step->rows ? step->rows : 1)) >= step->n_read;
}

// Pairs of steps that may run at the same time though one writes what the other touches.
static int count_conflicts(const Program *program, Arena *arena, int *out_n_parallel) {
  int n = program->n_steps, n_conflicts = 0;
  int *queue = ARENA_ARRAY(arena, int, n + 1), *n_waits = ARENA_ARRAY(arena, int, n + 1);
  int **waits = ARENA_ARRAY(arena, int *, n + 1);
  for (int i = 0; i < n; i++) {
    queue[i] = program->steps[i].queue;
    waits[i] = (int *)program->steps[i].waits;
    n_waits[i] = program->steps[i].n_waits;
  }
  const bool *done = find_done(n, queue, waits, n_waits, arena);
  *out_n_parallel = 0;
  for (int i = 0; i < n; i++) {
    for (int j = 0; j < i; j++) {
      if (done[(size_t)i * (size_t)n + (size_t)j]) continue;
      ++*out_n_parallel;
      const Step *a = &program->steps[i], *b = &program->steps[j];
      for (int k = 0; k < a->n_args; k++) {
        for (int m = 0; m < b->n_args; m++)
          n_conflicts += (is_written(a, k) || is_written(b, m)) && overlap(program, a, k, b, m);
      }
    }
  }
  return n_conflicts;
}

static Program *compile_branches(Arena *arena, int n, int length, int n_queues) {
  Graph *graph = plan_parse(arena, branches(arena, n, length));
  Target target = plan_target;
  target.queues = n_queues;
  Program *program = NULL;
  Status status = compile(graph, &(CompileOptions){.target = &target}, &program);
  CHECK(!status, "%s", status_message(status));
  return program;
}

static void test_branches(void) {
  for (int n = 1; n <= 6; n++) {
    Arena *arena = arena_new();
    Program *program = compile_branches(arena, n, 5, MAX_QUEUES), *serial = compile_branches(arena, n, 5, 1);
    int n_parallel, n_serial, n_waits = 0, n_queues = 0;
    int n_conflicts = count_conflicts(program, arena, &n_parallel);
    bool is_used[MAX_QUEUES] = {0};
    for (int i = 0; i < program->n_steps; i++) {
      n_waits += program->steps[i].n_waits;
      n_queues += !is_used[program->steps[i].queue];
      is_used[program->steps[i].queue] = true;
    }
    CHECK(!n_conflicts, "%d branches: %d pairs of steps share memory", n, n_conflicts);
    int least = n < MAX_QUEUES ? n : MAX_QUEUES; // a copy beside them may have one too
    CHECK(n_queues >= least, "%d branches on %d queues", n, n_queues);
    CHECK(n_waits <= 2 * (n_queues - 1) + n, "%d branches: %d waits", n, n_waits);
    CHECK(n == 1 || n_parallel >= 25 * (least - 1), "%d branches: %d pairs side by side", n, n_parallel);
    CHECK(!count_conflicts(serial, arena, &n_serial) && n_serial == 0, "one queue runs in order");
    CHECK(serial->slab <= program->slab, "side by side takes no less memory");
    Text text = {0};
    Program *copy = NULL;
    Status status = program_print(program, &text);
    if (!status) status = program_parse("copy", text_get(&text), text.size, &copy);
    CHECK(!status && copy->n_steps == program->n_steps, "%s", status_message(status));
    for (int i = 0; !status && i < program->n_steps; i++)
      CHECK(copy->steps[i].queue == program->steps[i].queue && copy->steps[i].n_waits == program->steps[i].n_waits,
            "step %d on another queue", i);
    text_free(&text);
    program_free(copy);
    program_free(program);
    program_free(serial);
    arena_free(arena);
  }
}

// ---- lanes ----------------------------------------------------------------------------------------------------------

// A training step of a device that shares the batch, on a GPU.
static Program *compile_share(Arena *arena, int64_t samples, int64_t bucket) {
  static const char *const directories[] = {"stdlib", "models"};
  static const LangBinding bindings[] = {{"width", "32"}, {"N", "5"}, {"H", "32"}, {"W", "32"}};
  LangPaths paths = {directories, 2, NULL};
  Diag *diag = diag_new(arena, 20);
  LangFile *file = lang_load(arena, "models/ghost_unet.net", &paths, diag);
  LangOptions options = {NULL, bindings, 4, true, true};
  Graph *graph = file ? lang_elaborate(file, &options, diag) : NULL;
  StepOptions step = {.beta2 = 0.999, .eps = 1e-8, .weight_decay = 1e-4, .clip = 0.5};
  bool is_good = graph && step_build(graph, &step, diag);
  CHECK(is_good, "the step of ghost_unet");
  if (!is_good) return NULL;
  Shard shard = {2, 5, samples, bucket};
  Program *program = NULL;
  CompileOptions compiling = {.target = target_cuda(80), .is_training = true, .shard = &shard, .diag = diag};
  Status status = compile(graph, &compiling, &program);
  CHECK(!status, "%s", status_message(status));
  status_free(status);
  return program;
}

static bool is_sum_in(const Step *step, int queue) { return step->kind == STEP_ALL_REDUCE && step->queue == queue; }

// Urgent sums (batch norm's, forward and backward) come behind buckets of gradients in the order of all devices, and
// yet nothing makes them wait for one, nor any step that computes until the backward pass is over. And devices of
// unequal shares have the same sums in the same order.
static void test_lanes(void) {
  Arena *arena = arena_new();
  Program *program = compile_share(arena, 3, 200000), *other = compile_share(arena, 2, 200000);
  int n = program ? program->n_steps : 0, n_urgent = 0, n_large = 0, n_behind = 0, n_waiting = 0, n_parallel;
  int *queue = ARENA_ARRAY(arena, int, n + 1), *n_waits = ARENA_ARRAY(arena, int, n + 1), last_urgent = -1;
  int **waits = ARENA_ARRAY(arena, int *, n + 1);
  for (int i = 0; i < n; i++) {
    queue[i] = program->steps[i].queue;
    waits[i] = (int *)program->steps[i].waits;
    n_waits[i] = program->steps[i].n_waits;
    if (is_sum_in(&program->steps[i], QUEUE_URGENT)) last_urgent = i;
  }
  const bool *done = find_done(n, queue, waits, n_waits, arena);
  for (int i = 0; i < n; i++) {
    const Step *step = &program->steps[i];
    n_large += is_sum_in(step, QUEUE_COLLECTIVE);
    n_urgent += is_sum_in(step, QUEUE_URGENT);
    n_behind += is_sum_in(step, QUEUE_URGENT) && n_large > 0;
    for (int k = 0; k < i && i <= last_urgent && !is_sum_in(step, QUEUE_COLLECTIVE); k++)
      n_waiting += is_sum_in(&program->steps[k], QUEUE_COLLECTIVE) && done[(size_t)i * (size_t)n + (size_t)k];
  }
  if (getenv("VERBOSE")) printf("%d urgent sums, %d behind one of %d buckets\n", n_urgent, n_behind, n_large);
  CHECK(n_large >= 4 && n_behind >= 8, "%d urgent sums, %d behind one of %d buckets", n_urgent, n_behind, n_large);
  CHECK(!n_waiting, "%d times a bucket is waited for before the last urgent sum is under way", n_waiting);
  CHECK(!n || !count_conflicts(program, arena, &n_parallel), "steps of different lanes share memory");
  int at = 0, n_unlike = 0;
  for (int i = 0; i < n; i++) {
    const Step *step = &program->steps[i];
    if (step->kind != STEP_ALL_REDUCE) continue;
    while (other && at < other->n_steps && other->steps[at].kind != STEP_ALL_REDUCE) at++;
    const Step *twin = other && at < other->n_steps ? &other->steps[at++] : NULL;
    n_unlike += !twin || twin->queue != step->queue || twin->n_tasks != step->n_tasks;
  }
  CHECK(!n_unlike, "%d of %d sums differ between shares of 3 and 2 samples", n_unlike, n_urgent + n_large);
  program_free(program);
  program_free(other);
  arena_free(arena);
}

// All devices begin sums in the order that the graph says, also one that could begin earlier in a lane of its own; it
// waits for nothing of the other lane.
static void test_lane_order(void) {
  Arena *arena = arena_new();
  Graph *graph = plan_parse(arena, "graph order\n"
                                   "%x = input \"x\" : [1, 8, 16, 16]\n"
                                   "%w = param \"w\" init=normal(0, 0.1) : [8, 8, 3, 3]\n"
                                   "%c = conv2d(%x, %w) padding=1\n"
                                   "%a = all_reduce(%c) which=sum\n"
                                   "%b = all_reduce(%w, %a) which=sum lane=1\n"
                                   "output \"a\" = %a\n"
                                   "output \"b\" = %b\n");
  Program *program = NULL;
  Target target = plan_target;
  target.queues = 2;
  Status status = graph ? compile(graph, &(CompileOptions){.target = &target}, &program) : STATUS_OK;
  CHECK(program, "%s", status_message(status));
  int place[2] = {-1, -1};
  for (int i = 0; program && i < program->n_steps; i++) {
    if (is_sum_in(&program->steps[i], QUEUE_COLLECTIVE)) place[0] = i;
    if (is_sum_in(&program->steps[i], QUEUE_URGENT)) place[1] = i;
  }
  CHECK(place[0] >= 0 && place[1] > place[0], "sums stand at %d and %d", place[0], place[1]);
  for (int k = 0; place[1] >= 0 && k < program->steps[place[1]].n_waits; k++)
    CHECK(program->steps[place[1]].waits[k] != place[0], "the second waits for the first");
  program_free(program);
  arena_free(arena);
}

int main(void) {
  test_random();
  test_branches();
  test_lanes();
  test_lane_order();
  return check_report("queues");
}
