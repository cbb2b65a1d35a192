// Places and orders over random lifetimes and DAGs, and whole programs of random graphs: that no step reads what
// another one has written over is checked by following the steps, and by their numbers.
#include "compiler/compiler.h"
#include "compiler/ops/eval.h"
#include "compiler/plan/plan.h"
#include "runtime/base/random.h"
#include "runtime/exec.h"
#include "runtime/kernel_cache.h"
#include "tests/check.h"

// ---- places ---------------------------------------------------------------------------------------------------------

static void test_place(void) {
  double worst = 0, sum = 0;
  enum { ROUNDS = 200 };
  for (int round = 0; round < ROUNDS; round++) {
    Arena *arena = arena_new();
    Random random = random_substream(random_stream(1, "place"), (uint64_t)round);
    int n = 1 + (int)random_below(&random, 120);
    MemoryItem *items = ARENA_ARRAY(arena, MemoryItem, n);
    for (int i = 0; i < n; i++) {
      int first = (int)random_below(&random, 100);
      items[i] = (MemoryItem){
          .size = random_below(&random, 3000), .first = first, .last = first + (int)random_below(&random, 12)};
    }
    int64_t peak = memory_place(items, n, arena), bound = memory_bound(items, n);
    int n_overlaps = 0, n_outside = 0;
    for (int a = 0; a < n; a++) {
      n_outside += items[a].offset < 0 || items[a].offset % PROGRAM_ALIGN || items[a].offset + items[a].size > peak;
      for (int b = 0; b < a; b++) {
        bool in_time = items[a].first <= items[b].last && items[b].first <= items[a].last;
        bool in_space =
            items[a].offset < items[b].offset + items[b].size && items[b].offset < items[a].offset + items[a].size;
        n_overlaps += in_time && in_space && items[a].size && items[b].size;
      }
    }
    CHECK(!n_overlaps && !n_outside, "round %d: %d overlap, %d lie outside", round, n_overlaps, n_outside);
    CHECK(peak >= bound, "round %d: peak %lld under the bound %lld", round, (long long)peak, (long long)bound);
    double ratio = bound ? (double)peak / (double)bound : 1;
    sum += ratio;
    if (ratio > worst) worst = ratio;
    arena_free(arena);
  }
  CHECK(sum / ROUNDS < 1.1 && worst < 1.5, "places waste %.3f on average, %.3f at worst", sum / ROUNDS, worst);
}

static void test_bound(void) {
  MemoryItem items[] = {
      {.size = 64, .first = 0, .last = 2}, {.size = 100, .first = 2, .last = 3}, {.size = 64, .first = 3, .last = 4}};
  CHECK(memory_bound(items, 3) == 192, "bound %lld", (long long)memory_bound(items, 3));
  Arena *arena = arena_new();
  CHECK(memory_place(items, 3, arena) == 192, "three items in a chain need two places");
  CHECK(memory_place(items, 0, arena) == 0, "nothing needs nothing");
  arena_free(arena);
}

// ---- orders --------------------------------------------------------------------------------------------------------

static void test_order(void) {
  int n_better = 0;
  for (int round = 0; round < 100; round++) {
    Arena *arena = arena_new();
    Random random = random_substream(random_stream(2, "order"), (uint64_t)round);
    int n = 1 + (int)random_below(&random, 60);
    OrderStep *steps = ARENA_ARRAY(arena, OrderStep, n);
    int64_t *size = ARENA_ARRAY(arena, int64_t, n);
    int *given = ARENA_ARRAY(arena, int, n), *order = ARENA_ARRAY(arena, int, n), *again = ARENA_ARRAY(arena, int, n);
    for (int i = 0; i < n; i++) { // step i writes buffer i and reads some before it
      int n_in = i ? (int)random_below(&random, 3) : 0;
      int *before = ARENA_ARRAY(arena, int, 3), *touches = ARENA_ARRAY(arena, int, 4);
      for (int k = 0; k < n_in; k++) before[k] = touches[k] = (int)random_below(&random, (uint32_t)i);
      if (n_in == 2 && before[0] == before[1]) n_in = 1;
      touches[n_in] = i;
      steps[i] = (OrderStep){before, n_in, touches, n_in + 1, -1};
      size[i] = 1 + random_below(&random, 1000);
      given[i] = i;
    }
    order_steps(steps, n, size, n, false, arena, order);
    order_steps(steps, n, size, n, false, arena, again);
    CHECK(!memcmp(order, again, sizeof *order * (size_t)n), "round %d: two orders for one question", round);
    int *place = ARENA_ARRAY(arena, int, n);
    for (int i = 0; i < n; i++) place[i] = -1;
    for (int i = 0; i < n; i++)
      if (order[i] >= 0 && order[i] < n) place[order[i]] = i;
    int n_wrong = 0;
    for (int i = 0; i < n; i++) {
      n_wrong += place[i] < 0;
      for (int k = 0; k < steps[i].n_before; k++) n_wrong += place[steps[i].before[k]] >= place[i];
    }
    CHECK(!n_wrong, "round %d: %d steps stand wrong", round, n_wrong);
    int64_t before = order_peak(steps, n, size, n, given, arena), after = order_peak(steps, n, size, n, order, arena);
    CHECK(after <= before, "round %d: the order made it worse", round);
    n_better += after < before;
    arena_free(arena);
  }
  CHECK(n_better > 50, "the greedy order helped only %d times of 100", n_better);
}

// All-reduces go off as soon as their operand is there; who reads one comes late, who reads a large one last.
static void test_order_collectives(void) {
  // 0: -> a   1: a -> A (large)   2: a -> U (urgent)   3: A -> r   4: U -> s   5: a -> b   6: s, b -> c
  const int on_0[] = {0}, on_1[] = {1}, on_2[] = {2}, on_4_5[] = {4, 5}, t0[] = {0}, t1[] = {0, 1}, t2[] = {0, 2},
            t3[] = {1, 3}, t4[] = {2, 4}, t5[] = {0, 5}, t6[] = {4, 5, 6};
  const OrderStep steps[] = {{NULL, 0, t0, 1, -1},  {on_0, 1, t1, 2, LANE_LARGE}, {on_0, 1, t2, 2, LANE_URGENT},
                             {on_1, 1, t3, 2, -1},  {on_2, 1, t4, 2, -1},         {on_0, 1, t5, 2, -1},
                             {on_4_5, 2, t6, 3, -1}};
  enum { N = sizeof steps / sizeof *steps };
  const int64_t size[N] = {10, 10, 10, 1, 10, 10, 10};
  const int want[N] = {0, 1, 2, 5, 4, 6, 3};
  int order[N];
  Arena *arena = arena_new();
  order_steps(steps, N, size, N, false, arena, order);
  for (int i = 0; i < N; i++) CHECK(order[i] == want[i], "place %d: step %d, not %d", i, order[i], want[i]);
  arena_free(arena);
}

// Two chains of large values that meet in small ones: run one after the other, not side by side.
static void test_order_chains(void) {
  // 0: -> a (100)   1: -> b (100)   2: a -> c (1)   3: b -> d (1)   4: c, d -> e
  const int b2[] = {0}, b3[] = {1}, b4[] = {2, 3}, t0[] = {0}, t1[] = {1}, t2[] = {0, 2}, t3[] = {1, 3},
            t4[] = {2, 3, 4};
  const OrderStep steps[] = {
      {NULL, 0, t0, 1, -1}, {NULL, 0, t1, 1, -1}, {b2, 1, t2, 2, -1}, {b3, 1, t3, 2, -1}, {b4, 2, t4, 3, -1}};
  const int64_t size[] = {100, 100, 1, 1, 1};
  int order[5];
  Arena *arena = arena_new();
  order_steps(steps, 5, size, 5, false, arena, order);
  CHECK(order_peak(steps, 5, size, 5, order, arena) == 102, "peak %lld",
        (long long)order_peak(steps, 5, size, 5, order, arena));
  arena_free(arena);
}

// ---- programs ------------------------------------------------------------------------------------------------------

// A random network of a few forms of values, whose numbers stay small; with outputs, updates, views and concats.
static Graph *random_network(Arena *arena, uint64_t seed) {
  Random random = random_substream(random_stream(3, "network"), seed);
  Graph *graph = graph_new(arena, "random");
  Node *value[64];
  int n = 0;
  int64_t images = 1 + random_below(&random, 2), size = 3 + random_below(&random, 6);
  for (int i = 0; i < 3; i++) {
    Shape shape = SHAPE(images, 1 + (int64_t)random_below(&random, 20), size, size);
    char name[24];
    snprintf(name, sizeof name, "leaf%d", i);
    value[n++] = i == 2 ? graph_state(graph, name, shape, (Init){0}) : graph_input(graph, name, shape);
  }
  Node *state = value[2];
  while (n < 24) {
    Node *x = value[random_below(&random, (uint32_t)n)], *y = value[random_below(&random, (uint32_t)n)];
    int64_t channels = x->shape.dim[1];
    Node *z = NULL;
    switch (random_below(&random, 9)) {
    case 0: z = graph_unary(graph, OP_tanh, x); break;
    case 1: z = graph_unary(graph, OP_relu, x); break;
    case 2:
    case 3:
      if (y->shape.dim[1] == channels) z = graph_unary(graph, OP_tanh, graph_binary(graph, OP_sub, x, y));
      break;
    case 4: {
      AttrValue axis[OP_MAX_ATTRS] = {{.i = 1}};
      if (channels + y->shape.dim[1] < 60) z = graph_add(graph, OP_concat, (Node *[]){x, y}, 2, axis);
      break;
    }
    case 5:
      if (channels > 1) z = graph_slice(graph, x, 1, channels / 3, channels);
      break;
    case 6: z = graph_sum(graph, x, (int[]){2, 3}, 2, true); break;
    case 7: {
      char name[24];
      snprintf(name, sizeof name, "w%d", n);
      int64_t out = 1 + random_below(&random, 20);
      Node *w = graph_param(graph, name, SHAPE(out, channels, 1, 1), (Init){0});
      AttrValue attrs[OP_MAX_ATTRS] = {{.i = 1}, {.i = 0}, {.i = 1}, {.i = 1}};
      z = graph_unary(graph, OP_tanh, graph_add(graph, OP_conv2d, (Node *[]){x, w}, 2, attrs));
      break;
    }
    case 8: z = graph_reshape(graph, graph_unary(graph, OP_neg, x), x->shape); break;
    }
    if (!z) continue;
    if (z->shape.dim[2] != size)
      z = graph_unary(graph, OP_tanh, graph_binary(graph, OP_add, z, graph_slice(graph, x, 1, 0, 1)));
    if (shape_equal(z->shape, state->shape) && !graph->n_updates) graph_update(graph, state, z);
    if (!random_below(&random, 6)) graph_output(graph, arena_printf(arena, "out%d", n), z, false);
    value[n++] = z;
  }
  graph_output(graph, "last", value[n - 1], false);
  graph_sort(graph);
  return graph;
}

// Follows the steps over the slab: every piece of it knows which buffer holds it. Counts reads and later writes of a
// buffer whose memory has gone to another one.
static int count_overwritten(const Program *program) {
  int64_t units = program->slab / PROGRAM_ALIGN;
  int *owner = malloc((size_t)(units + 1) * sizeof *owner), n_wrong = 0;
  bool *is_written = calloc((size_t)program->n_buffers + 1, sizeof *is_written);
  for (int64_t u = 0; u < units; u++) owner[u] = -1;
  for (int b = 0; b < program->n_buffers; b++) {
    const Buffer *buffer = &program->buffers[b];
    for (int64_t u = buffer->offset / PROGRAM_ALIGN;
         buffer->is_brief && u * PROGRAM_ALIGN < buffer->offset + buffer->size; u++) {
      n_wrong += owner[u] >= 0; // all are set before the first step
      owner[u] = b;
    }
  }
  for (int i = 0; i < program->n_setup + program->n_steps; i++) {
    const Step *step = i < program->n_setup ? &program->setup[i] : &program->steps[i - program->n_setup];
    for (int k = 0; k < step->n_args; k++) { // reads come first
      int b = step->arg_buffer[k];
      const Buffer *buffer = &program->buffers[b];
      if (!buffer_in_slab(buffer)) continue;
      bool is_first = k >= step->n_read && !is_written[b];
      for (int64_t u = buffer->offset / PROGRAM_ALIGN; u * PROGRAM_ALIGN < buffer->offset + buffer->size; u++) {
        n_wrong += !is_first && owner[u] != b;
        owner[u] = b;
      }
      if (k >= step->n_read) is_written[b] = true;
    }
  }
  free(owner);
  free(is_written);
  return n_wrong;
}

static int count_shared(const Program *program) { // pairs of kept buffers that overlap
  int n = 0;
  for (int a = 0; a < program->n_buffers; a++) {
    for (int b = 0; b < a; b++) {
      const Buffer *x = &program->buffers[a], *y = &program->buffers[b];
      if (buffer_in_slab(x) || buffer_in_slab(y)) continue;
      n += x->offset < y->offset + y->size && y->offset < x->offset + x->size;
    }
  }
  return n;
}

static int count_taken_over(const Program *program) { // results that stand where an operand stood
  int n = 0;
  for (int i = 0; i < program->n_steps; i++) {
    const Step *step = &program->steps[i];
    for (int k = 0; k < step->n_read; k++) {
      const Buffer *in = &program->buffers[step->arg_buffer[k]];
      for (int o = step->n_read; o < step->n_args; o++) {
        const Buffer *out = &program->buffers[step->arg_buffer[o]];
        n += in != out && in->kind == BUFFER_SLAB && out->kind == BUFFER_SLAB && in->offset == out->offset;
      }
    }
  }
  return n;
}

static void fill(const char *name, float *out, int64_t n) {
  random_fill_uniform(random_stream(9, name), out, n, -1, 1);
}

static double error_of(const float *got, const float *want, int64_t n) {
  double worst = 0;
  for (int64_t i = 0; i < n; i++) worst = fmax(worst, isfinite(got[i]) ? fabs(got[i] - want[i]) : INFINITY);
  return worst;
}

// Runs twice from the same values, as what a first run leaves in the slab must not show in a second.
static void check_numbers(const Program *program, const Graph *original, uint64_t seed, const char *target) {
  Arena *arena = arena_new();
  const float **leaf = ARENA_ARRAY(arena, const float *, original->n_nodes + 1);
  for (int i = 0; i < original->n_nodes; i++) {
    const Node *node = original->nodes[i];
    if (node->op != OP_input && node->op != OP_param && node->op != OP_state) continue;
    float *values = ARENA_ARRAY(arena, float, shape_elements(node->shape));
    fill(node->name, values, shape_elements(node->shape));
    leaf[i] = values;
  }
  const float **expected = graph_eval(original, arena, leaf);
  Device *device = NULL;
  Exec *exec = NULL;
  Status status = device_open_cpu(1 + (int)(seed % 2), &device);
  if (!status) status = exec_open(program, device, 0, &exec);
  CHECK(!status, "network %d: %s", (int)seed, status_message(status));
  for (int run = 0; run < 2 && !status; run++) {
    for (int i = 0; i < original->n_nodes; i++) {
      const Node *node = original->nodes[i];
      if (!leaf[i]) continue;
      if (node->op != OP_input) status_free(exec_set(exec, node->name, leaf[i])); // dropped if nothing needs it
      else memcpy(exec_input(exec, node->name), leaf[i], sizeof(float) * (size_t)shape_elements(node->shape));
    }
    status = exec_run(exec);
    CHECK(!status, "network %d: %s", (int)seed, status_message(status));
    for (int i = 0; i < original->n_outputs; i++) {
      const GraphOutput *output = &original->outputs[i];
      double error =
          error_of(exec_output(exec, output->name), expected[output->node->id], shape_elements(output->node->shape));
      CHECK(error < 1e-4, "network %d on %s, run %d: '%s' is off by %g", (int)seed, target, run, output->name, error);
    }
    for (int i = 0; i < original->n_updates; i++) {
      const GraphUpdate *update = &original->updates[i];
      int64_t n = shape_elements(update->leaf->shape);
      float *got = ARENA_ARRAY(arena, float, n);
      CHECK(!exec_get(exec, update->leaf->name, got), "network %d lacks its state", (int)seed);
      double error = error_of(got, expected[update->value->id], n);
      CHECK(error < 1e-4, "network %d on %s, run %d: the state is off by %g", (int)seed, target, run, error);
    }
  }
  exec_close(exec);
  device_close(device);
  arena_free(arena);
}

// Plans `n` networks and runs `n_runs` of them, first those that write over operands.
static void test_programs(const Target *target, int n, int n_runs) {
  int64_t peak = 0, total = 0;
  int n_taken_over = 0;
  for (uint64_t seed = 0; seed < (uint64_t)n; seed++) {
    Arena *arena = arena_new();
    Graph *graph = random_network(arena, seed), *original = random_network(arena, seed);
    Program *program = NULL;
    Status status = compile(graph, &(CompileOptions){.target = target}, &program);
    CHECK(!status, "%s", status_message(status));
    int n_overwritten = count_overwritten(program);
    CHECK(!n_overwritten && !count_shared(program), "network %d on %s: %d pieces of memory lost, %d kept ones shared",
          (int)seed, target->name, n_overwritten, count_shared(program));
    int taken_over = count_taken_over(program);
    n_taken_over += taken_over;
    if (n_runs > 0 && (taken_over || (uint64_t)n - seed <= (uint64_t)n_runs)) {
      check_numbers(program, original, seed, target->name);
      n_runs--;
    }
    peak += program->slab;
    for (int b = 0; b < program->n_buffers; b++) total += program->buffers[b].size;
    program_free(program);
    arena_free(arena);
  }
  CHECK(peak < total / 2, "slabs hold %lld floats of %lld", (long long)peak, (long long)total);
  CHECK(target->kind == TARGET_REFERENCE || n_taken_over > 4, "only %d results in place", n_taken_over);
}

int main(void) {
  test_place();
  test_bound();
  test_order();
  test_order_chains();
  test_order_collectives();
  test_programs(target_reference(), 60, 60);
  char *compiler = kernel_cache_compiler();
  if (compiler) test_programs(target_host(), 200, 8);
  else CHECK_SKIP("generated code: no C compiler");
  free(compiler);
  return check_report("memory");
}
