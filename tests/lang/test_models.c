// The models that come with the language: published counts, parameters of their models, and what their losses are made
// of, in numbers of the reference evaluator.
#include <math.h>
#include <string.h>

#include "compiler/graph_summary.h"
#include "lang/lang.h"
#include "runtime/base/file.h"
#include "tests/check.h"
#include "tests/compiler/values.h"
#include "tests/runtime/scratch.h"

static const LangPaths paths = {(const char *const[]){"stdlib", "models"}, 2, NULL};

enum { MAX_BINDINGS = 16 };

// The graph of models/NAME.net with bindings "N=1 H=64 mode=tuned"; NULL where it does not build, the messages in
// `errors` unless that is NULL.
static Graph *build(Arena *arena, const char *name, const char *bindings, bool is_training, Text *errors) {
  LangBinding list[MAX_BINDINGS];
  LangOptions options = {.is_training = is_training, .with_loss = is_training, .bindings = list};
  char *save = NULL, *copy = arena_strdup(arena, bindings);
  for (char *word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
    char *equals = strchr(word, '=');
    if (!equals || options.n_bindings == MAX_BINDINGS) BUG("bad bindings: %s", bindings);
    *equals = 0;
    list[options.n_bindings++] = (LangBinding){word, equals + 1};
  }
  Diag *diag = diag_new(arena, 20);
  LangFile *file = lang_load(arena, arena_printf(arena, "models/%s.net", name), &paths, diag);
  Graph *graph = file ? lang_elaborate(file, &options, diag) : NULL;
  Text text = {0};
  diag_print(diag, errors ? errors : &text, false);
  CHECK(graph || errors, "%s %s: %s", name, bindings, text_get(&text));
  text_free(&text);
  return graph;
}

// ---- counts -----------------------------------------------------------------------------------------------------

// At 1 x C x 416 x 544; those of torchinfo are the published ones, to all their digits.
static const struct {
  const char *name, *bindings;
  int64_t parameters, published;
  const char *published_adds; // in units of 10^9
} counts[] = {
    {"adabins", "", 17553668, 17225476, "9.57"},
    {"bts", "", 8900728, 8900728, "12.07"},
    {"ldrn", "", 14892724, 14892724, "14.83"},
    {"meta_unet", "inputs=d", 4266246, 4266246, "1.66"},
    {"meta_unet", "inputs=rgb", 4266246, 4266246, "1.66"},
    {"meta_unet", "inputs=rgbd", 4266678, 4266678, "1.69"},
    {"stack", "", 45613798, 45285606, NULL},
};

static void check_counts(void) {
  for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
    Arena *arena = arena_new();
    Graph *graph =
        build(arena, counts[i].name, arena_printf(arena, "N=1 H=416 W=544 %s", counts[i].bindings), false, NULL);
    if (graph) {
      GraphSummary all = graph_summary(graph, 0, COUNT_ALL, arena);
      GraphSummary published = graph_summary(graph, 0, COUNT_TORCHINFO, arena);
      const char *adds = arena_printf(arena, "%.2f", 1e-9 * (double)published.multiply_adds);
      CHECK(all.parameters == counts[i].parameters, "%s: %lld parameters", counts[i].name, (long long)all.parameters);
      CHECK(published.parameters == counts[i].published && published.rows[0].parameters == published.parameters,
            "%s: torchinfo counts %lld parameters", counts[i].name, (long long)published.parameters);
      CHECK(!counts[i].published_adds || !strcmp(adds, counts[i].published_adds), "%s: torchinfo counts %s G",
            counts[i].name, adds);
    }
    arena_free(arena);
  }
}

// ---- parameters -------------------------------------------------------------------------------------------------

static void check_variants(void) {
  static const char *const variants[] = {"rgb", "d", "rgbd", "mean"}, *const modes[] = {"frozen", "tuned",
                                                                                        "simultaneous"};
  static const char *const bases[] = {"[\"ldrn\"]", "[\"bts\",\"adabins\"]"};
  for (int i = 0; i < 4 * 3 * 2; i++) {
    Arena *arena = arena_new();
    const char *bindings = arena_printf(arena, "N=2 H=64 W=96 patch=8 queries=16 variant=%s mode=%s bases=%s",
                                        variants[i / 6], modes[i / 2 % 3], bases[i % 2]);
    for (int is_training = 0; is_training < 2; is_training++) {
      Graph *graph = build(arena, "stack", bindings, is_training, NULL);
      bool is_random = is_training && i / 2 % 3 && i % 2; // AdaBins is trained
      CHECK(!graph || (graph_find_leaf(graph, "random_key") != NULL) == is_random, "dropout with %s", bindings);
    }
    arena_free(arena);
  }
}

static void check_refusals(void) {
  static const struct {
    const char *name, *bindings, *message;
  } cases[] = {
      {"stack", "mode=thawed", "the modes are frozen, tuned and simultaneous"},
      {"stack", "bases=[\"midas\"]", "the base learners are adabins, bts and ldrn"},
      {"stack", "bases=[\"bts\"] variant=depth", "no arm of this match is for \"depth\""},
      {"stack", "bases=[]", "a stack has at least one base learner"},
      {"adabins", "", "> queries does not hold for H = 32, patch = 16, W = 48, queries = 128"},
      {"adabins", "patch=12", "H % patch == 0 does not hold"},
      {"bts", "pixel_loss=mse", "the arms are for \"slides\", \"author\""},
      {"adabins", "patch=8 queries=16 bin_loss=max", "the forms are \"mean\" and \"sum\""},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    Arena *arena = arena_new();
    Text errors = {0};
    Graph *graph =
        build(arena, cases[i].name, arena_printf(arena, "N=1 H=64 W=96 %s", cases[i].bindings), true, &errors);
    CHECK(!graph && strstr(text_get(&errors), cases[i].message), "%s %s: %s", cases[i].name, cases[i].bindings,
          text_get(&errors));
    text_free(&errors);
    arena_free(arena);
  }
}

// ---- losses -----------------------------------------------------------------------------------------------------

static double loss_of(const char *name, const char *bindings) {
  Arena *arena = arena_new();
  Graph *graph = build(arena, name, arena_printf(arena, "N=1 H=32 W=64 %s", bindings), true, NULL);
  double loss = NAN;
  if (graph) {
    Values values = values_new(arena, graph);
    Node *gt = graph_find_leaf(graph, "gt");
    float *depth = values_leaf(&values, gt);
    for (int64_t i = 0; i < shape_elements(gt->shape); i++)
      depth[i] = i % 7 ? (float)(0.5 + 8 * unit_random(1, (uint64_t)i)) : 0;
    values_fill(&values, graph, -0.1, 0.1);
    values_run(&values, graph);
    loss = values.of[graph_find_output(graph, "loss")->id][0];
  }
  arena_free(arena);
  return loss;
}

static bool is_near(double a, double b) { return fabs(a - b) <= 2e-6 * fabs(b); }

// With one base learner of weight 1 the combined depth is its own.
static void check_losses(void) {
#define BTS     "variant=mean bases=[\"bts\"] "
#define ADABINS "variant=mean bases=[\"adabins\"] patch=8 queries=4 dropout=0 "
  double tuned = loss_of("stack", BTS "mode=tuned"), simultaneous = loss_of("stack", BTS "mode=simultaneous");
  CHECK(isfinite(tuned) && tuned > 0.1, "the loss of a tuned stack is %g", tuned);
  CHECK(is_near(simultaneous, 2 * tuned), "trained simultaneously: %g of %g", simultaneous, tuned);
  double n = 32 * 64 - (32 * 64 + 6) / 7, author = loss_of("stack", BTS "mode=tuned pixel_loss=author");
  CHECK(author > tuned && author < tuned * (1 + 1 / n), "the author's form is %g, the slides' %g", author, tuned);

  double alone = loss_of("stack", ADABINS "mode=tuned"), with_bins = loss_of("stack", ADABINS "mode=simultaneous");
  double without = loss_of("stack", ADABINS "mode=simultaneous bin_weight=0");
  double twice = loss_of("stack", ADABINS "mode=simultaneous bin_weight=0.2");
  double sums = loss_of("stack", ADABINS "mode=simultaneous bin_loss=sum");
  CHECK(is_near(without, 2 * alone), "without bins: %g of %g", without, alone);
  CHECK(with_bins > without && is_near(twice - without, 2 * (with_bins - without)), "bins: %g, %g, %g", without,
        with_bins, twice);
  CHECK(sums - without > 256 * (with_bins - without) * 0.99, "sums over bins and pixels: %g, %g", sums, with_bins);
}

// ---- guidance ---------------------------------------------------------------------------------------------------

// A plane seen at 60 degrees: in the corner of a cell of 8 x 8 the ray looks past it.
static void check_guard(void) {
  static const char format[] = "net 1\nuse depth (local_planar_guidance)\nmodel m {\n  input x: f32[1, 3, 1, 1]\n"
                               "  output y = local_planar_guidance(x, 8, guard=%s)\n}\n";
  double lowest[2], highest[2];
  for (int is_guarded = 0; is_guarded < 2; is_guarded++) {
    Arena *arena = arena_new();
    const char *path = scratch_path("m.net"), *text = arena_printf(arena, format, is_guarded ? "1e-3" : "0");
    status_free(file_write(path, text, strlen(text)));
    Diag *diag = diag_new(arena, 20);
    LangFile *file = lang_load(arena, path, &paths, diag);
    Graph *graph = file ? lang_elaborate(file, &(LangOptions){0}, diag) : NULL;
    CHECK(graph, "guidance builds");
    if (graph) {
      Values values = values_new(arena, graph);
      // theta near 60 degrees, phi = 225 degrees, half the largest distance
      memcpy(values_leaf(&values, graph_find_leaf(graph, "x")), (const float[]){20, 0.5108256f, 0}, 3 * sizeof(float));
      values_run(&values, graph);
      const float *y = values.of[graph_find_output(graph, "y")->id];
      lowest[is_guarded] = INFINITY, highest[is_guarded] = -INFINITY;
      for (int i = 0; i < 64; i++) {
        lowest[is_guarded] = fmin(lowest[is_guarded], y[i]);
        highest[is_guarded] = fmax(highest[is_guarded], y[i]);
      }
    }
    arena_free(arena);
  }
  CHECK(lowest[0] < 0, "without a guard the division turns negative: %g", lowest[0]);
  CHECK(lowest[1] > 0 && is_near(highest[1], 500), "with one it is within 0 .. 500: %g .. %g", lowest[1], highest[1]);
}

int main(void) {
  check_counts();
  check_variants();
  check_refusals();
  check_losses();
  check_guard();
  return check_report("models");
}
