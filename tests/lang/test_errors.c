// Broken programs and what is said about them: tests/lang/errors/NAME.net and NAME.err.
//
// A first line "#! N=1 H=100 mode=fast model=m training loss" says how to build the model; without it every dimension
// is bound. BLESS=1 rewrites the .err files.
#include <dirent.h>

#include "lang/lang.h"
#include "runtime/base/file.h"
#include "tests/check.h"

#define DIRECTORY "tests/lang/errors"
enum { MAX_FILES = 512, MAX_BINDINGS = 16, LEAST = 40 };

static const LangPaths paths = {(const char *const[]){"stdlib"}, 1, NULL};

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

// Everything that is said of a file, load and build together.
static char *diagnose(const char *path, const char *text) {
  Arena *arena = arena_new();
  Diag *diag = diag_new(arena, 20);
  LangFile *file = lang_load(arena, path, &paths, diag);
  if (file) {
    Request request = {0};
    request.options.bindings = request.bindings;
    if (!strncmp(text, "#!", 2)) read_request(arena, text, &request);
    else bind_dimensions(file, &request);
    Graph *graph = lang_elaborate(file, &request.options, diag);
    CHECK(!graph, "%s was built in spite of its errors", path);
  }
  CHECK(diag_errors(diag) > 0, "%s has no error", path);
  Text out = {0};
  diag_print(diag, &out, false);
  arena_free(arena);
  return out.data ? text_take(&out) : strdup("");
}

static void run(const char *path, bool is_bless) {
  Text text = {0}, wanted = {0};
  Status status = file_read(path, &text);
  CHECK(!status, "%s: %s", path, status_message(status));
  char *got = diagnose(path, text_get(&text));
  char *err = strdup(path);
  memcpy(err + strlen(err) - 3, "err", 3);
  if (is_bless) {
    status = file_write(err, got, strlen(got));
    CHECK(!status, "%s: %s", err, status_message(status));
  } else {
    status = file_read(err, &wanted);
    CHECK(!status, "%s", status_message(status));
    CHECK_TEXT(got, text_get(&wanted), "%s", path);
  }
  text_free(&text);
  text_free(&wanted);
  free(err);
  free(got);
}

static int compare(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

int main(void) {
  const char *bless = getenv("BLESS");
  char *names[MAX_FILES];
  int n = 0;
  DIR *directory = opendir(DIRECTORY);
  CHECK(directory != NULL, "run from the root of the project");
  for (struct dirent *entry; directory && (entry = readdir(directory)) && n < MAX_FILES;) {
    size_t length = strlen(entry->d_name);
    if (length > 4 && !strcmp(entry->d_name + length - 4, ".net")) names[n++] = strdup(entry->d_name);
  }
  if (directory) closedir(directory);
  qsort(names, (size_t)n, sizeof *names, compare);
  CHECK(n >= LEAST, "%d broken programs", n);
  for (int i = 0; i < n; i++) {
    char path[512];
    snprintf(path, sizeof path, "%s/%s", DIRECTORY, names[i]);
    run(path, bless && *bless);
    free(names[i]);
  }
  return check_report("lang errors");
}
