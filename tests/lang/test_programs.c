// Programs and what comes of them: tests/lang/errors/NAME.net with the messages NAME.err, and tests/lang/good/NAME.net
// with the graph NAME.graph.
//
// A first line "#! N=1 H=100 mode=fast model=m training loss" says how to build the model; without it every dimension
// is bound. BLESS=1 rewrites the .err and .graph files.
#include <dirent.h>

#include "lang/lang.h"
#include "runtime/base/file.h"
#include "tests/check.h"

enum { MAX_FILES = 512, MAX_BINDINGS = 16, LEAST_BROKEN = 40 };

static const LangPaths paths = {(const char *const[]){"tests/lang/lib"}, 1, NULL};

typedef struct Request {
  LangOptions options;
  LangBinding bindings[MAX_BINDINGS];
} Request;

static void read_request(Arena *arena, const char *text, Request *request) {
  char *line = arena_strndup(arena, text + 2, strcspn(text + 2, "\n")), *save = NULL;
  for (char *word = strtok_r(line, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
    char *equals = strchr(word, '=');
    if (equals) *equals = 0;
    if (!strcmp(word, "training")) request->options.is_training = true;
    else if (!strcmp(word, "loss")) request->options.with_loss = true;
    else if (equals && !strcmp(word, "model")) request->options.model = equals + 1;
    else if (equals && request->options.n_bindings < MAX_BINDINGS)
      request->bindings[request->options.n_bindings++] = (LangBinding){word, equals + 1};
  }
}

static void bind_dimensions(const LangFile *file, Request *request) {
  int n = lang_model_count(file);
  if (!n) return;
  const LangModel *model = lang_model(file, n - 1);
  for (int i = 0; i < model->n_dimensions && i < MAX_BINDINGS; i++) {
    const char *name = model->dimensions[i];
    request->bindings[request->options.n_bindings++] = (LangBinding){name, strcmp(name, "N") ? "64" : "2"};
  }
}

// Everything that is said of a file, load and build together, or the text of the graph.
static char *try_build(const char *path, const char *text, bool is_good) {
  Arena *arena = arena_new();
  Diag *diag = diag_new(arena, 20);
  LangFile *file = lang_load(arena, path, &paths, diag);
  Text out = {0};
  Graph *graph = NULL;
  if (file) {
    Request request = {0};
    request.options.bindings = request.bindings;
    if (!strncmp(text, "#!", 2)) read_request(arena, text, &request);
    else bind_dimensions(file, &request);
    graph = lang_elaborate(file, &request.options, diag);
  }
  diag_print(diag, &out, false);
  CHECK(is_good == (graph != NULL), "%s: built %d\n%s", path, graph != NULL, text_get(&out));
  CHECK(is_good == (diag_errors(diag) == 0), "%s has %d errors", path, diag_errors(diag));
  if (graph) {
    Text why = {0};
    CHECK(graph_verify(graph, &why), "%s: %s", path, text_get(&why));
    text_free(&why);
    text_clear(&out);
    graph_print(graph, &out);
  }
  arena_free(arena);
  return out.data ? text_take(&out) : strdup("");
}

static void run(const char *path, bool is_good, bool is_bless) {
  Text text = {0}, wanted = {0};
  Status status = file_read(path, &text);
  CHECK(!status, "%s: %s", path, status_message(status));
  char *got = try_build(path, text_get(&text), is_good), other[512];
  snprintf(other, sizeof other, "%.*s%s", (int)strlen(path) - 3, path, is_good ? "graph" : "err");
  if (is_bless) {
    status = file_write(other, got, strlen(got));
    CHECK(!status, "%s: %s", other, status_message(status));
  } else {
    status = file_read(other, &wanted);
    CHECK(!status, "%s", status_message(status));
    CHECK_TEXT(got, text_get(&wanted), "%s", path);
  }
  text_free(&text);
  text_free(&wanted);
  free(got);
}

static int compare(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

// Returns how many programs the directory has.
static int run_all(const char *directory_name, bool is_good, bool is_bless) {
  char *names[MAX_FILES];
  int n = 0;
  DIR *directory = opendir(directory_name);
  CHECK(directory != NULL, "%s: run from the root of the project", directory_name);
  for (struct dirent *entry; directory && (entry = readdir(directory)) && n < MAX_FILES;) {
    size_t length = strlen(entry->d_name);
    if (length > 4 && !strcmp(entry->d_name + length - 4, ".net")) names[n++] = strdup(entry->d_name);
  }
  if (directory) closedir(directory);
  qsort(names, (size_t)n, sizeof *names, compare);
  for (int i = 0; i < n; i++) {
    char path[512];
    snprintf(path, sizeof path, "%s/%s", directory_name, names[i]);
    run(path, is_good, is_bless);
    free(names[i]);
  }
  return n;
}

int main(void) {
  const char *bless = getenv("BLESS");
  bool is_bless = bless && *bless;
  int n_broken = run_all("tests/lang/errors", false, is_bless);
  CHECK(n_broken >= LEAST_BROKEN, "%d broken programs", n_broken);
  CHECK(run_all("tests/lang/good", true, is_bless) > 0, "no good programs");
  return check_report("lang programs");
}
