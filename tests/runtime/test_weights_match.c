// Matching weight files with a model's tensors: prefixes, what is missing, the repeated stem, and setting a program.
#include "compiler/compiler.h"
#include "runtime/train/initial.h"
#include "tests/check.h"
#include "tests/runtime/scratch.h"

typedef struct Entry {
  const char *name;
  Shape shape;
} Entry;

// A file whose tensors count up from 1, 101, 201, ...
static WeightFile *make_file(const char *name, const Entry *entries, int n) {
  static float values[32][4096];
  WeightWriter *writer = weight_writer_new();
  for (int i = 0; i < n; i++) {
    for (int k = 0; k < 4096; k++) values[i][k] = (float)(100 * i + 1 + k);
    bool is_counter = strstr(entries[i].name, "num_batches") != NULL;
    weight_writer_add(writer, entries[i].name, is_counter ? WEIGHT_I64 : WEIGHT_F32, entries[i].shape, values[i]);
  }
  const char *path = scratch_path(name);
  WeightFile *file = NULL;
  Status status = weight_writer_save(writer, path);
  if (!status) status = weights_open(path, &file);
  CHECK(!status, "%s", status_message(status));
  if (status) exit(70);
  return file;
}

static const Entry encoder[] = {{"conv_stem.weight", {4, {2, 3, 1, 1}}},
                                {"bn1.weight", {1, {2}}},
                                {"bn1.running_mean", {1, {2}}},
                                {"bn1.num_batches_tracked", {0, {0}}},
                                {"conv_head.weight", {1, {5}}}};
enum { N_ENCODER = sizeof encoder / sizeof *encoder };

static void test_prefixes(void) {
  static const MatchTarget model[] = {{"a.enc.conv_stem.weight", {4, {2, 3, 1, 1}}},
                                      {"a.enc.bn1.weight", {1, {2}}},
                                      {"a.enc.bn1.running_mean", {1, {2}}},
                                      {"a.enc.bn1.num_batches_tracked", {0, {0}}},
                                      {"a.dec.bn1.weight", {1, {2}}},
                                      {"b.enc.conv_stem.weight", {4, {2, 5, 1, 1}}},
                                      {"b.enc.bn1.weight", {1, {2}}},
                                      {"b.enc.bn1.running_mean", {1, {3}}},
                                      {"b.enc.bn1.num_batches_tracked", {0, {0}}},
                                      {"adamw.m.a.enc.bn1.weight", {1, {2}}}};
  enum { N = sizeof model / sizeof *model };
  Arena *arena = arena_new();
  WeightFile *file = make_file("encoder.safetensors", encoder, N_ENCODER);
  MatchTable table;
  weights_match(arena, file, model, N, NULL, &table);
  CHECK(table.n_prefixes == 2 && !strcmp(table.prefixes[0], "a.enc.") && !strcmp(table.prefixes[1], "b.enc."),
        "%d prefixes", table.n_prefixes);
  CHECK(table.n_matches == 8 && table.count[MATCH_FITS] == 6 && table.count[MATCH_REPEATED] == 1 &&
            table.count[MATCH_SHAPE] == 1,
        "%d matches", table.n_matches);
  CHECK(table.n_unused == 1 && !strcmp(table.unused[0]->name, "conv_head.weight"), "%d unused", table.n_unused);
  Status status = match_check(&table, file);
  CHECK(status_code(status) == EXIT_WEIGHTS &&
            strstr(status_message(status), "b.enc.bn1.running_mean ([2] in the file"),
        "'%s'", status_message(status));
  status_free(status);

  weights_match(arena, file, model, N, "a.enc", &table); // the dot is added
  status = match_check(&table, file);
  CHECK(!status && table.n_matches == 4, "%d matches: %s", table.n_matches, status_message(status));
  Text line = {0};
  match_describe(&table, file, &line);
  CHECK(strstr(text_get(&line), "4 tensors for a.enc.; 1 not used: conv_head.weight"), "'%s'", text_get(&line));
  text_free(&line);

  weights_match(arena, file, model, N, "a.", &table);
  status = match_check(&table, file);
  CHECK(strstr(status_message(status), "lacks 4 of the model's 5 tensors below 'a.'"), "'%s'", status_message(status));
  status_free(status);
  weights_match(arena, file, model, N, "c.", &table);
  status = match_check(&table, file);
  CHECK(strstr(status_message(status), "no tensors below 'c.'"), "'%s'", status_message(status));
  status_free(status);

  // Names behind what training scripts put before them, without the counters that older files lack.
  Entry wrapped[] = {{"state_dict.conv_stem.weight", encoder[0].shape},
                     {"state_dict.bn1.weight", encoder[1].shape},
                     {"state_dict.bn1.running_mean", encoder[2].shape}};
  WeightFile *old = make_file("old.safetensors", wrapped, 3);
  weights_match(arena, old, model, 5, NULL, &table);
  status = match_check(&table, old);
  CHECK(!status && !strcmp(table.file_prefix, "state_dict.") && table.count[MATCH_COUNTER] == 1, "%s, %d counters: %s",
        table.file_prefix, table.count[MATCH_COUNTER], status_message(status));
  status_free(status);
  static const MatchTarget foreign[] = {{"x", {0, {0}}}};
  weights_match(arena, old, foreign, 1, NULL, &table);
  status = match_check(&table, old);
  CHECK(strstr(status_message(status), "no tensor of a name"), "'%s'", status_message(status));
  status_free(status);
  weights_close(old);
  weights_close(file);
  arena_free(arena);
}

static void test_repeat(void) {
  static const struct {
    Shape from, to;
    bool is_fit;
  } cases[] = {{{4, {16, 3, 3, 3}}, {4, {16, 6, 3, 3}}, true},  {{4, {16, 3, 3, 3}}, {4, {16, 5, 3, 3}}, true},
               {{4, {16, 3, 3, 3}}, {4, {16, 1, 3, 3}}, true},  {{4, {16, 3, 3, 3}}, {4, {8, 6, 3, 3}}, false},
               {{4, {16, 3, 3, 3}}, {4, {16, 6, 5, 3}}, false}, {{4, {16, 1, 3, 3}}, {4, {16, 6, 3, 3}}, false},
               {{3, {16, 3, 3}}, {3, {16, 6, 3}}, false}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    CHECK(match_repeats(cases[i].from, cases[i].to) == cases[i].is_fit, "case %zu", i);
  float kernel[2 * 3 * 2], out[2 * 5 * 2];
  for (int i = 0; i < 12; i++) kernel[i] = (float)i;
  match_repeat(SHAPE(2, 3, 1, 2), kernel, SHAPE(2, 5, 1, 2), out);
  static const float want[] = {0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 6, 7, 8, 9, 10, 11, 6, 7, 8, 9};
  for (int i = 0; i < 20; i++) CHECK(out[i] == want[i], "element %d is %g", i, (double)out[i]);
}

// y = sum(stem) + sum(bn1.weight) + running_mean + a counter, beside a parameter that the file does not know.
static Program *make_program(Graph *graph, int channels) {
  Node *stem = graph_param(graph, "enc.conv_stem.weight", SHAPE(2, channels, 1, 1), (Init){0}),
       *weight = graph_param(graph, "enc.bn1.weight", SHAPE(2), (Init){0}),
       *mean = graph_state(graph, "enc.bn1.running_mean", SHAPE(2), (Init){0}),
       *counter = graph_state(graph, "enc.bn1.num_batches_tracked", (Shape){0}, (Init){INIT_CONSTANT, 9, 0}),
       *other = graph_param(graph, "head", SHAPE(2), (Init){INIT_CONSTANT, 5, 0});
  counter->stored_as_i64 = true;
  Node *sum = graph_binary(graph, OP_add, graph_binary(graph, OP_add, weight, mean), other);
  Node *y = graph_binary(graph, OP_add, graph_binary(graph, OP_mul, stem, sum), counter);
  graph_output(graph, "y", y, false);
  Program *program = NULL;
  CompileOptions options = {.target = target_reference()};
  Status status = compile(graph, &options, &program);
  CHECK(!status, "%s", status_message(status));
  if (status) exit(70);
  return program;
}

static void check_tensor(const Exec *exec, const char *name, const float *want, int n) {
  float got[64] = {0};
  Status status = exec_get(exec, name, got);
  CHECK(!status, "%s", status_message(status));
  status_free(status);
  for (int i = 0; i < n; i++)
    CHECK(got[i] == want[i], "%s, element %d: %g, not %g", name, i, (double)got[i], (double)want[i]);
}

static void test_program(void) {
  Arena *arena = arena_new();
  Graph *graph = graph_new(arena, "small");
  Device *device = NULL;
  Exec *exec = NULL;
  Program *program = make_program(graph, 5);
  Status status = device_open_cpu(1, &device);
  if (!status) status = exec_open(program, device, 1, &exec);
  CHECK(!status, "%s", status_message(status));
  if (status) exit(70);
  WeightFile *file = make_file("encoder.safetensors", encoder, N_ENCODER),
             *old = make_file("old.safetensors", encoder, 3), *bad = make_file("bad.safetensors", encoder, 2);
  Text report = {0};

  status = initial_weights(bad, "enc.", exec, &report);
  CHECK(status_code(status) == EXIT_WEIGHTS && strstr(status_message(status), "enc.bn1.running_mean"), "'%s'",
        status_message(status));
  status_free(status);
  check_tensor(exec, "enc.bn1.weight", (float[]){0, 0}, 2); // left alone

  status = initial_weights(old, NULL, exec, &report);
  CHECK(!status && strstr(text_get(&report), "1 batch counters stay"), "%s %s", status_message(status),
        text_get(&report));
  status_free(status);
  check_tensor(exec, "enc.bn1.num_batches_tracked", (float[]){9}, 1);

  text_clear(&report);
  status = initial_weights(file, NULL, exec, &report);
  CHECK(!status && strstr(text_get(&report), "enc.conv_stem.weight repeated from 3 to 5 input channels"), "%s %s",
        status_message(status), text_get(&report));
  status_free(status);
  check_tensor(exec, "enc.conv_stem.weight", (float[]){1, 2, 3, 1, 2, 4, 5, 6, 4, 5}, 10);
  check_tensor(exec, "enc.bn1.weight", (float[]){101, 102}, 2);
  check_tensor(exec, "enc.bn1.running_mean", (float[]){201, 202}, 2);
  check_tensor(exec, "enc.bn1.num_batches_tracked", (float[]){301}, 1);
  check_tensor(exec, "head", (float[]){5, 5}, 2);

  text_free(&report);
  weights_close(file);
  weights_close(old);
  weights_close(bad);
  exec_close(exec);
  device_close(device);
  program_free(program);
  arena_free(arena);
}

int main(void) {
  test_prefixes();
  test_repeat();
  test_program();
  return check_report("runtime/weights_match");
}
