// sgrun_inputs: files, folders and patterns to a list of pictures with names for their results.
#include "tools/sgrun_inputs.h"

#include <dirent.h>
#include <errno.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "runtime/base/file.h"
#include "runtime/base/strmap.h"

typedef struct Search {
  const Cli *cli;
  Inputs *inputs;
  StrMap *stems; // stem -> the path that has it
  struct stat out;
  bool has_out, is_recursive;
  int n_own; // results of earlier runs that were left out
} Search;

static const char *extension_of(const char *name) {
  const char *dot = strrchr(name, '.');
  return dot && dot > name ? dot : name + strlen(name);
}

static bool is_picture_name(const char *name) {
  static const char *const known[] = {".png", ".jpg", ".jpeg", ".ppm"};
  for (int i = 0; i < 4; i++)
    if (!strcasecmp(extension_of(name), known[i])) return true;
  return false;
}

// Whether a file of a folder is what predict wrote for another picture there: NAME_depth.png beside NAME.jpg.
static bool is_own_result(const char *name, char *const *names, int n_names) {
  static const char *const marks[] = {"_depth.", "_colour.", "_spread", "_weight_", "_base_"};
  for (int m = 0; m < 5; m++) {
    const char *mark = strstr(name, marks[m]);
    if (!mark) continue;
    size_t length = (size_t)(mark - name);
    for (int i = 0; i < n_names; i++)
      if (!strncmp(names[i], name, length) && names[i] + length == extension_of(names[i])) return true;
  }
  return false;
}

// `below` is the folder's part of the stem, "" or ending in a slash.
static void add(Search *search, const char *path, const char *below) {
  Inputs *inputs = search->inputs;
  const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
  int length = (int)(extension_of(name) - name);
  char *stem = arena_printf(inputs->arena, "%s%.*s", below, length, name);
  const char *other = strmap_get(search->stems, stem);
  if (other && !strcmp(other, path)) return; // named twice
  for (int i = 2; strmap_get(search->stems, stem); i++)
    stem = arena_printf(inputs->arena, "%s%.*s-%d", below, length, name, i);
  if (other) cli_say(search->cli, "'%s' has the name of '%s': its results are called %s", path, other, stem);
  const char *kept = arena_strdup(inputs->arena, path);
  strmap_set(search->stems, stem, (void *)kept);
  ARENA_PUSH(inputs->arena, inputs->input, inputs->n, inputs->capacity, ((Input){kept, stem}));
}

static int compare_names(const void *a, const void *b) { return strverscmp(*(char *const *)a, *(char *const *)b); }

// The visible names of a folder in natural order (9 before 10), in the arena.
static ExitCode list(Search *search, const char *folder, char ***out, int *out_n) {
  DIR *listing = opendir(folder);
  if (!listing) return cli_fail(search->cli, EXIT_DATA, "cannot read the folder '%s': %s", folder, strerror(errno));
  int capacity = 0;
  *out = NULL;
  *out_n = 0;
  for (struct dirent *entry; (entry = readdir(listing));)
    if (entry->d_name[0] != '.')
      ARENA_PUSH(search->inputs->arena, *out, *out_n, capacity, arena_strdup(search->inputs->arena, entry->d_name));
  closedir(listing);
  if (*out_n) qsort(*out, (size_t)*out_n, sizeof **out, compare_names);
  return EXIT_DONE;
}

static ExitCode add_folder(Search *search, const char *folder, const char *below) {
  Arena *arena = search->inputs->arena;
  char **names = NULL;
  int n = 0;
  ExitCode code = list(search, folder, &names, &n);
  for (int i = 0; !code && i < n; i++) {
    struct stat info;
    size_t length = strlen(folder);
    const char *path = arena_printf(arena, "%s%s%s", folder, length && folder[length - 1] == '/' ? "" : "/", names[i]);
    if (lstat(path, &info)) continue;
    if (S_ISDIR(info.st_mode)) { // links to folders are not followed: they may lead back
      bool is_out = search->has_out && info.st_dev == search->out.st_dev && info.st_ino == search->out.st_ino;
      if (search->is_recursive && !is_out)
        code = add_folder(search, path, arena_printf(arena, "%s%s/", below, names[i]));
    } else if (is_picture_name(names[i])) {
      if (is_own_result(names[i], names, n)) search->n_own++;
      else add(search, path, below);
    }
  }
  return code;
}

static ExitCode add_operand(Search *search, const char *operand) {
  const Cli *cli = search->cli;
  int before = search->inputs->n;
  if (file_is_directory(operand)) {
    ExitCode code = add_folder(search, operand, "");
    if (!code && search->inputs->n == before)
      code = cli_fail(cli, EXIT_DATA, "the folder '%s' has no PNG, JPEG or PPM pictures%s", operand,
                      search->is_recursive ? "" : "; --recursive looks into its folders too");
    return code;
  }
  if (!strpbrk(operand, "*?[") || file_exists(operand)) {
    add(search, operand, "");
    return EXIT_DONE;
  }
  glob_t found = {0};
  int failed = glob(operand, 0, NULL, &found);
  if (!failed) qsort(found.gl_pathv, found.gl_pathc, sizeof *found.gl_pathv, compare_names);
  for (size_t i = 0; !failed && i < found.gl_pathc; i++)
    if (!file_is_directory(found.gl_pathv[i])) add(search, found.gl_pathv[i], "");
  globfree(&found);
  return search->inputs->n > before ? EXIT_DONE : cli_fail(cli, EXIT_DATA, "no file fits the pattern '%s'", operand);
}

ExitCode inputs_expand(const Cli *cli, int first, const char *out, Inputs *inputs) {
  *inputs = (Inputs){.arena = arena_new()};
  Search search = {.cli = cli, .inputs = inputs, .is_recursive = cli_flag(cli, "recursive", false)};
  search.stems = strmap_new(inputs->arena);
  search.has_out = out && !stat(out, &search.out);
  ExitCode worst = EXIT_DONE;
  for (int i = first; i < cli_operands(cli); i++) {
    ExitCode code = add_operand(&search, cli_operand(cli, i));
    if (code) worst = code;
  }
  if (search.n_own) cli_say(cli, "%d files there are results of earlier predictions; left out", search.n_own);
  return worst;
}

void inputs_free(Inputs *inputs) {
  arena_free(inputs->arena);
  *inputs = (Inputs){0};
}
