// The front end through its door: descriptions, bundles, figures of the models, formatting, built-ins, hostile text.
#include <ctype.h>
#include <dirent.h>

#include "lang/lang.h"
#include "runtime/base/file.h"
#include "tests/check.h"

static const LangPaths paths = {(const char *const[]){"stdlib", "models"}, 2, NULL};

// ---- loading --------------------------------------------------------------------------------------------------------

static LangFile *load_text(Arena *arena, const char *text, Diag *diag) {
  LangBundle bundle = {1, (const char *const[]){"test.net"}, (const char *const[]){text}};
  LangPaths from_bundle = {NULL, 0, &bundle};
  return lang_load(arena, "test.net", &from_bundle, diag);
}

static void test_description(void) {
  Arena *arena = arena_new();
  Diag *diag = diag_new(arena, 20);
  LangFile *file = load_text(arena,
                             "net 1\nC = 3\nmodel first { input x: f32[1]\n output y = x }\n"
                             "model second(width = 8, name = \"a\", must) {\n"
                             "  input x: f32[N, C, H, W]\n  input y: f32[N, width, H, K]\n  output z = x\n}\n"
                             "train second {\n  target gt: f32[N, M]\n  loss sum(gt, axes=[0, 1])\n"
                             "  optimizer adamw(lr=1e-3, decay=-0.5 / 2, 7)  batch 4   epochs 3\n"
                             "  augment none  freeze a.*  freeze b.?  set height 64  set flip true  set rate -2.5\n"
                             "  tune a.b.*  rate a.* 0.1  rate 0.c 0.25  decay *.bias 0  set decay x  freeze a.?\n}\n",
                             diag);
  CHECK(file && diag_errors(diag) == 0, "the file loads");
  if (!file) return;
  CHECK(lang_model_count(file) == 2, "two models");
  const LangModel *model = lang_find_model(file, NULL, diag);
  CHECK_TEXT(model->name, "second", "the last model is the subject");
  CHECK(model->n_parameters == 3 && model->has_train, "three parameters");
  CHECK_TEXT(model->parameters[0].fallback, "8", "default of width");
  CHECK_TEXT(model->parameters[1].fallback, "\"a\"", "default of name");
  CHECK(model->parameters[2].fallback == NULL, "no default");
  const char *dimensions = arena_strdup(arena, "");
  for (int i = 0; i < model->n_dimensions; i++)
    dimensions = arena_printf(arena, "%s %s", dimensions, model->dimensions[i]);
  CHECK_TEXT(dimensions, " N H W K M", "free dimensions in order");
  Text got = {0};
  for (int i = 0; i < model->n_settings; i++) {
    const LangSetting *s = &model->settings[i];
    text_printf(&got, "%s=", s->key);
    if (s->kind == SETTING_STRING) text_printf(&got, "'%s' ", s->string);
    if (s->kind == SETTING_NUMBER) text_printf(&got, "%g ", s->number);
    if (s->kind == SETTING_RULE) text_printf(&got, "'%s'*%g ", s->string, s->number);
    if (s->kind == SETTING_BOOL) text_put(&got, s->number ? "true " : "false ");
  }
  CHECK_TEXT(
      text_get(&got),
      "optimizer='adamw' optimizer.lr=0.001 optimizer.decay=-0.25 optimizer.2=7 batch=4 epochs=3 augment='none' "
      "freeze='a.*'*1 freeze='b.?'*1 height=64 flip=true rate=-2.5 tune='a.b.*'*1 rate='a.*'*0.1 rate='0.c'*0.25 "
      "decay='*.bias'*0 decay='x' freeze='a.?'*1 ",
      "settings");
  text_free(&got);
  CHECK(!lang_find_model(file, "third", diag) && diag_errors(diag) == 1, "no third model");
  CHECK(!lang_load(arena, "no/such.net", &paths, diag) && diag_errors(diag) == 2, "a missing file is an error");
  arena_free(arena);
}

static void test_study(void) {
  Arena *arena = arena_new();
  Diag *diag = diag_new(arena, 20);
  LangFile *file = load_text(arena,
                             "net 1\nmodel a(width = 8, names = [\"p\"]) { input x: f32[1]\n output y = x }\n"
                             "study s {\n  variant \"V\" = a { set lr 5e-5   epochs 3   rate head.* 0.5 }\n  epochs 7\n"
                             "  base \"B\" = a(width=-4, names=[\"q\", \"r\"])\n  scratch \"S\" = a()\n}\n",
                             diag);
  const LangStudy *study = file ? lang_find_study(file, NULL, diag) : NULL;
  CHECK(study && diag_errors(diag) == 0, "the study loads");
  if (!study) return;
  CHECK(study->n_parts == 3 && study->n_bases == 1, "%d parts, %d bases", study->n_parts, study->n_bases);
  const LangPart *base = &study->parts[0], *variant = &study->parts[1], *scratch = &study->parts[2];
  CHECK_TEXT(base->label, "B", "bases stand first");
  CHECK(base->n_arguments == 2 && !base->n_settings, "its arguments");
  CHECK_TEXT(base->arguments[0].value, "-4", "a number");
  CHECK_TEXT(base->arguments[1].value, "[\"q\", \"r\"]", "a list");
  CHECK(variant->role == ROLE_VARIANT && variant->n_settings == 3 && !variant->n_arguments, "the variant");
  CHECK_TEXT(variant->settings[0].key, "lr", "its own setting");
  CHECK(variant->settings[2].kind == SETTING_RULE && variant->settings[2].number == 0.5, "and its own rule");
  CHECK(scratch->role == ROLE_SCRATCH, "the other");
  CHECK(study->n_settings == 1 && study->settings[0].number == 7, "settings of all");
  CHECK(!lang_find_study(file, "t", diag) && diag_errors(diag) == 1, "no other study");
  arena_free(arena);
}

static Graph *build(LangFile *file, Diag *diag, const char *inputs, bool is_training) {
  LangBinding bindings[] = {{"N", "1"}, {"H", "416"}, {"W", "544"}, {"inputs", inputs}};
  LangOptions options = {NULL, bindings, inputs ? 4 : 3, is_training, is_training};
  return lang_elaborate(file, &options, diag);
}

// Parameters and multiply-adds of the specification, from the disk and from a bundle.
static void test_meta_unet(void) {
  static const struct {
    const char *inputs;
    long long parameters;
    double giga;
  } variants[] = {{"rgb", 4266246, 1.66}, {"d", 4266246, 1.66}, {"rgbd", 4266678, 1.69}};
  Arena *arena = arena_new();
  Diag *diag = diag_new(arena, 20);
  LangFile *file = lang_load(arena, "models/meta_unet.net", &paths, diag);
  CHECK(file != NULL, "models/meta_unet.net loads");
  if (!file) return;
  LangBundle bundle = lang_bundle(file);
  LangPaths from_bundle = {NULL, 0, &bundle};
  LangFile *again = lang_load(arena, "elsewhere.net", &from_bundle, diag);
  CHECK(again && lang_bundle(again).n == bundle.n && bundle.n > 3, "the bundle loads");
  for (int i = 0; i < 3 && again; i++) {
    Graph *graph = build(file, diag, variants[i].inputs, false), *other = build(again, diag, variants[i].inputs, false);
    CHECK(graph && other, "%s builds", variants[i].inputs);
    if (!graph || !other) continue;
    Cost cost = graph_cost(graph);
    CHECK(cost.parameters == variants[i].parameters, "%s: %lld parameters", variants[i].inputs,
          (long long)cost.parameters);
    CHECK_NEAR(cost.multiply_adds / 1e9, variants[i].giga, 0.005, "%s: multiply-adds", variants[i].inputs);
    CHECK(other->n_nodes == graph->n_nodes && graph_cost(other).parameters == cost.parameters,
          "the bundle is the same");
    CHECK(graph_find_output(graph, "W") && graph_find_output(graph, "depth"), "outputs");
    bool has_rgb = graph_find_leaf(graph, "rgb") != NULL;
    CHECK(has_rgb == (variants[i].inputs[0] == 'r'), "%s: unused inputs are left out", variants[i].inputs);
    Graph *step = build(file, diag, variants[i].inputs, true);
    CHECK(step && graph_find_output(step, "loss") && graph_find_leaf(step, "gt") && step->n_updates > 100, "training");
  }
  CHECK(diag_errors(diag) == 0, "%d errors", diag_errors(diag));
  arena_free(arena);
}

// Every node says where it comes from.
static void test_places(void) {
  Arena *arena = arena_new();
  Diag *diag = diag_new(arena, 20);
  LangFile *file = lang_load(arena, "models/ghost_unet.net", &paths, diag);
  Graph *graph = file ? build(file, diag, NULL, true) : NULL;
  CHECK(graph != NULL, "ghost_unet builds");
  int n_lost = 0, n_named = 0;
  for (int i = 0; graph && i < graph->n_nodes; i++) {
    const Node *node = graph->nodes[i];
    n_lost += !node->loc.file || node->loc.line < 1 || node->module < 0 || node->module >= graph->n_modules;
    n_named += node->name != NULL;
  }
  CHECK(n_lost == 0 && n_named > 100, "%d nodes without a place, %d with a name", n_lost, n_named);
  if (graph) CHECK(graph_cost(graph).parameters < 1500000, "a network for a robot");
  arena_free(arena);
}

// ---- formatting -----------------------------------------------------------------------------------------------------

static void squeeze(const char *text, Text *out) {
  for (; *text; text++)
    if (!isspace((unsigned char)*text)) text_write(out, text, 1);
}

// Formatting keeps everything but space, and a second time changes nothing. Texts with errors are left alone.
static void check_format(const char *path, const char *text, bool is_canonical) {
  Arena *arena = arena_new();
  Diag *diag = diag_new(arena, 20);
  Text once = {0}, twice = {0}, a = {0}, b = {0};
  if (lang_format(path, text, &once, diag)) {
    bool is_read = lang_format(path, text_get(&once), &twice, diag);
    CHECK(is_read, "%s: the formatted text is read", path);
    CHECK_TEXT(text_get(&twice), text_get(&once), "%s: formatted twice", path);
    squeeze(text, &a);
    squeeze(text_get(&once), &b);
    CHECK_TEXT(text_get(&b), text_get(&a), "%s: formatting keeps the words", path);
    if (is_canonical) CHECK_TEXT(text_get(&once), text, "%s is formatted", path);
  } else {
    CHECK(diag_errors(diag) > 0 && !is_canonical, "%s: no text without an error", path);
  }
  text_free(&once);
  text_free(&twice);
  text_free(&a);
  text_free(&b);
  arena_free(arena);
}

typedef void FileCheck(const char *path, const char *text);

static void each_file(const char *directory_name, FileCheck *check) {
  DIR *directory = opendir(directory_name);
  CHECK(directory != NULL, "%s", directory_name);
  for (struct dirent *entry; directory && (entry = readdir(directory));) {
    size_t length = strlen(entry->d_name);
    if (length < 5 || strcmp(entry->d_name + length - 4, ".net")) continue;
    char path[512];
    snprintf(path, sizeof path, "%s/%s", directory_name, entry->d_name);
    Text text = {0};
    Status status = file_read(path, &text);
    CHECK(!status, "%s", path);
    check(path, text_get(&text));
    text_free(&text);
  }
  if (directory) closedir(directory);
}

static void format_canonical(const char *path, const char *text) { check_format(path, text, true); }
static void format_any(const char *path, const char *text) { check_format(path, text, false); }

static void test_format(void) {
  static const char ugly[] =
      "\n\nnet   1\nuse conv(conv,  batch_norm)\n#no space\n\n\n\nc=[1,\n2 , -3]   # tail\n"
      "long_name = - 3#other\n"
      "module f( x:f32[ N,C ],k=3 ,act = none )   where C%k==0 {\n\n\n  y=x|>f( k = -1 )  @a.{ k+1 }.b\n"
      "      |> g(\n 1,\n2\n)\nif k==1 and not(k!=2){y=-x} else {\ny=x- 1\n}\n"
      "  return match k{1=>x,_=>y},y\n\n}\n"
      "train m{batch 3 epochs 4\nset rate  -1  loss -a\n freeze a.*  tune  b rate   a.? 5e-1  decay x 0}";
  static const char neat[] =
      "net 1\nuse conv (conv, batch_norm)\n# no space\n\nc = [1,\n  2, -3]        # tail\nlong_name = -3  # other\n"
      "module f(x: f32[N, C], k = 3, act = none) where C % k == 0 {\n  y = x |> f(k=-1) @a.{k + 1}.b\n"
      "    |> g(\n      1,\n      2\n    )\n  if k == 1 and not (k != 2) { y = -x } else {\n    y = x - 1\n  }\n"
      "  return match k { 1 => x, _ => y }, y\n}\n"
      "train m { batch 3   epochs 4\n  set rate -1   loss -a\n  freeze a.*   tune b   rate a.? 5e-1   decay x 0 }\n";
  Arena *arena = arena_new();
  Diag *diag = diag_new(arena, 20);
  Text got = {0};
  bool is_read = lang_format("ugly.net", ugly, &got, diag);
  CHECK(is_read, "the ugly text is read");
  CHECK_TEXT(text_get(&got), neat, "formatting");
  text_free(&got);
  arena_free(arena);
  each_file("stdlib", format_canonical);
  each_file("models", format_canonical);
  each_file("tests/lang/good", format_any);
  each_file("tests/lang/errors", format_any);
}

// ---- built-ins and examples of the reference ------------------------------------------------------------------------

#define REFERENCE "docs/language.md"
#define FROM      "<!-- built-ins: generated from the op table -->\n"
#define TO        "<!-- end of built-ins -->\n"

static void test_reference(void) {
  Text text = {0}, builtins = {0}, whole = {0};
  Status status = file_read(REFERENCE, &text);
  CHECK(!status, REFERENCE " is there");
  const char *from = strstr(text_get(&text), FROM), *to = strstr(text_get(&text), TO);
  CHECK(from && to && from < to, REFERENCE " has the markers of the built-ins");
  if (!from || !to) return;
  lang_document_builtins(&builtins);
  text_write(&whole, text_get(&text), (size_t)(from - text_get(&text)));
  text_printf(&whole, "%s\n%s\n%s", FROM, text_get(&builtins), to);
  const char *bless = getenv("BLESS");
  if (bless && *bless && strcmp(text_get(&whole), text_get(&text)))
    status = file_write(REFERENCE, whole.data, whole.size);
  else CHECK_TEXT(text_get(&text), text_get(&whole), REFERENCE " lists the built-ins");
  CHECK(!status, "%s", status_message(status));
  text_free(&text);
  text_free(&builtins);
  text_free(&whole);
}

// Examples that are whole files are built; all dimensions are bound.
static void build_example(const char *text) {
  Arena *arena = arena_new();
  Diag *diag = diag_new(arena, 20);
  char path[] = "/tmp/sg_example_XXXXXX.net";
  int fd = mkstemps(path, 4);
  CHECK(fd >= 0, "a temporary file");
  Status status = file_write(path, text, strlen(text));
  CHECK(!status, "%s", status_message(status));
  LangFile *file = lang_load(arena, path, &paths, diag);
  LangBinding bindings[16];
  LangOptions options = {.bindings = bindings, .is_training = true};
  const LangModel *model = file && lang_model_count(file) ? lang_find_model(file, NULL, diag) : NULL;
  for (int i = 0; model && i < model->n_dimensions && i < 16; i++)
    bindings[options.n_bindings++] =
        (LangBinding){model->dimensions[i], strcmp(model->dimensions[i], "N") ? "64" : "2"};
  options.with_loss = model && model->has_train;
  if (model) CHECK(lang_elaborate(file, &options, diag) != NULL, "an example of the reference builds");
  Text said = {0};
  diag_print(diag, &said, false);
  CHECK(diag_errors(diag) == 0, "%s\n%s", text, text_get(&said));
  text_free(&said);
  remove(path);
  arena_free(arena);
}

static void test_examples(void) {
  Text text = {0};
  Status status = file_read(REFERENCE, &text);
  CHECK(!status, REFERENCE " is there");
  int n = 0;
  static const char fence[] = "```net\n";
  for (const char *at = text_get(&text); (at = strstr(at, fence));) {
    at += strlen(fence);
    const char *end = strstr(at, "```");
    CHECK(end != NULL, "an example that ends");
    if (!end) break;
    char *example = strndup(at, (size_t)(end - at));
    if (!strncmp(example, "net 1", 5)) {
      build_example(example);
      format_canonical("an example of the reference", example);
      n++;
    }
    free(example);
    at = end;
  }
  CHECK(n >= 3, "%d whole examples", n);
  text_free(&text);
}

// ---- hostile text ---------------------------------------------------------------------------------------------------

static unsigned long long random_state;
static unsigned random_below(unsigned n) {
  random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
  return (unsigned)(random_state >> 33) % n;
}

// Whatever the text: an answer or an error, and nothing worse.
static void try_text(const LangBundle *like, const char *text) {
  Arena *arena = arena_new();
  Diag *diag = diag_new(arena, 20);
  const char *texts[64];
  LangBundle bundle = *like;
  for (int i = 0; i < bundle.n; i++) texts[i] = i ? like->texts[i] : text;
  bundle.texts = texts;
  LangPaths from_bundle = {NULL, 0, &bundle};
  LangFile *file = lang_load(arena, "hostile.net", &from_bundle, diag);
  LangBinding bindings[16];
  LangOptions options = {.bindings = bindings, .is_training = true};
  int n_models = file ? lang_model_count(file) : 0;
  const LangModel *model = n_models ? lang_model(file, n_models - 1) : NULL;
  for (int i = 0; model && i < model->n_dimensions && i < 16; i++)
    bindings[options.n_bindings++] = (LangBinding){model->dimensions[i], "32"};
  options.with_loss = model && model->has_train;
  Graph *graph = file ? lang_elaborate(file, &options, diag) : NULL;
  CHECK((graph != NULL) == (diag_errors(diag) == 0), "a graph or an error");
  Text out = {0};
  diag_print(diag, &out, false);
  CHECK(diag_errors(diag) == 0 || out.size > 0, "an error has a text");
  text_free(&out);
  lang_format("hostile.net", text, &out, diag);
  text_free(&out);
  arena_free(arena);
}

static void mutate(char *text, size_t size) {
  static const char bytes[] = "(){}[],=@.|>#\"\n 019abxN+-*/%<:_";
  for (unsigned n = 1 + random_below(4); n > 0 && size > 1; n--) {
    size_t i = random_below((unsigned)size - 1);
    switch (random_below(5)) {
    case 0: memmove(text + i, text + i + 1, size - i), size--; break;
    case 1: text[i] = (char)(1 + random_below(255)); break;
    case 2: text[i] = 0, size = i; break; // cut off
    default: text[i] = bytes[random_below(sizeof bytes - 1)];
    }
  }
}

static void test_mutations(void) {
  static const char *const files[] = {"models/meta_unet.net",         "models/ghost_unet.net",
                                      "tests/lang/good/static.net",   "tests/lang/good/compose.net",
                                      "tests/lang/good/training.net", "tests/lang/good/spatial.net"};
  random_state = 7;
  for (size_t f = 0; f < sizeof files / sizeof *files; f++) {
    Arena *arena = arena_new();
    Diag *diag = diag_new(arena, 20);
    LangFile *file = lang_load(arena, files[f], &paths, diag);
    CHECK(file != NULL, "%s", files[f]);
    LangBundle bundle = file ? lang_bundle(file) : (LangBundle){0};
    for (int i = 0; i < 60 && file; i++) {
      char *text = strdup(bundle.texts[0]);
      mutate(text, strlen(text));
      try_text(&bundle, text);
      free(text);
    }
    arena_free(arena);
  }
}

// A text of `before`, then n times `middle`, then `after`.
static void try_repeated(const char *before, const char *middle, int n, const char *after) {
  Text text = {0};
  text_put(&text, before);
  for (int i = 0; i < n; i++) text_put(&text, middle);
  text_put(&text, after);
  LangBundle bundle = {1, (const char *const[]){"test.net"}, (const char *const[]){""}};
  try_text(&bundle, text_get(&text));
  text_free(&text);
}

static void test_depths(void) {
#define HEAD "net 1\nmodel m {\n input x: f32[N]\n output y = "
  try_repeated(HEAD, "(", 100000, "x\n}\n");
  try_repeated(HEAD, "[", 100000, "\n}\n");
  try_repeated(HEAD, "-", 100000, "x\n}\n");
  try_repeated(HEAD "x", " + x", 100000, "\n}\n");
  try_repeated(HEAD "x", " |> relu()", 100000, "\n}\n");
  try_repeated(HEAD "x", "[0]", 100000, "\n}\n");
  try_repeated(HEAD "concat(x", ", x", 100000, ", axis=0)\n}\n");
  try_repeated(HEAD, "f(", 100000, "\n}\n");
  try_repeated(HEAD, "if true { ", 50000, "x\n}\n");
  try_repeated(HEAD "x\n", "if true {\n", 50000, "}\n");
  try_repeated(HEAD "x\n", "for i in 0..2 {\n", 1000, "}\n");
  try_repeated(HEAD "x\n if true { }", " else if true { }", 50000, "\n}\n");
  try_repeated(HEAD "match x {", "1 => match x {", 50000, "}\n}\n");
  try_repeated("net 1\nmodule f(a", ", a", 100000, ") { }\n");
  try_repeated("net 1\n", "\"", 100001, "\n");
  try_repeated("net 1\n", "@", 10000, "\n");
  try_repeated("net 1\n", "}", 10000, "\n");
  try_repeated("net 1\n", "module f(x) {\n", 2000, "\n");
  try_repeated("", "\n", 100000, "");
  try_repeated("", "", 0, "");
}

int main(void) {
  test_description();
  test_study();
  test_meta_unet();
  test_places();
  test_format();
  test_reference();
  test_examples();
  test_mutations();
  test_depths();
  return check_report("lang");
}
